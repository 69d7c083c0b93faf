//! An acknowledged write lies on the disk, seen from outside the process; and a full disk is said, borne and recovered from.

use rustix::fs::statvfs;
use sdht_tests::{
    SmallDisk,
    chance::Chance,
    http::{Call, Connection, target},
    number,
    process::{Launch, Process},
    skip, skip_but_in_ci, wait_until,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    time::Duration,
};

#[test]
fn between_a_write_and_its_answer_the_disk_was_synced() {
    if Command::new("strace").arg("--version").output().is_err() {
        return skip_but_in_ci("there is no strace here");
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let calls = "trace=fdatasync,fsync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg";
    // -D: strace is the grandchild, so the storage stays our own child. -y: descriptors by name.
    let under =
        ["strace", "-D", "-f", "-y", "-s", "256", "-e", calls, "-o", trace.to_str().unwrap()];
    let mut storage = Launch::on(&dir.path().join("data")).under(&under).serve();
    let mut connection = storage.connect();
    let writes = 20;
    for n in 0..writes {
        let put = connection.call(&Call::put(&format!("/v1/kv/traced-{n}-"), "v")).unwrap();
        assert_eq!(put.status, 201);
    }
    storage.terminate();
    wait_until("strace has written all", Duration::from_secs(10), || {
        fs::read_to_string(&trace).is_ok_and(|text| {
            text.lines().rev().take(5).any(|line| line.contains("+++ exited with"))
        })
    });
    let text = fs::read_to_string(&trace).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for n in 0..writes {
        let story = story(&lines, &format!("PUT /v1/kv/traced-{n}-"));
        let synced = syncs(story);
        assert!(synced > 0, "no sync of the data between the request and its answer:\n{story:#?}");
    }
    println!("strace: {writes} writes, each synced before its answer");
}

/// The trace from the line where a request was read to the line where its answer was written.
fn story<'a>(lines: &'a [&'a str], request: &str) -> &'a [&'a str] {
    let read = lines.iter().position(|line| line.contains(request)).expect("the request was read");
    let answered = lines[read..].iter().position(|line| line.contains("HTTP/1.1 201"));
    &lines[read..=read + answered.expect("the request was answered")]
}

/// How many syncs of the log began and ended within these lines.
fn syncs(lines: &[&str]) -> usize {
    let of_log = |line: &str| line.contains("fdatasync(") && line.contains("/db>");
    let began = lines.iter().enumerate().filter(|(_, line)| of_log(line));
    began
        .filter(|(at, line)| {
            // Another thread's call may stand between the beginning of this one and its end.
            let thread = line.split_whitespace().next().unwrap();
            let mut rest = lines[*at..].iter().filter(|line| line.starts_with(thread));
            rest.any(|line| line.contains("fdatasync") && line.trim_end().ends_with("= 0"))
        })
        .count()
}

#[test]
fn the_reading_of_a_trace_tells_a_sync_in_time_from_one_too_late() {
    let read = r#"7 recvfrom(9<socket:[1]>, "PUT /v1/kv/a HTTP/1.1\r\n", 99, 0, NULL, NULL) = 24"#;
    let (begun, done) =
        ("8 fdatasync(5</d/store/db> <unfinished ...>", "8 <... fdatasync resumed>) = 0");
    let answer = r#"7 writev(9<socket:[1]>, [{"HTTP/1.1 201 Created\r\n", 22}], 1) = 22"#;
    let count = |lines: &[&str]| syncs(story(lines, "PUT /v1/kv/a"));
    assert_eq!(count(&[read, begun, done, answer]), 1);
    assert_eq!(count(&[read, "8 fdatasync(5</d/store/db>) = 0", answer]), 1);
    assert_eq!(count(&[read, begun, answer, done]), 0);
    assert_eq!(
        count(&[begun, read, done, answer]),
        0,
        "a sync that began before may miss the write"
    );
    assert_eq!(count(&[read, "8 fdatasync(5</d/store/db>) = -1 EIO", answer]), 0);
    assert_eq!(count(&[read, "8 fdatasync(6</d/ballast>) = 0", answer]), 0);
}

const MIB: u64 = 1 << 20;
/// What the storage is left to write into before it must refuse.
const LEFT: u64 = 24 * MIB;
/// The storage's own floor and ballast.
const FLOOR: u64 = 48 * MIB;
const BALLAST: u64 = 16 * MIB;

#[test]
fn a_full_disk_refuses_writes_serves_the_rest_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("mounted");
    fs::create_dir(&place).unwrap();
    for trial in 1..=number("FILLS", 1) {
        let _disk = match SmallDisk::mount(&place, "size=160m") {
            Ok(disk) => disk,
            Err(why) => return skip(&why),
        };
        let mut storage = Launch::on(&place.join("data")).serve();
        let mut shelf = Shelf { seed: Chance::new(trial), kept: BTreeMap::new() };
        (0..100).for_each(|n| assert_eq!(shelf.put(&mut storage.connect(), n), 201));
        let filler = place.join("filler");
        fill(&filler, &place);

        let refused = (100..3_000).find(|n| shelf.put(&mut storage.connect(), *n) == 507);
        let refused = refused.expect("a full disk is said");
        shelf.is_whole(&storage);
        let doomed: Vec<_> = shelf.kept.keys().copied().take(10).collect();
        for n in doomed {
            let deleted = storage.call(&Call::delete(&key(n)));
            assert_eq!(deleted.status, 204, "a deletion is served: {deleted:?}");
            shelf.kept.remove(&n);
            assert_eq!(storage.call(&Call::get(&key(n))).status, 404);
        }
        assert!(storage.call(&Call::get("/livez")).status == 200 && !storage.has_ended());

        fs::remove_file(&filler).unwrap();
        wait_until("writes are taken again", Duration::from_secs(20), || {
            shelf.put(&mut storage.connect(), 5_000) != 507
        });
        (5_001..5_100).for_each(|n| assert_eq!(shelf.put(&mut storage.connect(), n), 201));
        shelf.is_whole(&storage);
        let stopped = storage.terminate();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.said);
        storage.restart();
        shelf.is_whole(&storage);
        println!(
            "full disk: trial {trial}, write {refused} refused, {} values kept, 0 lost",
            shelf.kept.len()
        );
    }
}

/// Takes up the disk but for what the storage may still write.
fn fill(filler: &Path, place: &Path) {
    let disk = statvfs(place).unwrap();
    let free = disk.f_bavail * disk.f_frsize;
    let taken = (free + BALLAST).saturating_sub(FLOOR + BALLAST + LEFT);
    let mut file = File::create(filler).unwrap();
    let zeros = vec![0; MIB as usize];
    (0..taken / MIB).for_each(|_| file.write_all(&zeros).unwrap());
}

/// What was put and acknowledged.
struct Shelf {
    seed: Chance,
    kept: BTreeMap<u64, Vec<u8>>,
}

impl Shelf {
    fn put(&mut self, connection: &mut Connection, n: u64) -> u16 {
        let value = self.seed.bytes(60_000);
        let reply = connection.call(&Call::put(&key(n), value.clone())).unwrap();
        match reply.status {
            201 | 204 => drop(self.kept.insert(n, value)),
            507 => assert!(!self.kept.contains_key(&n), "what was refused is not there"),
            _ => panic!("{n}: {reply:?}"),
        }
        reply.status
    }

    fn is_whole(&self, storage: &Process) {
        let mut connection = storage.connect();
        for (n, value) in &self.kept {
            let reply = connection.call(&Call::get(&key(*n))).unwrap();
            assert_eq!(reply.status, 200, "{n}: {reply:?}");
            assert!(reply.body == *value, "{n} shows another value");
        }
    }
}

fn key(n: u64) -> String {
    target(&format!("value/{n}"))
}
