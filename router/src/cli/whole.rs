//! A file that gets its name when it is whole: until then, what is there under the name stays, and what breaks off is removed.
//! Where the directory does not allow a second file, the one that is there is written to in place.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
    thread,
};
use tokio::sync::oneshot;

/// The file, on its way.
pub(super) struct Whole {
    file: File,
    /// What it is called until then, and what it is called from then on; where it is no plain file, it has its name already.
    names: Option<[PathBuf; 2]>,
}

impl Whole {
    /// What a person named: behind a link it is what the link leads to, and where that is no plain file, a pipe or a device, it
    /// is written to as it stands.
    pub(super) async fn at(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        // A pipe opens when somebody reads it: on a thread that nobody waits for when it is given up.
        let (tell, told) = oneshot::channel();
        thread::spawn(move || drop(tell.send(Self::open(&path))));
        told.await.map_err(io::Error::other)?
    }

    fn open(path: &Path) -> io::Result<Self> {
        if let Some(file) = standard_output(path)? {
            return Ok(Self { file, names: None });
        }
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Ok(Self { file: File::options().write(true).open(path)?, names: None });
        }
        let path = behind_links(path);
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(format!(".unfinished-{}", std::process::id()));
        Self::named_later(unfinished.into(), path.clone()).or_else(|why| {
            // Where no second file may be made, or no longer name, the one that is there is written to as it stands.
            use io::ErrorKind::{InvalidFilename, PermissionDenied, ReadOnlyFilesystem};
            let is_forbidden =
                matches!(why.kind(), InvalidFilename | PermissionDenied | ReadOnlyFilesystem);
            let in_place =
                || File::options().write(true).truncate(true).open(&path).map_err(|_| ());
            match is_forbidden.then(in_place) {
                Some(Ok(file)) => Ok(Self { file, names: None }),
                _ => Err(why),
            }
        })
    }

    /// A plain file that is called `unfinished` until it is whole, and then takes the place of whatever has its name.
    pub(super) fn named_later(unfinished: PathBuf, name: PathBuf) -> io::Result<Self> {
        // One of this name is left of a process of the same number that was killed; or it is a link that somebody laid.
        let _ = fs::remove_file(&unfinished);
        let file = File::create_new(&unfinished)?;
        let whole = Self { file, names: Some([unfinished, name.clone()]) };
        if let Ok(there) = fs::symlink_metadata(name)
            && there.is_file()
        {
            // Whose it was it stays, if we may give it away; and whoever could not read what was there cannot read what comes.
            let _ = fchown(&whole.file, Some(there.uid()), Some(there.gid()));
            let mode = Permissions::from_mode(there.mode() & 0o777);
            whole.file.set_permissions(mode)?;
        }
        Ok(whole)
    }

    /// All has come: it gets its name.
    pub(super) fn end(mut self) -> io::Result<()> {
        if let Some([unfinished, name]) = &self.names {
            fs::rename(unfinished, name)?;
            self.names = None;
        }
        Ok(())
    }

    /// The same, once the disk has it: the old file goes, and a power cut must not take the new one.
    pub(super) fn end_on_disk(self) -> io::Result<()> {
        if self.file.metadata()?.is_file() {
            self.file.sync_all()?;
        }
        self.end()
    }
}

impl Write for &Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.file).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.file).flush()
    }
}

/// What is not whole goes.
impl Drop for Whole {
    fn drop(&mut self) {
        if let Some([unfinished, _]) = &self.names {
            // If it stays, its name says what it is.
            let _ = fs::remove_file(unfinished);
        }
    }
}

/// Standard output, if that is what the name stands for: opened anew, a file would lose what was printed to it before.
fn standard_output(path: &Path) -> io::Result<Option<File>> {
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let (Ok(named), about) = (fs::metadata(path), out.metadata()?) else { return Ok(None) };
    let is_out = (named.dev(), named.ino()) == (about.dev(), about.ino());
    Ok(is_out.then_some(out))
}

/// Where a link leads, also if there is nothing yet.
fn behind_links(path: &Path) -> PathBuf {
    let there = fs::canonicalize(path).or_else(|_| {
        let to = fs::read_link(path)?;
        io::Result::Ok(path.parent().unwrap_or(Path::new("")).join(to))
    });
    there.unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn written(path: &Path, text: &str) -> Whole {
        let whole = Whole::open(path).unwrap();
        (&whole).write_all(text.as_bytes()).unwrap();
        whole
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|there| there.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_breaks_off_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        drop(written(&path, "half"));
        assert!(names(dir.path()).is_empty());
        written(&path, "old").end().unwrap();
        drop(written(&path, "half"));
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), names(dir.path()).len()),
            ("old", 1)
        );
        written(&path, "new").end_on_disk().unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), names(dir.path()).len()),
            ("new", 1)
        );
    }

    #[test]
    fn who_could_not_read_the_old_file_cannot_read_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        written(&path, "new").end().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        symlink("file", &link).unwrap();
        for text in ["first", "second"] {
            written(&link, text).end().unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        }
    }

    #[test]
    fn what_a_killed_process_of_the_same_number_left_is_not_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let [precious, unfinished, name] =
            ["precious", "unfinished", "name"].map(|name| dir.path().join(name));
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, &unfinished).unwrap();
        let whole = Whole::named_later(unfinished, name).unwrap();
        (&whole).write_all(b"whole").unwrap();
        whole.end().unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(names(dir.path()), ["name", "precious"]);
    }
}
