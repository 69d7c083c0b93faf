//! Making all copies alike: what is half done is finished, what is damaged is filled anew, what differs is levelled.

use super::{NotMoved, Progress, Synced, Taken};
use crate::{
    counters::Cause,
    plan::{First, Goal, Step},
    router::Router,
    sync::settle,
    transport::Transport,
};
use futures_util::StreamExt;
use minor_protocol::{
    Decree, Key, Reply, Request, RingArc, Span, StorageId,
    limits::LIST_ROWS,
    message::{Row, Tally},
};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// In how many parts a stretch that differs is looked at more closely.
const PARTS: usize = 8;
/// Looks at a part that differed: what is written meanwhile may differ for ever.
const LOOKS: usize = 4;

impl<T: Transport> Router<T> {
    /// Finishes or undoes what is half done, fills anew whoever cannot trust its own data, and levels every arc.
    pub async fn repair(&self, tell: &mut dyn FnMut(Progress)) -> Result<(), NotMoved> {
        let mut watched = self.watched(Cause::Repair, tell);
        let tell: &mut dyn FnMut(Progress) = &mut |progress| watched.tell(progress);
        self.heed_majorities(tell).await?;
        let begun = Instant::now();
        loop {
            self.finish(tell).await?;
            self.refill(tell).await?;
            // A walk ends when the ring closes; only who is asked last may have heard of what was decided last.
            let arcs = self.survey().await?.arcs;
            for arc in &arcs {
                self.level(arc, tell).await?;
            }
            let now = self.core.ring.borrow().tiled();
            let is_done = Goal::of(&arcs).steps(&arcs).is_empty() && now.as_ref() == Some(&arcs);
            if is_done {
                return Ok(());
            }
            if begun.elapsed().as_millis() > self.core.patience.step_ms.into() {
                let why = "somebody else changes the ring all the time".into();
                return Err(NotMoved::Stuck { arc: Box::new(arcs[0].clone()), why });
            }
        }
    }

    /// Finishes or undoes what is half done.
    pub(crate) async fn finish(&self, tell: &mut dyn FnMut(Progress)) -> Result<(), NotMoved> {
        self.look_round(tell).await?;
        self.reach(|arcs| Ok(Goal::of(arcs)), tell).await
    }

    /// Rule 25: whoever says that its data of an arc is damaged goes out of it, so that it drops what it has, and comes in
    /// again to be filled.
    pub(crate) async fn refill(&self, tell: &mut dyn FnMut(Progress)) -> Result<(), NotMoved> {
        for hop in self.survey().await?.hops {
            let Some(hello) = hop.hello else { continue };
            let storage = hello.member.storage;
            for kept in hello.kept.iter().filter(|kept| kept.damaged) {
                let arcs = self.core.ring.borrow().arcs();
                let Some(arc) = arcs.iter().find(|arc| arc.is_same_slot(&kept.arc)) else {
                    continue;
                };
                if arc.members.len() == 1 {
                    let why = format!("{} alone keeps it, and its data is damaged", hop.address);
                    return Err(NotMoved::Stuck { arc: Box::new(arc.clone()), why });
                }
                let place = Goal::of(&arcs).places.into_iter().find(|(_, m)| m.storage == storage);
                self.shrink_out(arc, storage, tell).await?;
                // Where it was the first, its place went with it.
                let back = |arcs: &[RingArc]| match &place {
                    Some((place, member)) => {
                        Goal::leaving_free(arcs, Some(*place)).with(*place, member.clone())
                    }
                    None => Ok(Goal::of(arcs)),
                };
                self.reach(back, tell).await?;
            }
        }
        Ok(())
    }

    async fn shrink_out(
        &self,
        arc: &RingArc,
        storage: StorageId,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let first = if arc.filling == Some(storage) { First::Nothing } else { First::Sync };
        let step = Step { arc: arc.clone(), first, decree: Decree::Shrink { storage } };
        tell(Progress::Step(step.clone(), 1));
        match self.take(&step, tell).await {
            Taken::Decided => Ok(()),
            Taken::NotYet(why) => Err(NotMoved::Stuck { arc: Box::new(arc.clone()), why }),
        }
    }

    /// Levels an arc that nobody is filling: renews every key its members do not show alike. What they count is compared
    /// first, so that where they are alike one request to each of them is enough. An arc that gave way to a newer one is left.
    pub async fn level(
        &self,
        arc: &RingArc,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let mut so_far: Option<Synced> = None;
        let mut waiting = vec![(arc.span, LOOKS)];
        while let Some((part, looks)) = waiting.pop() {
            let tallies = self.while_newest(arc, async || self.tallies(arc, part).await).await?;
            let Some(tallies) = tallies else { return Ok(()) };
            let most =
                tallies.iter().max_by_key(|tally| tally.records).copied().unwrap_or_default();
            let synced =
                so_far.get_or_insert_with(|| Synced::beginning(arc.span, most.records, most.bytes));
            if tallies.iter().all(|tally| *tally == most) {
                synced.keys += most.records;
            } else {
                let parts = part.in_parts(PARTS);
                if most.records > u64::from(LIST_ROWS) && parts.len() > 1 {
                    waiting.extend(parts.into_iter().map(|part| (part, looks)));
                    continue;
                }
                let level = async || self.level_part(arc, part).await;
                let levelled = self.while_newest(arc, level).await?;
                let Some((keys, renewed)) = levelled else { return Ok(()) };
                synced.copied += renewed as u64;
                if renewed > 0 && looks > 1 {
                    // A majority has what was renewed; whether all have it, the next look tells.
                    waiting.push((part, looks - 1));
                } else {
                    synced.keys += keys as u64;
                }
            }
            tell(Progress::Synced(*synced));
        }
        Ok(())
    }

    /// What each member counts in a part of its arc; a majority has to answer.
    pub(super) async fn tallies(&self, arc: &RingArc, part: Span) -> Result<Vec<Tally>, String> {
        let tally = Request::Tally { span: part, epoch: arc.epoch };
        let mut answers = self.say_all(arc.members.iter().map(|m| (m.clone(), tally.clone())));
        let (mut tallies, mut last) = (vec![], String::from("silence"));
        while let Some((from, heard)) = answers.next().await {
            self.take_in(arc, from, &heard);
            super::note(&mut last, arc, from, &heard);
            if let Ok(Ok(Reply::Tallied { tally })) = heard {
                tallies.push(tally);
            }
        }
        if tallies.len() >= arc.majority() { Ok(tallies) } else { Err(last) }
    }

    /// Renews what differs in a part of an arc. Says how many keys there were, and how many of them differed.
    async fn level_part(&self, arc: &RingArc, part: Span) -> Result<(usize, usize), String> {
        let (mut after, mut keys, mut renewed) = (None, 0, 0);
        loop {
            let listings = self.listings(arc, part, after).await?;
            let mut shown: BTreeMap<&Key, Vec<&Row>> = BTreeMap::new();
            for row in listings.iter().flat_map(|listing| &listing.rows) {
                shown.entry(&row.key).or_default().push(row);
            }
            let differs = |rows: &[&Row]| {
                rows.len() < listings.len() || rows.iter().any(|row| row.ballot != rows[0].ballot)
            };
            let uneven = shown.iter().filter(|(_, rows)| differs(rows));
            let size = |rows: &[&Row]| rows.iter().map(|row| row.bytes as usize).max().unwrap_or(0);
            let uneven: Vec<(usize, Key)> =
                uneven.map(|(key, rows)| (size(rows), (*key).clone())).collect();
            let work = settle(arc, &listings);
            (keys, renewed) = (keys + work.keys, renewed + uneven.len());
            let renew = async |key: Key, bytes| {
                self.core.pace.spend(bytes).await;
                self.renewed(&key, arc).await.map(|()| bytes)
            };
            self.one_by_one(uneven.into_iter(), renew).await?;
            match work.next {
                Some(next) => after = Some(next),
                None => return Ok((keys, renewed)),
            }
        }
    }
}
