//! Many seeded runs of a whole ring under a storm. `SEEDS=100000 cargo test --release -p sdht-tests --test simulation` for
//! more, `SEED=7` for one again.

use sdht_tests::{number, simulation::scenario::Scenario};
use std::collections::BTreeMap;

#[test]
fn every_history_is_linearizable_whatever_goes_wrong() {
    let one = number("SEED", u64::MAX);
    let (first, count) = if one == u64::MAX { (number("FIRST", 0), number("SEEDS", 100)) } else { (one, 1) };
    let mut counted: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut answered, mut unknown) = (0, 0);
    for seed in first..first + count {
        match Scenario::drawn(seed).run() {
            Ok(report) => {
                answered += report.answered;
                unknown += report.unknown;
                report.counted.into_iter().for_each(|(what, n)| *counted.entry(what).or_default() += n);
            }
            Err(why) => panic!("seed {seed}: {why}\n  {:?}", Scenario::drawn(seed)),
        }
    }
    println!("{count} runs: {answered} operations answered, {unknown} of unknown outcome");
    counted.iter().for_each(|(what, n)| println!("{n:>9}  {what}"));
}
