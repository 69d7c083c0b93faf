//! `sdht copies`: how many copies the ring keeps of everything.

use super::{
    Care, Ended,
    console::Console,
    fail::{Code, Fail},
    preview, progress,
};
use clap::Args;
use minor_protocol::{Member, RingArc};
use sdht::{Ring, StorageId, Wanted};
use serde_json::json;

/// Change the number of copies of a living ring. Three survive the loss of one storage, five of two.
///
/// More copies than there are storages are kept as far as they go, and completed as others join.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht copies 5
  sdht copies 5 --plan
  sdht copies 1 --ring 10.0.0.1:8000")]
pub(crate) struct Copies {
    /// How many.
    #[arg(value_parser = clap::value_parser!(u8).range(1..=7))]
    copies: u8,

    #[command(flatten)]
    care: Care,
}

impl Copies {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = self.care.ring(console).await?;
        if self.care.plan {
            return preview::show(console, &ring, Wanted::Copies(self.copies)).await;
        }
        self.heed_the_silent(&ring).await?;
        let moving = ring.set_copies(self.copies);
        progress::follow(console, &format!("copies {}", self.copies), moving).await?;
        let kept = self.copies.min(u8::try_from(members(&ring).await).unwrap_or(u8::MAX));
        if console.json {
            return console.object(json!({ "copies": self.copies, "kept": kept }));
        }
        match self.copies - kept {
            0 => console.print(format_args!("the ring keeps {} of everything", in_words(kept))),
            missing => console.print(format_args!(
                "everything is kept on {kept} of {} until {} join{}: sdht join HOST:PORT",
                self.copies,
                if missing == 1 { "one more storage".into() } else { format!("{missing} more") },
                if missing == 1 { "s" } else { "" },
            )),
        }
    }

    /// What three keep goes on without one of them; what two keep, one of them silent, stands still. So as long as all is
    /// served nobody takes copies away beside somebody who is silent.
    async fn heed_the_silent(&self, ring: &Ring) -> Ended {
        let walked = ring.survey().await?;
        let hellos = || walked.hops.iter().filter_map(|hop| hop.hello.as_ref());
        let answers = |member: &&Member| hellos().any(|h| h.member.storage == member.storage);
        let is_served =
            |arc: &RingArc| arc.members.iter().filter(answers).count() >= arc.majority();
        let mut silent: Vec<&str> = vec![];
        for member in walked.arcs.iter().flat_map(|arc| &arc.members) {
            if !answers(&member) && !silent.contains(&&*member.address) {
                silent.push(&member.address);
            }
        }
        let takes_away = walked.arcs.iter().any(|arc| arc.copies > self.copies);
        if silent.is_empty() || !takes_away || !walked.arcs.iter().all(is_served) {
            return Ok(());
        }
        let what = format!(
            "{} silent: with fewer copies, part of what is served now might stop; nothing was changed",
            match &silent[..] {
                [one] => format!("{one} is"),
                more => format!("{} are", more.join(" and ")),
            }
        );
        Err(Fail::new(Code::NotMet, what).next(format!(
            "Start it again first; or, if it never comes back: sdht remove {} --dead",
            silent.join(" ")
        )))
    }
}

/// How many storages there are.
async fn members(ring: &Ring) -> usize {
    let mut ids: Vec<StorageId> = vec![];
    for member in ring.arcs().await.iter().flat_map(|arc| &arc.members) {
        if !ids.contains(&member.storage) {
            ids.push(member.storage);
        }
    }
    ids.len()
}

fn in_words(copies: u8) -> String {
    if copies == 1 { "1 copy".into() } else { format!("{copies} copies") }
}
