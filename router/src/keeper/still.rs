//! Whether somebody else is changing the ring: then a keeper waits.

use minor_protocol::RingArc;

/// Since when nothing has moved.
#[derive(Default)]
pub(super) struct Stillness {
    /// The arcs, and how many records came to whoever is being filled.
    shown: Vec<(RingArc, u64)>,
    since_ms: u64,
    /// It was we who moved something last.
    is_ours: bool,
}

impl Stillness {
    /// Whatever has changed since the last look was our doing, and nobody has to be waited for.
    pub(super) fn was_ours(&mut self) {
        self.is_ours = true;
    }

    /// Takes in what a look showed, and says for how long nothing has moved.
    pub(super) fn see(&mut self, shown: Vec<(RingArc, u64)>, now_ms: u64) -> u64 {
        let is_ours = std::mem::take(&mut self.is_ours);
        if self.shown != shown && !is_ours {
            self.since_ms = now_ms;
        }
        self.shown = shown;
        now_ms.saturating_sub(self.since_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Member, RingId, StorageId};

    #[test]
    fn it_is_still_for_as_long_as_nothing_moves_that_we_did_not_move_ourselves() {
        let member = Member { storage: StorageId(1), address: "a:1".into(), zone: String::new() };
        let arc = |epoch| RingArc { epoch, ..RingArc::founding(RingId(1), member.clone(), 3) };
        let mut still = Stillness::default();
        let mut see = |epoch, filled, now_ms, is_ours| {
            if is_ours {
                still.was_ours();
            }
            still.see(vec![(arc(epoch), filled)], now_ms)
        };
        assert_eq!(see(1, 0, 1_000, false), 0);
        assert_eq!(see(1, 0, 9_000, false), 8_000);
        assert_eq!(see(1, 7, 10_000, false), 0, "something came to whoever is being filled");
        assert_eq!(see(2, 7, 20_000, true), 10_000, "we did it");
        assert_eq!(see(3, 7, 30_000, false), 0, "it was not we this time");
    }
}
