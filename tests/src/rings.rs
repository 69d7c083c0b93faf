//! Rings of real storages: founded by a line that somebody types, or by a program.

use crate::{
    command::Home,
    process::{self, Launch, Process},
};
use sdht::blocking::Ring;
use std::fs;
use tempfile::TempDir;

/// A storage, and the directory it lives on.
pub type Storage = (TempDir, Process);

/// So many storages, none of them in a ring.
pub fn storages(count: usize) -> Vec<Storage> {
    (0..count).map(|_| process::fresh()).collect()
}

/// Where a storage listens, as it is typed.
pub fn address(storage: &Storage) -> String {
    storage.1.address().to_string()
}

/// Where these listen.
pub fn addresses(storages: &[Storage]) -> Vec<String> {
    storages.iter().map(address).collect()
}

/// Somebody at a ring of so many storages, all joined by one line.
pub fn ring_of(count: usize) -> (Home, Vec<Storage>) {
    let (home, storages) = (Home::default(), storages(count));
    let addresses = addresses(&storages);
    let line: Vec<&str> = ["join"].into_iter().chain(addresses.iter().map(|a| &**a)).collect();
    home.ends(0, &line);
    (home, storages)
}

/// A ring of this one alone, by a program.
pub fn found(storage: &Storage, copies: u8) -> Ring {
    Ring::found_by(sdht::Ring::builder().copies(copies), &address(storage)).unwrap()
}

/// A ring of all of these, by a program that joins one after another.
pub fn joined(storages: &[Storage], copies: u8) -> Ring {
    let ring = found(&storages[0], copies);
    for storage in &storages[1..] {
        ring.join(&address(storage)).finish().unwrap();
    }
    ring
}

/// The same storage on an empty disk, at the same port.
pub fn wiped(storage: &mut Storage) {
    storage.1.kill9();
    fs::remove_dir_all(storage.0.path().join("data")).unwrap();
    start_again(storage);
}

/// The same storage, at the same port.
pub fn start_again(storage: &mut Storage) {
    let (port, data) = (storage.1.address().port(), storage.0.path().join("data"));
    storage.1 = Launch::on(&data).at_port(port).serve();
}
