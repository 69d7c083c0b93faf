//! A farewell: what a store that was closed leaves for the next to open it, in a file of its own beside the engine's.
//!
//! `crc32 ‖ bytes`, so a farewell that rotted is not taken for one that disagrees.

use super::{Farewell, durable};
use std::{fs, io, path::Path};

const NAME: &str = "farewell";

/// Leaves a farewell in `dir`, durably.
pub(super) fn leave(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    durable::write(dir, NAME, &[&crc32fast::hash(bytes).to_le_bytes(), bytes].concat())
}

/// Reads the farewell in `dir`. One that is there but cannot be read is `Unreadable`, whatever the reason.
pub(super) fn read(dir: &Path) -> Farewell {
    let file = match fs::read(dir.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Farewell::None,
        Err(_) => return Farewell::Unreadable,
    };
    match file.split_first_chunk() {
        Some((crc, bytes)) if crc32fast::hash(bytes) == u32::from_le_bytes(*crc) => {
            Farewell::Left(bytes.to_vec())
        }
        _ => Farewell::Unreadable,
    }
}

/// Removes the farewell from `dir`, durably.
pub(super) fn forget(dir: &Path) -> io::Result<()> {
    durable::remove(dir, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farewell_that_rotted_is_unreadable_not_different() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), Farewell::None);
        leave(dir.path(), b"all is well").unwrap();
        assert_eq!(read(dir.path()), Farewell::Left(b"all is well".to_vec()));

        let whole = fs::read(dir.path().join(NAME)).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut rotten = whole.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            fs::write(dir.path().join(NAME), rotten).unwrap();
            assert_eq!(read(dir.path()), Farewell::Unreadable);
        }
        fs::write(dir.path().join(NAME), &whole[..3]).unwrap();
        assert_eq!(read(dir.path()), Farewell::Unreadable);

        forget(dir.path()).unwrap();
        forget(dir.path()).unwrap();
        assert_eq!(read(dir.path()), Farewell::None);
    }
}
