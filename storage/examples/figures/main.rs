//! Figures of one storage, each beside what it is measured against and its goal, all in one run on one machine.
//!
//! ```text
//! cargo run --release -p minor-storage --example figures            # a table, after two minutes or so
//! cargo run --release -p minor-storage --example figures -- --json
//! ```
//!
//! * S1, reading: `GET` on a storage against a bare actix-web handler over a `HashMap`, under the same load, in turn.
//! * S2, writing: durable `PUT` on a storage against its own store asked by as many tasks without HTTP, in turn. Both promise the
//!   same: what is acknowledged survives a power cut.
//! * S13, starting: an empty storage, and one of a million records; and what it holds in memory when idle.
//!
//! Rates are medians of several runs. Ratios travel from machine to machine, absolute figures do not. Load, storage and rival share
//! the machine's cores, so everything counts, the load generator too: it is kept lean ([`load`]).

mod bare;
mod engine;
mod load;
mod process;
mod table;

use actix_web::rt::System;
use clap::Parser;
use load::Work;
use process::Process;
use std::{env, io, path::Path, time::Duration};
use table::{Figure, Goal, print};

/// Tasks and connections at once.
const AT_ONCE: usize = 64;
/// Keys in use while rates are measured.
const KEYS: u64 = 100_000;
/// Starts of which the median is taken.
const STARTS: usize = 5;

/// Measures one storage: S1, S2 and S13 of the goals.
#[derive(Parser)]
struct Choices {
    /// Print one JSON array instead of a table.
    #[arg(long)]
    json: bool,
    /// How long each run lasts.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How many runs of each a median is taken of.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many records a large storage has.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
}

fn main() -> io::Result<()> {
    if env::args().nth(1).as_deref() == Some(bare::ARGUMENT) {
        return System::new().block_on(bare::serve(KEYS));
    }
    let choices = Choices::parse();
    let storage = process::storage()?;
    // Beside the program: a temporary directory may lie in memory, where syncing costs nothing.
    let place = storage.parent().expect("a program lies in a directory");
    let mut figures = rates(&storage, place, &choices)?;
    figures.extend(starts(&storage, place, choices.records)?);
    print(&figures, choices.json);
    Ok(())
}

/// S1 and S2.
fn rates(storage: &Path, place: &Path, choices: &Choices) -> io::Result<Vec<Figure>> {
    let (dir, engine_dir) = (tempfile::tempdir_in(place)?, tempfile::tempdir_in(place)?);
    let storage = Process::storage(storage, &dir.path().join("data"))?;
    let bare = Process::bare()?;
    let lasting = Duration::from_secs(choices.seconds);
    System::new().block_on(async {
        load::so_many(storage.address, Work::Put, KEYS, AT_ONCE).await?;
        let (mut got, mut bare_got, mut put, mut engine_put) = (vec![], vec![], vec![], vec![]);
        let (mut got_one, mut bare_got_one) = (vec![], vec![]);
        for run in 1..=choices.runs {
            for (keys, ours, theirs) in
                [(1, &mut got_one, &mut bare_got_one), (KEYS, &mut got, &mut bare_got)]
            {
                theirs.push(load::rate(bare.address, Work::Get, keys, AT_ONCE, lasting).await?);
                ours.push(load::rate(storage.address, Work::Get, keys, AT_ONCE, lasting).await?);
                let (ours, theirs) = (ours[run - 1], theirs[run - 1]);
                eprintln!("run {run}: GET of {keys} keys {ours:.0}/s, bare {theirs:.0}/s");
            }
        }
        for run in 1..=choices.runs {
            engine_put.push(engine::rate(engine_dir.path(), KEYS, AT_ONCE, lasting).await?);
            put.push(load::rate(storage.address, Work::Put, KEYS, AT_ONCE, lasting).await?);
            eprintln!("run {run}: PUT {:.0}/s, store {:.0}/s", put[run - 1], engine_put[run - 1]);
        }
        let beside = |name, ours, what, theirs: Vec<f64>, ratio| {
            let (ours, rival) = (median(ours), Some((what, median(theirs))));
            Figure { name, ours, unit: "/s", rival, goal: Goal::RatioAtLeast(ratio) }
        };
        Ok(vec![
            beside(
                "S1 GET of one key, 64 connections",
                got_one,
                "bare actix-web, HashMap",
                bare_got_one,
                0.8,
            ),
            beside(
                "S1 GET of 100,000 keys, 64 connections",
                got,
                "bare actix-web, HashMap",
                bare_got,
                0.8,
            ),
            beside(
                "S2 durable PUT of 100 B, 64 connections",
                put,
                "its store, 64 tasks",
                engine_put,
                0.6,
            ),
        ])
    })
}

/// S13.
fn starts(storage: &Path, place: &Path, records: u64) -> io::Result<Vec<Figure>> {
    let (mut empty, mut idle) = (vec![], vec![]);
    for _ in 0..STARTS {
        let dir = tempfile::tempdir_in(place)?;
        let started = Process::storage(storage, &dir.path().join("data"))?;
        empty.push(started.ready_in.as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(300));
        idle.push(started.resident_bytes()? / MIB);
    }
    eprintln!("filling a storage with {records} records");
    let dir = tempfile::tempdir_in(place)?;
    let data = dir.path().join("data");
    let filled = Process::storage(storage, &data)?;
    System::new().block_on(load::so_many(filled.address, Work::Put, records, AT_ONCE))?;
    filled.stop()?;
    let (mut large, mut large_idle) = (vec![], vec![]);
    for _ in 0..3 {
        let started = Process::storage(storage, &data)?;
        large.push(started.ready_in.as_secs_f64() * 1e3);
        large_idle.push(started.resident_bytes()? / MIB);
        started.stop()?;
    }
    let figure =
        |name, ours, unit, goal| Figure { name, ours: median(ours), unit, rival: None, goal };
    let large_goal = Goal::AtMost((2_000.0 * records as f64 / 1e6).max(20.0));
    Ok(vec![
        figure("S13 start, empty, to the first /readyz", empty, " ms", Goal::AtMost(20.0)),
        figure("S13 start, all records, to the first /readyz", large, " ms", large_goal),
        figure("S13 memory, empty and idle", idle, " MiB", Goal::AtMost(20.0)),
        figure("memory right after a start with all records", large_idle, " MiB", Goal::None),
    ])
}

const MIB: f64 = 1_048_576.0;

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
