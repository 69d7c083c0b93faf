//! Many operations in one request, and as many answers in the same order.
//!
//! ```text
//! {"op":"set","key":"a","value":"text","if_none_match":"*"}     {"status":201,"stamp":"1-65f…"}
//! {"op":"get","key":"b"}                                        {"status":200,"stamp":"1-65e…","content_type":"…","value":"…"}
//! {"op":"delete","key":"c","if_match":"1-65d…"}                 {"status":412,"detail":"key 'c' is not as expected: …"}
//! ```
//!
//! As NDJSON, one a line, or as one CBOR list of such maps (`Content-Type: application/cbor`), where `bytes` takes and gives
//! any bytes; in JSON those that are no text go as `base64`. Statuses are those of one key at a time.
//!
//! They are done at the same time, each for itself: what follows upon another belongs into the next batch.

use super::{Answered, Door, json, kv, media_type};
use crate::{object::Manifest, put_options::PutOptions};
use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{StatusCode, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use ciborium::de;
use futures_util::{StreamExt, stream};
use minor_manners::{Problem, body};
use minor_protocol::{Expect, Key, Stamp, limits};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::time::Duration;

/// Operations of a batch.
const OPERATIONS: usize = 1_000;
/// Bytes of a batch, and about as many of its answers.
const BYTES: usize = 16 << 20;
/// Operations under way at a time.
const AT_ONCE: usize = 64;
const CBOR: &str = "application/cbor";
const NDJSON: &str = "application/x-ndjson";

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Doing {
    Get,
    Set,
    Delete,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    op: Doing,
    key: String,
    value: Option<String>,
    base64: Option<String>,
    bytes: Option<ByteBuf>,
    #[serde(default)]
    content_type: String,
    ttl: Option<u64>,
    if_match: Option<String>,
    if_none_match: Option<String>,
}

#[derive(Default, Serialize)]
struct Told {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<ByteBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// How a batch is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Cbor,
}

/// `POST`
pub(super) async fn post(door: &Door, call: &HttpRequest, body: Payload) -> Answered {
    let form = form_of(call)?;
    let _turn = door.turn()?;
    let mut held = door.shared.in_flight.hold();
    let body = body::read(call, body, "a batch", BYTES, &mut held).await?;
    let wanted = wanted_in(form, &body)?;
    if wanted.len() > OPERATIONS {
        let detail = format!("a batch has at most {OPERATIONS} operations");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let mut room = BYTES;
    let mut done = stream::iter(wanted).map(|one| operate(door, one)).buffered(AT_ONCE);
    let mut told = vec![];
    while let Some(ended) = done.next().await {
        let ended = ended.and_then(|(one, bytes)| {
            // What was changed is told in any case; a value that finds no room may be got again.
            room = room
                .checked_sub(bytes.len())
                .ok_or_else(|| Problem::too_large("the values of a batch together", BYTES))?;
            held.more(bytes.len())?;
            Ok(with_bytes(form, one, bytes))
        });
        told.push(ended.unwrap_or_else(|problem| Told {
            status: problem.status().as_u16(),
            detail: Some(problem.detail().to_owned()),
            ..Told::default()
        }));
    }
    let (kind, text) = match form {
        Form::Lines => (NDJSON, told.iter().flat_map(line).collect()),
        Form::Cbor => {
            let mut text = vec![];
            ciborium::into_writer(&told, &mut text).expect("texts and numbers have a CBOR form");
            (CBOR, text)
        }
    };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body::<Vec<u8>>(text))
}

/// A form that a page of another site could send is refused.
fn form_of(call: &HttpRequest) -> Result<Form, Problem> {
    match &*media_type(call) {
        CBOR => Ok(Form::Cbor),
        NDJSON | "application/ndjson" | "application/json" => Ok(Form::Lines),
        _ => {
            let detail = format!("a batch has the content type {NDJSON} or {CBOR}");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

fn wanted_in(form: Form, body: &[u8]) -> Result<Vec<Wanted>, Problem> {
    if form == Form::Cbor {
        return cbor(body).map_err(Problem::malformed);
    }
    let lines = (1..).zip(body.split(|byte| *byte == b'\n'));
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let read = lines.take(OPERATIONS + 1).map(|(number, line)| {
        json::object(line).map_err(|why| Problem::malformed(format!("line {number}: {why}")))
    });
    read.collect()
}

/// One list, and nothing behind it.
fn cbor(mut body: &[u8]) -> Result<Vec<Wanted>, String> {
    let whole = body.len();
    let list = ciborium::from_reader(&mut body).map_err(|why| match why {
        de::Error::Io(_) => format!("the CBOR ends after {whole} bytes, before its list does"),
        de::Error::Syntax(at) => format!("byte {at} cannot stand there in CBOR"),
        de::Error::Semantic(_, why) => format!("a CBOR batch is one list of maps: {why}"),
        de::Error::RecursionLimitExceeded => "the CBOR is nested too deeply".into(),
    })?;
    match body.len() {
        0 => Ok(list),
        more => {
            let at = whole - more;
            Err(format!("a CBOR batch is one list, and byte {at} is behind it: nothing was done"))
        }
    }
}

/// Whether it says only what its operation takes.
fn check(wanted: &Wanted) -> Result<(), Problem> {
    let Wanted { op, value, base64, bytes, content_type, ttl, if_match, if_none_match, .. } =
        wanted;
    let is_given = [
        ("value", value.is_some()),
        ("base64", base64.is_some()),
        ("bytes", bytes.is_some()),
        ("content_type", !content_type.is_empty()),
        ("ttl", ttl.is_some()),
        ("if_match", if_match.is_some()),
        ("if_none_match", if_none_match.is_some()),
    ];
    let (name, takes) = match op {
        Doing::Set => return Ok(()),
        Doing::Get => ("get", &[][..]),
        Doing::Delete => ("delete", &["if_match", "if_none_match"][..]),
    };
    match is_given.iter().find(|(field, is_given)| *is_given && !takes.contains(field)) {
        Some((field, _)) => Err(Problem::malformed(format!("a {name} takes no {field}"))),
        None => Ok(()),
    }
}

async fn operate(door: &Door, wanted: Wanted) -> Result<(Told, Vec<u8>), Problem> {
    check(&wanted)?;
    let (key, expect) = (Key::of_user(wanted.key.as_str())?, expected(&wanted)?);
    let status = |status: StatusCode| Told { status: status.as_u16(), ..Told::default() };
    match wanted.op {
        Doing::Get => get(door, &key).await,
        Doing::Set => {
            let value = value_in(&wanted)?;
            let mut options = PutOptions::new().content_type(wanted.content_type).expect(expect);
            options.time_to_live = wanted.ttl.map(Duration::from_secs);
            crate::object::put::check(&key, &options.content_type)?;
            let done = kv::set(door, &key, value, &options).await?;
            let told = status(kv::status_of(&done, expect));
            Ok((Told { stamp: Some(done.stamp.0.to_string()), ..told }, vec![]))
        }
        Doing::Delete => match door.router.delete(&key, expect).await? {
            true => Ok((status(StatusCode::NO_CONTENT), vec![])),
            false => Err(Problem::absent(key.as_str())),
        },
    }
}

async fn get(door: &Door, key: &Key) -> Result<(Told, Vec<u8>), Problem> {
    let state = door.router.get(key).await?.ok_or_else(|| Problem::absent(key.as_str()))?;
    if Manifest::of(&state).is_some() {
        let detail = "the value is a long one: get it by itself";
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let stamp = state.header.stamp().map(|stamp| stamp.0.to_string());
    let content = state.header.content.unwrap_or_default();
    let content_type = Some(content.content_type).filter(|kind| !kind.is_empty());
    let status = StatusCode::OK.as_u16();
    let expires_ms = content.expires_ms;
    Ok((Told { status, stamp, content_type, expires_ms, ..Told::default() }, state.value))
}

fn expected(wanted: &Wanted) -> Result<Expect, Problem> {
    match (wanted.if_match.as_deref(), wanted.if_none_match.as_deref()) {
        (None, None) => Ok(Expect::Anything),
        (Some("*"), None) => Ok(Expect::Present),
        (None, Some("*")) => Ok(Expect::Absent),
        (Some(stamp), None) => {
            let stamp = stamp.trim_matches('"').parse().map(Stamp).map(Expect::Stamp);
            stamp.map_err(|_| Problem::not_met("no value here has this stamp"))
        }
        _ => Err(Problem::malformed("if_match takes a stamp or *, or if_none_match takes *")),
    }
}

fn value_in(wanted: &Wanted) -> Result<Vec<u8>, Problem> {
    let value = match (&wanted.value, &wanted.base64, &wanted.bytes) {
        (Some(text), None, None) => text.clone().into_bytes(),
        (None, None, Some(bytes)) => bytes.to_vec(),
        (None, Some(base64), None) => BASE64_STANDARD
            .decode(base64)
            .map_err(|why| Problem::malformed(format!("base64: {why}")))?,
        _ => return Err(Problem::malformed("a set takes one of value, base64 and bytes")),
    };
    if value.len() > limits::VALUE_BYTES {
        return Err(Problem::too_large("a value in a batch", limits::VALUE_BYTES));
    }
    if wanted.ttl == Some(0) {
        return Err(Problem::malformed("ttl takes whole seconds, at least 1"));
    }
    Ok(value)
}

/// Only what was got has a value, an empty one too.
fn with_bytes(form: Form, told: Told, bytes: Vec<u8>) -> Told {
    match form {
        _ if told.status != StatusCode::OK.as_u16() => told,
        Form::Cbor => Told { bytes: Some(ByteBuf::from(bytes)), ..told },
        Form::Lines => match String::from_utf8(bytes) {
            Ok(value) => Told { value: Some(value), ..told },
            Err(no_text) => {
                Told { base64: Some(BASE64_STANDARD.encode(no_text.as_bytes())), ..told }
            }
        },
    }
}

fn line(told: &Told) -> Vec<u8> {
    let mut line = serde_json::to_vec(told).expect("texts and numbers are JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn no(batch: &[u8]) -> String {
        cbor(batch).err().expect("that is no batch")
    }

    #[test]
    fn a_cbor_batch_is_one_list_and_what_is_wrong_is_said_in_words() {
        let mut get = vec![];
        ciborium::into_writer(&json!([{"op": "get", "key": "k"}]), &mut get).unwrap();
        assert_eq!(cbor(&get).ok().map(|list| list.len()), Some(1));
        for behind in [&get[..], b"x"] {
            let said = format!("byte {} is behind it: nothing was done", get.len());
            assert!(no(&[&get[..], behind].concat()).ends_with(&said));
        }
        assert!(no(&get[..get.len() - 1]).contains("before its list does"));
        assert_eq!(no(b"\x1c"), "byte 0 cannot stand there in CBOR");
        let mut number = vec![];
        ciborium::into_writer(&json!([7]), &mut number).unwrap();
        assert!(no(&number).ends_with("one list of maps: invalid type: integer `7`, expected map"));
    }

    #[test]
    fn each_operation_takes_what_means_something_to_it() {
        let no = |wanted: serde_json::Value| {
            let problem = check(&serde_json::from_value(wanted).unwrap()).err()?;
            Some(problem.detail().to_owned())
        };
        let refused = |op: &str, field: &str, value: serde_json::Value| {
            assert_eq!(
                no(json!({"op": op, "key": "k", field: value})),
                Some(format!("a {op} takes no {field}"))
            );
        };
        refused("get", "if_match", json!("*"));
        refused("get", "value", json!("v"));
        refused("get", "ttl", json!(1));
        refused("delete", "ttl", json!(1));
        assert_eq!(no(json!({"op": "delete", "key": "k", "if_match": "*"})), None);
        assert_eq!(no(json!({"op": "set", "key": "k", "value": "v", "ttl": 1})), None);
    }
}
