//! A door, `sdht serve`, in a process of its own.

use crate::{
    command::{Home, interrupt},
    http::{Call, Connection, Reply},
};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::Child,
    thread,
};

/// A door that is open until it is dropped.
#[derive(Debug)]
pub struct Door {
    child: Option<Child>,
    address: SocketAddr,
}

impl Door {
    /// Opens one to the ring that this storage is part of.
    pub fn open(home: &Home, storage: &str, flags: &[&str]) -> Self {
        let mut serve = vec!["serve", "-p", "0", "--ring", storage];
        serve.extend(flags);
        let mut child = home.begin(&serve);
        let mut said = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        while !line.contains("listening on http://") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the door did not open");
        }
        let place = line.split("http://").nth(1).unwrap().trim_end().trim_end_matches('/');
        let address = place.parse().unwrap();
        // What it says later is read, so that it never waits for us.
        thread::spawn(move || said.lines().for_each(drop));
        Self { child: Some(child), address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same with a place, for those who speak HTTP by themselves.
    pub fn at(&self, place: &str) -> String {
        format!("http://{}{place}", self.address)
    }

    /// One request on a connection of its own.
    pub fn call(&self, call: &Call) -> Reply {
        Connection::open(self.address).unwrap().call(call).unwrap()
    }

    /// Closes it by Ctrl-C, and says with which code it ended.
    pub fn close(mut self) -> i32 {
        interrupt(self.child.take().expect("it is open")).code
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
