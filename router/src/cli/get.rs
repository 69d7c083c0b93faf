//! `sdht get`: the bytes of a key, as they are.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    value,
};
use clap::Args;
use sdht::Value;
use std::{
    fs,
    io::{self, IsTerminal},
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
        let Some(found) = ring.get_bytes(&self.key).await? else {
            return Err(Fail::new(Code::NotFound, format!("key '{}' has no value", self.key)));
        };
        let file = self.output.as_deref().filter(|path| *path != Path::new("-"));
        if let Some(path) = file {
            fs::write(path, &found.bytes)
                .map_err(|why| Fail::other(format!("{}: {why}", path.display())))?;
            return if console.json {
                console.object(value::about(&self.key, &found))
            } else {
                Ok(())
            };
        }
        if console.json {
            return console.object(value::shown(&self.key, &found));
        }
        self.write_out(console, &found)
    }

    fn write_out(&self, console: &Console, found: &Value) -> Ended {
        let on_a_terminal = io::stdout().is_terminal();
        let is_text = value::is_text(&found.bytes);
        if on_a_terminal && !is_text && self.output.is_none() {
            let what = format!(
                "key '{}' has {} bytes of {}, which are no text for a terminal",
                self.key,
                found.bytes.len(),
                found.content_type
            );
            return Err(Fail::other(what).next("Write them to a file with -o FILE, show them with --json, or force them with -o -."));
        }
        console.write(&found.bytes)?;
        // The prompt stands on a line of its own.
        if on_a_terminal && is_text && !found.bytes.ends_with(b"\n") {
            console.write(b"\n")?;
        }
        Ok(())
    }
}
