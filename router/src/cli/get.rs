//! `sdht get`: the bytes of a key, as they are.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    progress::Line,
    value,
};
use clap::Args;
use indicatif::BinaryBytes;
use sdht::Object;
use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

/// Write the bytes of a key to standard output, or to a file.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht get greeting
  sdht get photos/cat -o cat.jpg
  sdht get config/limits --json")]
pub(crate) struct Get {
    /// The key.
    key: String,

    /// Write to this file; - is standard output, even if that is a terminal and the bytes are no text.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Get {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        let absent = || Fail::new(Code::NotFound, format!("key '{}' has no value", self.key));
        let file = self.output.as_deref().filter(|path| *path != Path::new("-"));
        if console.json && file.is_none() {
            let found = ring.get_bytes(&self.key).await?.ok_or_else(absent)?;
            return console.object(value::shown(&self.key, &found));
        }
        let mut object = ring.get_stream(&self.key, ..).await?.ok_or_else(absent)?;
        let Some(path) = file else { return self.write_out(console, object).await };
        let failed = |why: io::Error| Fail::other(format!("{}: {why}", path.display()));
        let mut to = File::create(path).map_err(failed)?;
        let mut line = Line::new(console, format!("get {}", self.key));
        let mut written = 0;
        while let Some(bytes) = object.next().await {
            let bytes = bytes
                .map_err(|why| Fail::from(why).next(format!("{} is not whole.", path.display())))?;
            to.write_all(&bytes).map_err(failed)?;
            written += bytes.len() as u64;
            line.part(written as f64 / object.bytes as f64);
            line.show(BinaryBytes(written));
        }
        drop(line);
        if console.json { console.object(value::about(&self.key, &object)) } else { Ok(()) }
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
