//! `sdht copies`: how many copies the ring keeps of everything.

use super::{Care, Ended, console::Console, preview, progress};
use clap::Args;
use sdht::Wanted;
use serde_json::json;

/// Change the number of copies of a living ring. Three survive the loss of one storage, five of two.
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
        let ring = console.ring().await?;
        if self.care.plan {
            return preview::show(console, &ring, Wanted::Copies(self.copies)).await;
        }
        let moving = ring.set_copies(self.copies);
        progress::follow(console, &format!("copies {}", self.copies), moving).await?;
        if console.json {
            return console.object(json!({ "copies": self.copies }));
        }
        console.print(format_args!("the ring keeps {} of everything", in_words(self.copies)))
    }
}

fn in_words(copies: u8) -> String {
    if copies == 1 { "1 copy".into() } else { format!("{copies} copies") }
}
