//! The command `sdht` as a person or a script runs it, with a home of its own and no terminal.

use crate::{process, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};
use tempfile::TempDir;

/// A person's home: what one command remembers, the next one knows.
#[derive(Debug)]
pub struct Home(TempDir);

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its exit code.
    pub code: i32,
    /// What it printed on standard output.
    pub out: Vec<u8>,
    /// What it said on standard error.
    pub err: String,
}

impl Default for Home {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory can be made"))
    }
}

impl Home {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the ring used last is remembered.
    pub fn memory(&self) -> PathBuf {
        self.path().join("state/sdht/ring.json")
    }

    /// Writes the settings' file.
    pub fn write_settings(&self, text: &str) {
        let dir = self.path().join("config/sdht");
        fs::create_dir_all(&dir).expect("a directory can be made");
        fs::write(dir.join("config"), text).expect("a file can be written");
    }

    /// The command with these arguments, in this home and in no other surroundings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        let mut command = Command::new(PROGRAM.get_or_init(|| process::built("sdht")));
        let ours = env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with("SDHT_")) {
            command.env_remove(name);
        }
        command
            .env("HOME", self.path())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env_remove("RUST_LOG")
            .current_dir(self.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn sdht(&self, arguments: &[&str]) -> Told {
        self.sdht_fed(arguments, b"")
    }

    /// The same with these bytes on standard input.
    pub fn sdht_fed(&self, arguments: &[&str], input: &[u8]) -> Told {
        let mut child = self.begin(arguments);
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let input = input.to_vec();
        // It may end without having read.
        let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let told = Told::of(child.wait_with_output().expect("a child can be waited for"));
        feed.join().expect("feeding does not panic");
        told
    }

    /// Starts it, with standard input left open.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Runs it, and panics unless it ends with this code.
    pub fn ends(&self, code: i32, arguments: &[&str]) -> Told {
        let told = self.sdht(arguments);
        assert_eq!(told.code, code, "sdht {arguments:?}: {told}");
        told
    }

    /// What it prints when all is well.
    pub fn prints(&self, arguments: &[&str]) -> String {
        self.ends(0, arguments).text()
    }
}

/// Types Ctrl-C, and waits for the end.
pub fn interrupt(child: Child) -> Told {
    stop(child, Signal::INT)
}

/// Sends a signal, and waits for the end.
pub fn stop(mut child: Child, signal: Signal) -> Told {
    kill_process(Pid::from_child(&child), signal).expect("our own child can be signalled");
    wait_until("an interrupted command has ended", process::LIMIT, || {
        child.try_wait().expect("a child can be waited for").is_some()
    });
    Told::of(child.wait_with_output().expect("a child can be waited for"))
}

impl Told {
    /// Of a child that has ended.
    pub fn of(output: Output) -> Self {
        Self {
            // What was ended by a signal has no code.
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What it printed, as text without the last line's end.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.out);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// What it printed, one JSON value a line.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let text = self.text();
        let value = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
        };
        text.lines().map(value).collect()
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let out = String::from_utf8_lossy(&self.out);
        write!(f, "code {}\nstdout: {out}\nstderr: {}", self.code, self.err)
    }
}
