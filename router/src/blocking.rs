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
    moves::{Loss, NotMoved, Preview, Progress, Wanted},
    object::PIECE_BYTES,
    put_options::PutOptions,
    walk::{NoRing, Walked},
};
use bytes::{Buf, Bytes};
use minor_protocol::{Expect, Key, Position, RingArc, Stamp, message::PlainRecords};
use pollster::block_on;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read},
    ops::RangeBounds,
    time::Duration,
};

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

    /// As [`crate::Ring::set_with`].
    pub fn set_with<V>(&self, key: &str, value: &V, options: &PutOptions) -> Result<Stamp, NotSet>
    where
        V: Serialize + Sync + ?Sized,
    {
        block_on(self.0.set_with(key, value, options))
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

    /// As [`crate::Ring::put_with`].
    pub fn put_with(
        &self,
        key: &str,
        bytes: Vec<u8>,
        options: &PutOptions,
    ) -> Result<Stamp, NotSet> {
        block_on(self.0.put_with(key, bytes, options))
    }

    /// As [`crate::Ring::put_stream`], of all that a reader gives.
    ///
    /// ```no_run
    /// # fn example(ring: sdht::blocking::Ring) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::{fs::File, io};
    /// ring.put_stream("film", File::open("film.webm")?, &sdht::PutOptions::new())?;
    /// let mut film = ring.get_stream("film", ..)?.ok_or("it was just put")?;
    /// io::copy(&mut film, &mut File::create("copy.webm")?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_stream(
        &self,
        key: &str,
        mut source: impl Read,
        options: &PutOptions,
    ) -> Result<Stamp, NotSet> {
        let mut upload = self.0.upload(Key::of_user(key)?, options)?;
        let mut bytes = vec![0; PIECE_BYTES];
        while !upload.has_failed() {
            match source.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => block_on(upload.write(&bytes[..count])),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return block_on(upload.fail(&why)),
            }
        }
        block_on(upload.finish())
    }

    /// As [`crate::Ring::get_stream`].
    pub fn get_stream(
        &self,
        key: &str,
        range: impl RangeBounds<u64>,
    ) -> Result<Option<Object>, NotGot> {
        let object = block_on(self.0.get_stream(key, range))?;
        Ok(object.map(|object| Object { object, bytes: Bytes::new() }))
    }

    /// As [`crate::Ring::sweep_orphans`].
    pub fn sweep_orphans(&self, age: Duration) -> Result<usize, NotGot> {
        block_on(self.0.sweep_orphans(age))
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

    /// As [`crate::Ring::evict`].
    pub fn evict<A: Into<String>>(
        &self,
        addresses: impl IntoIterator<Item = A>,
        loss: Loss,
    ) -> Moving {
        Moving(self.0.evict(addresses, loss))
    }

    /// As [`crate::Ring::purge`].
    pub fn purge<A: Into<String>>(&self, also: impl IntoIterator<Item = A>) -> Moving {
        Moving(self.0.purge(also))
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

/// A value as it is read: a reader of its bytes. An error of the ring comes out of it as the source of an [`io::Error`].
#[derive(Debug)]
pub struct Object {
    object: handle::Object,
    bytes: Bytes,
}

impl Object {
    /// What is known of it.
    pub fn about(&self) -> &handle::Object {
        &self.object
    }
}

impl Read for Object {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            match block_on(self.object.next()) {
                Some(next) => self.bytes = next.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = self.bytes.len().min(into.len());
        self.bytes.copy_to_slice(&mut into[..count]);
        Ok(count)
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
