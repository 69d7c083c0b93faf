//! `sdht pull`: keys as the files of a directory.

use super::{Ease, Ended, console::Console, fail::Fail, progress::Line, tree, whole::Whole};
use clap::Args;
use futures_util::{StreamExt, stream};
use sdht::{Ring, pace::Pace};
use serde_json::json;
use std::{
    cell::Cell,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Write the keys below a prefix to files of a directory, as 'sdht push' took them from there.
///
/// Files of the same names are replaced, each when it has come as a whole; others are left as they are. If one key would be a
/// file outside of the directory, nothing is written at all.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht pull photos --prefix photos
  sdht pull /srv/restored --prefix backup/monday --max-rate 10MiB
  sdht pull site --json")]
pub(crate) struct Pull {
    /// The directory; it is made where there is none.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Only keys that begin with this and a slash; files are named by the rest.
    #[arg(long, default_value = "", value_name = "PREFIX")]
    prefix: String,

    #[command(flatten)]
    ease: Ease,
}

impl Pull {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        let prefix = tree::folder(&self.prefix);
        let (mut names, mut keys) = (vec![], ring.keys(&prefix));
        while let Some(key) = keys.next().await {
            let key = key?;
            let name = key.as_str().strip_prefix(&*prefix).unwrap_or_default();
            if !tree::is_path_within(name) {
                return Err(Fail::other(format!("key '{key}' can be no file within a directory"))
                    .next("Nothing was written. Name the keys you want with --prefix."));
            }
            names.push(name.to_owned());
        }
        fs::create_dir_all(&self.dir).map_err(|why| Fail::file(&self.dir, why))?;
        let come = Come { bytes: Cell::new(0), pace: self.ease.pace() };
        let pull = |(n, name): (usize, &String)| {
            let unfinished = self.dir.join(format!(".sdht-pull-{}-{n}", std::process::id()));
            pull(&ring, format!("{prefix}{name}"), &self.dir, name.clone(), unfinished, &come)
        };
        let all = stream::iter(names.iter().enumerate());
        let mut pulled = all.map(pull).buffer_unordered(tree::AT_ONCE);
        let (mut line, mut files) = (Line::new(console, "pull"), 0_u64);
        loop {
            match tokio::time::timeout(tree::LOOK, pulled.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(there))) => files += u64::from(there),
                Ok(Some(Err(why))) => {
                    return Err(why.after(format_args!("{files} files had come over")));
                }
                // A long value is under way.
                Err(_) => {}
            }
            line.show(tree::so_far(files, come.bytes.get()));
        }
        drop(line);
        if console.json {
            return console.object(json!({ "files": files, "bytes": come.bytes.get() }));
        }
        console.print(tree::so_far(files, come.bytes.get()))
    }
}

/// What has come so far, and how fast more may.
struct Come {
    bytes: Cell<u64>,
    pace: Pace,
}

/// Writes a value to its file, and says whether there was one.
async fn pull(
    ring: &Ring,
    key: String,
    dir: &Path,
    name: String,
    unfinished: PathBuf,
    come: &Come,
) -> Result<bool, Fail> {
    // What has gone since it was listed is gone.
    let Some(mut object) = ring.get_stream(&key, ..).await? else { return Ok(false) };
    let path = dir.join(&name);
    let failed = |why: io::Error| Fail::file(&path, why);
    let file = Whole::named_later(unfinished, path.clone()).map_err(failed)?;
    while let Some(bytes) = object.next().await {
        let bytes = bytes?;
        (&file).write_all(&bytes).map_err(failed)?;
        come.pace.spend(bytes.len()).await;
        come.bytes.set(come.bytes.get() + bytes.len() as u64);
    }
    make_way(dir, &name)?;
    file.end().map_err(failed)?;
    Ok(true)
}

/// Makes the directories a file is in; what is no directory is not replaced, and a link is not followed.
fn make_way(dir: &Path, name: &str) -> Result<(), Fail> {
    let mut way = dir.to_owned();
    let parts: Vec<&str> = name.split('/').collect();
    for part in &parts[..parts.len() - 1] {
        way.push(part);
        match fs::symlink_metadata(&way) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => return Err(Fail::file(&way, "is no directory")),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&way).map_err(|why| Fail::file(&way, why))?;
            }
            Err(why) => return Err(Fail::file(&way, why)),
        }
    }
    Ok(())
}
