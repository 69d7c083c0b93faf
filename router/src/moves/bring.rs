//! Bringing what a storage kept by itself into the ring, before it becomes part of it.
//!
//! A storage in no ring is the smallest store there is: one arc, one member. Its records are read page by page and set in the
//! ring, each only where the ring has no value. Where both have one and they differ, nobody can tell which is meant: then the
//! storage is not let in, and nothing of it is dropped. Said again, it goes on: what was brought is found to be alike.

use super::{NotMoved, Progress, Synced};
use crate::{
    register::Changed,
    router::Router,
    transport::{Silence, Transport},
};
use futures_util::{StreamExt, stream};
use minor_protocol::{
    Ask, Expect, Key, Operation, Refusal, Reply, Request, StorageId, Wish,
    message::{Held, Hello, Tally},
};

/// Keys that are set at the same time.
const AT_ONCE: usize = 64;
/// How often it is gone through again when somebody has written to the storage meanwhile.
const LOOKS: usize = 4;

impl<T: Transport> Router<T> {
    /// Sets in the ring what the storage at this address keeps, if it is in no ring.
    pub async fn bring(
        &self,
        address: &str,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        self.heed_majorities(tell).await?;
        let silent = |silence| NotMoved::Silent { address: address.to_owned(), silence };
        let (hello, _) = self.hello(address).await.map_err(silent)?;
        if hello.ring.is_some() {
            return Ok(());
        }
        let mut before = self.plain_tally(address, &hello).await?;
        for _ in 0..LOOKS {
            self.bring_all(address, &hello, before, tell).await?;
            let now = self.plain_tally(address, &hello).await?;
            if now == before {
                return Ok(());
            }
            before = now;
        }
        let silence = Silence::Garbled("somebody writes to it all the time".into());
        Err(NotMoved::Silent { address: address.to_owned(), silence })
    }

    async fn bring_all(
        &self,
        address: &str,
        hello: &Hello,
        all: Tally,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let Some(kept) = hello.kept.first() else { return Ok(()) };
        let (span, epoch) = (kept.arc.span, kept.arc.epoch);
        let mut far = Synced::beginning(span, all.records, all.bytes);
        let (mut after, mut differ): (Option<Key>, Vec<Key>) = (None, vec![]);
        loop {
            let page = Request::Records { span, epoch, after };
            let Reply::Records { records, more, .. } = self.ask_alone(address, hello, page).await?
            else {
                return Err(odd(address));
            };
            after = records.last().map(|held| held.key.clone());
            let bytes: usize = records.iter().map(Held::bytes).sum();
            self.core.pace.spend(bytes).await;
            (far.keys, far.bytes) = (far.keys + records.len() as u64, far.bytes + bytes as u64);
            let set = records.into_iter().map(|held| self.bring_one(held));
            let mut set = stream::iter(set).buffer_unordered(AT_ONCE);
            while let Some(brought) = set.next().await {
                match brought? {
                    Brought::Set => far.copied += 1,
                    Brought::ThereAlready => {}
                    Brought::Differs(key) => differ.push(key),
                }
            }
            tell(Progress::Synced(far));
            if !more || after.is_none() {
                break;
            }
        }
        match differ.first() {
            None => Ok(()),
            Some(key) => Err(NotMoved::Differs {
                address: address.to_owned(),
                key: key.clone(),
                keys: differ.len(),
            }),
        }
    }

    async fn bring_one(&self, held: Held) -> Result<Brought, NotMoved> {
        let Held { key, record } = held;
        let not_brought = |why: String| NotMoved::NotBrought { key: key.clone(), why };
        if !record.state.header.is_alive(self.now_ms()) {
            return Ok(Brought::ThereAlready);
        }
        let Some(content) = record.state.header.content else { return Ok(Brought::ThereAlready) };
        let value = record.state.value;
        let wish = Wish::Set {
            content_type: content.content_type,
            expires_ms: content.expires_ms,
            value: value.clone(),
        };
        let set = self.change(&key, Operation { expect: Expect::Absent, wish }).await;
        if !matches!(set.map_err(|why| not_brought(why.to_string()))?, Changed::NotMet(_)) {
            return Ok(Brought::Set);
        }
        let there = self.get(&key).await.map_err(|why| not_brought(why.to_string()))?;
        // The same bytes are the same value, whatever they are said to be.
        Ok(if there.is_some_and(|there| there.value == value) {
            Brought::ThereAlready
        } else {
            Brought::Differs(key)
        })
    }

    async fn plain_tally(&self, address: &str, hello: &Hello) -> Result<Tally, NotMoved> {
        let Some(kept) = hello.kept.first() else { return Ok(Tally::default()) };
        let tally = Request::Tally { span: kept.arc.span, epoch: kept.arc.epoch };
        match self.ask_alone(address, hello, tally).await? {
            Reply::Tallied { tally } => Ok(tally),
            _ => Err(odd(address)),
        }
    }

    /// Asks a storage that is in no ring.
    async fn ask_alone(
        &self,
        address: &str,
        hello: &Hello,
        request: Request,
    ) -> Result<Reply, NotMoved> {
        let storage: StorageId = hello.member.storage;
        let starts = self.core.lines.starts(storage);
        let ask = Ask { storage: Some(storage), ring: None, starts, requests: vec![request] };
        let silent = |silence| NotMoved::Silent { address: address.to_owned(), silence };
        let refused = |refusal: Refusal| NotMoved::Refused { address: address.to_owned(), refusal };
        let answers = self.core.lines.ask_stranger(address, ask).await.map_err(silent)?;
        let answer = answers.answers.into_iter().next().ok_or_else(|| odd(address))?;
        answer.map_err(refused)
    }
}

/// What became of one record.
enum Brought {
    Set,
    ThereAlready,
    Differs(Key),
}

fn odd(address: &str) -> NotMoved {
    let silence = Silence::Garbled("it answers something else".into());
    NotMoved::Silent { address: address.to_owned(), silence }
}
