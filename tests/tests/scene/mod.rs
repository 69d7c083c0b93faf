//! What the tests of the door's page begin with.

use sdht_tests::{
    command::Home,
    door::Door,
    process,
    rings::{Storage, address, ring_of},
};

/// A ring, a door to it, and a storage that is in no ring yet.
pub(crate) struct Scene {
    pub(crate) door: Door,
    pub(crate) storages: Vec<Storage>,
    outside: Storage,
    pub(crate) home: Home,
}

/// So many storages and keys, and a door with these flags.
pub(crate) fn scene(storages: usize, keys: usize, flags: &[&str]) -> Scene {
    let (home, storages) = ring_of(storages);
    if keys > 0 {
        home.ends(0, &["load", &keys.to_string(), "--value-size", "2000", "--seed", "7"]);
    }
    let door = Door::open(&home, &[&["--ring", &address(&storages[0])], flags].concat());
    Scene { door, storages, outside: process::fresh(), home }
}

impl Scene {
    /// Where a storage of the ring listens.
    pub(crate) fn address(&self, storage: usize) -> String {
        address(&self.storages[storage])
    }

    /// Where the one listens that is in no ring.
    pub(crate) fn newcomer(&self) -> String {
        address(&self.outside)
    }
}
