//! The quick check: what must have been there before what, value by value.
//!
//! A *reign* is the time a value is there: it begins with its set and holds all operations that found it. No value returns,
//! so each reigns once and no two reign together (Gibbons and Korach). One reign must precede another when an operation of
//! the one was answered before an operation of the other was called; only the earliest answer and the latest call of a
//! reign matter for that, and if of two reigns each must precede the other, no register has the history. Sorted, all
//! pairs are looked at in O(n log n).
//!
//! * A change made *if the stamp is s* follows the reign of s directly. Reigns that follow each other so make a *line*, which
//!   holds its time as a whole: lines are compared like reigns, and within a line the order is known.
//! * An absence has no name: a get that found nothing does not say which deletion it owes that to. The absence at first is a
//!   reign like others, as far as nobody had yet called a deletion. For later ones: nobody finds nothing amid a line; whoever
//!   found nothing owes it to a deletion that can have come after all values known to be older; every set-if-absent owes it to
//!   one of its own; and the same with values and absences exchanged.
//!
//! Histories without deletions, of gets, blind sets, set-if-stamp and set-if-absent, are judged exactly, as long as a failed
//! condition tells what it found. What may be overlooked:
//! * where there are deletions: which deletion made which absence, beyond the counting above; an absence found and a value found
//!   are only compared through lines and counts;
//! * a failed set-if-stamp that does not tell what it found is only held against the reign of that stamp, and a failed
//!   set-if-absent only against the absence at first and the sets there are;
//! * stamps that nobody is known to bear, while the stamp of some set is unknown.

use super::{
    History, Reason, Violation,
    pairing::{Stretch, in_vain},
    steps::{self, Found, Made, NEVER, Step},
};

/// Whether anything shows that no register can have answered so. Never wrong when it says so; what it may overlook is told
/// above.
pub fn stamps(history: &History) -> Result<(), Violation> {
    let steps = steps::read(history)?;
    let reigns = Reigns::of(&steps);
    let accuse = |(reason, events): Accusation| history.violation(reason, events);
    let lines = reigns.and_then(|reigns| reigns.lines().map(|lines| (reigns, lines)));
    let (reigns, lines) = lines.map_err(accuse)?;
    cross(&lines).map_err(accuse)?;
    reigns.look_at_onlookers(&lines).map_err(accuse)?;
    reigns.look_at_absences().map_err(accuse)
}

type Accusation = (Reason, Vec<usize>);

/// What counts of a reign or a line: its earliest answer and its latest call, each with the operation it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reign {
    answer: (u64, usize),
    call: (u64, usize),
}

impl Reign {
    fn with(self, other: Self) -> Self {
        Self { answer: self.answer.min(other.answer), call: self.call.max(other.call) }
    }

    /// Whether it is known to have lasted a while: from the answer to the call.
    fn lasts(self) -> bool {
        self.answer.0 < self.call.0
    }

    fn events(self) -> [usize; 2] {
        [self.answer.1, self.call.1]
    }
}

/// Reigns that follow each other directly.
#[derive(Clone, Copy, Debug)]
struct Line {
    whole: Reign,
    /// Without the absence at first.
    values: Option<Reign>,
}

/// All reigns, each under the name of the change that began it.
struct Reigns<'a> {
    steps: &'a [Step],
    /// Whether it is known to have taken effect: it was answered, or its value was found.
    effective: Vec<bool>,
    /// None for what began none; the last is the absence at first.
    reigns: Vec<Option<Reign>>,
    /// Whose reign each change is known to have ended.
    ended: Vec<Option<usize>>,
}

impl<'a> Reigns<'a> {
    fn of(steps: &'a [Step]) -> Result<Self, Accusation> {
        let first = steps.len();
        let effective = effective(steps)?;
        let own = |at: usize| Reign { answer: (steps[at].ended, at), call: (steps[at].called, at) };
        let mut reigns: Vec<Option<Reign>> = (0..steps.len())
            .map(|at| (effective[at] && steps[at].made != Made::Same).then(|| own(at)))
            .collect();
        reigns.push(Some(Reign { answer: (0, first), call: (0, first) }));
        let mut all = Self { steps, effective, reigns, ended: vec![None; first] };

        for (at, step) in all.effective() {
            if let Found::Value(maker) = step.found {
                if step.ended < steps[maker].called {
                    return Err((Reason::SeenTooEarly, vec![at, maker]));
                }
                all.belongs(at, maker);
            }
        }
        let deletions = steps.iter().filter(|step| step.made == Made::Absent);
        let first_deletion = deletions.map(|step| step.called).min();
        for (at, step) in all.effective() {
            let before = first_deletion.is_none_or(|deletion| all.latest(at) < deletion);
            if step.found == Found::Absent && before {
                all.belongs(at, first);
            }
        }
        Ok(all)
    }

    /// `at` found the reign of `maker`, and ended it if it changed anything.
    fn belongs(&mut self, at: usize, maker: usize) {
        let step = self.steps[at];
        let reign = Reign { answer: (step.ended, at), call: (step.called, at) };
        self.reigns[maker] = self.reigns[maker].map(|whole| whole.with(reign));
        if step.made != Made::Same {
            self.ended[at] = Some(maker);
        }
    }

    fn effective(&self) -> Vec<(usize, &'a Step)> {
        self.steps.iter().enumerate().filter(|(at, _)| self.effective[*at]).collect()
    }

    /// Till when an operation has taken effect, if it ever does: till its answer, or till its value was found.
    fn latest(&self, at: usize) -> u64 {
        self.reigns[at].map_or(self.steps[at].ended, |reign| reign.answer.0)
    }

    /// Joins what follows each other directly.
    fn lines(&self) -> Result<Vec<Line>, Accusation> {
        let mut next = vec![None; self.reigns.len()];
        for (at, ended) in self.ended.iter().enumerate() {
            let Some(ended) = *ended else { continue };
            if let Some(other) = next[ended].replace(at) {
                return Err((Reason::ReplacedTwice, vec![ended, other, at]));
            }
        }
        let mut seen = vec![false; self.reigns.len()];
        let mut lines = vec![];
        for head in 0..self.reigns.len() {
            if self.ended.get(head).is_some_and(Option::is_some) {
                continue;
            }
            let Some(reign) = self.reigns[head] else { continue };
            let values = (head != self.steps.len()).then_some(reign);
            let mut line = Line { whole: reign, values };
            let mut last = head;
            seen[head] = true;
            while let Some(at) = next[last] {
                let reign = self.reigns[at].expect("who ends a reign begins one");
                let call = line.whole.call;
                if reign.answer.0 < call.0 {
                    return Err((Reason::Backwards, vec![at, reign.answer.1, call.1]));
                }
                line.whole = line.whole.with(reign);
                line.values = Some(line.values.map_or(reign, |values| values.with(reign)));
                seen[at] = true;
                last = at;
            }
            lines.push(line);
        }
        // What has no head goes round.
        let round = |at: &usize| self.reigns[*at].is_some() && !seen[*at];
        match (0..self.reigns.len()).find(round) {
            None => Ok(lines),
            Some(start) => {
                let mut circle = vec![start];
                while let Some(at) = self.ended[circle[circle.len() - 1]].filter(|at| *at != start)
                {
                    circle.push(at);
                }
                Err((Reason::Circle, circle))
            }
        }
    }

    /// Those who found nothing, or found only what was not there, against the values that were there all the while.
    fn look_at_onlookers(&self, lines: &[Line]) -> Result<(), Accusation> {
        let first = self.steps.len();
        let values = lines.iter().filter_map(|line| line.values).filter(|line| line.lasts());
        let values: Greatest = values.map(|line| (line.answer.0, line.call.0, line)).collect();
        let absence = self.reigns[first].expect("there is a state at first");
        for (at, step) in self.effective() {
            let amid =
                |reign: Reign| reign.answer.0 < step.called && self.latest(at) < reign.call.0;
            let accuse = |reason, reign: Reign| {
                Err((reason, [at].into_iter().chain(reign.events()).collect()))
            };
            match step.found {
                Found::Absent => {
                    if let Some((_, line)) =
                        values.below(step.called).filter(|(_, line)| amid(*line))
                    {
                        return accuse(Reason::NothingDeletedIt, line);
                    }
                }
                Found::NotValue(maker) => {
                    if let Some(reign) = self.reigns[maker].filter(|reign| amid(*reign)) {
                        return accuse(Reason::FailedWhileMet, reign);
                    }
                }
                Found::Present if amid(absence) => return accuse(Reason::NothingSetIt, absence),
                _ => {}
            }
        }
        Ok(())
    }

    /// Who found nothing needs a deletion for it, and who found a value a set; changes one each.
    fn look_at_absences(&self) -> Result<(), Accusation> {
        let first = self.steps.len();
        let beginning = Stretch { from: 0, till: 0, of: first };
        let stretch =
            |at: usize| Stretch { from: self.steps[at].called, till: self.latest(at), of: at };
        let makers = |made| (0..first).filter(move |at| self.steps[*at].made == made).map(stretch);
        let deletions: Vec<Stretch> = makers(Made::Absent).chain([beginning]).collect();
        let sets: Vec<Stretch> = makers(Made::Value).collect();

        let (mut shows_value, mut shows_absence) = (vec![], vec![beginning]);
        let (mut finds_value, mut finds_absence) = (vec![], vec![]);
        for (at, step) in self.effective() {
            let found_value = matches!(step.found, Found::Present | Found::Value(_));
            let found_absence = step.found == Found::Absent;
            if found_value || step.made == Made::Value {
                shows_value.push(stretch(at));
            }
            if found_absence || step.made == Made::Absent {
                shows_absence.push(stretch(at));
            }
            if found_value && step.made != Made::Value {
                finds_value.push(at);
            }
            if found_absence {
                finds_absence.push(at);
            }
        }
        self.owes(&finds_absence, &shows_value, &deletions, Reason::NothingDeletedIt)?;
        self.owes(&finds_value, &shows_absence, &sets, Reason::NothingSetIt)
    }

    /// Each of the finders owes what it found to one of the makers, who took effect no later than it and not before the last
    /// moment that is known to have shown the contrary before it was called. Who changes what it found shares with no
    /// other who does.
    fn owes(
        &self,
        finders: &[usize],
        contrary: &[Stretch],
        makers: &[Stretch],
        reason: Reason,
    ) -> Result<(), Accusation> {
        let contrary: Greatest<usize> =
            contrary.iter().map(|shown| (shown.till, shown.from, shown.of)).collect();
        let lasting: Greatest<usize> =
            makers.iter().map(|maker| (maker.from, maker.till, maker.of)).collect();
        let mut needs = vec![];
        for &at in finders {
            let shown = contrary.below(self.steps[at].called);
            let from = shown.map_or(0, |(call, _)| call);
            let need = Stretch { from, till: self.latest(at), of: at };
            let enough = |maker: (u64, usize)| maker.0 >= need.from;
            if !lasting.below(need.till.saturating_add(1)).is_some_and(enough) {
                return Err((reason, [at].into_iter().chain(shown.map(|(_, of)| of)).collect()));
            }
            if self.steps[at].made != Made::Same {
                needs.push(need);
            }
        }
        match in_vain(&needs, makers) {
            None => Ok(()),
            Some((at, rival)) => Err((reason, [at].into_iter().chain(rival).collect())),
        }
    }
}

/// Which operations took effect for sure: those that were answered, those whose value one of these found, and so on.
fn effective(steps: &[Step]) -> Result<Vec<bool>, Accusation> {
    let mut effective: Vec<bool> = steps.iter().map(|step| step.ended != NEVER).collect();
    let mut left: Vec<usize> = (0..steps.len()).filter(|at| effective[*at]).collect();
    while let Some(at) = left.pop() {
        let Found::Value(maker) = steps[at].found else { continue };
        if steps[maker].made != Made::Value {
            return Err((Reason::NobodySetIt, vec![at, maker]));
        }
        if !std::mem::replace(&mut effective[maker], true) {
            left.push(maker);
        }
    }
    Ok(effective)
}

/// Whether of two lines each must precede the other: one that lasts holds the time from its answer to its call alone.
fn cross(lines: &[Line]) -> Result<(), Accusation> {
    let accuse = |reason, one: Reign, other: Reign| {
        Err((reason, one.events().into_iter().chain(other.events()).collect()))
    };
    let (mut lasting, brief): (Vec<Reign>, Vec<Reign>) =
        lines.iter().map(|line| line.whole).partition(|line| line.lasts());
    lasting.sort_unstable_by_key(|line| line.answer);
    for pair in lasting.windows(2) {
        if pair[1].answer.0 < pair[0].call.0 {
            return accuse(Reason::EachBeforeOther, pair[0], pair[1]);
        }
    }
    let lasting: Greatest =
        lasting.into_iter().map(|line| (line.answer.0, line.call.0, line)).collect();
    for line in brief {
        let amid = |(call, _): &(u64, Reign)| line.answer.0 < *call;
        if let Some((_, whole)) = lasting.below(line.call.0).filter(amid) {
            return accuse(Reason::SeenAgain, whole, line);
        }
    }
    Ok(())
}

/// Pairs of times, each of something, to be asked which second is the greatest among those of a small enough first.
struct Greatest<T = Reign>(Vec<(u64, u64, T)>);

impl<T: Copy> FromIterator<(u64, u64, T)> for Greatest<T> {
    fn from_iter<I: IntoIterator<Item = (u64, u64, T)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by_key(|(first, ..)| *first);
        for at in 1..pairs.len() {
            let (_, greatest, of) = pairs[at - 1];
            if greatest > pairs[at].1 {
                (pairs[at].1, pairs[at].2) = (greatest, of);
            }
        }
        Self(pairs)
    }
}

impl<T: Copy> Greatest<T> {
    /// The greatest second whose first is below the limit.
    fn below(&self, limit: u64) -> Option<(u64, T)> {
        let end = self.0.partition_point(|(first, ..)| *first < limit);
        end.checked_sub(1).map(|at| (self.0[at].1, self.0[at].2))
    }
}
