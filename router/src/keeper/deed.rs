//! What a keeper did and why: a line for the log, and figures for whoever counts.

use super::duties::Kind;
use crate::moves::{Progress, Swept, Synced};
use minor_protocol::Span;
use std::{collections::BTreeMap, fmt};

/// Something a keeper did, or noticed. Its display is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Something that is not acted upon, or not yet.
    Noticed(String),
    /// A duty was begun.
    Begun {
        /// What.
        kind: Kind,
        /// For whom, and why.
        why: String,
    },
    /// It came to its end.
    Done {
        /// What.
        kind: Kind,
        /// What it took.
        work: Work,
        /// How long.
        took_ms: u64,
    },
    /// It did not succeed, and comes again.
    Failed {
        /// What.
        kind: Kind,
        /// Why not.
        why: String,
    },
    /// It was left as it is, for something else.
    SetAside {
        /// What.
        kind: Kind,
        /// For what.
        why: String,
    },
}

impl Deed {
    /// Of what kind of duty it is, if of any.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Noticed(_) => None,
            Self::Begun { kind, .. }
            | Self::Done { kind, .. }
            | Self::Failed { kind, .. }
            | Self::SetAside { kind, .. } => Some(*kind),
        }
    }
}

/// What was done in the course of a duty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Decrees that were agreed.
    pub decrees: u64,
    /// Records that were copied to a newcomer.
    pub copied: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Keys whose copies were made alike.
    pub levelled: u64,
    /// Dead keys that went.
    pub swept: u64,
    /// Pieces that went.
    pub pieces: u64,
    /// How far each arc that is being looked through has come.
    open: BTreeMap<Span, Synced>,
}

impl Work {
    /// Takes in what was told on the way.
    pub(super) fn hear(&mut self, progress: &Progress) {
        match progress {
            Progress::Agreed(..) => self.decrees += 1,
            Progress::Synced(synced) => self.hear_synced(synced),
            Progress::Swept(Swept { keys, pieces }) => {
                (self.swept, self.pieces) = (*keys as u64, *pieces as u64);
            }
            _ => {}
        }
    }

    fn hear_synced(&mut self, synced: &Synced) {
        let before = self.open.insert(synced.span, *synced);
        let (keys, bytes) = synced.since(before.as_ref());
        // What was copied has bytes; what was levelled was written anew by those who keep it.
        match synced.bytes {
            0 => self.levelled += keys,
            _ => self.copied += keys,
        }
        self.bytes += bytes;
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.decrees, "decrees"),
            (self.copied, "records copied"),
            (self.bytes, "bytes moved"),
            (self.levelled, "keys levelled"),
            (self.swept, "dead keys swept"),
            (self.pieces, "orphaned pieces swept"),
        ];
        let mut gap = "";
        for (count, what) in parts.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{gap}{count} {what}")?;
            gap = ", ";
        }
        if gap.is_empty() { f.write_str("nothing had to be moved") } else { Ok(()) }
    }
}

/// What a duty is called in a log.
fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Evict => "evicting the dead",
        Kind::Finish => "finishing what was begun",
        Kind::Refill => "filling damaged storages anew",
        Kind::Level => "levelling copies",
        Kind::Sweep => "sweeping what is dead",
        Kind::SweepPieces => "sweeping orphaned pieces",
        Kind::Balance => "balancing",
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noticed(what) => f.write_str(what),
            Self::Begun { kind, why } => write!(f, "begins {}: {why}", named(*kind)),
            Self::Done { kind, work, took_ms } => {
                write!(f, "is done with {}: {work}, in {took_ms} ms", named(*kind))
            }
            Self::Failed { kind, why } => {
                write!(f, "gives up {} for now, and comes back to it: {why}", named(*kind))
            }
            Self::SetAside { kind, why } => write!(f, "leaves {} for now: {why}", named(*kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::Position;

    #[test]
    fn what_was_copied_is_summed_up_over_all_arcs_and_all_tries() {
        let mut work = Work::default();
        let mut hear = |to, copied, bytes| {
            let span = Span::new(Position(0), Position(to));
            let synced = Synced { copied, bytes, ..Synced::beginning(span, 100, 1_000) };
            work.hear(&Progress::Synced(synced));
        };
        hear(1, 10, 100);
        hear(2, 5, 50);
        hear(1, 30, 300);
        // The first arc is looked through once more.
        hear(1, 2, 20);
        assert_eq!((work.copied, work.bytes, work.levelled), (37, 370, 0));
        assert_eq!(work.to_string(), "37 records copied, 370 bytes moved");
        assert_eq!(Work::default().to_string(), "nothing had to be moved");
    }
}
