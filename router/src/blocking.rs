//! The same ring for programs without a runtime: every call waits for its end.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let ring = sdht::blocking::Ring::connect(["127.0.0.1:8000"])?;
//! ring.set("a key", "a value")?;
//! for key in ring.keys("a ") {
//!     println!("{}", key?);
//! }
//! # Ok(())
//! # }
//! ```

use crate::{
    error::{NotConnected, NotGot, NotSet},
    handle::{self, Builder, Value},
    moves::{NotMoved, Preview, Progress, Wanted},
    walk::{NoRing, Walked},
};
use minor_protocol::{Expect, Key, Position, RingArc, Stamp, message::PlainRecords};
use pollster::block_on;
use serde::{Serialize, de::DeserializeOwned};

/// A ring, as [`crate::Ring`] is one.
#[derive(Clone, Debug)]
pub struct Ring(handle::Ring);

impl From<handle::Ring> for Ring {
    fn from(ring: handle::Ring) -> Self {
        Self(ring)
    }
}

impl Ring {
    /// As [`crate::Ring::connect`].
    pub fn connect<A: Into<String>>(
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, NotConnected> {
        Self::connect_by(Builder::default(), addresses)
    }

    /// As [`Builder::connect`].
    pub fn connect_by<A: Into<String>>(
        builder: Builder,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, NotConnected> {
        block_on(builder.connect(addresses)).map(Self)
    }

    /// As [`Builder::found`].
    pub fn found_by(builder: Builder, address: &str) -> Result<Self, NotConnected> {
        block_on(builder.found(address)).map(Self)
    }

    /// The same ring for async code.
    pub fn handle(&self) -> &handle::Ring {
        &self.0
    }

    /// As [`crate::Ring::set`].
    pub fn set<V>(&self, key: &str, value: &V) -> Result<Stamp, NotSet>
    where
        V: Serialize + Sync + ?Sized,
    {
        block_on(self.0.set(key, value))
    }

    /// As [`crate::Ring::set_if`].
    pub fn set_if<V>(&self, key: &str, value: &V, expect: Expect) -> Result<Stamp, NotSet>
    where
        V: Serialize + Sync + ?Sized,
    {
        block_on(self.0.set_if(key, value, expect))
    }

    /// As [`crate::Ring::get`].
    pub fn get<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, NotGot> {
        block_on(self.0.get(key))
    }

    /// As [`crate::Ring::delete`].
    pub fn delete(&self, key: &str) -> Result<bool, NotSet> {
        block_on(self.0.delete(key))
    }

    /// As [`crate::Ring::delete_if`].
    pub fn delete_if(&self, key: &str, expect: Expect) -> Result<bool, NotSet> {
        block_on(self.0.delete_if(key, expect))
    }

    /// As [`crate::Ring::put_bytes`].
    pub fn put_bytes(
        &self,
        key: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<Stamp, NotSet> {
        block_on(self.0.put_bytes(key, content_type, bytes))
    }

    /// As [`crate::Ring::get_bytes`].
    pub fn get_bytes(&self, key: &str) -> Result<Option<Value>, NotGot> {
        block_on(self.0.get_bytes(key))
    }

    /// As [`crate::Ring::set_many`].
    pub fn set_many<K: AsRef<str>, V: Serialize>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Vec<Result<Stamp, NotSet>> {
        block_on(self.0.set_many(pairs))
    }

    /// As [`crate::Ring::get_many`].
    pub fn get_many<K: AsRef<str>, V: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Result<Option<V>, NotGot>> {
        block_on(self.0.get_many(keys))
    }

    /// As [`crate::Ring::keys`].
    pub fn keys(&self, prefix: &str) -> impl Iterator<Item = Result<Key, NotGot>> + use<> {
        let mut keys = self.0.keys(prefix);
        std::iter::from_fn(move || block_on(keys.next()))
    }

    /// As [`crate::Ring::arcs`].
    pub fn arcs(&self) -> Vec<RingArc> {
        block_on(self.0.arcs())
    }

    /// As [`crate::Ring::walk`].
    pub fn walk(&self) -> Result<Walked, NoRing> {
        block_on(self.0.walk())
    }

    /// As [`crate::Ring::survey`].
    pub fn survey(&self) -> Result<Walked, NoRing> {
        block_on(self.0.survey())
    }

    /// As [`crate::Ring::join`].
    pub fn join(&self, address: &str) -> Moving {
        Moving(self.0.join(address))
    }

    /// As [`crate::Ring::join_at`].
    pub fn join_at(&self, address: &str, place: Option<Position>, plain: PlainRecords) -> Moving {
        Moving(self.0.join_at(address, place, plain))
    }

    /// As [`crate::Ring::leave`].
    pub fn leave(&self, address: &str) -> Moving {
        Moving(self.0.leave(address))
    }

    /// As [`crate::Ring::set_copies`].
    pub fn set_copies(&self, copies: u8) -> Moving {
        Moving(self.0.set_copies(copies))
    }

    /// As [`crate::Ring::balance`].
    pub fn balance(&self) -> Moving {
        Moving(self.0.balance())
    }

    /// As [`crate::Ring::plan`].
    pub fn plan(&self, wanted: Wanted) -> Result<Preview, NotMoved> {
        block_on(self.0.plan(wanted))
    }

    /// As [`crate::Ring::repair`].
    pub fn repair(&self) -> Moving {
        Moving(self.0.repair())
    }
}

/// A change of the ring under way: an iterator over what happens, and [`finish`](Self::finish) for its end.
#[must_use = "it stops when it is dropped"]
#[derive(Debug)]
pub struct Moving(handle::Moving);

impl Moving {
    /// Waits for its end.
    pub fn finish(self) -> Result<(), NotMoved> {
        block_on(self.0)
    }
}

impl Iterator for Moving {
    type Item = Progress;

    fn next(&mut self) -> Option<Progress> {
        block_on(self.0.next())
    }
}
