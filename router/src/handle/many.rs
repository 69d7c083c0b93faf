//! Many keys at once. They are handed over together, so those that one storage keeps travel in a few large asks; each has an
//! outcome of its own.

use super::{Ended, Ring, values};
use crate::error::{NotGot, NotSet, Trouble};
use minor_protocol::{Expect, Key, Operation, Stamp};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

impl Ring {
    /// Sets many values. The outcomes are in the order of the pairs.
    pub fn set_many<K: AsRef<str>, V: Serialize>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> impl Future<Output = Vec<Result<Stamp, NotSet>>> + Send {
        let wishes = pairs.into_iter().map(|(key, value)| {
            let key = Key::new(key.as_ref())?;
            let wish = values::written(&key, &value)?;
            let operation = Operation { expect: Expect::Anything, wish };
            values::check(&key, &operation)?;
            Ok((key, operation))
        });
        let (wishes, refused) = sorted(wishes);
        let ring = self.clone();
        async move {
            let keys: Vec<Key> = wishes.iter().map(|(key, _)| key.clone()).collect();
            let changed = ring.run(|router| async move { router.change_many(&wishes).await }).await;
            let ended = match changed {
                Ok(changed) => {
                    let stamp = |(changed, key): (Result<_, _>, _)| values::stamp(key, changed?);
                    changed.into_iter().zip(keys).map(stamp).collect()
                }
                Err(Ended) => {
                    let lost = |key| Err(NotSet::Unknown { key, why: Trouble::Ended });
                    keys.into_iter().map(lost).collect()
                }
            };
            together(ended, refused)
        }
    }

    /// Gets many values. The outcomes are in the order of the keys.
    pub fn get_many<K: AsRef<str>, V: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Vec<Result<Option<V>, NotGot>>> + Send {
        let (keys, refused) =
            sorted(keys.into_iter().map(|key| Ok::<Key, NotGot>(Key::new(key.as_ref())?)));
        let (ring, keys) = (self.clone(), Arc::new(keys));
        async move {
            let asked = Arc::clone(&keys);
            let read = ring.run(|router| async move { router.get_many(&asked).await }).await;
            let ended = match read {
                Ok(read) => {
                    let value = |(state, key): (Result<Option<_>, _>, &Key)| match state? {
                        Some(state) => values::value_of(key, state).map(Some),
                        None => Ok(None),
                    };
                    read.into_iter().zip(keys.iter()).map(value).collect()
                }
                Err(Ended) => {
                    let lost =
                        |key: &Key| Err(NotGot::NotRead { key: key.clone(), why: Trouble::Ended });
                    keys.iter().map(lost).collect()
                }
            };
            together(ended, refused)
        }
    }
}

/// Those that can be asked for, and those that cannot, each with its place among all.
fn sorted<A, E>(all: impl Iterator<Item = Result<A, E>>) -> (Vec<A>, Vec<(usize, E)>) {
    let (mut good, mut refused) = (Vec::with_capacity(all.size_hint().0), vec![]);
    for (place, one) in all.enumerate() {
        match one {
            Ok(one) => good.push(one),
            Err(why) => refused.push((place, why)),
        }
    }
    (good, refused)
}

/// All outcomes in their order.
fn together<A, E>(ended: Vec<Result<A, E>>, refused: Vec<(usize, E)>) -> Vec<Result<A, E>> {
    if refused.is_empty() {
        return ended;
    }
    let (mut ended, mut refused) = (ended.into_iter(), refused.into_iter().peekable());
    let count = ended.len() + refused.len();
    let next = |place| match refused.next_if(|(refused, _)| *refused == place) {
        Some((_, why)) => Some(Err(why)),
        None => ended.next(),
    };
    (0..count).map_while(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_keeps_its_place() {
        for all in [vec![], vec![Err('a')], vec![Ok(1), Err('a'), Err('b'), Ok(2)], vec![Ok(1)]] {
            let (good, refused) = sorted(all.clone().into_iter());
            assert_eq!(together(good.into_iter().map(Ok).collect(), refused), all);
        }
    }
}
