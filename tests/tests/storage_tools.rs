//! A closed data directory can be checked, taken out as one stream, and put into another.

use sdht_tests::{
    http::Call,
    process::{Launch, fresh, program},
};
use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs the program with these words; `stdin` is a file, or nothing.
fn tool(words: &[&str], stdin: Option<&Path>) -> Output {
    let stdin = stdin.map_or_else(Stdio::null, |path| File::open(path).unwrap().into());
    Command::new(program()).args(words).stdin(stdin).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

fn says(output: &Output, word: &str) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(word), "{word:?} is not in: {said}");
}

#[test]
fn what_is_exported_from_one_storage_is_served_by_another() {
    let (dir, mut storage) = fresh();
    for n in 0..300 {
        let reply = storage.call(&Call::put(&format!("/v1/kv/key/{n}"), format!("value {n}")));
        assert_eq!(reply.status, 201);
    }
    storage.call(&Call::delete("/v1/kv/key/7"));
    let data = dir.path().join("data");
    let in_use = tool(&["--check", text(&data)], None);
    assert!(!in_use.status.success(), "a directory that is served from is left alone");
    says(&in_use, "in use");
    storage.terminate();

    let check = tool(&["--check", text(&data)], None);
    assert!(check.status.success());
    says(&check, "299 and 1 tombstones");
    says(&check, "verdict     whole");

    let (archive, copy) = (dir.path().join("archive"), dir.path().join("copy"));
    let exported = tool(&["export", "--data", text(&data)], None);
    assert!(exported.status.success());
    fs::write(&archive, exported.stdout).unwrap();
    let imported = tool(&["import", "--data", text(&copy)], Some(&archive));
    assert!(imported.status.success());
    says(&imported, "300 records");
    let again = tool(&["import", "--data", text(&copy)], Some(&archive));
    assert!(!again.status.success());
    says(&again, "left as it is");

    let other = Launch::on(&copy).serve();
    for n in 0..300 {
        let reply = other.call(&Call::get(&format!("/v1/kv/key/{n}")));
        if n == 7 {
            assert_eq!(reply.status, 404);
        } else {
            assert_eq!((reply.status, reply.text()), (200, format!("value {n}")));
        }
    }
}

#[test]
fn an_archive_that_was_cut_off_is_never_served_as_if_whole() {
    let (dir, mut storage) = fresh();
    for n in 0..100 {
        storage.call(&Call::put(&format!("/v1/kv/key/{n}"), vec![7; 1_000]));
    }
    storage.terminate();
    let exported = tool(&["export", "--data", text(&dir.path().join("data"))], None).stdout;
    let (archive, copy) = (dir.path().join("archive"), dir.path().join("copy"));
    fs::write(&archive, &exported[..exported.len() / 2]).unwrap();
    let imported = tool(&["import", "--data", text(&copy)], Some(&archive));
    assert!(!imported.status.success());
    says(&imported, "nobody will serve from what came in");
    let other = Launch::on(&copy).serve();
    assert!(other.said().contains("never finished"), "{}", other.said());
    let reply = other.call(&Call::get("/v1/kv/key/1"));
    assert_eq!(reply.status, 503, "a store of its own never begins anew unasked");
    assert!(reply.text().contains("set aside"), "{}", reply.text());
}

#[test]
fn a_directory_that_is_not_there_is_not_made_by_looking_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    for words in [["--check", text(&nowhere)].as_slice(), &["export", "--data", text(&nowhere)]] {
        let looked = tool(words, None);
        assert!(!looked.status.success());
        says(&looked, "there is no data directory");
        assert!(!nowhere.exists());
    }
}

#[test]
fn the_program_brings_its_own_manual_and_completions() {
    let dir = tempfile::tempdir().unwrap();
    assert!(tool(&["man", text(dir.path())], None).status.success());
    let page = fs::read_to_string(dir.path().join("minor-storage.1")).unwrap();
    assert!(page.contains("durability"), "the flags are in the manual");
    assert!(dir.path().join("minor-storage-export.1").exists(), "each tool has a page");

    for shell in ["bash", "zsh", "fish"] {
        says(&tool(&["completions", shell], None), "token-file");
    }
    let nowhere = tool(&["man", "/nowhere/at/all"], None);
    assert!(!nowhere.status.success());
    says(&nowhere, "/nowhere/at/all");
}
