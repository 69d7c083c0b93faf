//! The keys of the whole ring, one line of JSON each, in the order of the ring.
//!
//! ```text
//! GET /v1/kv?prefix=fruit/&limit=2         {"key":"fruit/7"}
//!                                          {"key":"fruit/1"}
//! GET /v1/kv?prefix=fruit/&after=fruit/1   goes on behind it; fewer lines than the limit are the end
//! ```
//!
//! Without a limit it is all of them. Pages are read one after the other, as fast as they are taken; the whole listing is never
//! in memory.

use super::{Answered, Door, Turn};
use crate::{listing::Cursor, router::Router, transport::http::HttpTransport};
use actix_web::{HttpRequest, web::Bytes};
use minor_manners::{
    Problem,
    listing::{Wanted, stream_lines},
};
use minor_protocol::Key;
use serde::Serialize;

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
    let wanted = Wanted::of(call)?;
    let lines = wanted.lines();
    let after = wanted.after.map(Key::of_user).transpose()?;
    let cursor = after.map(Cursor::after).unwrap_or_default();
    let (router, prefix) = (door.router.clone(), wanted.prefix);
    stream_lines(Rest { router, prefix, cursor, lines, _turn: door.turn()? }, next).await
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
