//! The processes whose figures are taken: our own programs, on any free port.

use crate::Failed;
use std::{
    env,
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

impl Process {
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
