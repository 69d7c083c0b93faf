//! How the door did in the last minutes: one count a second, also while nobody watches, since it costs next to nothing.

use crate::serve::{metrics::SoFar, picture::Load};
use serde::Serialize;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Counts that are remembered: five minutes of them.
const REMEMBERED: usize = 300;
/// Over so many counts quantiles are taken, or they would jump about.
const TOGETHER: usize = 10;

/// The counts of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Past {
    counts: VecDeque<(Instant, SoFar)>,
    loads: VecDeque<Load>,
}

/// All loads, oldest first.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    loads: &'a VecDeque<Load>,
}

impl Past {
    /// Takes in how much was counted until now, and tells what came since.
    pub(super) fn count(&mut self, so_far: SoFar, now_ms: u64, now: Instant) -> Load {
        let load = match self.counts.back() {
            None => Load { at_ms: now_ms, ..Load::default() },
            Some((before, count)) => {
                let (since, seconds) = (so_far.since(count), (now - *before).as_secs_f64());
                let lately = so_far.since(&self.counts[0].1);
                let a_second = |count: u64| count as f64 / seconds.max(0.001);
                Load {
                    at_ms: now_ms,
                    rate: a_second(since.requests()),
                    failed: a_second(since.failed()),
                    p50_us: lately.quantile_us(0.5),
                    p99_us: lately.quantile_us(0.99),
                }
            }
        };
        self.counts.push_back((now, so_far));
        self.loads.push_back(load);
        while self.counts.len() > TOGETHER {
            self.counts.pop_front();
        }
        while self.loads.len() > REMEMBERED {
            self.loads.pop_front();
        }
        load
    }

    pub(super) fn told(&self) -> Told<'_> {
        Told { loads: &self.loads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::metrics::Metrics;
    use actix_web::http::StatusCode;
    use minor_manners::body::InFlight;
    use std::time::Duration;

    #[test]
    fn a_second_tells_what_came_in_it_and_the_past_has_an_end() {
        let (metrics, mut past) =
            (Metrics::new(&InFlight::default(), &std::sync::Arc::default()), Past::default());
        let begun = Instant::now();
        let mut last = Load::default();
        for second in 0..400_u64 {
            for _ in 0..second % 10 {
                metrics.count(0, StatusCode::OK, Duration::from_millis(2));
            }
            let now = begun + Duration::from_secs(second);
            last = past.count(metrics.so_far(), second * 1_000, now);
        }
        assert_eq!((last.at_ms, last.rate), (399_000, 9.0));
        assert!(last.p99_us.is_some_and(|us| (1_000..=2_500).contains(&us)), "{last:?}");
        assert_eq!(past.loads.len(), REMEMBERED);
        assert_eq!(past.loads[0].at_ms, 100_000);
    }
}
