//! Many keys at once. They are begun together, so those that one storage keeps travel in a few large asks; each has an
//! outcome of its own.

use super::{Ring, values};
use crate::{
    error::{NotGot, NotSet, Trouble},
    register::Changed,
};
use futures_util::{StreamExt, stream};
use minor_protocol::{Expect, Key, Operation, Stamp, State};
use serde::{Serialize, de::DeserializeOwned};

/// Operations of one call that are under way at a time: two full asks to each of two storages.
const AT_ONCE: usize = 4_000;

impl Ring {
    /// Sets many values. The outcomes are in the order of the pairs.
    pub fn set_many<K: AsRef<str>, V: Serialize>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> impl Future<Output = Vec<Result<Stamp, NotSet>>> + Send {
        let wishes = pairs.into_iter().map(|(key, value)| {
            let key = Key::new(key.as_ref())?;
            let wish = values::written(&key, &value)?;
            Ok((key, Operation { expect: Expect::Anything, wish }))
        });
        let (ring, wishes): (Self, Vec<Result<_, NotSet>>) = (self.clone(), wishes.collect());
        let keys: Vec<Option<Key>> =
            wishes.iter().map(|wish| wish.as_ref().ok().map(|(key, _)| key.clone())).collect();
        async move {
            let ended = ring.change_many(wishes).await.into_iter().zip(keys);
            let stamp = |(changed, key): (Result<_, _>, Option<Key>)| match (changed, key) {
                (Ok(changed), Some(key)) => values::stamp(key, changed),
                (Ok(_), None) => unreachable!("what has no key was not changed"),
                (Err(why), _) => Err(why),
            };
            ended.map(stamp).collect()
        }
    }

    /// Gets many values. The outcomes are in the order of the keys.
    pub fn get_many<K: AsRef<str>, V: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Vec<Result<Option<V>, NotGot>>> + Send {
        let keys: Vec<Result<Key, NotGot>> =
            keys.into_iter().map(|key| Ok(Key::new(key.as_ref())?)).collect();
        let ring = self.clone();
        async move {
            let read = ring.read_many(keys).await.into_iter();
            let value = |read: Result<(Key, Option<State>), NotGot>| {
                let (key, state) = read?;
                state.map(|state| values::value_of(key, state)).transpose()
            };
            read.map(value).collect()
        }
    }

    async fn change_many(
        &self,
        wishes: Vec<Result<(Key, Operation), NotSet>>,
    ) -> Vec<Result<Changed, NotSet>> {
        let lost = |wish: &Result<(Key, Operation), NotSet>| match wish {
            Ok((key, _)) => Err(NotSet::Unknown { key: key.clone(), why: Trouble::Ended }),
            Err(why) => Err(why.clone()),
        };
        let if_ended: Vec<_> = wishes.iter().map(lost).collect();
        let changed = self.run(|router| {
            let change = move |wish: Result<(Key, Operation), NotSet>| {
                let router = router.clone();
                async move {
                    let (key, operation) = wish?;
                    values::check(&key, &operation)?;
                    Ok(router.change(&key, operation).await?)
                }
            };
            stream::iter(wishes).map(change).buffered(AT_ONCE).collect::<Vec<_>>()
        });
        changed.await.unwrap_or(if_ended)
    }

    async fn read_many(
        &self,
        keys: Vec<Result<Key, NotGot>>,
    ) -> Vec<Result<(Key, Option<State>), NotGot>> {
        let lost = |key: &Result<Key, NotGot>| match key {
            Ok(key) => Err(NotGot::NotRead { key: key.clone(), why: Trouble::Ended }),
            Err(why) => Err(why.clone()),
        };
        let if_ended: Vec<_> = keys.iter().map(lost).collect();
        let read = self.run(|router| {
            let read = move |key: Result<Key, NotGot>| {
                let router = router.clone();
                async move {
                    let key = key?;
                    let state = router.get(&key).await?;
                    Ok((key, state))
                }
            };
            stream::iter(keys).map(read).buffered(AT_ONCE).collect::<Vec<_>>()
        });
        read.await.unwrap_or(if_ended)
    }
}
