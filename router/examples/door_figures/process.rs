//! The processes of a ring and its door, and what the system says of them.

use crate::Failed;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

/// Lets this process and those it starts open as many files as they may: a thousand connections take more than is usual.
pub(crate) fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// A storage or a door, killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of our programs, which lie beside this one.
fn program(name: &str) -> Result<PathBuf, Failed> {
    let example = env::current_exe()?;
    let place = example.ancestors().nth(2).ok_or("this example lies in no target directory")?;
    let program = place.join(name);
    if program.exists() {
        Ok(program)
    } else {
        Err(format!("build {name} in this profile first").into())
    }
}

impl Process {
    pub(crate) fn storage(data: &Path) -> Result<Self, Failed> {
        let mut command = Command::new(program("minor-storage")?);
        command.args(["-p", "0", "--data"]).arg(data);
        Self::start(command)
    }

    /// A door, which remembers nothing of others.
    pub(crate) fn door(home: &Path, ring: &str, flags: &[&str]) -> Result<Self, Failed> {
        let mut command = Command::new(program("sdht")?);
        command.args(["serve", "-p", "0", "--ring", ring]).args(flags);
        command.env("XDG_STATE_HOME", home).env("XDG_CONFIG_HOME", home);
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self, Failed> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let said = child.stderr.take().ok_or("stderr is piped")?;
        let mut process = Self { child, address: String::new() };
        let (mut lines, mut all) = (BufReader::new(said).lines(), String::new());
        for line in lines.by_ref() {
            let line = line?;
            if let Some((_, place)) = line.split_once("listening on http://") {
                process.address = place.split('/').next().unwrap_or_default().to_owned();
                // What it says later is read, so that it never waits for us.
                thread::spawn(move || lines.for_each(drop));
                return Ok(process);
            }
            all += &line;
        }
        Err(format!("it ended: {all}").into())
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

    /// Processor time it has used, in seconds.
    pub(crate) fn processor_s(&self) -> Result<f64, Failed> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name, which may hold anything: utime and stime are the 12th and the 13th, in hundredths.
        let (_, behind) = stat.rsplit_once(") ").ok_or("a stat has a name")?;
        let fields: Vec<&str> = behind.split_whitespace().collect();
        let ticks = |n: usize| -> Result<f64, Failed> {
            Ok(fields.get(n).ok_or("a stat has more fields")?.parse()?)
        };
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }
}
