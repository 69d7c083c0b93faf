//! `If-Match` and `If-None-Match`, as far as a register can hold to them.
//!
//! A change is conditional on one thing, decided in the same step in which it is made: that there is nothing, that there is
//! something, or that there is exactly this. More than one stamp in one header would need a second look, so it is refused.

use crate::problem::Problem;
use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use minor_protocol::{Expect, Stamp};

/// What a `PUT` or a `DELETE` expects.
pub fn expected(headers: &HeaderMap) -> Result<Expect, Problem> {
    match (text(headers, IF_MATCH)?, text(headers, IF_NONE_MATCH)?) {
        (None, None) => Ok(Expect::Anything),
        (Some("*"), None) => Ok(Expect::Present),
        (None, Some("*")) => Ok(Expect::Absent),
        (Some(tag), None) if !tag.contains(',') => {
            stamp_of(tag).map(Expect::Stamp).ok_or_else(|| {
                // One of another make is on no value of ours.
                Problem::not_met(format!("no value here has the tag {tag}"))
            })
        }
        (Some(_), None) => Err(Problem::malformed("If-Match takes one tag or * here, no list")),
        (None, Some(_)) => Err(Problem::malformed("If-None-Match takes only * with a change")),
        (Some(_), Some(_)) => {
            Err(Problem::malformed("a change takes If-Match or If-None-Match, not both"))
        }
    }
}

/// Whether whoever makes a `GET` wants it only if the value is another than this.
pub fn knows(headers: &HeaderMap, stamp: Stamp) -> Result<bool, Problem> {
    let Some(known) = text(headers, IF_NONE_MATCH)? else { return Ok(false) };
    let is_it = |tag: &str| {
        let tag = tag.trim();
        tag == "*" || stamp_of(tag.strip_prefix("W/").unwrap_or(tag)) == Some(stamp)
    };
    Ok(known.split(',').any(is_it))
}

/// Whether whoever makes a `GET` wants it only if the value is this one, and it is another.
pub fn wants_another(headers: &HeaderMap, stamp: Stamp) -> Result<bool, Problem> {
    let Some(wanted) = text(headers, IF_MATCH)? else { return Ok(false) };
    let is_it = |tag: &str| tag.trim() == "*" || stamp_of(tag.trim()) == Some(stamp);
    Ok(!wanted.split(',').any(is_it))
}

/// What a header says that may be given once; ASCII, so that it can be said again.
pub(crate) fn text(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(&name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::malformed(format!("{name} is given more than once")));
    }
    let value = value.to_str();
    value.map(|v| Some(v.trim())).map_err(|_| Problem::malformed(format!("{name} must be ASCII")))
}

/// The stamp of a strong tag, if it is one of ours.
fn stamp_of(tag: &str) -> Option<Stamp> {
    let ballot = tag.strip_prefix('"')?.strip_suffix('"')?;
    ballot.parse().ok().map(Stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;
    use minor_protocol::{Ballot, Moment};

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(n, v)| (n.clone(), HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn a_change_expects_one_thing() {
        let stamp = Stamp(Ballot { epoch: 0, clock: Moment(255), router: 7, seq: 0 });
        let tag = format!("\"{}\"", stamp.0);
        let (weak, two) = (format!("W/{tag}"), format!("{tag}, {tag}"));
        let expects = |lines: &[_]| expected(&headers(lines)).ok();
        assert_eq!(expects(&[]), Some(Expect::Anything));
        assert_eq!(expects(&[(IF_MATCH, "*")]), Some(Expect::Present));
        assert_eq!(expects(&[(IF_NONE_MATCH, "*")]), Some(Expect::Absent));
        assert_eq!(expects(&[(IF_MATCH, &tag)]), Some(Expect::Stamp(stamp)));
        assert_eq!(expects(&[(IF_MATCH, &weak)]), None, "weak tags match nothing");
        assert_eq!(expects(&[(IF_MATCH, &two)]), None);
        assert_eq!(expects(&[(IF_NONE_MATCH, &tag)]), None);
        assert_eq!(expects(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")]), None);
    }

    #[test]
    fn a_tag_of_another_make_is_said_as_it_came_and_no_header_is_taken_twice() {
        let no = expected(&headers(&[(IF_MATCH, "\"x\"")])).unwrap_err();
        assert_eq!(no.detail(), "no value here has the tag \"x\"");
        let mut twice = headers(&[(IF_MATCH, "*")]);
        twice.append(IF_MATCH, HeaderValue::from_static("*"));
        let no = expected(&twice).unwrap_err();
        assert_eq!(no.detail(), "if-match is given more than once");
    }

    #[test]
    fn a_get_knows_any_of_a_list() {
        let stamp = Stamp(Ballot { epoch: 0, clock: Moment(255), router: 7, seq: 0 });
        let known = headers(&[(IF_NONE_MATCH, &format!("\"x\", W/\"{}\"", stamp.0))]);
        assert!(knows(&known, stamp).unwrap());
        assert!(!knows(&known, Stamp(Ballot::ZERO)).unwrap());
        assert!(!wants_another(&known, stamp).unwrap());
    }
}
