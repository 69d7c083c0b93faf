//! Reads what is sent with a request, and bounds it three ways: in bytes, in time, and in what all requests hold together.
//!
//! actix-web ends a slow head but waits for a slow body for ever, so a body has a deadline of its own, which every byte that
//! arrives moves on.
//!
//! What arrives is copied out at once: the pieces that actix hands out keep the whole read buffer of their connection alive.

use crate::problem::Problem;
use actix_web::{
    HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use futures_util::StreamExt;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// What every body may take before it must have come at [`BYTES_PER_SECOND`].
pub const GRACE_SECONDS: u64 = 10;
/// How fast a body comes at the least.
pub const BYTES_PER_SECOND: u64 = 1 << 10;
/// Bytes that all requests hold together, at the most.
pub const IN_FLIGHT_BYTES: usize = 256 << 20;
/// Bytes made room for on the word of a header alone.
const TRUSTED_BYTES: usize = 64 << 10;

/// Bytes of requests and answers that are held just now, by all connections together.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicUsize>);

/// A share of them, given back when dropped.
#[derive(Debug)]
pub struct Held {
    bytes: usize,
    of: InFlight,
}

impl InFlight {
    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Nothing yet.
    pub fn hold(&self) -> Held {
        Held { bytes: 0, of: self.clone() }
    }
}

impl Held {
    /// Takes so many more, if there is room.
    pub fn more(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes += bytes;
        let before = self.of.0.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > IN_FLIGHT_BYTES {
            return Err(Problem::not_now(format!(
                "{before} bytes are being worked on, and {} is the limit: try again in a moment",
                IN_FLIGHT_BYTES
            )));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body of at most `limit` bytes. `what` is the word for it.
pub async fn read(
    call: &HttpRequest,
    body: Payload,
    what: &str,
    limit: usize,
    held: &mut Held,
) -> Result<Vec<u8>, Problem> {
    let announced = announced(call);
    if announced > limit {
        return Err(Problem::too_large(what, limit));
    }
    let mut read = Vec::with_capacity(announced.min(TRUSTED_BYTES));
    let mut pieces = Pieces::of(body);
    while let Some(piece) = pieces.next().await? {
        if read.len() + piece.len() > limit {
            return Err(Problem::too_large(what, limit));
        }
        held.more(piece.len())?;
        read.extend_from_slice(&piece);
    }
    Ok(read)
}

/// A body as it comes, within the time that it may take.
pub struct Pieces {
    body: Payload,
    begun: Instant,
    read: usize,
}

impl Pieces {
    /// Of this body. Its time begins to run.
    pub fn of(body: Payload) -> Self {
        Self { body, begun: Instant::now(), read: 0 }
    }

    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let deadline = self.begun + time_for(self.read);
        let Ok(piece) = timeout_at(deadline, self.body.next()).await else {
            return Err(too_slow());
        };
        let Some(piece) = piece else { return Ok(None) };
        let piece = piece.map_err(cut_short)?;
        self.read += piece.len();
        Ok(Some(piece))
    }
}

/// What the head says about the length; nothing if it says nothing.
pub fn announced(call: &HttpRequest) -> usize {
    let length = call.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// The time that so many bytes and one more may take.
fn time_for(bytes: usize) -> Duration {
    let earned_ms = bytes as u64 * 1_000 / BYTES_PER_SECOND;
    Duration::from_secs(GRACE_SECONDS) + Duration::from_millis(earned_ms)
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        format!(
            "a body must come with at least {} bytes a second, after {} s of grace",
            BYTES_PER_SECOND, GRACE_SECONDS
        ),
    )
    .with(header::CONNECTION, HeaderValue::from_static("close"))
}

fn cut_short(why: PayloadError) -> Problem {
    Problem::malformed(format!("the body could not be read to its end: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let in_flight = InFlight::default();
        let mut one = in_flight.hold();
        let mut two = in_flight.hold();
        one.more(IN_FLIGHT_BYTES).unwrap();
        assert!(two.more(1).is_err());
        drop(two);
        assert_eq!(in_flight.bytes(), IN_FLIGHT_BYTES);
        drop(one);
        assert_eq!(in_flight.bytes(), 0);
    }

    #[test]
    fn bytes_earn_time() {
        assert_eq!(time_for(0), Duration::from_secs(10));
        assert_eq!(time_for(64 << 10), Duration::from_secs(74));
    }
}
