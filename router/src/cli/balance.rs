//! `sdht balance`: even out what the storages keep.

use super::{Care, Ended, console::Console, preview, progress};
use clap::Args;
use sdht::Wanted;
use serde_json::json;

/// Move the boundaries of the arcs until no storage keeps more than 1.2 times its share of the bytes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht balance
  sdht balance --plan
  sdht balance --ring 10.0.0.1:8000")]
pub(crate) struct Balance {
    #[command(flatten)]
    care: Care,
}

impl Balance {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = self.care.ring(console).await?;
        if self.care.plan {
            return preview::show(console, &ring, Wanted::Balance).await;
        }
        progress::follow(console, "balance", ring.balance()).await?;
        if console.json {
            return console.object(json!({ "balanced": true }));
        }
        console.print("no storage keeps more than 1.2 times its share")
    }
}
