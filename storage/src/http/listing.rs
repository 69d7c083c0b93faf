//! The keys kept here, one line of JSON each, in the order of the ring.
//!
//! ```text
//! GET /v1/kv?prefix=fruit/&limit=2       {"key":"fruit/7","stamp":"0-65f…","bytes":3}
//!                                        {"key":"fruit/1","stamp":"0-65e…","bytes":9,"expires_ms":1767225600000}
//! GET /v1/kv?prefix=fruit/&after=fruit/1 goes on behind it; fewer lines than the limit are the end
//! ```
//!
//! Pages are read one after the other, as fast as they are taken; the whole listing is never in memory.

use super::{Answered, Face, now_ms};
use crate::storage::{Page, Storage};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Bytes},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use minor_manners::{Problem, query};
use minor_protocol::Key;
use serde::{Deserialize, Serialize};
use std::{io, sync::Arc};

/// Lines when nobody says how many.
const USUAL: usize = 1_000;
/// Lines at the most: whoever wants more goes on behind the last one.
const MOST: usize = 100_000;
/// Lines read at once.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    stamp: String,
    bytes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
}

/// What is still to be read.
struct Rest {
    storage: Arc<Storage>,
    prefix: String,
    after: Option<Key>,
    lines: usize,
}

/// `GET`
pub(super) async fn get(face: &Face, call: &HttpRequest) -> Answered {
    let rest = rest_of(face, call)?;
    // The first page tells whether there is anything to tell; a status cannot be taken back later.
    let (first, rest) = next(rest).await?;
    let more = stream::try_unfold(rest, |rest| async {
        let Some(rest) = rest else { return Ok(None) };
        next(rest).await.map(Some)
    });
    // What goes wrong now cuts the listing off in the middle, which everybody notices.
    let more = more.map_err(|_| io::Error::other("the storage stopped reading"));
    let lines = stream::once(async { Ok(first) }).chain(more);
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(lines))
}

fn rest_of(face: &Face, call: &HttpRequest) -> Result<Rest, Problem> {
    let wanted: Wanted = query(call)?;
    let lines = wanted.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&lines) {
        return Err(Problem::malformed(format!("limit takes a number from 1 to {MOST}")));
    }
    let after = wanted.after.map(Key::new).transpose()?;
    Ok(Rest { storage: face.storage.clone(), prefix: wanted.prefix, after, lines })
}

/// The next lines, and what is left behind them.
async fn next(rest: Rest) -> Result<(Bytes, Option<Rest>), Problem> {
    let Rest { storage, prefix, after, lines } = rest;
    let page = page(&storage, prefix.clone(), after, lines.min(PAGE)).await?;
    let text = page.rows.iter().map(line).collect::<Vec<_>>().concat();
    let lines = lines - page.rows.len();
    let after = page.next.filter(|_| lines > 0);
    let rest = after.map(|after| Rest { storage, prefix, after: Some(after), lines });
    Ok((text.into(), rest))
}

/// A page of keys, read on a thread that may wait.
pub(super) async fn page(
    storage: &Arc<Storage>,
    prefix: String,
    after: Option<Key>,
    limit: usize,
) -> Result<Page, Problem> {
    let storage = storage.clone();
    let reading = move || storage.page(&prefix, after.as_ref(), limit, now_ms());
    let read = web::block(reading).await;
    let read = read.map_err(|_| Problem::not_now("the reading was broken off: try again"))?;
    Ok(read.settled().await??)
}

fn line(row: &crate::storage::Line) -> String {
    let line = Line {
        key: row.key.as_str(),
        stamp: row.stamp.0.to_string(),
        bytes: row.bytes,
        expires_ms: row.expires_ms,
    };
    serde_json::to_string(&line).expect("texts and numbers are JSON") + "\n"
}
