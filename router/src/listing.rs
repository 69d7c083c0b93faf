//! The keys of the whole ring, page by page from its first place to its last.
//!
//! Each page is asked of all members of one arc, and a majority is enough: whatever was ever settled there, at least one of
//! them shows. Where those that answered agree, they are believed; a key they show differently is read like any other. So a
//! key that stays is never missed, one that is gone is not shown, and while the ring changes nothing worse happens than that
//! a page is asked again.

use crate::{
    error::NotGot,
    router::Router,
    sync::{Listing, horizon},
    transport::Transport,
    tries::{Again, Count, Tries},
};
use futures_util::{StreamExt, stream};
use minor_protocol::{
    Key, Position, Reply, Request, RingArc, Span, limits::LIST_ROWS, message::Row, mutant,
};
use std::collections::BTreeMap;

/// Keys that are looked at more closely at the same time.
const AT_ONCE: usize = 256;

/// How far a listing has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The first place that was not listed yet.
    place: Position,
    /// The last key that was, if it lies there.
    after: Option<Key>,
    is_over: bool,
}

impl Cursor {
    /// Behind this key.
    pub fn after(key: Key) -> Self {
        Self { place: key.position(), after: Some(key), is_over: false }
    }
}

/// What one page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Page {
    /// Keys that have a value.
    alive: Vec<Key>,
    /// Keys that may have one.
    unclear: Vec<Key>,
    /// Where the next page of the same span begins; none when this was the last.
    next: Option<Key>,
}

/// Decides one page from what at least a majority of the arc's members list.
fn decide(span: Span, majority: usize, listings: &[Listing], now_ms: u64) -> Page {
    let next = horizon(span, listings).cloned();
    let rank = |key: &Key| key.position().after(span.first());
    let within = |key: &Key| next.as_ref().is_none_or(|end| (rank(key), key) <= (rank(end), end));
    let mut keys: BTreeMap<(u64, &Key), Vec<&Row>> = BTreeMap::new();
    for row in listings.iter().flat_map(|l| &l.rows).filter(|row| within(&row.key)) {
        keys.entry((rank(&row.key), &row.key)).or_default().push(row);
    }
    let (mut alive, mut unclear) = (vec![], vec![]);
    for ((_, key), rows) in keys {
        let newest = rows.iter().map(|row| row.ballot).max();
        let settled = rows.iter().filter(|row| Some(row.ballot) == newest).count() >= majority;
        if !settled {
            unclear.push(key.clone());
        } else if rows[0].dead_from_ms.is_none_or(|end| now_ms < end) {
            alive.push(key.clone());
        }
    }
    Page { alive, unclear, next }
}

impl<T: Transport> Router<T> {
    /// The keys of the next page, in the order of their places; none when the ring's end is reached.
    pub async fn list(&self, cursor: &mut Cursor) -> Result<Option<Vec<Key>>, NotGot> {
        if cursor.is_over {
            return Ok(None);
        }
        let mut tries = Tries::new(self.core.patience.operation_ms);
        let top = Position(u64::MAX);
        let rest = Span::new(Position(cursor.place.0.wrapping_sub(1)), top);
        let no = |why| NotGot::NotListed { span: rest, why };
        loop {
            let arc = self.arc_around(cursor.place, &mut tries).await.map_err(no)?;
            // As far as the arc goes, but not over the top.
            let end = if arc.span.to >= cursor.place { arc.span.to } else { top };
            let span = Span::new(rest.from, end);
            let page = match self.page(&arc, span, cursor.after.clone(), &tries).await {
                Ok(page) => page,
                Err(again) => {
                    self.or_give_up(again, &mut tries).await.map_err(no)?;
                    continue;
                }
            };
            let keys = self.with_those_alive(page.alive, page.unclear).await?;
            cursor.is_over = page.next.is_none() && end == top;
            match &page.next {
                Some(key) => cursor.place = key.position(),
                None => cursor.place = Position(end.0.wrapping_add(1)),
            }
            cursor.after = page.next;
            return Ok(Some(keys));
        }
    }

    async fn page(
        &self,
        arc: &RingArc,
        span: Span,
        after: Option<Key>,
        tries: &Tries,
    ) -> Result<Page, Again> {
        let list = |member: &minor_protocol::Member| {
            let after = after.clone();
            (member.clone(), Request::List { span, epoch: arc.epoch, after, limit: LIST_ROWS })
        };
        let mut answers = self.say_all(arc.members.iter().map(list));
        let (mut listings, mut count) = (vec![], Count::of(arc));
        let majority = if mutant::is("M22") { 1 } else { arc.majority() };
        while let Some((from, heard)) = answers.next().await {
            count.hear(self, from, &heard);
            if let Ok(Ok(Reply::Listed { rows, more, swept })) = heard {
                listings.push(Listing { from, rows, more, swept });
            }
            if listings.len() >= majority {
                return Ok(decide(span, majority, &listings, self.now_ms()));
            }
        }
        Err(count.again(tries))
    }

    async fn with_those_alive(
        &self,
        mut keys: Vec<Key>,
        unclear: Vec<Key>,
    ) -> Result<Vec<Key>, NotGot> {
        let read = |key: Key| async move { (self.get(&key).await, key) };
        let mut read = stream::iter(unclear.into_iter().map(read)).buffer_unordered(AT_ONCE);
        while let Some((state, key)) = read.next().await {
            if state?.is_some() {
                keys.push(key);
            }
        }
        keys.sort_by_cached_key(|key| (key.position(), key.clone()));
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Ballot, Moment, StorageId};

    fn listing(from: u128, rows: &[(&str, u64, Option<u64>)], more: bool) -> Listing {
        let row = |(name, clock, dead_from_ms): &(&str, u64, Option<u64>)| Row {
            key: Key::new(*name).unwrap(),
            ballot: Ballot { epoch: 1, clock: Moment(*clock), router: 1, seq: 0 },
            dead_from_ms: *dead_from_ms,
            bytes: 1,
        };
        let mut rows: Vec<Row> = rows.iter().map(row).collect();
        rows.sort_by_key(|r| r.key.position());
        Listing { from: StorageId(from), rows, more, swept: Ballot::ZERO }
    }

    fn names(keys: &[Key]) -> Vec<&str> {
        keys.iter().map(Key::as_str).collect()
    }

    #[test]
    fn what_a_majority_agrees_on_is_believed() {
        let rows = [("here", 5, None), ("gone", 6, Some(0)), ("brief", 7, Some(100))];
        let both = [listing(1, &rows, false), listing(2, &rows, false)];
        let page = decide(Span::WHOLE, 2, &both, 50);
        assert_eq!((page.alive.len(), page.unclear.len(), page.next), (2, 0, None));
        let page = decide(Span::WHOLE, 2, &both, 100);
        assert_eq!(names(&page.alive), ["here"]);
    }

    #[test]
    fn what_is_shown_differently_is_looked_at() {
        let one = listing(1, &[("a", 5, None), ("b", 6, None)], false);
        let two = listing(2, &[("a", 6, Some(0))], false);
        let page = decide(Span::WHOLE, 2, &[one, two], 0);
        assert_eq!((page.alive.len(), page.unclear.len()), (0, 2));
    }

    #[test]
    fn nothing_is_decided_behind_the_shortest_page() {
        let all: Vec<String> = (0..20).map(|n| format!("key {n}")).collect();
        let rows: Vec<(&str, u64, Option<u64>)> =
            all.iter().map(|name| (name.as_str(), 1, None)).collect();
        let long = listing(1, &rows, false);
        let mut short = long.clone();
        short.rows.truncate(7);
        short.more = true;
        let page = decide(Span::WHOLE, 2, &[long.clone(), short], 0);
        assert_eq!(page.alive.len(), 7);
        assert_eq!(page.next.as_ref(), long.rows.get(6).map(|row| &row.key));
    }
}
