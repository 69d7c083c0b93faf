//! How far a change of the ring has come, added up from what is told on the way.

use super::{Progress, Swept, Synced};

/// What a change of the ring has done away with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gone {
    /// Records that storages dropped that are no members there.
    pub purged: u64,
    /// What was dead.
    pub swept: Swept,
}

/// How far a change has come.
#[derive(Clone, Debug, Default)]
pub struct Far {
    /// Members that are still to come in or go, and the most that ever were: as more comes to light, the whole grows.
    left: usize,
    most: usize,
    /// How far each arc has come that is gone through now.
    now: Vec<Synced>,
    /// What was copied until now.
    keys: u64,
    bytes: u64,
    gone: Gone,
}

impl Far {
    /// Something happened.
    pub fn hear(&mut self, progress: &Progress) {
        match progress {
            Progress::Step(_, left) => self.step(*left),
            Progress::Synced(synced) => self.synced(*synced),
            Progress::Purged(purged) => self.gone.purged += purged.records,
            Progress::Swept(swept) => self.gone.swept = *swept,
            Progress::Agreed(..)
            | Progress::Waiting(_)
            | Progress::Weighed(_)
            | Progress::Lost(_) => {}
        }
    }

    /// Keys and bytes that were copied until now.
    pub fn copied(&self) -> (u64, u64) {
        (self.keys, self.bytes)
    }

    /// What was done away with until now.
    pub fn gone(&self) -> Gone {
        self.gone
    }

    fn step(&mut self, left: usize) {
        (self.left, self.most) = (left, self.most.max(left));
    }

    fn synced(&mut self, synced: Synced) {
        let before = self.now.iter().position(|other| other.span == synced.span);
        let before = before.map(|n| self.now.swap_remove(n));
        let (keys, bytes) = synced.since(before.as_ref());
        (self.keys, self.bytes) = (self.keys + keys, self.bytes + bytes);
        self.now.push(synced);
    }

    /// The part that is done, of one.
    pub fn share(&self) -> f64 {
        let part = |synced: &Synced| synced.keys as f64 / synced.keys_total.max(1) as f64;
        let under_way: f64 = self.now.last().map(part).unwrap_or_default();
        let done = (self.most - self.left) as f64 + under_way.min(1.0);
        (done / (self.most as f64 + 1.0)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Position, Span};

    fn synced(to: u64, keys: u64, copied: u64) -> Synced {
        let span = Span::new(Position(0), Position(to));
        Synced { span, keys, keys_total: 100, copied, bytes: 10 * copied, bytes_total: 1_000 }
    }

    #[test]
    fn what_was_copied_adds_up_over_arcs_and_over_tries() {
        let mut far = Far::default();
        for (to, keys, copied) in [(1, 50, 20), (1, 100, 40), (2, 10, 1), (1, 10, 3)] {
            far.synced(synced(to, keys, copied));
        }
        assert_eq!(far.copied(), (44, 440));
        // The last look before a member goes finds nothing left to copy.
        far.synced(synced(1, 100, 0));
        assert_eq!(far.copied(), (44, 440));
    }

    #[test]
    fn the_part_done_goes_up_with_every_step_and_every_key() {
        let mut far = Far::default();
        let mut shares = vec![far.share()];
        for (left, keys) in [(2, 10), (2, 90), (1, 5), (1, 100), (0, 100)] {
            far.step(left);
            far.synced(synced(left as u64 + 1, keys, 0));
            shares.push(far.share());
        }
        assert!(shares.is_sorted() && shares[5] == 1.0, "{shares:?}");
    }
}
