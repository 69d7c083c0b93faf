//! The witness: a number kept outside the engine, to notice when the engine's own files hold less than they once did.
//!
//! Groups of puts are numbered, and the engine keeps the number of its last group inside, in the same log as the puts. After
//! a group is durable the witness writes that number into a file of its own. So the engine's number can be ahead of the
//! witness (the process died between the two, or power was lost: the witness is never synced) but never behind. If it is
//! behind, the log was cut short: a half-copied directory, a truncated file, an engine that dropped the end of its log.
//!
//! Two slots take turns. They lie side by side in one sector, so a write torn at any one point leaves one of them whole.

use super::{Fault, durable};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

const NAME: &str = "witness";
const SLOT: usize = 16;

/// Writes down how far a store has come.
#[derive(Debug)]
pub(super) struct Witness(File);

impl Witness {
    /// Hears the witness in `dir` about an engine that says it has come to `number`. A new store gets a new witness; one
    /// that has come further than nought and has no witness, or none that can be read, was not copied whole.
    pub(super) fn hear(dir: &Path, number: u64) -> Result<Self, Fault> {
        let failed =
            |error: io::Error| Fault::Disk { doing: "reading the witness", why: error.to_string() };
        match fs::read(dir.join(NAME)) {
            Ok(file) => judge(&file, number)?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Err(_) if number > 0 => return Err(damage("its witness is missing")),
            Err(_) => {
                let slots = [slot(0), slot(0)].concat();
                durable::write(dir, NAME, &slots).map_err(failed)?;
            }
        }
        OpenOptions::new().write(true).open(dir.join(NAME)).map(Self).map_err(failed)
    }

    /// Writes down that the engine has come to `number`, durably. One small write, not synced: an older witness says less, not wrong.
    pub(super) fn write(&self, number: u64) -> io::Result<()> {
        self.0.write_all_at(&slot(number), number % 2 * SLOT as u64)
    }
}

fn judge(file: &[u8], number: u64) -> Result<(), Fault> {
    match file.chunks(SLOT).filter_map(read).max() {
        None => Err(damage("its witness cannot be read")),
        Some(seen) if number < seen => {
            Err(damage(&format!("it ends at group {number}, and group {seen} was durable")))
        }
        Some(_) => Ok(()),
    }
}

fn damage(how: &str) -> Fault {
    Fault::Damage { what: format!("the directory holds less than was once acknowledged: {how}") }
}

fn slot(number: u64) -> [u8; SLOT] {
    let number = number.to_le_bytes();
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(&number);
    slot[8..12].copy_from_slice(&crc32fast::hash(&number).to_le_bytes());
    slot
}

/// The number in a slot, if the slot is exactly as it was written.
fn read(bytes: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(*bytes.first_chunk()?);
    (bytes == slot(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_may_be_ahead_of_its_witness_but_never_behind() {
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::hear(dir.path(), 0).unwrap();
        for number in 1..5 {
            witness.write(number).unwrap();
            Witness::hear(dir.path(), number).unwrap();
            Witness::hear(dir.path(), number + 1).unwrap();
            assert!(matches!(Witness::hear(dir.path(), number - 1), Err(Fault::Damage { .. })));
        }
    }

    #[test]
    fn a_write_torn_anywhere_leaves_the_number_before_it() {
        let before = [slot(8), slot(7)].concat();
        let after = [slot(8), slot(9)].concat();
        for torn in 0..=before.len() {
            let file = [&after[..torn], &before[torn..]].concat();
            judge(&file, 9).unwrap();
            judge(&file, 7).unwrap_err();
        }
    }

    #[test]
    fn data_without_a_readable_witness_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Witness::hear(dir.path(), 1), Err(Fault::Damage { .. })));
        fs::write(dir.path().join(NAME), [0; 2 * SLOT]).unwrap();
        assert!(matches!(Witness::hear(dir.path(), 1), Err(Fault::Damage { .. })));
        fs::write(dir.path().join(NAME), []).unwrap();
        assert!(matches!(Witness::hear(dir.path(), 1), Err(Fault::Damage { .. })));
    }
}
