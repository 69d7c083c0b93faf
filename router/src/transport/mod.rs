//! How a router reaches storages: one ask out, one set of answers back, or silence.
//!
//! Everything above this trait is the same over HTTP and in the simulation; time too comes from here.

pub mod http;
mod inbox;
pub mod lines;
mod silences;

pub use inbox::Inbox;

use futures_util::future::LocalBoxFuture;
use minor_protocol::{Answers, Ask};

/// Nothing came back, or nothing that can be believed. The storage may have done what it was asked, or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// There was no connection.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The time was up.
    #[error("no answer within {0} ms")]
    TooLate(u64),
    /// It is closed to whoever shows no token, or a wrong one.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// What came is no answer to what was asked.
    #[error("not an answer: {0}")]
    Garbled(String),
}

/// A way to storages.
pub trait Transport: 'static {
    /// Asks the storage at an address. It ends in any case, within the transport's own deadline.
    fn ask(&self, address: &str, ask: Ask) -> LocalBoxFuture<'static, Result<Answers, Silence>>;

    /// The time in milliseconds since 1970; it may be wrong.
    fn now_ms(&self) -> u64;

    /// A number nobody can foresee, below `below`: for jitter, and for names that are drawn once.
    fn chance(&self, below: u64) -> u64;
}
