//! A key and its value as they stand in a path and in a head.
//!
//! A value is shown under the content type it came with, but never as a page of this origin: browsers are told not to guess,
//! not to run anything, and to save what is neither text nor JSON.

use crate::{Problem, conditions};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue, HttpDate, TryIntoHeaderValue},
    },
};
use minor_protocol::{Key, Stamp, limits};
use percent_encoding::percent_decode_str;
use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

/// With a `PUT`: the seconds after which the value is to vanish. With a `GET`: how many are left.
const TTL: HeaderName = HeaderName::from_static("sdht-ttl");
/// Which pages a browser may load a value into: those of this origin alone.
const OWN_PAGES: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The key of a path's last part, decoded once.
pub fn key_of(name: &str) -> Result<Key, Problem> {
    let key = if name.contains('%') {
        Key::from_bytes(&percent_decode_str(name).collect::<Vec<u8>>())
    } else {
        Key::new(name)
    };
    Ok(key?)
}

/// The answer to whoever knows the value already, or wants another than this; none if it is to be shown.
pub fn known(call: &HttpRequest, stamp: Stamp) -> Result<Option<HttpResponse>, Problem> {
    if conditions::wants_another(call.headers(), stamp)? {
        return Err(Problem::not_met("the value is another one by now"));
    }
    let known = conditions::knows(call.headers(), stamp)?;
    Ok(known.then(|| tagged(StatusCode::NOT_MODIFIED, stamp)))
}

/// What a head tells of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What its bytes are said to be; empty if nobody said.
    pub content_type: String,
    /// The change that made it.
    pub stamp: Stamp,
    /// When it counts as deleted, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

impl Told {
    /// Writes it into a head.
    pub fn write(self, head: &mut HeaderMap, now_ms: u64) {
        let Self { content_type, stamp, expires_ms } = self;
        if !is_harmless(&content_type) {
            head.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        }
        // What a router stored need not be fit for a head.
        let content_type = HeaderValue::try_from(content_type)
            .ok()
            .filter(|content_type| !content_type.is_empty());
        head.insert(header::CONTENT_TYPE, content_type.unwrap_or(OCTETS));
        head.insert(header::ETAG, tag(stamp));
        head.insert(header::LAST_MODIFIED, date(stamp));
        head.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        head.insert(header::CONTENT_SECURITY_POLICY, CONFINED);
        head.insert(OWN_PAGES, HeaderValue::from_static("same-origin"));
        if let Some(end) = expires_ms {
            head.insert(TTL, end.saturating_sub(now_ms).div_ceil(1_000).into());
        }
    }
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Whatever is in it, it loads and runs nothing, and belongs to no origin.
const CONFINED: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// Whether a browser may show it instead of saving it.
fn is_harmless(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim_end();
    ["text/plain", "application/json"].iter().any(|harmless| kind.eq_ignore_ascii_case(harmless))
}

/// The content type given; empty if there is none.
pub fn content_type(call: &HttpRequest) -> Result<String, Problem> {
    let Some(given) = call.headers().get(header::CONTENT_TYPE) else { return Ok(String::new()) };
    match given.to_str() {
        Ok(given) if given.len() <= limits::CONTENT_TYPE_BYTES => Ok(given.to_owned()),
        _ => Err(Problem::malformed(format!(
            "a content type is ASCII and has at most {} bytes",
            limits::CONTENT_TYPE_BYTES
        ))),
    }
}

/// The seconds after which it is to vanish, if it is.
pub fn ttl_s(call: &HttpRequest) -> Result<Option<u64>, Problem> {
    let Some(given) = conditions::text(call.headers(), TTL)? else { return Ok(None) };
    match given.parse().ok() {
        Some(seconds) if seconds > 0 => Ok(Some(seconds)),
        _ => Err(Problem::malformed("Sdht-Ttl takes whole seconds, at least 1")),
    }
}

/// An answer without a body that tells a stamp.
pub fn tagged(status: StatusCode, stamp: Stamp) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::ETAG, tag(stamp))).finish()
}

/// A stamp as a tag.
pub fn tag(stamp: Stamp) -> HeaderValue {
    // Room for the longest there is: this is written for every request.
    let mut tag = String::with_capacity(64);
    write!(tag, "\"{}\"", stamp.0).expect("a text takes whatever is written to it");
    HeaderValue::try_from(tag).expect("a stamp is hexadecimal")
}

fn date(stamp: Stamp) -> HeaderValue {
    // HTTP dates end with the year 9999; a stamp from a clock gone mad may not.
    const LAST_MS: u64 = 253_402_300_799_000;
    let time = UNIX_EPOCH + Duration::from_millis(stamp.time_ms().min(LAST_MS));
    HttpDate::from(time).try_into_value().expect("a date is ASCII")
}
