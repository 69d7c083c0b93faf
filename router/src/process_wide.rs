//! One ring for a whole process, for programs as short as their idea.

use crate::{
    blocking,
    error::{NotConnected, NotGot, NotSet, Trouble},
    handle::Builder,
    moves::NotMoved,
    walk::NoRing,
};
use minor_protocol::{Key, Stamp};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::{Mutex, PoisonError};

static RING: Mutex<Option<blocking::Ring>> = Mutex::new(None);

/// Joins a storage to this process's ring.
///
/// The first one called for decides which ring that is: the one the storage is in, or a new one if it is in none.
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// sdht::join("127.0.0.1:8000")?;
/// sdht::set("a key", "a value")?;
/// let value: Option<String> = sdht::get("a key")?;
/// assert_eq!(value.as_deref(), Some("a value"));
/// # Ok(())
/// # }
/// ```
pub fn join(address: &str) -> Result<(), NotConnected> {
    let mut ring = RING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ring) = ring.clone() {
        return Ok(ring.join(address).finish()?);
    }
    let found = match blocking::Ring::connect([address]) {
        Err(NotConnected::NoRing(NoRing::NotFounded(_))) => {
            blocking::Ring::found_by(Builder::default(), address)?
        }
        other => other?,
    };
    *ring = Some(found);
    Ok(())
}

/// Lets a storage go, after all it keeps was handed over.
pub fn remove(address: &str) -> Result<(), NotMoved> {
    ring().ok_or(NotMoved::NoRing(NoRing::NobodyKnown))?.leave(address).finish()
}

/// Sets a value; see [`Ring::set`](crate::Ring::set).
pub fn set<V>(key: &str, value: &V) -> Result<Stamp, NotSet>
where
    V: Serialize + Sync + ?Sized,
{
    match ring() {
        Some(ring) => ring.set(key, value),
        None => Err(NotSet::NotDone { key: Key::new(key)?, why: nobody_known() }),
    }
}

/// The value of a key; see [`Ring::get`](crate::Ring::get).
pub fn get<V: DeserializeOwned>(key: &str) -> Result<Option<V>, NotGot> {
    match ring() {
        Some(ring) => ring.get(key),
        None => Err(NotGot::NotRead { key: Key::new(key)?, why: nobody_known() }),
    }
}

/// Deletes a key; see [`Ring::delete`](crate::Ring::delete).
pub fn delete(key: &str) -> Result<bool, NotSet> {
    match ring() {
        Some(ring) => ring.delete(key),
        None => Err(NotSet::NotDone { key: Key::new(key)?, why: nobody_known() }),
    }
}

fn ring() -> Option<blocking::Ring> {
    RING.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn nobody_known() -> Trouble {
    Trouble::NoRing(NoRing::NobodyKnown)
}
