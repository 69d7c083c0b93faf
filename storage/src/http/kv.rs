//! One key at a time, for people with curl: a storage in no ring is a plain key/value store, and one in a ring shows its own copy.
//!
//! A value is shown under the content type it came with, but never as a page of this origin: browsers are told not to guess,
//! not to run anything, and to save what is neither text nor JSON.

use super::{Answered, Face, now_ms};
use crate::storage::{Elsewhere, Local};
use actix_web::{
    HttpRequest, HttpResponse,
    body::BoxBody,
    dev::Payload,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use minor_manners::{
    Problem, body, conditions,
    value::{self, Told, content_type, key_of, tagged, ttl_s},
};
use minor_protocol::{
    Ballot, Content, Key, Operation, Reply, Stamp, State, Wish,
    key::NoKey,
    limits,
    message::{Outcome, Shown},
};

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
        Made { before: None, now: Some(stamp) } => Ok(tagged(StatusCode::CREATED, stamp)),
        Made { before: Some(_), now: Some(stamp) } => Ok(tagged(StatusCode::NO_CONTENT, stamp)),
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
    let Reply::Changed { outcome, shown, before, .. } = reply else {
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

fn show(face: &Face, call: &HttpRequest, state: State, now_ms: u64) -> Answered {
    let stamp = state.header.stamp().unwrap_or(Stamp(Ballot::ZERO));
    if let Some(known) = value::known(call, stamp)? {
        return Ok(known);
    }
    let Content { content_type, expires_ms } = state.header.content.unwrap_or_default();
    let mut reply = HttpResponse::with_body(StatusCode::OK, BoxBody::new(state.value));
    let head = reply.headers_mut();
    Told { content_type, stamp, expires_ms }.write(head, now_ms);
    if !face.storage.is_plain() {
        head.insert(COPY, HeaderValue::from_static("local"));
    }
    Ok(reply)
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
