//! A lab's folder: what is written down of it in `lab.json`, and who may change it now.

use super::{super::fail::Fail, storage::Storage};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lab {
    version: u32,
    /// Flags of every storage.
    pub(crate) flags: Vec<String>,
    pub(crate) storages: Vec<Storage>,
}

/// The folder, while nobody else may change it.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) dir: PathBuf,
    pub(crate) lab: Lab,
    /// Locked as long as it is open.
    _lock: File,
}

const VERSION: u32 = 1;
const FILE: &str = "lab.json";
const LOCK: &str = "lab.lock";

impl Lab {
    /// What is written in a folder; none if there is no lab.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, Fail> {
        let file = dir.join(FILE);
        let no = |why: &dyn std::fmt::Display| {
            let next = format!("Move {} away; the data beside it stays as it is.", file.display());
            Fail::file(&file, why).next(next)
        };
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(no(&why)),
        };
        let lab: Self = serde_json::from_slice(&text).map_err(|why| no(&why))?;
        match lab.version {
            VERSION => Ok(Some(lab)),
            other => Err(no(&format!("of version {other}, and this program reads {VERSION}"))),
        }
    }

    fn new(flags: Vec<String>) -> Self {
        Self { version: VERSION, flags, storages: vec![] }
    }
}

impl Folder {
    /// Opens a lab that must be there.
    pub(crate) fn open(dir: &Path) -> Result<Self, Fail> {
        if !dir.join(FILE).exists() {
            return Err(nothing_in(dir));
        }
        Self::open_or_make(dir, &[])
    }

    /// Opens a lab, or makes one.
    pub(crate) fn open_or_make(dir: &Path, flags: &[String]) -> Result<Self, Fail> {
        let no = |why: io::Error| Fail::file(dir, why);
        fs::create_dir_all(dir).map_err(no)?;
        let dir = fs::canonicalize(dir).map_err(no)?;
        let lock = File::create(dir.join(LOCK)).map_err(no)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let what = format!("another 'sdht lab' is at work in {}", dir.display());
            return Err(
                Fail::other(what).next("Wait for its end, or give this one a --dir of its own.")
            );
        }
        let lab = Lab::read(&dir)?.unwrap_or_else(|| Lab::new(flags.to_vec()));
        Ok(Self { dir, lab, _lock: lock })
    }

    /// Writes it down, as a whole or not at all.
    pub(crate) fn write(&self) -> Result<(), Fail> {
        let (file, new) = (self.dir.join(FILE), self.dir.join(".lab.json.new"));
        let text = serde_json::to_vec_pretty(&self.lab).map_err(io::Error::from)?;
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &file));
        written.map_err(|why| Fail::file(&file, why))
    }

    /// The storage on this port.
    pub(crate) fn storage(&mut self, port: u16) -> Result<&mut Storage, Fail> {
        let ports: Vec<String> = self.lab.storages.iter().map(|s| s.port.to_string()).collect();
        self.lab.storages.iter_mut().find(|storage| storage.port == port).ok_or_else(|| {
            Fail::usage(format!("no storage of this lab is on port {port}"))
                .next(format!("There are: {}.", ports.join(", ")))
        })
    }

    /// Removes all that a lab made, and the folder if nothing else is in it.
    pub(crate) fn destroy(self) -> Result<(), Fail> {
        let gone = |path: &Path, removed: io::Result<()>| match removed {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(Fail::file(path, why)),
            _ => Ok(()),
        };
        for storage in &self.lab.storages {
            let (data, log) = (storage.data(&self.dir), storage.log(&self.dir));
            gone(&data, fs::remove_dir_all(&data))?;
            gone(&log, fs::remove_file(&log))?;
        }
        // Last: as long as it is there, the same can be said again.
        for name in [FILE, LOCK] {
            let path = self.dir.join(name);
            gone(&path, fs::remove_file(&path))?;
        }
        // It stays if somebody has put something there.
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }
}

/// There is no lab there.
pub(crate) fn nothing_in(dir: &Path) -> Fail {
    Fail::new(super::super::fail::Code::NotFound, format!("there is no lab in {}", dir.display()))
        .next("'sdht lab up 4' makes one here; --dir DIR names another folder.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again_and_only_one_may_change_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open_or_make(dir.path(), &["--zone=z".into()]).unwrap();
        folder.lab.storages.push(Storage { port: 8_000, process: None });
        folder.write().unwrap();
        assert!(Folder::open(dir.path()).unwrap_err().what.contains("at work"));
        let lab = folder.lab.clone();
        drop(folder);
        assert_eq!(Folder::open(dir.path()).unwrap().lab, lab);
    }

    #[test]
    fn only_what_the_lab_made_is_destroyed() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open_or_make(dir.path(), &[]).unwrap();
        folder.lab.storages.push(Storage { port: 8_000, process: None });
        folder.write().unwrap();
        fs::create_dir(dir.path().join("8000")).unwrap();
        fs::write(dir.path().join("notes"), "mine").unwrap();
        folder.destroy().unwrap();
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(left, ["notes"]);
    }

    #[test]
    fn a_file_that_is_no_lab_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{}", r#"{"version":9,"flags":[],"storages":[]}"#] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert!(Folder::open(dir.path()).is_err(), "{text}");
            assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), text);
        }
        assert_eq!(
            Folder::open(&dir.path().join("nowhere")).unwrap_err().code,
            super::super::super::fail::Code::NotFound
        );
    }
}
