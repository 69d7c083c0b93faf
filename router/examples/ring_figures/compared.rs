//! Ours beside theirs: the same work, the same hour, the medians of some runs, and how far it is to the goal.

use crate::{Failed, Figure, many, operations, peers, process::Process, ring_of};
use std::{collections::BTreeMap, path::Path};

/// What is to be reached: our figure, the peer's, and the ratio; or a rate, where we measure ourselves.
const GOALS: &[(&str, &str, &str, f64)] = &[
    ("S3", "set, 3 copies, 64 at a time", "etcd: set, 64 at a time", 3.0),
    ("S4", "set, 3 copies, 1 at a time", "etcd: set, 1 at a time", 1.5),
    ("S5", "get, 3 copies, 64 at a time", "etcd: get, 64 at a time", 5.0),
    ("S6", "get, 3 copies, 1 at a time", "etcd: get, 1 at a time", 2.5),
    ("S7", "interval: set, 1 copies, 64 at a time", "Redis Cluster: set", 0.7),
    ("S7", "interval: get, 1 copies, 64 at a time", "Redis Cluster: get", 1.0),
    ("S8", "set, 1 copies, 64 at a time", "Redis always: set", 0.8),
    ("S9", "set_many by hundreds, 1 copies (keys)", "", 120_000.0),
    ("S9", "get_many by hundreds, 1 copies (keys)", "", 500_000.0),
];

/// Measures all of it so many times, ours and theirs in turn, and prints the table.
pub(crate) fn print(dir: &Path, runs: usize, times: [usize; 2]) -> Result<(), Failed> {
    let mut rates: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in 0..runs {
        let dir = dir.join(format!("run{run}"));
        std::fs::create_dir(&dir)?;
        for (name, rate) in ours(&dir, times)?.into_iter().chain(peers::measure(&dir, times)?) {
            rates.entry(name).or_default().push(rate);
        }
    }
    let median = |name: &str| {
        let mut rates = rates.get(name)?.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    };
    println!("medians of {runs} runs, values of 100 bytes; per second");
    let heads = ["ours", "theirs", "ratio", "goal"];
    let [ours, theirs, ratio, goal] = heads;
    println!("{:<4}{:<40}{ours:>10}  {:<26}{theirs:>10}{ratio:>8}{goal:>9}", "", "figure", "peer");
    for (number, name, rival, goal) in GOALS {
        let (ours, theirs) = (median(name), median(rival));
        let shown = |rate: Option<f64>| rate.map_or(String::new(), |rate| format!("{rate:.0}"));
        let ratio = ours.zip(theirs).map_or(String::new(), |(o, t)| format!("{:.2}", o / t));
        let (ours, theirs) = (shown(ours), shown(theirs));
        println!("{number:<4}{name:<40}{ours:>10}  {rival:<26}{theirs:>10}{ratio:>8}{goal:>9}");
    }
    Ok(())
}

fn ours(dir: &Path, times: [usize; 2]) -> Result<peers::Rates, Failed> {
    let mut rates = vec![];
    for (copies, durability) in [(3, "always"), (1, "always"), (1, "interval")] {
        let place = |n| dir.join(format!("{copies}-{durability}-{n}"));
        let start = |n| Process::storage(&place(n), &["--durability", durability]);
        let storages = (0..3).map(start).collect::<Result<Vec<_>, _>>()?;
        let mut figures: Vec<Figure> = vec![];
        pollster::block_on(async {
            let ring = ring_of(&storages, copies).await?;
            operations(&ring, &storages, copies, times, &mut figures).await?;
            if copies == 1 {
                many(&ring, &storages, copies, times[0] / 100, &mut figures).await
            } else {
                Ok(())
            }
        })?;
        let before = if durability == "interval" { "interval: " } else { "" };
        rates.extend(figures.into_iter().map(|f| (format!("{before}{}", f.name), f.rate)));
    }
    Ok(rates)
}
