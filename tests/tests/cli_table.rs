//! Every verb of the command under every misfortune, as one table: with which code it ends, how soon, and that whatever fails
//! says what happened, to whom, and what to do next.
//!
//! A verb without a row fails the first test, so that none is forgotten.

use sdht_tests::{
    command::{Home, Told},
    door::Door,
    process,
    rings::{self, Storage, ring_of},
    skip,
};
use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:1";
/// How long anything may take, with two seconds of patience.
const SOON: Duration = Duration::from_secs(20);
/// All codes that there are.
const CODES: &[i32] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 130];

/// What one verb does.
struct Row {
    verb: &'static str,
    /// Arguments that are right. GONE is a storage of the ring that is dead or hangs where one does, NEW one that is to join.
    right: &'static [&'static str],
    /// Arguments that are not.
    wrong: &'static [&'static str],
    /// The code with no arguments at all, where no ring is remembered and no storage is there.
    bare: i32,
    /// The code with right arguments, where the only storage that is named is dead.
    dead: i32,
    /// The same at a ring of three where nothing is wrong, where one is dead, and where one hangs.
    of_three: [i32; 3],
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { verb: "set",         right: &["k", "v"],               wrong: &["k", "v", "--ttl", "soon"],  bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "get",         right: &["k"],                    wrong: &["k", "--range", "9-3"],      bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "has",         right: &["k"],                    wrong: &["k", "l"],                   bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "keys",        right: &[],                       wrong: &["k"],                        bare: 5, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "whereis",     right: &["k"],                    wrong: &["k", "--checked"],           bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "walk",        right: &[],                       wrong: &["k", "l"],                   bare: 5, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "status",      right: &[],                       wrong: &["k"],                        bare: 5, dead: 5, of_three: [0, 8, 8] },
    Row { verb: "balance",     right: &[],                       wrong: &["--max-rate", "fast"],       bare: 5, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "repair",      right: &[],                       wrong: &["--max-rate", "0"],          bare: 5, dead: 5, of_three: [0, 8, 8] },
    Row { verb: "purge",       right: &[],                       wrong: &["no-port"],                  bare: 5, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "export",      right: &["-o", "archive"],        wrong: &["--max-rate", "fast"],       bare: 5, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "import",      right: &["-f", "archive"],        wrong: &["--max-rate", "fast"],       bare: 5, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "push",        right: &["dir"],                  wrong: &["dir", "--max-rate", "-1"],  bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "pull",        right: &["back"],                 wrong: &["back", "--max-rate", "x"],  bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "load",        right: &["5"],                    wrong: &["0"],                        bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "bench",       right: &["--ops", "5", "--records", "5"], wrong: &["g"],                bare: 5, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "del",         right: &["k"],                    wrong: &["k", "--if-match", "1-2"],   bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "join",        right: &["NEW"],                  wrong: &["no-port"],                  bare: 2, dead: 5, of_three: [0, 0, 0] },
    Row { verb: "copies",      right: &["2"],                    wrong: &["eight"],                    bare: 2, dead: 5, of_three: [0, 4, 4] },
    Row { verb: "remove",      right: &["GONE"],                 wrong: &["GONE", "--accept-loss"],    bare: 2, dead: 5, of_three: [0, 1, 1] },
    Row { verb: "serve",       right: &["-p", "0"],              wrong: &["-p", "door"],               bare: 5, dead: 5, of_three: [0, 0, 0] },
    // These ask no storage.
    Row { verb: "config",      right: &[],                       wrong: &["k"],                        bare: 0, dead: 0, of_three: [0, 0, 0] },
    Row { verb: "completions", right: &["bash"],                 wrong: &["cmd.exe"],                  bare: 2, dead: 0, of_three: [0, 0, 0] },
    Row { verb: "man",         right: &["pages"],                wrong: &["pages", "more"],            bare: 2, dead: 0, of_three: [0, 0, 0] },
    Row { verb: "lab",         right: &["status"],               wrong: &["nonsense"],                 bare: 2, dead: 3, of_three: [3, 3, 3] },
];

/// What a lab is asked where there is none.
const LAB: &[(&str, &[&str], i32)] = &[
    ("up", &["0"], 2),
    ("add", &["1"], 3),
    ("kill", &["8000"], 3),
    ("restart", &["8000"], 3),
    ("stop", &["8000"], 3),
    ("logs", &[], 3),
    ("status", &[], 3),
    ("down", &[], 3),
];

/// The verbs that a help lists.
fn verbs_of(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // A verb is indented by two; what is said of it, further.
    let verbs = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let verbs = verbs.filter(|verb| !verb.is_empty() && *verb != "help");
    verbs.map(str::to_owned).collect()
}

/// Somebody with a directory to push.
fn newcomer() -> Home {
    let home = Home::default();
    write_tree(&home);
    home
}

/// The directory that some lines name.
fn write_tree(home: &Home) {
    fs::create_dir(home.path().join("dir")).unwrap();
    fs::write(home.path().join("dir/file"), "a file").unwrap();
}

/// Runs a command, and holds whatever it did against what holds for every command.
fn cell(label: &str, code: i32, command: &mut Command) -> Told {
    let begun = Instant::now();
    let told = Told::of(command.output().unwrap());
    let took = begun.elapsed();
    let line = format!("{label}, {:?} in {took:?}: {told}", command.get_args());
    assert!(took < SOON, "{line}");
    assert!(!told.err.contains("panicked") && !told.err.contains("os error 32"), "{line}");
    assert!(CODES.contains(&told.code), "no code of ours: {line}");
    assert_eq!(told.code, code, "{line}");
    if ![0, 8].contains(&code) {
        assert!(told.out.is_empty(), "it failed, and prints something: {line}");
        assert!(told.err.trim().lines().count() > 1, "it does not say what to do next: {line}");
    }
    told
}

/// The same line for a program: what it prints is JSON, and so is what it fails with.
fn cell_as_json(label: &str, code: i32, command: &mut Command) {
    let told = Told::of(command.arg("--json").output().unwrap());
    let line = format!("{label}, {:?}: {told}", command.get_args());
    assert_eq!(told.code, code, "{line}");
    assert!(told.json().iter().all(serde_json::Value::is_object), "{line}");
    if ![0, 8].contains(&code) {
        let last = told.err.lines().next_back().unwrap_or_default();
        let error: serde_json::Value =
            serde_json::from_str(last).unwrap_or_else(|why| panic!("{why}: {line}"));
        let told = |name: &str| error[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(error["code"] == code && told("error") && told("next"), "{line}");
    }
}

#[test]
fn every_verb_has_a_row() {
    let home = Home::default();
    let mut verbs = verbs_of(&home.prints(&["--help"]));
    let mut rows: Vec<&str> = TABLE.iter().map(|row| row.verb).collect();
    verbs.sort();
    rows.sort_unstable();
    assert_eq!(verbs, rows);
    let rows: Vec<&str> = LAB.iter().map(|(verb, ..)| *verb).collect();
    assert_eq!(verbs_of(&home.prints(&["lab", "--help"])), rows);
}

/// The same command where there is no network but its own loopback, so that nobody is there by accident.
fn alone(command: &Command) -> Command {
    let mut alone = Command::new("unshare");
    alone.args(["--net", "sh", "-c", r#"ip link set lo up && exec "$@""#, "sh"]);
    alone.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    alone.current_dir(command.get_current_dir().unwrap()).stdin(std::process::Stdio::null());
    alone
}

#[test]
fn with_no_arguments_and_no_storage_at_all_each_says_what_is_missing() {
    let home = newcomer();
    let trial = alone(&home.command(&["config"])).output();
    if !trial.is_ok_and(|trial| trial.status.success()) {
        return skip("no network of one's own can be had here");
    }
    for Row { verb, bare, .. } in TABLE {
        let told = cell("bare", *bare, &mut alone(&home.command(&[verb])));
        match bare {
            2 => assert!(told.err.contains("Usage: sdht"), "{told}"),
            5 => assert!(
                told.err.contains("127.0.0.1:8000") && told.err.contains("minor-storage -p")
            ),
            _ => {}
        }
    }
    for (verb, arguments, code) in LAB {
        let line = [&["lab", verb], *arguments].concat();
        let told = cell("no lab", *code, &mut home.command(&line));
        assert!(*code == 2 || told.err.contains("sdht lab up"), "{told}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let home = newcomer();
    for Row { verb, wrong, .. } in TABLE {
        for wrong in [*wrong, &["--nonsense"]] {
            let told = cell("wrong", 2, &mut home.command(&[&[*verb], wrong].concat()));
            let is_named = wrong.iter().any(|word| told.err.contains(word));
            assert!(is_named && told.err.contains("--help"), "{told}");
        }
    }
    for (verb, ..) in LAB {
        cell("wrong", 2, &mut home.command(&["lab", verb, "--nonsense"]));
    }
}

#[test]
fn where_the_only_storage_is_dead_each_names_it() {
    let home = newcomer();
    for Row { verb, right, dead, .. } in TABLE {
        let right: Vec<&str> =
            right.iter().map(|word| if *word == "NEW" { "127.0.0.1:9" } else { word }).collect();
        let right: Vec<&str> =
            right.iter().map(|word| if *word == "GONE" { NOBODY } else { word }).collect();
        let line = [&["--ring", NOBODY, verb], &right[..]].concat();
        let told = cell("dead", *dead, &mut home.command(&line));
        assert!(*dead != 5 || told.err.contains(NOBODY) && told.err.contains("--ring"), "{told}");
        if *verb != "completions" {
            cell_as_json("dead", *dead, &mut home.command(&line));
        }
    }
    assert!(!home.path().join("archive").exists() && !home.path().join("back").exists());
}

/// How one of three storages is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum One {
    Well,
    Dead,
    Hangs,
}

/// Three storages in a ring, and a fourth that is in none.
struct Ring {
    home: Home,
    storages: Vec<Storage>,
    new: Storage,
}

impl Ring {
    fn new() -> Self {
        let (home, storages) = ring_of(3);
        write_tree(&home);
        let ring = Self { home, storages, new: process::fresh() };
        ring.home.ends(0, &["set", "k", "v"]);
        ring.home.ends(0, &["export", "-o", "archive"]);
        ring
    }

    fn address(&self, n: usize) -> String {
        rings::address(&self.storages[n])
    }

    /// The line of a row, with this much patience.
    fn line(&self, row: &Row, timeout: &str) -> Command {
        let word = |word: &&str| match *word {
            "NEW" => rings::address(&self.new),
            "GONE" => self.address(1),
            word => word.to_owned(),
        };
        let words: Vec<String> = row.right.iter().map(word).collect();
        let words: Vec<&str> = words.iter().map(|word| &**word).collect();
        self.home.command(&[&[row.verb, "--timeout", timeout], &words[..]].concat())
    }

    /// Makes good what a line has changed, so that the next one finds what it needs.
    fn put_back(&self, row: &Row) {
        let new = rings::address(&self.new);
        match row.verb {
            "del" => self.home.ends(0, &["set", "k", "v"]),
            "join" => self.home.ends(0, &["remove", &new, "--timeout", "5s"]),
            "copies" => self.home.ends(0, &["copies", "3"]),
            "remove" => self.home.ends(0, &["join", &self.address(1)]),
            _ => return,
        };
    }
}

#[test]
fn one_of_three_that_is_dead_or_hangs_is_borne_or_named() {
    for one in [One::Dead, One::Hangs] {
        let mut ring = Ring::new();
        match one {
            One::Dead => ring.storages[1].1.kill9(),
            One::Hangs => ring.storages[1].1.pause(),
            One::Well => {}
        }
        let gone = ring.address(1);
        for row in TABLE {
            let code = row.of_three[one as usize];
            if row.verb == "serve" {
                drop(Door::open(&ring.home, &["--timeout", "2s"]));
                continue;
            }
            let told = cell(&format!("{one:?}"), code, &mut ring.line(row, "2s"));
            let said = told.text() + &told.err;
            assert!(code == 0 || row.verb == "lab" || said.contains(&gone), "{}: {told}", row.verb);
            if row.verb == "del" {
                ring.home.ends(0, &["set", "k", "v"]);
            }
        }
        assert_eq!(ring.home.prints(&["get", "k", "--timeout", "2s"]), "v", "all is served still");
    }
}

#[test]
fn where_a_whole_ring_is_dead_nobody_tries_for_long() {
    let mut ring = Ring::new();
    ring.storages.iter_mut().for_each(|storage| storage.1.kill9());
    for row in TABLE.iter().filter(|row| row.verb != "serve") {
        let code = match row.verb {
            "status" | "load" | "bench" => 8,
            "join" | "remove" => 1,
            _ => row.dead,
        };
        let told = cell("all dead", code, &mut ring.line(row, "500ms"));
        let is_named = (0..3).any(|n| told.err.contains(&ring.address(n)));
        assert!(is_named || row.verb == "status" || row.dead != 5, "{}: {told}", row.verb);
    }
    let told = cell("all dead", 8, &mut ring.home.command(&["status"]));
    assert!(told.err.contains("the ring used last") && told.err.contains("--ring"), "{told}");
    // Ten thousand records, of which none can be written.
    let told = cell("all dead", 8, &mut ring.home.command(&["bench", "--timeout", "300ms"]));
    assert!(told.err.contains("operations failed"), "{told}");
}

#[test]
fn where_all_is_well_each_speaks_json_and_lets_its_reader_go() {
    let ring = Ring::new();
    for row in TABLE.iter().filter(|row| row.verb != "serve") {
        let code = row.of_three[One::Well as usize];
        if row.verb != "completions" {
            cell_as_json("well", code, &mut ring.line(row, "2s"));
            ring.put_back(row);
        }
        let mut child = ring.line(row, "2s").spawn().unwrap();
        drop(child.stdout.take());
        let told = Told::of(child.wait_with_output().unwrap());
        let is_quiet = !told.err.contains("panicked") && !told.err.contains("pipe");
        assert!(told.code == code && is_quiet, "{}: {told}", row.verb);
        ring.put_back(row);
    }
    let told = cell("empty", 1, ring.home.command(&["import"]).stdin(std::process::Stdio::null()));
    assert!(told.err.contains("standard input: there is nothing in it"), "{told}");
    let told = ring.home.sdht_fed(&["import"], b"hello");
    assert!(told.code == 1 && told.err.contains("does not begin as an archive does"), "{told}");
    let told = ring.home.ends(5, &["join", NOBODY]);
    assert!(told.err.contains(NOBODY) && told.err.contains("minor-storage -p 1"), "{told}");
    assert_eq!(ring.home.sdht_fed(&["set", "nothing", "-"], b"").code, 0);
    assert_eq!(ring.home.ends(0, &["get", "nothing"]).out, b"");
}
