//! How something long goes, for whoever waits: a bar on a terminal, else one line every ten seconds.

use super::{console::Console, fail::Fail, table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sdht::{Lost, Moving, NotMoved, Progress, Swept, Synced};
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
        match progress {
            Progress::Agreed(arc, decree) => log::info!("{arc}: {decree:?}"),
            Progress::Waiting(why) => log::info!("waiting: {why}"),
            Progress::Step(_, left) => far.step(left),
            Progress::Synced(synced) => far.synced(synced),
            Progress::Weighed(load) => log::info!("{load:?}"),
            Progress::Lost(lost) => console.say(what_is_lost(&lost)),
            Progress::Purged(purged) => {
                far.gone.purged += purged.records;
                log::info!("{purged:?}");
            }
            Progress::Swept(swept) => far.gone.swept = swept,
        }
        line.part(far.share());
        line.show(&far);
    }
    drop(line);
    match moving.await {
        Ok(()) => Ok(far.gone),
        Err(why @ NotMoved::Stuck { .. }) => Err(Fail::from(why).next(format!(
            "'sdht status' shows who is missing; when they are back, this goes on from here: sdht {}",
            super::as_typed()
        ))),
        Err(why) => Err(why.into()),
    }
}

/// What a change of the ring has done away with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gone {
    /// Records that storages dropped that are no members there.
    pub(crate) purged: u64,
    /// What was dead.
    pub(crate) swept: Swept,
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

/// How far a change has come.
#[derive(Debug, Default)]
struct Far {
    /// Members that are still to come in or go, and the most that ever were: as more comes to light, the whole grows.
    left: usize,
    most: usize,
    /// How far each arc has come that is gone through now.
    now: Vec<Synced>,
    /// What was copied in those gone through before.
    keys: u64,
    bytes: u64,
    gone: Gone,
}

impl Far {
    fn step(&mut self, left: usize) {
        (self.left, self.most) = (left, self.most.max(left));
    }

    fn synced(&mut self, synced: Synced) {
        let before = self.now.iter().position(|other| other.span == synced.span);
        // Less than before: it is gone through anew.
        if let Some(over) = before.map(|n| self.now.swap_remove(n))
            && over.keys > synced.keys
        {
            self.keys += over.copied;
            self.bytes += over.bytes;
        }
        self.now.push(synced);
    }

    /// The part that is done, of one.
    fn share(&self) -> f64 {
        let part = |synced: &Synced| synced.keys as f64 / synced.keys_total.max(1) as f64;
        let under_way: f64 = self.now.last().map(part).unwrap_or_default();
        let done = (self.most - self.left) as f64 + under_way.min(1.0);
        (done / (self.most as f64 + 1.0)).min(1.0)
    }
}

impl Display for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.keys + self.now.iter().map(|synced| synced.copied).sum::<u64>();
        let bytes = self.bytes + self.now.iter().map(|synced| synced.bytes).sum::<u64>();
        write!(f, "{keys} keys copied, {}", table::bytes(bytes))?;
        let Gone { purged, swept } = self.gone;
        if purged > 0 {
            write!(f, ", {purged} records dropped")?;
        }
        let swept = swept.keys + swept.pieces;
        if swept > 0 { write!(f, ", {swept} dead swept") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Position, Span};

    fn synced(to: u64, keys: u64, copied: u64) -> Synced {
        let span = Span::new(Position(0), Position(to));
        Synced { span, keys, keys_total: 100, copied, bytes: 10 * copied, bytes_total: 1_000 }
    }

    #[test]
    fn what_was_copied_adds_up_over_arcs_and_over_tries() {
        let mut far = Far::default();
        for (to, keys, copied) in [(1, 50, 20), (1, 100, 40), (2, 10, 1), (1, 10, 3)] {
            far.synced(synced(to, keys, copied));
        }
        assert_eq!(far.to_string(), "44 keys copied, 440 B");
    }

    #[test]
    fn the_part_done_goes_up_with_every_step_and_every_key() {
        let mut far = Far::default();
        let mut shares = vec![far.share()];
        for (left, keys) in [(2, 10), (2, 90), (1, 5), (1, 100), (0, 100)] {
            far.step(left);
            far.synced(synced(left as u64 + 1, keys, 0));
            shares.push(far.share());
        }
        assert!(shares.is_sorted() && shares[5] == 1.0, "{shares:?}");
    }
}
