//! `sdht remove`: storages let go of all they keep, and leave.

use super::{Care, Ended, console::Console, progress, settings};
use clap::Args;
use serde_json::json;

/// Hand everything a storage keeps to its neighbours, verified, and let it go. It serves meanwhile.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht remove 127.0.0.1:8002
  sdht remove 10.0.0.3:8000 10.0.0.4:8000
  sdht remove 10.0.0.4:8000 --dead")]
pub(crate) struct Remove {
    /// The storages.
    #[arg(required = true, value_name = "HOST:PORT", value_parser = settings::address)]
    addresses: Vec<String>,

    /// It is dead and never comes back: the others have what it kept.
    #[arg(long)]
    dead: bool,

    #[command(flatten)]
    care: Care,
}

impl Remove {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        for address in &self.addresses {
            let moving = ring.leave(address);
            progress::follow(console, &format!("remove {address}"), moving).await?;
            if console.json {
                console.object(json!({ "removed": address }))?;
            } else {
                console.print(format_args!("{address} has left the ring"))?;
            }
            console.flush()?;
        }
        Ok(())
    }
}
