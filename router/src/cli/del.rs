//! `sdht del`: delete a key.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    set,
};
use clap::Args;
use sdht::{Expect, Stamp};
use serde_json::json;

/// Delete keys. One that has no value ends with code 3.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht del greeting
  sdht del photos/cat photos/dog
  sdht del lock --if-match 1-1a2b3c4d5e6f0000-9f3c-0")]
pub(crate) struct Del {
    /// The keys.
    #[arg(required = true)]
    keys: Vec<String>,

    /// Only if the value there is of this stamp.
    #[arg(long, value_name = "STAMP", value_parser = set::stamp)]
    if_match: Option<Stamp>,
}

impl Del {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        let expect = self.if_match.map_or(Expect::Anything, Expect::Stamp);
        let mut absent = vec![];
        for key in &self.keys {
            let deleted = ring.delete_if(key, expect).await?;
            if console.json {
                console.object(json!({ "key": key, "deleted": deleted }))?;
            }
            if !deleted {
                absent.push(format!("'{key}'"));
            }
        }
        match &absent[..] {
            [] => Ok(()),
            [key] => Err(Fail::new(Code::NotFound, format!("key {key} had no value"))),
            keys => {
                Err(Fail::new(Code::NotFound, format!("keys {} had no value", keys.join(", "))))
            }
        }
    }
}
