//! One key at a time: values of any serde type, kept as CBOR, or bytes as they are.

use super::Ring;
use crate::{
    error::{NotGot, NotSet},
    register::Changed,
};
use minor_protocol::{Expect, Key, Operation, Stamp, State, Wish, limits};
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

impl Ring {
    /// Sets a value, whatever was there.
    pub async fn set<V>(&self, key: &str, value: &V) -> Result<Stamp, NotSet>
    where
        V: Serialize + Sync + ?Sized,
    {
        self.set_if(key, value, Expect::Anything).await
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
        let key = Key::new(key)?;
        let wish = written(&key, value)?;
        self.change(key.clone(), Operation { expect, wish }).await.and_then(|c| stamp(key, c))
    }

    /// The value of a key; none if there is none.
    pub async fn get<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, NotGot> {
        let key = Key::new(key)?;
        let state = self.read(key.clone()).await?;
        state.map(|state| value_of(&key, state)).transpose()
    }

    /// Deletes what is there. Says whether there was anything.
    pub async fn delete(&self, key: &str) -> Result<bool, NotSet> {
        self.delete_if(key, Expect::Anything).await
    }

    /// Deletes what is there if it is as expected. Says whether there was anything.
    pub async fn delete_if(&self, key: &str, expect: Expect) -> Result<bool, NotSet> {
        let key = Key::new(key)?;
        match self.change(key.clone(), Operation { expect, wish: Wish::Delete }).await? {
            Changed::Done(_) => Ok(true),
            Changed::Kept => Ok(false),
            Changed::NotMet(found) => Err(NotSet::NotMet { key, found }),
        }
    }

    /// Sets bytes as they are, whatever was there.
    pub async fn put_bytes(
        &self,
        key: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<Stamp, NotSet> {
        let key = Key::new(key)?;
        let wish =
            Wish::Set { content_type: content_type.to_owned(), expires_ms: None, value: bytes };
        let operation = Operation { expect: Expect::Anything, wish };
        self.change(key.clone(), operation).await.and_then(|c| stamp(key, c))
    }

    /// The bytes of a key, and what is known of them; none if there are none.
    pub async fn get_bytes(&self, key: &str) -> Result<Option<Value>, NotGot> {
        Ok(self.read(Key::new(key)?).await?.and_then(bytes_of))
    }
}

/// Refuses what no storage takes, before it is asked.
pub(super) fn check(key: &Key, operation: &Operation) -> Result<(), NotSet> {
    let Wish::Set { content_type, value, .. } = &operation.wish else { return Ok(()) };
    let no_longer = |what, bytes, most| match bytes > most {
        true => Err(NotSet::TooLong { key: key.clone(), what, bytes, most }),
        false => Ok(()),
    };
    no_longer("the value", value.len(), limits::VALUE_BYTES)?;
    no_longer("the content type", content_type.len(), limits::CONTENT_TYPE_BYTES)
}

/// The wish to keep this value.
pub(super) fn written<V>(key: &Key, value: &V) -> Result<Wish, NotSet>
where
    V: Serialize + ?Sized,
{
    let mut bytes = vec![];
    match ciborium::into_writer(value, &mut bytes) {
        Ok(()) => Ok(Wish::Set { content_type: CBOR.into(), expires_ms: None, value: bytes }),
        Err(why) => Err(NotSet::NoForm { key: key.clone(), why: why.to_string() }),
    }
}

/// The stamp a change that always leaves one has left.
pub(super) fn stamp(key: Key, changed: Changed) -> Result<Stamp, NotSet> {
    match changed {
        Changed::Done(stamp) => Ok(stamp),
        Changed::NotMet(found) => Err(NotSet::NotMet { key, found }),
        Changed::Kept => unreachable!("a value that is set is never kept as it was"),
    }
}

/// The value of this type.
pub(super) fn value_of<V: DeserializeOwned>(key: &Key, state: State) -> Result<V, NotGot> {
    let content_type = state.header.content.map(|content| content.content_type).unwrap_or_default();
    let another = |why| {
        let (key, content_type) = (key.clone(), content_type.clone());
        NotGot::AnotherType { key, content_type, why }
    };
    if content_type != CBOR {
        return Err(another(format!("only {CBOR} has a type; get its bytes")));
    }
    let mut rest = &state.value[..];
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
