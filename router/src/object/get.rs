//! Reading an object, or a range of it: the header linearizably, then the pieces, a few ahead of whoever takes them.
//!
//! A piece is asked of one storage only: whoever has it has the right one, since nothing else was ever put under its name.
//! One that does not have it, or does not answer at once, is no sign of anything, and the piece is read as any other key.
//!
//! Whoever replaces an object deletes its pieces, also while somebody reads them. As long as nothing was handed over, the
//! reading begins again with the new header; after that it ends with an error, and never with a mixture.

use super::{AT_ONCE, GRACE, Laggards, Manifest, Part, clamp, piece};
use crate::{
    error::{NotGot, NotRead},
    router::Router,
    transport::Transport,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use minor_protocol::{
    Key, Member, Reply, Request, Stamp, State,
    message::{Show, Shown, ShownContent},
};
use std::ops::{Bound, Range};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How often a reading begins again because the object was replaced before anything was handed over.
const BEGINNINGS: usize = 8;

/// What is known of a value before its bytes come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) content_type: String,
    pub(crate) stamp: Stamp,
    pub(crate) expires_ms: Option<u64>,
    /// Bytes of the whole.
    pub(crate) bytes: u64,
    /// What of it follows.
    pub(crate) range: Range<u64>,
}

/// Where a reading goes.
pub(crate) struct Taker {
    /// Told once, before the first bytes: the opening, or that there is no value.
    pub(crate) opening: oneshot::Sender<Result<Option<Opening>, NotGot>>,
    /// Then the bytes. It ends after the last, or after an error.
    pub(crate) bytes: mpsc::Sender<Result<Bytes, NotGot>>,
}

/// Why a reading did not come to its end.
enum Broken {
    /// A piece is not there, and the taker was told nothing yet.
    Missing(Taker),
    /// Nobody takes the bytes any more, or they were given an error.
    Over,
}

impl<T: Transport> Router<T> {
    /// Reads a range of a value, whether it is an object or not.
    pub(crate) async fn hand_out(
        &self,
        key: &Key,
        range: (Bound<u64>, Bound<u64>),
        mut taker: Taker,
    ) {
        let mut last = None;
        for _ in 0..BEGINNINGS {
            let found = match self.there(key).await {
                Ok(Some(found)) => found,
                Ok(None) => return drop(taker.opening.send(Ok(None))),
                Err(why) => return drop(taker.opening.send(Err(why))),
            };
            let (opening, manifest, value) = found;
            let range = clamp(range, opening.bytes);
            let opening = Opening { range: range.clone(), ..opening };
            let Some(manifest) = manifest else {
                let Taker { opening: tell, bytes } = taker;
                if tell.send(Ok(Some(opening))).is_ok() && !range.is_empty() {
                    let value = Bytes::from(value).slice(range.start as usize..range.end as usize);
                    let _ = bytes.send(Ok(value)).await;
                }
                return;
            };
            if last == Some(manifest.upload) {
                // It is the same object as before, so nobody has replaced it.
                let why = "a piece of it is missing".into();
                return drop(taker.opening.send(Err(NotGot::Damaged { key: key.clone(), why })));
            }
            last = Some(manifest.upload);
            match self.hand_out_object(key, &manifest, opening, taker).await {
                Ok(()) | Err(Broken::Over) => return,
                Err(Broken::Missing(untouched)) => taker = untouched,
            }
        }
        let _ = taker.opening.send(Err(NotGot::Replaced { key: key.clone() }));
    }

    /// What is there, and its manifest if that is an object.
    async fn there(
        &self,
        key: &Key,
    ) -> Result<Option<(Opening, Option<Manifest>, Vec<u8>)>, NotGot> {
        let Some(state) = self.get(key).await? else { return Ok(None) };
        let damaged = |why| NotGot::Damaged { key: key.clone(), why: format!("its header: {why}") };
        let manifest = Manifest::of(&state).transpose().map_err(damaged)?;
        let stamp = state.header.stamp();
        let State { header, value } = state;
        let (Some(content), Some(stamp)) = (header.content, stamp) else { return Ok(None) };
        let (content_type, bytes) = match &manifest {
            Some(manifest) => (manifest.content_type.clone(), manifest.bytes),
            None => (content.content_type, value.len() as u64),
        };
        let expires_ms = content.expires_ms;
        let opening = Opening { content_type, stamp, expires_ms, bytes, range: 0..bytes };
        Ok(Some((opening, manifest, value)))
    }

    async fn hand_out_object(
        &self,
        key: &Key,
        manifest: &Manifest,
        opening: Opening,
        taker: Taker,
    ) -> Result<(), Broken> {
        let is_whole = opening.range == (0..manifest.bytes);
        let Taker { opening: tell, bytes } = taker;
        let (mut tell, mut opening) = (Some(tell), Some(opening));
        let range = opening.as_ref().map(|o| o.range.clone()).unwrap_or_default();
        let (mut left, mut crc) = (range.end - range.start, crc32fast::Hasher::new());
        if left == 0 {
            let _ = tell.take().map(|tell| tell.send(Ok(opening)));
            return Ok(());
        }
        let laggards = Laggards::default();
        let read = |part: Part| {
            let (name, laggards) = (piece(key, manifest.upload, part.number), &laggards);
            async move { (self.piece(&name, laggards).await, part) }
        };
        let mut parts = stream::iter(manifest.parts(range)).map(read).buffered(AT_ONCE);
        while let Some((found, part)) = parts.next().await {
            let value = match found {
                Ok(Some(value)) if value.len() == part.whole => Bytes::from(value),
                Ok(Some(value)) => {
                    let why = format!(
                        "piece {} has {} bytes of {}",
                        part.number,
                        value.len(),
                        part.whole
                    );
                    return fail(NotGot::Damaged { key: key.clone(), why }, tell, &bytes).await;
                }
                Ok(None) => match tell {
                    Some(opening) => return Err(Broken::Missing(Taker { opening, bytes })),
                    None => {
                        let why = self.why_missing(key, manifest, part.number).await;
                        return fail(why, None, &bytes).await;
                    }
                },
                Err(NotRead { why, .. }) => {
                    let why = NotGot::NotRead { key: key.clone(), why };
                    return fail(why, tell, &bytes).await;
                }
            };
            crc.update(&value);
            left -= part.wanted.len() as u64;
            if left == 0 && is_whole && crc.clone().finalize() != manifest.crc {
                let why = "its bytes do not fit the checksum of the whole".into();
                return fail(NotGot::Damaged { key: key.clone(), why }, tell, &bytes).await;
            }
            if let Some(tell) = tell.take() {
                tell.send(Ok(opening.take())).map_err(|_| Broken::Over)?;
            }
            bytes.send(Ok(value.slice(part.wanted))).await.map_err(|_| Broken::Over)?;
        }
        Ok(())
    }

    /// A piece that was there, or should be, is not.
    async fn why_missing(&self, key: &Key, manifest: &Manifest, number: u32) -> NotGot {
        match self.there(key).await {
            Ok(Some((_, Some(now), _))) if now.upload == manifest.upload => {
                let why = format!("its piece {number} is missing");
                NotGot::Damaged { key: key.clone(), why }
            }
            Ok(_) => NotGot::Replaced { key: key.clone() },
            Err(why) => why,
        }
    }

    /// The bytes of a piece; none if it is not there.
    async fn piece(&self, name: &Key, laggards: &Laggards) -> Result<Option<Vec<u8>>, NotRead> {
        if let Some(arc) = self.arc_in_memory(name) {
            let able: Vec<&Member> =
                arc.full().filter(|m| !laggards.borrow().contains(&m.storage)).collect();
            if !able.is_empty() {
                let member = able[self.turn(able.len())];
                let show = Show::Whole;
                let read = Request::Read { key: name.clone(), epoch: arc.epoch, show };
                let heard = timeout(GRACE, self.say(member, read)).await;
                match heard {
                    Ok(Ok(Ok(Reply::Found {
                        shown: Some(Shown { content: ShownContent::Whole(state), .. }),
                    }))) if state.header.content.is_some() => return Ok(Some(state.value)),
                    Ok(heard) => drop(self.take_in(&arc, member.storage, &heard)),
                    Err(_) => drop(laggards.borrow_mut().insert(member.storage)),
                }
            }
        }
        Ok(self.get(name).await?.map(|state| state.value))
    }
}

/// Tells an error to whoever waits, for the opening or for bytes.
async fn fail(
    why: NotGot,
    opening: Option<oneshot::Sender<Result<Option<Opening>, NotGot>>>,
    bytes: &mpsc::Sender<Result<Bytes, NotGot>>,
) -> Result<(), Broken> {
    match opening {
        Some(opening) => drop(opening.send(Err(why))),
        None => drop(bytes.send(Err(why)).await),
    }
    Err(Broken::Over)
}
