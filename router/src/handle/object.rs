//! Values of any length as streams: a few pieces of them are in memory at a time, here and on the router's thread.

use super::Ring;
use crate::{
    error::{NotGot, NotSet, Trouble},
    object::{
        Cutter,
        get::{Opening, Taker},
        put::{self, Fed},
    },
    put_options::PutOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use minor_protocol::{Key, Stamp};
use std::{
    io,
    ops::{Range, RangeBounds},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Pieces that wait between the router's thread and the user's.
const AHEAD: usize = 2;

/// A value as it is read: what is known of it, and a stream of its bytes.
///
/// The stream ends after the last byte of the range, or after the first error. The checksum of a large object that is read as
/// a whole is compared before its last bytes are handed over.
#[derive(Debug)]
pub struct Object {
    /// What the bytes are said to be; empty if nobody said.
    pub content_type: String,
    /// The change that made the value. [`Expect::Stamp`](crate::Expect::Stamp) holds as long as there was no other.
    pub stamp: Stamp,
    /// When it counts as deleted, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Bytes of the whole value.
    pub bytes: u64,
    /// Which of them the stream gives: what was asked for, as far as it is there.
    pub range: Range<u64>,
    key: Key,
    left: u64,
    coming: mpsc::Receiver<Result<Bytes, NotGot>>,
    /// The router lives as long as somebody listens to it.
    _ring: Ring,
}

impl Ring {
    /// Puts what a stream gives, however much that is. Up to 64 KiB it is a value as any other; beyond, it is cut into pieces
    /// that spread over the ring.
    ///
    /// What was there stays as it was until all of it has arrived, and for good if the stream gives an error or this future is
    /// dropped. A condition of the options holds at the moment of the change; if it does not hold at the beginning, nothing
    /// is read.
    ///
    /// ```no_run
    /// # async fn example(ring: sdht::Ring) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::stream;
    /// use sdht::PutOptions;
    /// let source = stream::iter((0..100).map(|n| Ok(vec![n; 1_000_000])));
    /// ring.put_stream("much", source, &PutOptions::new().content_type("image/raw")).await?;
    /// let mut part = ring.get_stream("much", 500_000..).await?.ok_or("it was just put")?;
    /// while let Some(bytes) = part.next().await {
    ///     println!("{} bytes of {}", bytes?.len(), part.bytes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_stream<S, B>(
        &self,
        key: &str,
        source: S,
        options: &PutOptions,
    ) -> Result<Stamp, NotSet>
    where
        S: Stream<Item = io::Result<B>> + Send,
        B: AsRef<[u8]> + Send,
    {
        let mut upload = self.upload(Key::of_user(key)?, options)?;
        let mut source = pin!(source);
        while !upload.has_failed()
            && let Some(bytes) = source.next().await
        {
            match bytes {
                Ok(bytes) => upload.write(bytes.as_ref()).await,
                Err(why) => return upload.fail(&why).await,
            }
        }
        upload.finish().await
    }

    /// Reads a value, or a range of it, as a stream; none if there is no value. Of a large object only the pieces that the
    /// range touches are read.
    pub fn get_stream(
        &self,
        key: &str,
        range: impl RangeBounds<u64>,
    ) -> impl Future<Output = Result<Option<Object>, NotGot>> + Send {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let (ring, key) = (self.clone(), Key::of_user(key));
        async move {
            let key = key?;
            let (opening, told) = oneshot::channel();
            let (bytes, coming) = mpsc::channel(AHEAD);
            let name = key.clone();
            let reading = ring.begin(move |router| async move {
                router.hand_out(&name, range, Taker { opening, bytes }).await;
            });
            // If the router has ended, so have the channels.
            let _ = reading;
            let lost = |_| Err(NotGot::NotRead { key: key.clone(), why: Trouble::Ended });
            let Some(opening) = told.await.unwrap_or_else(lost)? else { return Ok(None) };
            let Opening { content_type, stamp, expires_ms, bytes, range } = opening;
            let left = range.end - range.start;
            let _ring = ring;
            Ok(Some(Object {
                content_type,
                stamp,
                expires_ms,
                bytes,
                range,
                key,
                left,
                coming,
                _ring,
            }))
        }
    }

    /// Deletes the pieces of large objects that belong to none: those of uploads that broke off more than `age` ago, and
    /// those of objects whose deletion or replacement broke off. Says how many there were.
    ///
    /// `age` is to be [`ORPHAN_AGE`](crate::object::ORPHAN_AGE), or less where nobody is putting anything: younger pieces may
    /// be those of an upload under way.
    pub async fn sweep_orphans(&self, age: Duration) -> Result<usize, NotGot> {
        let swept = self.run(move |router| async move { router.sweep_orphans(age).await }).await;
        let span = minor_protocol::Span::WHOLE;
        swept.unwrap_or(Err(NotGot::NotListed { span, why: Trouble::Ended }))
    }

    /// Begins to put a value of a length that nobody knows yet.
    pub(crate) fn upload(&self, key: Key, options: &PutOptions) -> Result<Upload, NotSet> {
        put::check(&key, &options.content_type)?;
        let (feed, source) = mpsc::channel(AHEAD);
        let (tell, outcome) = oneshot::channel();
        let (name, options) = (key.clone(), options.clone());
        let begun = self.begin(move |router| async move {
            let put = router.put(&name, source, &options).await;
            drop(tell.send(put.map(|done| done.stamp)));
        });
        // If the router has ended, so have the channels.
        let _ = begun;
        Ok(Upload { key, cutter: Cutter::default(), feed, outcome })
    }
}

/// A value on its way in. Dropped, it is as if it had never begun.
#[derive(Debug)]
pub(crate) struct Upload {
    key: Key,
    cutter: Cutter,
    feed: mpsc::Sender<Fed>,
    outcome: oneshot::Receiver<Result<Stamp, NotSet>>,
}

impl Upload {
    /// Gives the next bytes. When the upload has failed nobody takes them, and its end tells.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if let Some(piece) = self.cutter.take(&mut bytes) {
                let _ = self.feed.send(Fed::Piece(piece)).await;
            }
        }
    }

    /// Whether nobody takes any more bytes: it has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.feed.is_closed()
    }

    /// That was all.
    pub(crate) async fn finish(self) -> Result<Stamp, NotSet> {
        let Self { key, cutter, feed, outcome } = self;
        if let Some(piece) = cutter.rest() {
            let _ = feed.send(Fed::Piece(piece)).await;
        }
        let _ = feed.send(Fed::End).await;
        outcome.await.unwrap_or(Err(NotSet::Unknown { key, why: Trouble::Ended }))
    }

    /// There is more, but it cannot be read.
    pub(crate) async fn fail(self, why: &io::Error) -> Result<Stamp, NotSet> {
        let Self { key, feed, outcome, .. } = self;
        let _ = feed.send(Fed::Failed(why.to_string())).await;
        outcome.await.unwrap_or(Err(NotSet::Unknown { key, why: Trouble::Ended }))
    }
}

impl Object {
    /// The next bytes.
    pub async fn next(&mut self) -> Option<Result<Bytes, NotGot>> {
        StreamExt::next(self).await
    }
}

impl Stream for Object {
    type Item = Result<Bytes, NotGot>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.coming.poll_recv(cx).map(|coming| {
            let lost = || Err(NotGot::NotRead { key: self.key.clone(), why: Trouble::Ended });
            let coming = coming.unwrap_or_else(lost);
            self.left = match &coming {
                Ok(bytes) => self.left.saturating_sub(bytes.len() as u64),
                Err(_) => 0,
            };
            Some(coming)
        })
    }
}
