//! `sdht purge`: storages drop what they keep and should not.

use super::{Care, Ended, console::Console, preview, progress, settings};
use clap::Args;
use sdht::Wanted;
use serde_json::json;

/// Have storages drop what does not belong to them any more, after its owners have proved that they hold it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht purge
  sdht purge 10.0.0.9:8000
  sdht purge --json")]
pub(crate) struct Purge {
    /// Storages that the ring does not know any more.
    #[arg(value_name = "HOST:PORT", value_parser = settings::address)]
    addresses: Vec<String>,

    #[command(flatten)]
    care: Care,
}

impl Purge {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = self.care.ring(console).await?;
        if self.care.plan {
            return preview::show(console, &ring, Wanted::Repair).await;
        }
        let moving = ring.purge(self.addresses.clone());
        let purged = progress::follow(console, "purge", moving).await?.purged;
        if console.json {
            return console.object(json!({ "records": purged }));
        }
        console.print(format_args!("{purged} records were dropped that did not belong"))
    }
}
