//! A command that is killed in the middle of a change of the ring, while `sdht bench --check` reads and writes all the while:
//! what `sdht status` says then, and that the same command again, or another one, finishes it.

use sdht_tests::{
    command::{Home, Told},
    rings::{address, storages},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Kills a change once `sdht status` has seen it half done, and says what it saw afterwards.
fn broken_off(home: &Home, line: &[&str]) -> Told {
    let mut child = home.begin(line);
    let begun = Instant::now();
    loop {
        let seen = home.sdht(&["status", "--json"]).json().remove(0);
        let is_filling = |arc: &serde_json::Value| arc["filling"].is_string();
        if seen["arcs"].as_array().unwrap().iter().any(is_filling) {
            break;
        }
        assert!(child.try_wait().unwrap().is_none(), "{line:?} was too quick to be killed");
        assert!(begun.elapsed() < Duration::from_secs(20), "{line:?} does not begin: {seen}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    home.ends(8, &["status"])
}

#[test]
fn what_a_killed_command_left_half_done_is_said_and_finished_under_load() {
    let storages = storages(4);
    let [one, two, three, new] = [0, 1, 2, 3].map(|n| address(&storages[n]));
    let home = Home::default();
    home.ends(0, &["join", &one, &two, &three]);
    let ring = sdht::blocking::Ring::connect([&one]).unwrap();
    for n in 0..60 {
        ring.put_bytes(&format!("much {n}"), "", vec![7; 20_000]).unwrap();
    }
    let bench = ["bench", "a", "--check", "--records", "200", "--tasks", "4", "--rate", "200"];
    let bench = [&bench[..], &["--duration", "14s"]].concat();
    thread::scope(|scope| {
        let benching = scope.spawn(|| home.sdht(&bench));
        thread::sleep(Duration::from_secs(1));
        let told = broken_off(&home, &["join", &new, "--max-rate", "300k"]);
        let (said, is_filled) = (told.text(), format!("{new} is being filled"));
        assert!(said.contains("half done") && said.contains(&is_filled), "{told}");
        assert!(said.contains("everything is served") && said.contains("sdht repair"), "{told}");
        home.ends(0, &["join", &new]);

        let told = broken_off(&home, &["remove", &two, "--max-rate", "300k"]);
        assert!(told.text().contains("half done"), "{told}");
        home.ends(0, &["remove", &two]);

        assert!(!benching.is_finished(), "all of it was to happen under load");
        let told = benching.join().unwrap();
        assert_eq!(told.code, 0, "{told}");
        assert_eq!(told.text().lines().next_back(), Some("0 lost, 0 stale, 0 failed"), "{told}");
    });
    assert!(home.prints(&["status"]).ends_with("All is well, and any one storage may be stopped."));
    for n in 0..60 {
        assert_eq!(ring.get_bytes(&format!("much {n}")).unwrap().unwrap().bytes.len(), 20_000);
    }
}
