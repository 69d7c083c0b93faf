//! Every rule is needed: with one of them switched off, the simulation soon finds what goes wrong.
//!
//! A mutant is one rule of the protocol switched off. Some are shown by one short story in which nothing is left to chance;
//! the others are given runs aimed at them, one seed after another, until one fails or falls over. The same stories and runs,
//! with every rule on, pass.
#![cfg(debug_assertions)]

use minor_protocol::mutant;
use sdht_tests::simulation::{
    aimed::{MUTANTS, aimed_at},
    stories::story_of,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// No mutant may need more seeds than these.
const SEEDS: u64 = 1_000;

/// Runs that are repeated with every rule on.
const SOUND_SEEDS: u64 = 3;

/// What is wrong in this run with one rule off, or none. What falls over counts as noticed.
fn noticed(off: Option<&'static str>, aim: &str, seed: u64) -> Option<String> {
    mutant::switch(off);
    let end = catch_unwind(AssertUnwindSafe(|| match story_of(aim) {
        Some(story) => story(),
        None => aimed_at(aim, seed).run().map(drop),
    }));
    mutant::switch(None);
    match end {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why.lines().next().unwrap_or_default().to_owned()),
        Err(_) => Some("an assertion".into()),
    }
}

/// Does something for each mutant, two at a time, and gives what went wrong.
fn for_each(act: impl Fn(&'static str) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(vec![]));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((name, _)) = MUTANTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = act(name) {
                        wrong.lock().expect("nobody falls over here").push(why);
                    }
                }
            });
        }
    });
    wrong.into_inner().expect("nobody falls over here")
}

#[test]
fn every_mutant_is_caught() {
    let missed = for_each(|name| {
        let seeds = if story_of(name).is_some() { 1 } else { SEEDS };
        let found = (0..seeds).find_map(|seed| Some((seed, noticed(Some(name), name, seed)?)));
        let (seed, why) = found.ok_or_else(|| format!("{name} was not caught in {seeds} seeds"))?;
        if let Some(why) = noticed(None, name, seed) {
            return Err(format!("{name}: seed {seed} fails with every rule on, too: {why}"));
        }
        println!("{name:>4}  {:>4} seeds  {why}", seed + 1);
        Ok(())
    });
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn with_every_rule_on_the_same_runs_pass() {
    let wrong = for_each(|name| {
        let found = (0..SOUND_SEEDS).find_map(|seed| Some((seed, noticed(None, name, seed)?)));
        found.map_or(Ok(()), |(seed, why)| Err(format!("aimed at {name}, seed {seed}: {why}")))
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
}
