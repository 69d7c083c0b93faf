//! Counts what is asked, without a lock: workers share these numbers, and a ready-made histogram would make them wait for
//! each other at every request.

use super::place::OPERATIONS;
use crate::{
    counters::Counters,
    keeper::{Deed, Kind, Work},
};
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

/// What a keeper repairs.
const REPAIRS: [&str; 4] = ["copied", "levelled", "swept", "piece"];

/// The first so many operations are about keys; the others are about the ring.
const ABOUT_KEYS: usize = OPERATIONS.len() - 1;

/// Requests about keys, by how long they took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SoFar {
    took: [u64; BUCKETS_US.len() + 1],
    failed: u64,
}

impl SoFar {
    /// What came between an earlier count and this one.
    pub(super) fn since(&self, before: &Self) -> Self {
        let between = |bucket: usize| self.took[bucket].saturating_sub(before.took[bucket]);
        Self {
            took: std::array::from_fn(between),
            failed: self.failed.saturating_sub(before.failed),
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.took.iter().sum()
    }

    /// Those that we failed to answer.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// In how many microseconds this part of them, of one, was answered, about: a bucket's requests are taken to lie evenly
    /// in it. None if there were no requests.
    pub(super) fn quantile_us(&self, part: f64) -> Option<u64> {
        let (all, mut left) = (self.requests(), 0.0);
        for (bucket, count) in self.took.iter().enumerate().filter(|(_, count)| **count > 0) {
            let before = left;
            left += *count as f64;
            if left >= part * all as f64 {
                let from = if bucket == 0 { 0 } else { BUCKETS_US[bucket - 1] };
                let to = BUCKETS_US.get(bucket).copied().unwrap_or(from);
                let within = (part * all as f64 - before) / *count as f64;
                return Some(from + ((to - from) as f64 * within) as u64);
            }
        }
        None
    }
}

/// Everything that is counted.
pub(super) struct Metrics {
    operations: [Counted; OPERATIONS.len()],
    /// What the keeper carried out to its end.
    actions: [AtomicU64; Kind::ALL.len()],
    /// Of so many records, or keys.
    repairs: [AtomicU64; REPAIRS.len()],
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
        Self {
            operations: Default::default(),
            actions: Default::default(),
            repairs: Default::default(),
            in_flight: in_flight.clone(),
            counters: Arc::clone(counters),
        }
    }

    /// Counts what the keeper has done.
    pub(super) fn note(&self, deed: &Deed) {
        let Deed::Done { kind, work, .. } = deed else { return };
        let of_kind = Kind::ALL.iter().zip(&self.actions).find(|(one, _)| *one == kind);
        if let Some((_, count)) = of_kind {
            count.fetch_add(1, Relaxed);
        }
        let Work { copied, levelled, swept, pieces, .. } = work;
        for (count, more) in self.repairs.iter().zip([copied, levelled, swept, pieces]) {
            count.fetch_add(*more, Relaxed);
        }
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

    /// What was asked about keys until now.
    pub(super) fn so_far(&self) -> SoFar {
        let mut so_far = SoFar::default();
        for counted in &self.operations[..ABOUT_KEYS] {
            for (sum, took) in so_far.took.iter_mut().zip(&counted.took) {
                *sum += took.load(Relaxed);
            }
            so_far.failed += counted.results[RESULTS.len() - 1].load(Relaxed);
        }
        so_far
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
        writeln!(out, "# HELP sdht_keeper_actions_total What the keeper carried out to its end")?;
        writeln!(out, "# TYPE sdht_keeper_actions_total counter")?;
        for (kind, count) in Kind::ALL.iter().zip(&self.actions) {
            let (kind, count) = (kind.name(), count.load(Relaxed));
            writeln!(out, "sdht_keeper_actions_total{{action=\"{kind}\"}} {count}")?;
        }
        writeln!(out, "# HELP sdht_repairs_total Records and keys the keeper repaired")?;
        writeln!(out, "# TYPE sdht_repairs_total counter")?;
        for (kind, count) in REPAIRS.iter().zip(&self.repairs) {
            writeln!(out, "sdht_repairs_total{{kind=\"{kind}\"}} {}", count.load(Relaxed))?;
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
    fn a_quantile_lies_in_its_bucket_and_grows_with_its_part() {
        let metrics = Metrics::new(&InFlight::default(), &Arc::default());
        assert_eq!(metrics.so_far().quantile_us(0.5), None);
        for us in [100, 200, 300, 4_000] {
            metrics.count(0, StatusCode::OK, Duration::from_micros(us));
        }
        let before = metrics.so_far();
        let at = |part| before.quantile_us(part).unwrap();
        assert!(at(0.5) <= 250 && (250..=500).contains(&at(0.75)), "{before:?}");
        assert!((2_500..=5_000).contains(&at(0.99)) && at(0.99) <= at(1.0));
        metrics.count(1, StatusCode::BAD_GATEWAY, Duration::from_secs(60));
        metrics.count(5, StatusCode::OK, Duration::from_secs(1));
        let since = metrics.so_far().since(&before);
        assert_eq!((since.requests(), since.failed()), (1, 1), "the page itself does not count");
        assert_eq!(since.quantile_us(0.5), Some(10_000_000));
    }

    #[test]
    fn what_the_keeper_has_done_is_counted_and_what_it_only_began_is_not() {
        let metrics = Metrics::new(&InFlight::default(), &Arc::default());
        metrics.note(&Deed::Begun { kind: Kind::Evict, why: String::new() });
        let mut work = Work::default();
        work.copied = 7;
        metrics.note(&Deed::Done { kind: Kind::Evict, work, took_ms: 1 });
        metrics.note(&Deed::Failed { kind: Kind::Balance, why: String::new() });
        let text = metrics.text(None);
        for line in [
            "sdht_keeper_actions_total{action=\"evict\"} 1",
            "sdht_keeper_actions_total{action=\"balance\"} 0",
            "sdht_repairs_total{kind=\"copied\"} 7",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
    }

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
