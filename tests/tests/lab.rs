//! `sdht lab`, `load` and `bench`, as a newcomer meets them: real storages that outlive the command, on ports of their own.

use sdht_tests::{
    command::{Home, Told},
    process,
};
use serde_json::Value;
use std::{fs, thread, time::Duration};

/// A home with a lab in it, which is taken down with it.
struct Lab {
    home: Home,
    port: String,
}

impl Lab {
    /// Nothing is started yet. The tests of this file begin to look for free ports at different places.
    fn at(port: u16) -> Self {
        process::program();
        Self { home: Home::default(), port: port.to_string() }
    }

    fn up(&self, storages: &str) -> Value {
        let mut told =
            self.home.ends(0, &["lab", "up", storages, "--port", &self.port, "--json"]).json();
        told.remove(0)
    }

    /// What `lab status` says of each storage: its port and its state.
    fn states(&self) -> Vec<(String, String)> {
        let told = self.home.ends(0, &["lab", "status", "--json"]).json();
        let storages = told[0]["storages"].as_array().unwrap();
        let text = |value: &Value| value.to_string().replace('"', "");
        storages.iter().map(|s| (text(&s["port"]), text(&s["state"]))).collect()
    }

    fn ports(&self) -> Vec<String> {
        self.states().into_iter().map(|(port, _)| port).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.home.sdht(&["lab", "down", "--destroy-data"]);
    }
}

fn assert_kept(told: &Told) {
    assert_eq!(told.code, 0, "{told}");
    assert_eq!(told.text().lines().next_back(), Some("0 lost, 0 stale, 0 failed"), "{told}");
}

#[test]
fn a_lab_comes_up_with_data_loses_a_storage_and_goes_down() {
    let lab = Lab::at(18_000);
    let home = &lab.home;
    let up = home.ends(0, &["lab", "up", "4", "--load", "300", "--port", &lab.port]);
    assert_kept(&up);
    assert_eq!(home.prints(&["keys", "--prefix", "load/"]).lines().count(), 300);
    home.ends(0, &["set", "greeting", "hello"]);

    let ports = lab.ports();
    home.ends(0, &["lab", "kill", &ports[2]]);
    let states: Vec<String> = lab.states().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["running", "running", "killed", "running"]);
    assert_eq!(home.prints(&["get", "greeting"]), "hello", "three of four are enough");
    home.ends(0, &["lab", "restart", &ports[2]]);
    home.ends(0, &["lab", "stop", &ports[1]]);
    assert_eq!(lab.states()[1].1, "stopped");
    assert!(home.prints(&["lab", "logs", &ports[1]]).contains("everything is on disk"));

    assert!(home.prints(&["lab", "down"]).contains("their data is in"));
    assert!(lab.states().iter().all(|(_, state)| state == "stopped"));
    assert_ne!(home.sdht(&["--timeout", "1s", "get", "greeting"]).code, 0, "nobody is there");

    let again = lab.up("4");
    assert_eq!(again["storages"].as_array().unwrap().len(), 4);
    assert_eq!(lab.ports(), ports);
    assert_eq!(home.prints(&["get", "greeting"]), "hello", "it went on with its data");

    assert!(home.prints(&["lab", "down", "--destroy-data"]).contains("their data is gone"));
    assert!(!home.path().join("sdht-lab").exists());
    assert!(
        home.prints(&["config"]).contains("ring = 127.0.0.1:8000  # built in"),
        "it is forgotten"
    );
    assert_eq!(home.ends(3, &["lab", "status"]).out, b"");
}

#[test]
fn up_said_twice_is_up_and_more_is_added() {
    let lab = Lab::at(18_200);
    lab.up("1");
    let processes = || lab.home.ends(0, &["lab", "status", "--json"]).json()[0]["storages"].clone();
    let first = processes();
    let second = lab.up("1");
    assert_eq!(processes(), first, "nothing was started anew");
    assert_eq!(second["ring"]["storages"].as_array().unwrap().len(), 1);
    lab.home.ends(0, &["lab", "add", "1"]);
    lab.home.ends(0, &["addmany", "1", "--port", &lab.port]);
    let third = lab.up("2");
    assert_eq!(third["ring"]["storages"].as_array().unwrap().len(), 3, "none is taken away");
    // Who names no port means those behind the ones there are.
    let is_near = |port: &String| port.parse::<u16>().is_ok_and(|port| port / 200 == 18_200 / 200);
    assert!(lab.ports().iter().all(is_near), "{:?}", lab.ports());
    // What was said for a new lab is not passed over in silence.
    let told = lab.home.ends(0, &["lab", "up", "2", "--copies", "5", "--port", &lab.port]);
    for said in ["has 3 storages already", "'sdht copies 5' changes it", "--port was not needed"] {
        assert!(told.err.contains(said), "{said}: {told}");
    }
    lab.home.ends(0, &["lab", "down", "-y"]);
}

#[test]
fn what_is_wrong_is_said_with_what_to_do_next() {
    let lab = Lab::at(18_400);
    let told = lab.home.ends(3, &["lab", "down"]);
    assert!(told.err.contains("sdht lab up"), "{told}");
    lab.up("1");
    let told = lab.home.ends(2, &["lab", "kill", "1"]);
    assert!(told.err.contains(&lab.ports()[0]), "{told}");
    let told = lab.home.ends(2, &["lab", "up", "1", "--", "--zone", "z"]);
    assert!(told.err.contains("--destroy-data"), "{told}");
    for wrong in [&["load", "0"][..], &["bench", "g"], &["bench", "--rate", "0"], &["lab"]] {
        lab.home.ends(2, wrong);
    }
}

#[test]
fn a_process_that_only_has_the_number_of_a_storage_is_left_alone() {
    let lab = Lab::at(18_600);
    lab.up("1");
    let file = lab.home.path().join("sdht-lab/lab.json");
    let written = fs::read_to_string(&file).unwrap();
    lab.home.ends(0, &["lab", "kill", &lab.ports()[0]]);
    // As if the number had been given to this test, which would not survive the signal.
    let mut state: Value = serde_json::from_str(&written).unwrap();
    state["storages"][0]["process"]["pid"] = std::process::id().into();
    fs::write(&file, state.to_string()).unwrap();
    assert_eq!(lab.states()[0].1, "killed");
    lab.home.ends(0, &["lab", "kill", &lab.ports()[0]]);
    lab.up("1");
    assert_eq!(lab.states()[0].1, "running");
}

#[test]
fn nothing_is_lost_while_storages_come_and_go_under_load() {
    let lab = Lab::at(18_800);
    lab.up("4");
    let home = &lab.home;
    let bench = ["bench", "a", "--check", "--records", "300", "--tasks", "16", "--duration", "12s"];
    thread::scope(|scope| {
        let benching = scope.spawn(|| home.sdht(&bench));
        thread::sleep(Duration::from_secs(2));
        home.ends(0, &["lab", "add", "1", "--port", &lab.port]);
        home.ends(0, &["remove", &format!("127.0.0.1:{}", lab.ports()[1])]);
        assert!(!benching.is_finished(), "the ring was to change under load");
        assert_kept(&benching.join().unwrap());
    });
}

#[test]
fn every_workload_runs_is_checked_and_tells_a_program() {
    let lab = Lab::at(19_000);
    lab.up("3");
    for letter in ["a", "b", "c", "d", "e", "f"] {
        let bench = ["bench", letter, "--check", "--ops", "300", "--records", "100", "--json"];
        let told = lab.home.ends(0, &bench).json().remove(0);
        assert_eq!(told["measured"]["operations"], 300, "{told}");
        assert_eq!([&told["lost"], &told["stale"], &told["failed"]], [0, 0, 0], "{told}");
    }
    // What is due is done, and at its time.
    let due =
        ["bench", "c", "--rate", "100", "--duration", "2s", "--records", "50", "--json", "--clean"];
    let told = lab.home.ends(0, &due).json().remove(0);
    assert_eq!(told["measured"]["operations"], 200, "{told}");
    assert!(told["measured"]["seconds"].as_f64().unwrap() > 1.9, "{told}");
    assert_eq!(
        lab.home.prints(&["load", "50", "--check", "--json"]).matches("\"lost\":0").count(),
        2
    );
}

#[test]
fn bench_says_so_when_operations_fail() {
    let lab = Lab::at(19_200);
    lab.up("2");
    lab.home.ends(0, &["lab", "kill", &lab.ports()[1]]);
    let told = lab.home.ends(8, &["load", "3", "--tasks", "1", "--timeout", "300ms"]);
    assert!(told.err.contains("6 operations failed") && told.err.contains("sdht status"), "{told}");
    assert_eq!(told.text().lines().next_back(), Some("0 lost, 0 stale, 6 failed"), "{told}");
}
