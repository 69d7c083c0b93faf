//! What the tests of the door's page begin with.

use sdht_tests::{
    command::Home,
    door::Door,
    process::{self, Process},
};
use tempfile::TempDir;

/// A ring, a door to it, and a storage that is in no ring yet.
pub(crate) struct Scene {
    pub(crate) door: Door,
    pub(crate) storages: Vec<(TempDir, Process)>,
    outside: (TempDir, Process),
    pub(crate) home: Home,
}

/// So many storages and keys, and a door with these flags.
pub(crate) fn scene(storages: usize, keys: usize, flags: &[&str]) -> Scene {
    let storages: Vec<(TempDir, Process)> = (0..storages).map(|_| process::fresh()).collect();
    let home = Home::default();
    let addresses: Vec<String> = storages.iter().map(|s| s.1.address().to_string()).collect();
    let mut join = vec!["join"];
    join.extend(addresses.iter().map(String::as_str));
    home.ends(0, &join);
    if keys > 0 {
        home.ends(0, &["load", &keys.to_string(), "--value-size", "2000", "--seed", "7"]);
    }
    let door = Door::open(&home, &[&["--ring", &addresses[0]], flags].concat());
    Scene { door, storages, outside: process::fresh(), home }
}

impl Scene {
    /// Where a storage of the ring listens.
    pub(crate) fn address(&self, storage: usize) -> String {
        self.storages[storage].1.address().to_string()
    }

    /// Where the one listens that is in no ring.
    pub(crate) fn newcomer(&self) -> String {
        self.outside.1.address().to_string()
    }
}
