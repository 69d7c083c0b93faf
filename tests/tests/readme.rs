//! The README, typed in: its sessions print what they say, its shell finds the same storages, its links lead somewhere.
//!
//! In a session, `…` on a line stands for any text, and a line of nothing else for any lines. Blanks count as one: columns may be
//! wider elsewhere. Ports are others than written, so that nothing that runs here is in the way.

use sdht_tests::{
    command::Home,
    process,
    rings::{addresses, ring_of},
    skip_but_in_ci, wait_until,
};
use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// What stands between fences of this kind.
fn fenced(kind: &str) -> Vec<String> {
    let text = readme();
    let open = format!("```{kind}\n");
    let blocks = text.split(&open).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// A command, and the lines it is said to print.
#[derive(Debug, PartialEq, Eq)]
struct Typed {
    command: String,
    prints: Vec<String>,
}

fn session(text: &str) -> Vec<Typed> {
    let mut typed: Vec<Typed> = vec![];
    for line in text.lines() {
        match (line.strip_prefix("$ "), typed.last_mut()) {
            (Some(command), _) => typed.push(Typed { command: command.to_owned(), prints: vec![] }),
            (None, Some(last)) => last.prints.push(words(line)),
            (None, None) => panic!("a session begins with a command: {line}"),
        }
    }
    typed
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether these lines are what was promised.
fn matches(promised: &[String], printed: &[String]) -> bool {
    match promised.split_first() {
        None => printed.is_empty(),
        Some((any, rest)) if any == "…" => {
            (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others)),
    }
}

fn line_matches(promised: &str, printed: &str) -> bool {
    let Some((before, behind)) = promised.split_once('…') else { return promised == printed };
    let Some(rest) = printed.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| line_matches(behind, &rest[at..]))
}

#[test]
fn what_differs_is_left_open_and_nothing_else() {
    let lines = |text: &str| text.lines().map(words).collect::<Vec<_>>();
    let is = |promised, printed| matches(&lines(promised), &lines(printed));
    assert!(is("a  … c\n…\nend", "a b c\nx\ny\nend") && is("…", "") && is("1 … 2", "1 … 2"));
    assert!(!is("a … c", "a b d") && !is("end", "end\nmore") && !is("…\nend", "x") && !is("a", ""));
    let typed = session("$ one\n$ two # why\nout\n");
    assert_eq!((typed.len(), &*typed[0].prints), (2, &[][..]));
}

/// Ports that are free, as many as the README writes from 8000 on; and one more, of as many digits.
fn ports() -> (u16, u16) {
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let begin = 8_200 + std::process::id() as u16 % 100 * 10;
    let mut tens = (begin..9_900).step_by(10);
    let ten = tens.find(|ten| (*ten..ten + 10).all(is_free)).expect("ten free ports");
    (ten, ten + 9)
}

/// Somebody at a terminal.
struct Terminal {
    home: Home,
    path: std::ffi::OsString,
    storages: u16,
    door: u16,
    running: Vec<Child>,
}

impl Terminal {
    fn new() -> Self {
        let home = Home::default();
        // It speaks to nobody here; a person at a terminal sees no progress either.
        fs::write(home.path().join(".curlrc"), "silent\nshow-error\n").unwrap();
        let programs = process::program().parent().unwrap().to_owned();
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = [programs].into_iter().chain(std::env::split_paths(&paths));
        let path = std::env::join_paths(paths).unwrap();
        let (storages, door) = ports();
        Self { home, path, storages, door, running: vec![] }
    }

    /// As it is typed here, with other ports.
    fn here(&self, text: &str) -> String {
        let text = (0..4).fold(text.to_owned(), |text, n| {
            text.replace(&format!("800{n}"), &(self.storages + n).to_string())
        });
        text.replace("lab up 4", &format!("lab up 4 --port {}", self.storages))
            .replace("sdht serve &", &format!("sdht serve -p {} &", self.door))
            .replace("7000", &self.door.to_string())
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.home.path()).stdin(Stdio::null());
        shell.env_clear().env("PATH", &self.path).env("HOME", self.home.path());
        shell
    }

    fn types(&mut self, typed: &Typed) {
        let command = self.here(&typed.command);
        let promised: Vec<String> = typed.prints.iter().map(|line| self.here(line)).collect();
        let begun = command.strip_suffix(" &").map(|command| format!("exec {command}"));
        // What runs on may speak at any time, and is heard for itself.
        let said =
            if begun.is_some() { format!("said-{}", self.running.len()) } else { "said".into() };
        let said = self.home.path().join(said);
        let out = File::create(&said).unwrap();
        let mut shell = self.shell(begun.as_deref().unwrap_or(&command));
        let mut child = shell.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        let printed = || -> Vec<String> {
            let text = fs::read_to_string(&said).unwrap();
            text.lines().map(words).collect()
        };
        if begun.is_some() {
            self.running.push(child);
            wait_until(&command, process::LIMIT, || matches(&promised, &printed()));
            return;
        }
        child.wait().unwrap();
        let printed = printed();
        assert!(matches(&promised, &printed), "$ {command}\n{}", printed.join("\n"));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let down = self.shell("sdht lab down").output();
        drop(down);
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn what_the_sessions_print_is_what_they_say() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip_but_in_ci("curl is not here");
    }
    let sessions = fenced("console");
    assert_eq!(sessions.len(), 2);
    for text in sessions {
        let mut terminal = Terminal::new();
        session(&text).iter().for_each(|typed| terminal.types(typed));
    }
}

#[test]
fn the_shell_finds_the_same_storages() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("curl") || !has("jq") {
        return skip_but_in_ci("curl and jq are not here");
    }
    let (home, storages) = ring_of(4);
    let addresses = addresses(&storages);
    let script = fenced("sh").into_iter().find(|block| block.contains("sha256sum")).unwrap();
    for n in 0..10 {
        let key = format!("some key {n}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("KEY", &key).env("STORAGES", addresses.join(" "));
        let by_shell = String::from_utf8(shell.output().unwrap().stdout).unwrap();
        let told = home.ends(0, &["whereis", &key, "--json"]).json();
        let storages = told[0]["storages"].as_array().unwrap();
        let mut ours: Vec<&str> = storages.iter().map(|s| s["address"].as_str().unwrap()).collect();
        ours.sort_unstable();
        assert_eq!(by_shell.lines().collect::<Vec<_>>(), ours, "{key}");
        assert_eq!(ours.len(), 3);
    }
}

#[test]
fn every_link_leads_to_a_file() {
    let mut seen = 0;
    for page in ["README.md", "deploy/README.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let place = root().join(page).parent().unwrap().to_owned();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("https://")) {
            let file = target.split('#').next().unwrap();
            assert!(place.join(file).exists(), "{page}: {target} is not there");
            seen += 1;
        }
    }
    assert!(seen > 12, "{seen} links");
}

#[test]
fn every_verb_of_the_command_stands_in_the_table() {
    let text = readme();
    let help = Home::default().prints(&["--help"]);
    let verbs = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let verbs = verbs.take_while(|line| !line.is_empty());
    let verbs: Vec<&str> = verbs
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|verb| *verb != "help" && verb.chars().all(|c| c.is_ascii_lowercase()))
        .collect();
    assert!(verbs.len() > 20, "{verbs:?}");
    for verb in verbs {
        let named = [format!("`sdht {verb}"), format!("`{verb}"), format!(", `{verb}`")];
        assert!(named.iter().any(|name| text.contains(name)), "the README does not name '{verb}'");
    }
}
