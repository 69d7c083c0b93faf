//! A door to a ring, `sdht serve`, in a process of its own.

use crate::{
    command::{Home, Told, interrupt, stop},
    http::{Call, Connection, Reply},
    process::peak_bytes,
};
use rustix::process::Signal;
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::Child,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

/// A door that is open. It is asked to close when dropped, so that what it started ends with it.
#[derive(Debug)]
pub struct Door {
    child: Option<Child>,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
    /// Reads what it says, to the end.
    listening: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens one on any free port, with these flags, from somebody's home.
    pub fn open(home: &Home, flags: &[&str]) -> Self {
        let mut child = home.begin(&[&["serve", "-p", "0"], flags].concat());
        let mut said = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (mut line, mut all) = (String::new(), String::new());
        while !line.contains("listening on http://") {
            line.clear();
            let read = said.read_line(&mut line).expect("it can be read");
            assert!(read > 0, "the door did not open: {all}");
            all += &line;
        }
        let place = line.split("http://").nth(1).expect("it says where").trim_end();
        let address = place.trim_end_matches('/').parse().expect("an address");
        // What it says later is read as it comes, so that it never waits for us.
        let all = Arc::new(Mutex::new(all));
        let into = Arc::clone(&all);
        let listening = thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let mut all = into.lock().expect("adding to a text does not panic");
                *all += &format!("{line}\n");
            }
        });
        Self { child: Some(child), address, said: all, listening: Some(listening) }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The most memory it ever held, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        peak_bytes(self.child.as_ref().expect("it is open").id())
    }

    /// What it has said up to now.
    pub fn log(&self) -> String {
        self.said.lock().expect("adding to a text does not panic").clone()
    }

    /// One of its places, as others are told of it.
    pub fn at(&self, place: &str) -> String {
        format!("http://{}{place}", self.address)
    }

    /// One request on a connection of its own.
    pub fn call(&self, call: &Call) -> Reply {
        let reply = Connection::open(self.address).and_then(|mut way| way.call(call));
        reply.unwrap_or_else(|why| panic!("{call:?}: {why}"))
    }

    /// Ends it as a power cut would, without a word.
    pub fn kill9(mut self) {
        drop(stop(self.child.take().expect("it is open"), Signal::KILL));
    }

    /// Types Ctrl-C, and waits for the end and all that was said.
    pub fn close(mut self) -> Told {
        let told = interrupt(self.child.take().expect("it is open"));
        self.listening.take().expect("it is open").join().expect("reading does not panic");
        Told { err: self.log(), ..told }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            drop(interrupt(child));
        }
    }
}
