//! Putting an object: pieces first, then the header; the change of the header sees to it that the old pieces go.
//!
//! A piece is accepted without a prepare. What a prepare is for, to find what lower ballots may have had chosen, is known
//! beforehand: nobody else ever sets a value under that name. (Somebody may have renewed or deleted its absence; to overwrite
//! that is what a set is for.) Where the accept does not reach a majority, an ordinary change puts the piece: it may then be
//! put twice, and since the same bytes are put both times, nobody can tell.
//!
//! All storages of a piece's arc are waited for, not a majority alone, or a slow one would let its share of a long object
//! heap up in this router's memory. One that answers nothing within a second is passed over for the rest of the upload, and
//! gets its copies when the ring is repaired.

use super::{
    AT_ONCE, GRACE, Laggards, Manifest, NAME_BYTES, OBJECT, ORPHAN_AGE, PIECE_BYTES, piece, putting,
};
use crate::{
    error::{NotChanged, NotSet, Trouble},
    put_options::PutOptions,
    register::{Changed, Done},
    router::Router,
    tally::{Tally, Verdict},
    transport::Transport,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use minor_protocol::{
    Ballot, Content, Expect, Key, Operation, Reply, Request, RingArc, State, StorageId, Wish,
    limits, message::Proposed, record::Header,
};
use std::collections::BTreeSet;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

/// What comes of a source.
#[derive(Debug)]
pub(crate) enum Fed {
    /// The next piece: all but the last are of full length.
    Piece(Vec<u8>),
    /// That was the last.
    End,
    /// It cannot be read any further.
    Failed(String),
}

impl<T: Transport> Router<T> {
    /// Puts what comes of a source: one record if it fits, else an object.
    pub(crate) async fn put(
        &self,
        key: &Key,
        mut source: mpsc::Receiver<Fed>,
        options: &PutOptions,
    ) -> Result<Done, NotSet> {
        if options.expect != Expect::Anything {
            // A long object is not sent for nothing.
            let not_done = |why| NotSet::NotDone { key: key.clone(), why };
            let found = self.get(key).await.map_err(|not_read| not_done(not_read.why))?;
            let header = found.map(|state| state.header).unwrap_or_default();
            if !options.expect.is_met(&header, self.now_ms()) {
                return Err(NotSet::NotMet { key: key.clone(), found: header.stamp() });
            }
        }
        let first = next(key, &mut source).await?;
        let second = match first {
            Some(_) => next(key, &mut source).await?,
            None => None,
        };
        match (first, second) {
            (Some(first), Some(second)) => {
                self.put_object(key, [first, second], source, options).await
            }
            (only, _) => {
                let wish = Wish::Set {
                    content_type: options.content_type.clone(),
                    expires_ms: options.expires_ms(self.now_ms()),
                    value: only.unwrap_or_default(),
                };
                self.set(key, options.expect, wish).await
            }
        }
    }

    /// Deletes a key, if it is as expected, and the pieces of an object that was there. Says whether there was anything:
    /// what had expired is deleted in earnest, and was not there.
    pub(crate) async fn delete(&self, key: &Key, expect: Expect) -> Result<bool, NotSet> {
        match self.change(key, Operation { expect, wish: Wish::Delete }).await? {
            Changed::Done(done) => Ok(!done.was_absent),
            Changed::Kept => Ok(false),
            Changed::NotMet(found) => Err(NotSet::NotMet { key: key.clone(), found }),
        }
    }

    /// Sets a key to what fits into a record, and deletes the pieces of an object that was there.
    pub(crate) async fn set(&self, key: &Key, expect: Expect, wish: Wish) -> Result<Done, NotSet> {
        match self.change(key, Operation { expect, wish }).await? {
            Changed::Done(done) => Ok(done),
            Changed::NotMet(found) => Err(NotSet::NotMet { key: key.clone(), found }),
            Changed::Kept => unreachable!("a value that is set is never kept as it was"),
        }
    }

    async fn put_object(
        &self,
        key: &Key,
        begin: [Vec<u8>; 2],
        source: mpsc::Receiver<Fed>,
        options: &PutOptions,
    ) -> Result<Done, NotSet> {
        let upload = self.ballot(0);
        let (mut pieces, mut bytes, mut crc) = (0, 0, crc32fast::Hasher::new());
        let written = self.put_pieces(key, upload, begin, source, |value| {
            pieces += 1;
            bytes += value.len() as u64;
            crc.update(value);
        });
        let ended = match written.await {
            Err(why) => Err(why),
            Ok(()) => {
                let content_type = options.content_type.clone();
                let (piece_bytes, crc) = (PIECE_BYTES as u64, crc.finalize());
                let manifest = Manifest { content_type, bytes, piece_bytes, crc, upload };
                let wish = manifest.wish(options.expires_ms(self.now_ms()));
                self.set(key, options.expect, wish).await
            }
        };
        // If nobody can tell whether the header was written, the pieces stay: as the object's, or as orphans.
        if ended.as_ref().is_err_and(NotSet::changed_nothing) {
            self.remove_all(key, upload, pieces).await;
        }
        ended
    }

    /// Writes all pieces, a few at a time, each after it was shown to `see` in its turn.
    async fn put_pieces(
        &self,
        key: &Key,
        upload: Ballot,
        begin: [Vec<u8>; 2],
        source: mpsc::Receiver<Fed>,
        mut see: impl FnMut(&[u8]),
    ) -> Result<(), NotSet> {
        if key.as_str().len() > NAME_BYTES {
            return Err(NotSet::TooLong {
                key: key.clone(),
                what: "as that of a large object, the name",
                bytes: key.as_str().len(),
                most: NAME_BYTES,
            });
        }
        let begun = Instant::now();
        let laggards = Laggards::default();
        let rest = stream::try_unfold(source, |mut source| async {
            Ok::<_, NotSet>(next(key, &mut source).await?.map(|value| (value, source)))
        });
        let numbered = stream::iter(begin.map(Ok)).chain(rest).zip(stream::iter(0_u32..));
        let writing = numbered.map(|(value, number)| {
            let value = value?;
            see(&value);
            Ok::<_, NotSet>(self.put_piece(key, piece(key, upload, number), value, &laggards))
        });
        writing.try_buffer_unordered(AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
        let most = ORPHAN_AGE / 2;
        if begun.elapsed() > most {
            let why = Trouble::TooSlow { hours: most.as_secs() / 3_600 };
            return Err(NotSet::NotDone { key: key.clone(), why });
        }
        Ok(())
    }

    async fn put_piece(
        &self,
        key: &Key,
        name: Key,
        value: Vec<u8>,
        laggards: &Laggards,
    ) -> Result<(), NotSet> {
        if let Some(arc) = self.arc_in_memory(&name)
            && self.accepted_unprepared(&arc, &name, &value, laggards).await
        {
            return Ok(());
        }
        match self.change(&name, putting(value)).await {
            Ok(_) => Ok(()),
            // Whatever became of the piece, the object was not changed.
            Err(NotChanged::NotDone { why, .. } | NotChanged::Unknown { why, .. }) => {
                Err(NotSet::NotDone { key: key.clone(), why })
            }
        }
    }

    /// Has a piece accepted by a majority. If not, nobody knows who took it.
    async fn accepted_unprepared(
        &self,
        arc: &RingArc,
        name: &Key,
        value: &[u8],
        laggards: &Laggards,
    ) -> bool {
        let ballot = self.ballot(arc.epoch);
        let header = Header::absent(Ballot::ZERO).with(ballot, Some(Content::default()));
        let state = State { header, value: value.to_vec() };
        let mut waiting: BTreeSet<StorageId> = arc.members.iter().map(|m| m.storage).collect();
        waiting.retain(|storage| !laggards.borrow().contains(storage));
        let mut vote = Tally::of(arc.members.len());
        (waiting.len()..arc.members.len()).for_each(|_| vote.no());
        let asked = arc.members.iter().filter(|m| waiting.contains(&m.storage));
        let accept = |member| {
            let state = Proposed::State(state.clone());
            (member, Request::Accept { key: name.clone(), ballot, state })
        };
        let said: Vec<_> = asked.map(accept).collect();
        let mut answers = self.say_all(said);
        while let Some((from, heard)) = answers.next().await {
            self.take_in(arc, from, &heard);
            waiting.remove(&from);
            match heard {
                Ok(Ok(Reply::Accepted)) => vote.aye(),
                _ => vote.no(),
            }
            if vote.verdict() != Verdict::Pending {
                break;
            }
        }
        let others = async {
            while let Some((from, heard)) = answers.next().await {
                self.take_in(arc, from, &heard);
                waiting.remove(&from);
            }
        };
        if vote.verdict() == Verdict::Reached && timeout(GRACE, others).await.is_err() {
            laggards.borrow_mut().extend(waiting);
        }
        vote.verdict() == Verdict::Reached
    }

    /// Deletes the pieces of an object that no header names any more. What cannot be deleted is left to the sweep.
    pub(crate) async fn remove_pieces(&self, key: &Key, object: &Manifest) {
        self.remove_all(key, object.upload, object.pieces()).await;
    }

    async fn remove_all(&self, key: &Key, upload: Ballot, pieces: u32) {
        let delete = |number| async move {
            let delete = Operation { expect: Expect::Anything, wish: Wish::Delete };
            self.change(&piece(key, upload, number), delete).await.map(drop)
        };
        let mut deleted = stream::iter(0..pieces).map(delete).buffer_unordered(2 * AT_ONCE);
        while let Some(deleted) = deleted.next().await {
            if let Err(why) = deleted {
                log::warn!("pieces of an object of key '{key}' are left to the next repair: {why}");
                return;
            }
        }
    }
}

/// Refuses what no header can hold, before anything is sent.
pub(crate) fn check(key: &Key, content_type: &str) -> Result<(), NotSet> {
    let most = limits::CONTENT_TYPE_BYTES;
    let (what, bytes, key) = ("the content type", content_type.len(), key.clone());
    if bytes > most {
        return Err(NotSet::TooLong { key, what, bytes, most });
    }
    if content_type == OBJECT {
        return Err(NotSet::Reserved { key });
    }
    Ok(())
}

/// The next piece of a source; none when it has come to its end.
async fn next(key: &Key, source: &mut mpsc::Receiver<Fed>) -> Result<Option<Vec<u8>>, NotSet> {
    let why = match source.recv().await {
        Some(Fed::Piece(value)) => return Ok(Some(value)),
        Some(Fed::End) => return Ok(None),
        Some(Fed::Failed(why)) => why,
        None => "nobody goes on reading it".into(),
    };
    Err(NotSet::Unread { key: key.clone(), why })
}
