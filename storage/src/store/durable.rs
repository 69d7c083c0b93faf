//! Small files that a power cut finds whole or not at all.
//!
//! A file's bytes are safe once the file is synced; its *name* only once its directory is. So: write under another name,
//! sync, rename, sync the directory. Removing has the same second half.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// What a file is called until it is whole. Such a file left behind means nothing and may be overwritten.
pub(super) const UNFINISHED: &str = ".unfinished";

/// Puts `bytes` under `name` in `dir`, in place of what was there.
pub(super) fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = dir.join(format!("{name}{UNFINISHED}"));
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, dir.join(name))?;
    sync(dir)
}

/// Removes `name` from `dir`; it is well if it was not there.
pub(super) fn remove(dir: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(dir.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync(dir),
    }
}

/// Syncs a file, or the names in a directory.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Syncs the names beside a file or directory, and so its own.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))
}
