//! What we are compared with, started and measured in the same run: etcd and Redis.
//!
//! Redis is measured by its own `redis-benchmark`, one thread, 64 connections, not pipelined, values of 100 bytes. What is
//! not installed is left out, and its column stays empty.

use crate::{Failed, Figure, etcd};
use std::{
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A server, killed when dropped.
pub(crate) struct Rival {
    child: Child,
}

impl Rival {
    /// Starts it; none if there is no such program.
    pub(crate) fn start(mut command: Command) -> Result<Option<Self>, Failed> {
        match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => Ok(Some(Self { child })),
            Err(why) if why.kind() == ErrorKind::NotFound => {
                eprintln!("{} is not installed", command.get_program().to_string_lossy());
                Ok(None)
            }
            Err(why) => Err(why.into()),
        }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that nobody uses at the moment.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>, Failed> {
    let bound: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    bound.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// What one peer did: the rates of its figures, by their names.
pub(crate) type Rates = Vec<(String, f64)>;

/// All peers, once.
pub(crate) fn measure(dir: &Path, times: [usize; 2]) -> Result<Rates, Failed> {
    let named = |rival: &str, figures: Vec<Figure>| -> Rates {
        figures.into_iter().map(|f| (format!("{rival}: {}", f.name), f.rate)).collect()
    };
    let etcd = etcd::measure(dir, times)?.unwrap_or_default();
    let mut rates = named("etcd", etcd);
    rates.extend(redis(&dir.join("r"), times[0], false)?);
    rates.extend(redis(&dir.join("rc"), times[0], true)?);
    Ok(rates)
}

/// One Redis that syncs every write, or a cluster of three that syncs once a second.
fn redis(dir: &Path, times: usize, cluster: bool) -> Result<Rates, Failed> {
    // A cluster talks to itself on each port plus 10,000.
    let wanted = if cluster { 3 } else { 1 };
    let mut ports = vec![];
    while ports.len() < wanted {
        ports.extend(free_ports(1)?.into_iter().filter(|port| *port < 50_000 || !cluster));
    }
    let mut servers = vec![];
    for port in &ports {
        let dir = dir.join(port.to_string());
        std::fs::create_dir_all(&dir)?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--save", "", "--appendonly", "yes", "--dir"]);
        command.arg(&dir).args(["--appendfsync", if cluster { "everysec" } else { "always" }]);
        if cluster {
            command.args(["--cluster-enabled", "yes"]);
        }
        let Some(rival) = Rival::start(command)? else { return Ok(vec![]) };
        servers.push(rival);
        wait_for(*port)?;
    }
    if cluster {
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(ports.iter().map(|port| format!("127.0.0.1:{port}"))).arg("--cluster-yes");
        if !create.stdout(Stdio::null()).status()?.success() {
            return Err("the Redis cluster was not made".into());
        }
    }
    let mut load = Command::new("redis-benchmark");
    load.args(["-p", &ports[0].to_string(), "-t", "set,get", "-c", "64", "-d", "100", "--csv"]);
    load.args(["-n", &times.to_string(), "-r", &times.to_string()]);
    if cluster {
        load.arg("--cluster");
    }
    let said = String::from_utf8(load.stderr(Stdio::null()).output()?.stdout)?;
    let rate = |line: &str| {
        let mut fields = line.split(',').map(|field| field.trim_matches('"'));
        let what = fields.next()?.to_lowercase();
        let rival = if cluster { "Redis Cluster" } else { "Redis always" };
        let rate = fields.next()?.parse().ok()?;
        ["set", "get"].contains(&what.as_str()).then(|| (format!("{rival}: {what}"), rate))
    };
    Ok(said.lines().filter_map(rate).collect())
}

fn wait_for(port: u16) -> Result<(), Failed> {
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("nobody answers at port {port}").into())
}
