//! `sdht has`: whether a key has a value, which one, and since when.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    value,
};
use clap::Args;

/// Tell whether a key has a value: its stamp, and when it was set. If not, the code is 3.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht has greeting
  sdht has lock -q && echo taken
  sdht has photos/cat --json")]
pub(crate) struct Has {
    /// The key.
    key: String,
}

impl Has {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        let Some(found) = ring.get_stream(&self.key, 0..0).await? else {
            let what = format!("key '{}' has no value", self.key);
            return Err(Fail::new(
                Code::NotFound,
                if console.is_quiet() { String::new() } else { what },
            ));
        };
        if console.json {
            return console.object(value::about(&self.key, &found));
        }
        console.print(format_args!("{}  {}", found.stamp.0, value::time(found.stamp)))
    }
}
