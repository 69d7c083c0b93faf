//! `sdht push` and `sdht pull`: a directory goes into a ring and comes out as it was.

use sdht_tests::{
    chance::Chance,
    command::Home,
    process,
    rings::{Storage, address},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

type Files = BTreeMap<String, Vec<u8>>;

/// Somebody at a ring of one storage.
fn ring_of_one() -> (Home, Storage) {
    let (home, storage) = (Home::default(), process::fresh());
    home.ends(0, &["join", &address(&storage), "--copies", "1"]);
    (home, storage)
}

fn write(dir: &Path, files: &Files) {
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn read(dir: &Path) -> Files {
    let (mut files, mut waiting) = (Files::new(), vec![PathBuf::new()]);
    while let Some(below) = waiting.pop() {
        for there in fs::read_dir(dir.join(&below)).unwrap() {
            let there = there.unwrap();
            let name = below.join(there.file_name());
            match there.file_type().unwrap().is_dir() {
                true => waiting.push(name),
                false => {
                    let bytes = fs::read(there.path()).unwrap();
                    files.insert(name.to_str().unwrap().into(), bytes);
                }
            }
        }
    }
    files
}

#[test]
fn a_directory_comes_back_as_it_went_in() {
    let (home, _storage) = ring_of_one();
    let mut chance = Chance::new(7);
    let mut bytes = |count: usize| chance.bytes(count);
    let mut files: Files = [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 5_000_000]
        .map(|count| (format!("of/{count}/bytes.bin"), bytes(count)))
        .into();
    files.insert("notes.txt".into(), b"a note".to_vec());
    files.insert("a b/\u{e4}.html".into(), b"<p>".to_vec());
    files.extend((0..40).map(|n| (format!("many/{n}"), bytes(100))));
    let dir = home.path().join("dir");
    write(&dir, &files);
    symlink("/etc/passwd", dir.join("link")).unwrap();
    symlink("/etc", dir.join("many/link")).unwrap();
    let (dir, back) = (dir.to_str().unwrap(), home.path().join("back/again"));
    home.ends(0, &["set", "treehouse", "no file of it"]);

    let told = home.ends(0, &["push", dir, "--prefix", "tree", "--json"]);
    let all_bytes: usize = files.values().map(Vec::len).sum();
    let told = &told.json()[0];
    assert_eq!(
        (&told["files"], &told["bytes"], &told["left_out"]),
        (&files.len().into(), &all_bytes.into(), &2.into())
    );
    assert_eq!(home.prints(&["keys", "--prefix", "tree/"]).lines().count(), files.len());
    let shown = &home.ends(0, &["get", "tree/notes.txt", "--json"]).json()[0];
    assert_eq!(
        (&shown["content_type"], &shown["value"]),
        (&"text/plain; charset=utf-8".into(), &"a note".into())
    );

    let told = home.ends(0, &["pull", back.to_str().unwrap(), "--prefix", "tree/", "--json"]);
    assert_eq!(told.json()[0]["files"], files.len());
    assert!(read(&back) == files, "{:?}", read(&back).keys());
    // What is there is replaced, what is not in the ring stays, and nothing half done is left.
    files.insert("mine".into(), b"mine".to_vec());
    write(&back, &[("mine".into(), b"mine".to_vec()), ("notes.txt".into(), vec![0; 99])].into());
    home.ends(0, &["pull", back.to_str().unwrap(), "--prefix", "tree"]);
    assert!(read(&back) == files, "{:?}", read(&back).keys());
}

#[test]
fn no_key_becomes_a_file_outside_of_the_directory() {
    let (home, _storage) = ring_of_one();
    let dir = home.path().join("dir");
    let dir = dir.to_str().unwrap();
    home.ends(0, &["set", "tree/a", "v"]);
    for key in ["../out", "/out", "a/../../out", "tree/../../out"] {
        home.ends(0, &["set", key, "v"]);
        let told = home.ends(1, &["pull", dir]);
        assert!(told.err.contains(key) && told.err.contains("Nothing was written"), "{told}");
        home.ends(0, &["del", key]);
    }
    assert!(!Path::new(dir).exists() && !home.path().join("out").exists());
    // Nor by a link that lies in the way; and a link in the file's own place is replaced.
    let outside = home.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(dir).unwrap();
    symlink(&outside, Path::new(dir).join("tree")).unwrap();
    let told = home.ends(1, &["pull", dir]);
    assert!(told.err.contains("is no directory"), "{told}");
    assert!(read(&outside).is_empty());
    fs::remove_file(Path::new(dir).join("tree")).unwrap();
    fs::write(outside.join("a"), "before").unwrap();
    symlink(outside.join("a"), Path::new(dir).join("a")).unwrap();
    home.ends(0, &["pull", dir, "--prefix", "tree"]);
    assert_eq!(fs::read(outside.join("a")).unwrap(), b"before");
    assert_eq!(read(Path::new(dir)), [("a".to_owned(), b"v".to_vec())].into());
}

#[test]
fn what_cannot_be_pushed_is_named() {
    let (home, _storage) = ring_of_one();
    assert!(home.ends(1, &["push", "/nowhere/at/all"]).err.contains("/nowhere/at/all"));
    home.ends(2, &["push"]);
    home.ends(2, &["pull"]);
    for verb in ["push", "pull"] {
        let help = home.prints(&[verb, "--help"]);
        assert!(help.matches(&format!("sdht {verb} ")).count() >= 3, "{help}");
    }
}
