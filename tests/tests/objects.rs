//! Values of any length over a ring of real processes: they come back equal, also a part of them, while they are replaced,
//! and after an upload was cut off in the middle; and what such an upload leaves behind is found.
//!
//! ```text
//! BIG_MIB=2048 cargo test --release -p sdht-tests --test objects big -- --nocapture
//! ```

use minor_protocol::{Operation, Wish};
use sdht::{
    Expect, Key, NotGot, NotSet, PutOptions,
    blocking::Ring,
    register::Changed,
    router::{Patience, Router},
    transport::http::HttpTransport,
};
use sdht_tests::{
    chance::Chance,
    http::Call,
    number, process,
    rings::{Storage, address, joined, storages},
    wait_until,
};
use std::{
    collections::BTreeSet,
    env,
    io::{self, Read},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PIECE: usize = 64 << 10;

type Storages = Vec<Storage>;

/// A ring of three storages that keep two copies of everything, so that not every storage has everything.
fn ring() -> (Storages, Ring) {
    let storages = storages(3);
    let ring = joined(&storages, 2);
    (storages, ring)
}

/// Bytes in which no two pieces are alike.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    (0..count.div_ceil(8)).flat_map(|_| chance.bits().to_le_bytes()).take(count).collect()
}

fn read(ring: &Ring, key: &str) -> Vec<u8> {
    let mut all = vec![];
    ring.get_stream(key, ..).unwrap().expect("it was put").read_to_end(&mut all).unwrap();
    all
}

/// The names of all pieces that any storage holds alive.
fn pieces(storages: &Storages) -> BTreeSet<String> {
    storages.iter().flat_map(|(_, storage)| storage.pieces()).collect()
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
    // Whatever takes the place of a large object takes its pieces away.
    assert_eq!(ring.sweep_orphans(Duration::ZERO).unwrap(), 0);
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
        let most = PIECE.min(into.len());
        let count = self.0.read(&mut into[..most])?;
        (self.1)();
        Ok(count)
    }
}

#[test]
fn what_cannot_be_read_to_its_end_leaves_what_was_there() {
    let (storages, ring) = ring();
    let (old, new) = (bytes(2 * PIECE, 1), bytes(40 * PIECE, 2));
    ring.put_stream("k", &old[..], &options()).unwrap();
    let refused = ring.put_stream("k", new.chain(Torn), &options());
    assert!(matches!(&refused, Err(NotSet::Unread { why, .. }) if why == "torn"), "{refused:?}");
    assert!(read(&ring, "k") == old);
    assert_eq!(pieces(&storages).len(), 2);
}

struct Torn;

impl Read for Torn {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("torn"))
    }
}

#[test]
fn an_upload_that_is_killed_leaves_the_old_object_and_orphans_that_are_swept() {
    let (storages, ring) = ring();
    let old = bytes(2 * PIECE, 1);
    ring.put_stream("k", &old[..], &options()).unwrap();
    let mut upload = Command::new(env::current_exe().unwrap())
        .args(["--exact", "an_upload_without_end", "--ignored"])
        .env("RING", address(&storages[0]))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("some pieces have arrived", Duration::from_secs(60), || {
        pieces(&storages).len() > 20
    });
    // As long as its pieces are young, they may be those of an upload under way: and here they are.
    assert_eq!(ring.sweep_orphans(Duration::from_secs(600)).unwrap(), 0);
    upload.kill().unwrap();
    upload.wait().unwrap();
    assert!(read(&ring, "k") == old);
    assert!(pieces(&storages).len() > 20);
    assert!(ring.sweep_orphans(Duration::ZERO).unwrap() > 18);
    assert_eq!(pieces(&storages).len(), 2);
    assert!(read(&ring, "k") == old);
}

#[test]
#[ignore = "another test starts it, and kills it"]
fn an_upload_without_end() {
    let ring = Ring::connect([env::var("RING").unwrap()]).unwrap();
    ring.put_stream("k", io::repeat(7), &options()).unwrap();
}

#[test]
fn who_reads_while_it_is_replaced_gets_one_of_both_or_an_error() {
    let (_storages, ring) = ring();
    let both = [bytes(60 * PIECE, 1), bytes(40 * PIECE, 2)];
    ring.put_stream("k", &both[0][..], &options()).unwrap();
    // Replaced when nothing of it was taken but what was on its way, and the rest is gone.
    let mut object = ring.get_stream("k", ..).unwrap().unwrap();
    ring.put_stream("k", &both[1][..], &options()).unwrap();
    let mut taken = vec![];
    let broken = object.read_to_end(&mut taken).unwrap_err();
    let why = broken.get_ref().and_then(|why| why.downcast_ref::<NotGot>());
    assert!(matches!(why, Some(NotGot::Replaced { .. })), "{broken:?}");
    assert!(!taken.is_empty() && taken[..] == both[0][..taken.len()]);
    // Replaced all the time.
    let writer = {
        let (ring, both) = (ring.clone(), both.clone());
        thread::spawn(move || {
            for n in 0..10 {
                ring.put_stream("k", &both[n % 2][..], &options()).unwrap();
            }
        })
    };
    let mut whole = 0;
    while !writer.is_finished() || whole == 0 {
        match ring.get_bytes("k") {
            Ok(Some(value)) => {
                assert!(both.contains(&value.bytes));
                whole += 1;
            }
            Err(NotGot::Replaced { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    writer.join().unwrap();
}

/// Does something to the ring that its handle does not offer.
fn beneath<A, F: Future<Output = A>>(
    storages: &Storages,
    work: impl FnOnce(Router<HttpTransport>) -> F,
) -> A {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = address(&storages[0]);
    tokio::task::LocalSet::new().block_on(&runtime, async {
        work(Router::new(HttpTransport::new(None), vec![address], Patience::default())).await
    })
}

fn change_beneath(storages: &Storages, key: &str, wish: Wish) {
    let (key, operation) = (Key::new(key).unwrap(), Operation { expect: Expect::Anything, wish });
    let changed = beneath(storages, |router| async move { router.change(&key, operation).await });
    assert!(matches!(changed, Ok(Changed::Done(_))), "{changed:?}");
}

#[test]
fn a_wrong_piece_is_found_out_before_the_last_byte_and_a_missing_one_at_its_place() {
    let (storages, ring) = ring();
    let all = bytes(4 * PIECE, 1);
    ring.put_stream("k", &all[..], &options()).unwrap();
    let second = pieces(&storages).into_iter().find(|name| name.contains(".0}1")).unwrap();
    let read = |range: std::ops::Range<u64>| {
        let mut taken = vec![];
        let ended = ring.get_stream("k", range).unwrap().unwrap().read_to_end(&mut taken);
        (taken, ended.map_err(|broken| *broken.into_inner().unwrap().downcast::<NotGot>().unwrap()))
    };
    let value = bytes(PIECE, 2);
    change_beneath(
        &storages,
        &second,
        Wish::Set { content_type: "".into(), expires_ms: None, value },
    );
    let (taken, ended) = read(0..all.len() as u64);
    assert!(matches!(ended, Err(NotGot::Damaged { .. })), "{ended:?}");
    assert_eq!(taken.len(), 3 * PIECE, "the last piece is held back");
    assert!(matches!(ring.get_bytes("k"), Err(NotGot::Damaged { .. })));
    change_beneath(&storages, &second, Wish::Delete);
    let (taken, ended) = read(0..all.len() as u64);
    assert!(matches!(ended, Err(NotGot::Damaged { .. })), "{ended:?}");
    assert!(taken == all[..PIECE]);
    // What does not need it is there.
    let (taken, ended) = read(2 * PIECE as u64..3 * PIECE as u64);
    assert!(taken == all[2 * PIECE..3 * PIECE] && ended.is_ok(), "{ended:?}");
    let missing = ring.get_stream("k", PIECE as u64..).map(drop);
    assert!(matches!(missing, Err(NotGot::Damaged { .. })), "{missing:?}");
}

#[test]
fn objects_are_put_and_read_with_one_storage_silent_or_dead() {
    let mut storages = storages(3);
    let ring = joined(&storages, 3);
    let all = bytes(200 * PIECE, 1);
    ring.put_stream("before", &all[..], &options()).unwrap();
    storages[1].1.pause();
    let begun = Instant::now();
    ring.put_stream("silent", &all[..], &options()).unwrap();
    assert!(read(&ring, "before") == all && read(&ring, "silent") == all);
    // It is waited for once in each of the three, and not for each of their pieces.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    storages[1].1.resume();
    storages[1].1.kill9();
    ring.put_stream("dead", &all[..], &options()).unwrap();
    for key in ["before", "silent", "dead"] {
        assert!(read(&ring, key) == all, "{key}");
    }
}

#[test]
fn what_has_expired_is_absent_and_then_gone() {
    let (storages, ring) = ring();
    let brief = options().time_to_live(Duration::from_millis(1_500));
    ring.set_with("word", "brief", &brief).unwrap();
    let held = ring.put_stream("long", &bytes(3 * PIECE, 1)[..], &brief).unwrap();
    ring.set_with("kept", "for ever", &options().expect(Expect::Absent)).unwrap();
    let value = ring.get_bytes("word").unwrap().unwrap();
    assert!(value.expires_ms.is_some_and(|end| end > value.stamp.time_ms()), "{value:?}");
    let refused = ring.set_with("word", "again", &brief.clone().expect(Expect::Absent));
    assert!(matches!(refused, Err(NotSet::NotMet { .. })), "{refused:?}");
    wait_until("both have expired", Duration::from_secs(10), || {
        ring.get::<String>("word").unwrap().is_none()
            && ring.get_stream("long", ..).unwrap().is_none()
    });
    assert_eq!(ring.keys("").map(|key| key.unwrap().to_string()).collect::<Vec<_>>(), ["kept"]);
    let late = ring.put_stream("long", &b""[..], &options().expect(Expect::Stamp(held)));
    assert!(matches!(late, Err(NotSet::NotMet { found: None, .. })), "{late:?}");
    // What is expired is swept as what is deleted; and an expired header names no pieces.
    assert_eq!(ring.sweep_orphans(Duration::ZERO).unwrap(), 3);
    let swept = beneath(&storages, |router| async move {
        let mut swept = 0;
        for arc in router.walk().await.unwrap().arcs {
            swept += router.sweep(&arc).await.unwrap();
        }
        swept
    });
    assert_eq!(swept, 2 + 3, "both records and the deleted pieces");
    ring.set_with("word", "again", &options().expect(Expect::Absent)).unwrap();
    assert_eq!(ring.get("word").unwrap(), Some("again".to_owned()));
    assert_eq!(pieces(&storages).len(), 0);
}

/// Draws without end, and so many bytes of them.
struct Draws(Chance, u64);

impl Read for Draws {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        for eight in into.chunks_mut(8) {
            let some = (eight.len() as u64).min(self.1);
            eight[..some as usize].copy_from_slice(&self.0.bits().to_le_bytes()[..some as usize]);
            (count, self.1) = (count + some as usize, self.1 - some);
        }
        Ok(count)
    }
}

/// The most memory this process ever held, in bytes.
fn peak_bytes() -> u64 {
    process::peak_bytes(std::process::id())
}

#[test]
#[ignore = "memory is counted for a whole process: another test starts it in one of its own"]
fn alone_big() {
    let (_storages, ring) = ring();
    let big = number("BIG_MIB", 200) << 20;
    ring.put_stream("idle", &bytes(PIECE * 2, 1)[..], &options()).unwrap();
    let idle = peak_bytes();
    ring.put_stream("big", Draws(Chance::new(1), big), &options()).unwrap();
    let (mut same, mut object) =
        (Draws(Chance::new(1), big), ring.get_stream("big", ..).unwrap().unwrap());
    let (mut here, mut there) = (vec![0; PIECE], vec![0; PIECE]);
    for _ in 0..big / PIECE as u64 {
        same.read_exact(&mut here).unwrap();
        object.read_exact(&mut there).unwrap();
        assert!(here == there);
    }
    assert_eq!(object.read(&mut there).unwrap(), 0);
    let more = peak_bytes() - idle;
    eprintln!("{} MiB: {} MiB of memory above idle", big >> 20, more >> 20);
    assert!(more <= 64 << 20, "{more} bytes above idle");
}

#[test]
fn a_big_object_takes_little_memory() {
    let alone = Command::new(env::current_exe().unwrap())
        .args(["--exact", "alone_big", "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(alone.success());
}
