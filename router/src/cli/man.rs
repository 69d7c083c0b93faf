//! `sdht man`: the manual pages.

use super::{Ended, command, console::Console, fail::Fail};
use clap::Args;
use std::path::PathBuf;

/// Write the manual pages, one a verb, into a directory.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht man .
  sdht man ~/.local/share/man/man1
  sdht man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// The directory; it is made.
    dir: PathBuf,
}

impl Man {
    pub(crate) fn run(&self, _: &Console) -> Ended {
        let no = |why: std::io::Error| Fail::file(&self.dir, why);
        std::fs::create_dir_all(&self.dir).map_err(no)?;
        clap_mangen::generate_to(command(), &self.dir).map_err(no)
    }
}
