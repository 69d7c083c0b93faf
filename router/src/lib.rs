//! The router of a distributed hash table that people can trust with real data.

pub mod change;
pub mod get;
pub mod moves;
pub mod plan;
pub mod proposal;
pub mod register;
pub mod ring;
pub mod router;
pub mod sync;
pub mod tally;
pub mod transport;
pub mod walk;

use minor_protocol::mutant;
