//! The data directory: one storage's own, claimed by a lock, and never taken for one when it is something else.
//!
//! ```text
//! lock      held by the process that serves; in it, that process's id
//! format    `minor-storage 1`
//! store/    the engine's files, see `store::sled`
//! store.damaged-20260131T235959Z/    what was set aside then, because it could not be trusted
//! ```
//!
//! Nothing is ever deleted here: a damaged store is set aside, and only an operator removes it.

use super::{
    Fault,
    durable::{self, UNFINISHED},
    sled::{Options, SledStore},
};
use jiff::Timestamp;
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

const FORMAT: &str = "minor-storage 1\n";
const ASIDE: &str = "store.damaged-";

/// Why a directory cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Another process serves from it.
    #[error("the data directory {} is in use by {holder}: stop that process, or name another directory", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, as far as that can be told.
        holder: String,
    },
    /// It was written by a version we do not know.
    #[error("the data directory {} has the format {found:?}, and this version knows only {FORMAT:?}: use the version that wrote it", dir.display())]
    UnknownFormat {
        /// The directory.
        dir: PathBuf,
        /// What its `format` file says.
        found: String,
    },
    /// It has other things in it.
    #[error("{} is no data directory: it holds {found:?} but no file `format`; name an empty or a new directory", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One of the things in it.
        found: PathBuf,
    },
    /// We may not write there.
    #[error("the data directory {} cannot be written: {why}; give this user the right to, or mount it for writing", dir.display())]
    ReadOnly {
        /// The directory.
        dir: PathBuf,
        /// The system's own words.
        why: io::Error,
    },
    /// It cannot be made or read.
    #[error("{doing} {} failed: {why}; its parent must exist, and it must be a directory this user can read", path.display())]
    Unreachable {
        /// What we did.
        doing: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The system's own words.
        why: io::Error,
    },
}

/// A data directory that is ours for as long as this value lives.
#[derive(Debug)]
pub struct Directory {
    dir: PathBuf,
    /// The lock ends with it, however the process ends.
    lock: File,
}

/// What lies in a directory before we claim it.
enum Found {
    Nothing,
    OurFormat,
}

impl Directory {
    /// Claims a directory for this process; makes it if only its last part is missing.
    pub fn claim(dir: &Path) -> Result<Self, Unusable> {
        let made =
            DirBuilder::new().mode(0o700).create(dir).and_then(|()| durable::sync_parent(dir));
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused(dir, "making the directory", dir)(error));
            }
            _ => {}
        }
        // Looked at before anything is written: what is not ours is left as it was.
        let found = look(dir)?;
        let lock = lock(dir)?;
        if let Found::Nothing = found {
            durable::write(dir, "format", FORMAT.as_bytes()).map_err(refused(
                dir,
                "writing",
                &dir.join("format"),
            ))?;
        }
        Ok(Self { dir: dir.to_owned(), lock })
    }

    /// Opens the store in this directory, or makes a new one.
    pub fn open_store(&self, options: Options) -> Result<SledStore, Fault> {
        SledStore::open(&self.store(), options)
    }

    /// Puts the store aside, unopened and whole, under a name that says when; the next to open finds none. A file `why` in it says why.
    pub fn set_aside(&self, why: &str, now: Timestamp) -> io::Result<PathBuf> {
        let name = format!("{ASIDE}{}", now.strftime("%Y%m%dT%H%M%SZ"));
        let names =
            (1..).map(|count| if count == 1 { name.clone() } else { format!("{name}-{count}") });
        let mut places = names.map(|name| self.dir.join(name));
        let aside = places.find(|place| !place.exists()).expect("there is always another number");
        fs::rename(self.store(), &aside)?;
        durable::sync(&self.dir)?;
        // A note for people. If the disk is too ill to take it, the log has the reason too.
        let _ = fs::write(aside.join("why"), format!("{why}\n"));
        Ok(aside)
    }

    /// What was set aside here and not yet removed, oldest first.
    pub fn set_aside_found(&self) -> Vec<PathBuf> {
        let inside = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let is_aside = |name: &OsStr| name.as_encoded_bytes().starts_with(ASIDE.as_bytes());
        let mut aside: Vec<_> = inside
            .filter(|inside| is_aside(&inside.file_name()))
            .map(|inside| inside.path())
            .collect();
        aside.sort();
        aside
    }

    fn store(&self) -> PathBuf {
        self.dir.join("store")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Not left to the descriptor: a process being forked just now has it too, and would hold the lock on.
        let _ = self.lock.unlock();
    }
}

fn look(dir: &Path) -> Result<Found, Unusable> {
    let format = dir.join("format");
    match fs::read(&format) {
        Ok(found) if found == FORMAT.as_bytes() => return Ok(Found::OurFormat),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found[..found.len().min(64)]).into_owned();
            return Err(Unusable::UnknownFormat { dir: dir.to_owned(), found });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(unreachable("reading", &format)(error));
        }
        Err(_) => {}
    }
    // What a first start leaves that was cut short, and what a file system puts into its own root.
    let unfinished = format!("format{UNFINISHED}");
    let harmless = ["lock", &unfinished, "lost+found"];
    for inside in fs::read_dir(dir).map_err(unreachable("reading", dir))? {
        let name = inside.map_err(unreachable("reading", dir))?.file_name();
        if !harmless.iter().any(|harmless| name == *harmless) {
            return Err(Unusable::Foreign { dir: dir.to_owned(), found: name.into() });
        }
    }
    Ok(Found::Nothing)
}

fn lock(dir: &Path) -> Result<File, Unusable> {
    let path = dir.join("lock");
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut lock = open.map_err(refused(dir, "opening", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Unusable::InUse { dir: dir.to_owned(), holder: holder(&lock) });
        }
        Err(TryLockError::Error(error)) => return Err(unreachable("locking", &path)(error)),
    }
    lock.set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(refused(dir, "writing", &path))?;
    Ok(lock)
}

/// Who holds a lock, by what the lock file says. The lock itself does not depend on it.
fn holder(lock: &File) -> String {
    let pid = io::read_to_string(lock).ok().and_then(|text| text.trim().parse::<u32>().ok());
    pid.map_or("another process".into(), |pid| format!("process {pid}"))
}

/// An error of writing in `dir`: the two ways not to be allowed to are told apart from the rest.
fn refused(dir: &Path, doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Unusable {
    move |why| match why.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            Unusable::ReadOnly { dir: dir.to_owned(), why }
        }
        _ => unreachable(doing, path)(why),
    }
}

fn unreachable(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Unusable {
    move |why| Unusable::Unreachable { doing, path: path.to_owned(), why }
}
