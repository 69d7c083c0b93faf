//! The command at a ring whose disks are nearly full: what is refused and in which words, what goes on, and that it takes up
//! again when there is room.

use rustix::fs::statvfs;
use sdht_tests::{
    SmallDisk,
    command::{Home, Told},
    process::{Launch, Process},
    skip, wait_until,
};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    time::Duration,
};

const MIB: u64 = 1 << 20;
/// What is left free: less than the storages want, and far from nothing.
const LEFT: u64 = 8 * MIB;
const SOON: Duration = Duration::from_secs(30);

/// Takes up the disk but for a little; again, when somebody has made room by giving up what it had set aside.
fn fill(filler: &Path, place: &Path) {
    let disk = statvfs(place).unwrap();
    let taken = (disk.f_bavail * disk.f_frsize).saturating_sub(LEFT) / MIB;
    let mut file = OpenOptions::new().create(true).append(true).open(filler).unwrap();
    let zeros = vec![0; MIB as usize];
    (0..taken).for_each(|_| file.write_all(&zeros).unwrap());
}

#[test]
fn a_full_disk_is_named_nothing_is_lost_and_it_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("mounted");
    fs::create_dir(&place).unwrap();
    let _disk = match SmallDisk::mount(&place, "size=200m") {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let storages: Vec<Process> =
        ["a", "b", "c"].map(|name| Launch::on(&place.join(name)).serve()).into();
    let addresses: Vec<String> = storages.iter().map(|s| s.address().to_string()).collect();
    let home = Home::default();
    home.ends(0, &["join", &addresses[0], &addresses[1], &addresses[2]]);
    let tree = home.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("short"), "short").unwrap();
    fs::write(tree.join("long"), vec![7; 300_000]).unwrap();
    home.ends(0, &["set", "k", "before"]);
    home.ends(0, &["push", "tree", "--prefix", "before"]);
    home.ends(0, &["export", "-o", "archive"]);

    let filler = place.join("filler");
    let refused: &[&[&str]] = &[
        &["set", "k", "after", "--timeout", "1s"],
        &["set", "long", "-f", "tree/long", "--timeout", "1s"],
        &["push", "tree", "--prefix", "after", "--timeout", "1s"],
        &["import", "-f", "archive", "--timeout", "1s"],
    ];
    wait_until("a full disk is said", SOON, || {
        fill(&filler, &place);
        let told = home.sdht(refused[0]);
        assert!([0, 5, 6].contains(&told.code), "{told}");
        // As long as some still have room, nobody can tell whether one of them took it.
        told.code == 5 && told.err.contains("nearly full")
    });
    home.ends(0, &["keys"]);
    let value = home.prints(&["get", "k"]);
    let says_all = |told: &Told| {
        let names = addresses.iter().any(|address| told.err.contains(address));
        let words = ["nearly full", "Nothing is lost", "Make room on that disk"];
        // All of them refuse it, so nothing was changed.
        let is_refused = told.code == 5 && told.out.is_empty();
        is_refused && names && words.iter().all(|word| told.err.contains(word))
    };
    for line in refused {
        let told = home.sdht(line);
        assert!(says_all(&told), "{line:?}: {told}");
        let told = home.sdht(&[*line, &["--json"]].concat());
        let error = told.err.lines().next_back().unwrap();
        let error: serde_json::Value = serde_json::from_str(error).unwrap();
        assert!(error["code"] == told.code && says_all(&told), "{line:?}: {told}");
    }
    assert!(home.sdht(refused[2]).err.contains("files had come over before that"));
    assert!(home.sdht(refused[3]).err.contains("keys were set before that"));

    // Reading goes on, so does deleting, and status says what is the matter.
    assert_eq!(home.prints(&["get", "k"]), value);
    assert_eq!(home.ends(0, &["get", "before/long"]).out, vec![7; 300_000]);
    home.ends(3, &["get", "long"]);
    home.ends(0, &["del", "before/short"]);
    home.ends(0, &["pull", "back", "--prefix", "before"]);
    let told = home.ends(8, &["status"]);
    assert!(told.text().contains("nearly full") && told.text().contains(&addresses[0]), "{told}");

    File::create(&filler).unwrap();
    wait_until("writes are taken again", SOON, || home.sdht(refused[0]).code == 0);
    refused.iter().for_each(|line| drop(home.ends(0, line)));
    assert_eq!(home.prints(&["get", "k"]), "before", "as it is in the archive");
    assert_eq!(home.prints(&["get", "before/short"]), "short");
    for long in ["long", "before/long", "after/long"] {
        assert_eq!(home.ends(0, &["get", long]).out, vec![7; 300_000], "{long}");
    }
    wait_until("all is well", SOON, || home.sdht(&["status"]).code == 0);
}
