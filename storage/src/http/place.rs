//! What a request is about, read off its path.

use minor_manners::guard::About;

/// One of the few things there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// `/`: the status page.
    Page,
    /// `/nodeinfo`
    NodeInfo,
    /// `/livez`
    Live,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// `/v1/ask`
    Ask,
    /// `/v1/kv`: the keys kept here.
    Keys,
    /// `/v1/kv/…`: one key, as it was sent.
    Key(&'a str),
    /// Nothing of ours.
    Nowhere,
}

/// How many kinds of places there are.
pub(super) const KINDS: usize = 9;

impl<'a> Place<'a> {
    /// The place of a path as it was sent, not yet decoded.
    pub(super) fn of(path: &'a str) -> Self {
        if let Some(name) = path.strip_prefix("/v1/kv/") {
            return Self::Key(name);
        }
        match path {
            "/v1/ask" => Self::Ask,
            "/v1/kv" => Self::Keys,
            "/" => Self::Page,
            "/nodeinfo" => Self::NodeInfo,
            "/livez" => Self::Live,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            _ => Self::Nowhere,
        }
    }

    /// What a guard is to know of it.
    pub(super) fn about(self) -> About {
        if self == Self::Live { About::BeingAlive } else { About::Content }
    }

    /// The methods that mean something there.
    pub(super) fn allows(self) -> &'static str {
        match self {
            Self::Key(_) => "GET, HEAD, PUT, DELETE",
            Self::Ask => "POST",
            Self::Keys => "GET",
            Self::Page | Self::NodeInfo | Self::Live | Self::Ready | Self::Metrics => "GET, HEAD",
            Self::Nowhere => "",
        }
    }

    /// Its number and its name, in metrics.
    pub(super) fn kind(self) -> (usize, &'static str) {
        match self {
            Self::Page => (0, "page"),
            Self::NodeInfo => (1, "nodeinfo"),
            Self::Live => (2, "livez"),
            Self::Ready => (3, "readyz"),
            Self::Metrics => (4, "metrics"),
            Self::Ask => (5, "ask"),
            Self::Keys => (6, "keys"),
            Self::Key(_) => (7, "key"),
            Self::Nowhere => (8, "nowhere"),
        }
    }

    /// One of each kind.
    pub(super) const fn all() -> [Self; KINDS] {
        [
            Self::Page,
            Self::NodeInfo,
            Self::Live,
            Self::Ready,
            Self::Metrics,
            Self::Ask,
            Self::Keys,
            Self::Key(""),
            Self::Nowhere,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_number() {
        let numbers = Place::all().map(|place| place.kind().0);
        assert_eq!(numbers, std::array::from_fn(|number| number));
    }

    #[test]
    fn a_key_is_whatever_follows() {
        assert_eq!(Place::of("/v1/kv/a/b%2Fc/"), Place::Key("a/b%2Fc/"));
        assert_eq!(Place::of("/v1/kv/"), Place::Key(""));
        assert_eq!(Place::of("/v1/kv"), Place::Keys);
        assert_eq!(Place::of("/v1/kvx"), Place::Nowhere);
    }
}
