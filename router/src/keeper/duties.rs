//! What is to be done next, decided from how the ring stands and what was done when.
//!
//! ```text
//!   somebody is dead, and it helps to go on without him  ──▶ evict      (which also finishes what is half done)
//!   an arc is half done, or lacks a copy others could keep ▶ finish
//!   a storage does not trust its own data                ──▶ refill
//!   copies of an arc count differently, again and again  ──▶ level
//!   there is something dead, and everybody answers       ──▶ sweep;  now and then also pieces that no header names
//!   somebody keeps more than 1.2 times its share         ──▶ balance
//! ```
//!
//! The first that applies is done. What does not succeed comes again later and later, and what was much work rests long
//! afterwards: twenty times as long as it took. While others change the ring, nothing is begun: only when nothing has moved
//! for as long as makes a silent storage dead, whoever began it counts as gone.

use crate::plan::{Goal, even::Load};
use minor_protocol::{Member, RingArc, StorageId};
use std::collections::BTreeMap;

/// Who keeps this much more than his share keeps too much; below that there is nothing to gain.
const EXCESS_BYTES: u64 = 1 << 20;
/// How long what may be done again and again rests, where it is not told to rest for a shorter time.
pub const REST_MS: u64 = 60_000;
/// The same for what looks through all keys.
const LONG_REST_MS: u64 = 6 * 3_600_000;
/// What has expired is not counted like what was deleted: so often it is looked for.
const EXPIRY_MS: u64 = 3_600_000;
/// The rest after something, in times it took.
const REST_FACTOR: u64 = 20;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Duty {
    /// These are dead: others take their places.
    Evict(Vec<Member>),
    /// Somebody began to change the ring, and is gone.
    Finish,
    /// Somebody has damaged data: he drops it and is given it anew.
    Refill,
    /// The copies of these arcs differ.
    Level(Vec<RingArc>),
    /// What is dead on all copies goes.
    Sweep,
    /// Pieces that belong to no object go.
    SweepPieces,
    /// One storage keeps too much.
    Balance(Box<Load>),
}

/// The kinds of duties, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// See [`Duty::Evict`],
    Evict,
    /// [`Duty::Finish`],
    Finish,
    /// [`Duty::Refill`],
    Refill,
    /// [`Duty::Level`],
    Level,
    /// [`Duty::Sweep`],
    Sweep,
    /// [`Duty::SweepPieces`],
    SweepPieces,
    /// [`Duty::Balance`].
    Balance,
}

impl Kind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Evict,
        Self::Finish,
        Self::Refill,
        Self::Level,
        Self::Sweep,
        Self::SweepPieces,
        Self::Balance,
    ];

    /// Its name in a figure's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evict => "evict",
            Self::Finish => "finish",
            Self::Refill => "refill",
            Self::Level => "level",
            Self::Sweep => "sweep",
            Self::SweepPieces => "sweep_pieces",
            Self::Balance => "balance",
        }
    }

    /// How long it rests after it was done, where the usual rest is so long: data is at stake with the first three.
    fn rest_ms(self, usual_ms: u64) -> u64 {
        match self {
            Self::Evict | Self::Finish | Self::Refill => 0,
            Self::Level | Self::Sweep | Self::Balance => usual_ms,
            Self::SweepPieces => LONG_REST_MS,
        }
    }

    /// The longest rest after it has failed again and again.
    fn longest_rest_ms(self) -> u64 {
        match self {
            Self::Evict | Self::Finish | Self::Refill => REST_MS,
            _ => 60 * REST_MS,
        }
    }
}

impl Duty {
    /// What kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Evict(_) => Kind::Evict,
            Self::Finish => Kind::Finish,
            Self::Refill => Kind::Refill,
            Self::Level(_) => Kind::Level,
            Self::Sweep => Kind::Sweep,
            Self::SweepPieces => Kind::SweepPieces,
            Self::Balance(_) => Kind::Balance,
        }
    }
}

/// When each kind of duty may be done again.
#[derive(Clone, Debug)]
pub struct Diary {
    pages: BTreeMap<Kind, Page>,
    rest_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    not_before_ms: u64,
    ended_ms: u64,
    failures: u32,
}

impl Diary {
    /// A diary that begins now: nobody looks through all keys in the first hour. What may be done again and again rests for
    /// so long, at least.
    pub fn begun(now_ms: u64, rest_ms: u64) -> Self {
        let mut diary = Self { pages: BTreeMap::new(), rest_ms };
        let later = |ms| Page { not_before_ms: now_ms + ms, ended_ms: now_ms, failures: 0 };
        diary.pages.insert(Kind::Balance, later(rest_ms));
        diary.pages.insert(Kind::Sweep, later(0));
        diary.pages.insert(Kind::SweepPieces, later(EXPIRY_MS));
        diary
    }

    /// This was done.
    pub fn done(&mut self, kind: Kind, begun_ms: u64, now_ms: u64) {
        let rest_ms = match kind.rest_ms(self.rest_ms) {
            0 => 0,
            rest_ms => rest_ms.max(REST_FACTOR * now_ms.saturating_sub(begun_ms)),
        };
        let page = Page { not_before_ms: now_ms + rest_ms, ended_ms: now_ms, failures: 0 };
        self.pages.insert(kind, page);
        if matches!(kind, Kind::Evict | Kind::Finish | Kind::Refill) {
            self.hurry(Kind::Level);
        }
    }

    /// This was tried and did not succeed; a first try again is worth it after `first_ms`.
    pub fn failed(&mut self, kind: Kind, now_ms: u64, first_ms: u64) {
        let least_ms = kind.rest_ms(self.rest_ms);
        let page = self.pages.entry(kind).or_default();
        let rest_ms = first_ms.saturating_mul(1 << page.failures.min(20));
        page.failures += 1;
        page.not_before_ms = now_ms + rest_ms.max(least_ms).min(kind.longest_rest_ms());
        page.ended_ms = now_ms;
    }

    /// There is reason to do this without waiting any longer.
    pub fn hurry(&mut self, kind: Kind) {
        self.pages.entry(kind).or_default().not_before_ms = 0;
    }

    /// Whether it may be done now.
    pub fn may(&self, kind: Kind, now_ms: u64) -> bool {
        self.pages.get(&kind).is_none_or(|page| page.not_before_ms <= now_ms)
    }

    fn rested_ms(&self, kind: Kind, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.pages.get(&kind).map_or(0, |page| page.ended_ms))
    }
}

/// How the ring stands, as one look showed it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The arcs, which tile the ring.
    pub arcs: Vec<RingArc>,
    /// For how long no arc has changed, and nothing came to whoever is being filled.
    pub still_ms: u64,
    /// Who is dead.
    pub dead: Vec<StorageId>,
    /// Who did not answer this look: the dead, and others.
    pub silent: Vec<StorageId>,
    /// Who says that data of his is damaged.
    pub damaged: Vec<StorageId>,
    /// Arcs whose copies were counted twice and differed both times.
    pub uneven: Vec<RingArc>,
    /// Deleted keys that are still there.
    pub tombstones: u64,
    /// Who keeps the most.
    pub heaviest: Option<Load>,
}

/// How long the ring must have been still before anything is begun.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    /// When nothing is half done.
    pub at_rest_ms: u64,
    /// When something is.
    pub half_done_ms: u64,
}

/// What it would bring to go on without the dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gain {
    /// Others take their places: every copy is there again.
    Copies,
    /// Nobody can take their places, but with fewer members an arc can lose one more than now.
    Votes,
    /// Nothing: nobody can take their places, and nothing would be safer.
    Nothing,
    /// It cannot be done: these arcs have no living majority.
    NoMajority(Vec<RingArc>),
}

/// What it would bring to go on without the dead.
pub fn gain(arcs: &[RingArc], dead: &[StorageId]) -> Gain {
    let living =
        |arc: &RingArc| arc.members.iter().filter(|member| !dead.contains(&member.storage)).count();
    let mute: Vec<RingArc> =
        arcs.iter().filter(|arc| living(arc) < arc.majority()).cloned().collect();
    let goal = dead.iter().try_fold(Goal::of(arcs), |goal, storage| goal.without(*storage));
    let (Ok(goal), true) = (goal, mute.is_empty()) else { return Gain::NoMajority(mute) };
    let kept_by_dead = || {
        arcs.iter()
            .filter(|arc| living(arc) < arc.members.len())
            .map(|arc| (arc, goal.target(arc.span.to)))
    };
    if kept_by_dead().any(|(arc, target)| target.iter().any(|member| !arc.has(member.storage))) {
        return Gain::Copies;
    }
    // How many more may be lost.
    let spare = |living: usize, members: usize| living.saturating_sub(members / 2 + 1);
    let is_safer = |(arc, target): (&RingArc, Vec<Member>)| {
        spare(target.len(), target.len()) > spare(living(arc), arc.members.len())
    };
    if kept_by_dead().any(is_safer) { Gain::Votes } else { Gain::Nothing }
}

impl Standing {
    /// Whether nothing is half done, and no arc lacks a copy that another storage could keep.
    pub fn is_at_rest(&self) -> bool {
        Goal::of(&self.arcs).steps(&self.arcs).is_empty()
    }

    /// The dead without whom it is better to go on.
    pub fn to_evict(&self) -> Vec<Member> {
        let worth = matches!(gain(&self.arcs, &self.dead), Gain::Copies | Gain::Votes);
        let mut dead: Vec<Member> = vec![];
        for member in self.arcs.iter().flat_map(|arc| &arc.members).filter(|_| worth) {
            let is_new = dead.iter().all(|told| told.storage != member.storage);
            if self.dead.contains(&member.storage) && is_new {
                dead.push(member.clone());
            }
        }
        dead
    }

    /// What to do next, if anything.
    pub fn next(&self, diary: &Diary, quiet: Quiet, now_ms: u64) -> Option<Duty> {
        let may = |kind| diary.may(kind, now_ms);
        let is_at_rest = self.is_at_rest();
        let quiet_ms = if is_at_rest { quiet.at_rest_ms } else { quiet.half_done_ms };
        if self.still_ms < quiet_ms {
            return None;
        }
        let dead = self.to_evict();
        if !dead.is_empty() && may(Kind::Evict) {
            return Some(Duty::Evict(dead));
        }
        if !is_at_rest {
            return may(Kind::Finish).then_some(Duty::Finish);
        }
        if !self.damaged.is_empty() && may(Kind::Refill) {
            return Some(Duty::Refill);
        }
        if !self.uneven.is_empty() && may(Kind::Level) {
            return Some(Duty::Level(self.uneven.clone()));
        }
        // All of the rest needs everybody, or would move data that is about to be moved anyway.
        if !self.silent.is_empty() {
            return None;
        }
        let is_due = self.tombstones > 0 || diary.rested_ms(Kind::Sweep, now_ms) >= EXPIRY_MS;
        if is_due && may(Kind::Sweep) {
            return Some(Duty::Sweep);
        }
        if may(Kind::SweepPieces) {
            return Some(Duty::SweepPieces);
        }
        let too_much = |load: &&Load| !load.is_fair() && load.bytes - load.share >= EXCESS_BYTES;
        let heaviest = self.heaviest.as_ref().filter(too_much)?;
        may(Kind::Balance).then(|| Duty::Balance(Box::new(heaviest.clone())))
    }
}

#[cfg(test)]
mod tests;
