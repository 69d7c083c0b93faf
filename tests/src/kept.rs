//! A ring, a door to it with a keeper, and users who come through that door: what the keeper's stories begin with.

use crate::{
    command::Home,
    door::Door,
    http::{Call, Connection, Reply},
    process::{self, Launch},
    rings::{Storage, addresses, ring_of},
    wait_until,
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// When a storage is dead, in these tests.
pub const DEAD_AFTER: Duration = Duration::from_secs(4);

/// A ring, a door to it with a keeper, and the home of whoever opened it.
#[derive(Debug)]
pub struct Kept {
    // First, so that it closes while there is a ring.
    door: Door,
    /// Where the ring is remembered.
    pub home: Home,
    /// The storages, each with its directory.
    pub storages: Vec<Storage>,
}

/// A ring of so many storages, and a door with these flags.
pub fn kept(count: usize, flags: &[&str]) -> Kept {
    let (home, storages) = ring_of(count);
    let dead_after = format!("{}s", DEAD_AFTER.as_secs());
    let ring = addresses(&storages).join(",");
    let usual = ["--ring", &ring, "--dead-after", &dead_after];
    let door = Door::open(&home, &[&usual[..], flags].concat());
    Kept { door, home, storages }
}

/// What the page of the door at this address is shown of the ring at this time.
pub fn picture_at(door: SocketAddr) -> Value {
    let mut line = TcpStream::connect(door).unwrap();
    line.set_read_timeout(Some(process::LIMIT)).unwrap();
    write!(line, "GET /v1/events HTTP/1.1\r\nHost: {door}\r\n\r\n").unwrap();
    let (mut heard, mut page) = (vec![], [0; 1 << 16]);
    loop {
        let read = line.read(&mut page).unwrap();
        assert!(read > 0, "the door told nothing of the ring");
        heard.extend_from_slice(&page[..read]);
        let text = String::from_utf8_lossy(&heard);
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        let Some((_, picture)) = text.split_once("event: picture\ndata: ") else { continue };
        // It comes in pieces, each under a line that tells its length.
        let lines = picture.split("\r\n").enumerate();
        let text: String = lines.filter(|(n, _)| n % 2 == 0).map(|(_, line)| line).collect();
        if let Some((picture, _)) = text.split_once("\n\n") {
            return serde_json::from_str(picture).unwrap();
        }
    }
}

impl Kept {
    /// One request to the door.
    pub fn call(&self, call: &Call) -> Reply {
        self.door.call(call)
    }

    /// What the door has said since it opened.
    pub fn log(&self) -> String {
        self.door.log()
    }

    /// Closes the door, and gives all that it said; the storages stay.
    pub fn close(self) -> (String, Vec<Storage>) {
        (self.door.close().err, self.storages)
    }

    /// What `/metrics` counts under this name.
    pub fn figure(&self, name: &str) -> u64 {
        let text = self.call(&Call::get("/metrics")).text();
        let line = text.lines().find(|line| line.starts_with(name));
        let figure = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        figure.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
    }

    /// How many evictions the keeper carried out.
    pub fn evictions(&self) -> u64 {
        self.figure("sdht_keeper_actions_total{action=\"evict\"}")
    }

    /// What the door's page is shown of the ring at this time.
    pub fn picture(&self) -> Value {
        picture_at(self.door.address())
    }

    /// The addresses of the ring's storages, and whether every arc has all of its copies.
    pub fn ring(&self) -> (Vec<String>, bool) {
        let ring = self.call(&Call::get("/v1/ring")).json();
        let address = |one: &serde_json::Value| one["address"].as_str().unwrap().to_owned();
        let storages = ring["storages"].as_array().unwrap().iter().map(address).collect();
        let whole = ring["arcs"].as_array().unwrap().iter().all(|arc| arc["redundant"] == true);
        (storages, whole)
    }

    /// A storage that was killed comes back, at its old address and with its old data.
    pub fn start_again(&mut self, n: usize) {
        let (dir, storage) = &mut self.storages[n];
        *storage = Launch::on(&dir.path().join("data")).at_port(storage.address().port()).serve();
    }

    /// Waits until it is so; the door's log is in the panic.
    pub fn waits_for(&self, what: &str, true_now: impl FnMut() -> bool) {
        let begin = Instant::now();
        let mut true_now = true_now;
        while !true_now() {
            let waited = begin.elapsed();
            assert!(waited < process::LIMIT, "waited {waited:?} until {what}:\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A user who sets keys and reads them back, through the door, until told to stop. Whatever is not as it was set, or is
/// answered with a failure, is told at the end.
#[derive(Debug)]
pub struct User {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    task: JoinHandle<Vec<String>>,
}

impl User {
    /// Begins; no two have the same name.
    pub fn of(kept: &Kept, name: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::default()), Arc::new(AtomicU64::default()));
        let (stopped, counted, address) =
            (Arc::clone(&stop), Arc::clone(&done), kept.door.address());
        let task = thread::spawn(move || {
            let mut wrong = vec![];
            let mut line = Connection::open(address).unwrap();
            for round in 0_u64.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (place, value) = (format!("/v1/kv/{name}/{}", round % 50), round.to_string());
                match line.call(&Call::put(&place, value.as_str())) {
                    Ok(reply) if reply.status < 300 => {}
                    // What nobody can tell of may be read either way.
                    other => {
                        wrong.push(format!("PUT {place}: {other:?}"));
                        continue;
                    }
                }
                match line.call(&Call::get(&place)) {
                    Ok(reply) if reply.text() == value => {}
                    other => wrong.push(format!("GET {place} should be {value}: {other:?}")),
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            wrong
        });
        Self { stop, done, task }
    }

    /// Lets it do so many rounds more.
    pub fn goes_on(&self, rounds: u64) {
        let before = self.done.load(Ordering::Relaxed);
        wait_until("a user goes on", process::LIMIT, || {
            self.done.load(Ordering::Relaxed) >= before + rounds
        });
    }

    /// Stops it, and panics if anything went wrong.
    pub fn ends_well(self) {
        self.stop.store(true, Ordering::Relaxed);
        let wrong = self.task.join().unwrap();
        assert!(wrong.is_empty(), "{} requests went wrong: {:#?}", wrong.len(), &wrong[..1]);
    }
}
