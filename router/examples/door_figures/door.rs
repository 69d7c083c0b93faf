//! The door's own process, and what the system says of one.

use crate::{
    Failed,
    process::{Process, program},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs, path::Path, process::Command};

/// Lets this process and those it starts open as many files as they may: a thousand connections take more than is usual.
pub(crate) fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

impl Process {
    /// A door, which remembers nothing of others.
    pub(crate) fn door(home: &Path, ring: &str, flags: &[&str]) -> Result<Self, Failed> {
        let mut command = Command::new(program("sdht")?);
        command.args(["serve", "-p", "0", "--ring", ring]).args(flags);
        command.env("XDG_STATE_HOME", home).env("XDG_CONFIG_HOME", home);
        Self::start(command)
    }

    /// Memory it holds, and the most it ever held, in KiB.
    pub(crate) fn memory_kib(&self) -> Result<(u64, u64), Failed> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| -> Result<u64, Failed> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next());
            Ok(kib.ok_or("the system does not tell it")?.parse()?)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }
}
