//! What single verbs do beyond their names: parts of values, a pace for what moves, a storage that joins with all it has.

use sdht_tests::{
    command::Home,
    http::Call,
    process,
    rings::{Storage, address, ring_of},
    wait_until,
};
use std::{
    fs,
    time::{Duration, Instant},
};

/// Sets a key of a storage that is in no ring.
fn put(storage: &Storage, key: &str, value: &str) {
    let reply = storage.1.call(&Call::put(&format!("/v1/kv/{key}"), value));
    assert!([201, 204].contains(&reply.status), "{reply:?}");
}

#[test]
fn a_part_of_a_value_is_got_short_or_long() {
    let (home, _storages) = ring_of(3);
    let long: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(home.path().join("long"), &long).unwrap();
    home.ends(0, &["set", "long", "-f", "long"]);
    home.ends(0, &["set", "short", "0123456789"]);
    for (range, wanted) in
        [("2-4", "234"), ("7-", "789"), ("-2", "89"), ("8-99", "89"), ("0-0", "0")]
    {
        assert_eq!(home.prints(&["get", "short", "--range", range]), wanted, "{range}");
    }
    for (range, wanted) in [
        ("65530-65600", &long[65_530..=65_600]),
        ("131072-", &long[131_072..]),
        ("-70000", &long[130_000..]),
    ] {
        assert!(home.ends(0, &["get", "long", "--range", range]).out == wanted, "{range}");
    }
    home.ends(0, &["get", "long", "--range", "5-70000", "-o", "part"]);
    assert!(fs::read(home.path().join("part")).unwrap() == long[5..=70_000]);
    let told = &home.ends(0, &["get", "short", "--range", "2-4", "--json"]).json()[0];
    assert_eq!((&told["value"], &told["bytes"]), (&"234".into(), &10.into()));
    assert_eq!(told["range"], serde_json::json!([2, 4]));
    assert!(home.ends(4, &["get", "short", "--range", "10-12"]).err.contains("has 10 bytes"));
    home.ends(3, &["get", "nothing", "--range", "-5"]);
}

#[test]
fn what_has_expired_is_not_there_to_look_at_nor_to_delete() {
    for storages in [1, 3] {
        let (home, _storages) = ring_of(storages);
        home.ends(0, &["set", "brief", "v", "--ttl", "1s"]);
        wait_until("it has expired", process::LIMIT, || home.sdht(&["has", "brief"]).code == 3);
        let seen = home.ends(0, &["whereis", "brief", "--check"]);
        assert_eq!(seen.text().matches("newest, expired").count(), storages, "{seen}");
        home.ends(3, &["del", "brief"]);
        home.ends(3, &["del", "brief"]);
        home.ends(0, &["set", "brief", "v"]);
        home.ends(0, &["del", "brief"]);
    }
}

#[test]
fn what_moves_keeps_to_the_pace_it_was_given() {
    let (home, storages) = ring_of(1);
    let ring = sdht::blocking::Ring::connect([address(&storages[0])]).unwrap();
    for n in 0..30 {
        ring.put_bytes(&format!("key {n}"), "", vec![7; 20_000]).unwrap();
    }
    let new = process::fresh();
    let (begun, line) = (Instant::now(), ["join", &address(&new), "--max-rate", "200k"]);
    home.ends(0, &line);
    // 600 kB at 200 kB a second; the first page comes at once.
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[test]
fn what_comes_and_goes_keeps_to_the_pace_it_was_given() {
    let (home, _storages) = ring_of(1);
    let dir = home.path().join("dir");
    fs::create_dir(&dir).unwrap();
    (0..6).for_each(|n| fs::write(dir.join(format!("short {n}")), vec![n; 20_000]).unwrap());
    fs::write(dir.join("long"), vec![7; 200_000]).unwrap();
    for line in [
        &["push", "dir"][..],
        &["pull", "back"],
        &["export", "-o", "archive"],
        &["import", "-f", "archive"],
    ] {
        let begun = Instant::now();
        home.ends(0, &[line, &["--max-rate", "400k"]].concat());
        // 320 kB at 400 kB a second; the first piece comes at once.
        assert!(begun.elapsed() > Duration::from_millis(600), "{line:?}: {:?}", begun.elapsed());
        home.ends(2, &[line, &["--max-rate", "fast"]].concat());
    }
    assert!(fs::read(home.path().join("back/long")).unwrap() == vec![7; 200_000]);
    assert!(fs::read(home.path().join("back/short 3")).unwrap() == vec![3; 20_000]);
}

#[test]
fn an_archive_gets_its_name_when_it_is_whole() {
    let (home, mut storages) = ring_of(1);
    home.ends(0, &["set", "k", "v"]);
    home.ends(0, &["export", "-o", "archive"]);
    let before = fs::read(home.path().join("archive")).unwrap();
    let listed = || {
        let files = fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().file_name());
        files.filter(|name| name.to_string_lossy().contains("archive")).collect::<Vec<_>>()
    };
    // What is a directory, or lies in none, is said to be so.
    assert!(home.ends(1, &["export", "-o", "."]).err.contains("directory"));
    assert!(home.ends(1, &["export", "-o", "nowhere/archive"]).err.contains("nowhere/archive"));
    home.ends(0, &["export", "-o", "/dev/null"]);
    storages[0].1.kill9();
    home.ends(5, &["export", "-o", "archive", "--timeout", "300ms"]);
    assert_eq!(fs::read(home.path().join("archive")).unwrap(), before, "the one before is whole");
    assert_eq!(listed(), ["archive"], "and nothing half done is left");
}

#[test]
fn a_storage_joins_with_all_it_kept_by_itself() {
    let (home, _storages) = ring_of(3);
    let alone = process::fresh();
    for n in 0..1_200 {
        put(&alone, &format!("own/{n}"), &format!("value {n}"));
    }
    put(&alone, "both", "alike");
    home.ends(0, &["set", "both", "alike"]);
    home.ends(0, &["set", "ours", "v"]);
    let place = address(&alone);
    let told = home.ends(4, &["join", &place]);
    assert!(told.err.contains("--import") && told.err.contains("--discard"), "{told}");
    home.ends(0, &["join", &place, "--import"]);
    assert_eq!(home.prints(&["keys", "--prefix", "own/"]).lines().count(), 1_200);
    assert_eq!(home.prints(&["get", "own/7"]), "value 7");
    assert_eq!(home.prints(&["get", "both"]), "alike");
    home.ends(0, &["status"]);
    home.ends(0, &["join", &place, "--import"]);

    // Where two values quarrel nobody is let in, and nobody loses anything.
    let other = process::fresh();
    put(&other, "ours", "theirs");
    put(&other, "more", "m");
    let told = home.ends(4, &["join", &address(&other), "--import"]);
    assert!(told.err.contains("'ours'") && told.err.contains("nothing was dropped"), "{told}");
    assert_eq!(home.prints(&["get", "ours"]), "v");
    assert_eq!(other.1.call(&Call::get("/v1/kv/ours")).body, b"theirs");
    home.ends(0, &["join", &address(&other), "--discard"]);
    assert_eq!(home.prints(&["get", "ours"]), "v");
}

#[test]
fn a_ring_that_is_named_once_does_not_become_the_one_that_is_remembered() {
    let (home, mine) = ring_of(1);
    let (_, theirs) = ring_of(1);
    let (here, there) = (address(&mine[0]), address(&theirs[0]));
    home.ends(0, &["set", "k", "here"]);
    let told = home.ends(0, &["set", "k", "there", "--ring", &there]);
    assert_eq!(told.err, "");
    assert_eq!(home.prints(&["get", "k"]), "here");
    let told = home.command(&["get", "k"]).env("SDHT_RING", &there).output().unwrap();
    assert_eq!(told.stdout, b"there");
    assert_eq!(home.prints(&["get", "k"]), "here");
    // To join is to go there, and whoever remembers nothing has nothing to lose.
    let new = process::fresh();
    let told = home.ends(0, &["join", &address(&new), "--ring", &there]);
    assert!(told.err.contains("From now on"), "{told}");
    assert_eq!(home.prints(&["get", "k"]), "there");
    let nobody = Home::default();
    nobody.ends(0, &["get", "k", "--ring", &here]);
    assert_eq!(nobody.prints(&["get", "k"]), "here");
}
