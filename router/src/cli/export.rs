//! `sdht export`: everything, as one stream.

use super::{
    Ease, Ended,
    archive::{About, Writer},
    console::Console,
    fail::Fail,
    progress::Line,
    whole::Whole,
};
use clap::Args;
use futures_util::StreamExt;
use sdht::NotGot;
use serde_json::json;
use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

/// Write every key and value as one stream, which 'sdht import' reads into a ring of any size.
///
/// It is a CBOR sequence, and what is deleted or set meanwhile may be in it or not.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht export -o backup.sdht
  sdht export --max-rate 10MiB | zstd > backup.sdht.zst
  sdht export --ring 10.0.0.1:8000 | sdht import --ring 10.9.0.1:8000")]
pub(crate) struct Export {
    /// Write to this file, made whole under another name first where the directory allows it, so that what is there stays
    /// until all has come; - is standard output, as if nothing were said.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    ease: Ease,
}

/// Values opened at the same time.
const AT_ONCE: usize = 64;

impl Export {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let output = self.output.as_deref().filter(|path| *path != Path::new("-"));
        if output.is_none() && io::stdout().is_terminal() {
            return Err(Fail::usage("an archive is nothing for a terminal")
                .next("Write it to a file with -o FILE, or into a pipe."));
        }
        let ring = console.ring().await?;
        let failed = |why: io::Error| match output {
            Some(path) => Fail::written(path, why),
            None => why.into(),
        };
        let file = match output {
            Some(path) => Some(Whole::at(path).await.map_err(failed)?),
            None => None,
        };
        let to: Box<dyn Write + '_> = match &file {
            Some(file) => Box::new(file),
            None => Box::new(io::stdout()),
        };
        let pace = self.ease.pace();
        let mut writer = Writer::new(BufWriter::new(to)).map_err(failed)?;
        let open = |key: Result<sdht::Key, NotGot>| {
            let ring = ring.clone();
            async move {
                let key = key?;
                let object = ring.get_stream(key.as_str(), ..).await?;
                Ok::<_, NotGot>((key, object))
            }
        };
        let mut objects = ring.keys("").map(open).buffered(AT_ONCE);
        let (mut line, mut keys, mut bytes) = (Line::new(console, "export"), 0, 0);
        while let Some(object) = objects.next().await {
            // What has gone since it was listed is gone.
            let (key, Some(mut object)) = object? else { continue };
            let about = About {
                key: key.into(),
                content_type: object.content_type.clone(),
                expires_ms: object.expires_ms,
                length: object.bytes,
            };
            writer.value(about).map_err(failed)?;
            while let Some(piece) = object.next().await {
                let piece = piece?;
                pace.spend(piece.len()).await;
                writer.bytes(&piece).map_err(failed)?;
                bytes += piece.len() as u64;
                line.show(format_args!("{keys} keys, {}", indicatif::BinaryBytes(bytes)));
            }
            keys += 1;
        }
        writer.end().map_err(failed)?;
        file.map_or(Ok(()), Whole::end_on_disk).map_err(failed)?;
        drop(line);
        if console.json && output.is_some() {
            return console.object(json!({ "keys": keys, "bytes": bytes }));
        }
        console.say(format_args!("{keys} keys, {}", indicatif::BinaryBytes(bytes)));
        Ok(())
    }
}
