//! A value for people's eyes and for JSON.

use base64::{Engine, prelude::BASE64_STANDARD};
use ciborium::Value as Cbor;
use sdht::{Object, Stamp, Value};
use serde_json::{Map, Value as Json, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether a terminal can show it.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let shows = |c: char| !c.is_control() || "\n\r\t".contains(c);
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(shows))
}

/// All that is known of a value but its bytes.
pub(crate) fn about(key: &str, object: &Object) -> Json {
    let Object { content_type, stamp, expires_ms, bytes, .. } = object;
    described(key, content_type, *stamp, *expires_ms, *bytes)
}

fn described(
    key: &str,
    content_type: &str,
    stamp: Stamp,
    expires_ms: Option<u64>,
    bytes: u64,
) -> Json {
    json!({
        "key": key,
        "stamp": stamp.0.to_string(),
        "time": time(stamp),
        "content_type": content_type,
        "bytes": bytes,
        "expires": expires_ms.map(time_of),
    })
}

/// The same with the bytes: as `value` where they are text or CBOR that was decoded, else as `base64`.
pub(crate) fn shown(key: &str, value: &Value) -> Json {
    let Value { content_type, stamp, expires_ms, bytes } = value;
    let mut shown = described(key, content_type, *stamp, *expires_ms, bytes.len() as u64);
    let decoded = match (&*value.content_type, std::str::from_utf8(&value.bytes)) {
        ("application/cbor", _) => ciborium::from_reader(&value.bytes[..]).ok().map(decoded),
        (_, Ok(text)) => Some(text.into()),
        (_, Err(_)) => None,
    };
    match decoded {
        Some(decoded) => shown["value"] = decoded,
        None => shown["base64"] = BASE64_STANDARD.encode(&value.bytes).into(),
    }
    shown
}

/// CBOR as JSON. What JSON does not know (bytes, tags, keys that are no text) takes the nearest form it has.
fn decoded(value: Cbor) -> Json {
    match value {
        Cbor::Bool(yes) => yes.into(),
        Cbor::Float(number) => number.into(),
        Cbor::Text(text) => text.into(),
        Cbor::Bytes(bytes) => BASE64_STANDARD.encode(bytes).into(),
        Cbor::Tag(_, inner) => decoded(*inner),
        Cbor::Array(items) => items.into_iter().map(decoded).collect(),
        Cbor::Map(pairs) => {
            let pair = |(key, value): (Cbor, Cbor)| match key {
                Cbor::Text(key) => (key, decoded(value)),
                other => (decoded(other).to_string(), decoded(value)),
            };
            Json::Object(pairs.into_iter().map(pair).collect::<Map<_, _>>())
        }
        Cbor::Integer(number) => {
            let number = i128::from(number);
            match (u64::try_from(number), i64::try_from(number)) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) => number.into(),
                _ => number.to_string().into(),
            }
        }
        _ => Json::Null,
    }
}

/// When a change was made, for people.
pub(crate) fn time(stamp: Stamp) -> String {
    time_of(stamp.time_ms())
}

/// How long it is until a time in milliseconds since 1970; nothing if it has gone by.
pub(crate) fn until(end_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(end_ms).saturating_sub(now)
}

/// A time in milliseconds since 1970, for people.
pub(crate) fn time_of(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "beyond all calendars".into(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_text_and_no_control_characters() {
        assert!(is_text("größe\n\ttab".as_bytes()));
        for bad in [&b"\x1b[2J"[..], b"\xff", b"a\0b"] {
            assert!(!is_text(bad), "{bad:?}");
        }
    }

    #[test]
    fn cbor_is_shown_as_json() {
        let mut bytes = vec![];
        ciborium::into_writer(&(1u8, -2i8, "three", [true, false], Some(1.5)), &mut bytes).unwrap();
        let value: Cbor = ciborium::from_reader(&bytes[..]).unwrap();
        assert_eq!(decoded(value), json!([1, -2, "three", [true, false], 1.5]));
        let odd =
            Cbor::Map(vec![(Cbor::from(7), Cbor::Bytes(vec![0, 255])), ("x".into(), Cbor::Null)]);
        assert_eq!(decoded(odd), json!({ "7": "AP8=", "x": null }));
    }
}
