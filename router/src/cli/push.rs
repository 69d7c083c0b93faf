//! `sdht push`: the files of a directory, each under a key of its own.

use super::{Ease, Ended, console::Console, fail::Fail, progress::Line, set, tree};
use clap::Args;
use futures_util::{StreamExt, stream};
use sdht::{PutOptions, Ring, pace::Pace};
use serde_json::json;
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Set a key for every file of a directory, and of those within it: its path from there on.
///
/// What the ring has under the same keys is replaced; other keys are left as they are. Symbolic links are not followed. The
/// same again does no harm.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht push photos --prefix photos
  sdht push . --prefix backup/monday --max-rate 10MiB
  sdht push site --json")]
pub(crate) struct Push {
    /// The directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// The keys begin with this and a slash.
    #[arg(long, default_value = "", value_name = "PREFIX")]
    prefix: String,

    #[command(flatten)]
    ease: Ease,
}

impl Push {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let tree::Found { files, others } = tree::files(&self.dir)?;
        for other in &others {
            console
                .say(format_args!("{}: neither a file nor a directory, left out", other.display()));
        }
        let ring = console.ring().await?;
        let (total, sent) = (files.iter().map(|file| file.bytes).sum::<u64>(), AtomicU64::new(0));
        let (prefix, pace) = (tree::folder(&self.prefix), self.ease.pace());
        let push = |file: &tree::File| {
            let (key, path) = (format!("{prefix}{}", file.name), file.path.clone());
            push(&ring, key, path, &sent, &pace)
        };
        let mut pushed = stream::iter(&files).map(push).buffer_unordered(tree::AT_ONCE);
        let (mut line, mut done) = (Line::new(console, "push"), 0_u64);
        loop {
            match tokio::time::timeout(tree::LOOK, pushed.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(()))) => done += 1,
                Ok(Some(Err(why))) => {
                    return Err(why.after(format_args!("{done} files had come over")));
                }
                // A long file is under way.
                Err(_) => {}
            }
            let bytes = sent.load(Ordering::Relaxed);
            line.part(bytes as f64 / total.max(1) as f64);
            line.show(tree::so_far(done, bytes));
        }
        drop(line);
        let bytes = sent.load(Ordering::Relaxed);
        if console.json {
            return console
                .object(json!({ "files": done, "bytes": bytes, "left_out": others.len() }));
        }
        console.print(tree::so_far(done, bytes))
    }
}

async fn push(
    ring: &Ring,
    key: String,
    path: PathBuf,
    sent: &AtomicU64,
    pace: &Pace,
) -> Result<(), Fail> {
    let file = File::open(&path).map_err(|why| Fail::file(&path, why))?;
    let mut pieces = set::read(Box::new(file));
    let pieces = stream::poll_fn(move |cx| pieces.poll_recv(cx)).then(|piece| async {
        let bytes = piece.as_ref().map_or(0, Vec::len);
        pace.spend(bytes).await;
        sent.fetch_add(bytes as u64, Ordering::Relaxed);
        piece
    });
    let options = PutOptions::new().content_type(kind_of(&path));
    ring.put_stream(&key, pieces, &options).await?;
    Ok(())
}

/// What is in a file, by the end of its name.
fn kind_of(path: &Path) -> &'static str {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    match &*end.to_ascii_lowercase() {
        "txt" | "md" | "log" => "text/plain; charset=utf-8",
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}
