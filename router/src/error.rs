//! Every way to fail, one kind for each kind of operation, and each says what still holds.
//!
//! ```text
//!   NotConnected   no handle; nothing was changed, unless it says how far a founding came
//!   NotSet         a change: not done, or done by nobody knows; [`NotSet::changed_nothing`] tells them apart
//!   NotGot         a reading: nothing was changed, ever
//!   NotMoved       a change of the ring: what was agreed on the way holds, and said again it goes on from there
//! ```

use crate::{moves::NotMoved, walk::NoRing};
use minor_protocol::{Key, Span, Stamp, key::NoKey};

/// Why there is no handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotConnected {
    /// The ring was not found. Nothing was changed.
    #[error(transparent)]
    NoRing(#[from] NoRing),
    /// The system gives no thread, or no way to wait for the network. Nothing was changed.
    #[error("the router could not start: {0}")]
    NoThread(String),
    /// The storage could not be made a ring, or part of one. What was agreed on the way holds; try it again.
    #[error(transparent)]
    NotMoved(#[from] NotMoved),
}

/// Why a change was not made, or nobody can tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSet {
    /// Not done: this is no key.
    #[error(transparent)]
    NoKey(#[from] NoKey),
    /// Not done: the value has no CBOR form.
    #[error("the value of key '{key}' cannot be written as CBOR: {why}")]
    NoForm {
        /// The key.
        key: Key,
        /// What the value's type says.
        why: String,
    },
    /// Not done: the value, or its content type, is too long.
    #[error("{what} of key '{key}' has {bytes} bytes, and at most {most} are kept")]
    TooLong {
        /// The key.
        key: Key,
        /// What is too long.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// Not done: that content type is the router's own.
    #[error(
        "key '{key}' was not set: {} is what the headers of large objects are",
        crate::object::OBJECT
    )]
    Reserved {
        /// The key.
        key: Key,
    },
    /// Not done: what was to be put could not be read to its end. What was there is whole.
    #[error("what was to be put under key '{key}' could not be read to its end: {why}")]
    Unread {
        /// The key.
        key: Key,
        /// What its reader says.
        why: String,
    },
    /// Not done: what was expected of the key is not so. This is the stamp of the value that is there, if there is one.
    #[error("key '{key}' is not as expected: {}", found.map_or("there is no value".into(), |stamp| format!("its value is of stamp {}", stamp.0)))]
    NotMet {
        /// The key.
        key: Key,
        /// What is there.
        found: Option<Stamp>,
    },
    /// Not done, now or later.
    #[error("key '{key}' was not changed: {why}")]
    NotDone {
        /// The key.
        key: Key,
        /// What stood in the way.
        why: Trouble,
    },
    /// Perhaps done, perhaps to be done yet: read before you change it again.
    #[error(
        "nobody can tell whether key '{key}' was changed: {why}. Read it before you change it again."
    )]
    Unknown {
        /// The key.
        key: Key,
        /// What stood in the way.
        why: Trouble,
    },
}

/// Why a key could not be read, or a listing could not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotGot {
    /// This is no key.
    #[error(transparent)]
    NoKey(#[from] NoKey),
    /// There is a value, but not of the type that was asked for.
    #[error("the value of key '{key}' ({content_type}) is not what was asked for: {why}")]
    AnotherType {
        /// The key.
        key: Key,
        /// What the value is said to be.
        content_type: String,
        /// Why it is not that type.
        why: String,
    },
    /// It could not be read.
    #[error("key '{key}' could not be read: {why}")]
    NotRead {
        /// The key.
        key: Key,
        /// What stood in the way.
        why: Trouble,
    },
    /// It is longer than what is handed over in one piece: read it as a stream.
    #[error(
        "key '{key}' holds {bytes} bytes, and at most {most} are read at once: read it as a stream"
    )]
    TooLong {
        /// The key.
        key: Key,
        /// How long it is.
        bytes: u64,
        /// How much is read at once.
        most: u64,
    },
    /// It was set or deleted while it was read: what was handed over is the beginning of what was there before.
    #[error("key '{key}' was changed while it was read: read it again from its beginning")]
    Replaced {
        /// The key.
        key: Key,
    },
    /// The large object there is not whole. What was handed over of it must not be believed.
    #[error("the large object under key '{key}' is damaged: {why}")]
    Damaged {
        /// The key.
        key: Key,
        /// What is wrong with it.
        why: String,
    },
    /// The keys of a part of the ring could not be listed.
    #[error("the keys of {span} could not be listed: {why}")]
    NotListed {
        /// The part.
        span: Span,
        /// What stood in the way.
        why: Trouble,
    },
}

/// Why a change has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotChanged {
    /// Nothing was changed, now or later.
    #[error("key '{key}' was not changed: {why}")]
    NotDone {
        /// The key.
        key: Key,
        /// What stood in the way.
        why: Trouble,
    },
    /// It may have been done, or may still be: read before you write again.
    #[error(
        "nobody can tell whether key '{key}' was changed: {why}. Read it before you change it again."
    )]
    Unknown {
        /// The key.
        key: Key,
        /// What stood in the way.
        why: Trouble,
    },
}

/// Why a key could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key '{key}' could not be read: {why}")]
pub struct NotRead {
    /// The key.
    pub key: Key,
    /// What stood in the way.
    pub why: Trouble,
}

/// What stood in the way of the last try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The ring was not found.
    #[error(transparent)]
    NoRing(#[from] NoRing),
    /// Fewer than a majority of the arc's storages did what was asked of them.
    #[error(
        "{heard} of {of} storages of {span} did what was asked within {tried_ms} ms; last: {last}"
    )]
    NoMajority {
        /// The arc.
        span: Span,
        /// How many did.
        heard: usize,
        /// How many there are.
        of: usize,
        /// How long it was tried.
        tried_ms: u64,
        /// The last no, or silence.
        last: String,
    },
    /// So many of the arc's storages are closed to us that the others are no majority.
    #[error("{last}")]
    NotAllowed {
        /// The last no, or silence.
        last: String,
    },
    /// Others changed the key all the time.
    #[error("others were always faster, for {tried_ms} ms")]
    Contention {
        /// How long it was tried.
        tried_ms: u64,
    },
    /// So many others have changed the key that nobody can tell.
    #[error("too many others changed it meanwhile")]
    Forgotten,
    /// The router's own thread has ended: a fault of its own, or the process is ending.
    #[error("the router has ended")]
    Ended,
    /// A large object took so long that its pieces might be taken for orphans.
    #[error("it took more than {hours} hours")]
    TooSlow {
        /// How long it may take.
        hours: u64,
    },
    /// So many disks are full that the others are too few; this is the address of one of those storages.
    #[error("the disk of storage {0} is nearly full")]
    Full(String),
}

impl NotConnected {
    /// Whether the same, tried again a little later, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoRing(no_ring) => no_ring.is_retryable(),
            Self::NotMoved(not_moved) => not_moved.is_retryable(),
            Self::NoThread(_) => false,
        }
    }
}

impl NotSet {
    /// Whether the same, tried again a little later, may succeed and does no harm.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotDone { why, .. } if why.is_retryable())
    }

    /// Whether it is certain that nothing was changed, and that nothing will be.
    pub fn changed_nothing(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
}

impl NotGot {
    /// Whether the same, tried again a little later, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotRead { why, .. } | Self::NotListed { why, .. } => why.is_retryable(),
            Self::Replaced { .. } => true,
            Self::NoKey(_)
            | Self::AnotherType { .. }
            | Self::TooLong { .. }
            | Self::Damaged { .. } => false,
        }
    }
}

impl NotMoved {
    /// Whether the same, tried again a little later, may get further.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoRing(no_ring) => no_ring.is_retryable(),
            Self::Silent { .. } | Self::Stuck { .. } | Self::NoMajority(_) => true,
            Self::NotBrought { .. } | Self::Beside(_) | Self::NotSeen { .. } => true,
            Self::Differs { .. } | Self::Apart { .. } => false,
            Self::NotSwept(why) => why.is_retryable(),
            Self::NoGoal(_) | Self::Refused { .. } | Self::Uneven(_) => false,
            Self::Alive { .. } | Self::Replaced { .. } | Self::Unknown { .. } | Self::Ended => {
                false
            }
        }
    }
}

impl NoRing {
    /// Whether the same, tried again a little later, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NobodyAnswers { .. } | Self::Gap { .. } => true,
            Self::NobodyKnown
            | Self::Ended
            | Self::NotFounded(_)
            | Self::NotAllowed { .. }
            | Self::AnotherRing { .. } => false,
        }
    }

    /// Whether only the user can mend it: by a token, or by another address.
    pub(crate) fn is_for_good(&self) -> bool {
        matches!(self, Self::NotAllowed { .. } | Self::NotFounded(_) | Self::AnotherRing { .. })
    }
}

impl Trouble {
    /// Whether it may pass by itself.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoRing(no_ring) => no_ring.is_retryable(),
            Self::NoMajority { .. } | Self::Contention { .. } => true,
            Self::NotAllowed { .. }
            | Self::Forgotten
            | Self::TooSlow { .. }
            | Self::Full(_)
            | Self::Ended => false,
        }
    }
}

impl From<NotChanged> for NotSet {
    fn from(why: NotChanged) -> Self {
        match why {
            NotChanged::NotDone { key, why } => Self::NotDone { key, why },
            NotChanged::Unknown { key, why } => Self::Unknown { key, why },
        }
    }
}

impl From<NotRead> for NotGot {
    fn from(NotRead { key, why }: NotRead) -> Self {
        Self::NotRead { key, why }
    }
}
