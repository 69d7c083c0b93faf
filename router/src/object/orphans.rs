//! The sweep of orphans: pieces that no header names, and none ever will. See [`crate::object`] for what makes it safe.

use super::{Manifest, object_of};
use crate::{error::NotGot, listing::Cursor, router::Router, transport::Transport};
use futures_util::{StreamExt, stream};
use minor_protocol::{Ballot, Expect, Key, Operation, Wish};
use std::{collections::BTreeMap, time::Duration};

/// Pieces that are deleted at the same time.
const AT_ONCE: usize = 64;
/// Objects of which it is remembered whether a header names them: pieces of one object are met all over the ring.
const REMEMBERED: usize = 100_000;

impl<T: Transport> Router<T> {
    /// Deletes every piece that no header names and whose upload began longer than `age` ago. Says how many went.
    ///
    /// Unless nobody is putting anything, `age` is to be [`ORPHAN_AGE`](crate::object::ORPHAN_AGE) or more: younger pieces
    /// may be those of an upload that is not finished yet.
    pub async fn sweep_orphans(&self, age: Duration) -> Result<usize, NotGot> {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let before_ms = self.now_ms().saturating_sub(age_ms);
        // An upload that is found unnamed when it is old enough stays so.
        let mut named: BTreeMap<(Key, Ballot), bool> = BTreeMap::new();
        let (mut cursor, mut swept) = (Cursor::default(), 0);
        while let Some(names) = self.list(&mut cursor).await? {
            let mut orphans = vec![];
            for name in names {
                let Some((key, upload)) = object_of(&name) else { continue };
                if upload.clock.ms() > before_ms {
                    continue;
                }
                let object = (key, upload);
                let is_named = match named.get(&object) {
                    Some(known) => *known,
                    None => {
                        let is_named = self.names(&object.0, upload).await?;
                        if named.len() >= REMEMBERED {
                            named.clear();
                        }
                        named.insert(object, is_named);
                        is_named
                    }
                };
                if !is_named {
                    orphans.push(name);
                }
            }
            let delete = |name: Key| async move {
                let delete = Operation { expect: Expect::Anything, wish: Wish::Delete };
                self.change(&name, delete).await
            };
            let mut deleted = stream::iter(orphans).map(delete).buffer_unordered(AT_ONCE);
            while let Some(deleted) = deleted.next().await {
                // What could not be deleted is found again by the next sweep.
                swept += usize::from(deleted.is_ok());
            }
        }
        Ok(swept)
    }

    /// Whether a key's header is that of this upload.
    async fn names(&self, key: &Key, upload: Ballot) -> Result<bool, NotGot> {
        let header = self.get(key).await?.as_ref().and_then(Manifest::of);
        Ok(match header {
            None => false,
            Some(Ok(manifest)) => manifest.upload == upload,
            // Of a header that cannot be read nobody knows what it names.
            Some(Err(_)) => true,
        })
    }
}
