//! What is asked of every state: nothing that was answered is ever taken back.
//!
//! A record remembers the operations that made it, so what is found under the key tells its whole history, and judging is
//! simple. All answers must be beginnings of one chain; each must contain what was answered before its operation began; and
//! at every moment any majority that would answer must hold the chain as far as it was answered. The last needs no reader:
//! it is looked at in every state, as if somebody read just then.

use super::Scene;
use minor_protocol::{Ballot, RingArc, message::Outcome, record::Header};

/// How far the answers went when an operation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Since {
    era: u8,
    length: usize,
}

/// All answers so far.
#[derive(Clone, Debug, Default, Hash)]
pub struct Judge {
    /// The operations that made what was answered last, oldest first.
    chain: Vec<Ballot>,
    /// Whether they end in a deletion: then the key may be absent, and begin anew.
    dead: bool,
    /// Whether somebody is deleting and has not been answered.
    pub deleting: bool,
    /// How often the chain began anew.
    era: u8,
    /// Operations that were told that they changed nothing.
    denied: Vec<Ballot>,
    /// What was answered and must not have been.
    pub wrong: Option<&'static str>,
}

impl Judge {
    /// A judge who knows that these operations were answered.
    pub fn after(chain: &[Ballot], dead: bool) -> Self {
        Self { chain: chain.to_vec(), dead, ..Self::default() }
    }

    /// How far the answers went by now.
    pub fn now(&self) -> Since {
        Since { era: self.era, length: self.chain.len() }
    }

    /// How many changes are known to be done.
    pub fn length(&self) -> usize {
        self.chain.len()
    }

    /// A change was answered.
    pub fn hear_change(&mut self, since: Since, id: Ballot, outcome: Outcome, found: &Header) {
        match outcome {
            Outcome::Unknown => return,
            Outcome::Done if !found.remembers(id) => {
                self.wrong = Some("a change is called done and is not in the record");
            }
            Outcome::Done => {}
            Outcome::Kept | Outcome::NotMet => self.denied.push(id),
        }
        self.hear(since, Some(found));
    }

    /// A reading was answered.
    pub fn hear(&mut self, since: Since, found: Option<&Header>) {
        let seen = found.map_or(&[][..], |header| &header.recent);
        let alive = found.is_some_and(|header| header.content.is_some());
        if seen.iter().enumerate().any(|(n, id)| seen[..n].contains(id)) {
            self.wrong = Some("a change was applied twice");
        }
        if seen.iter().any(|id| self.denied.contains(id)) {
            self.wrong = Some("a change is in the record that was told it changed nothing");
        }
        if seen.starts_with(&self.chain) {
            if seen.len() > self.chain.len() {
                self.chain = seen.to_vec();
                self.dead = !alive;
            }
        } else if since.era < self.era {
            // It began before the chain did, and may have been true then.
        } else if self.chain.starts_with(seen) && seen.len() >= since.length {
        } else if self.may_begin_anew(seen) {
            self.chain = seen.to_vec();
            self.dead = !alive;
            self.era += 1;
        } else {
            self.wrong = Some("an answer leaves out what was answered before");
        }
    }

    /// Whether what is found goes on from all that was answered.
    fn is_kept(&self, found: Option<&Header>) -> bool {
        let seen = found.map_or(&[][..], |header| &header.recent);
        seen.starts_with(&self.chain) || self.may_begin_anew(seen)
    }

    fn may_begin_anew(&self, seen: &[Ballot]) -> bool {
        (self.dead || self.deleting) && seen.iter().all(|id| !self.chain.contains(id))
    }
}

/// Nothing was answered that should not have been.
pub fn every_answer_is_true(scene: &Scene) -> bool {
    scene.judge.wrong.is_none()
}

/// I3 and I4: kept by every storage for itself.
pub fn no_storage_goes_back(scene: &Scene) -> bool {
    scene.keepers.iter().all(|keeper| keeper.broken.is_none())
}

/// I2: of one epoch there is one arc at any place.
pub fn one_decree_a_slot(scene: &Scene) -> bool {
    let charts = scene.keepers.iter().map(|keeper| &keeper.chart);
    let mut arcs: Vec<&RingArc> = vec![];
    for chart in charts {
        for arc in chart.seats().iter().map(|s| &s.arc).chain(chart.notes().iter().map(|n| &n.arc))
        {
            if !arcs.contains(&arc) {
                if arcs.iter().any(|a| a.epoch == arc.epoch && a.span.overlaps(arc.span)) {
                    return false;
                }
                arcs.push(arc);
            }
        }
    }
    true
}

/// I5: no two states carry the same ballot.
pub fn one_state_a_ballot(scene: &Scene) -> bool {
    let records: Vec<_> = scene.keepers.iter().filter_map(|k| k.record.as_ref()).collect();
    let differ = |(n, a): (usize, &&std::sync::Arc<minor_protocol::Record>)| {
        records[..n].iter().any(|b| a.ballot == b.ballot && a.state != b.state)
    };
    !records.iter().enumerate().any(differ)
}

/// I6: whatever majority would answer just now holds all that was answered.
pub fn nothing_answered_is_lost(scene: &Scene) -> bool {
    let mut seen: Vec<&RingArc> = vec![];
    for arc in scene.keepers.iter().filter_map(|keeper| keeper.arc()) {
        if seen.contains(&arc) {
            continue;
        }
        seen.push(arc);
        let serving: Vec<_> =
            scene.keepers.iter().filter(|k| arc.has(k.me()) && k.arc() == Some(arc)).collect();
        for some in 1_u32..1 << serving.len() {
            if some.count_ones() as usize != arc.majority() {
                continue;
            }
            let asked = serving.iter().enumerate().filter(|(n, _)| some & (1 << n) != 0);
            let newest = asked.filter_map(|(_, k)| k.record.as_ref()).max_by_key(|r| r.ballot);
            if !scene.judge.is_kept(newest.map(|record| &record.state.header)) {
                return false;
            }
        }
    }
    true
}
