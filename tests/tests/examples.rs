//! The examples, run as a reader would: each against a storage that has just been started, and a second time; and those that
//! measure, with numbers so small that they measure nothing.

use sdht_tests::{command::Home, process};
use std::{env, path::PathBuf, process::Command};

/// Each example, and what it prints on a new ring.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("quickstart", &["hello"]),
    ("typed", &["hammer", "weight_g: 800", "is not what was asked for"]),
    ("lock", &["one has the lock\ntwo has to wait\ntwo has the lock"]),
    ("embed", &["visits/0: 1", "visits/9: 1"]),
];

/// How the door's figures are asked for, and what is told of each.
const DOOR_FIGURES: &[(&[&str], &[&str])] = &[
    (&["--rounds", "1", "--times", "300"], &["library", "\nset ", "\nget "]),
    (&["--overload", "--seconds", "0.5"], &["of peak", "\n         320 ", "\n        1000 "]),
    (&["--flat", "0.03"], &["from the first minute to the last"]),
    (&["--idle", "--keys", "3000", "--seconds", "1"], &["% of a core", "10 storages beside it"]),
];

/// Builds these examples in this test's own profile, and tells where they lie.
fn built<'a>(names: impl IntoIterator<Item = &'a str>) -> PathBuf {
    // This test lies in TARGET/PROFILE/deps.
    let test = env::current_exe().unwrap();
    let place = test.ancestors().nth(2).unwrap();
    let profile = place.file_name().unwrap().to_str().unwrap();
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "-p", "sdht", "--profile", profile, "--target-dir"]);
    build.arg(place.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    for name in names {
        build.args(["--example", name]);
    }
    assert!(build.status().unwrap().success(), "the examples can be built");
    place.join("examples")
}

#[test]
fn the_door_s_figures_can_be_measured() {
    // The programs lie where they are looked for, once somebody has asked for them.
    let (_dir, _storage) = process::fresh();
    Home::default().ends(0, &["--version"]);
    let program = built(["door_figures"]).join("door_figures");
    for (flags, says) in DOOR_FIGURES {
        let out = Command::new(&program).args(*flags).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{flags:?}: {out:?}");
        assert!(says.iter().all(|said| text.contains(said)), "{flags:?}: {text}");
        assert!(!text.contains("\nfailed:"), "{flags:?}: {text}");
    }
}

#[test]
fn every_example_does_what_it_says_on_a_storage_just_started() {
    let place = built(EXAMPLES.iter().map(|(name, _)| *name));
    for (name, says) in EXAMPLES {
        let (_dir, storage) = process::fresh();
        let run =
            |arguments: &[String]| Command::new(place.join(name)).args(arguments).output().unwrap();
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
