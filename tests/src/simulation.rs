//! A whole ring in one thread and in paused time: the real router code over the real storage code, with a disk, a network
//! and a fate that are drawn from a seed. The same seed gives the same run, to the last message.
//!
//! * [`world`]: storages on simulated disks, and a network that loses, delays and doubles.
//! * [`scenario`]: users, operators and accidents, drawn from the seed; and what is asked of the run when it is over.
//! * [`script`]: short stories in which nothing is left to chance, for what chance comes to too seldom.
//! * [`keeping`]: rings that are left to two keepers, and what befalls them.
//! * [`losses`]: storages that never come back, and what is left without them.
//! * [`invariants`]: what must hold at every moment.

pub mod aimed;
pub mod invariants;
pub mod keeping;
pub mod losses;
pub mod scenario;
pub mod script;
pub mod stories;
pub mod world;

/// One thread whose clock goes on when everybody waits.
pub fn paused_time() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()
}
