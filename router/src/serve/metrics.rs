//! Counts what is asked, without a lock: workers share these numbers, and a ready-made histogram would make them wait for
//! each other at every request.

use super::place::OPERATIONS;
use crate::keeper::{Deed, Kind, Work};
use actix_web::http::StatusCode;
use minor_manners::body::InFlight;
use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
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

/// Everything that is counted.
pub(super) struct Metrics {
    operations: [Counted; OPERATIONS.len()],
    /// What the keeper carried out to its end.
    actions: [AtomicU64; Kind::ALL.len()],
    /// Of so many records, or keys.
    repairs: [AtomicU64; REPAIRS.len()],
    in_flight: InFlight,
}

/// How the ring stands, looked at only when asked for.
pub(super) struct Standing {
    /// Arcs that have fewer copies than they should, or one still being filled.
    pub(super) under_copied: usize,
    /// Every storage, and whether it answers.
    pub(super) storages: Vec<(String, bool)>,
}

impl Metrics {
    pub(super) fn new(in_flight: &InFlight) -> Self {
        Self {
            operations: Default::default(),
            actions: Default::default(),
            repairs: Default::default(),
            in_flight: in_flight.clone(),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_keeper_has_done_is_counted_and_what_it_only_began_is_not() {
        let metrics = Metrics::new(&InFlight::default());
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
        let metrics = Metrics::new(&InFlight::default());
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
