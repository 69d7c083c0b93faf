//! How something long goes, for whoever waits: a bar on a terminal, else one line every ten seconds.

use super::{console::Console, fail::Fail, table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sdht::{Far, Gone, Lost, Moving, Progress};
use std::{
    fmt::Display,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

/// Steps of a bar.
const BAR: u64 = 1_000;
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

    /// The part that is done, of one; from then on there is a bar.
    pub(crate) fn part(&self, share: f64) {
        if self.bar.length().is_none() {
            let style = "{prefix}: {bar:30} {percent} % {msg} ({elapsed}, {eta} to go)";
            let style = ProgressStyle::with_template(style);
            self.bar.set_style(style.expect("the template is well formed"));
            self.bar.set_length(BAR);
        }
        self.bar.set_position((share * BAR as f64) as u64);
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
}

/// It is over, or was stopped: the line goes.
impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Waits for the end of a change of the ring, and shows how it goes. Says what has gone by it.
pub(crate) async fn follow(
    console: &Console,
    what: &str,
    mut moving: Moving,
) -> Result<Gone, Fail> {
    let (mut line, mut far) = (Line::new(console, what), Far::default());
    while let Some(progress) = moving.next().await {
        far.hear(&progress);
        match progress {
            Progress::Agreed(arc, decree) => log::info!("{arc}: {decree:?}"),
            Progress::Waiting(why) => log::info!("waiting: {why}"),
            Progress::Weighed(load) => log::info!("{load:?}"),
            Progress::Lost(lost) => console.say(what_is_lost(&lost)),
            Progress::Purged(purged) => log::info!("{purged:?}"),
            Progress::Step(..) | Progress::Synced(_) | Progress::Swept(_) => {}
        }
        line.part(far.share());
        line.show(Said(&far));
    }
    drop(line);
    moving.await?;
    Ok(far.gone())
}

fn what_is_lost(lost: &Lost) -> String {
    let kept_by: Vec<&str> = lost.kept_by.iter().map(|member| &*member.address).collect();
    match &kept_by[..] {
        [] => format!("All that {} held is lost.", lost.span),
        by => format!(
            "{} goes on with what {} held: what was written last may be missing.",
            lost.span,
            by.join(" and ")
        ),
    }
}

/// In words.
struct Said<'a>(&'a Far);

impl Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (keys, bytes) = self.0.copied();
        write!(f, "{keys} keys copied, {}", table::bytes(bytes))?;
        let Gone { purged, swept } = self.0.gone();
        if purged > 0 {
            write!(f, ", {purged} records dropped")?;
        }
        let swept = swept.keys + swept.pieces;
        if swept > 0 { write!(f, ", {swept} dead swept") } else { Ok(()) }
    }
}
