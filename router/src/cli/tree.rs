//! A directory and keys: which file belongs to which key.
//!
//! ```text
//!   photos/2026/cat.jpg    in the directory photos, with the prefix 'backup', is the key   backup/2026/cat.jpg
//! ```

use super::fail::Fail;
use indicatif::BinaryBytes;
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Files under way at the same time.
pub(super) const AT_ONCE: usize = 8;
/// How often it is shown how far a long file has come.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// A file of the directory.
pub(super) struct File {
    pub(super) path: PathBuf,
    /// The path from the directory on, with slashes.
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// What is in a directory.
pub(super) struct Found {
    /// In the order of their names.
    pub(super) files: Vec<File>,
    /// What is neither a file nor a directory; symbolic links above all.
    pub(super) others: Vec<PathBuf>,
}

/// Everything in a directory and in those within it.
pub(super) fn files(dir: &Path) -> Result<Found, Fail> {
    let mut found = Found { files: vec![], others: vec![] };
    let mut waiting = vec![(dir.to_owned(), String::new())];
    while let Some((dir, above)) = waiting.pop() {
        let no = |why: io::Error| Fail::file(&dir, why);
        for there in fs::read_dir(&dir).map_err(no)? {
            let there = there.map_err(no)?;
            let (path, about) = (there.path(), there.metadata().map_err(no)?);
            let Ok(name) = there.file_name().into_string() else {
                return Err(Fail::file(&path, "a key is UTF-8"));
            };
            let name = format!("{above}{name}");
            if about.is_dir() {
                waiting.push((path, format!("{name}/")));
            } else if about.is_file() {
                found.files.push(File { path, name, bytes: about.len() });
            } else {
                found.others.push(path);
            }
        }
    }
    found.files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// A prefix as keys begin with it: as a directory, or as nothing.
pub(super) fn folder(prefix: &str) -> String {
    if prefix.is_empty() || prefix.ends_with('/') { prefix.into() } else { format!("{prefix}/") }
}

/// Whether a name leads from a directory to one file within it, and by one way only.
pub(super) fn is_path_within(name: &str) -> bool {
    name.split('/').all(|part| !["", ".", ".."].contains(&part) && !part.contains('\0'))
}

/// How far it has come.
pub(super) fn so_far(files: u64, bytes: u64) -> impl fmt::Display {
    format!("{files} files, {}", BinaryBytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_directory() {
        for within in ["a", "a/b", ".hidden", "..a/b..", "a/...", "a b/c\\d"] {
            assert!(is_path_within(within), "{within}");
        }
        for without in ["", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", "./a", "a\0"] {
            assert!(!is_path_within(without), "{without}");
        }
    }
}
