//! What is told while the ring changes, for a progress bar or a log.

use super::{Lost, Purged};
use crate::plan::{Step, even::Load};
use minor_protocol::{Decree, RingArc, Span};

/// Something that happened on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This is about to be done; so many members are still to come in or go.
    Step(Step, usize),
    /// So far has the data of an arc been looked through, and copied where it was missing.
    Synced(Synced),
    /// This was agreed.
    Agreed(RingArc, Decree),
    /// Something stands in the way; it is tried again.
    Waiting(String),
    /// Who keeps the most, as it was weighed.
    Weighed(Load),
    /// What was given up with storages that never come back.
    Lost(Lost),
    /// What a storage has cleared away, since others keep it.
    Purged(Purged),
    /// So much of what is dead has gone until now.
    Swept(Swept),
}

/// What was dead, and has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys that were deleted or had expired, of which nothing is left.
    pub keys: usize,
    /// Pieces of large objects that belonged to none.
    pub pieces: usize,
}

/// How far a sync, or a levelling, of one arc has come. Keys looked at of those there are: that is how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The arc's span.
    pub span: Span,
    /// Keys looked at, of about so many.
    pub keys: u64,
    /// Keys there are, as one of the members counted when it began; deleted ones among them.
    pub keys_total: u64,
    /// Keys that had to be copied, or renewed.
    pub copied: u64,
    /// Bytes that were copied to the newcomer: keys and records, as storages count them.
    pub bytes: u64,
    /// Bytes there are.
    pub bytes_total: u64,
}

impl Synced {
    /// Nothing looked at yet.
    pub(crate) fn beginning(span: Span, keys_total: u64, bytes_total: u64) -> Self {
        Self { span, keys: 0, keys_total, copied: 0, bytes: 0, bytes_total }
    }

    /// Keys and bytes that were copied since it was told of the same arc the last time. Less than before, of anything: the
    /// arc is gone through anew, from nothing.
    pub(crate) fn since(&self, before: Option<&Self>) -> (u64, u64) {
        let goes_on = |before: &&Self| {
            before.keys <= self.keys && before.copied <= self.copied && before.bytes <= self.bytes
        };
        let (keys, bytes) = before.filter(goes_on).map_or((0, 0), |b| (b.copied, b.bytes));
        (self.copied - keys, self.bytes - bytes)
    }
}
