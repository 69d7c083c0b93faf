//! How something long goes, for whoever waits: a bar on a terminal, else one line every ten seconds.

use super::{Ended, console::Console};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sdht::{Moving, Progress};
use std::{
    fmt::Display,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_secs(10);

/// The line that tells how it goes.
pub(crate) struct Line<'a> {
    console: &'a Console,
    what: String,
    bar: ProgressBar,
    said: Instant,
}

impl<'a> Line<'a> {
    /// About this.
    pub(crate) fn new(console: &'a Console, what: impl Into<String>) -> Self {
        let is_shown = io::stderr().is_terminal() && !console.is_quiet();
        let target =
            if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let what = what.into();
        let bar = ProgressBar::with_draw_target(None, target).with_prefix(what.clone());
        let style = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})");
        bar.set_style(style.expect("the template is well formed"));
        Self { console, what, bar, said: Instant::now() }
    }

    /// How much of how much; from then on there is a bar.
    pub(crate) fn part(&self, done: usize, of: usize) {
        if self.bar.length() != Some(of as u64) {
            let style = "{prefix}: {bar:30} {pos}/{len} {msg} ({elapsed}, {eta} to go)";
            let style = ProgressStyle::with_template(style);
            self.bar.set_style(style.expect("the template is well formed"));
            self.bar.set_length(of as u64);
        }
        self.bar.set_position(done as u64);
    }

    /// How it stands now.
    pub(crate) fn show(&mut self, now: impl Display) {
        if !self.bar.is_hidden() {
            self.bar.set_message(now.to_string());
            self.bar.tick();
        } else if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            self.console.say(format_args!("{}: {now}", self.what));
        }
    }

    /// It is over; the line goes.
    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// Waits for the end of a change of the ring, and shows how it goes.
pub(crate) async fn follow(console: &Console, what: &str, mut moving: Moving) -> Ended {
    let mut line = Line::new(console, what);
    let (mut most, mut keys, mut copied) = (0, 0, 0);
    while let Some(progress) = moving.next().await {
        match progress {
            Progress::Step(_, left) => {
                // As more comes to light, the whole grows; it never shrinks.
                most = most.max(left);
                line.part(most - left, most);
            }
            Progress::Synced(_, more_keys, more_copied) => {
                keys += more_keys;
                copied += more_copied;
            }
            Progress::Agreed(arc, decree) => log::info!("{arc}: {decree:?}"),
            Progress::Waiting(why) => log::info!("waiting: {why}"),
        }
        line.show(format_args!("{keys} keys seen, {copied} copied"));
    }
    line.end();
    Ok(moving.await?)
}
