//! One key at a time, for people with curl: a storage in no ring is a plain key/value store, and one in a ring shows its own copy.
//!
//! A value is shown under the content type it came with, but never as a page of this origin: browsers are told not to guess,
//! not to run anything, and to save what is neither text nor JSON.

use super::{Answered, Face, body, conditions, now_ms, problem::Problem};
use crate::storage::{Elsewhere, Local};
use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    dev::Payload,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue, HttpDate, TryIntoHeaderValue},
    },
};
use minor_protocol::{
    Ballot, Content, Key, Operation, Reply, Stamp, State, Wish,
    key::NoKey,
    limits,
    message::{Outcome, Shown},
};
use percent_encoding::percent_decode_str;
use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

/// With a `PUT`: the seconds after which the value is to vanish. With a `GET`: how many are left.
const TTL: HeaderName = HeaderName::from_static("sdht-ttl");
/// Which pages a browser may load a value into: those of this storage alone.
const OWN_PAGES: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Whose copy is shown, in a ring.
const COPY: HeaderName = HeaderName::from_static("sdht-copy");
/// In the query of a request that another storage sent here.
const REDIRECTED: &str = "redirected";

/// `GET` and `HEAD`.
pub(super) async fn get(face: &Face, call: &HttpRequest, name: &str) -> Answered {
    let (key, now_ms) = (key_of(name)?, now_ms());
    match face.storage.look(&key, now_ms).settled().await?? {
        Local::Copy(Some(state)) => show(face, call, state, now_ms),
        Local::Copy(None) => Err(Problem::absent(key.as_str())),
        Local::Elsewhere(elsewhere) => point_to(&elsewhere, call, name),
    }
}

/// `PUT`
pub(super) async fn put(face: &Face, call: &HttpRequest, name: &str, body: Payload) -> Answered {
    let (key, expect) = (key_of(name)?, conditions::expected(call.headers())?);
    if key.is_reserved() {
        return Err(NoKey::Reserved.into());
    }
    let content_type = content_type(call)?;
    let ttl_s = ttl_s(call)?;
    if call.headers().contains_key(header::CONTENT_RANGE) {
        return Err(Problem::malformed("a value is put as a whole: Content-Range is not taken"));
    }
    let mut held = face.in_flight.hold();
    let value = body::read(call, body, "a value", limits::VALUE_BYTES, &mut held).await?;
    let now_ms = now_ms();
    let expires_ms = ttl_s.map(|s| now_ms.saturating_add(s.saturating_mul(1_000)));
    let wish = Wish::Set { content_type, expires_ms, value };
    match change(face, &key, Operation { expect, wish }, now_ms).await? {
        Made { before: None, now: Some(stamp) } => tagged(StatusCode::CREATED, stamp),
        Made { before: Some(_), now: Some(stamp) } => tagged(StatusCode::NO_CONTENT, stamp),
        Made { now: None, .. } => unreachable!("what was set has a stamp"),
    }
}

/// `DELETE`
pub(super) async fn delete(face: &Face, call: &HttpRequest, name: &str) -> Answered {
    let (key, expect) = (key_of(name)?, conditions::expected(call.headers())?);
    let made = change(face, &key, Operation { expect, wish: Wish::Delete }, now_ms()).await?;
    match made.before {
        Some(_) => Ok(HttpResponse::NoContent().finish()),
        None => Err(Problem::absent(key.as_str())),
    }
}

/// What a change that was made found and left.
struct Made {
    before: Option<Stamp>,
    now: Option<Stamp>,
}

async fn change(
    face: &Face,
    key: &Key,
    operation: Operation,
    now_ms: u64,
) -> Result<Made, Problem> {
    let reply = face.storage.change_alone(key, operation, now_ms).settled().await??;
    let Reply::Changed { outcome, shown, before } = reply else {
        unreachable!("a change is answered as one: {reply:?}");
    };
    match outcome {
        Outcome::NotMet => Err(Problem::not_met(format!(
            "the key '{}' is not as expected, and was left as it is: read it and decide anew",
            key.as_str().escape_debug()
        ))),
        Outcome::Done | Outcome::Kept | Outcome::Unknown => {
            Ok(Made { before, now: shown.and_then(|shown| stamp_in(&shown)) })
        }
    }
}

fn stamp_in(shown: &Shown) -> Option<Stamp> {
    shown.content.header().stamp()
}

/// The key of a path's last part, decoded once.
fn key_of(name: &str) -> Result<Key, Problem> {
    let key = if name.contains('%') {
        Key::from_bytes(&percent_decode_str(name).collect::<Vec<u8>>())
    } else {
        Key::new(name)
    };
    Ok(key?)
}

fn show(face: &Face, call: &HttpRequest, state: State, now_ms: u64) -> Answered {
    let headers = call.headers();
    let stamp = state.header.stamp().unwrap_or(Stamp(Ballot::ZERO));
    if conditions::wants_another(headers, stamp)? {
        return Err(Problem::not_met("the value is another one by now"));
    }
    if conditions::knows(headers, stamp)? {
        return tagged(StatusCode::NOT_MODIFIED, stamp);
    }
    let Content { content_type, expires_ms } = state.header.content.unwrap_or_default();
    let mut reply = HttpResponse::with_body(StatusCode::OK, BoxBody::new(state.value));
    let head = reply.headers_mut();
    if !is_harmless(&content_type) {
        head.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    // What a router stored need not be fit for a head.
    let content_type =
        HeaderValue::try_from(content_type).ok().filter(|content_type| !content_type.is_empty());
    head.insert(header::CONTENT_TYPE, content_type.unwrap_or(OCTETS));
    head.insert(header::ETAG, tag(stamp));
    head.insert(header::LAST_MODIFIED, date(stamp));
    head.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    head.insert(header::CONTENT_SECURITY_POLICY, CONFINED);
    head.insert(OWN_PAGES, HeaderValue::from_static("same-origin"));
    if let Some(end) = expires_ms {
        head.insert(TTL, end.saturating_sub(now_ms).div_ceil(1_000).into());
    }
    if !face.storage.is_plain() {
        head.insert(COPY, HeaderValue::from_static("local"));
    }
    Ok(reply)
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Whatever is in it, it loads and runs nothing, and belongs to no origin.
const CONFINED: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// Whether a browser may show it instead of saving it.
fn is_harmless(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim_end();
    ["text/plain", "application/json"].iter().any(|harmless| kind.eq_ignore_ascii_case(harmless))
}

/// One step towards who keeps the key.
fn point_to(elsewhere: &Elsewhere, call: &HttpRequest, name: &str) -> Answered {
    let misdirected = |why: &str| {
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!("this storage does not keep the key, and {why}: ask through a router"),
        ))
    };
    let was_redirected =
        call.query_string().split('&').any(|part| part.split('=').next() == Some(REDIRECTED));
    match elsewhere {
        Elsewhere::There(_) if was_redirected => misdirected("you were sent here already"),
        Elsewhere::There(member) => {
            let there = format!("http://{}/v1/kv/{name}?{REDIRECTED}=1", member.address);
            match HeaderValue::try_from(there) {
                Ok(there) => Ok(HttpResponse::TemporaryRedirect()
                    .insert_header((header::LOCATION, there))
                    .finish()),
                Err(_) => misdirected("the storage that may has an address that is none"),
            }
        }
        Elsewhere::Unknown => misdirected("knows of no other"),
    }
}

/// The content type given; empty if there is none.
fn content_type(call: &HttpRequest) -> Result<String, Problem> {
    let Some(given) = call.headers().get(header::CONTENT_TYPE) else { return Ok(String::new()) };
    match given.to_str() {
        Ok(given) if given.len() <= limits::CONTENT_TYPE_BYTES => Ok(given.to_owned()),
        _ => Err(Problem::malformed(format!(
            "a content type is ASCII and has at most {} bytes",
            limits::CONTENT_TYPE_BYTES
        ))),
    }
}

fn ttl_s(call: &HttpRequest) -> Result<Option<u64>, Problem> {
    let Some(given) = call.headers().get(TTL) else { return Ok(None) };
    match given.to_str().ok().and_then(|given| given.parse().ok()) {
        Some(seconds) if seconds > 0 => Ok(Some(seconds)),
        _ => Err(Problem::malformed("Sdht-Ttl takes whole seconds, at least 1")),
    }
}

fn tagged(status: StatusCode, stamp: Stamp) -> Answered {
    Ok(HttpResponse::build(status).insert_header((header::ETAG, tag(stamp))).finish())
}

fn tag(stamp: Stamp) -> HeaderValue {
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
