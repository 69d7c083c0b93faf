//! The ring used last, so that one command is one hop and no walk.
//!
//! It is a memory, not a truth: a storage that knows better says so when it is asked, and what was learned is written down at
//! the end. Where it cannot be written, nothing is lost but time.

use minor_protocol::{RingArc, RingId};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// What is remembered of a ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    version: u32,
    /// Its arcs as they were seen last.
    pub(crate) arcs: Vec<RingArc>,
}

const VERSION: u32 = 1;

impl Memory {
    /// Of arcs that were seen; none if there are none.
    pub(crate) fn of(arcs: Vec<RingArc>) -> Option<Self> {
        (!arcs.is_empty()).then_some(Self { version: VERSION, arcs })
    }

    /// What is written there, if it makes sense.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let written = fs::read(path).ok()?;
        let memory = Self::in_bytes(&written);
        if memory.is_none() {
            log::warn!("{} is damaged: no ring is remembered", path.display());
        }
        memory
    }

    fn in_bytes(written: &[u8]) -> Option<Self> {
        let memory: Self = serde_json::from_slice(written).ok()?;
        let ring = memory.arcs.first()?.ring;
        let fits = memory.version == VERSION
            && memory.arcs.iter().all(|arc| arc.ring == ring && arc.check().is_ok());
        fits.then_some(memory)
    }

    /// Writes it down, as a whole or not at all, for its owner's eyes.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::create_dir_all(dir)?;
        let new = dir.join(format!(".ring.{}", std::process::id()));
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
        let mut file = fs::File::from(rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(&new, path)
    }

    /// Which ring it is.
    pub(crate) fn ring(&self) -> RingId {
        self.arcs[0].ring
    }

    /// Everybody who was in it.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = vec![];
        for member in self.arcs.iter().flat_map(|arc| &arc.members) {
            if !addresses.contains(&member.address) {
                addresses.push(member.address.clone());
            }
        }
        addresses
    }
}
