//! One key at a time: values of any serde type, kept as CBOR, or bytes as they are.

use super::{Object, Ring};
use crate::{
    error::{NotGot, NotSet, Trouble},
    object::{Manifest, put},
    put_options::PutOptions,
    register::Changed,
};
use minor_protocol::{Expect, Key, Operation, Stamp, State, Wish, key::NoKey, limits};
use serde::{Serialize, de::DeserializeOwned};

/// The content type of values that have a serde type.
pub(crate) const CBOR: &str = "application/cbor";

/// A value as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they are said to be; empty if nobody said.
    pub content_type: String,
    /// The change that made it. [`Expect::Stamp`] holds as long as there was no other.
    pub stamp: Stamp,
    /// When it counts as deleted, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

/// The longest value that is read at once, in bytes; longer ones are read as streams.
pub(crate) const WHOLE_BYTES: u64 = 64 << 20;

impl Ring {
    /// Sets a value, whatever was there.
    pub async fn set<V>(&self, key: &str, value: &V) -> Result<Stamp, NotSet>
    where
        V: Serialize + Sync + ?Sized,
    {
        self.set_with(key, value, &PutOptions::new()).await
    }

    /// Sets a value if the key is as expected; else it is [`NotSet::NotMet`], and nothing is changed.
    ///
    /// ```no_run
    /// # async fn example(ring: sdht::Ring) -> Result<(), sdht::NotSet> {
    /// use sdht::{Expect, NotSet};
    /// match ring.set_if("lock", "mine", Expect::Absent).await {
    ///     Ok(stamp) => ring.delete_if("lock", Expect::Stamp(stamp)).await.map(drop),
    ///     Err(NotSet::NotMet { .. }) => Ok(()), // somebody else holds it
    ///     Err(trouble) => Err(trouble),
    /// }
    /// # }
    /// ```
    pub async fn set_if<V>(&self, key: &str, value: &V, expect: Expect) -> Result<Stamp, NotSet>
    where
        V: Serialize + Sync + ?Sized,
    {
        self.set_with(key, value, &PutOptions::new().expect(expect)).await
    }

    /// Sets a value under these options.
    pub async fn set_with<V>(
        &self,
        key: &str,
        value: &V,
        options: &PutOptions,
    ) -> Result<Stamp, NotSet>
    where
        V: Serialize + Sync + ?Sized,
    {
        let key = Key::of_user(key)?;
        let bytes = cbor(&key, value)?;
        self.keep(key, bytes, options.clone().content_type(CBOR)).await
    }

    /// The value of a key; none if there is none.
    pub async fn get<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, NotGot> {
        let key = Key::of_user(key)?;
        let value = self.value(key.clone()).await?;
        value.map(|value| typed(&key, value.content_type, &value.bytes)).transpose()
    }

    /// Deletes what is there. Says whether there was anything.
    pub async fn delete(&self, key: &str) -> Result<bool, NotSet> {
        self.delete_if(key, Expect::Anything).await
    }

    /// Deletes what is there if it is as expected. Says whether there was anything.
    pub async fn delete_if(&self, key: &str, expect: Expect) -> Result<bool, NotSet> {
        let key = Key::of_user(key)?;
        let name = key.clone();
        let delete = self.run(move |router| async move { router.delete(&key, expect).await });
        delete.await.unwrap_or(Err(NotSet::Unknown { key: name, why: Trouble::Ended }))
    }

    /// Sets bytes as they are, whatever was there.
    pub async fn put_bytes(
        &self,
        key: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<Stamp, NotSet> {
        self.put_with(key, bytes, &PutOptions::new().content_type(content_type)).await
    }

    /// Sets bytes as they are under these options.
    pub async fn put_with(
        &self,
        key: &str,
        bytes: Vec<u8>,
        options: &PutOptions,
    ) -> Result<Stamp, NotSet> {
        self.keep(Key::of_user(key)?, bytes, options.clone()).await
    }

    /// The bytes of a key, and what is known of them; none if there are none. More than 64 MiB are refused:
    /// [`get_stream`](Self::get_stream) reads those.
    pub async fn get_bytes(&self, key: &str) -> Result<Option<Value>, NotGot> {
        self.value(Key::of_user(key)?).await
    }

    async fn keep(&self, key: Key, bytes: Vec<u8>, options: PutOptions) -> Result<Stamp, NotSet> {
        if bytes.len() > limits::VALUE_BYTES {
            return self.keep_long(key, bytes, &options).await;
        }
        put::check(&key, &options.content_type)?;
        let name = key.clone();
        let change = self.run(move |router| async move {
            let expires_ms = options.expires_ms(router.now_ms());
            let PutOptions { content_type, expect, .. } = options;
            let wish = Wish::Set { content_type, expires_ms, value: bytes };
            router.change(&key, Operation { expect, wish }).await
        });
        match change.await {
            Ok(changed) => stamp(name, changed?),
            Err(_) => Err(NotSet::Unknown { key: name, why: Trouble::Ended }),
        }
    }

    async fn keep_long(
        &self,
        key: Key,
        bytes: Vec<u8>,
        options: &PutOptions,
    ) -> Result<Stamp, NotSet> {
        let mut upload = self.upload(key, options)?;
        upload.write(&bytes).await;
        upload.finish().await
    }

    /// Sets a typed value that is too long for a record.
    pub(super) async fn put_long(&self, key: Key, cbor: Vec<u8>) -> Result<Stamp, NotSet> {
        self.keep_long(key, cbor, &PutOptions::new().content_type(CBOR)).await
    }

    async fn value(&self, key: Key) -> Result<Option<Value>, NotGot> {
        let Some(state) = self.read(key.clone()).await? else { return Ok(None) };
        match Manifest::of(&state) {
            None => Ok(bytes_of(state)),
            Some(_) => self.whole(key).await,
        }
    }

    /// A large object as a whole.
    async fn whole(&self, key: Key) -> Result<Option<Value>, NotGot> {
        let Some(mut object) = self.get_stream(key.as_str(), ..).await? else { return Ok(None) };
        if object.bytes > WHOLE_BYTES {
            return Err(NotGot::TooLong { key, bytes: object.bytes, most: WHOLE_BYTES });
        }
        let mut bytes = Vec::with_capacity(object.bytes as usize);
        while let Some(more) = object.next().await {
            bytes.extend_from_slice(&more?);
        }
        let Object { content_type, stamp, expires_ms, .. } = object;
        Ok(Some(Value { bytes, content_type, stamp, expires_ms }))
    }
}

/// Refuses what no storage takes, or no user gives, before anybody is asked.
pub(super) fn check(key: &Key, operation: &Operation) -> Result<(), NotSet> {
    if key.is_reserved() {
        return Err(NoKey::Reserved.into());
    }
    let Wish::Set { content_type, value, .. } = &operation.wish else { return Ok(()) };
    let (what, bytes, most) = ("the value", value.len(), limits::VALUE_BYTES);
    if bytes > most {
        return Err(NotSet::TooLong { key: key.clone(), what, bytes, most });
    }
    put::check(key, content_type)
}

/// The wish to keep this value.
pub(super) fn written<V>(key: &Key, value: &V) -> Result<Wish, NotSet>
where
    V: Serialize + ?Sized,
{
    let value = cbor(key, value)?;
    Ok(Wish::Set { content_type: CBOR.into(), expires_ms: None, value })
}

fn cbor<V>(key: &Key, value: &V) -> Result<Vec<u8>, NotSet>
where
    V: Serialize + ?Sized,
{
    let mut bytes = vec![];
    match ciborium::into_writer(value, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(why) => Err(NotSet::NoForm { key: key.clone(), why: why.to_string() }),
    }
}

/// The stamp a change that always leaves one has left.
pub(super) fn stamp(key: Key, changed: Changed) -> Result<Stamp, NotSet> {
    match changed {
        Changed::Done(done) => Ok(done.stamp),
        Changed::NotMet(found) => Err(NotSet::NotMet { key, found }),
        Changed::Kept => unreachable!("a value that is set is never kept as it was"),
    }
}

/// The value of this type that a record holds.
pub(super) fn value_of<V: DeserializeOwned>(key: &Key, state: State) -> Result<V, NotGot> {
    let content_type = state.header.content.map(|content| content.content_type).unwrap_or_default();
    typed(key, content_type, &state.value)
}

pub(super) fn typed<V: DeserializeOwned>(
    key: &Key,
    content_type: String,
    bytes: &[u8],
) -> Result<V, NotGot> {
    let another = |why| {
        let (key, content_type) = (key.clone(), content_type.clone());
        NotGot::AnotherType { key, content_type, why }
    };
    if content_type != CBOR {
        return Err(another(format!("only {CBOR} has a type; get its bytes")));
    }
    let mut rest = bytes;
    match ciborium::from_reader(&mut rest) {
        Ok(value) if rest.is_empty() => Ok(value),
        Ok(_) => Err(another(format!("{} bytes follow it", rest.len()))),
        Err(why) => Err(another(why.to_string())),
    }
}

fn bytes_of(state: State) -> Option<Value> {
    let stamp = state.header.stamp()?;
    let content = state.header.content?;
    Some(Value {
        bytes: state.value,
        content_type: content.content_type,
        stamp,
        expires_ms: content.expires_ms,
    })
}
