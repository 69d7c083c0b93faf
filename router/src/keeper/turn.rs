//! Whose turn it is: one record in the ring, so that two keepers never do the same, or the contrary, at a time.
//!
//! ```text
//!   keeper 1   takes the turn ──▶ says whom it is about to evict ──▶ holds it, look by look ──▶ gives it back
//!   keeper 2                         hears that one well: objects ──▶ and nobody is evicted
//! ```
//!
//! No clock is compared with another's. A turn that was not renewed for as long as makes a silent storage dead, by the
//! clock of whoever waits for it, may be taken. It is a courtesy, not a lock: the ring is safe with any number of routers
//! that change it at once; and whoever cannot write the record, since too few of its storages answer, has no turn at all.

use crate::{register::Changed, router::Router, transport::Transport};
use minor_protocol::{Expect, Key, Operation, Stamp, StorageId, Wish};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Says {
    /// Who has the turn; nobody if it is 0.
    pub(super) keeper: u64,
    /// What for, for people.
    pub(super) doing: String,
    /// Who is called dead.
    pub(super) dead: Vec<StorageId>,
    /// Those of them that another keeper hears.
    pub(super) heard: Vec<StorageId>,
}

/// How it went to take, or keep, the turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is ours.
    Ours,
    /// It is another's.
    Others,
    /// It is ours, and another keeper hears some of those that we call dead.
    Objected(Vec<StorageId>),
    /// The record cannot be read or written.
    Nobodys,
}

/// A keeper's view of the turn.
pub(super) struct Turn {
    name: u64,
    /// The stamp of our own last word; none while it is not our turn.
    ours: Option<Stamp>,
    /// Another's last word, and when we first saw it.
    others: Option<(Stamp, u64)>,
    /// Whom we accuse, and since when others can read it.
    accused: BTreeMap<StorageId, u64>,
}

impl Turn {
    /// For the keeper of this name.
    pub(super) fn new(name: u64) -> Self {
        Self { name: name.max(1), ours: None, others: None, accused: BTreeMap::new() }
    }

    /// For how long everybody could read that we accuse this one.
    pub(super) fn accused_ms(&self, storage: StorageId, now_ms: u64) -> u64 {
        self.accused.get(&storage).map_or(0, |since_ms| now_ms.saturating_sub(*since_ms))
    }

    /// Nobody knows whether our last word was kept: what it said of the accused does not count.
    pub(super) fn is_not_read(&mut self) {
        self.accused.clear();
    }

    /// Whether we have it, as far as we know.
    pub(super) fn is_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// Takes the turn, or renews it, and says what for.
    pub(super) async fn take<T: Transport>(
        &mut self,
        router: &Router<T>,
        (doing, dead): (&str, &[StorageId]),
        now_ms: u64,
        patience_ms: u64,
    ) -> Taken {
        let taken = self.try_to_take(router, (doing, dead), now_ms, patience_ms).await;
        match taken {
            Taken::Ours => {
                self.accused.retain(|storage, _| dead.contains(storage));
                dead.iter().for_each(|storage| {
                    self.accused.entry(*storage).or_insert(now_ms);
                });
            }
            _ => self.accused.clear(),
        }
        taken
    }

    async fn try_to_take<T: Transport>(
        &mut self,
        router: &Router<T>,
        (doing, dead): (&str, &[StorageId]),
        now_ms: u64,
        patience_ms: u64,
    ) -> Taken {
        let (expect, heard) = match router.get(&record()).await {
            Err(_) => return Taken::Nobodys,
            Ok(None) => (Expect::Absent, vec![]),
            Ok(Some(state)) => {
                let Some(stamp) = state.header.stamp() else { return Taken::Nobodys };
                let says = read(&state.value);
                if ![0, self.name].contains(&says.keeper)
                    && !self.has_waited(stamp, now_ms, patience_ms)
                {
                    self.ours = None;
                    return Taken::Others;
                }
                let ours = if says.keeper == self.name { says.heard } else { vec![] };
                (Expect::Stamp(stamp), ours)
            }
        };
        let heard: Vec<StorageId> = heard.into_iter().filter(|id| dead.contains(id)).collect();
        let (doing, dead) = (doing.to_owned(), dead.to_vec());
        let says = Says { keeper: self.name, doing, dead, heard: heard.clone() };
        match say(router, expect, &says).await {
            Ok(Some(stamp)) => {
                self.ours = Some(stamp);
                if heard.is_empty() { Taken::Ours } else { Taken::Objected(heard) }
            }
            // Somebody else was faster: the next look tells who.
            Ok(None) => {
                self.ours = None;
                Taken::Others
            }
            Err(_) => Taken::Nobodys,
        }
    }

    /// Lets others have it. What cannot be said now is found out by them, later.
    pub(super) async fn give_back<T: Transport>(&mut self, router: &Router<T>) {
        self.accused.clear();
        if let Some(stamp) = self.ours.take() {
            let _ = say(router, Expect::Stamp(stamp), &Says::default()).await;
        }
    }

    /// Objects if another keeper calls somebody dead whom we hear. Says whom.
    pub(super) async fn object<T: Transport>(
        &self,
        router: &Router<T>,
        hears: impl Fn(StorageId) -> bool,
    ) -> Vec<StorageId> {
        if self.is_ours() {
            return vec![];
        }
        let Ok(Some(state)) = router.get(&record()).await else { return vec![] };
        let (mut says, Some(stamp)) = (read(&state.value), state.header.stamp()) else {
            return vec![];
        };
        let wrong: Vec<StorageId> =
            says.dead.iter().copied().filter(|id| hears(*id) && !says.heard.contains(id)).collect();
        if says.keeper == self.name || wrong.is_empty() {
            return vec![];
        }
        says.heard.extend(&wrong);
        match say(router, Expect::Stamp(stamp), &says).await {
            Ok(Some(_)) => wrong,
            _ => vec![],
        }
    }

    /// Whether another's turn was seen unchanged for so long that he counts as gone.
    fn has_waited(&mut self, stamp: Stamp, now_ms: u64, patience_ms: u64) -> bool {
        match self.others {
            Some((seen, since_ms)) if seen == stamp => {
                now_ms.saturating_sub(since_ms) >= patience_ms
            }
            _ => {
                self.others = Some((stamp, now_ms));
                false
            }
        }
    }
}

/// Where it stands: a name that no user's key has.
fn record() -> Key {
    Key::new(format!("{}keeper", Key::RESERVED)).expect("it is short")
}

/// What cannot be read, because a later version wrote it, is nobody's.
fn read(value: &[u8]) -> Says {
    serde_json::from_slice(value).unwrap_or_default()
}

/// Changes the record if it is as expected; the new stamp, or none if it was not.
async fn say<T: Transport>(
    router: &Router<T>,
    expect: Expect,
    says: &Says,
) -> Result<Option<Stamp>, String> {
    let value = serde_json::to_vec(says).expect("plain text can be written");
    let content_type = "application/json".into();
    let wish = Wish::Set { content_type, expires_ms: None, value };
    match router.change(&record(), Operation { expect, wish }).await {
        Ok(Changed::Done(done)) => Ok(Some(done.stamp)),
        Ok(_) => Ok(None),
        Err(why) => Err(why.to_string()),
    }
}
