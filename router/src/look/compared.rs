//! Who keeps a key, and how the copies stand to each other: what `sdht whereis` and the door tell of a [`Look`].

use crate::{look::Look, transport::lines::Heard};
use minor_protocol::{Key, Member, Record, Reply, RingArc, State, message::ShownContent};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Where a key lives.
#[derive(Clone, Debug, Serialize)]
pub struct Told<'a> {
    /// The key.
    pub key: &'a Key,
    /// Its place.
    pub place: String,
    /// Where its arc begins.
    pub from: String,
    /// Where its arc ends.
    pub to: String,
    /// Which form of the arc.
    pub epoch: u64,
    /// Who keeps it.
    pub storages: Vec<Copy>,
    /// Whether all copies are the newest; only where they were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agree: Option<bool>,
}

/// One storage, and what it holds.
#[derive(Clone, Debug, Serialize)]
pub struct Copy {
    /// Where it listens.
    pub address: String,
    /// Who it is.
    pub id: String,
    /// It is still being filled.
    pub filling: bool,
    /// Which change made the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// How long it is; of a long one that is cut into pieces, its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// The first 16 digits of the value's SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// What it holds has expired: users see nothing.
    #[serde(skip_serializing_if = "is_no")]
    pub expired: bool,
    /// How it stands to the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// How one copy stands to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The newest there is.
    Newest,
    /// The same value as the newest, renewed at some storages only.
    Alike,
    /// An older value, or none.
    Older,
    /// Nothing, and nobody else has anything.
    Absent,
    /// It does not say, and why.
    Silent(String),
}

impl<'a> Told<'a> {
    /// Its arc, and nobody yet who keeps it.
    fn of(key: &'a Key, arc: &RingArc) -> Self {
        Told {
            key,
            place: key.position().to_string(),
            from: arc.span.from.to_string(),
            to: arc.span.to.to_string(),
            epoch: arc.epoch,
            storages: vec![],
            agree: None,
        }
    }

    /// Who keeps it, without asking them.
    pub fn by_arc(key: &'a Key, arc: &RingArc) -> Self {
        let plain = |member: &Member| Copy::of(member, arc.filling == Some(member.storage));
        let storages = arc.members.iter().map(plain).collect();
        Told { storages, ..Self::of(key, arc) }
    }
}

impl Copy {
    /// Whether it is known to be another than the newest.
    pub fn differs(&self) -> bool {
        matches!(self.verdict, Some(Verdict::Alike | Verdict::Older))
    }

    fn of(member: &Member, filling: bool) -> Self {
        let (address, id) = (member.address.clone(), member.storage.to_string());
        let (stamp, bytes, checksum, verdict) = (None, None, None, None);
        Self { address, id, filling, stamp, bytes, checksum, expired: false, verdict }
    }
}

/// Holds each copy against the newest.
pub fn compared(key: &Key, look: Look) -> Told<'_> {
    let held: Vec<Result<Option<Record>, String>> =
        look.copies.iter().map(|(_, heard)| held(heard)).collect();
    let verdicts = verdicts(&held);
    let agree = verdicts.iter().all(|v| matches!(v, Verdict::Newest | Verdict::Absent));
    let copies = look.copies.iter().zip(held).zip(verdicts);
    let storages = copies.map(|(((member, _), held), verdict)| {
        let mut copy = Copy::of(member, look.arc.filling == Some(member.storage));
        if let Ok(Some(record)) = held {
            copy.stamp = record.state.header.stamp().map(|stamp| stamp.0.to_string());
            let header = &record.state.header;
            copy.expired = header.content.is_some() && !header.is_alive(look.now_ms);
            if header.is_alive(look.now_ms) {
                copy.bytes = Some(record.state.value.len());
                copy.checksum = Some(checksum(&record.state));
            }
        }
        copy.verdict = Some(verdict);
        copy
    });
    Told { storages: storages.collect(), agree: Some(agree), ..Told::of(key, &look.arc) }
}

fn is_no(it: &bool) -> bool {
    !it
}

/// What one storage holds, as it said; or why it does not say.
fn held(heard: &Heard) -> Result<Option<Record>, String> {
    match heard {
        Ok(Ok(Reply::Found { shown: None })) => Ok(None),
        Ok(Ok(Reply::Found { shown: Some(shown) })) => match &shown.content {
            ShownContent::Whole(state) => {
                Ok(Some(Record { ballot: shown.ballot, state: state.clone() }))
            }
            ShownContent::Header(..) => Err("it shows no value".into()),
        },
        Ok(Ok(_)) => Err("it answers something else".into()),
        Ok(Err(refusal)) => Err(refusal.to_string()),
        Err(silence) => Err(silence.to_string()),
    }
}

/// How each copy stands to the newest.
fn verdicts(held: &[Result<Option<Record>, String>]) -> Vec<Verdict> {
    let records = held.iter().filter_map(|held| held.as_ref().ok()?.as_ref());
    let newest = records.max_by_key(|record| record.ballot);
    let verdict = |held: &Result<Option<Record>, String>| match (held, newest) {
        (Err(why), _) => Verdict::Silent(why.clone()),
        (Ok(_), None) => Verdict::Absent,
        (Ok(None), Some(_)) => Verdict::Older,
        (Ok(Some(record)), Some(newest)) if record.ballot == newest.ballot => Verdict::Newest,
        (Ok(Some(record)), Some(newest)) if record.state == newest.state => Verdict::Alike,
        (Ok(Some(_)), Some(_)) => Verdict::Older,
    };
    held.iter().map(verdict).collect()
}

fn checksum(state: &State) -> String {
    let digest = Sha256::digest(&state.value);
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newest => f.write_str("newest"),
            Self::Alike => f.write_str("alike"),
            Self::Older => f.write_str("older"),
            Self::Absent => f.write_str("absent"),
            Self::Silent(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Ballot, Header, Moment};

    fn record(clock: u64, value: &str) -> Result<Option<Record>, String> {
        let ballot = Ballot { epoch: 1, clock: Moment(clock), router: 1, seq: 0 };
        let state = State { header: Header::default(), value: value.into() };
        Ok(Some(Record { ballot, state }))
    }

    #[test]
    fn each_copy_is_held_against_the_newest() {
        use Verdict::{Absent, Alike, Newest, Older, Silent};
        let silent = || Err("unreachable".into());
        assert_eq!(
            verdicts(&[record(5, "v"), record(5, "v"), record(5, "v")]),
            [Newest, Newest, Newest]
        );
        assert_eq!(
            verdicts(&[record(5, "v"), record(4, "v"), record(3, "u"), Ok(None), silent()]),
            [Newest, Alike, Older, Older, Silent("unreachable".into())]
        );
        assert_eq!(verdicts(&[Ok(None), silent()]), [Absent, Silent("unreachable".into())]);
    }
}
