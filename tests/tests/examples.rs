//! The examples, run as a reader would: each against a storage that has just been started, and a second time.

use sdht_tests::process;
use std::{env, process::Command};

/// Each example, and what it prints on a new ring.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("quickstart", &["hello"]),
    ("typed", &["hammer", "weight_g: 800", "is not what was asked for"]),
    ("lock", &["one has the lock\ntwo has to wait\ntwo has the lock"]),
    ("embed", &["visits/0: 1", "visits/9: 1"]),
];

#[test]
fn every_example_does_what_it_says_on_a_storage_just_started() {
    // This test lies in TARGET/PROFILE/deps.
    let test = env::current_exe().unwrap();
    let place = test.ancestors().nth(2).unwrap();
    let profile = place.file_name().unwrap().to_str().unwrap();
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "-p", "sdht", "--profile", profile, "--target-dir"]);
    build.arg(place.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in EXAMPLES {
        build.args(["--example", name]);
    }
    assert!(build.status().unwrap().success(), "the examples can be built");
    for (name, says) in EXAMPLES {
        let (_dir, storage) = process::fresh();
        let run = |arguments: &[String]| {
            Command::new(place.join("examples").join(name)).args(arguments).output().unwrap()
        };
        let address = storage.address().to_string();
        let first = run(std::slice::from_ref(&address));
        let text = String::from_utf8_lossy(&first.stdout);
        assert!(first.status.success(), "{name}: {first:?}");
        assert!(says.iter().all(|said| text.contains(said)), "{name}: {text}");
        assert!(run(&[address]).status.success(), "{name} once more");
        let unnamed = run(&[]);
        let why = String::from_utf8_lossy(&unnamed.stderr);
        assert!(!unnamed.status.success() && why.contains("name a storage"), "{name}: {why}");
    }
}
