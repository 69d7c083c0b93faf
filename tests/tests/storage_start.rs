//! A storage starts only where it may, says why when it may not, and stops when asked.

use sdht_tests::{
    SmallDisk,
    http::Call,
    process::{Ended, Launch, fresh},
    skip,
};
use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The refusal is for people: it has these words, and no panic.
fn says(ended: &Ended, words: &[&str]) {
    let said = ended.said.to_lowercase();
    for word in words {
        assert!(said.contains(&word.to_lowercase()), "{word:?} is not in: {}", ended.said);
    }
    assert!(!said.contains("panicked"), "{}", ended.said);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let (dir, storage) = fresh();
    let second = Launch::on(&dir.path().join("data")).refuse();
    says(&second, &["in use", text(&dir.path().join("data"))]);
    assert_eq!(storage.call(&Call::put("/v1/kv/k", "v")).status, 201, "the first is not disturbed");
}

#[test]
fn a_directory_of_an_unknown_format_is_left_alone() {
    let (dir, mut storage) = fresh();
    storage.terminate();
    let format = dir.path().join("data/format");
    let known = fs::read(&format).unwrap();
    fs::write(&format, "minor-storage 999\n").unwrap();
    says(&Launch::on(&dir.path().join("data")).refuse(), &["format", "999"]);
    assert_eq!(fs::read_to_string(&format).unwrap(), "minor-storage 999\n");
    fs::write(&format, known).unwrap();
    storage.restart();
}

#[test]
fn a_directory_with_other_things_in_it_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    says(&Launch::on(dir.path()).refuse(), &["thesis.tex"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let refused = Launch::on(&dir.path().join("data")).at_port(port).refuse();
    says(&refused, &[&port.to_string(), "in use"]);
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let missing: PathBuf = dir.path().join("missing/data");
    says(&Launch::on(&file).refuse(), &[text(&file)]);
    says(&Launch::on(&missing).refuse(), &[text(&missing)]);
}

#[test]
fn a_read_only_directory_is_refused_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("mounted");
    fs::create_dir(&place).unwrap();
    // The right to write is never denied to root, but a read-only disk is read-only for everybody.
    let disk = match SmallDisk::mount(&place, "size=160m") {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let launch = Launch::on(&place.join("data"));
    launch.serve().terminate();
    disk.remount("ro").unwrap();
    says(&launch.refuse(), &["cannot be written", text(&place)]);
    disk.remount("rw").unwrap();
    launch.serve();
}

#[test]
fn a_bad_token_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let launch = Launch::on(&dir.path().join("data")).with(&["--token-file", text(&file)]);
    says(&launch.refuse(), &["token", text(&file)]);

    write_tokens(&file, "\n\n", 0o600);
    says(&launch.refuse(), &["token", text(&file)]);

    write_tokens(&file, "a-secret-of-sixteen-letters-or-more\n", 0o644);
    let refused = launch.refuse();
    says(&refused, &["token", text(&file)]);
    assert!(!refused.said.contains("a-secret"), "a token never shows: {}", refused.said);
}

#[test]
fn an_open_address_needs_a_token_or_a_clear_wish() {
    let dir = tempfile::tempdir().unwrap();
    let launch = Launch::on(&dir.path().join("data")).with(&["--bind", "0.0.0.0"]);
    says(&launch.refuse(), &["127.0.0.1", "--token-file", "proxy", "--insecure"]);
    let open = launch.with(&["--insecure"]).serve();
    assert_eq!(open.call(&Call::put("/v1/kv/k", "v")).status, 201);
}

#[test]
fn each_of_two_tokens_opens_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let (old, new) = ("the-old-secret-0123456789abcdef", "the-new-secret-fedcba9876543210");
    write_tokens(&file, &format!("{old}\n{new}\n"), 0o600);
    let mut storage = Launch::on(&dir.path().join("data"))
        .with(&["--bind", "0.0.0.0", "--token-file", text(&file)])
        .serve();
    let calls = || [Call::put("/v1/kv/k", "v"), Call::get("/v1/kv/k"), Call::get("/v1/kv")];
    for call in calls() {
        assert_eq!(storage.call(&call).status, 401, "{call:?}");
        let wrong = call.clone().with("authorization", "Bearer the-old-secret");
        let refused = storage.call(&wrong);
        assert_eq!(refused.status, 401, "{wrong:?}");
        assert!(refused.header("www-authenticate").is_some_and(|way| way.starts_with("Bearer")));
        for token in [old, new] {
            let right = call.clone().with("authorization", &format!("Bearer {token}"));
            let served = storage.call(&right);
            assert!((200..300).contains(&served.status), "{right:?}: {served:?}");
        }
    }
    let ended = storage.terminate();
    assert!(!ended.said.contains("secret"), "a token never shows: {}", ended.said);
}

#[test]
fn asked_to_stop_it_stops_cleanly_and_says_so() {
    let (_dir, mut storage) = fresh();
    assert_eq!(storage.call(&Call::put("/v1/kv/k", "v")).status, 201);
    // A connection that stays open must not keep it from stopping.
    let _idle = storage.connect();
    let stopped = storage.terminate();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.said);
    says(&stopped, &["stopp"]);

    storage.restart();
    let stopped = storage.interrupt();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.said);
    says(&stopped, &["stopp"]);

    storage.restart();
    assert_eq!(storage.call(&Call::get("/v1/kv/k")).text(), "v");
}

fn write_tokens(file: &Path, tokens: &str, mode: u32) {
    fs::write(file, tokens).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}
