//! Small worlds, each explored to its last state.
use sdht_tests::model::{Bounds, World, worlds};
use stateright::{Checker, HasDiscoveries, Model};
use std::time::Instant;

fn explore(name: &str, world: World) -> Option<&'static str> {
    let begun = Instant::now();
    let off = world.off;
    let failures = world.off.is_some();
    let sometimes: Vec<&str> = world.sometimes.iter().map(|(n, _)| *n).collect();
    let builder = world.checker().threads(1);
    let builder = if failures { builder.finish_when(HasDiscoveries::AnyFailures) } else { builder };
    let checker = builder.spawn_bfs().join();
    let found = checker.discoveries();
    println!(
        "{name} {off:?}: {} states, {} transitions, depth {}, {:?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed()
    );
    for s in &sometimes {
        if !found.contains_key(s) && !failures {
            println!("   NEVER: {s}");
        }
    }
    let bad = found.iter().find(|(n, _)| !sometimes.contains(n));
    if let Some((n, p)) = bad {
        if off.is_none() || std::env::var("SHOW").is_ok() {
            for (s, a) in p.clone().into_vec() {
                let w = checker.model();
                let _ = w;
                println!(
                    "   {:?}  [{:?}]",
                    a,
                    s.runners
                        .iter()
                        .map(|r| format!("{:?}", r.round()).chars().take(150).collect::<String>())
                        .collect::<Vec<_>>()
                );
            }
            println!("{:#?}", p.last_state().judge);
        }
        println!("   FOUND {n}");
    }
    bad.map(|(n, _)| *n)
}

#[test]
fn probe() {
    let which = std::env::var("WORLD").unwrap_or("contention".into());
    let n = |k: &str, d| sdht_tests::number(k, d) as u8;
    let bounds = Bounds {
        late: n("LATE", 1),
        silent: n("SILENT", 1),
        crashes: n("CRASHES", 1),
        tries: n("TRIES", 2),
    };
    let make = match which.as_str() {
        "contention" => worlds::contention,
        "residue" => worlds::residue,
        "half_grown" => worlds::half_grown,
        "sweep" => worlds::sweep,
        "swept_between" => worlds::swept_between,
        _ => worlds::hand_over,
    };
    let off = std::env::var("OFF").ok();
    match off {
        None => {
            explore(&which, make(bounds));
        }
        Some(offs) => {
            for m in offs.split(',') {
                let m: &'static str = Box::leak(m.to_string().into_boxed_str());
                let mut w = make(bounds);
                w.off = Some(m);
                explore(&which, w);
            }
        }
    }
}
