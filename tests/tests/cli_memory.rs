//! What the command remembers from one call to the next, where its settings come from, and how a ring goes into a stream and
//! out of it again.

use sdht_tests::{
    command::{Home, Told},
    process::{self, Launch, Process},
    rings::{self, ring_of, wiped},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

fn serve(data: &Path, port: u16) -> Process {
    Launch::on(data).at_port(port).serve()
}

fn address(process: &Process) -> String {
    process.address().to_string()
}

#[test]
fn each_setting_is_taken_from_the_strongest_that_names_it() {
    let home = Home::default();
    let from = |told: Told, name: &str| {
        assert_eq!(told.code, 0, "{told}");
        let setting = &told.json()[0][name];
        (
            setting["value"].as_str().unwrap().to_owned(),
            setting["from"].as_str().unwrap().to_owned(),
        )
    };
    let config = ["config", "--json"];
    assert_eq!(from(home.sdht(&config), "ring"), ("127.0.0.1:8000".into(), "built in".into()));

    let storage = process::fresh();
    home.ends(0, &["join", &address(&storage.1)]);
    let (ring, origin) = from(home.sdht(&config), "ring");
    assert_eq!(ring, address(&storage.1));
    assert!(origin.contains("the ring used last") && origin.contains("ring.json"), "{origin}");

    home.write_settings("ring = f:1, f:2\ntimeout = 3s\n");
    let (ring, origin) = from(home.sdht(&config), "ring");
    assert!(ring == "f:1,f:2" && origin.ends_with("sdht/config"), "{ring} {origin}");
    assert_eq!(from(home.sdht(&config), "timeout").0, "3s");

    let mut command = home.command(&config);
    command.env("SDHT_RING", "e:1").env("SDHT_TIMEOUT", "");
    let told = Told::of(command.output().unwrap());
    assert_eq!(from(told.clone(), "ring"), ("e:1".into(), "environment, SDHT_RING".into()));
    assert_eq!(from(told, "timeout").0, "3s", "an empty variable says nothing");

    let mut command = home.command(&["--ring", "a:1", "config", "--json", "--timeout", "500ms"]);
    command.env("SDHT_RING", "e:1");
    let told = Told::of(command.output().unwrap());
    assert_eq!(from(told.clone(), "ring"), ("a:1".into(), "--ring".into()));
    assert_eq!(from(told, "timeout"), ("500ms".into(), "--timeout".into()));

    home.write_settings("color = red\n");
    assert!(home.ends(2, &["config"]).err.contains("line 1"));
}

#[test]
fn the_ring_used_last_is_remembered_for_its_owner_alone() {
    let (home, storage) = (Home::default(), process::fresh());
    home.ends(0, &["join", &address(&storage.1)]);
    let mode = fs::metadata(home.memory()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    home.ends(0, &["set", "k", "v"]);
    // What is no memory is none, and is written anew.
    for nonsense in ["", "{", r#"{"version":9,"arcs":[]}"#] {
        fs::write(home.memory(), nonsense).unwrap();
        assert_eq!(home.prints(&["get", "k", "--ring", &address(&storage.1)]), "v");
        assert_eq!(home.prints(&["get", "k"]), "v");
    }
    // Where it cannot be written, nothing is lost but time.
    let told = home
        .command(&["get", "k", "--ring", &address(&storage.1)])
        .env("XDG_STATE_HOME", "/proc")
        .output()
        .unwrap();
    assert_eq!(Told::of(told).text(), "v");
}

#[test]
fn a_memory_that_is_out_of_date_heals() {
    let (one, two) = (Home::default(), Home::default());
    let storages: Vec<_> = (0..4).map(|_| process::fresh()).collect();
    let at = |n: usize| address(&storages[n].1);
    one.ends(0, &["join", &at(0), &at(1)]);
    one.ends(0, &["set", "k", "v"]);
    // Behind its back, everybody it knows leaves but one, and others come.
    let ring = ["--ring", &at(0)];
    two.ends(0, &[&["join", &at(2), &at(3)][..], &ring].concat());
    two.ends(0, &[&["remove", &at(0)][..], &["--ring", &at(3)]].concat());
    assert_eq!(one.prints(&["get", "k"]), "v");
    one.ends(0, &["set", "k", "w"]);
    assert_eq!(two.prints(&["get", "k"]), "w");
    one.ends(0, &["walk"]);
    assert!(!one.prints(&["config"]).contains(&at(0)), "it has learned who is there now");
}

#[test]
fn another_ring_at_the_same_address_is_recognised() {
    let home = Home::default();
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut storage = serve(&old.path().join("data"), 0);
    let place = address(&storage);
    home.ends(0, &["join", &place]);
    home.ends(0, &["set", "k", "of the old ring"]);
    storage.kill9();

    // First the same address is a storage of its own, then it is founded anew by somebody else.
    let storage = serve(&new.path().join("data"), storage.address().port());
    let told = home.ends(1, &["get", "k"]);
    assert!(told.err.contains("sdht join"), "{told}");
    let other = Home::default();
    other.ends(0, &["join", &place]);
    other.ends(0, &["set", "k", "of the new ring"]);
    let told = home.ends(0, &["get", "k"]);
    assert_eq!(told.text(), "of the new ring");
    assert!(told.err.contains("used last is no more"), "{told}");
    assert_eq!(home.ends(0, &["get", "k"]).err, "", "it is said once");
    drop(storage);
}

/// Whoever is asked first is not asked alone: as long as one of the remembered ring answers, it is that ring.
#[test]
fn an_address_that_another_ring_has_taken_leads_nobody_there() {
    let (home, mut storages) = ring_of(3);
    home.ends(0, &["set", "ours", "v"]);
    // The one that is asked first.
    let walked = home.prints(&["walk"]);
    let asked = |n: &usize| walked.find(&rings::address(&storages[*n])).unwrap();
    let first = (0..3).min_by_key(asked).unwrap();
    let second = rings::address(&storages[(first + 1) % 3]);
    wiped(&mut storages[first]);
    let (other, taken) = (Home::default(), rings::address(&storages[first]));
    other.ends(0, &["join", &taken]);
    other.ends(0, &["set", "theirs", "v"]);
    for _ in 0..3 {
        let told = home.ends(0, &["keys"]);
        assert_eq!(told.text().trim_end(), "ours", "{taken} is of another ring: {told}");
        assert_eq!(home.prints(&["get", "ours"]), "v");
        // It goes round before anything else.
        let walked = home.sdht(&["walk"]).text();
        assert!(walked.contains(&second), "{walked}");
    }
}

#[test]
fn a_ring_goes_into_a_stream_and_out_of_it_into_a_ring_of_another_size() {
    let (large, small) = (Home::default(), Home::default());
    let storages: Vec<_> = (0..4).map(|_| process::fresh()).collect();
    let at = |n: usize| address(&storages[n].1);
    large.ends(0, &["join", &at(0), &at(1), &at(2)]);
    small.ends(0, &["join", &at(3)]);
    for n in 0..30 {
        large.ends(0, &["set", &format!("key {n}"), &"v".repeat(n * 1_000), "-t", "text/x-test"]);
    }
    large.ends(0, &["set", "brief", "v", "--ttl", "1h"]);
    let stream = large.ends(0, &["export"]).out;
    let told = small.sdht_fed(&["import", "--json"], &stream);
    assert_eq!((told.code, told.json()[0]["keys"].as_u64()), (0, Some(31)), "{told}");
    for n in [0, 1, 29] {
        let key = format!("key {n}");
        let (here, there) =
            (large.ends(0, &["get", &key, "--json"]), small.ends(0, &["get", &key, "--json"]));
        for field in ["value", "content_type", "bytes"] {
            assert_eq!(here.json()[0][field], there.json()[0][field]);
        }
    }
    let expires =
        |home: &Home| home.ends(0, &["get", "brief", "--json"]).json()[0]["expires"].clone();
    assert!(expires(&large).is_string() && expires(&large) == expires(&small));
}

#[test]
fn of_a_stream_that_is_not_whole_it_is_said_where_and_why_what_was_set_and_what_to_do() {
    let (home, _storages) = ring_of(1);
    for n in 0..30 {
        home.ends(0, &["set", &format!("key {n}"), &"v".repeat(n * 4_000)]);
    }
    let stream = home.ends(0, &["export"]).out;
    let (empty, _alone) = ring_of(1);
    let told = empty.sdht_fed(&["import"], b"no archive");
    assert!(told.code == 1 && told.err.contains("standard input: item 1"), "{told}");
    // In the middle, where a value of many pieces is on its way, and near the end.
    for end in [stream.len() / 2, stream.len() - 50_000, stream.len() - 3] {
        fs::write(empty.path().join("cut"), &stream[..end]).unwrap();
        let told = empty.ends(1, &["import", "-f", "cut"]);
        assert!(told.err.starts_with("sdht: cut: item "), "{told}");
        for said in ["ends too early", "What was set stays", "'sdht export' makes one"] {
            assert!(told.err.contains(said), "{said}: {told}");
        }
        let set =
            format!("({} keys were set before that)", empty.prints(&["keys"]).lines().count());
        assert!(told.err.contains(&set), "{set}: {told}");
    }
    assert_eq!(empty.sdht_fed(&["import"], &stream).code, 0);
    assert_eq!(empty.prints(&["keys"]), home.prints(&["keys"]));
}
