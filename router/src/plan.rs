//! From the arcs as they are to the ring as it should be, one step at a time.
//!
//! ```text
//!   goal    places on the ring, each a storage's, and a number of copies
//!   target  of the arc that ends at a place: its storage and the next distinct ones clockwise, other zones first
//!   step    the single next decree (and what must be done before it), or nothing: the goal is reached
//! ```
//!
//! A plan has no memory. Whatever is half done is visible in the arcs (a member being filled, a sealed arc, a boundary that
//! should not be), so any router computes the same next step from them, and one that dies leaves nothing but that.

pub mod even;

use minor_protocol::{Decree, Member, Position, RingArc, Seal, StorageId, limits::COPIES, mutant};

/// Arcs that are under way at the same time.
const AT_ONCE: usize = 3;

/// The ring as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Goal {
    /// Every storage's place, in ring order.
    pub places: Vec<(Position, Member)>,
    /// How many storages keep each arc.
    pub copies: u8,
    /// Who does not answer just now. It goes before others that are to go, so that those who stay can vote all the while.
    pub away: Vec<StorageId>,
}

/// What must be done before a decree is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum First {
    /// Nothing.
    Nothing,
    /// A sync of the arc in its present epoch.
    Sync,
    /// The newcomer learns the arc as an outsider, and holds nothing of it.
    Teach,
    /// Both.
    SyncAndTeach,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The arc as it is.
    pub arc: RingArc,
    /// What must be done first.
    pub first: First,
    /// What is then proposed.
    pub decree: Decree,
}

impl Step {
    /// Whether the arc is synced in its present epoch before the decree is proposed.
    pub fn needs_sync(&self) -> bool {
        let off = match self.decree {
            Decree::Shrink { .. } | Decree::Filled => mutant::is("M10"),
            Decree::Grow { .. } => mutant::is("M11"),
            _ => false,
        };
        matches!(self.first, First::Sync | First::SyncAndTeach) && !off
    }

    /// Whether the newcomer is taught the present arc before the decree is proposed.
    pub fn needs_teaching(&self) -> bool {
        matches!(self.first, First::Teach | First::SyncAndTeach) && !mutant::is("M14")
    }
}

/// Why a wish cannot become a goal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGoal {
    /// Somebody has that place already.
    #[error("{0} is the place of another storage already")]
    PlaceTaken(Position),
    /// It would keep nothing.
    #[error("the last storage of a ring cannot leave it: nobody would keep its data")]
    LastStorage,
    /// So many cannot be kept.
    #[error("a ring keeps 1 to {COPIES} copies of everything, not {0}")]
    Copies(u8),
}

impl Goal {
    /// The goal that the arcs as they are stand for: every storage keeps the last place it has, and what is half done is
    /// finished or undone.
    pub fn of(arcs: &[RingArc]) -> Self {
        Self::leaving_free(arcs, None)
    }

    /// The same; and where the arcs leave open which of several places a storage has, it is not this one. A storage that is
    /// alone has both halves of what was cut for a newcomer, and the newcomer's place is not its own.
    pub fn leaving_free(arcs: &[RingArc], free: Option<Position>) -> Self {
        let copies = arcs.iter().map(|arc| arc.copies).max().unwrap_or(1);
        let mut places: Vec<(Position, Member)> = vec![];
        for member in arcs.iter().map(RingArc::first) {
            if places.iter().any(|(_, placed)| placed.storage == member.storage) {
                continue;
            }
            // A storage has one place. Several arcs in a row that end at the same storage are a split that was not gone
            // through with: the last of them was there before. If they go all the way round, any of them will do.
            let own = |arc: &&RingArc| arc.first().storage == member.storage;
            let goes_on = |arc: &RingArc| {
                arcs.iter()
                    .filter(own)
                    .any(|other| other.span.from == arc.span.to && other.span != arc.span)
            };
            let last = arcs.iter().filter(own).find(|arc| !goes_on(arc));
            let other = || arcs.iter().filter(own).rfind(|arc| Some(arc.span.to) != free);
            let last = last.or_else(other).or_else(|| arcs.iter().rfind(own));
            let last = last.expect("it is the first of an arc");
            places.push((last.span.to, last.first().clone()));
        }
        places.sort_by_key(|(place, _)| *place);
        Self { places, copies, away: vec![] }
    }

    /// The same with one storage more. Said again, it changes nothing.
    pub fn with(mut self, place: Position, member: Member) -> Result<Self, NoGoal> {
        if self.places.iter().any(|(_, m)| m.storage == member.storage) {
            return Ok(self);
        }
        if self.places.iter().any(|(taken, _)| *taken == place) {
            return Err(NoGoal::PlaceTaken(place));
        }
        self.places.push((place, member));
        self.places.sort_by_key(|(place, _)| *place);
        Ok(self)
    }

    /// The same with one storage less.
    pub fn without(mut self, storage: StorageId) -> Result<Self, NoGoal> {
        self.places.retain(|(_, member)| member.storage != storage);
        if self.places.is_empty() { Err(NoGoal::LastStorage) } else { Ok(self) }
    }

    /// The same without all who never come back. Where nobody else has a place, one who was on its way out and still keeps
    /// something stays.
    pub fn surviving(mut self, gone: &[StorageId], arcs: &[RingArc]) -> Result<Self, NoGoal> {
        let lives = |member: &Member| !gone.contains(&member.storage);
        self.places.retain(|(_, member)| lives(member));
        if self.places.is_empty() {
            let of =
                |arc: &RingArc| Some((arc.span.to, arc.members.iter().find(|m| lives(m))?.clone()));
            self.places.push(arcs.iter().find_map(of).ok_or(NoGoal::LastStorage)?);
        }
        Ok(self)
    }

    /// The same with another number of copies.
    pub fn with_copies(self, copies: u8) -> Result<Self, NoGoal> {
        match copies {
            1..=COPIES => Ok(Self { copies, ..self }),
            _ => Err(NoGoal::Copies(copies)),
        }
    }

    /// The same, with these not answering just now.
    pub fn with_away(self, away: Vec<StorageId>) -> Self {
        Self { away, ..self }
    }

    /// The same with the places of some storages moved. Those that are not there any more are passed over. On the way the
    /// arcs leave open for a while where those stand that do not move: whoever goes on from there names them as well.
    pub fn with_places(mut self, moved: &[(StorageId, Position)]) -> Result<Self, NoGoal> {
        for (place, member) in &mut self.places {
            if let Some((_, to)) = moved.iter().find(|(storage, _)| *storage == member.storage) {
                *place = *to;
            }
        }
        self.places.sort_by_key(|(place, _)| *place);
        match self.places.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(NoGoal::PlaceTaken(pair[0].0)),
            None => Ok(self),
        }
    }

    /// Who should keep the arc that ends at, or goes on to, the next place from here on: its storage first, then the next
    /// distinct ones clockwise, those of zones not yet taken before the others.
    pub fn target(&self, end: Position) -> Vec<Member> {
        let own = self.places.iter().position(|(place, _)| *place >= end).unwrap_or(0);
        let clockwise: Vec<&Member> = self.places[own..]
            .iter()
            .chain(&self.places[..own])
            .map(|(_, member)| member)
            .collect();
        let wanted = usize::from(self.copies).min(clockwise.len());
        let mut chosen = vec![clockwise[0].clone()];
        let has_new_zone = |chosen: &[Member], m: &Member| {
            m.zone.is_empty() || chosen.iter().all(|c| c.zone != m.zone)
        };
        for member in &clockwise[1..] {
            if chosen.len() < wanted && has_new_zone(&chosen, member) {
                chosen.push((*member).clone());
            }
        }
        for member in &clockwise[1..] {
            if chosen.len() < wanted && chosen.iter().all(|c| c.storage != member.storage) {
                chosen.push((*member).clone());
            }
        }
        chosen
    }

    /// The next steps from the arcs as they are, which must tile the ring; none when the goal is reached. They are of
    /// different arcs, and none waits for another.
    ///
    /// Arcs are settled a few at a time, each as far as it can go, so that at any time few are under way.
    pub fn steps(&self, arcs: &[RingArc]) -> Vec<Step> {
        let cut = || arcs.iter().find_map(|arc| self.cut(arc));
        if let Some(step) = arcs.iter().find_map(|arc| unseal(arc, arcs)).or_else(cut) {
            return vec![step];
        }
        let staff = arcs.iter().filter_map(|arc| self.staff(arc));
        let steps: Vec<Step> = staff.take(AT_ONCE).collect();
        if steps.is_empty() {
            arcs.iter().find_map(|arc| self.merge(arc, arcs)).into_iter().collect()
        } else {
            steps
        }
    }

    /// The first of the next steps.
    pub fn step(&self, arcs: &[RingArc]) -> Option<Step> {
        self.steps(arcs).into_iter().next()
    }

    /// All steps to the goal, as they come if nobody else changes anything.
    pub fn story(&self, arcs: &[RingArc]) -> Vec<Step> {
        let mut arcs = arcs.to_vec();
        let mut steps = vec![];
        while let Some(step) = self.step(&arcs) {
            let next = step.decree.next(&step.arc).expect("a step fits the arc it is for");
            arcs.retain(|arc| match &step.decree {
                Decree::Absorb { lower } => arc != lower && *arc != step.arc,
                _ => *arc != step.arc,
            });
            arcs.extend(next);
            arcs.sort_by_key(|arc| arc.span.to);
            steps.push(step);
        }
        steps
    }

    /// How many members are still to come in, and to go: what a progress bar counts.
    pub fn remaining(&self, arcs: &[RingArc]) -> usize {
        let open = |arc: &RingArc| {
            let target = self.target(arc.span.to);
            let to_come = target.iter().filter(|m| !arc.has(m.storage)).count();
            let to_go =
                arc.members.iter().filter(|m| target.iter().all(|t| t.storage != m.storage));
            to_come + to_go.count() + usize::from(arc.filling.is_some())
        };
        arcs.iter().map(open).sum()
    }

    /// A boundary that should be and is not.
    fn cut(&self, arc: &RingArc) -> Option<Step> {
        let inside = |place: &Position| arc.span.holds(*place) && *place != arc.span.to;
        let at = self.places.iter().map(|(place, _)| *place).find(inside)?;
        if arc.sealed.is_some() {
            return None;
        }
        Some(Step { arc: arc.clone(), first: First::Nothing, decree: Decree::Split { at } })
    }

    /// Members that should be and are not, and the other way round.
    fn staff(&self, arc: &RingArc) -> Option<Step> {
        if arc.sealed.is_some() {
            return None;
        }
        let step = |first, decree| Some(Step { arc: arc.clone(), first, decree });
        let target = self.target(arc.span.to);
        let wanted = |storage: StorageId| target.iter().any(|m| m.storage == storage);
        // The last to go is the one whose place it was.
        let surplus = || arc.members.iter().rev().filter(|m| !wanted(m.storage));
        let surplus = surplus().find(|m| self.away.contains(&m.storage)).or(surplus().next());
        if let Some(filling) = arc.filling {
            if !wanted(filling) {
                return step(First::Nothing, Decree::Shrink { storage: filling });
            }
            // Two steps in one: whoever falls out goes as soon as the newcomer is filled.
            return match surplus {
                Some(member) => step(First::Sync, Decree::Shrink { storage: member.storage }),
                None => step(First::Sync, Decree::Filled),
            };
        }
        if let Some(new) = target.iter().find(|m| !arc.has(m.storage)) {
            let place = if new.storage == target[0].storage { 0 } else { arc.members.len() as u8 };
            // Out of an even number, the majorities before and after need not share a full member.
            let first = if arc.members.len().is_multiple_of(2) {
                First::SyncAndTeach
            } else {
                First::Teach
            };
            return step(first, Decree::Grow { member: new.clone(), place });
        }
        if let Some(member) = surplus {
            return step(First::Sync, Decree::Shrink { storage: member.storage });
        }
        if arc.first().storage != target[0].storage {
            return step(First::Nothing, Decree::Lead { storage: target[0].storage });
        }
        if arc.copies != self.copies {
            return step(First::Nothing, Decree::Copies { wanted: self.copies });
        }
        let moved = target.iter().find(|m| arc.member(m.storage).is_some_and(|held| held != *m));
        moved.and_then(|member| step(First::Nothing, Decree::Readdress { member: member.clone() }))
    }

    /// A boundary that is and should not be.
    fn merge(&self, arc: &RingArc, arcs: &[RingArc]) -> Option<Step> {
        if self.places.iter().any(|(place, _)| *place == arc.span.to) {
            return None;
        }
        let upper =
            arcs.iter().find(|upper| upper.span.from == arc.span.to && upper.span != arc.span)?;
        if upper.filling.is_some() || upper.sealed.is_some() {
            return None;
        }
        let seal = Decree::Seal { upper: Seal { span: upper.span, epoch: upper.epoch } };
        let step = |arc: &RingArc, decree| Step { arc: arc.clone(), first: First::Nothing, decree };
        if mutant::is("M16") {
            return Some(step(upper, Decree::Absorb { lower: seal.next(arc).ok()?.remove(0) }));
        }
        Some(step(arc, seal))
    }
}

/// A seal is gone through with while the upper arc is as the seal names it, and taken back once that has become something
/// else: only then is it known that nobody can absorb the sealed arc any more.
///
/// Something newer over the upper span is proof enough. Had the slot chosen to absorb, the newer arc would be the joined
/// one, which covers the sealed arc; or one that came of it, and then a majority has let go of the sealed arc already, and
/// its reopening finds no votes.
fn unseal(arc: &RingArc, arcs: &[RingArc]) -> Option<Step> {
    let seal = arc.sealed?;
    let step =
        |arc: &RingArc, decree| Some(Step { arc: arc.clone(), first: First::Nothing, decree });
    let above: Vec<&RingArc> = arcs.iter().filter(|upper| upper.span.overlaps(seal.span)).collect();
    if above.iter().any(|upper| upper.epoch > seal.epoch) {
        return step(arc, Decree::Reopen);
    }
    let absorb = Decree::Absorb { lower: arc.clone() };
    let upper = above.iter().find(|upper| upper.span == seal.span && upper.epoch == seal.epoch);
    if let Some(upper) = upper.filter(|upper| absorb.next(upper).is_ok()) {
        return step(upper, absorb);
    }
    // It cannot be absorbed after all, or what is known of it is older than the seal. To decide anything there makes known
    // what it has become.
    let open = above.into_iter().find(|upper| upper.sealed.is_none())?;
    step(open, Decree::Copies { wanted: open.copies })
}

#[cfg(test)]
mod tests;
