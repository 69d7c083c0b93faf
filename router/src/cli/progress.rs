//! How a change of the ring goes, for whoever waits: a bar on a terminal, else one line every ten seconds.

use super::{Ended, console::Console};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sdht::{Moving, Progress};
use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_secs(10);

/// Waits for the end of a change, and shows how it goes.
pub(crate) async fn follow(console: &Console, what: &str, mut moving: Moving) -> Ended {
    let mut view = View::new(console, what);
    while let Some(progress) = moving.next().await {
        view.show(&progress);
    }
    view.bar.finish_and_clear();
    Ok(moving.await?)
}

struct View<'a> {
    console: &'a Console,
    what: &'a str,
    bar: ProgressBar,
    said: Instant,
    /// The most members that were ever still to come in or go.
    most: usize,
    keys: usize,
    copied: usize,
}

impl<'a> View<'a> {
    fn new(console: &'a Console, what: &'a str) -> Self {
        let is_shown = io::stderr().is_terminal() && !console.is_quiet();
        let target =
            if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {elapsed} {msg}");
        let style = style.expect("the template is well formed");
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style);
        bar.set_prefix(what.to_owned());
        Self { console, what, bar, said: Instant::now(), most: 0, keys: 0, copied: 0 }
    }

    fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Step(_, left) => {
                self.most = self.most.max(*left);
                self.bar.set_length(self.most as u64);
                self.bar.set_position((self.most - left) as u64);
            }
            Progress::Synced(_, keys, copied) => {
                self.keys += keys;
                self.copied += copied;
            }
            Progress::Agreed(arc, decree) => log::info!("{arc}: {decree:?}"),
            Progress::Waiting(why) => log::info!("waiting: {why}"),
        }
        let line = format!("{} keys seen, {} copied", self.keys, self.copied);
        if self.bar.is_hidden() && self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            self.console.say(format_args!("{}: {line}", self.what));
        }
        self.bar.set_message(line);
    }
}
