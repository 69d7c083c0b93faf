//! `sdht get`: the bytes of a key, as they are.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    progress::Line,
    value,
    whole::Whole,
};
use clap::Args;
use indicatif::BinaryBytes;
use sdht::{Object, Ring, Value};
use std::{
    fmt,
    io::{self, IsTerminal, Write},
    ops::Bound,
    path::{Path, PathBuf},
};

/// Write the bytes of a key to standard output, or to a file.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht get greeting
  sdht get photos/cat -o cat.jpg
  sdht get films/one --range 0-1023 | file -
  sdht get config/limits --json")]
pub(crate) struct Get {
    /// The key.
    key: String,

    /// Write to this file, made whole under another name first where the directory allows it, so that what is there stays
    /// until all has come; - is standard output, even if that is a terminal and the bytes are no text.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Only these bytes, counted from 0: FIRST-LAST, FIRST- for the rest, -N for the last N.
    #[arg(long, value_name = "FIRST-LAST", value_parser = part, allow_hyphen_values = true)]
    range: Option<Part>,
}

/// Bytes of a part that go into one JSON object.
const JSON_BYTES: usize = 64 << 20;

/// A part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// From this byte on, up to that one if it is said.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(first, Some(last)) => write!(f, "{first}-{last}"),
            Self::From(first, None) => write!(f, "{first}-"),
            Self::Last(count) => write!(f, "-{count}"),
        }
    }
}

fn part(text: &str) -> Result<Part, String> {
    let why = || "a range reads FIRST-LAST, FIRST- or -N, counted from 0".to_owned();
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| digits).ok_or_else(why)
    };
    let (first, last) = text.split_once('-').ok_or_else(why)?;
    match (first, last) {
        ("", last) => number(last).map(Part::Last),
        (first, "") => Ok(Part::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first <= last { Ok(Part::From(first, Some(last))) } else { Err(why()) }
        }
    }
}

impl Get {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        let absent = || Fail::new(Code::NotFound, format!("key '{}' has no value", self.key));
        let file = self.output.as_deref().filter(|path| *path != Path::new("-"));
        if console.json && file.is_none() && self.range.is_none() {
            let found = ring.get_bytes(&self.key).await?.ok_or_else(absent)?;
            return console.object(value::shown(&self.key, &found));
        }
        let mut object = self.open(&ring).await?.ok_or_else(absent)?;
        if let Some(part) = self.range.filter(|part| *part != Part::Last(0))
            && object.range.is_empty()
        {
            let what = format!(
                "key '{}' has {} bytes: none of them is in the range {part}",
                self.key, object.bytes
            );
            return Err(Fail::new(Code::NotMet, what));
        }
        if console.json && file.is_none() {
            return console.object(self.shown(object).await?);
        }
        let Some(path) = file else { return self.write_out(console, object).await };
        let failed = |why: io::Error| Fail::written(path, why);
        let to = Whole::at(path).await.map_err(failed)?;
        let mut line = Line::new(console, format!("get {}", self.key));
        let mut written = 0;
        while let Some(bytes) = object.next().await {
            let bytes = bytes?;
            (&to).write_all(&bytes).map_err(failed)?;
            written += bytes.len() as u64;
            line.part(written as f64 / (object.range.end - object.range.start) as f64);
            line.show(BinaryBytes(written));
        }
        to.end_on_disk().map_err(failed)?;
        drop(line);
        if console.json { console.object(value::about(&self.key, &object)) } else { Ok(()) }
    }

    /// The value, or the part of it that is wanted.
    async fn open(&self, ring: &Ring) -> Result<Option<Object>, Fail> {
        let from = |first| (Bound::Included(first), Bound::Unbounded);
        let range = match self.range {
            None => from(0),
            Some(Part::From(first, last)) => {
                (Bound::Included(first), last.map_or(Bound::Unbounded, Bound::Included))
            }
            Some(Part::Last(count)) => {
                // How long it is, nobody knows before it is asked.
                let Some(object) = ring.get_stream(&self.key, 0..0).await? else { return Ok(None) };
                from(object.bytes.saturating_sub(count))
            }
        };
        Ok(ring.get_stream(&self.key, range).await?)
    }

    /// A part of a value as JSON.
    async fn shown(&self, mut object: Object) -> Result<serde_json::Value, Fail> {
        let mut bytes = vec![];
        while let Some(more) = object.next().await {
            bytes.extend_from_slice(&more?);
            if bytes.len() > JSON_BYTES {
                let what = format!("more than {JSON_BYTES} bytes are no JSON for anybody");
                return Err(Fail::other(what).next("Write them to a file: -o FILE."));
            }
        }
        let Object { content_type, stamp, expires_ms, bytes: whole, range, .. } = object;
        let mut shown = value::shown(&self.key, &Value { bytes, content_type, stamp, expires_ms });
        shown["bytes"] = whole.into();
        shown["range"] = serde_json::json!([range.start, range.end.saturating_sub(1)]);
        Ok(shown)
    }

    async fn write_out(&self, console: &Console, mut object: Object) -> Ended {
        let on_a_terminal = io::stdout().is_terminal() && self.output.is_none();
        let mut last = None;
        while let Some(bytes) = object.next().await {
            let bytes = bytes?;
            if on_a_terminal && !value::is_text(&bytes) {
                let what = format!(
                    "key '{}' has {} bytes of {}, which are no text for a terminal",
                    self.key, object.bytes, object.content_type
                );
                return Err(Fail::other(what).next(
                    "Write them to a file with -o FILE, show them with --json, or force them with -o -.",
                ));
            }
            last = bytes.last().copied();
            console.write(&bytes)?;
        }
        // The prompt stands on a line of its own.
        if on_a_terminal && last.is_some_and(|last| last != b'\n') {
            console.write(b"\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_curl_reads_it() {
        for (text, wanted) in [
            ("0-99", Part::From(0, Some(99))),
            ("7-7", Part::From(7, Some(7))),
            ("100-", Part::From(100, None)),
            ("-5", Part::Last(5)),
        ] {
            assert_eq!(part(text), Ok(wanted));
            assert_eq!(wanted.to_string(), text);
        }
        for text in ["", "-", "5", "9-3", "a-b", "1-2-3", "+1-2", "1-99999999999999999999"] {
            assert!(part(text).is_err(), "{text}");
        }
    }
}
