//! The command, typed by somebody who has never seen it: every verb with right arguments, with none, with wrong ones, with a
//! dead storage, with no storage at all, and through a pipe nobody reads.

use sdht_tests::{
    command::{Home, Told, interrupt},
    process::{self, Launch},
    rings::{Storage, address, ring_of},
};
use std::{fs, io::Write, os::unix::fs::PermissionsExt, process::Command, thread, time::Duration};

/// Verbs that ask a ring, each with arguments that are right.
const ASKING: &[&[&str]] = &[
    &["set", "k", "v"],
    &["get", "k"],
    &["del", "k"],
    &["has", "k"],
    &["keys"],
    &["whereis", "k"],
    &["walk"],
    &["status"],
    &["copies", "2"],
    &["balance"],
    &["repair"],
    &["export", "-o", "archive"],
    &["remove", "127.0.0.1:1"],
];

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

#[test]
fn a_ring_is_founded_and_its_keys_are_set_and_read() {
    let (home, _storages) = ring_of(3);
    home.ends(0, &["set", "greeting", "hello"]);
    assert_eq!(home.prints(&["get", "greeting"]), "hello");
    assert_eq!(home.prints(&["lookup", "greeting"]), "hello");
    let stamp = home.prints(&["has", "greeting"]);
    let stamp = stamp.split_whitespace().next().unwrap();
    home.ends(4, &["set", "greeting", "again", "--if-absent"]);
    home.ends(4, &["put", "greeting", "again", "--if-match", "1-1-1-1"]);
    home.ends(0, &["store", "greeting", "again", "--if-match", stamp]);
    home.ends(4, &["del", "greeting", "--if-match", stamp]);
    assert_eq!(home.prints(&["get", "greeting"]), "again");
    home.ends(0, &["set", "gone soon", "v", "--ttl", "1s"]);
    home.ends(0, &["set", "number", "-5"]);
    assert_eq!(home.prints(&["keys", "--prefix", "g"]).lines().count(), 2);
    thread::sleep(Duration::from_secs(1));
    home.ends(3, &["haskey", "gone soon"]);
    home.ends(0, &["del", "greeting", "number"]);
    for absent in [["get", "greeting"], ["has", "greeting"], ["del", "greeting"]] {
        assert!(home.ends(3, &absent).err.contains("'greeting'"));
    }
    assert_eq!(home.prints(&["keys"]), "");
}

#[test]
fn a_ring_that_is_named_is_founded_by_joining_all_that_is_named() {
    let storages: Vec<Storage> = (0..3).map(|_| process::fresh()).collect();
    let [a, b, c] = [0, 1, 2].map(|n| address(&storages[n]));
    let home = Home::default();
    let told = home.ends(1, &["join", &b, &c, "--ring", &format!("{a},{b}")]);
    assert!(told.err.contains("join that one too") && told.err.contains(&a), "{told}");
    let planned = home.ends(0, &["join", &a, "--ring", &a, "--plan"]);
    assert!(planned.err.contains("would found"), "{planned}");
    let mut command = home.command(&["join", &a, &b, &c]);
    let told = Told::of(command.env("SDHT_RING", format!("{b},{a}")).output().unwrap());
    assert_eq!(told.code, 0, "{told}");
    assert!(told.err.contains(&format!("{a} is a new ring")), "{told}");
    home.ends(0, &["status", "--ring", &c]);
}

#[test]
fn bytes_come_back_as_they_went_in() {
    let (home, _storages) = ring_of(1);
    let bytes: Vec<u8> = (0..=255).cycle().take(40_000).collect();
    let file = home.path().join("bytes");
    fs::write(&file, &bytes).unwrap();
    home.ends(0, &["set", "file", "-f", file.to_str().unwrap()]);
    assert_eq!(home.sdht_fed(&["set", "stdin", "-"], &bytes).code, 0);
    assert_eq!(home.sdht_fed(&["set", "nothing", "-"], b"").code, 0);
    for key in ["file", "stdin"] {
        assert_eq!(home.ends(0, &["get", key]).out, bytes);
    }
    assert_eq!(home.ends(0, &["get", "nothing"]).out, b"");
    let copy = home.path().join("copy");
    home.ends(0, &["get", "file", "-o", copy.to_str().unwrap()]);
    assert_eq!(fs::read(copy).unwrap(), bytes);
    let shown = &home.ends(0, &["get", "file", "--json"]).json()[0];
    assert_eq!(shown["content_type"], "application/octet-stream");
    assert_eq!(shown["base64"].as_str().unwrap()[..8], *"AAECAwQF");
    // Too long for a record, and refused before anything is sent.
    home.ends(2, &["set", &"k".repeat(1_025), "v"]);
}

#[test]
fn what_the_library_wrote_is_shown_as_json() {
    let (home, storages) = ring_of(1);
    let ring = sdht::blocking::Ring::connect([address(&storages[0])]).unwrap();
    ring.set("typed", &("a", [1, 2], Some(true))).unwrap();
    assert_eq!(
        home.ends(0, &["get", "typed", "--json"]).json()[0]["value"].to_string(),
        r#"["a",[1,2],true]"#
    );
}

#[test]
fn what_is_typed_wrong_ends_with_code_2_and_says_why() {
    let home = Home::default();
    for verb in
        ["join", "remove", "set", "get", "del", "has", "whereis", "copies", "completions", "man"]
    {
        let told = home.ends(2, &[verb]);
        assert!(told.err.contains("required") && told.err.contains("Usage: sdht"), "{told}");
        let told = home.ends(2, &[verb, "--json"]);
        let error: serde_json::Value = serde_json::from_str(&told.err).unwrap();
        assert!(error["error"].as_str().unwrap().contains("required"), "{told}");
        assert!(error["next"].as_str().unwrap().contains("Usage: sdht"), "{told}");
    }
    for verb in ASKING.iter().map(|line| line[0]).chain(["import", "config"]) {
        assert!(home.ends(2, &[verb, "--nonsense"]).err.contains("--nonsense"));
    }
    for line in [
        &["nonsense"][..],
        &[],
        &["copies", "0"],
        &["copies", "eight"],
        &["join", "no-port"],
        &["join", "127.0.0.1:8000", "--at", "xyz"],
        &["set", "k", "v", "--ttl", "soon"],
        &["set", "k", "v", "-f", "file"],
        &["set", "k", "v", "--if-match", "1-2"],
        &["keys", "--timeout", "0"],
        &["keys", "--ring", "a:b"],
        &["keys", "-q", "-v"],
        &["keys", "--token-file", "/nowhere"],
        &["completions", "cmd.exe"],
    ] {
        let told = home.ends(2, line);
        assert!(!told.err.is_empty() && told.out.is_empty(), "{line:?}: {told}");
        let told = home.ends(2, &[&["--json"], line].concat());
        let error: serde_json::Value = serde_json::from_str(&told.err).unwrap();
        assert!(error["code"] == 2 && error["error"].is_string(), "{line:?}: {told}");
        assert!(told.out.is_empty(), "{line:?}: {told}");
    }
    let variable = home.command(&["config"]).env("SDHT_TIMEOUT", "soon").output().unwrap();
    let told = Told::of(variable);
    assert!(told.code == 2 && told.err.contains("SDHT_TIMEOUT=soon"), "{told}");
}

#[test]
fn every_verb_explains_itself_with_examples() {
    let home = Home::default();
    let help = home.prints(&["--help"]);
    for verb in
        ASKING.iter().map(|line| line[0]).chain(["import", "config", "completions", "man", "join"])
    {
        assert!(help.contains(&format!("\n  {verb}")), "{verb}");
        let told = home.prints(&[verb, "--help"]);
        assert!(
            told.contains("Examples:") && told.matches(&format!("sdht {verb}")).count() >= 3,
            "{told}"
        );
    }
    assert!(help.contains("130 interrupted"));
    assert!(home.prints(&["--version"]).starts_with("sdht "));
}

#[test]
fn with_no_storage_at_all_each_verb_says_so_and_what_to_do() {
    let home = Home::default();
    let lines =
        ASKING.iter().copied().chain([&["join", NOBODY][..], &["import", "-f", "/dev/null"]]);
    for line in lines {
        let line: Vec<&str> = line.iter().copied().chain(["--ring", NOBODY]).collect();
        let told = home.ends(5, &line);
        assert!(
            told.err.contains(NOBODY) && told.err.contains("minor-storage -p"),
            "{line:?}: {told}"
        );
        assert!(told.out.is_empty(), "{line:?}: {told}");
        let json = home.sdht(&[&line[..], &["--json"]].concat());
        let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
        assert_eq!((error["code"].as_i64(), json.code), (Some(5), 5));
    }
    // A storage that is in no ring is no ring.
    let alone = process::fresh();
    let told = home.ends(1, &["get", "k", "--ring", &address(&alone)]);
    assert!(told.err.contains("sdht join"), "{told}");
}

#[test]
fn a_ring_goes_on_without_one_storage_and_stops_without_two() {
    let (home, mut storages) = ring_of(3);
    home.ends(0, &["set", "k", "v"]);
    assert!(home.prints(&["status"]).ends_with("All is well, and any one storage may be stopped."));
    storages[1].1.kill9();
    let dead = address(&storages[1]);
    for line in ASKING
        .iter()
        .filter(|line| !["status", "copies", "remove", "balance", "repair"].contains(&line[0]))
    {
        home.ends(0, line);
        home.ends(0, &["set", "k", "v"]);
    }
    let told = home.ends(8, &["status"]);
    assert!(
        told.text().contains(&format!("{dead} does not answer; everything is served")),
        "{told}"
    );
    let told = home.ends(8, &["whereis", "k", "--check"]);
    assert!(told.text().contains("Those that were seen agree"), "{told}");
    let told = home.ends(1, &["remove", &dead]);
    assert!(told.err.contains("--dead"), "{told}");

    storages[2].1.kill9();
    for line in [&["set", "k", "w"][..], &["get", "k"], &["del", "k"], &["has", "k"], &["keys"]] {
        let told = home.ends(5, &[line, &["--timeout", "300ms"]].concat());
        assert!(told.err.contains("of 3 storages") && told.err.contains("sdht status"), "{told}");
    }
    let told = home.ends(8, &["status"]);
    assert!(told.text().contains("can neither be read nor written"), "{told}");
}

#[test]
fn the_dead_are_let_go_and_the_living_are_not_called_dead() {
    let (home, mut storages) = ring_of(4);
    for n in 0..20 {
        home.ends(0, &["set", &format!("key {n}"), "v"]);
    }
    let (one, two) = (address(&storages[0]), address(&storages[1]));
    assert!(home.ends(4, &["remove", &one, "--dead"]).err.contains("not dead"));
    home.ends(4, &["remove", &one, "--destroy-data"]);
    home.ends(3, &["remove", NOBODY]);
    assert!(home.prints(&["remove", &two, "--plan"]).contains("would be copied"));
    storages[0].1.kill9();
    home.ends(0, &["remove", &one, "--dead"]);
    assert!(home.prints(&["status"]).ends_with("any one storage may be stopped."));
    home.ends(0, &["leave", &two]);
    home.ends(0, &["remove", &address(&storages[2])]);
    assert_eq!(home.prints(&["keys"]).lines().count(), 20);

    let last = address(&storages[3]);
    assert!(home.ends(4, &["remove", &last]).err.contains("--destroy-data"));
    assert!(home.ends(2, &["remove", &last, "--destroy-data"]).err.contains("--yes"));
    home.ends(0, &["remove", &last, "--destroy-data", "--yes"]);
    assert_eq!(home.prints(&["keys"]), "");
}

#[test]
fn copies_go_from_one_to_three_to_five_and_back_on_a_living_ring() {
    let (home, _storages) = ring_of(5);
    home.ends(0, &["set", "k", "v"]);
    for copies in ["1", "3", "5", "3"] {
        assert!(home.prints(&["copies", copies, "--plan"]).contains("steps."));
        home.ends(0, &["copies", copies]);
        let told = home.ends(0, &["whereis", "k", "--check", "--json"]);
        let seen = &told.json()[0];
        assert_eq!(seen["storages"].as_array().unwrap().len().to_string(), copies);
        assert_eq!(seen["agree"], true);
        assert_eq!(home.prints(&["get", "k"]), "v");
        home.ends(0, &["status"]);
    }
}

#[test]
fn every_verb_speaks_json() {
    let (home, storages) = ring_of(3);
    let fresh = process::fresh();
    let (first, new) = (address(&storages[0]), address(&fresh));
    // Enough of them that their shares can be made even.
    let ring = sdht::blocking::Ring::connect([&first]).unwrap();
    assert!(ring.set_many((0..400).map(|n| (format!("key {n}"), n))).iter().all(Result::is_ok));
    let lines: &[&[&str]] = &[
        &["set", "k", "v"],
        &["get", "k"],
        &["get", "k", "-o", "file"],
        &["has", "k"],
        &["keys"],
        &["whereis", "k"],
        &["whereis", "k", "--check"],
        &["walk"],
        &["walk", "k"],
        &["status"],
        &["join", &new, "--plan"],
        &["join", &new],
        &["copies", "2", "--plan"],
        &["copies", "2"],
        &["balance", "--plan"],
        &["balance"],
        &["repair", "--plan"],
        &["repair"],
        &["purge"],
        &["export", "-o", "archive"],
        &["import", "-f", "archive"],
        &["remove", &first, "--plan"],
        &["remove", &first],
        &["del", "k"],
        &["config"],
    ];
    for line in lines {
        let told = home.ends(0, &[line, &["--json"][..]].concat());
        let values = told.json();
        assert!(!values.is_empty() && values.iter().all(|v| v.is_object()), "{line:?}: {told}");
    }
}

#[test]
fn nobody_is_bothered_when_the_reader_has_gone() {
    let (home, _storages) = ring_of(1);
    // Else its one storage is too few, and status says so by its code.
    home.ends(0, &["copies", "1"]);
    home.ends(0, &["set", "k", &"v".repeat(60_000)]);
    for line in ASKING
        .iter()
        .filter(|line| !["remove", "del", "copies"].contains(&line[0]))
        .chain(&[&["completions", "bash"][..], &["config"]])
    {
        let mut child = home.begin(line);
        drop(child.stdout.take());
        let told = Told::of(child.wait_with_output().unwrap());
        assert!(told.code == 0 && !told.err.contains("pipe"), "{line:?}: {told}");
    }
}

#[test]
fn ctrl_c_stops_it_cleanly_and_says_how_to_go_on() {
    let (home, storages) = ring_of(1);
    let child = home.begin(&["set", "k", "-"]);
    // It waits for standard input by then, or has not begun: then the signal ends it as it ends any program.
    thread::sleep(Duration::from_millis(500));
    let told = interrupt(child);
    assert!(told.code == 130 && told.err.contains("interrupted"), "{told}");
    home.ends(3, &["has", "k"]);

    let ring = sdht::blocking::Ring::connect([address(&storages[0])]).unwrap();
    let pairs = |from: usize| (from..from + 2_000).map(|n| (format!("key {n}"), vec![n; 40]));
    for from in (0..10_000).step_by(2_000) {
        assert!(ring.set_many(pairs(from)).iter().all(Result::is_ok));
    }
    let new = process::fresh();
    let line = ["join", &address(&new)];
    // Too early, the signal ends it as it ends any program; too late, it is done. In between it is stopped.
    let stopped = (1..100).find_map(|n| {
        let child = home.begin(&line);
        thread::sleep(Duration::from_millis(8 * n));
        let told = interrupt(child);
        if told.code == 0 {
            home.ends(0, &["remove", &address(&new)]);
        }
        (told.code == 130).then_some(told)
    });
    let stopped = stopped.expect("a join can be interrupted");
    assert!(stopped.err.contains(&format!("sdht join {}", address(&new))), "{stopped}");
    home.ends(0, &line);
    assert_eq!(home.prints(&["keys"]).lines().count(), 10_000);
}

#[test]
fn a_storage_that_is_closed_opens_to_its_token_alone() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "s3cret-and-long-enough\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let token = token.to_str().unwrap();
    let storage = Launch::on(&dir.path().join("data")).with(&["--token-file", token]).serve();
    let address = storage.address().to_string();
    let home = Home::default();
    let told = home.ends(7, &["join", &address]);
    assert!(told.err.contains("--token-file") && !told.err.contains("s3cret"), "{told}");
    home.ends(0, &["join", &address, "--token-file", token]);
    let told = home.ends(7, &["set", "k", "v"]);
    assert!(told.err.contains("--token-file"), "{told}");
    home.write_settings(&format!("token-file = {token}\n"));
    home.ends(0, &["set", "k", "v"]);
    fs::set_permissions(token, fs::Permissions::from_mode(0o604)).unwrap();
    assert!(home.ends(2, &["get", "k"]).err.contains("chmod"));
}

#[test]
fn completions_and_manual_pages_are_what_their_readers_take() {
    let home = Home::default();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.ends(0, &["completions", shell]).out;
        assert!(String::from_utf8_lossy(&script).contains("whereis"), "{shell}");
        let Ok(mut reader) =
            Command::new(shell).arg("-n").stdin(std::process::Stdio::piped()).spawn()
        else {
            continue;
        };
        reader.stdin.take().unwrap().write_all(&script).unwrap();
        assert!(reader.wait().unwrap().success(), "{shell} does not read it");
    }
    home.ends(0, &["man", "pages"]);
    for page in ["sdht.1", "sdht-set.1", "sdht-status.1"] {
        let page = fs::read_to_string(home.path().join("pages").join(page)).unwrap();
        assert!(page.contains(".SH SYNOPSIS"));
    }
}
