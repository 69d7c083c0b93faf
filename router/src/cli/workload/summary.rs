//! How long operations took, and how it is shown: a table, a small chart, and JSON.

use super::{super::table, letters::Kind};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Latencies of one kind of operation.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// An hour, in microseconds: nothing is waited for longer.
const MOST_US: u64 = 3_600_000_000;

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MOST_US, 3).expect("the bounds are right"))
    }

    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(MOST_US));
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// In microseconds: the quantiles, then the longest.
    fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let quantile = |(name, part)| (name, self.0.value_at_quantile(part));
        QUANTILES.map(quantile).into_iter().chain([("max", self.0.max())])
    }

    pub(crate) fn to_json(&self, over: Duration) -> Value {
        let mut object = Map::new();
        object.insert("operations".into(), self.count().into());
        object.insert("per_second".into(), rate(self.count(), over).into());
        for (name, us) in self.figures() {
            object.insert(format!("{}_us", name.replace('.', "_")), us.into());
        }
        object.into()
    }
}

/// What happened in one stretch of work.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    by_kind: [Latencies; Kind::ALL.len()],
    /// How long it took in all.
    pub(crate) over: Duration,
    pub(crate) lost: u64,
    pub(crate) stale: u64,
    pub(crate) failed: u64,
    /// Conditional updates that found somebody else had been faster, and were tried anew.
    pub(crate) overtaken: u64,
    /// What the first failure said.
    pub(crate) first_failure: Option<String>,
}

impl Summary {
    pub(crate) fn new() -> Self {
        Self {
            by_kind: std::array::from_fn(|_| Latencies::new()),
            over: Duration::ZERO,
            lost: 0,
            stale: 0,
            failed: 0,
            overtaken: 0,
            first_failure: None,
        }
    }

    pub(crate) fn record(&mut self, kind: Kind, took: Duration) {
        self.by_kind[kind as usize].record(took);
    }

    pub(crate) fn operations(&self) -> u64 {
        self.by_kind.iter().map(Latencies::count).sum()
    }

    /// As many as are under way at a time have failed, and none has been done: the others would fare no better.
    pub(crate) fn is_hopeless(&self, tasks: usize) -> bool {
        self.failed >= tasks.max(10) as u64 && self.operations() == 0
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, &Latencies)> {
        let kinds = Kind::ALL.iter().map(|kind| kind.name()).zip(&self.by_kind);
        kinds.filter(|(_, latencies)| latencies.count() > 0)
    }

    pub(crate) fn table(&self) -> comfy_table::Table {
        let mut table =
            table::of(&["operation", "count", "per second", "p50", "p90", "p99", "p99.9", "max"]);
        table::numbers(&mut table, &[1, 2, 3, 4, 5, 6, 7]);
        for (name, latencies) in self.kinds() {
            let count = latencies.count();
            let mut row =
                vec![name.to_owned(), count.to_string(), format!("{:.0}", rate(count, self.over))];
            row.extend(latencies.figures().map(|(_, us)| time(us)));
            table.add_row(row);
        }
        table
    }

    pub(crate) fn to_json(&self) -> Value {
        let kinds = self.kinds().map(|(name, kind)| (name.to_owned(), kind.to_json(self.over)));
        json!({
            "seconds": self.over.as_secs_f64(),
            "operations": self.operations(),
            "per_second": rate(self.operations(), self.over),
            "kinds": kinds.collect::<Map<_, _>>(),
            "lost": self.lost,
            "stale": self.stale,
            "failed": self.failed,
            "overtaken": self.overtaken,
            "first_failure": self.first_failure,
        })
    }

    /// How many operations took how long, as bars: one for each power of two.
    pub(crate) fn chart(&self) -> String {
        let mut all = Latencies::new();
        for latencies in &self.by_kind {
            all.0.add(&latencies.0).expect("all have the same bounds");
        }
        let steps = all
            .0
            .iter_log(1, 2.0)
            .map(|step| (step.value_iterated_to() + 1, step.count_since_last_iteration()));
        let steps: Vec<(u64, u64)> = steps.skip_while(|(_, count)| *count == 0).collect();
        let rows = steps.iter().map(|(below, count)| (format!("< {}", time(*below)), *count));
        bars(&rows.collect::<Vec<_>>())
    }
}

/// Numbers as bars beside each other.
pub(crate) fn bars(rows: &[(String, u64)]) -> String {
    const LONGEST: u64 = 40;
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let wide = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let digits = most.to_string().len();
    let line = |(name, count): &(String, u64)| {
        let eighths = (count * LONGEST * 8).div_ceil(most) as usize;
        let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
        format!("{name:>wide$}  {count:>digits$}  {}{rest}", "█".repeat(eighths / 8))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A time for people.
fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// So many in this time, per second.
pub(crate) fn rate(count: u64, over: Duration) -> f64 {
    let rate = count as f64 / over.as_secs_f64().max(1e-9);
    (rate * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_what_was_recorded() {
        let mut summary = Summary::new();
        summary.over = Duration::from_secs(2);
        (1..=1_000).for_each(|ms| summary.record(Kind::Read, Duration::from_millis(ms)));
        summary.record(Kind::Update, Duration::from_micros(7));
        let json = summary.to_json();
        assert_eq!(json["operations"], 1_001);
        assert_eq!(json["kinds"]["read"]["per_second"], 500.0);
        assert_eq!(json["kinds"]["update"]["max_us"], 7);
        for (name, ms) in [("p50_us", 500), ("p90_us", 900), ("p99_us", 990), ("p99_9_us", 999)] {
            let us = json["kinds"]["read"][name].as_u64().unwrap();
            assert!(us.abs_diff(ms * 1_000) <= ms, "{name}: {us}");
        }
        assert!(!summary.table().to_string().contains("scan"), "what did not happen has no line");
    }

    #[test]
    fn the_longest_bar_is_that_of_the_most() {
        let rows = [("a".to_owned(), 0), ("bb".to_owned(), 10), ("c".to_owned(), 5)];
        let bars = bars(&rows);
        let lengths: Vec<usize> = bars.lines().map(|l| l.matches('█').count()).collect();
        assert_eq!(lengths, [0, 40, 20], "{bars}");
    }

    #[test]
    fn every_operation_is_in_the_chart() {
        let mut summary = Summary::new();
        for us in [90, 100, 300, 5_000] {
            summary.record(Kind::Read, Duration::from_micros(us));
        }
        let chart = summary.chart();
        let count = |line: &str| {
            line.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).next_back()
        };
        let in_all: u64 = chart.lines().filter_map(count).sum();
        assert_eq!(in_all, 4, "{chart}");
    }
}
