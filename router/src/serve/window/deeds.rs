//! What the keeper of this door did lately, for whoever looks at the page and not into the log.

use crate::{
    keeper::{self, Kind},
    serve::picture::Deed,
};
use std::collections::VecDeque;

/// Lines that are remembered.
const REMEMBERED: usize = 8;

/// The last lines.
#[derive(Default)]
pub(super) struct Deeds(VecDeque<Deed>);

impl Deeds {
    /// One more, unless it is everyday work.
    pub(super) fn note(&mut self, at_ms: u64, deed: &keeper::Deed) {
        if deed.kind().is_some_and(|kind| matches!(kind, Kind::Sweep | Kind::SweepPieces)) {
            return;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Deed { at_ms, said: deed.to_string() });
    }

    /// All of them, the oldest first.
    pub(super) fn told(&self) -> Vec<Deed> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_told_and_sweeping_is_not() {
        let mut deeds = Deeds::default();
        deeds.note(1, &keeper::Deed::Begun { kind: Kind::Sweep, why: "it is time".into() });
        for n in 0..10 {
            deeds.note(n, &keeper::Deed::Noticed(n.to_string()));
        }
        let told = deeds.told();
        assert_eq!(told.len(), REMEMBERED);
        assert_eq!((told[0].at_ms, &*told[7].said), (2, "9"));
    }
}
