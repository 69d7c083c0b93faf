//! What a router says of a failure, as HTTP says it. A status of 503 means that nothing was changed; of 504, that nobody can tell.

use crate::error::{NotChanged, NotGot, NotRead, NotSet, Trouble};
use actix_web::http::StatusCode;
use minor_manners::Problem;

/// Nothing was changed, and nothing will be.
fn not_done(why: &Trouble, said: String) -> Problem {
    match why {
        Trouble::Full(_) => Problem::new(StatusCode::INSUFFICIENT_STORAGE, said),
        why if why.is_retryable() => Problem::not_now(said),
        _ => Problem::new(StatusCode::BAD_GATEWAY, said),
    }
}

impl From<NotSet> for Problem {
    fn from(why: NotSet) -> Self {
        let said = why.to_string();
        match why {
            NotSet::NoKey(why) => why.into(),
            NotSet::TooLong { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, said),
            NotSet::NotMet { .. } => Self::not_met(said),
            NotSet::NotDone { why, .. } => not_done(&why, said),
            NotSet::Unknown { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, said),
            _ => Self::malformed(said),
        }
    }
}

impl From<NotChanged> for Problem {
    fn from(why: NotChanged) -> Self {
        NotSet::from(why).into()
    }
}

impl From<NotGot> for Problem {
    fn from(why: NotGot) -> Self {
        let said = why.to_string();
        match why {
            NotGot::NoKey(why) => why.into(),
            NotGot::NotRead { why, .. } | NotGot::NotListed { why, .. } => not_done(&why, said),
            NotGot::Replaced { .. } => Self::not_now(said),
            _ => Self::new(StatusCode::BAD_GATEWAY, said),
        }
    }
}

impl From<NotRead> for Problem {
    fn from(why: NotRead) -> Self {
        NotGot::from(why).into()
    }
}
