//! Values of any length over a ring of real processes: they come back equal, also a part of them, while they are replaced,
//! and after an upload was cut off in the middle; and what such an upload leaves behind is found.
//!
//! ```text
//! BIG_MIB=2048 cargo test --release -p sdht-tests --test objects big -- --nocapture
//! ```

use sdht::{Expect, NotGot, NotSet, PutOptions, blocking::Ring};
use sdht_tests::{
    chance::Chance,
    http::Call,
    number,
    process::{self, Process},
    wait_until,
};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Read, Write},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PIECE: usize = 64 << 10;

type Storages = Vec<(TempDir, Process)>;

/// A ring of three storages that keep two copies of everything, so that not every storage has everything.
fn ring() -> (Storages, Ring) {
    let storages: Storages = (0..3).map(|_| process::fresh()).collect();
    let address = |n: usize| storages[n].1.address().to_string();
    let ring = Ring::found_by(sdht::Ring::builder().copies(2), &address(0)).unwrap();
    for n in 1..3 {
        ring.join(&address(n)).finish().unwrap();
    }
    (storages, ring)
}

/// Bytes in which no two pieces are alike.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    (0..count.div_ceil(8)).flat_map(|_| chance.number().to_le_bytes()).take(count).collect()
}

fn read(ring: &Ring, key: &str) -> Vec<u8> {
    let mut all = vec![];
    ring.get_stream(key, ..).unwrap().expect("it was put").read_to_end(&mut all).unwrap();
    all
}

/// The names of all pieces that any storage holds alive.
fn pieces(storages: &Storages) -> BTreeSet<String> {
    let listed = |storage: &Process| {
        let reply = storage.call(&Call::get("/v1/kv?prefix=%00&limit=100000"));
        let lines: Vec<String> = reply.text().lines().map(str::to_owned).collect();
        lines.into_iter().map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            line["key"].as_str().unwrap().to_owned()
        })
    };
    storages.iter().flat_map(|(_, storage)| listed(storage)).collect()
}

fn options() -> PutOptions {
    PutOptions::new()
}

#[test]
fn what_was_put_comes_back_equal_however_long_it_is() {
    let (storages, ring) = ring();
    for (n, count) in
        [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, (5 << 20) + 7].into_iter().enumerate()
    {
        let (key, all) = (format!("file {count}"), bytes(count, n as u64));
        let before = pieces(&storages).len();
        let stamp = ring.put_stream(&key, &all[..], &options().content_type("image/png")).unwrap();
        let more = if count <= PIECE { 0 } else { count.div_ceil(PIECE) };
        assert_eq!(pieces(&storages).len() - before, more, "{key}");
        assert!(read(&ring, &key) == all, "{key} as a stream");
        let value = ring.get_bytes(&key).unwrap().unwrap();
        assert!(value.bytes == all, "{key} as a whole");
        assert_eq!((value.content_type.as_str(), value.stamp), ("image/png", stamp));
        let about = ring.get_stream(&key, ..).unwrap().unwrap();
        assert_eq!((about.about().bytes, about.about().stamp), (count as u64, stamp));
    }
    // Whoever lists keys sees none of the pieces.
    assert_eq!(ring.keys("").count(), 7);
    for (_, storage) in &storages {
        assert!(!storage.call(&Call::get("/v1/kv?limit=1000")).text().contains("u0000"));
    }
}

#[test]
fn values_of_a_type_may_be_long_too() {
    let (_storages, ring) = ring();
    let long: Vec<u64> = (0..50_000).collect();
    let stamp = ring.set("numbers", &long).unwrap();
    assert_eq!(ring.get("numbers").unwrap(), Some(long));
    ring.set_if("numbers", &"few", Expect::Stamp(stamp)).unwrap();
    assert_eq!(ring.get("numbers").unwrap(), Some("few".to_owned()));
    // A small value does not look at what it replaces.
    assert!(ring.sweep_orphans(Duration::ZERO).unwrap() > 1);
    assert_eq!(ring.get("numbers").unwrap(), Some("few".to_owned()));
}

#[test]
fn a_range_gives_its_bytes_and_no_others() {
    let (_storages, ring) = ring();
    let all = bytes(10 * PIECE + 5, 1);
    ring.put_stream("long", &all[..], &options()).unwrap();
    ring.put_bytes("short", "", all[..100].to_vec()).unwrap();
    let part = |key: &str, from: usize, to: usize| {
        let mut part = vec![];
        let mut object = ring.get_stream(key, from as u64..to as u64).unwrap().unwrap();
        object.read_to_end(&mut part).unwrap();
        part
    };
    let end = all.len();
    for (from, to) in [
        (0, 1),
        (PIECE - 1, PIECE + 1),
        (PIECE, 2 * PIECE),
        (3 * PIECE + 9, 7 * PIECE + 2),
        (end - 1, end),
        (end - 3 * PIECE, end + 99),
        (5, 5),
        (end + 1, end + 2),
    ] {
        let wanted = all.get(from..to.min(end)).unwrap_or_default();
        assert!(part("long", from, to) == wanted, "{from}..{to}");
    }
    assert_eq!(part("short", 10, 20), all[10..20]);
    assert_eq!(part("short", 90, 200), all[90..100]);
}

#[test]
fn an_object_that_is_replaced_or_deleted_leaves_no_piece_behind() {
    let (storages, ring) = ring();
    ring.put_stream("k", &bytes(5 * PIECE, 1)[..], &options()).unwrap();
    let first = pieces(&storages);
    assert_eq!(first.len(), 5);
    ring.put_stream("k", &bytes(3 * PIECE, 2)[..], &options()).unwrap();
    let second = pieces(&storages);
    assert!(second.len() == 3 && second.is_disjoint(&first), "no name is given twice");
    ring.put_stream("k", &b"few"[..], &options()).unwrap();
    assert_eq!(pieces(&storages).len(), 0);
    ring.put_stream("k", &bytes(2 * PIECE, 3)[..], &options()).unwrap();
    assert!(ring.delete("k").unwrap());
    assert_eq!((pieces(&storages).len(), ring.get_bytes("k").unwrap()), (0, None));
    assert!(ring.get_stream("k", ..).unwrap().is_none());
}

#[test]
fn conditions_hold_of_large_objects_too() {
    let (storages, ring) = ring();
    let (one, two) = (bytes(2 * PIECE, 1), bytes(3 * PIECE, 2));
    let absent = options().expect(Expect::Absent);
    let stamp = ring.put_stream("k", &one[..], &absent).unwrap();
    // What cannot be put is not even read.
    let mut untouched = &two[..];
    let refused = ring.put_stream("k", &mut untouched, &absent);
    let not_met = |refused: &Result<_, NotSet>, stamp| match refused {
        Err(NotSet::NotMet { found, .. }) => *found == Some(stamp),
        _ => false,
    };
    assert!(not_met(&refused, stamp), "{refused:?}");
    assert!(untouched.len() + 4 * PIECE > two.len(), "{}", untouched.len());
    // A condition that ceases to hold while the object is sent is seen too, and its pieces go.
    let mut meanwhile = None;
    let overtaken = During(&two[..], || {
        meanwhile
            .get_or_insert_with(|| ring.put_stream("k", &one[..PIECE + 1], &options()).unwrap());
    });
    let refused = ring.put_stream("k", overtaken, &options().expect(Expect::Stamp(stamp)));
    let now = meanwhile.expect("it was read");
    assert!(not_met(&refused, now), "{refused:?}");
    assert!(read(&ring, "k") == one[..PIECE + 1]);
    assert_eq!(pieces(&storages).len(), 2);
    let put = ring.put_stream("k", &two[..], &options().expect(Expect::Stamp(now))).unwrap();
    assert!(matches!(ring.delete_if("k", Expect::Stamp(now)), Err(NotSet::NotMet { .. })));
    assert!(read(&ring, "k") == two);
    assert!(ring.delete_if("k", Expect::Stamp(put)).unwrap());
}

/// A reader during which something happens, after its first piece.
struct During<'a, F: FnMut()>(&'a [u8], F);

impl<F: FnMut()> Read for During<'_, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(&mut into[..PIECE.min(into.len())])?;
        (self.1)();
        Ok(count)
    }
}

#[test]
fn what_cannot_be_read_to_its_end_leaves_what_was_there() {
    let (storages, ring) = ring();
    let old = bytes(2 * PIECE, 1);
    ring.put_stream("k", &old[..], &options()).unwrap();
    let new = bytes(40 * PIECE, 2);
    let broken = new.chain(Broken);
    let refused = ring.put_stream("k", broken, &options());
    assert!(matches!(&refused, Err(NotSet::Unread { why, .. }) if why == "torn"), "{refused:?}");
    assert!(read(&ring, "k") == old);
    assert_eq!(pieces(&storages).len(), 2);
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("torn"))
    }
}

trait Chained {
    fn chain<R: Read>(&self, then: R) -> impl Read;
}

impl Chained for Vec<u8> {
    fn chain<R: Read>(&self, then: R) -> impl Read {
        Read::chain(&self[..], then)
    }
}
