//! The keys kept here, one line of JSON each, in the order of the ring.
//!
//! ```text
//! GET /v1/kv?prefix=fruit/&limit=2       {"key":"fruit/7","stamp":"0-65f…","bytes":3}
//!                                        {"key":"fruit/1","stamp":"0-65e…","bytes":9,"expires_ms":1767225600000}
//! GET /v1/kv?prefix=fruit/&after=fruit/1 goes on behind it; fewer lines than the limit are the end
//! ```
//!
//! Without a limit it is all of them. Pages are read one after the other, as fast as they are taken; the whole listing is never
//! in memory.

use super::{Answered, Face, now_ms};
use crate::storage::{Page, Storage};
use actix_web::{
    HttpRequest,
    web::{self, Bytes},
};
use minor_manners::{
    Problem,
    listing::{Wanted, stream_lines},
};
use minor_protocol::Key;
use serde::Serialize;
use std::sync::Arc;

/// Lines read at once.
const PAGE: usize = 1_000;

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
    let wanted = Wanted::of(call)?;
    let lines = wanted.lines();
    let after = wanted.after.map(Key::new).transpose()?;
    let rest = Rest { storage: face.storage.clone(), prefix: wanted.prefix, after, lines };
    stream_lines(rest, next).await
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
