//! The proofs: what is claimed of a storage is shown with real processes, real sockets and real disks.
//!
//! [`process`] starts, kills and restarts storages, [`http`] speaks to them without hiding a byte, [`command`] is the terminal
//! of a person who types `sdht`, [`rings`] joins storages, [`door`] is `sdht serve`, [`kept`] is a ring with
//! a door and its keeper, [`browser`] looks at the door's page and clicks there, [`chance`] draws what must look like
//! chance and yet can be drawn again, [`history`] judges whether one register can have answered so, [`simulation`] draws whole rings and what befalls them, [`model`] explores
//! small worlds to their last state. What is proved
//! stands in `tests/`, one file per matter.
//!
//! Every test is quick as it stands and takes its large number from the environment:
//!
//! ```text
//! ROUNDS=200 cargo test --release -p sdht-tests --test storage_crash -- --nocapture
//! FLIPS=1000 cargo test --release -p sdht-tests --test storage_damage -- --nocapture
//! MALFORMED=1000000 cargo test --release -p sdht-tests --test storage_fuzz -- --nocapture
//! SEEDS=1000 cargo test --release -p sdht-tests --lib history
//! BIG_MIB=2048 cargo test --release -p sdht-tests --test objects big -- --nocapture
//! PIPE_MIB=2048 cargo test --release -p sdht-tests --test door_objects pipe -- --nocapture
//! ```
//!
//! A test that cannot run here says so and passes: see [`skip`] and [`skip_but_in_ci`].

pub mod browser;
pub mod chance;
pub mod command;
pub mod door;
pub mod history;
pub mod http;
pub mod kept;
pub mod model;
pub mod process;
pub mod rings;
pub mod simulation;

use std::{
    env,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The number that the environment gives under this name, else `usual`.
pub fn number(name: &str, usual: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => usual,
    }
}

/// Says that a test could not run here, for want of a right that the machine does not give (to mount, to open many files).
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// The same for want of a program, which can be installed: where `CI` is set that is a failure.
pub fn skip_but_in_ci(why: &str) {
    assert!(env::var_os("CI").is_none(), "this must not be left out where CI is set: {why}");
    skip(why);
}

/// Waits until `true_now` is, or panics after `limit` with what was waited for.
pub fn wait_until(what: &str, limit: Duration, mut true_now: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !true_now() {
        assert!(begin.elapsed() < limit, "waited {limit:?} in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A file system of our own, in memory and small; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// Mounts one at `place`, if we may.
    pub fn mount(place: &'a Path, options: &str) -> Result<Self, String> {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(place))?;
        Ok(Self(place))
    }

    /// Mounts it again with other options.
    pub fn remount(&self, options: &str) -> Result<(), String> {
        run(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        if let Err(why) = run(Command::new("umount").arg("--lazy").arg(self.0)) {
            eprintln!("{why}");
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("{command:?}: {said}"))
}
