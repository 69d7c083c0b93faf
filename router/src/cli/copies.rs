//! `sdht copies`: how many copies the ring keeps of everything.

use super::{Care, Ended, console::Console, preview, progress};
use clap::Args;
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
