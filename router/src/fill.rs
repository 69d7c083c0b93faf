//! Moving data: fills a newcomer, levels what differs, sweeps what is dead. What is to be done for a page of keys is decided
//! by [`crate::sync`]; here it is done, many keys at once.
//!
//! ```text
//!   an arc     |------lane------|------lane------|------lane------|------lane------|     each goes its own way
//!   one page   list of all members, from one of them the records too ─▶ settle ─▶ fill the newcomer ─▶ the next page
//! ```
//!
//! What is under way at a time is a page for every lane, and of what goes one by one no more than there is room for, so memory
//! is bounded however large the arc is.

use crate::{
    moves::{NotMoved, Progress, Synced, note},
    router::{Enough, Router},
    sync::{Chore, Listing, dead_everywhere, enough, settle},
    transport::Transport,
    tries::Again,
};
use futures_util::{StreamExt, future::try_join_all, stream};
use minor_protocol::{
    Ballot, Key, Member, Reply, Request, RingArc, Span,
    limits::LIST_ROWS,
    message::{Held, Row},
    mutant,
    record::Record,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

/// Keys that are renewed, or copied one by one, at the same time.
const AT_ONCE: usize = 256;
/// Pages of one arc that are under way at the same time.
const LANES: usize = 4;
/// About how many bytes a row of a listing is, beside its key.
const ROW_BYTES: usize = 48;

/// Who listens to how far it has come, shared by the lanes.
struct Told<'a> {
    so_far: Cell<Synced>,
    tell: RefCell<&'a mut dyn FnMut(Progress)>,
}

impl Told<'_> {
    fn add(&self, keys: usize, copied: usize, bytes: usize) {
        let before = self.so_far.get();
        let now = Synced {
            keys: before.keys + keys as u64,
            copied: before.copied + copied as u64,
            bytes: before.bytes + bytes as u64,
            ..before
        };
        self.so_far.set(now);
        (self.tell.borrow_mut())(Progress::Synced(now));
    }
}

/// One page of what the members hold.
struct Page {
    listings: Vec<Listing>,
    /// The records one of them gave along.
    records: BTreeMap<Key, Record>,
}

impl<T: Transport> Router<T> {
    /// Rule 17: makes sure that whatever a majority of the full members settled on is held by the filling one too, and that
    /// nothing is unsettled. All of it in the arc's present epoch.
    pub(crate) async fn sync(
        &self,
        arc: &RingArc,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), String> {
        let there = self.weigh(arc, arc.span).await?;
        let so_far = Cell::new(Synced::beginning(arc.span, there.records, there.bytes));
        let told = Told { so_far, tell: RefCell::new(tell) };
        let lanes = arc.span.in_parts(LANES);
        let lanes = lanes.into_iter().map(|lane| self.sync_lane(arc, lane, &told));
        let swept = try_join_all(lanes).await?.into_iter().max().unwrap_or(Ballot::ZERO);
        self.pass_on(arc, swept).await
    }

    /// Goes through one lane, and says up to which ballot its members dropped dead records.
    async fn sync_lane(
        &self,
        arc: &RingArc,
        lane: Span,
        told: &Told<'_>,
    ) -> Result<Ballot, String> {
        let (mut after, mut limit, mut swept) = (None, LIST_ROWS, Ballot::ZERO);
        loop {
            let Page { listings, mut records } = self.sync_page(arc, lane, after, limit).await?;
            swept = listings.iter().map(|l| l.swept).fold(swept, Ballot::max);
            let work = settle(arc, &listings);
            let (mut held, mut single, mut copies) = (vec![], vec![], 0);
            for chore in work.chores {
                copies += usize::from(matches!(chore, Chore::Copy { .. }));
                match chore {
                    Chore::Copy { key, ballot, from } => match records.remove(&key) {
                        Some(record) if record.ballot == ballot => held.push(Held { key, record }),
                        _ => single.push(Chore::Copy { key, ballot, from }),
                    },
                    renew => single.push(renew),
                }
            }
            let mut bytes = self.fill(arc, held).await?;
            if !single.is_empty() {
                let weights = weights(&listings);
                let single = single.into_iter().map(|chore| (weights[chore.key()], chore));
                let settle_one = async |chore, _| self.settle_one(arc, chore).await;
                bytes += self.one_by_one(single, settle_one).await?;
            }
            told.add(work.keys, copies, bytes);
            // Where values are long a page of records is short, and to list far beyond it would be in vain.
            limit = (2 * work.keys as u32).clamp(64, LIST_ROWS);
            match work.next {
                Some(next) => after = Some(next),
                None => return Ok(swept),
            }
        }
    }

    /// Does something for each of many keys, of whose values it is known how many bytes they have: many at a time, as long as
    /// they have room. Says how many bytes that came to.
    pub(crate) async fn one_by_one<C>(
        &self,
        chores: impl Iterator<Item = (usize, C)>,
        act: impl AsyncFn(C, usize) -> Result<usize, String>,
    ) -> Result<usize, String> {
        let one = async |(bytes, chore)| {
            let _room = self.core.pace.room(bytes).await;
            act(chore, bytes).await
        };
        let (mut done, mut bytes) = (stream::iter(chores.map(&one)).buffer_unordered(AT_ONCE), 0);
        while let Some(end) = done.next().await {
            bytes += end?;
        }
        Ok(bytes)
    }

    /// Whoever is filled is told how far the others have dropped dead records: a key it has no record of may be one of them.
    async fn pass_on(&self, arc: &RingArc, swept: Ballot) -> Result<(), String> {
        let filling = arc.filling.and_then(|f| arc.member(f));
        let Some(filling) = filling.filter(|_| !mutant::is("M21")) else { return Ok(()) };
        let inherit = Request::Inherit { span: arc.span, epoch: arc.epoch, swept };
        match self.say(filling, inherit).await {
            Ok(Ok(Reply::Copied)) => Ok(()),
            other => Err(format!("{} did not hear what was dropped: {other:?}", filling.address)),
        }
    }

    /// Gives the newcomer these records, and says how many bytes that was.
    async fn fill(&self, arc: &RingArc, held: Vec<Held>) -> Result<usize, String> {
        let Some(filling) = arc.filling.and_then(|f| arc.member(f)) else { return Ok(0) };
        if held.is_empty() {
            return Ok(0);
        }
        let bytes = held.iter().map(Held::bytes).sum();
        self.core.pace.spend(bytes).await;
        match self.say(filling, Request::Fill { epoch: arc.epoch, records: held }).await {
            Ok(Ok(Reply::Filled)) => Ok(bytes),
            other => Err(format!("{} did not take what it lacks: {other:?}", filling.address)),
        }
    }

    async fn settle_one(&self, arc: &RingArc, chore: Chore) -> Result<usize, String> {
        let (key, ballot, from) = match chore {
            Chore::Renew { key } => return self.renewed(&key, arc).await.map(|()| 0),
            Chore::Copy { key, ballot, from } => (key, ballot, from),
        };
        let Ok(state) = self.fetch(&key, arc, ballot, &from).await else {
            // It was changed since it was listed: then only identity can tell.
            return self.renewed(&key, arc).await.map(|()| 0);
        };
        self.fill(arc, vec![Held { key, record: Record { ballot, state } }]).await
    }

    pub(crate) async fn renewed(&self, key: &Key, arc: &RingArc) -> Result<(), String> {
        self.renew(key, arc).await.map_err(|again| match again {
            Again::Wiser => "the arc has changed meanwhile".into(),
            Again::Later(trouble) => trouble.to_string(),
        })
    }

    /// One page of the listings of a majority of the full members, and of the filling one; where somebody is being filled,
    /// one of the others gives its records along.
    async fn sync_page(
        &self,
        arc: &RingArc,
        lane: Span,
        after: Option<Key>,
        limit: u32,
    ) -> Result<Page, String> {
        let epoch = arc.epoch;
        let full: Vec<&Member> = arc.full().collect();
        let quick: Vec<&Member> =
            full.iter().copied().filter(|member| !self.is_silent(&member.address)).collect();
        let givers = if quick.is_empty() { &full } else { &quick };
        let giver = givers[self.turn(givers.len())].storage;
        let ask = |m: &Member| {
            let after = after.clone();
            let request = if arc.filling.is_some() && m.storage == giver {
                Request::Records { span: lane, epoch, after }
            } else {
                Request::List { span: lane, epoch, after, limit }
            };
            (m.clone(), request)
        };
        let mut answers = self.say_all(arc.members.iter().map(ask));
        let (mut listings, mut records): (Vec<Listing>, _) = (vec![], BTreeMap::new());
        let mut last = String::from("silence");
        loop {
            let heard = |m: &&Member| listings.iter().any(|l| l.from == m.storage);
            let missing: Vec<Member> = arc.members.iter().filter(|m| !heard(m)).cloned().collect();
            // While a newcomer waits, those who are not needed are not waited for as long as one who is dead would take.
            let may_be_late = arc.filling.is_some() && is_enough(arc, &listings);
            let heard_of = if may_be_late { Enough::Already } else { Enough::NotYet };
            let next = self.next_in_time(&mut answers, heard_of, missing.iter()).await;
            let Some((from, heard)) = next else { break };
            self.take_in(arc, from, &heard);
            note(&mut last, arc, from, &heard);
            match heard {
                Ok(Ok(Reply::Listed { rows, more, swept })) => {
                    listings.push(Listing { from, rows, more, swept });
                }
                Ok(Ok(Reply::Records { records: held, more, swept })) => {
                    let rows = held.iter().map(row_of).collect();
                    listings.push(Listing { from, rows, more, swept });
                    records.extend(held.into_iter().map(|held| (held.key, held.record)));
                }
                _ => {}
            }
        }
        let heard = listings.iter().filter(|l| Some(l.from) != arc.filling).count();
        if is_enough(arc, &listings) {
            if arc.filling.is_none() {
                // Nothing is moved, but to look through everything takes its share too.
                let rows = listings.iter().flat_map(|listing| &listing.rows);
                self.core
                    .pace
                    .spend(rows.map(|row| ROW_BYTES + row.key.as_str().len()).sum())
                    .await;
            }
            // All in one order, whoever answered first.
            listings.sort_by_key(|l| l.from);
            Ok(Page { listings, records })
        } else {
            Err(format!("{heard} of {} full members listed {lane}; last: {last}", full.len()))
        }
    }

    pub(crate) async fn listings(
        &self,
        arc: &RingArc,
        part: Span,
        after: Option<Key>,
    ) -> Result<Vec<Listing>, String> {
        Ok(self.sync_page(arc, part, after, LIST_ROWS).await?.listings)
    }

    /// Rules 19 and 21: drops what every member of the arc shows dead at one same ballot. Says how many records went.
    pub async fn sweep(&self, arc: &RingArc) -> Result<usize, NotMoved> {
        if arc.filling.is_some() {
            return Ok(0);
        }
        let stuck = |why| NotMoved::Stuck { arc: Box::new(arc.clone()), why };
        let now_ms = self.now_ms();
        let (mut after, mut swept) = (None, 0);
        loop {
            let listings = self.listings(arc, arc.span, after).await.map_err(stuck)?;
            let Some(dead) = dead_everywhere(arc, &listings, now_ms) else { return Ok(swept) };
            let next = settle(arc, &listings).next;
            if !dead.is_empty() {
                let drop_all = |m: &Member| {
                    (m.clone(), Request::Drop { epoch: arc.epoch, dead: dead.clone() })
                };
                let mut answers = self.say_all(arc.members.iter().map(drop_all));
                while let Some((from, heard)) = answers.next().await {
                    self.take_in(arc, from, &heard);
                }
                swept += dead.len();
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(swept),
            }
        }
    }
}

/// Whether a majority of the full members has listed, and whoever is being filled.
fn is_enough(arc: &RingArc, listings: &[Listing]) -> bool {
    let heard = listings.iter().filter(|l| Some(l.from) != arc.filling).count();
    let filling_heard = arc.filling.is_none_or(|f| listings.iter().any(|l| l.from == f));
    heard >= enough(arc.full().count()) && filling_heard
}

/// How many bytes the value of each key has, where it has most.
fn weights(listings: &[Listing]) -> BTreeMap<&Key, usize> {
    let mut weights = BTreeMap::new();
    for row in listings.iter().flat_map(|listing| &listing.rows) {
        let weight: &mut usize = weights.entry(&row.key).or_default();
        *weight = (*weight).max(row.bytes as usize);
    }
    weights
}

/// A record as a listing shows it.
fn row_of(held: &Held) -> Row {
    let Held { key, record } = held;
    let content = record.state.header.content.as_ref();
    let dead_from_ms = content.map_or(Some(0), |content| content.expires_ms);
    let bytes = record.state.value.len() as u32;
    Row { key: key.clone(), ballot: record.ballot, dead_from_ms, bytes }
}
