//! `sdht completions`: what a shell needs to complete the command.

use super::{Ended, command, console::Console};
use clap::Args;
use clap_complete::Shell;

/// Print what a shell needs to complete the command.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht completions bash > ~/.local/share/bash-completion/completions/sdht
  sdht completions zsh > ~/.zfunc/_sdht
  sdht completions fish > ~/.config/fish/completions/sdht.fish")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, console: &Console) -> Ended {
        let mut script = vec![];
        clap_complete::generate(self.shell, &mut command(), "sdht", &mut script);
        console.write(&script)
    }
}
