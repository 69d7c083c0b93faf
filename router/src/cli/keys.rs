//! `sdht keys`: all keys, or those that begin so.

use super::{Ended, console::Console};
use clap::Args;
use serde_json::json;

/// List the keys, in the order of their places on the ring.
///
/// One that stays all the while is never missed; while the ring itself changes, one may be shown twice.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht keys
  sdht keys --prefix photos/ | sort
  sdht keys --json | head -3")]
pub(crate) struct Keys {
    /// Only those that begin so.
    #[arg(long, default_value = "")]
    prefix: String,
}

impl Keys {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let mut keys = console.ring().await?.keys(&self.prefix);
        while let Some(key) = keys.next().await {
            let key = key?;
            if console.json {
                console.object(json!({ "key": key }))?;
            } else {
                console.print(key)?;
            }
        }
        Ok(())
    }
}
