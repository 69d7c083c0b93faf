//! Many keys at once. They are handed over together, so those that one storage keeps travel in a few large asks; each has an
//! outcome of its own.

use super::{Ended, Ring, values};
use crate::{
    error::{NotGot, NotSet, Trouble},
    object::Manifest,
};
use minor_protocol::{Expect, Key, Operation, Stamp, Wish, limits};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, sync::Arc};

impl Ring {
    /// Sets many values. The outcomes are in the order of the pairs. Values that are too long for one record are put as large
    /// objects, after all others.
    pub fn set_many<K: AsRef<str>, V: Serialize>(
        &self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> impl Future<Output = Vec<Result<Stamp, NotSet>>> + Send {
        let wishes = pairs.into_iter().map(|(key, value)| {
            let key = Key::of_user(key.as_ref())?;
            let wish = values::written(&key, &value)?;
            Ok((key, wish))
        });
        let wishes = wishes.map(|wish: Result<_, NotSet>| {
            let (key, wish) = wish?;
            match wish {
                Wish::Set { value, .. } if value.len() > limits::VALUE_BYTES => {
                    Err(Unfit::Long(key, value))
                }
                wish => Ok((key, Operation { expect: Expect::Anything, wish })),
            }
        });
        let (wishes, unfit) = sorted(wishes);
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
            let mut refused = Vec::with_capacity(unfit.len());
            for (place, unfit) in unfit {
                refused.push((
                    place,
                    match unfit {
                        Unfit::No(why) => Err(why),
                        Unfit::Long(key, value) => ring.put_long(key, value).await,
                    },
                ));
            }
            together(ended, refused)
        }
    }

    /// Gets many values, large objects among them. The outcomes are in the order of the keys.
    pub fn get_many<K: AsRef<str>, V: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Vec<Result<Option<V>, NotGot>>> + Send {
        let (keys, refused) =
            sorted(keys.into_iter().map(|key| Ok::<Key, NotGot>(Key::of_user(key.as_ref())?)));
        let (ring, keys) = (self.clone(), Arc::new(keys));
        async move {
            let asked = Arc::clone(&keys);
            let read = ring.run(|router| async move { router.get_many(&asked).await }).await;
            let ended = match read {
                Ok(read) => {
                    let mut long = BTreeMap::new();
                    for (n, state) in read.iter().enumerate() {
                        if let Ok(Some(state)) = state
                            && Manifest::of(state).is_some()
                        {
                            long.insert(n, ring.get_bytes(keys[n].as_str()).await);
                        }
                    }
                    let value = |(n, state): (usize, Result<Option<_>, _>)| {
                        let key = &keys[n];
                        match (long.remove(&n), state?) {
                            (Some(found), _) => found?
                                .map(|found| values::typed(key, found.content_type, &found.bytes))
                                .transpose(),
                            (None, Some(state)) => values::value_of(key, state).map(Some),
                            (None, None) => Ok(None),
                        }
                    };
                    read.into_iter().enumerate().map(value).collect()
                }
                Err(Ended) => {
                    let lost =
                        |key: &Key| Err(NotGot::NotRead { key: key.clone(), why: Trouble::Ended });
                    keys.iter().map(lost).collect()
                }
            };
            let refused = refused.into_iter().map(|(place, why)| (place, Err(why)));
            together(ended, refused.collect())
        }
    }
}

/// What does not travel with the others.
enum Unfit {
    /// It is set by nobody.
    No(NotSet),
    /// It goes its own way.
    Long(Key, Vec<u8>),
}

impl From<NotSet> for Unfit {
    fn from(why: NotSet) -> Self {
        Self::No(why)
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
fn together<A, E>(
    ended: Vec<Result<A, E>>,
    refused: Vec<(usize, Result<A, E>)>,
) -> Vec<Result<A, E>> {
    if refused.is_empty() {
        return ended;
    }
    let (mut ended, mut refused) = (ended.into_iter(), refused.into_iter().peekable());
    let count = ended.len() + refused.len();
    let next = |place| match refused.next_if(|(refused, _)| *refused == place) {
        Some((_, other)) => Some(other),
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
            let refused = refused.into_iter().map(|(place, why)| (place, Err(why))).collect();
            assert_eq!(together(good.into_iter().map(Ok).collect(), refused), all);
        }
    }
}
