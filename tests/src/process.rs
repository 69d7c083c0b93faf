//! A real storage in a process of its own: started, spoken to, killed, started again.
//!
//! The program is built once per test run, in the profile the tests were built in. It binds port 0 and says on stderr which
//! port it got, so no port is guessed. Every wait has an end, and whatever is still running when a test ends is killed.

use crate::{
    http::{Call, Connection, Reply},
    wait_until,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a storage may take to start, or to stop when asked.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How to start a storage.
#[derive(Clone, Debug)]
pub struct Launch {
    under: Vec<OsString>,
    port: u16,
    data: PathBuf,
    more: Vec<OsString>,
}

/// A storage that ended instead of serving.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it said on stderr.
    pub said: String,
}

/// A storage that serves.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    child: Child,
    stderr: Stderr,
    address: SocketAddr,
    /// From the start of the process to the line that says it listens.
    pub started_in: Duration,
}

impl Launch {
    /// A storage on this data directory, on any free port.
    pub fn on(data: &Path) -> Self {
        Self { under: vec![], port: 0, data: data.into(), more: vec![] }
    }

    /// The same with these arguments behind the others.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.more.extend(arguments.iter().map(OsString::from));
        self
    }

    /// The same on this port.
    pub fn at_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The same, started by this program, which must become it or be its parent in name only (`strace -D`).
    pub fn under(self, program: &[&str]) -> Self {
        Self { under: program.iter().map(OsString::from).collect(), ..self }
    }

    /// Starts it, and waits until it serves or has ended.
    pub fn start(&self) -> Result<Process, Ended> {
        let begin = Instant::now();
        let mut line = self.under.clone();
        line.extend([program().into(), "-p".into(), self.port.to_string().into()]);
        line.extend(["--data".into(), self.data.clone().into()]);
        line.extend(self.more.iter().cloned());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let ours = env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with("MINOR_STORAGE_")) {
            command.env_remove(name);
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = Stderr::of(child.stderr.take().expect("stderr is piped"));
        // Made at once, so that it is killed whatever happens below.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let launch = self.clone();
        let mut process =
            Process { launch, child, stderr, address: nowhere, started_in: Duration::ZERO };
        let mut ended = None;
        wait_until("the storage listens or ends", LIMIT, || {
            ended = process.child.try_wait().expect("a child can be waited for");
            ended.is_some() || process.stderr.port().is_some()
        });
        if let Some(status) = ended {
            return Err(Ended { status, said: process.stderr.all() });
        }
        process.started_in = begin.elapsed();
        process.address.set_port(process.stderr.port().expect("it listens"));
        wait_until("the storage is ready", LIMIT, || {
            process.try_call(&Call::get("/readyz")).is_ok_and(|reply| reply.status != 503)
                || process.has_ended()
        });
        match process.child.try_wait().expect("a child can be waited for") {
            Some(status) => Err(Ended { status, said: process.stderr.all() }),
            None => Ok(process),
        }
    }

    /// Starts a storage that must serve.
    pub fn serve(&self) -> Process {
        self.start().unwrap_or_else(|ended| {
            panic!("the storage did not start: {}\n{}", ended.status, ended.said)
        })
    }

    /// Starts a storage that must refuse to serve.
    pub fn refuse(&self) -> Ended {
        match self.start() {
            Ok(process) => panic!("the storage serves, and should not: {:?}", process.launch),
            Err(ended) => {
                assert!(!ended.status.success(), "it refused and yet exits with 0: {}", ended.said);
                ended
            }
        }
    }
}

/// A storage on a new directory, which must outlive it.
pub fn fresh() -> (TempDir, Process) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let process = Launch::on(&dir.path().join("data")).serve();
    (dir, process)
}

impl Process {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything it said on stderr up to now.
    pub fn said(&self) -> String {
        self.stderr.so_far()
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        self.try_connect().expect("a storage that serves takes connections")
    }

    /// A new connection, if it takes one.
    pub fn try_connect(&self) -> io::Result<Connection> {
        Connection::open(self.address)
    }

    /// One request on a connection of its own.
    pub fn call(&self, call: &Call) -> Reply {
        self.try_call(call).unwrap_or_else(|error| panic!("{call:?}: {error}\n{}", self.said()))
    }

    /// The names of all pieces of large objects that it holds alive.
    pub fn pieces(&self) -> Vec<String> {
        let reply = self.call(&Call::get("/v1/kv?prefix=%00&limit=100000"));
        let text = reply.text();
        let told = text.lines().map(|line| -> serde_json::Value {
            serde_json::from_str(line).expect("a listing is lines of JSON")
        });
        told.map(|line| line["key"].as_str().expect("a line has a key").to_owned()).collect()
    }

    /// One request on a connection of its own, if it is answered.
    pub fn try_call(&self, call: &Call) -> io::Result<Reply> {
        self.try_connect()?.call(call)
    }

    /// Whether the process is gone.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Ends it as a power cut would, without a word.
    pub fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.end();
    }

    /// Lets it do nothing, and answer nothing, until it is resumed.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to stop as a service manager does, and waits until it has.
    pub fn terminate(&mut self) -> Ended {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Asks it to stop as Ctrl-C does, and waits until it has.
    pub fn interrupt(&mut self) -> Ended {
        self.signal(Signal::INT);
        self.end()
    }

    /// Waits until it has ended by itself.
    pub fn end(&mut self) -> Ended {
        wait_until("the storage has ended", LIMIT, || self.has_ended());
        let status = self.child.wait().expect("a child can be waited for");
        Ended { status, said: self.stderr.all() }
    }

    /// Starts it again on the same directory, after it has ended.
    pub fn restart(&mut self) {
        assert!(self.has_ended(), "what still runs cannot be restarted");
        *self = self.launch.serve();
    }

    /// Bytes of memory it holds now.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a process that runs has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("a process that runs has memory") << 10
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("our own child can be signalled");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process says, line by line.
#[derive(Debug)]
struct Stderr {
    lines: Arc<Mutex<Vec<String>>>,
    reader: thread::JoinHandle<()>,
}

impl Stderr {
    fn of(pipe: ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(vec![]));
        let reader = thread::spawn({
            let lines = lines.clone();
            move || {
                let mut pipe = BufReader::new(pipe);
                let mut line = vec![];
                while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                    lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
                    line.clear();
                }
            }
        });
        Self { lines, reader }
    }

    fn so_far(&self) -> String {
        self.lines.lock().unwrap().concat()
    }

    /// All of it, once the process has ended. A grandchild may hold the pipe longer, and is not waited for.
    fn all(&self) -> String {
        let begin = Instant::now();
        while !self.reader.is_finished() && begin.elapsed() < Duration::from_secs(1) {
            thread::sleep(Duration::from_millis(1));
        }
        self.so_far()
    }

    fn port(&self) -> Option<u16> {
        let said = self.so_far();
        let (_, place) = said.split_once("listening on http://")?;
        place.split_once('/')?.0.rsplit_once(':')?.1.parse().ok()
    }
}

/// The storage under test, built in this test's own profile.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built("minor-storage"))
}

/// One of our programs, built in this test's own profile: both at once, or what they share would be built twice.
pub(crate) fn built(program: &str) -> PathBuf {
    // This test lies in TARGET/PROFILE/deps.
    let test = env::current_exe().expect("a test knows where it lies");
    let place = test.ancestors().nth(2).expect("a test lies in a target directory");
    let profile = match place.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => panic!("{} is in no target directory", test.display()),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "-p", "minor-storage", "-p", "sdht", "--bins"])
        .args(["--profile", profile, "--target-dir"])
        .arg(place.parent().expect("a profile's directory lies in the target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "{program} could not be built");
    place.join(program)
}

/// Lets this process and its children open as many files as they may, for tests with a thousand connections.
pub fn open_many_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The most memory that a process ever held, in bytes.
pub fn peak_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    let kib = line.split_whitespace().next().expect("a number and its unit");
    kib.parse::<u64>().expect("a number") << 10
}
