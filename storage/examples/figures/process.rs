//! The programs measured, each in a process of its own, killed when dropped.

use crate::bare;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A program that serves.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From before the process was made until it answered that it is ready.
    pub(crate) ready_in: Duration,
}

/// Builds the storage's program in this example's own profile, and says where it lies.
pub(crate) fn storage() -> io::Result<PathBuf> {
    // This example lies in TARGET/PROFILE/examples.
    let example = env::current_exe()?;
    let place = example.ancestors().nth(2).expect("an example lies in a target directory");
    let profile = match place.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => return Err(io::Error::other("this example lies in no target directory")),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "-p", "minor-storage", "--bin", "minor-storage"])
        .args(["--profile", profile, "--target-dir"])
        .arg(place.parent().expect("a profile's directory lies in the target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !built.success() {
        return Err(io::Error::other("minor-storage could not be built"));
    }
    Ok(place.join("minor-storage"))
}

impl Process {
    /// A storage on this data directory.
    pub(crate) fn storage(program: &Path, data: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(["-p", "0", "--data"]).arg(data);
        Self::start(command, "/readyz")
    }

    /// This very program as a bare handler.
    pub(crate) fn bare() -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(bare::ARGUMENT);
        Self::start(command, "/v1/kv/k00000000")
    }

    fn start(mut command: Command, ready: &str) -> io::Result<Self> {
        let begin = Instant::now();
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self { child, address: nowhere, ready_in: Duration::ZERO };
        let mut said = String::new();
        process.address = loop {
            if stderr.read_line(&mut said)? == 0 {
                return Err(io::Error::other(format!("it ended instead of serving: {said}")));
            }
            if let Some(address) = address_in(&said) {
                break address;
            }
        };
        while !answers_200(process.address, ready).unwrap_or(false) {
            if begin.elapsed() > Duration::from_secs(120) {
                return Err(io::Error::other("it does not get ready"));
            }
            thread::sleep(Duration::from_micros(500));
        }
        process.ready_in = begin.elapsed();
        // Whatever else it says is read, or it would block one day.
        thread::spawn(move || io::copy(&mut stderr, &mut io::sink()));
        Ok(process)
    }

    /// Bytes of memory it holds now.
    pub(crate) fn resident_bytes(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib * 1024.0).ok_or_else(|| io::Error::other("its memory is not known"))
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address_in(said: &str) -> Option<SocketAddr> {
    said.split_once("listening on http://")?.1.split_once('/')?.0.parse().ok()
}

fn answers_200(address: SocketAddr, target: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    write!(stream, "GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 200")
}
