//! Who made what was seen: every event as a demand on the register just before it and what it leaves there.
//!
//! Values are told apart by their sets, so this alone finds what contradicts itself whatever the order: a value nobody set,
//! one stamp for two changes, a condition that failed on the very thing it asked for.
//!
//! A set whose outcome is unknown may bear any stamp, unless a get shows it. While there is such a *mute* set, a stamp that
//! nobody is known to bear may be its: then all that is demanded is that some value is there.

use super::{Answer, Event, Expect, History, Kind, Outcome, Reason, Seen, Stamp, Violation};
use std::collections::BTreeMap;

/// What an operation that never returned ends at.
pub(super) const NEVER: u64 = u64::MAX;

/// An event, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Its call. Times begin at 1 here: at 0 there is the state at first.
    pub(super) called: u64,
    /// Its end, or [`NEVER`].
    pub(super) ended: u64,
    /// What it must find.
    pub(super) found: Found,
    /// What it leaves.
    pub(super) made: Made,
}

/// What was there just before. Values are named by the event that set them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Anything,
    Absent,
    Present,
    Value(usize),
    NotValue(usize),
}

/// What was there just after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Same,
    Absent,
    Value,
}

impl Found {
    /// Whether a register that holds `value` is so.
    pub(super) fn is_met(self, value: Option<usize>) -> bool {
        match self {
            Self::Anything => true,
            Self::Absent => value.is_none(),
            Self::Present => value.is_some(),
            Self::Value(maker) => value == Some(maker),
            Self::NotValue(maker) => value != Some(maker),
        }
    }
}

/// One step for each event, in their order.
pub(super) fn read(history: &History) -> Result<Vec<Step>, Violation> {
    let makers = Makers::of(history)?;
    let read = |(number, event): (usize, &Event)| {
        let ended = match event.outcome {
            Outcome::Answered { at, .. } => at.saturating_add(1),
            Outcome::Unknown { .. } => NEVER,
        };
        let (found, made) =
            makers.read(event).map_err(|reason| history.violation(reason, [number]))?;
        Ok(Step { called: event.called.saturating_add(1), ended, found, made })
    };
    history.events.iter().enumerate().map(read).collect()
}

/// Whose the values and stamps of a history are.
struct Makers {
    of_values: BTreeMap<u64, usize>,
    /// `None` for a deletion's stamp.
    of_stamps: BTreeMap<Stamp, Option<usize>>,
    /// Whether some set bears a stamp that nobody knows.
    mute: bool,
}

impl Makers {
    fn of(history: &History) -> Result<Self, Violation> {
        let events = &history.events;
        let of_values: BTreeMap<u64, usize> = (0..events.len())
            .filter_map(|number| match events[number].kind {
                Kind::Set { value, .. } => Some((value, number)),
                _ => None,
            })
            .collect();

        // Every change's stamp with the event it is known from, and every stamp's change.
        let mut stamps: Vec<Option<(Stamp, usize)>> = vec![None; events.len()];
        let mut bearers: BTreeMap<Stamp, usize> = BTreeMap::new();
        let mut bears = |change: usize, stamp: Stamp, witness: usize| {
            if let Some((known, first)) = stamps[change].replace((stamp, witness)) {
                stamps[change] = Some((known, first));
                let two = || history.violation(Reason::TwoStamps, [change, first, witness]);
                return if known == stamp { Ok(()) } else { Err(two()) };
            }
            match bearers.insert(stamp, change) {
                Some(other) => {
                    Err(history.violation(Reason::OneStampTwice, [change, other, witness]))
                }
                None => Ok(()),
            }
        };
        for (number, event) in events.iter().enumerate() {
            match event.outcome {
                Outcome::Answered { answer: Answer::Done(stamp), .. }
                | Outcome::Unknown { id: Some(stamp) }
                    if event.kind != Kind::Get =>
                {
                    bears(number, stamp, number)?;
                }
                _ => {}
            }
        }
        for (number, event) in events.iter().enumerate() {
            let Some(Seen::Value { stamp, value: Some(value) }) = seen_by(event) else { continue };
            let nobody = |maker| {
                history.violation(Reason::NobodySetIt, [Some(number), maker].into_iter().flatten())
            };
            let maker = *of_values.get(&value).ok_or_else(|| nobody(None))?;
            let refused = Outcome::answer(events[maker].outcome)
                .is_some_and(|answer| matches!(answer, Answer::NotMet(_)));
            if refused {
                return Err(nobody(Some(maker)));
            }
            bears(maker, stamp, number)?;
        }

        let is_set = |number: usize| matches!(events[number].kind, Kind::Set { .. });
        let mute = (0..events.len()).any(|number| {
            let unknown = events[number].outcome.answer().is_none();
            unknown && is_set(number) && stamps[number].is_none()
        });
        let of_stamps =
            bearers.into_iter().map(|(s, number)| (s, is_set(number).then_some(number)));
        Ok(Self { of_values, of_stamps: of_stamps.collect(), mute })
    }

    /// What an event demands and leaves.
    fn read(&self, event: &Event) -> Result<(Found, Made), Reason> {
        const IDLE: (Found, Made) = (Found::Anything, Made::Same);
        let (expect, made) = match event.kind {
            Kind::Get => (Expect::Anything, Made::Same),
            Kind::Set { expect, .. } => (expect, Made::Value),
            Kind::Delete { expect } => (expect, Made::Absent),
        };
        match event.outcome.answer() {
            None if made == Made::Same => Ok(IDLE),
            // What can never take effect never does.
            None => Ok(self.met(expect, made).map_or(IDLE, |found| (found, made))),
            Some(Answer::Seen(seen)) => Ok((self.found(seen)?, Made::Same)),
            Some(Answer::Done(_)) => Ok((self.met(expect, made)?, made)),
            Some(Answer::Kept) => match expect {
                Expect::Anything | Expect::Absent => Ok((Found::Absent, Made::Same)),
                Expect::Present | Expect::Stamp(_) => Err(Reason::Contradiction),
            },
            Some(Answer::NotMet(seen)) => {
                let failed = self.failed(expect, seen)?;
                Ok((seen.map_or(Ok(failed), |seen| self.found(seen))?, Made::Same))
            }
        }
    }

    fn found(&self, seen: Seen) -> Result<Found, Reason> {
        match seen {
            Seen::Absent => Ok(Found::Absent),
            Seen::Value { value: Some(value), .. } => Ok(Found::Value(self.of_values[&value])),
            Seen::Value { stamp, value: None } => self.bearer(stamp),
        }
    }

    fn bearer(&self, stamp: Stamp) -> Result<Found, Reason> {
        match self.of_stamps.get(&stamp) {
            Some(Some(maker)) => Ok(Found::Value(*maker)),
            None if self.mute => Ok(Found::Present),
            None | Some(None) => Err(Reason::NobodySetIt),
        }
    }

    /// What is there when the expectation is met and the change can be made.
    fn met(&self, expect: Expect, made: Made) -> Result<Found, Reason> {
        match expect {
            Expect::Anything if made == Made::Value => Ok(Found::Anything),
            Expect::Anything | Expect::Present => Ok(Found::Present),
            Expect::Absent if made == Made::Value => Ok(Found::Absent),
            Expect::Absent => Err(Reason::Contradiction),
            Expect::Stamp(stamp) => self.bearer(stamp),
        }
    }

    /// What is there when it is not met; wrong if what was seen would have met it.
    fn failed(&self, expect: Expect, seen: Option<Seen>) -> Result<Found, Reason> {
        let (failed, met) = match expect {
            Expect::Anything => return Err(Reason::Contradiction),
            Expect::Absent => (Found::Present, seen == Some(Seen::Absent)),
            Expect::Present => (Found::Absent, matches!(seen, Some(Seen::Value { .. }))),
            Expect::Stamp(wanted) => {
                let failed = match self.bearer(wanted) {
                    Ok(Found::Value(maker)) => Found::NotValue(maker),
                    _ => Found::Anything,
                };
                let same = |seen| matches!(seen, Seen::Value { stamp, .. } if stamp == wanted);
                (failed, seen.is_some_and(same))
            }
        };
        if met { Err(Reason::Contradiction) } else { Ok(failed) }
    }
}

fn seen_by(event: &Event) -> Option<Seen> {
    match event.outcome.answer()? {
        Answer::Seen(seen) => Some(seen),
        Answer::NotMet(seen) => seen,
        Answer::Done(_) | Answer::Kept => None,
    }
}

impl Outcome {
    fn answer(self) -> Option<Answer> {
        match self {
            Self::Answered { answer, .. } => Some(answer),
            Self::Unknown { .. } => None,
        }
    }
}
