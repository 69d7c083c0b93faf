//! A storage of the model: the real acceptors over one key's record.
//!
//! What decides is [`Chart`] and [`Standing`], the very values a storage is made of. What is written here is what a storage
//! does around them with a disk and a lock: it finds what stands at the key, asks the acceptor, and keeps what it says. Every
//! answer is one durable step, and a crash loses the promises, for which the ceiling then stands.

use super::{key, place};
use minor_protocol::{
    Answer, Ballot, Moment, Record, Refusal, Reply, Request, RingArc, State, StorageId,
    message::{Dead, Hello, Kept, Proposed, Row, Shown, ShownContent},
    mutant,
    record::Header,
};
use minor_storage::acceptors::{
    chart::Chart,
    register::{Standing, Vote},
};
use std::sync::Arc;

/// One storage, as it is at one moment.
#[derive(Clone, Debug, Hash)]
pub struct Keeper {
    /// Which arcs it keeps.
    pub chart: Arc<Chart>,
    /// What it keeps under the key.
    pub record: Option<Arc<Record>>,
    /// What it promised for the key, and would forget.
    promised: Ballot,
    /// The ceiling found when it last started.
    past: Moment,
    /// The highest moment it voted at: its ceiling is as low as that, the least that is allowed.
    voted: Moment,
    /// The newest epoch it ever adopted at the key's place.
    adopted: u64,
    /// The invariant it broke.
    pub broken: Option<&'static str>,
}

impl Keeper {
    /// A storage with this chart and this record.
    pub fn new(chart: Chart, record: Option<Record>) -> Self {
        let adopted = newest_epoch(&chart);
        Self {
            chart: Arc::new(chart),
            record: record.map(Arc::new),
            promised: Ballot::ZERO,
            past: Moment(0),
            voted: Moment(0),
            adopted,
            broken: None,
        }
    }

    /// Who it is.
    pub fn me(&self) -> StorageId {
        self.chart.me()
    }

    /// Whether it ever crashed and came back.
    pub fn has_restarted(&self) -> bool {
        self.past > Moment(0)
    }

    /// The arc it keeps the key in.
    pub fn arc(&self) -> Option<&RingArc> {
        self.chart.seat_of(place()).map(|seat| &self.chart.seats()[seat].arc)
    }

    /// Loses what is only in memory and starts again. Where nobody crashes any more, nothing is noted for it.
    pub fn crash(&mut self) {
        self.past = if mutant::is("M4") { Moment(0) } else { self.past.max(self.voted) };
        self.promised = Ballot::ZERO;
    }

    /// Forgets what only a crash would need.
    pub fn crashes_no_more(&mut self) {
        self.voted = Moment(0);
    }

    /// Answers, as one durable step.
    pub fn answer(&mut self, request: &Request, may_crash: bool) -> Answer {
        match request {
            Request::Prepare { ballot, .. } => {
                let seat = self.chart.admits(place(), ballot.epoch)?;
                self.standing(seat).prepare(*ballot)?;
                self.promised = *ballot;
                self.vote_at(*ballot, may_crash);
                Ok(Reply::Promised { shown: self.shown(), swept: self.chart.seats()[seat].swept })
            }
            Request::Accept { ballot, state: Proposed::State(state), .. } => {
                let any_epoch = mutant::is("M6");
                let own = any_epoch.then(|| self.chart.epoch_of(place())).flatten();
                let seat = self.chart.admits(place(), ballot.epoch.max(own.unwrap_or(0)))?;
                if self.standing(seat).accept(*ballot)? == Vote::Keep {
                    self.vote_at(*ballot, may_crash);
                    self.keep(*ballot, state);
                }
                Ok(Reply::Accepted)
            }
            Request::Read { epoch, .. } => {
                self.chart.admits(place(), *epoch)?;
                Ok(Reply::Found { shown: self.shown() })
            }
            Request::Copy { epoch, record, .. } => {
                let seat = self.chart.admits(place(), *epoch)?;
                let filling = self.chart.seats()[seat].arc.filling;
                if self.standing(seat).copy(record.ballot, self.me(), filling)? == Vote::Keep {
                    self.keep(record.ballot, &record.state);
                }
                Ok(Reply::Copied)
            }
            Request::List { span, epoch, .. } => {
                let seat = self.chart.admits_span(*span, *epoch)?;
                let rows = if span.holds(place()) { self.rows() } else { vec![] };
                let swept = self.chart.seats()[seat].swept;
                Ok(Reply::Listed { rows, more: false, swept })
            }
            Request::Inherit { span, epoch, swept } => self.with_chart(|chart| {
                chart.inherit(*span, *epoch, *swept)?;
                Ok(Reply::Copied)
            }),
            Request::Drop { epoch, dead } => self.drop_dead(*epoch, dead),
            Request::PrepareDecree { arc, ballot } => self.with_chart(|chart| {
                Ok(Reply::DecreePromised { accepted: chart.prepare_decree(arc, *ballot)? })
            }),
            Request::AcceptDecree { arc, ballot, decree } => self.with_chart(|chart| {
                chart.accept_decree(arc, *ballot, decree)?;
                Ok(Reply::DecreeAccepted)
            }),
            Request::Learn { arcs } => self.learn(arcs),
            Request::Hello => Ok(Reply::Hello(Box::new(self.hello()))),
            other => unreachable!("no router of the model asks {other:?}"),
        }
    }

    fn standing(&self, seat: usize) -> Standing {
        Standing {
            floor: self.chart.seats()[seat].floor,
            past: self.past,
            ahead: Moment(u64::MAX),
            promised: self.promised,
            accepted: self.record.as_ref().map_or(Ballot::ZERO, |r| r.ballot),
        }
    }

    fn vote_at(&mut self, ballot: Ballot, may_crash: bool) {
        if may_crash {
            self.voted = self.voted.max(ballot.clock);
        }
    }

    fn shown(&self) -> Option<Shown> {
        self.record.as_ref().map(|record| Shown {
            ballot: record.ballot,
            content: ShownContent::Whole(record.state.clone()),
        })
    }

    fn keep(&mut self, ballot: Ballot, state: &State) {
        if self.record.as_ref().is_some_and(|held| held.ballot > ballot) {
            self.broken = Some("I4: the ballot of a record fell");
        }
        self.record = Some(Arc::new(Record { ballot, state: state.clone() }));
        if self.promised <= ballot {
            self.promised = Ballot::ZERO;
        }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |record: &Arc<Record>| Row {
            key: key(),
            ballot: record.ballot,
            dead_from_ms: record.state.header.content.is_none().then_some(0),
            bytes: record.state.value.len() as u32,
        };
        self.record.iter().map(row).collect()
    }

    fn drop_dead(&mut self, epoch: u64, dead: &[Dead]) -> Answer {
        let seat = self.chart.admits(place(), epoch)?;
        if self.chart.seats()[seat].arc.filling.is_some() {
            return Err(Refusal::Filling);
        }
        let Some(record) = &self.record else { return Ok(Reply::Dropped { records: 0 }) };
        let goes =
            dead.iter().any(|d| self.standing(seat).may_drop(&record.state.header, d.ballot, 0));
        if goes {
            let floor = record.ballot;
            if !mutant::is("M18") {
                self.with_chart(|chart| {
                    chart.swept(seat, floor);
                    Ok(Reply::Learned)
                })?;
            }
            self.record = None;
            if mutant::is("M19") {
                self.promised = Ballot::ZERO;
            }
        }
        Ok(Reply::Dropped { records: u32::from(goes) })
    }

    /// Adopts, and clears at once what it left: in the model nothing happens between the two.
    fn learn(&mut self, arcs: &[RingArc]) -> Answer {
        let answer = self.with_chart(|chart| {
            chart.learn(arcs)?;
            Ok(Reply::Learned)
        })?;
        let wiping = self.chart.wiping().to_vec();
        if !wiping.is_empty() {
            if wiping.iter().any(|span| span.holds(place())) {
                self.record = None;
            }
            self.with_chart(|chart| {
                wiping.iter().for_each(|span| chart.wiped(*span));
                Ok(Reply::Learned)
            })?;
        }
        let now = newest_epoch(&self.chart);
        if self.arc().is_some_and(|arc| arc.epoch < self.adopted) {
            self.broken = Some("I3: a storage serves below an epoch it adopted");
        }
        self.adopted = self.adopted.max(now);
        Ok(answer)
    }

    /// Lets `act` change the chart; what it refuses changes nothing.
    fn with_chart(&mut self, act: impl FnOnce(&mut Chart) -> Answer) -> Answer {
        let mut chart = Chart::clone(&self.chart);
        let reply = act(&mut chart)?;
        if chart != *self.chart {
            self.chart = Arc::new(chart);
        }
        Ok(reply)
    }

    fn hello(&self) -> Hello {
        let kept = self.chart.seats().iter().map(|seat| Kept {
            arc: seat.arc.clone(),
            floor: seat.floor,
            records: 0,
            tombstones: 0,
            bytes: 0,
            damaged: seat.damaged,
        });
        let me = self.me();
        Hello {
            ring: self.chart.ring(),
            member: super::member(me.0 as u8),
            kept: kept.collect(),
            left: self.chart.notes().iter().map(|note| note.arc.clone()).collect(),
            wiping: self.chart.wiping().to_vec(),
            predecessor: None,
            successors: vec![],
            full: false,
        }
    }

    /// Whether this lesson is news: what is older than what it knows never is again.
    pub fn would_learn(&self, lesson: &Request) -> bool {
        let Request::Learn { arcs } = lesson else { return false };
        let seats = || self.chart.seats().iter().map(|seat| (seat.span, seat.arc.epoch));
        let notes = || self.chart.notes().iter().map(|note| (note.span, note.arc.epoch));
        let known = |arc: &RingArc| {
            seats()
                .chain(notes())
                .any(|(span, epoch)| epoch >= arc.epoch && span.overlaps(arc.span))
        };
        !arcs.iter().all(known)
    }

    /// The header of what it keeps.
    pub fn header(&self) -> Option<&Header> {
        self.record.as_ref().map(|record| &record.state.header)
    }
}

/// The newest arc's epoch at the key's place, kept or only known.
fn newest_epoch(chart: &Chart) -> u64 {
    let note = chart.notes().iter().find(|note| note.span.holds(place()));
    chart.epoch_of(place()).or(note.map(|note| note.arc.epoch)).unwrap_or(0)
}
