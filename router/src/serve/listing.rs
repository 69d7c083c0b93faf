//! The keys of the whole ring, one line of JSON each, in the order of the ring.
//!
//! ```text
//! GET /v1/kv?prefix=fruit/&limit=2         {"key":"fruit/7"}
//!                                          {"key":"fruit/1"}
//! GET /v1/kv?prefix=fruit/&after=fruit/1   goes on behind it; fewer lines than the limit are the end
//! ```
//!
//! Pages are read one after the other, as fast as they are taken; the whole listing is never in memory.

use super::{Answered, Door, Turn};
use crate::{listing::Cursor, router::Router, transport::http::HttpTransport};
use actix_web::{HttpRequest, HttpResponse, http::header, web::Bytes};
use futures_util::{StreamExt, TryStreamExt, stream};
use minor_manners::{Problem, query};
use minor_protocol::Key;
use serde::{Deserialize, Serialize};
use std::io;

/// Lines when nobody says how many.
const USUAL: usize = 1_000;
/// Lines at the most: whoever wants more goes on behind the last one.
const MOST: usize = 100_000;

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
}

/// What is still to be read.
struct Rest {
    router: Router<HttpTransport>,
    prefix: String,
    cursor: Cursor,
    lines: usize,
    _turn: Turn,
}

/// `GET`
pub(super) async fn get(door: &Door, call: &HttpRequest) -> Answered {
    let Wanted { prefix, after, limit } = query(call)?;
    let lines = limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&lines) {
        return Err(Problem::malformed(format!("limit takes a number from 1 to {MOST}")));
    }
    let after = after.map(Key::of_user).transpose()?;
    let cursor = after.map(Cursor::after).unwrap_or_default();
    let rest = Rest { router: door.router.clone(), prefix, cursor, lines, _turn: door.turn()? };
    // The first page tells whether there is anything to tell; a status cannot be taken back later.
    let (first, rest) = next(rest).await?;
    let more = stream::try_unfold(rest, |rest| async {
        let Some(rest) = rest else { return Ok(None) };
        next(rest).await.map(Some)
    });
    // What goes wrong now cuts the listing off in the middle, which everybody notices.
    let more = more.map_err(|problem: Problem| io::Error::other(problem.detail().to_owned()));
    let lines = stream::once(async { Ok(first) }).chain(more);
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(lines))
}

/// The next lines that there are, and what is left behind them.
async fn next(mut rest: Rest) -> Result<(Bytes, Option<Rest>), Problem> {
    loop {
        let Some(keys) = rest.router.list(&mut rest.cursor).await? else {
            return Ok((Bytes::new(), None));
        };
        let is_wanted = |key: &&Key| !key.is_reserved() && key.as_str().starts_with(&rest.prefix);
        let wanted: Vec<&Key> = keys.iter().filter(is_wanted).take(rest.lines).collect();
        if wanted.is_empty() {
            continue;
        }
        let lines = wanted.len();
        let text: String = wanted.into_iter().map(line).collect();
        rest.lines -= lines;
        return Ok((text.into(), (rest.lines > 0).then_some(rest)));
    }
}

fn line(key: &Key) -> String {
    serde_json::to_string(&Line { key: key.as_str() }).expect("a text is JSON") + "\n"
}
