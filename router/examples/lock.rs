//! A lock: whoever sets the key first has it, and loses it after a time even if it dies with the lock in its hand.
//!
//! ```text
//! cargo run -p sdht --example lock -- 127.0.0.1:8000
//! ```
//!
//! Time is the weak side of any such lock: who is held up for longer than the lock lives still believes to have it. What the
//! lock guards should therefore take the stamp along, and refuse one that is older than one it has seen.

use sdht::{Expect, NoRing, NotConnected, NotSet, PutOptions, Stamp, blocking::Ring};
use std::{env, error::Error, thread, time::Duration};

const KEY: &str = "locks/example";
const TIME_TO_LIVE: Duration = Duration::from_secs(30);

/// Takes the lock, or says that somebody has it.
fn try_lock(ring: &Ring, name: &str) -> Result<Option<Stamp>, NotSet> {
    let options = PutOptions::new().expect(Expect::Absent).time_to_live(TIME_TO_LIVE);
    match ring.set_with(KEY, name, &options) {
        Ok(stamp) => Ok(Some(stamp)),
        Err(NotSet::NotMet { .. }) => Ok(None),
        Err(why) => Err(why),
    }
}

/// Gives the lock back, unless it was lost: then it may be somebody else's.
fn unlock(ring: &Ring, stamp: Stamp) -> Result<(), NotSet> {
    match ring.delete_if(KEY, Expect::Stamp(stamp)) {
        Ok(_) | Err(NotSet::NotMet { .. }) => Ok(()),
        Err(why) => Err(why),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("name a storage: HOST:PORT")?;
    let ring = match Ring::connect([&address]) {
        Err(NotConnected::NoRing(NoRing::NotFounded(_))) => {
            Ring::found_by(sdht::Ring::builder(), &address)?
        }
        other => other?,
    };
    let mine = loop {
        match try_lock(&ring, "one")? {
            Some(stamp) => break stamp,
            None => thread::sleep(Duration::from_millis(100)),
        }
    };
    println!("one has the lock");
    if try_lock(&ring, "two")?.is_none() {
        println!("two has to wait");
    }
    unlock(&ring, mine)?;
    if let Some(stamp) = try_lock(&ring, "two")? {
        println!("two has the lock");
        unlock(&ring, stamp)?;
    }
    Ok(())
}
