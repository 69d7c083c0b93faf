//! Counts what is asked, without a lock: workers share these numbers, and a ready-made histogram would make them wait for
//! each other at every request.

use super::place::OPERATIONS;
use crate::counters::Counters;
use actix_web::http::StatusCode;
use minor_manners::body::InFlight;
use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Microseconds: from a read nearby to what only a ring in trouble takes.
const BUCKETS_US: [u64; 12] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000, 10_000_000,
];
/// How a request may end, as far as a counter cares.
const RESULTS: [&str; 3] = ["ok", "refused", "failed"];

/// One kind of operation.
#[derive(Default)]
struct Counted {
    results: [AtomicU64; RESULTS.len()],
    /// By bucket; the last holds what took longer than all of them.
    took: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

/// Everything that is counted.
pub(super) struct Metrics {
    operations: [Counted; OPERATIONS.len()],
    in_flight: InFlight,
    /// What the routers did for them.
    counters: Arc<Counters>,
}

/// How the ring stands, looked at only when asked for.
pub(super) struct Standing {
    /// Arcs that have fewer copies than they should, or one still being filled.
    pub(super) under_copied: usize,
    /// Every storage, and whether it answers.
    pub(super) storages: Vec<(String, bool)>,
}

impl Metrics {
    pub(super) fn new(in_flight: &InFlight, counters: &Arc<Counters>) -> Self {
        let (in_flight, counters) = (in_flight.clone(), Arc::clone(counters));
        Self { operations: Default::default(), in_flight, counters }
    }

    /// Counts one request.
    pub(super) fn count(&self, operation: usize, status: StatusCode, took: Duration) {
        let result = match status.as_u16() {
            0..400 => 0,
            400..500 => 1,
            _ => 2,
        };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let counted = &self.operations[operation];
        counted.results[result].fetch_add(1, Relaxed);
        counted.took[BUCKETS_US.partition_point(|most| *most < us)].fetch_add(1, Relaxed);
        counted.sum_us.fetch_add(us, Relaxed);
    }

    /// All of it, as Prometheus reads it.
    pub(super) fn text(&self, standing: Option<&Standing>) -> String {
        let mut text = String::new();
        self.write(&mut text, standing).expect("a text takes whatever is written to it");
        text
    }

    fn write(&self, out: &mut String, standing: Option<&Standing>) -> std::fmt::Result {
        let named = || OPERATIONS.iter().zip(&self.operations);
        writeln!(out, "# HELP sdht_requests_total Requests answered")?;
        writeln!(out, "# TYPE sdht_requests_total counter")?;
        for (op, counted) in named() {
            for (result, count) in RESULTS.iter().zip(&counted.results) {
                let count = count.load(Relaxed);
                writeln!(out, "sdht_requests_total{{op=\"{op}\",result=\"{result}\"}} {count}")?;
            }
        }
        let name = "sdht_request_duration_seconds";
        writeln!(out, "# HELP {name} From a head read to its answer")?;
        writeln!(out, "# TYPE {name} histogram")?;
        for (op, counted) in named() {
            let mut count = 0;
            for (most, took) in BUCKETS_US.iter().zip(&counted.took) {
                count += took.load(Relaxed);
                let most = *most as f64 / 1e6;
                writeln!(out, "{name}_bucket{{op=\"{op}\",le=\"{most}\"}} {count}")?;
            }
            count += counted.took[BUCKETS_US.len()].load(Relaxed);
            let sum = counted.sum_us.load(Relaxed) as f64 / 1e6;
            writeln!(out, "{name}_bucket{{op=\"{op}\",le=\"+Inf\"}} {count}")?;
            writeln!(out, "{name}_sum{{op=\"{op}\"}} {sum}")?;
            writeln!(out, "{name}_count{{op=\"{op}\"}} {count}")?;
        }
        let held = self.in_flight.bytes();
        writeln!(out, "# HELP sdht_in_flight_bytes Bytes of requests held")?;
        writeln!(out, "# TYPE sdht_in_flight_bytes gauge\nsdht_in_flight_bytes {held}")?;
        self.write_counters(out)?;
        let Some(Standing { under_copied, storages }) = standing else { return Ok(()) };
        writeln!(out, "# HELP sdht_under_copied_arcs Arcs that lack a copy")?;
        writeln!(
            out,
            "# TYPE sdht_under_copied_arcs gauge\nsdht_under_copied_arcs {under_copied}"
        )?;
        writeln!(out, "# HELP sdht_storage_up Whether a storage answers")?;
        writeln!(out, "# TYPE sdht_storage_up gauge")?;
        for (address, is_up) in storages {
            // An address is what a storage says it is.
            let address = address.escape_default();
            writeln!(out, "sdht_storage_up{{storage=\"{address}\"}} {}", u8::from(*is_up))?;
        }
        Ok(())
    }

    fn write_counters(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "# HELP sdht_attempts_total Tries of operations after the first, by what was in the way"
        )?;
        writeln!(out, "# TYPE sdht_attempts_total counter")?;
        for (reason, count) in self.counters.attempts() {
            writeln!(out, "sdht_attempts_total{{reason=\"{}\"}} {count}", reason.name())?;
        }
        let (buckets, count, sum) = self.counters.all_hops();
        writeln!(
            out,
            "# HELP sdht_hops Requests to find the arc of a key and to ask it: 1 where the ring is remembered"
        )?;
        writeln!(out, "# TYPE sdht_hops histogram")?;
        for (most, count) in buckets {
            writeln!(out, "sdht_hops_bucket{{le=\"{most}\"}} {count}")?;
        }
        writeln!(out, "sdht_hops_bucket{{le=\"+Inf\"}} {count}")?;
        writeln!(out, "sdht_hops_sum {sum}\nsdht_hops_count {count}")?;
        writeln!(out, "# HELP sdht_moved_keys_total Keys copied to storages that lacked them")?;
        writeln!(out, "# TYPE sdht_moved_keys_total counter")?;
        for (cause, keys, _) in self.counters.all_moved() {
            writeln!(out, "sdht_moved_keys_total{{cause=\"{}\"}} {keys}", cause.name())?;
        }
        writeln!(out, "# HELP sdht_moved_bytes_total Bytes of them")?;
        writeln!(out, "# TYPE sdht_moved_bytes_total counter")?;
        for (cause, _, bytes) in self.counters.all_moved() {
            writeln!(out, "sdht_moved_bytes_total{{cause=\"{}\"}} {bytes}", cause.name())?;
        }
        let remaining = self.counters.remaining_keys();
        writeln!(
            out,
            "# HELP sdht_move_remaining_keys Keys of the arcs under way that are still to be looked at"
        )?;
        writeln!(out, "# TYPE sdht_move_remaining_keys gauge\nsdht_move_remaining_keys {remaining}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longer_stands_in_a_later_bucket() {
        let metrics = Metrics::new(&InFlight::default(), &Arc::default());
        metrics.count(0, StatusCode::OK, Duration::from_micros(250));
        metrics.count(0, StatusCode::NOT_FOUND, Duration::from_micros(251));
        metrics.count(0, StatusCode::BAD_GATEWAY, Duration::from_secs(60));
        let text = metrics.text(None);
        for line in [
            "sdht_requests_total{op=\"get\",result=\"refused\"} 1",
            "sdht_request_duration_seconds_bucket{op=\"get\",le=\"0.00025\"} 1",
            "sdht_request_duration_seconds_bucket{op=\"get\",le=\"0.0005\"} 2",
            "sdht_request_duration_seconds_bucket{op=\"get\",le=\"10\"} 2",
            "sdht_request_duration_seconds_count{op=\"get\"} 3",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
    }
}
