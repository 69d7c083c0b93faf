//! Small worlds, each explored to its last state; and what is found in them when a rule is switched off.
//!
//! A world's bounds are such that it is explored in some seconds. `LATE`, `SILENT` and `CRASHES` widen all of them, for runs by
//! hand: `LATE=2 cargo test --release -p sdht-tests --test model contention -- --nocapture`.
//!
//! Each test prints how many states it saw. That something was looked for in vain proves nothing if the world could never
//! come near it; so each world names what must be seen in it, too, and fails if it is not.

use sdht_tests::{
    model::{Bounds, World, worlds},
    number,
};
use stateright::{Checker, Model};
use std::time::Instant;

/// A world, by how much may go wrong in it.
type Make = fn(Bounds) -> World;

const QUIET: Bounds = Bounds { late: 0, silent: 0, crashes: 0 };

/// These bounds, or what the environment says.
fn widened(usual: Bounds) -> Bounds {
    let wider = |name, usual: u8| u8::try_from(number(name, usual.into())).expect("a small number");
    Bounds {
        late: wider("LATE", usual.late),
        silent: wider("SILENT", usual.silent),
        crashes: wider("CRASHES", usual.crashes),
    }
}

fn explored(name: &str, make: Make, usual: Bounds) {
    let begun = Instant::now();
    // One thread: two have been seen to stop before the end.
    let checker = make(widened(usual)).checker().threads(1).spawn_bfs().join();
    println!(
        "{name}: {} states, {} steps, {} deep, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f32()
    );
    checker.assert_properties();
}

#[test]
fn two_routers_change_one_key_while_a_storage_crashes() {
    explored("contention", worlds::contention, Bounds { crashes: 1, ..QUIET });
}

#[test]
fn an_old_accept_comes_to_nothing_or_is_chosen_and_never_both() {
    explored("residue", worlds::residue, Bounds { late: 1, crashes: 1, ..QUIET });
}

#[test]
fn two_epochs_of_one_arc_never_answer_apart() {
    explored("half grown", worlds::half_grown, QUIET);
}

#[test]
fn a_late_accept_does_not_bring_back_what_was_swept() {
    explored("sweep", worlds::sweep, Bounds { late: 2, ..QUIET });
}

#[test]
fn a_sweep_keeps_the_promises_made() {
    explored("swept between", worlds::swept_between, QUIET);
}

#[test]
fn who_comes_back_brings_nothing_back() {
    explored("come back", worlds::come_back, QUIET);
}

#[test]
fn an_arc_is_handed_over_with_all_that_was_answered() {
    explored("hand over", worlds::hand_over, QUIET);
}

#[test]
fn arcs_merge_or_stay_apart_and_never_both() {
    explored("merge", worlds::merge, QUIET);
}

#[cfg(debug_assertions)]
mod mutants {
    use super::*;
    use stateright::HasDiscoveries;
    use std::collections::BTreeSet;

    /// In which world each mutant is caught, and what may go wrong there.
    ///
    /// The others are the simulation's matter: M11 needs an arc of an even number of members, M13 one that comes back as a
    /// newcomer, M16 two changes of the lower arc while it is absorbed, and no world here has these; M20 is about a disk, and
    /// a storage of the model has none.
    const CAUGHT: [(&str, Make, Bounds); 16] = [
        ("M1", worlds::residue, QUIET),
        ("M2", worlds::half_grown, QUIET),
        ("M3", worlds::residue, QUIET),
        ("M4", worlds::contention, Bounds { crashes: 1, ..QUIET }),
        ("M5", worlds::contention, Bounds { late: 1, silent: 1, ..QUIET }),
        ("M6", worlds::residue, Bounds { late: 1, crashes: 1, ..QUIET }),
        ("M7", worlds::contention, QUIET),
        ("M8", worlds::contention, Bounds { silent: 1, ..QUIET }),
        ("M9", worlds::contention, QUIET),
        ("M10", worlds::hand_over, QUIET),
        ("M12", worlds::hand_over, QUIET),
        ("M14", worlds::come_back, QUIET),
        ("M15", worlds::merge, QUIET),
        ("M17", worlds::sweep, QUIET),
        ("M18", worlds::sweep, Bounds { late: 2, ..QUIET }),
        ("M19", worlds::swept_between, QUIET),
    ];

    #[test]
    fn a_rule_switched_off_is_found_out() {
        let mut missed = vec![];
        for (name, make, bounds) in CAUGHT {
            let world = World { off: Some(name), ..make(bounds) };
            let hoped: BTreeSet<&str> = world.sometimes.iter().map(|(hoped, _)| *hoped).collect();
            let checker = world.checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
            let checker = checker.spawn_bfs().join();
            let found = checker.discoveries();
            let Some((what, path)) = found.iter().find(|(what, _)| !hoped.contains(*what)) else {
                missed.push(name);
                continue;
            };
            println!(
                "{name:>4}  not so: '{what}', after {} steps, in {} states",
                path.clone().into_actions().len(),
                checker.unique_state_count()
            );
        }
        assert!(missed.is_empty(), "not caught: {missed:?}");
    }
}
