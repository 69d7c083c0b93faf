//! One storage of a lab: a process that outlives the command, and is known again by the moment it was born.

use super::super::fail::Fail;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::{
    env,
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom},
    net::{TcpListener, ToSocketAddrs},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A storage as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Storage {
    pub(crate) port: u16,
    /// The process; none after it was stopped by us.
    pub(crate) process: Option<Process>,
}

/// A process id is given again to another process; together with the moment of birth it is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    born: String,
}

/// How long a storage may take to serve, or to stop: it may have much to read, or to write.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(10);

impl Process {
    /// The process of this id, if it runs.
    fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold anything; behind it come the state and, 19 words later, the birth.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut words = rest.split_whitespace();
        let state = words.next().filter(|state| !["Z", "X"].contains(state));
        let (ticks, _) = (words.nth(18)?, state?);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Some(Self { pid, born: format!("{} {ticks}", boot.trim()) })
    }

    fn runs(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal to this process and to no other one.
    fn signal(&self, signal: Signal) -> Result<(), rustix::io::Errno> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        // Held open, the id cannot pass to another process between the look and the signal.
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        if self.runs() { pidfd_send_signal(&held, signal) } else { Ok(()) }
    }

    /// Sends a signal that it ends by, and waits until it has ended.
    pub(crate) fn end(&self, signal: Signal, port: u16) -> Result<(), Fail> {
        let no = |why: &dyn std::fmt::Display| {
            Fail::other(format!("storage 127.0.0.1:{port} (process {}): {why}", self.pid))
        };
        self.signal(signal).map_err(|why| no(&why))?;
        let begun = Instant::now();
        while self.runs() {
            if begun.elapsed() > PATIENCE {
                let next =
                    format!("End it with 'sdht lab kill {port}', or 'kill -9 {}'.", self.pid);
                return Err(no(&"it does not stop").next(next));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

impl Storage {
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn data(&self, dir: &Path) -> PathBuf {
        dir.join(self.port.to_string())
    }

    pub(crate) fn log(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.log", self.port))
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.as_ref().is_some_and(Process::runs)
    }

    /// For people and programs: killed is what ended without being asked by us to stop.
    pub(crate) fn state(&self) -> &'static str {
        match (&self.process, self.runs()) {
            (Some(_), true) => "running",
            (Some(_), false) => "killed",
            (None, _) => "stopped",
        }
    }

    /// Starts it, and waits until it serves.
    pub(crate) fn start(
        &mut self,
        program: &Path,
        dir: &Path,
        flags: &[String],
    ) -> Result<(), Fail> {
        if self.runs() {
            return Ok(());
        }
        let mut command = command(program, self.port, &self.data(dir));
        command.args(flags);
        for (name, _) in
            env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("MINOR_STORAGE_"))
        {
            command.env_remove(name);
        }
        self.process = None;
        command.stdin(Stdio::null());
        let child = launch(command, &self.address(), &self.log(dir))?;
        self.process = Process::of(i32::try_from(child.id()).unwrap_or_default());
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<(), Fail> {
        self.end(Signal::TERM)?;
        self.process = None;
        Ok(())
    }

    /// Ends it as a power cut would. It stays written down as what it was, so that one sees that it was killed.
    pub(crate) fn kill(&mut self) -> Result<(), Fail> {
        self.end(Signal::KILL)
    }

    fn end(&self, signal: Signal) -> Result<(), Fail> {
        let Some(process) = &self.process else { return Ok(()) };
        process.end(signal, self.port)
    }
}

/// How a storage is called that keeps its data here.
pub(crate) fn command(program: &Path, port: u16, data: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--data"]).arg(data);
    command
}

/// Starts a storage that says what it has to say in this file, and waits until it serves.
pub(crate) fn launch(mut command: Command, address: &str, log: &Path) -> Result<Child, Fail> {
    let (mut child, mut said) = begin(&mut command, log)?;
    match serves(&mut child, &mut said) {
        Ok(()) => Ok(child),
        Err(last) => Err(Fail::other(format!("storage {address} did not start: {last}"))
            .next(format!("All it said is in {}.", log.display()))),
    }
}

/// Starts a storage; the file is at the place where its first word will be.
pub(crate) fn begin(command: &mut Command, log: &Path) -> Result<(Child, fs::File), Fail> {
    let mut said = OpenOptions::new().create(true).append(true).read(true).open(log);
    let said = said.as_mut().map_err(|why| Fail::file(log, why))?;
    said.seek(SeekFrom::End(0))?;
    let (out, err) = (said.try_clone()?, said.try_clone()?);
    // In a process group of its own, Ctrl-C at this terminal is not meant for it.
    command.stdout(out).stderr(err).process_group(0);
    let child = command.spawn().map_err(|why| Fail::file(Path::new(command.get_program()), why))?;
    Ok((child, said.try_clone()?))
}

/// Waits until a new process says that it listens; else what it said last.
fn serves(child: &mut Child, said: &mut fs::File) -> Result<(), String> {
    let begun = Instant::now();
    let begin = said.stream_position().map_err(|why| why.to_string())?;
    loop {
        let has_ended = child.try_wait().ok().flatten().is_some();
        let mut bytes = vec![];
        let read = said.seek(SeekFrom::Start(begin)).and_then(|_| said.read_to_end(&mut bytes));
        read.map_err(|why| why.to_string())?;
        let text = String::from_utf8_lossy(&bytes);
        if text.contains("listening on http://") && !has_ended {
            return Ok(());
        }
        if has_ended {
            let last = text.lines().next_back().unwrap_or("it ended without a word");
            return Err(last.trim_start_matches("minor-storage: ").to_owned());
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it does not serve after {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(GLANCE);
    }
}

/// Whether nobody listens there.
pub(crate) fn is_free(place: impl ToSocketAddrs) -> bool {
    TcpListener::bind(place).is_ok()
}

/// The storage's program: beside this one, else on the PATH.
pub(crate) fn program() -> Result<PathBuf, Fail> {
    const NAME: &str = "minor-storage";
    let beside = env::current_exe().ok().and_then(|ours| Some(ours.parent()?.join(NAME)));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|dir| dir.join(NAME));
    let found = beside.iter().cloned().chain(on_path).find(|program| program.is_file());
    found.ok_or_else(|| {
        let place = beside.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let what = format!("{NAME} is neither in {} nor on the PATH", place.display());
        Fail::other(what)
            .next("Build it: cargo build --release; or install the package sdht, which has it.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_birth_and_not_by_its_number_alone() {
        let ours = Process::of(std::process::id() as i32).unwrap();
        assert!(ours.runs());
        let another = Process { born: "of another boot 1".into(), ..ours };
        assert!(!another.runs());
        // A signal that this test would not survive goes to nobody.
        assert_eq!(another.signal(Signal::KILL), Ok(()));
    }

    #[test]
    fn a_process_that_ended_does_not_run_even_if_nobody_has_asked_how() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        let begun = Instant::now();
        while Process::of(pid).is_some() {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::sleep(GLANCE);
        }
        child.wait().unwrap();
    }
}
