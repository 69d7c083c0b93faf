//! `sdht repair`: finish what is half done, make all copies alike, and sweep what is dead.

use super::{Care, Ended, console::Console, preview, progress, status};
use clap::Args;
use sdht::{Swept, Wanted};
use serde_json::json;

/// Finish or undo what a stopped command left half done, and make all copies alike; the newest wins.
///
/// Then what is dead goes: deleted keys, where all storages that keep them answer, and pieces of uploads that broke off.
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
        let ring = self.care.ring(console).await?;
        if self.care.plan {
            return preview::show(console, &ring, Wanted::Repair).await;
        }
        let swept = progress::follow(console, "repair", ring.repair()).await?.swept;
        let seen = status::survey(&ring).await?;
        if console.json {
            let state = &seen.state;
            console.object(json!({
                "swept_keys": swept.keys,
                "swept_pieces": swept.pieces,
                "degraded": state.worst.is_degraded(),
                "verdict": state.sentence,
            }))?;
        } else {
            let Swept { keys, pieces } = swept;
            console
                .print(format_args!("{keys} dead keys and {pieces} orphaned pieces were swept"))?;
            console.print(&seen.state.sentence)?;
        }
        seen.end()
    }
}
