//! How fast data may be moved: so many bytes in a second, and whoever would move more waits for its turn.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::{Duration, Instant, sleep_until};

/// A limit on bytes per second, shared by all that move.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Book>);

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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
