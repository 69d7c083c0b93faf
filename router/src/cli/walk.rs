//! `sdht walk`: round the ring, storage by storage.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    table,
};
use clap::Args;
use minor_protocol::{
    Key, Span,
    message::{Hello, Kept},
};
use sdht::{NotGot, walk::Hop};
use serde_json::json;

/// Go round the ring, successor by successor, and print every hop; with a key, as far as its arc.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht walk
  sdht walk greeting
  sdht walk --ring 10.0.0.1:8000 --json")]
pub(crate) struct Walk {
    /// Go as far as the storage that keeps this key.
    key: Option<String>,
}

impl Walk {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let key = self.key.as_deref().map(Key::new).transpose().map_err(NotGot::from)?;
        let ring = console.ring().await?;
        // With a key, as few hops as it takes; else everybody.
        let walked = match &key {
            Some(_) => ring.walk().await?,
            None => ring.survey().await?,
        };
        if walked.hops.iter().all(|hop| hop.hello.is_none()) {
            let addresses: Vec<&str> = walked.hops.iter().map(|hop| &*hop.address).collect();
            let what =
                format!("none of {} storages answers: {}", addresses.len(), addresses.join(", "));
            return Err(Fail::new(Code::NoMajority, what).next(
                "Start one of them again, or name a storage of another ring: --ring HOST:PORT.",
            ));
        }
        let keeps = |hello: &Hello| match &key {
            Some(key) => hello.kept.iter().any(|kept| kept.arc.span.holds(key.position())),
            None => false,
        };
        let is_there = |hop: &Hop| hop.hello.as_ref().is_some_and(keeps);
        let end = walked.hops.iter().position(is_there).map_or(walked.hops.len(), |n| n + 1);
        let mut rows = table::of(&["hop", "storage", "its own arc", "arcs", "keys", "bytes"]);
        table::numbers(&mut rows, &[0, 3, 4, 5]);
        for (number, hop) in (1..).zip(&walked.hops[..end]) {
            if console.json {
                console.object(shown(number, hop))?;
                continue;
            }
            rows.add_row(match &hop.hello {
                None => vec![number.to_string(), hop.address.clone(), "no answer".into()],
                Some(hello) => vec![
                    number.to_string(),
                    hop.address.clone(),
                    own(hello).map_or_else(|| "none".into(), |span| span.to_string()),
                    hello.kept.len().to_string(),
                    hello.kept.iter().map(keys).sum::<u64>().to_string(),
                    table::bytes(hello.kept.iter().map(|kept| kept.bytes).sum()),
                ],
            });
        }
        if console.json {
            return Ok(());
        }
        console.print(table::text(&rows))?;
        match &key {
            Some(key) => console.print(format_args!("'{key}' lies at {}.", key.position())),
            None => console.print("The ring is closed."),
        }
    }
}

fn keys(kept: &Kept) -> u64 {
    kept.records.saturating_sub(kept.tombstones)
}

/// The arc that ends at the storage's place.
fn own(hello: &Hello) -> Option<Span> {
    let own = hello.kept.iter().find(|kept| kept.arc.first().storage == hello.member.storage);
    own.map(|kept| kept.arc.span)
}

fn shown(number: u32, hop: &Hop) -> serde_json::Value {
    let Some(hello) = &hop.hello else {
        return json!({ "hop": number, "address": hop.address, "answers": false });
    };
    let arcs = hello.kept.iter().map(|kept| {
        json!({
            "from": kept.arc.span.from.to_string(),
            "to": kept.arc.span.to.to_string(),
            "epoch": kept.arc.epoch,
            "members": kept.arc.members.iter().map(|member| &member.address).collect::<Vec<_>>(),
            "keys": keys(kept),
            "bytes": kept.bytes,
        })
    });
    json!({
        "hop": number,
        "address": hop.address,
        "answers": true,
        "id": hello.member.storage,
        "arcs": arcs.collect::<Vec<_>>(),
        "predecessor": hello.predecessor.as_ref().map(|near| &near.member.address),
        "successors": hello.successors.iter().map(|near| &near.member.address).collect::<Vec<_>>(),
    })
}
