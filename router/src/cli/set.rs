//! `sdht set`: store text, a file, or standard input.

use super::{Ended, console::Console, fail::Fail, settings};
use clap::Args;
use futures_util::{StreamExt, future, stream};
use minor_protocol::{
    Ballot,
    limits::{CONTENT_TYPE_BYTES, VALUE_BYTES},
};
use sdht::{Expect, PutOptions, Stamp};
use serde_json::json;
use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tokio::sync::mpsc;

/// Store text, a file, or standard input.
///
/// It is done when a majority of the key's storages have it on disk. What is longer than 64 KiB is cut into pieces that spread
/// over the ring; until all of them are there, what was there before stays.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht set greeting hello
  sdht set photos/cat -f cat.jpg --content-type image/jpeg
  date | sdht set lock - --if-absent --ttl 30s")]
#[command(override_usage = "sdht set [OPTIONS] <KEY> <VALUE | -f FILE | ->")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["value", "file"]))]
pub(crate) struct Set {
    /// The key: 1 to 1,024 bytes.
    key: String,

    /// The text; a single - takes standard input.
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,

    /// Take the bytes of this file; - is standard input.
    #[arg(short, long)]
    file: Option<PathBuf>,

    /// Only if there is no value yet.
    #[arg(long, conflicts_with = "if_match")]
    if_absent: bool,

    /// Only if the value there is of this stamp ('sdht has' shows it).
    #[arg(long, value_name = "STAMP", value_parser = stamp)]
    if_match: Option<Stamp>,

    /// It counts as deleted after this time, as 30s, 12h or 7d.
    #[arg(long, value_name = "TIME", value_parser = settings::duration)]
    ttl: Option<Duration>,

    /// What the bytes are. [default: text/plain where they are UTF-8, else application/octet-stream]
    #[arg(short = 't', long, value_name = "TYPE", value_parser = content_type)]
    content_type: Option<String>,
}

/// What a head of HTTP can carry.
fn content_type(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match is_plain && (1..=CONTENT_TYPE_BYTES).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a content type is one line of ASCII, of at most {CONTENT_TYPE_BYTES} bytes"
        )),
    }
}

impl Set {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let source = self.source()?;
        let mut options = PutOptions::new().expect(match (self.if_absent, self.if_match) {
            (true, _) => Expect::Absent,
            (false, Some(stamp)) => Expect::Stamp(stamp),
            (false, None) => Expect::Anything,
        });
        if let Some(ttl) = self.ttl {
            options = options.time_to_live(ttl);
        }
        let ring = console.ring().await?;
        let mut pieces = read(source);
        let first = match pieces.recv().await {
            None => vec![],
            Some(piece) => piece.map_err(|why| Fail::other(format!("{}: {why}", self.from())))?,
        };
        let kind = self.content_type.as_deref().unwrap_or_else(|| kind_of(&first));
        options = options.content_type(kind);
        let stamp = if first.len() < PIECE {
            ring.put_with(&self.key, first, &options).await?
        } else {
            let rest = stream::poll_fn(move |cx| pieces.poll_recv(cx));
            let all = stream::once(future::ready(Ok(first))).chain(rest);
            ring.put_stream(&self.key, all, &options).await?
        };
        if console.json {
            return console.object(json!({ "key": self.key, "stamp": stamp.0.to_string() }));
        }
        console.print(stamp.0)
    }

    /// Where the bytes come from.
    fn source(&self) -> Result<Box<dyn Read + Send>, Fail> {
        Ok(match (&self.value, &self.file) {
            (Some(text), _) if text != "-" => Box::new(Cursor::new(text.clone())),
            _ => open(self.file.as_deref())?,
        })
    }

    /// The same for people.
    fn from(&self) -> String {
        named(self.file.as_deref())
    }
}

/// The file that was named, or standard input.
pub(super) fn open(file: Option<&Path>) -> Result<Box<dyn Read + Send>, Fail> {
    Ok(match file.filter(|path| *path != Path::new("-")) {
        Some(path) => Box::new(File::open(path).map_err(|why| Fail::file(path, why))?),
        None => Box::new(io::stdin()),
    })
}

/// The same for people.
pub(super) fn named(file: Option<&Path>) -> String {
    let file = file.filter(|path| *path != Path::new("-"));
    file.map_or_else(|| "standard input".into(), |path| path.display().to_string())
}

/// Bytes of a piece: one more than a record holds, so that a first piece that is full is a large object's.
const PIECE: usize = VALUE_BYTES + 1;

/// Reads on a thread that may wait, a few pieces ahead; all but the last are full.
pub(super) fn read(mut source: Box<dyn Read + Send>) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (send, pieces) = mpsc::channel(2);
    thread::spawn(move || {
        loop {
            let mut piece = vec![];
            let read = (&mut source).take(PIECE as u64).read_to_end(&mut piece).map(|_| piece);
            let is_last = read.as_ref().map_or(true, |piece| piece.len() < PIECE);
            if send.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
    pieces
}

fn kind_of(beginning: &[u8]) -> &'static str {
    // A letter may be cut in two at the end of a piece.
    let is_text = match std::str::from_utf8(beginning) {
        Ok(_) => true,
        Err(why) => why.error_len().is_none() && beginning.len() == PIECE,
    };
    if is_text { "text/plain; charset=utf-8" } else { "application/octet-stream" }
}

/// A stamp as it was shown, with or without the quotes of an ETag.
pub(crate) fn stamp(text: &str) -> Result<Stamp, String> {
    text.trim_matches('"').parse::<Ballot>().map(Stamp).map_err(|why| why.to_string())
}
