//! Two places where one story can be told: a simulated world, and real processes on this machine.

use minor_protocol::Position;
use minor_storage::store::{Store, Tree};
use sdht::transport::{Transport, http::HttpTransport};
use sdht_tests::{
    http::Call,
    process::{self, Process},
    simulation::world::{Faults, SimulatedTransport, World},
};
use std::{cell::RefCell, rc::Rc};
use tempfile::TempDir;

/// Where a story takes place.
pub(crate) trait Place {
    /// How storages are reached there.
    type Way: Transport;
    /// A way of its own for one router.
    fn way(&self) -> Self::Way;
    /// Where a storage listens.
    fn address(&self, storage: usize) -> String;
    /// It dies at once.
    fn kill(&self, storage: usize);
    /// It comes back with the disk it had.
    fn start(&self, storage: usize);
    /// From now on every message comes.
    fn calm(&self);
    /// The places of all keys it keeps.
    fn keeps(&self, storage: usize) -> Vec<Position>;
}

/// Storages on simulated disks.
pub(crate) struct Simulated(pub(crate) Rc<World>);

impl Place for Simulated {
    type Way = SimulatedTransport;
    fn way(&self) -> SimulatedTransport {
        self.0.transport(0)
    }
    fn address(&self, storage: usize) -> String {
        self.0.address(storage)
    }
    fn kill(&self, storage: usize) {
        self.0.crash(storage);
    }
    fn start(&self, storage: usize) {
        self.0.start(storage);
    }
    fn calm(&self) {
        self.0.set_faults(Faults::default());
    }
    fn keeps(&self, storage: usize) -> Vec<Position> {
        let rows = self.0.disk(storage).scan(Tree::Records, &[], 100_000).unwrap();
        let place = |row: &[u8]| Position(u64::from_be_bytes(*row.first_chunk().unwrap()));
        rows.iter().map(|(row, _)| place(row)).collect()
    }
}

/// Storages in processes of their own.
pub(crate) struct Real(pub(crate) RefCell<Vec<(TempDir, Process)>>);

impl Place for Real {
    type Way = HttpTransport;
    fn way(&self) -> HttpTransport {
        HttpTransport::new(None)
    }
    fn address(&self, storage: usize) -> String {
        self.0.borrow()[storage].1.address().to_string()
    }
    fn kill(&self, storage: usize) {
        self.0.borrow_mut()[storage].1.kill9();
    }
    fn start(&self, storage: usize) {
        let (dir, process) = &mut self.0.borrow_mut()[storage];
        if !process.has_ended() {
            return;
        }
        let port = process.address().port();
        *process = process::Launch::on(&dir.path().join("data")).at_port(port).serve();
    }
    fn calm(&self) {}
    fn keeps(&self, storage: usize) -> Vec<Position> {
        let listed = self.0.borrow()[storage].1.call(&Call::get("/v1/kv?limit=100000")).text();
        let key = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            Position::of(line["key"].as_str().unwrap())
        };
        listed.lines().map(key).collect()
    }
}
