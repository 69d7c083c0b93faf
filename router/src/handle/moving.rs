//! Changes of the ring, which take their time and can be watched.

use super::Ring;
use crate::{
    moves::{Loss, NotMoved, Preview, Progress, Wanted},
    plan::even::Load,
    router::Router,
    transport::http::HttpTransport,
};
use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, select},
};
use minor_protocol::{Position, RingArc, StorageId, message::PlainRecords};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::{mpsc, oneshot};

/// A change of the ring under way.
///
/// It is a future of its end; whoever wants to watch takes what happens one by one before that. Dropped, it stops at once:
/// everything is served as before, and the same change said again goes on from where it was.
///
/// ```no_run
/// # async fn example(ring: sdht::Ring) -> Result<(), sdht::NotMoved> {
/// let mut moving = ring.join("127.0.0.1:8003");
/// while let Some(progress) = moving.next().await {
///     eprintln!("{progress:?}");
/// }
/// moving.await
/// # }
/// ```
#[must_use = "it stops when it is dropped"]
#[derive(Debug)]
pub struct Moving {
    progress: mpsc::UnboundedReceiver<Progress>,
    end: oneshot::Receiver<Result<(), NotMoved>>,
    /// The router lives as long as somebody waits for it.
    _ring: Ring,
}

/// A change of the ring, as a router makes it.
type Tell<'a> = &'a mut dyn FnMut(Progress);

impl Ring {
    /// Brings the storage at this address in, where it takes half of the heaviest arc. One that has records of its own is
    /// refused.
    pub fn join(&self, address: &str) -> Moving {
        self.join_at(address, None, PlainRecords::Refuse)
    }

    /// Brings the storage at this address in at a place of the user's choice, and says what is to become of records it kept
    /// by itself.
    pub fn join_at(&self, address: &str, place: Option<Position>, plain: PlainRecords) -> Moving {
        let address = address.to_owned();
        self.moving(move |router, tell| {
            async move { router.join(&address, place, plain, tell).await }.boxed_local()
        })
    }

    /// Brings the storage at this address in with what it kept by itself: its records are set in the ring first. Where the ring
    /// has another value under one of the keys, it is not let in, and keeps all it has. Nobody else is to write to it meanwhile.
    pub fn join_with_records(&self, address: &str, place: Option<Position>) -> Moving {
        let address = address.to_owned();
        self.moving(move |router, tell| {
            let join = async move {
                router.bring(&address, tell).await?;
                router.join(&address, place, PlainRecords::Discard, tell).await
            };
            join.boxed_local()
        })
    }

    /// Lets the storage at this address go, after all it keeps was handed over. It may be dead, as long as every arc it
    /// keeps has a living majority without it.
    pub fn leave(&self, address: &str) -> Moving {
        let address = address.to_owned();
        self.moving(move |router, tell| {
            let leave = async move {
                let storage = router.storage_at(&address).await?;
                router.leave(storage, tell).await
            };
            leave.boxed_local()
        })
    }

    /// The same for a storage that is known by its id.
    pub fn leave_by_id(&self, storage: StorageId) -> Moving {
        self.moving(move |router, tell| {
            async move { router.leave(storage, tell).await }.boxed_local()
        })
    }

    /// Keeps this many copies of everything from now on.
    pub fn set_copies(&self, copies: u8) -> Moving {
        self.moving(move |router, tell| {
            async move { router.set_copies(copies, tell).await }.boxed_local()
        })
    }

    /// Moves boundaries until no storage keeps more than 1.2 times its share of the bytes.
    pub fn balance(&self) -> Moving {
        self.moving(|router, tell| async move { router.balance(tell).await }.boxed_local())
    }

    /// Lets go of the storages at these addresses, which never come back. Where an arc has no majority without them, nothing
    /// is done unless the loss is accepted; [`Progress::Lost`] then tells what may be missing.
    pub fn evict<A: Into<String>>(
        &self,
        addresses: impl IntoIterator<Item = A>,
        loss: Loss,
    ) -> Moving {
        let dead: Vec<String> = addresses.into_iter().map(Into::into).collect();
        self.moving(move |router, tell| {
            async move { router.evict(&dead, loss, tell).await }.boxed_local()
        })
    }

    /// Has storages drop what they are no members of, after its owners were levelled. Storages that the ring does not know
    /// any more can be named.
    pub fn purge<A: Into<String>>(&self, also: impl IntoIterator<Item = A>) -> Moving {
        let also: Vec<String> = also.into_iter().map(Into::into).collect();
        self.moving(move |router, tell| {
            async move { router.purge(&also, tell).await }.boxed_local()
        })
    }

    /// Who keeps the most at this time, and how much of its share that is.
    pub async fn load(&self) -> Result<Load, NotMoved> {
        let load = self.run(|router| async move { router.load().await }).await;
        load.unwrap_or(Err(NotMoved::Ended))
    }

    /// Those of these arcs whose copies are not alike, though nobody is writing there at this time: [`repair`](Self::repair)
    /// makes them so. Only those that answer are compared.
    pub async fn unlike(&self, arcs: &[RingArc]) -> Vec<RingArc> {
        let arcs = arcs.to_vec();
        let unlike = self.run(move |router| async move { router.unlike(&arcs).await }).await;
        unlike.unwrap_or_default()
    }

    /// From now on it moves at most so many bytes of data in a second while the ring changes.
    pub async fn set_max_rate(&self, bytes_per_s: u64) {
        let set = self.run(move |router| async move { router.set_max_rate(bytes_per_s) });
        // If the router has ended, nothing moves.
        let _ = set.await;
    }

    /// What a change of the ring would move, in keys and bytes, and to whom. Nothing is moved.
    pub async fn plan(&self, wanted: Wanted) -> Result<Preview, NotMoved> {
        let preview = self.run(|router| async move { router.preview(&wanted).await }).await;
        preview.unwrap_or(Err(NotMoved::Ended))
    }

    /// Finishes what a stopped router left half done, makes all copies alike, and sweeps what is dead: deleted keys, and
    /// pieces of large objects that belong to none. [`Progress::Swept`] tells how many there were.
    pub fn repair(&self) -> Moving {
        self.moving(|router, tell| {
            let repair = async move {
                router.repair(tell).await?;
                router.sweep_all(tell).await
            };
            repair.boxed_local()
        })
    }

    fn moving<W>(&self, work: W) -> Moving
    where
        W: for<'a> FnOnce(
                Router<HttpTransport>,
                Tell<'a>,
            ) -> LocalBoxFuture<'a, Result<(), NotMoved>>
            + Send
            + 'static,
    {
        let (say, progress) = mpsc::unbounded_channel();
        let (mut tell, end) = oneshot::channel();
        let begun = self.begin(move |router| async move {
            let mut note = move |progress| drop(say.send(progress));
            let work = work(router, &mut note);
            let ended = match select(work, Box::pin(tell.closed())).await {
                futures_util::future::Either::Left((ended, _)) => Some(ended),
                futures_util::future::Either::Right(_) => None,
            };
            if let Some(ended) = ended {
                let _ = tell.send(ended);
            }
        });
        // If the router has ended, so have both channels.
        let _ = begun;
        Moving { progress, end, _ring: self.clone() }
    }
}

impl Moving {
    /// The next thing that happens; none when it has come to its end.
    pub async fn next(&mut self) -> Option<Progress> {
        self.progress.recv().await
    }
}

impl Future for Moving {
    type Output = Result<(), NotMoved>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.end.poll_unpin(cx).map(|end| end.unwrap_or(Err(NotMoved::Ended)))
    }
}
