//! `Range`: one stretch of a value, as curl and browsers ask for it.

use actix_web::http::{
    StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use minor_manners::{Problem, value};
use minor_protocol::Stamp;
use std::ops::Range;

/// What of a value of this many bytes is asked for; none if all of it is.
///
/// Several stretches at once are answered with the whole, as the standard allows; so is what cannot be read.
pub(super) fn wanted(
    headers: &HeaderMap,
    bytes: u64,
    stamp: Stamp,
) -> Result<Option<Range<u64>>, Problem> {
    let Some(text) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else {
        return Ok(None);
    };
    if headers.get(header::IF_RANGE).is_some_and(|tag| *tag != value::tag(stamp)) {
        return Ok(None);
    }
    let Some((unit, stretch)) = text.trim().split_once('=') else { return Ok(None) };
    let Some((from, to)) = stretch.split_once('-') else { return Ok(None) };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Ok(None);
    }
    let range = match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => from..to.saturating_add(1).min(bytes),
        (Some(from), None) if to.is_empty() => from..bytes,
        (None, Some(last)) if from.is_empty() => bytes.saturating_sub(last)..bytes,
        _ => return Ok(None),
    };
    if range.is_empty() {
        let of = HeaderValue::try_from(format!("bytes */{bytes}")).expect("a number is ASCII");
        let detail = format!("the value has {bytes} bytes");
        return Err(
            Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail).with(header::CONTENT_RANGE, of)
        );
    }
    Ok(Some(range))
}

/// A number of digits alone; one too large for any value is the largest there is.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::Ballot;

    fn of(text: &str) -> Result<Option<Range<u64>>, StatusCode> {
        let headers = [(header::RANGE, HeaderValue::from_str(text).unwrap())];
        let wanted = wanted(&headers.into_iter().collect(), 10, Stamp(Ballot::ZERO));
        wanted.map_err(|problem| problem.status())
    }

    #[test]
    fn one_stretch_is_given_and_others_are_the_whole() {
        assert_eq!(of("bytes=2-3"), Ok(Some(2..4)));
        assert_eq!(of("bytes=8-"), Ok(Some(8..10)));
        assert_eq!(of("bytes=-3"), Ok(Some(7..10)));
        assert_eq!(of("bytes=-30"), Ok(Some(0..10)));
        assert_eq!(of("bytes=0-99"), Ok(Some(0..10)));
        assert_eq!(of("Bytes=2-3"), Ok(Some(2..4)));
        assert_eq!(of("bytes=8-99999999999999999999"), Ok(Some(8..10)));
        assert_eq!(of("bytes=-99999999999999999999"), Ok(Some(0..10)));
        let odd = ["bytes=+1-2", "bytes=1-+2", "bytes=--2", "bytes=1 -2"];
        for whole in ["bytes=1-2,4-5", "lines=1-2", "bytes=3-2", "bytes=-", "bytes=x-"]
            .into_iter()
            .chain(odd)
        {
            assert_eq!(of(whole), Ok(None), "{whole}");
        }
        for none in ["bytes=10-", "bytes=-0", "bytes=10-12", "bytes=99999999999999999999-"] {
            assert_eq!(of(none), Err(StatusCode::RANGE_NOT_SATISFIABLE), "{none}");
        }
    }
}
