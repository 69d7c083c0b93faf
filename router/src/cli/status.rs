//! `sdht status`: every storage, and the state of the ring in one sentence.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    settings::Origin,
    table,
};
use clap::Args;
use minor_protocol::{RingArc, RingId, message::Hello};
use sdht::{
    Ring,
    verdict::{self, Health, Own, State},
    walk::Walked,
};
use serde_json::{Value, json};
use std::{
    io::{self, IsTerminal},
    time::Duration,
};

/// Show every storage, then in one sentence what is wrong, whether one may be stopped, and what to do next.
///
/// The code is 8 when something is not as it should be.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht status
  sdht status --watch
  sdht status --json | jq .verdict")]
pub(crate) struct Status {
    /// Show it again every two seconds, until it is stopped.
    #[arg(long)]
    pub(crate) watch: bool,
}

const EVERY: Duration = Duration::from_secs(2);

impl Status {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        self.show(console, self.watch).await
    }

    /// As `sdht monitor`.
    pub(crate) async fn watch(&self, console: &Console) -> Ended {
        self.show(console, true).await
    }

    async fn show(&self, console: &Console, again: bool) -> Ended {
        let ring = console.ring().await?;
        loop {
            let seen = survey(&ring).await;
            if again && !console.json && io::stdout().is_terminal() {
                // From the top of an empty screen.
                console.write(b"\x1b[H\x1b[2J")?;
            }
            let ended = seen.and_then(|seen| seen.print(console));
            console.flush()?;
            match (again, ended) {
                (false, ended) => return ended,
                // A ring that is watched may come and go; a closed pipe does not come back.
                (true, Err(fail)) if fail.code == Code::Ok => return Err(fail),
                (true, Err(fail)) => drop(fail.tell(console.json)),
                (true, Ok(())) => {}
            }
            actix_rt::time::sleep(EVERY).await;
        }
    }
}

/// What was seen of a ring.
pub(crate) struct Seen {
    pub(crate) arcs: Vec<RingArc>,
    pub(crate) state: State,
    /// The part of the ring of which the copies differ, though nobody is writing there.
    pub(crate) unlike: f64,
}

/// Asks everybody.
pub(crate) async fn survey(ring: &Ring) -> Result<Seen, Fail> {
    let Walked { hops, arcs } = ring.survey().await?;
    let hellos: Vec<Hello> = hops.into_iter().filter_map(|hop| hop.hello).collect();
    let unlike = ring.unlike(&arcs).await.iter().map(|arc| arc.span.share()).sum();
    let state = verdict::judge(&arcs, &hellos, unlike);
    Ok(Seen { arcs, state, unlike })
}

impl Seen {
    fn ring(&self) -> RingId {
        self.arcs[0].ring
    }

    fn copies(&self) -> u8 {
        self.arcs.iter().map(|arc| arc.copies).max().unwrap_or(1)
    }

    fn print(&self, console: &Console) -> Ended {
        if console.json {
            console.object(self.to_json())?;
        } else {
            console.print(table::text(&self.table()))?;
            console.print(&self.state.sentence)?;
        }
        let is_used_last = matches!(console.settings.ring.origin, Origin::Memory(_));
        if is_used_last
            && self
                .state
                .storages
                .iter()
                .all(|storage| matches!(storage.health, Health::Silent | Health::Replaced))
        {
            console.say("This is the ring used last; another one is named with --ring HOST:PORT.");
        }
        self.end()
    }

    /// Code 8, without a word, if the ring is degraded.
    pub(crate) fn end(&self) -> Ended {
        if self.state.worst.is_degraded() { Err(Fail::silent(Code::Degraded)) } else { Ok(()) }
    }

    pub(crate) fn table(&self) -> comfy_table::Table {
        let mut table =
            table::of(&["storage", "state", "arc %", "keys", "bytes", "copies", "may stop"]);
        table::numbers(&mut table, &[2, 3, 4, 5]);
        for storage in &self.state.storages {
            let Own { share, copies: kept, wanted } = storage.own(&self.arcs, &self.state.storages);
            let held = storage.held();
            table.add_row(vec![
                storage.member.address.clone(),
                storage.health.to_string(),
                format!("{:.1}", 100.0 * share),
                held.map_or_else(|| "-".into(), |(keys, _)| keys.to_string()),
                held.map_or_else(|| "-".into(), |(_, bytes)| table::bytes(bytes)),
                format!("{kept}/{wanted}"),
                if storage.may_stop { "yes" } else { "no" }.to_owned(),
            ]);
        }
        table
    }

    pub(crate) fn to_json(&self) -> Value {
        let all = &self.state.storages;
        let storages = all.iter().map(|storage| storage.shown(&self.arcs, all));
        let arcs = self.arcs.iter().map(|arc| {
            json!({
                "from": arc.span.from.to_string(),
                "to": arc.span.to.to_string(),
                "epoch": arc.epoch,
                "members": arc.members.iter().map(|member| &member.address).collect::<Vec<_>>(),
                "filling": arc.filling.and_then(|id| arc.member(id)).map(|member| &member.address),
                "sealed": arc.sealed.is_some(),
            })
        });
        json!({
            "ring": self.ring(),
            "copies": self.copies(),
            "degraded": self.state.worst.is_degraded(),
            "unlike": self.unlike,
            "verdict": self.state.sentence,
            "storages": storages.collect::<Vec<_>>(),
            "arcs": arcs.collect::<Vec<_>>(),
        })
    }
}
