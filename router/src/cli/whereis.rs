//! `sdht whereis`: which storages keep a key; and with `--check`, what each of them holds of it.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    table,
};
use clap::Args;
use minor_protocol::{Key, Member, Record, Reply, State, message::ShownContent};
use sdht::{NotGot, look::Look, transport::lines::Heard};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Tell which storages keep a key; the first of them has its place on the ring at the end of the key's arc.
///
/// With --check each is asked what it holds; the code is 8 if they are not of one mind.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht whereis greeting
  sdht whereis greeting --check
  sdht whereis photos/cat --check --json")]
pub(crate) struct Whereis {
    /// The key; it need not have a value.
    key: String,

    /// Ask each storage for its stamp, bytes and checksum.
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    key: &'a Key,
    place: String,
    from: String,
    to: String,
    epoch: u64,
    storages: Vec<Copy>,
    /// Only where copies were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    agree: Option<bool>,
}

/// One storage, and what it holds.
#[derive(Serialize)]
struct Copy {
    address: String,
    id: String,
    filling: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    /// The first 16 digits of the value's SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
}

/// How one copy stands to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
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

impl Whereis {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        // The memory may be out of date; this is asked by people who want to know.
        ring.walk().await?;
        let key = Key::new(self.key.as_str()).map_err(NotGot::from)?;
        let told = if self.check {
            compared(&key, ring.look(key.clone()).await?)
        } else {
            let arcs = ring.arcs().await;
            let arc = arcs.into_iter().find(|arc| arc.span.holds(key.position()));
            let arc = arc.ok_or_else(|| Fail::other("no storage keeps that key's arc"))?;
            let plain = |member: &Member| Copy::of(member, arc.filling == Some(member.storage));
            let storages = arc.members.iter().map(plain).collect();
            Told { storages, agree: None, ..Told::of(&key, &arc) }
        };
        told.print(console)?;
        match told.agree {
            Some(false) => Err(Fail::silent(Code::Degraded)),
            _ => Ok(()),
        }
    }
}

impl<'a> Told<'a> {
    fn of(key: &'a Key, arc: &minor_protocol::RingArc) -> Self {
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

    fn print(&self, console: &Console) -> Ended {
        if console.json {
            return console.object(self);
        }
        console.print(format_args!(
            "'{}' lies at {}, in the arc ({}, {}] of epoch {}",
            self.key, self.place, self.from, self.to, self.epoch
        ))?;
        let mut rows = table::of(match self.agree {
            Some(_) => &["storage", "stamp", "bytes", "checksum", "verdict"],
            None => &["storage"],
        });
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        for copy in &self.storages {
            let filling = if copy.filling { " (being filled)" } else { "" };
            let mut row = vec![format!("{}{filling}", copy.address)];
            if let Some(verdict) = &copy.verdict {
                row.extend([
                    or_none(copy.stamp.clone()),
                    or_none(copy.bytes.map(|bytes| bytes.to_string())),
                    or_none(copy.checksum.clone()),
                    verdict.to_string(),
                ]);
            }
            rows.add_row(row);
        }
        console.print(table::text(&rows))?;
        match self.agree {
            None => Ok(()),
            Some(true) => console.print("All copies agree."),
            Some(false) if self.storages.iter().any(Copy::differs) => console.print(
                "They do not all agree. A majority decides what is read; 'sdht repair' makes them alike.",
            ),
            Some(false) => console.print("Those that were seen agree; 'sdht status' tells of the others."),
        }
    }
}

impl Copy {
    /// Whether it is known to be another than the newest.
    fn differs(&self) -> bool {
        matches!(self.verdict, Some(Verdict::Alike | Verdict::Older))
    }

    fn of(member: &Member, filling: bool) -> Self {
        let (address, id) = (member.address.clone(), member.storage.to_string());
        Self { address, id, filling, stamp: None, bytes: None, checksum: None, verdict: None }
    }
}

fn compared(key: &Key, look: Look) -> Told<'_> {
    let held: Vec<Result<Option<Record>, String>> =
        look.copies.iter().map(|(_, heard)| held(heard)).collect();
    let verdicts = verdicts(&held);
    let agree = verdicts.iter().all(|v| matches!(v, Verdict::Newest | Verdict::Absent));
    let copies = look.copies.iter().zip(held).zip(verdicts);
    let storages = copies.map(|(((member, _), held), verdict)| {
        let mut copy = Copy::of(member, look.arc.filling == Some(member.storage));
        if let Ok(Some(record)) = held {
            copy.stamp = record.state.header.stamp().map(|stamp| stamp.0.to_string());
            if record.state.header.content.is_some() {
                copy.bytes = Some(record.state.value.len());
                copy.checksum = Some(checksum(&record.state));
            }
        }
        copy.verdict = Some(verdict);
        copy
    });
    Told { storages: storages.collect(), agree: Some(agree), ..Told::of(key, &look.arc) }
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
