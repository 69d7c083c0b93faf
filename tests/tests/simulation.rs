//! Many seeded runs of a whole ring under a storm. `SEEDS=100000 cargo test --release -p sdht-tests --test simulation` for
//! more, `SEED=7` for one again.

use sdht_tests::{
    number,
    simulation::{
        keeping::{Misfortune, keep},
        losses::lose,
        scenario::{Report, Scenario},
        stories::{
            a_clock_is_set_right, a_first_write_while_a_newcomer_comes,
            a_set_finds_every_disk_full, three_come_at_the_same_time,
        },
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Runs every seed of `from..to` on all processors, and gives the sum of their reports or the lowest seed that went wrong.
fn storm(from: u64, to: u64) -> Result<Report, String> {
    all_of(from, to, |seed| {
        let scenario = Scenario::drawn(seed);
        scenario.run().map_err(|why| format!("{why}\n  {scenario:?}"))
    })
}

/// The first seed and how many: one that is asked for again, or as many as are asked for, or as usual.
fn seeds(one: &str, many: &str, usual: u64) -> (u64, u64) {
    match number(one, u64::MAX) {
        u64::MAX => (number("FIRST", 0), number(many, usual)),
        one => (one, 1),
    }
}

/// Tells what happened in so many runs, which all went well; and if they were many, all of this must have.
fn all_happened(report: Result<Report, String>, runs: u64, expected: &[&str]) {
    let report = report.unwrap_or_else(|why| panic!("{why}"));
    report.counted.iter().for_each(|(what, n)| println!("{n:>9}  {what}"));
    if runs >= 200 {
        for what in expected {
            assert!(report.counted.contains_key(what), "it never happened that {what}");
        }
    }
}

fn all_of(
    from: u64,
    to: u64,
    run: impl Fn(u64) -> Result<Report, String> + Sync,
) -> Result<Report, String> {
    let next = AtomicU64::new(from);
    let sum = Mutex::new(Report::default());
    let wrong: Mutex<BTreeMap<u64, String>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to || !wrong.lock().unwrap().is_empty() {
                        return;
                    }
                    match run(seed) {
                        Ok(report) => sum.lock().unwrap().add(&report),
                        Err(why) => {
                            wrong.lock().unwrap().insert(seed, format!("seed {seed}: {why}"));
                        }
                    }
                }
            });
        }
    });
    match wrong.into_inner().unwrap().pop_first() {
        Some((_, why)) => Err(why),
        None => Ok(sum.into_inner().unwrap()),
    }
}

#[test]
fn every_history_is_linearizable_whatever_goes_wrong() {
    let (first, count) = seeds("SEED", "SEEDS", 1_000);
    let report = storm(first, first + count).unwrap_or_else(|why| panic!("{why}"));
    println!(
        "{count} runs, {} histories: {} operations answered, {} of unknown outcome",
        report.histories, report.answered, report.unknown
    );
    report.counted.iter().for_each(|(what, n)| println!("{n:>9}  {what}"));
    if count >= 1_000 {
        let never: Vec<_> = EXPECTED
            .iter()
            .filter(|what| report.counted.get(*what).is_none_or(|n| *n == 0))
            .collect();
        assert!(never.is_empty(), "never happened, so nothing was shown about it: {never:?}");
    }
}

/// What must have happened in a thousand runs, or they prove too little.
const EXPECTED: [&str; 21] = [
    "a disk was full",
    "a message was late",
    "a message waited for a paused storage",
    "a reply was lost",
    "a request came a second time",
    "a request was lost",
    "a ring change ended",
    "a ring change gave up",
    "a router died while it changed the ring",
    "a storage crashed",
    "a storage paused",
    "agreed: absorb",
    "agreed: copies",
    "agreed: filled",
    "agreed: grow",
    "agreed: reopen",
    "agreed: shrink",
    "agreed: split",
    "dead records were swept",
    "the keys were listed",
    "the keys were listed while the ring changed",
];

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 42] {
        let (one, two) =
            (Scenario::drawn(seed).run().unwrap(), Scenario::drawn(seed).run().unwrap());
        assert_eq!((one.trace, one.counted, one.answered), (two.trace, two.counted, two.answered));
    }
}

/// Two keepers, and whatever may befall a ring: no storage that lives is evicted, one that is dead is replaced, and in the
/// end every copy is there. `KEPT=10000` for more, `KEPT_SEED=7` for one again.
#[test]
fn two_keepers_heal_a_ring_and_evict_nobody_who_lives() {
    let (first, count) = seeds("KEPT_SEED", "KEPT", 1_000);
    let misfortunes = Misfortune::ALL;
    let report = all_of(first, first + count, |seed| {
        let misfortune = misfortunes[(seed % misfortunes.len() as u64) as usize];
        let counted = keep(misfortune, seed)?;
        Ok(Report { counted, ..Report::default() })
    });
    all_happened(
        report,
        count,
        &[
            "a cut lay in the way",
            "a disk was replaced",
            "a keeper evicted",
            "a keeper levelled",
            "a keeper objected",
            "a keeper swept",
        ],
    );
}

/// The storm of every other run, and two hasty keepers in the middle of it.
#[test]
fn a_storm_is_survived_with_keepers_too() {
    let (first, count) = (number("FIRST", 0), number("KEPT", 1_000));
    let report = all_of(first, first + count, |seed| {
        // Long enough for somebody to be called dead.
        let drawn = Scenario::drawn(seed);
        let (down_ms, rest_ms) = (12_000, (1_000, drawn.rest_ms.1));
        Scenario { keepers: 2, down_ms, rest_ms, ..drawn }.run()
    });
    all_happened(report, count, &["a keeper evicted", "a keeper finished what another began"]);
}

/// Beside the dead, what is served stays served; and who gives them up loses no more than he was told. `LOST=10000` for more,
/// `LOST_SEED=7` for one again.
#[test]
fn the_dead_take_nothing_with_them_that_a_majority_kept() {
    let (first, count) = seeds("LOST_SEED", "LOST", 200);
    let report = all_of(first, first + count, |seed| {
        Ok(Report { counted: lose(seed)?, ..Report::default() })
    });
    all_happened(
        report,
        count,
        &[
            "a change beside the dead ended",
            "a change beside the dead was refused",
            "a loss was not taken unasked",
            "a router died while it gave storages up",
            "an acknowledged value was lost with them",
            "storages were given up",
        ],
    );
}

/// Issue 3: no request fails that had a majority.
#[test]
fn a_first_write_is_done_although_the_arc_gains_a_member_in_the_middle_of_it() {
    for filled in [false, true] {
        a_first_write_while_a_newcomer_comes(filled).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn a_set_that_every_storage_refuses_for_want_of_room_has_changed_nothing() {
    a_set_finds_every_disk_full(&[]).unwrap();
    a_set_finds_every_disk_full(&[2]).unwrap();
}

#[test]
fn a_router_whose_clock_was_wrong_writes_again_once_it_is_right() {
    a_clock_is_set_right().unwrap();
}

#[test]
fn storages_that_come_at_the_same_time_all_find_a_place() {
    three_come_at_the_same_time().unwrap_or_else(|why| panic!("{why}"));
}

/// Every seed that ever failed, with what it found.
#[test]
fn what_was_mended_stays_mended() {
    // They were found when nobody listed keys, and go another way when somebody does.
    let alone = [95, 242, 995, 7880].map(|seed| Scenario { listers: 0, ..Scenario::drawn(seed) });
    let later = [1_117, 7_880, 8_548, 11_608, 18_472, 24_489, 27_358, 45_386].map(Scenario::drawn);
    for run in alone.into_iter().chain(later) {
        run.run().unwrap_or_else(|why| panic!("{run:?}: {why}"));
    }
}
