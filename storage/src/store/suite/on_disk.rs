//! What only a disk can show: a killed process, a file cut short, a bit that turned, a directory that is not ours.

use super::{super::directory::Directory, *};
use crate::store::directory::Unusable;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

const OPTIONS: Options = Options { cache_bytes: 16 << 20 };

fn open(dir: &Path) -> Result<SledStore, Fault> {
    SledStore::open(dir, OPTIONS)
}

/// The directory of a running store as the next process would find it if this one were killed now.
fn image(dir: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    fs::create_dir(image.path().join("blobs")).unwrap();
    for file in
        fs::read_dir(dir).unwrap().map(Result::unwrap).filter(|file| file.file_name() != "ballast")
    {
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), image.path().join(file.file_name())).unwrap();
        }
    }
    image
}

/// A store with so many committed rows of so many bytes, and its directory.
fn filled(rows: u16, bytes: usize) -> (tempfile::TempDir, SledStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for row in 0..rows {
        put(&store, &row.to_be_bytes(), &vec![row as u8; bytes]);
    }
    store.commit().wait().unwrap();
    (dir, store)
}

/// Runs itself once more as the process that is killed.
#[test]
fn a_killed_process_leaves_every_row_it_said_was_durable() {
    if let Ok(dir) = std::env::var("STORE_TO_KILL") {
        let store = open(Path::new(&dir)).unwrap();
        for row in 0u32.. {
            put(&store, &row.to_be_bytes(), b"value");
            store.commit().wait().unwrap();
            println!("\ndurable {row}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (_, this_test) =
        concat!(module_path!(), "::a_killed_process_leaves_every_row_it_said_was_durable")
            .split_once("::")
            .unwrap();
    let mut rows = 0;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this_test, "--nocapture"])
            .env("STORE_TO_KILL", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said = lines.filter_map(|line| line.strip_prefix("durable ")?.parse::<u32>().ok());
        let said = said.take(round * 100).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();

        let store = open(dir.path()).unwrap();
        assert_eq!(store.farewell(), Farewell::None);
        let found = keys(&store, Tree::Records);
        rows = rows.max(said);
        assert!(found.len() > rows as usize, "{} rows of {rows} acknowledged ones", found.len());
        assert!((0..).zip(&found).all(|(row, key)| *key == u32::to_be_bytes(row)), "no gap");
    }
}

#[test]
fn a_copy_of_a_running_store_opens_with_every_committed_row() {
    let (dir, _store) = filled(500, 1000);
    let image = image(dir.path());
    assert_eq!(keys(&open(image.path()).unwrap(), Tree::Records).len(), 500);
}

#[test]
fn a_log_cut_short_is_damage() {
    // More than one segment, so that cutting it takes data and not only room kept for data.
    let (dir, _store) = filled(400, 64 << 10);
    for kept in [2, 3, 10] {
        let image = image(dir.path());
        let log = fs::OpenOptions::new().write(true).open(image.path().join("db")).unwrap();
        let bytes = log.metadata().unwrap().len();
        log.set_len(bytes / kept).unwrap();
        assert!(matches!(open(image.path()), Err(Fault::Damage { .. })), "1/{kept} kept");
    }
}

#[test]
fn a_log_that_is_gone_is_damage_not_an_empty_store() {
    let (dir, _store) = filled(10, 10);
    for gone in [&["db"][..], &["db", "conf"], &["witness"]] {
        let image = image(dir.path());
        for file in gone {
            fs::remove_file(image.path().join(file)).unwrap();
        }
        assert!(matches!(open(image.path()), Err(Fault::Damage { .. })), "without {gone:?}");
    }
}

#[test]
fn a_log_older_than_its_witness_is_damage() {
    let (dir, store) = filled(10, 10);
    let old = image(dir.path());
    for row in 0..10u8 {
        put(&store, &[row], b"later");
        store.commit().wait().unwrap();
    }
    fs::copy(dir.path().join("witness"), old.path().join("witness")).unwrap();
    let Err(Fault::Damage { what }) = open(old.path()) else { panic!("rows were lost in silence") };
    assert!(what.contains("less than was once acknowledged"), "{what}");
}

#[test]
fn a_flipped_bit_never_gets_past_open_as_a_panic() {
    let (dir, _store) = filled(200, 1000);
    let written = 200 * 1000;
    let mut damaged = 0;
    for flip in 0..24u64 {
        let image = image(dir.path());
        let mut log =
            fs::OpenOptions::new().read(true).write(true).open(image.path().join("db")).unwrap();
        let place = SeekFrom::Start(flip * 40_503 % written);
        let mut byte = [0];
        log.seek(place).unwrap();
        log.read_exact(&mut byte).unwrap();
        log.seek(place).unwrap();
        log.write_all(&[byte[0] ^ 1 << (flip % 8)]).unwrap();
        match open(image.path()) {
            Ok(store) => drop(store.scan(Tree::Records, b"", usize::MAX)),
            Err(Fault::Damage { .. }) => damaged += 1,
            Err(fault) => panic!("{fault}"),
        }
    }
    assert!(damaged > 0, "a check that never finds anything checks nothing");
}

#[test]
fn a_rotten_farewell_is_told_from_none() {
    let (dir, store) = filled(1, 1);
    store.close(b"one record").unwrap();
    drop(store);
    let farewell = dir.path().join("farewell");
    let mut rotten = fs::read(&farewell).unwrap();
    rotten[7] ^= 1;
    fs::write(&farewell, rotten).unwrap();
    assert_eq!(open(dir.path()).unwrap().farewell(), Farewell::Unreadable);
}

#[test]
fn a_directory_has_one_owner_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let first = Directory::claim(&dir).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let refused = Directory::claim(&dir).unwrap_err().to_string();
    let holder = format!("{} is in use by process {}", dir.display(), std::process::id());
    assert!(refused.contains(&holder), "{refused}");
    drop(first);
    Directory::claim(&dir).unwrap();
}

#[test]
fn a_directory_that_is_not_ours_is_refused_and_left_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    fs::write(dir.join("thesis.tex"), "chapter one").unwrap();
    assert!(matches!(Directory::claim(dir), Err(Unusable::Foreign { .. })));
    fs::write(dir.join("format"), "minor-storage 2\n").unwrap();
    let Err(Unusable::UnknownFormat { found, .. }) = Directory::claim(dir) else {
        panic!("claimed")
    };
    assert_eq!(found, "minor-storage 2\n");
    assert!(!dir.join("lock").exists());

    assert!(matches!(Directory::claim(&dir.join("thesis.tex")), Err(Unusable::Unreachable { .. })));
    assert!(matches!(Directory::claim(&dir.join("no/parent")), Err(Unusable::Unreachable { .. })));
}

#[test]
fn a_first_start_that_was_cut_short_can_be_started_again() {
    let home = tempfile::tempdir().unwrap();
    for left in ["lock", "format.unfinished"] {
        fs::write(home.path().join(left), "").unwrap();
    }
    fs::create_dir(home.path().join("lost+found")).unwrap();
    drop(Directory::claim(home.path()).unwrap());
    assert_eq!(fs::read_to_string(home.path().join("format")).unwrap(), "minor-storage 1\n");
    Directory::claim(home.path()).unwrap();
}

#[test]
fn a_damaged_store_is_set_aside_and_an_empty_one_takes_its_place() {
    let home = tempfile::tempdir().unwrap();
    let directory = Directory::claim(home.path()).unwrap();
    let now = "2026-01-31T23:59:59Z".parse().unwrap();
    assert!(directory.set_aside_found().is_empty());
    for round in 1..=3 {
        let store = directory.open_store(OPTIONS).unwrap();
        assert!(keys(&store, Tree::Records).is_empty());
        put(&store, b"key", b"value");
        store.close(b"").unwrap();
        drop(store);
        fs::remove_file(home.path().join("store/witness")).unwrap();
        let fault = directory.open_store(OPTIONS).unwrap_err();
        let aside = directory.set_aside(&fault.to_string(), now).unwrap();
        assert!(fs::read_to_string(aside.join("why")).unwrap().contains("witness"));
        assert_eq!(directory.set_aside_found().len(), round);
    }
    let names = directory
        .set_aside_found()
        .into_iter()
        .map(|aside| aside.strip_prefix(home.path()).unwrap().to_owned());
    let name = "store.damaged-20260131T235959Z";
    assert!(names.eq(
        [name.to_owned(), format!("{name}-2"), format!("{name}-3")].map(std::path::PathBuf::from)
    ));
}
