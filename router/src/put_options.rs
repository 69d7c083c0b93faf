//! How a value is put: what it is, for how long, and under which condition.

use minor_protocol::Expect;
use std::time::Duration;

/// How a value is put. Nothing said: of no content type, for ever, whatever was there.
///
/// ```no_run
/// # async fn example(ring: sdht::Ring) -> Result<(), sdht::NotSet> {
/// use sdht::{Expect, PutOptions};
/// use std::time::Duration;
/// let options = PutOptions::new().time_to_live(Duration::from_secs(60)).expect(Expect::Absent);
/// ring.set_with("lock", "mine", &options).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOptions {
    pub(crate) content_type: String,
    pub(crate) time_to_live: Option<Duration>,
    pub(crate) expect: Expect,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self { content_type: String::new(), time_to_live: None, expect: Expect::Anything }
    }
}

impl PutOptions {
    /// Of no content type, for ever, whatever was there.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the bytes are. A value of a serde type is CBOR, whatever is said here.
    pub fn content_type(self, content_type: impl Into<String>) -> Self {
        Self { content_type: content_type.into(), ..self }
    }

    /// From this long after the change on, by the router's clock, the value counts as deleted.
    pub fn time_to_live(self, time_to_live: Duration) -> Self {
        Self { time_to_live: Some(time_to_live), ..self }
    }

    /// Only if the key is as expected; else it is [`NotSet::NotMet`](crate::NotSet::NotMet), and nothing is changed.
    pub fn expect(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }

    /// When a value put now counts as deleted.
    pub(crate) fn expires_ms(&self, now_ms: u64) -> Option<u64> {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.time_to_live.map(|span| now_ms.saturating_add(ms(span)))
    }
}
