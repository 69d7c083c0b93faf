//! `sdht repair`: finish what is half done, and make all copies alike.

use super::{Care, Ended, console::Console, preview, progress, status};
use clap::Args;
use sdht::{Wanted, object::ORPHAN_AGE};
use serde_json::json;

/// Finish or undo what a stopped command left half done, and make all copies alike; the newest wins.
///
/// The code is 8 if something is still not as it should be.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht repair
  sdht repair --ring 10.0.0.1:8000
  sdht repair --json")]
pub(crate) struct Repair {
    #[command(flatten)]
    care: Care,
}

impl Repair {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        if self.care.plan {
            return preview::show(console, &ring, Wanted::Repair).await;
        }
        progress::follow(console, "repair", ring.repair()).await?;
        // Pieces of large objects that no header names.
        let orphans = ring.sweep_orphans(ORPHAN_AGE).await?;
        log::info!("{orphans} pieces of broken uploads were deleted");
        let seen = status::survey(&ring).await?;
        if console.json {
            let state = &seen.state;
            console.object(json!({ "degraded": state.is_degraded, "verdict": state.sentence }))?;
        } else {
            console.print(&seen.state.sentence)?;
        }
        seen.end()
    }
}
