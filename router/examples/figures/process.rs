//! The processes whose figures are taken: our own programs, on any free port.

use crate::Failed;
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

/// A storage or a door, killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of our programs, which lie beside this one.
pub(crate) fn program(name: &str) -> Result<PathBuf, Failed> {
    let example = env::current_exe()?;
    let place = example.ancestors().nth(2).ok_or("this example lies in no target directory")?;
    let program = place.join(name);
    if program.exists() {
        Ok(program)
    } else {
        Err(format!("build {name} in this profile first").into())
    }
}

/// Processor time that a process has used, in seconds.
pub(crate) fn processor_s(process: u32) -> Result<f64, Failed> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything: utime and stime are the 12th and the 13th, in hundredths.
    let (_, behind) = stat.rsplit_once(") ").ok_or("a stat has a name")?;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |n: usize| -> Result<f64, Failed> {
        Ok(fields.get(n).ok_or("a stat has more fields")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

impl Process {
    /// Processor time it has used, in seconds.
    pub(crate) fn processor_s(&self) -> Result<f64, Failed> {
        processor_s(self.child.id())
    }

    /// A storage that keeps its data there.
    pub(crate) fn storage(data: &Path, flags: &[&str]) -> Result<Self, Failed> {
        let mut command = Command::new(program("minor-storage")?);
        command.args(["-p", "0", "--data"]).arg(data).args(flags);
        Self::start(command)
    }

    pub(crate) fn start(mut command: Command) -> Result<Self, Failed> {
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
}
