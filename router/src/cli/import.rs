//! `sdht import`: an archive's values into a ring of any size.

use super::{
    Ease, Ended,
    archive::{About, NoArchive, PIECE, Reader},
    console::Console,
    fail::Fail,
    progress::Line,
    set::{named, open},
    value,
};
use clap::Args;
use futures_util::{StreamExt, stream};
use minor_protocol::{Expect, Key, Operation, Wish};
use sdht::{NotSet, PutOptions, Ring, pace::Pace};
use serde_json::json;
use std::{
    cell::RefCell,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::Mutex,
    task::Poll,
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
  zstd -dc backup.sdht.zst | sdht import --max-rate 10MiB
  sdht export --ring 10.0.0.1:8000 | sdht import --ring 10.9.0.1:8000")]
pub(crate) struct Import {
    /// Read this file; - is standard input, as if nothing were said.
    #[arg(short, long)]
    file: Option<PathBuf>,

    #[command(flatten)]
    ease: Ease,
}

/// What to do about a stream that is no whole archive.
const WHOLE: &str = "What was set stays. Get the archive as a whole ('sdht export' makes one), and import that: what is there \
                     already is set once more.";

const NOTED: &str = "noting something does not panic";

/// Values set at the same time.
const AT_ONCE: usize = 64;

impl Import {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        let mut values = read(self.file.as_deref())?;
        // After a failure nothing more is begun, and what was begun is counted when it has ended.
        let failed: RefCell<Option<Fail>> = RefCell::default();
        let values = stream::poll_fn(|cx| match failed.borrow().is_some() {
            true => Poll::Ready(None),
            false => values.poll_recv(cx),
        });
        let pace = self.ease.pace();
        let from = named(self.file.as_deref());
        let set = |value| set(ring.clone(), &from, value, &pace);
        let mut set = values.map(set).buffer_unordered(AT_ONCE);
        let (mut line, mut keys, mut bytes) = (Line::new(console, "import"), 0_u64, 0);
        while let Some(outcome) = set.next().await {
            match outcome {
                Ok(length) => {
                    keys += 1;
                    bytes += length;
                    line.show(format_args!("{keys} keys, {}", indicatif::BinaryBytes(bytes)));
                }
                Err(why) => drop(failed.borrow_mut().get_or_insert(why)),
            }
        }
        drop(line);
        if let Some(why) = failed.take() {
            return Err(why.after(format_args!("{keys} keys were set")));
        }
        if console.json {
            return console.object(json!({ "keys": keys, "bytes": bytes }));
        }
        console.print(format_args!("{keys} keys, {}", indicatif::BinaryBytes(bytes)))
    }
}

/// A value, and its bytes as they come.
struct Incoming {
    /// Which item of the stream it is.
    item: u64,
    about: About,
    pieces: mpsc::Receiver<Result<Vec<u8>, NoArchive>>,
}

/// Reads on a thread that may wait, a few values ahead and of each a few pieces.
fn read(file: Option<&Path>) -> Result<mpsc::Receiver<Result<Incoming, NoArchive>>, Fail> {
    let from = open(file)?;
    let (send, values) = mpsc::channel(1);
    thread::spawn(move || {
        if let Err(why) = read_all(from, &send) {
            drop(send.blocking_send(Err(why)));
        }
    });
    Ok(values)
}

fn read_all(
    from: Box<dyn Read>,
    values: &mpsc::Sender<Result<Incoming, NoArchive>>,
) -> Result<(), NoArchive> {
    let mut reader = Reader::new(BufReader::new(from))?;
    while let Some(about) = reader.value()? {
        let (send, pieces) = mpsc::channel(2);
        let item = reader.item();
        if values.blocking_send(Ok(Incoming { item, about, pieces })).is_err() {
            return Ok(());
        }
        while let Some(piece) = reader.bytes().transpose() {
            let cut = piece.as_ref().err().map(ToString::to_string);
            // Whoever has given up this value has given up them all.
            if send.blocking_send(piece).is_err() || cut.is_some() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn set(
    ring: Ring,
    from: &str,
    value: Result<Incoming, NoArchive>,
    pace: &Pace,
) -> Result<u64, Fail> {
    let not_read = |why: NoArchive| Fail::other(format!("{from}: {why}")).next(WHOLE);
    let Incoming { item, about, mut pieces } = value.map_err(not_read)?;
    let About { key, content_type, expires_ms, length } = about;
    if length <= PIECE as u64 {
        let mut value = vec![];
        while let Some(piece) = pieces.recv().await {
            value.extend(piece.map_err(not_read)?);
        }
        pace.spend(value.len()).await;
        let key = Key::new(key).map_err(|why| {
            not_read(NoArchive::Malformed { item, why: NotSet::from(why).to_string() })
        })?;
        let wish = Wish::Set { content_type, expires_ms, value };
        ring.change(key, Operation { expect: Expect::Anything, wish }).await?;
        return Ok(length);
    }
    let mut options = PutOptions::new().content_type(content_type);
    if let Some(end) = expires_ms {
        options = options.time_to_live(value::until(end));
    }
    let cut: Mutex<Option<NoArchive>> = Mutex::default();
    let pieces = stream::poll_fn(move |cx| pieces.poll_recv(cx));
    let pieces = pieces.then(|piece| async {
        pace.spend(piece.as_ref().map_or(0, Vec::len)).await;
        piece.map_err(|why| {
            let told = io::Error::other(why.to_string());
            *cut.lock().expect(NOTED) = Some(why);
            told
        })
    });
    let set = ring.put_stream(&key, pieces, &options).await;
    match cut.into_inner().expect(NOTED) {
        Some(why) => Err(not_read(why)),
        None => Ok(set.map(|_| length)?),
    }
}
