//! How fast data may be moved, and how much at a time: so many bytes in a second, and so many that are under way. Whoever would
//! move more waits for its turn.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Duration, Instant, sleep_until},
};

/// Bytes of values that are moved one by one, under way at a time. In memory each is several times what it is: two members
/// show it, and it is written down for three.
const UNDER_WAY_BYTES: usize = 1 << 20;

/// A limit on bytes per second, and one on bytes at a time, shared by all that move.
#[derive(Debug)]
pub struct Pace {
    book: Mutex<Book>,
    room: Semaphore,
}

impl Default for Pace {
    fn default() -> Self {
        Self { book: Mutex::default(), room: Semaphore::new(UNDER_WAY_BYTES) }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Book {
    bytes_per_s: Option<u64>,
    /// When everything that was let through is paid for.
    free_at: Option<Instant>,
}

impl Pace {
    /// From now on so many bytes in a second; before it is first said, as many as can be.
    pub fn set_rate(&self, bytes_per_s: u64) {
        self.book().bytes_per_s = Some(bytes_per_s);
    }

    /// Waits until so many bytes may be moved. The first come at once; each one's bytes are waited for by the next.
    pub async fn spend(&self, bytes: usize) {
        if let Some(turn) = self.turn(bytes, Instant::now()) {
            sleep_until(turn).await;
        }
    }

    /// Waits until so many bytes have room among those that are under way; they have it until what is given back is dropped. What is
    /// more than there ever is goes alone.
    pub async fn room(&self, bytes: usize) -> SemaphorePermit<'_> {
        let bytes = bytes.clamp(1, UNDER_WAY_BYTES) as u32;
        self.room.acquire_many(bytes).await.expect("nobody closes it")
    }

    /// When it is the turn of so many bytes that are to be moved now; none if there is no limit.
    fn turn(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let mut book = self.book();
        let rate = book.bytes_per_s?;
        let turn = book.free_at.map_or(now, |free_at| free_at.max(now));
        let took = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        book.free_at = Some(turn + took);
        Some(turn)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Two numbers that are never half written.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_under_way_than_there_is_room_for() {
        use futures_util::FutureExt;
        let pace = Pace::default();
        let half = || pace.room(UNDER_WAY_BYTES / 2);
        let first = half().now_or_never().expect("there is room");
        let second = half().now_or_never().expect("there is room for two");
        assert!(half().now_or_never().is_none(), "a third one waits");
        drop(first);
        let third = half().now_or_never();
        assert!(third.is_some() && pace.room(1).now_or_never().is_none());
        drop(third);
        drop(second);
        assert!(pace.room(usize::MAX).now_or_never().is_some(), "what is too much goes alone");
    }

    #[test]
    fn no_more_goes_through_than_is_allowed() {
        let (pace, begin) = (Pace::default(), Instant::now());
        let turn = |bytes, after_ms| {
            let turn = pace.turn(bytes, begin + Duration::from_millis(after_ms));
            turn.map(|turn| (turn - begin).as_millis())
        };
        assert_eq!(turn(9_000, 0), None, "nobody has set a limit");
        pace.set_rate(1_000);
        let turns: Vec<_> = (0..4).map(|_| turn(500, 0).unwrap()).collect();
        assert_eq!(turns, [0, 500, 1_000, 1_500]);
        assert_eq!(turn(500, 60_000), Some(60_000), "whoever was late does not wait");
        assert_eq!(turn(1, 60_000), Some(60_500), "and a rest is no credit");
    }
}
