//! `sdht set`: store text, a file, or standard input.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    settings,
};
use clap::Args;
use minor_protocol::{Ballot, Expect, Key, Operation, Stamp, Wish};
use sdht::{NotSet, register::Changed};
use serde_json::json;
use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Store text, a file, or standard input.
///
/// It is done when a majority of the key's storages have it on disk.
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

    /// Take the bytes of this file.
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
    #[arg(short = 't', long, value_name = "TYPE")]
    content_type: Option<String>,
}

impl Set {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let key = Key::new(self.key.as_str()).map_err(NotSet::from)?;
        let value = self.bytes().await?;
        let bytes = value.len();
        let expect = match (self.if_absent, self.if_match) {
            (true, _) => Expect::Absent,
            (false, Some(stamp)) => Expect::Stamp(stamp),
            (false, None) => Expect::Anything,
        };
        let content_type = self.content_type.clone().unwrap_or_else(|| kind_of(&value).into());
        let wish = Wish::Set { content_type, expires_ms: self.ttl.map(expiry), value };
        let ring = console.ring().await?;
        match ring.change(key.clone(), Operation { expect, wish }).await? {
            Changed::Done(stamp) if console.json => console.object(json!({
                "key": key, "stamp": stamp.0.to_string(), "bytes": bytes
            })),
            Changed::Done(stamp) => console.print(stamp.0),
            Changed::NotMet(found) => Err(NotSet::NotMet { key, found }.into()),
            Changed::Kept => unreachable!("a value that is set is never kept as it was"),
        }
    }

    async fn bytes(&self) -> Result<Vec<u8>, Fail> {
        match (&self.value, &self.file) {
            (Some(text), _) if text != "-" => Ok(text.clone().into_bytes()),
            (_, Some(path)) => fs::read(path)
                .map_err(|why| Fail::new(Code::Other, format!("{}: {why}", path.display()))),
            _ => standard_input().await,
        }
    }
}

/// All of standard input, on a thread that may wait for it.
async fn standard_input() -> Result<Vec<u8>, Fail> {
    let read = actix_rt::task::spawn_blocking(|| {
        let mut bytes = vec![];
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    });
    let read = read.await.map_err(|why| io::Error::other(why.to_string())).flatten();
    read.map_err(|why| Fail::other(format!("standard input: {why}")))
}

fn kind_of(bytes: &[u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    }
}

fn expiry(ttl: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + ttl).as_millis()).unwrap_or(u64::MAX)
}

/// A stamp as it was shown, with or without the quotes of an ETag.
pub(crate) fn stamp(text: &str) -> Result<Stamp, String> {
    text.trim_matches('"').parse::<Ballot>().map(Stamp).map_err(|why| why.to_string())
}
