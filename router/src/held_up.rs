//! What holds up that which is tried again and again, for whoever waits for it and hears nothing.

use std::fmt::Display;
use tokio::time::{Duration, Instant};

/// How long it takes until somebody may want to know.
const NOTICEABLE: Duration = Duration::from_millis(500);
/// After how long without another try in vain it goes on again, or has ended.
const OVER: Duration = Duration::from_secs(1);

/// One try in vain after another.
#[derive(Debug, Default)]
pub(crate) struct HeldUp(Option<Held>);

#[derive(Debug)]
struct Held {
    since: Instant,
    last: Instant,
    why: String,
}

impl HeldUp {
    /// Another try was in vain.
    pub(crate) fn again(&mut self, why: impl Display, now: Instant) {
        let before = self.0.as_ref().filter(|held| now < held.last + OVER);
        let since = before.map_or(now, |held| held.since);
        self.0 = Some(Held { since, last: now, why: why.to_string() });
    }

    /// Why nothing goes on, if that has been so for a while.
    pub(crate) fn why(&self, now: Instant) -> Option<&str> {
        let held = self.0.as_ref()?;
        (now < held.last + OVER && now >= held.since + NOTICEABLE).then_some(&*held.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_holds_something_up_for_long_is_told_and_forgotten_when_it_goes_on() {
        let (mut held, begin) = (HeldUp::default(), Instant::now());
        held.again("first", begin);
        assert_eq!(held.why(begin + 499 * MS), None);
        held.again("second", begin + 400 * MS);
        assert_eq!(held.why(begin + 600 * MS), Some("second"));
        assert_eq!(held.why(begin + 1_400 * MS), None, "it went on");
        held.again("third", begin + 2_000 * MS);
        assert_eq!(held.why(begin + 2_100 * MS), None, "it is another time");
        assert_eq!(held.why(begin + 2_500 * MS), Some("third"));
    }
}
