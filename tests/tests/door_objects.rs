//! Large objects and what takes their place, through the door and through the library: nothing is left behind, and no more than a
//! few pieces are in memory at a time.
//!
//! ```text
//! PIPE_MIB=2048 cargo test --release -p sdht-tests --test door_objects pipe -- --nocapture
//! ```

use sdht::{Expect, PutOptions, blocking::Ring};
use sdht_tests::{
    command::Home,
    door::Door,
    http::Call,
    number,
    process::LIMIT,
    rings::{Storage, address, joined, storages},
    wait_until,
};
use std::process::{Command, Output};

const PIECE: usize = 64 << 10;

/// Three storages that keep so many copies of everything, and a door to them.
struct Open {
    door: Door,
    ring: Ring,
    storages: Vec<Storage>,
    _home: Home,
}

fn open(copies: u8) -> Open {
    let storages = storages(3);
    let ring = joined(&storages, copies);
    let home = Home::default();
    let door = Door::open(&home, &["--ring", &address(&storages[0]), "--no-keeper"]);
    Open { door, ring, storages, _home: home }
}

impl Open {
    fn pieces(&self) -> usize {
        let mut pieces: Vec<String> = self.storages.iter().flat_map(|s| s.1.pieces()).collect();
        pieces.sort();
        pieces.dedup();
        pieces.len()
    }

    fn put(&self, value: impl Into<Vec<u8>>) -> u16 {
        self.door.call(&Call::put("/v1/kv/k", value)).status
    }

    /// A command line of a shell, in which `$KEY` is a key at the door.
    fn sh(&self, line: &str) -> Output {
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", line]).env("KEY", self.door.at("/v1/kv/big"));
        shell.output().expect("a shell is there")
    }
}

#[test]
fn a_value_in_an_object_s_place_leaves_no_piece_behind_however_many_copies_there_are() {
    for copies in [1, 3] {
        let open = open(copies);
        let (ring, long) = (&open.ring, vec![7; 3 * PIECE]);
        let there = |pieces, by| assert_eq!(open.pieces(), pieces, "{copies} copies, {by}");
        assert_eq!(open.put(long.clone()), 201);
        there(3, "put for the first time");
        assert_eq!(open.put(&long[PIECE..]), 204);
        there(2, "put again");
        assert_eq!((open.put("few"), open.put("few")), (204, 204));
        there(0, "a few bytes");
        let again = || ring.put_stream("k", &long[..], &PutOptions::new()).unwrap();
        again();
        ring.set("k", "few").unwrap();
        there(0, "set");
        again();
        assert!(ring.set_many([("k", "few"), ("l", "few")]).iter().all(Result::is_ok));
        there(0, "set_many");
        again();
        assert!(ring.set_if("k", "few", Expect::Absent).is_err());
        there(3, "what is refused changes nothing");
        assert_eq!(open.door.call(&Call::new("DELETE", "/v1/kv/k")).status, 204);
        there(0, "deleted");
        assert_eq!((open.put("few"), open.put(long)), (201, 204));
    }
}

/// What Prometheus is told of asks that storages were asked.
fn asks(storages: &[Storage]) -> u64 {
    let counted = |(_, storage): &Storage| {
        let text = storage.call(&Call::get("/metrics")).text().to_owned();
        let asks = text.lines().filter(|line| line.contains("requests_total{place=\"ask\""));
        asks.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    storages.iter().map(counted).sum()
}

#[test]
fn a_put_asks_no_more_than_the_change_itself() {
    // Two promise and three accept; one alone is asked once.
    for (copies, each) in [(3, 5), (1, 1)] {
        let open = open(copies);
        assert_eq!(open.put("first"), 201);
        let (before, puts) = (asks(&open.storages), 100);
        for _ in 0..puts {
            assert_eq!(open.put("again"), 204);
        }
        let asked = asks(&open.storages) - before;
        assert!(asked >= puts, "{copies} copies: {asked} asks cannot have been all");
        assert!(asked < puts * (each + 1), "{copies} copies: {asked} asks for {puts} puts");
    }
}

#[test]
fn what_a_storage_missed_is_levelled_in_little_memory() {
    let open = open(3);
    let missing = &open.storages[2].1;
    missing.pause();
    assert_eq!(open.put(vec![7; 512 * PIECE]), 201);
    missing.resume();
    // A door that has passed nothing on yet.
    let flags = ["--ring", &address(&open.storages[0]), "--no-keeper"];
    let (home, storage) = (Home::default(), &open.storages[2].1);
    let door = Door::open(&home, &flags);
    let held = || storage.pieces().len();
    let (idle, before) = (door.peak_bytes(), held());
    assert!(before < 400, "{before} pieces came over all the same");
    let repair = Call::post("/v1/ring/repair", "{}").with("content-type", "application/json");
    assert_eq!(door.call(&repair).status, 202);
    wait_until("it has all pieces", LIMIT, || held() == 512);
    let more = door.peak_bytes() - idle;
    eprintln!("{} pieces: {} MiB above {} MiB", 512 - before, more >> 20, idle >> 20);
    assert!(more <= 64 << 20, "{more} bytes above idle");
}

#[test]
fn a_pipe_of_any_length_passes_through_the_door_in_little_memory() {
    let open = open(3);
    let mib = number("PIPE_MIB", 200);
    // No two pieces of it are alike, and it costs next to nothing.
    let source = format!("seq 1000000000 9999999999 | head -c {}", mib << 20);
    let said = |out: &Output| String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let small = open.sh("head -c 200000 /dev/zero | curl -sSf -T - $KEY && curl -sSf $KEY | wc -c");
    assert_eq!(said(&small), "200000", "{small:?}");
    let idle = open.door.peak_bytes();
    // `head` ends its source, which is no failure here.
    let sent = format!("set +o pipefail; {source} | tee >(sha256sum >&2) | curl -sSf -T - $KEY");
    let put = open.sh(&format!("{sent} -w '%{{http_code}}'"));
    assert_eq!(said(&put), "204", "{put:?}");
    let sent = String::from_utf8_lossy(&put.stderr).trim().to_owned();
    let got = open.sh("curl -sSf $KEY | sha256sum");
    assert_eq!(said(&got), sent, "{got:?}");
    let more = open.door.peak_bytes() - idle;
    eprintln!("{mib} MiB: {} MiB above {} MiB", more >> 20, idle >> 20);
    assert!(more <= 64 << 20, "{more} bytes above idle");
}
