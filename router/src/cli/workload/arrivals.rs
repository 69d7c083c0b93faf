//! When each operation is to begin: as soon as a task is free, or at moments that nobody's slowness moves.
//!
//! With a fixed rate an operation that finds all tasks busy waits, and its latency is counted from the moment it should have
//! begun, waiting included: a ring that stops for a second shows a second, and not one slow operation for each task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Moments of a fixed rate: pure, and free of drift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timetable {
    per_second: f64,
}

impl Timetable {
    pub(crate) fn new(per_second: f64) -> Self {
        Self { per_second }
    }

    /// When the operation of this number is due, the first being number 0.
    pub(crate) fn due(self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.per_second)
    }

    /// How many are due until then.
    pub(crate) fn until(self, elapsed: Duration) -> u64 {
        let guess = (elapsed.as_secs_f64() * self.per_second) as u64;
        (guess.saturating_sub(1)..).find(|n| self.due(*n) > elapsed).unwrap_or(u64::MAX)
    }
}

/// Lets operations begin at a fixed rate. A thread of its own keeps the time: the runtime's own clock ticks in whole
/// milliseconds, which is longer than an operation takes.
#[derive(Debug)]
pub(crate) struct Gate {
    timetable: Timetable,
    begun: Instant,
    open: Arc<Semaphore>,
    over: Arc<AtomicBool>,
    next: std::cell::Cell<u64>,
}

impl Gate {
    pub(crate) fn open(timetable: Timetable) -> Self {
        let (open, over) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
        let begun = Instant::now();
        let keep_time = {
            let (open, over) = (Arc::clone(&open), Arc::clone(&over));
            move || {
                let mut let_in = 0;
                while !over.load(Relaxed) {
                    let due = timetable.until(begun.elapsed());
                    open.add_permits(usize::try_from(due - let_in).unwrap_or(0));
                    let_in = due;
                    let wait = timetable.due(due).saturating_sub(begun.elapsed());
                    thread::sleep(wait.min(Duration::from_millis(100)));
                }
            }
        };
        thread::spawn(keep_time);
        Self { timetable, begun, open, over, next: std::cell::Cell::new(0) }
    }

    /// Waits for the next operation that is due, and says when it was.
    pub(crate) async fn pass(&self) -> Instant {
        if let Ok(permit) = self.open.acquire().await {
            permit.forget();
        }
        let number = self.next.get();
        self.next.set(number + 1);
        self.begun + self.timetable.due(number)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_by_a_moment_is_what_was_due_before_it() {
        for rate in [0.5, 3.0, 1_000.0, 77_777.7] {
            let timetable = Timetable::new(rate);
            for us in (0..3_000_000_u64).step_by(7_919) {
                let elapsed = Duration::from_micros(us);
                let until = timetable.until(elapsed);
                assert!(timetable.due(until) > elapsed, "{rate} {us}");
                assert!(until == 0 || timetable.due(until - 1) <= elapsed, "{rate} {us}");
            }
        }
    }

    #[test]
    fn whoever_is_late_is_told_when_it_was_due_and_not_when_it_came() {
        let gate = Gate::open(Timetable::new(1_000.0));
        thread::sleep(Duration::from_millis(50));
        let due: Vec<Duration> =
            (0..40).map(|_| pollster::block_on(gate.pass()) - gate.begun).collect();
        let expected: Vec<Duration> = (0..40).map(Duration::from_millis).collect();
        assert_eq!(due, expected);
    }

    #[test]
    fn nobody_passes_before_its_moment() {
        let gate = Gate::open(Timetable::new(500.0));
        for _ in 0..20 {
            let due = pollster::block_on(gate.pass());
            assert!(Instant::now() >= due);
        }
    }
}
