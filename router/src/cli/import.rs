//! `sdht import`: an archive's values into a ring of any size.

use super::{
    Ended,
    archive::{About, NoArchive, Reader},
    console::Console,
    fail::Fail,
    progress::Line,
};
use clap::Args;
use futures_util::{StreamExt, stream};
use minor_protocol::{Expect, Key, Operation, Wish};
use sdht::{NotSet, Ring};
use serde_json::json;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    thread,
};
use tokio::sync::mpsc;

/// Set every value of an archive; what the ring has under the same keys is replaced.
///
/// A stream that is cut off or damaged is said to be so; what came before that is in the ring, and the same again does no
/// harm.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht import -f backup.sdht
  zstd -dc backup.sdht.zst | sdht import
  sdht export --ring 10.0.0.1:8000 | sdht import --ring 10.9.0.1:8000")]
pub(crate) struct Import {
    /// Read this file instead of standard input.
    #[arg(short, long)]
    file: Option<PathBuf>,
}

/// Values set at the same time.
const AT_ONCE: usize = 64;

impl Import {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        let mut values = read(self.file.as_deref())?;
        let values = stream::poll_fn(move |cx| values.poll_recv(cx));
        let mut set = values.map(|value| set(ring.clone(), value)).buffer_unordered(AT_ONCE);
        let (mut line, mut keys, mut bytes) = (Line::new(console, "import"), 0_u64, 0);
        while let Some(outcome) = set.next().await {
            match outcome {
                Ok(length) => {
                    keys += 1;
                    bytes += length;
                    line.show(format_args!("{keys} keys, {}", indicatif::BinaryBytes(bytes)));
                }
                Err(why) => {
                    let what = format!("{} ({keys} keys were set before that)", why.what);
                    let next = why.next.or(Some("The same again does no harm.".into()));
                    return Err(Fail { code: why.code, what, next });
                }
            }
        }
        line.end();
        if console.json {
            return console.object(json!({ "keys": keys, "bytes": bytes }));
        }
        console.print(format_args!("{keys} keys, {}", indicatif::BinaryBytes(bytes)))
    }
}

type Taken = Result<(About, Vec<u8>), NoArchive>;

/// Reads on a thread that may wait, a few values ahead.
fn read(file: Option<&Path>) -> Result<mpsc::Receiver<Taken>, Fail> {
    let from: Box<dyn Read + Send> = match file {
        Some(path) => Box::new(
            File::open(path).map_err(|why| Fail::other(format!("{}: {why}", path.display())))?,
        ),
        None => Box::new(io::stdin()),
    };
    let (send, values) = mpsc::channel(AT_ONCE);
    thread::spawn(move || {
        let mut reader = match Reader::new(BufReader::new(from)) {
            Ok(reader) => reader,
            Err(why) => return drop(send.blocking_send(Err(why))),
        };
        while let Some(value) = reader.next().transpose() {
            let is_last = value.is_err();
            if send.blocking_send(value).is_err() || is_last {
                return;
            }
        }
    });
    Ok(values)
}

async fn set(ring: Ring, value: Taken) -> Result<u64, Fail> {
    let (About { key, content_type, expires_ms, length }, value) =
        value.map_err(|why| Fail::other(why.to_string()))?;
    let key = Key::new(key).map_err(NotSet::from)?;
    let wish = Wish::Set { content_type, expires_ms, value };
    ring.change(key, Operation { expect: Expect::Anything, wish }).await?;
    Ok(length)
}
