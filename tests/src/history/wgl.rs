//! The search: put the operations in an order that explains the answers, or show that there is none.
//!
//! Next in the order may come any operation that was called before every one not yet ordered was answered. Two ways of
//! having ordered the same operations that leave the same value are one way (Lowe), which is what keeps the search short.

use super::{
    Answer, Event, Expect, History, Kind, Outcome, Reason, Violation,
    steps::{self, Found, Made, NEVER, Step},
};
use std::collections::BTreeSet;

/// Whether a register can have answered so: exactly, but in a time that grows fast with the number of operations under way
/// at once. Panics beyond 128 operations.
///
/// Accuses with a history as short as leaving out one thing after the other makes it.
pub fn wgl(history: &History) -> Result<(), Violation> {
    judge(history).map_err(|_| {
        let short = shortened(history);
        judge(&short).expect_err("what is left is still no register's")
    })
}

fn judge(history: &History) -> Result<(), Violation> {
    let steps = steps::read(history)?;
    if Search::over(&steps).goes_on(0, None) {
        return Ok(());
    }
    Err(history.violation(Reason::NoOrder, 0..steps.len()))
}

struct Search<'a> {
    /// Those that may matter, with their names.
    steps: Vec<(usize, &'a Step)>,
    /// Those that must be ordered, one bit each.
    due: u128,
    /// Orders that lead nowhere: what was ordered, and the value then.
    dead: BTreeSet<(u128, Option<usize>)>,
}

impl<'a> Search<'a> {
    fn over(steps: &'a [Step]) -> Self {
        let matters = |step: &Step| step.ended != NEVER || step.made != Made::Same;
        let steps: Vec<_> = steps.iter().enumerate().filter(|(_, step)| matters(step)).collect();
        assert!(steps.len() <= 128, "a history this long is for the check by stamps");
        let due = (0..steps.len()).filter(|at| steps[*at].1.ended != NEVER);
        let due = due.fold(0, |due, at| due | 1 << at);
        Self { steps, due, dead: BTreeSet::new() }
    }

    /// Whether the rest can be ordered after these, which left this value.
    fn goes_on(&mut self, ordered: u128, value: Option<usize>) -> bool {
        if self.due & !ordered == 0 {
            return true;
        }
        if !self.dead.insert((ordered, value)) {
            return false;
        }
        let left = (0..self.steps.len()).filter(|at| ordered & 1 << at == 0);
        let first_end = left.clone().map(|at| self.steps[at].1.ended).min().unwrap_or(NEVER);
        let next = left.filter(|at| {
            let step = self.steps[*at].1;
            step.called <= first_end && step.found.is_met(value)
        });
        let next: Vec<usize> = next.collect();
        // What only looks, and may look now, can as well look now: it changes nothing for the others.
        if let Some(looks) = next.iter().find(|at| self.steps[**at].1.made == Made::Same) {
            return self.goes_on(ordered | 1 << looks, value);
        }
        next.into_iter().any(|at| {
            let (name, step) = self.steps[at];
            let value = if step.made == Made::Value { Some(name) } else { None };
            self.goes_on(ordered | 1 << at, value)
        })
    }
}

/// A part of the history that is no register's either.
fn shortened(history: &History) -> History {
    let mut ends: Vec<u64> = history.events.iter().filter_map(end).collect();
    ends.sort_unstable();
    let begun = ends.into_iter().map(|end| until(history, end)).find(|h| judge(h).is_err());
    let mut short = begun.unwrap_or_else(|| history.clone());
    for event in short.events.clone().iter().rev() {
        let rest = without(&short, event);
        if rest.is_some_and(|rest| judge(&rest).is_err()) {
            short = without(&short, event).expect("it was there a moment ago");
        }
    }
    short
}

fn end(event: &Event) -> Option<u64> {
    match event.outcome {
        Outcome::Answered { at, .. } => Some(at),
        Outcome::Unknown { .. } => None,
    }
}

/// What was known of the history then: what a register did, it did at every time.
fn until(history: &History, time: u64) -> History {
    let known = |event: &Event| match event.outcome {
        Outcome::Answered { at, answer } if at > time => {
            let id = if let Answer::Done(stamp) = answer { Some(stamp) } else { None };
            Event { outcome: Outcome::Unknown { id }, ..*event }
        }
        _ => *event,
    };
    let begun = history.events.iter().filter(|event| event.called <= time);
    History::of(&history.key, begun.map(known))
}

/// The history without this event, if what is left of a register's history is a register's: without one that only looked,
/// and, where nothing asks whether any value is there, without a blind set and all that saw its value.
fn without(history: &History, event: &Event) -> Option<History> {
    let steps = steps::read(history).ok()?;
    let gone = history.events.iter().position(|other| other == event)?;
    let others = |keep: &dyn Fn(usize) -> bool| {
        let kept = (0..steps.len()).filter(|at| keep(*at)).map(|at| history.events[at]);
        Some(History::of(&history.key, kept))
    };
    if steps[gone].made == Made::Same {
        return others(&|at| at != gone);
    }
    let blind = matches!(event.kind, Kind::Set { expect: Expect::Anything, .. });
    let sees = |at: usize| steps[at].found == Found::Value(gone);
    let plain = |at: usize| match steps[at].found {
        Found::Anything | Found::Absent | Found::Value(_) => {
            steps[at].made == Made::Same || steps[at].found == Found::Anything
        }
        Found::Present | Found::NotValue(_) => false,
    };
    if blind && (0..steps.len()).all(plain) {
        return others(&|at| at != gone && !sees(at));
    }
    None
}
