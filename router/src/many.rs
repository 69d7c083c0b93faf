//! Many keys at once: what keys with one copy need is asked in one go, without an operation of its own for each.
//!
//! One message and one plain answer are all that such a key takes, so they are only counted here. Whatever else happens to a
//! key, a refusal, silence, several copies, it goes the long way of [`crate::register`], with all that is known of it.

use crate::{
    before::Before,
    change::Change,
    error::{NotChanged, NotRead},
    object::Manifest,
    register::{Changed, Ended, changed},
    router::Router,
    transport::{Inbox, Transport, lines::Heard},
    tries::is_untouched,
};
use futures_util::{StreamExt, stream};
use minor_protocol::{
    Ballot, Key, Operation, Reply, Request, RingArc, State, Wish,
    message::{Show, ShownContent},
};
use std::collections::BTreeMap;
use tokio::time::{Duration, Instant, timeout_at};

/// Operations under way at a time: two full asks to each of two storages.
const AT_ONCE: usize = 4_000;
/// Bytes of values under way at a time.
const BYTES: usize = 16 << 20;

impl<T: Transport> Router<T> {
    /// The states of these keys, each read linearizably. The outcomes are in the order of the keys.
    pub async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<State>, NotRead>> {
        let mut ended = Vec::with_capacity(keys.len());
        for some in keys.chunks(AT_ONCE) {
            ended.extend(self.get_some(some).await);
        }
        ended
    }

    async fn get_some(&self, keys: &[Key]) -> Vec<Result<Option<State>, NotRead>> {
        let (mut inbox, begun) = (Inbox::default(), Instant::now());
        for (n, key) in keys.iter().enumerate() {
            if let Some(arc) = self.arc_of_one(key) {
                let (epoch, show) = (arc.epoch, Show::Whole);
                let read = Request::Read { key: key.clone(), epoch, show };
                self.core.lines.say_into(&inbox, n, arc.first(), read);
            }
        }
        let mut ended: Vec<Option<_>> = keys.iter().map(|_| None).collect();
        while let Some((n, heard)) = self.in_time(&mut inbox, begun).await {
            ended[n] =
                read(heard).map(|state| Ok(state.filter(|s| s.header.is_alive(self.now_ms()))));
        }
        let rest = keys.iter().enumerate().filter(|(n, _)| ended[*n].is_none());
        let rest: Vec<(usize, &Key)> = rest.collect();
        let get = |(n, key)| async move { (n, self.get(key).await) };
        let mut rest = stream::iter(rest.into_iter().map(get)).buffer_unordered(AT_ONCE);
        while let Some((n, state)) = rest.next().await {
            ended[n] = Some(state);
        }
        ended.into_iter().map(|ended| ended.expect("every key went one way or the other")).collect()
    }

    /// Changes these keys. The outcomes are in their order.
    pub async fn change_many(
        &self,
        wishes: &[(Key, Operation)],
    ) -> Vec<Result<Changed, NotChanged>> {
        let mut ended = Vec::with_capacity(wishes.len());
        let mut rest = wishes;
        while !rest.is_empty() {
            let (some, others) = rest.split_at(at_once(rest));
            ended.extend(self.change_some(some).await);
            rest = others;
        }
        ended
    }

    async fn change_some(&self, wishes: &[(Key, Operation)]) -> Vec<Result<Changed, NotChanged>> {
        let (mut inbox, begun) = (Inbox::default(), Instant::now());
        let mut sent: BTreeMap<usize, Ballot> = BTreeMap::new();
        for (n, (key, operation)) in wishes.iter().enumerate() {
            if let Some(arc) = self.arc_of_one(key) {
                let (ballot, now_ms, operation) =
                    (self.ballot(arc.epoch), self.now_ms(), operation.clone());
                let change =
                    Request::Change { key: key.clone(), ballot, id: ballot, now_ms, operation };
                sent.insert(n, ballot);
                self.core.lines.say_into(&inbox, n, arc.first(), change);
            }
        }
        let mut ended: Vec<Option<_>> = wishes.iter().map(|_| None).collect();
        let mut gone: Vec<(&Key, Manifest)> = vec![];
        // What was not told done may be done all the same: it goes on under its id.
        while let Some((n, heard)) = self.in_time(&mut inbox, begun).await {
            match heard {
                Ok(Ok(Reply::Changed { outcome, shown, before, object })) => {
                    let ((key, operation), id) = (&wishes[n], sent.get(&n).copied());
                    let before = Before::told(before, object, id, operation).sent_once();
                    let seen = Ended::from_shown(outcome, shown);
                    let changed = changed(key, id, seen, before, self.now_ms());
                    ended[n] = Some(changed.map(|(changed, object)| {
                        gone.extend(object.map(|object| (key, object)));
                        changed
                    }));
                }
                refused if is_untouched(&refused) => drop(sent.remove(&n)),
                _ => {}
            }
        }
        let rest = wishes.iter().enumerate().filter(|(n, _)| ended[*n].is_none());
        let rest: Vec<(usize, &(Key, Operation))> = rest.collect();
        let change = |(n, (key, operation)): (usize, &(Key, Operation))| {
            let (key, operation) = (key.clone(), operation.clone());
            let first = sent.get(&n).map(|id| Change {
                operation: operation.clone(),
                id: *id,
                may_be_applied: true,
            });
            async move { (n, self.change_on(&key, operation, first).await) }
        };
        let mut rest = stream::iter(rest.into_iter().map(change)).buffer_unordered(AT_ONCE);
        while let Some((n, changed)) = rest.next().await {
            ended[n] = Some(changed);
        }
        for (key, object) in gone {
            self.remove_pieces(key, &object).await;
        }
        ended.into_iter().map(|ended| ended.expect("every key went one way or the other")).collect()
    }

    /// The next answer, unless nobody waits for it any more. What was not answered is asked again, one by one.
    async fn in_time(&self, inbox: &mut Inbox, begun: Instant) -> Option<(usize, Heard)> {
        let patience = Duration::from_millis(self.core.patience.operation_ms);
        timeout_at(begun + patience, inbox.next()).await.unwrap_or(None)
    }

    /// The arc of a key, if it is known and one storage alone keeps it.
    fn arc_of_one(&self, key: &Key) -> Option<std::sync::Arc<RingArc>> {
        self.arc_in_memory(key).filter(|arc| arc.members.len() == 1)
    }
}

/// How many of these go together: at least one.
fn at_once(wishes: &[(Key, Operation)]) -> usize {
    let mut bytes = 0;
    let fits = |(_, operation): &&(Key, Operation)| {
        if let Wish::Set { value, .. } = &operation.wish {
            bytes += value.len();
        }
        bytes <= BYTES
    };
    wishes.iter().take(AT_ONCE).take_while(fits).count().max(1)
}

/// The state an only member shows, if it does.
fn read(heard: Heard) -> Option<Option<State>> {
    match heard {
        Ok(Ok(Reply::Found { shown: None })) => Some(None),
        Ok(Ok(Reply::Found { shown: Some(shown) })) => match shown.content {
            ShownContent::Whole(state) => Some(Some(state)),
            ShownContent::Header(..) => None,
        },
        _ => None,
    }
}
