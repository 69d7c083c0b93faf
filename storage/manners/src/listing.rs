//! A listing of keys: what may be wished of it, and its lines, streamed page by page.
//!
//! Whoever lists brings what is left to read, and how the next lines are read from it; the whole listing is never in memory.

use crate::{Answered, Problem, query};
use actix_web::{HttpRequest, HttpResponse, http::header, web::Bytes};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use std::io;

/// Lines when nobody says how many.
const USUAL: usize = 1_000;
/// Lines at the most: whoever wants more goes on behind the last one.
const MOST: usize = 100_000;

/// What is wished of a listing.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    /// How the keys begin.
    #[serde(default)]
    pub prefix: String,
    /// The key behind which it goes on, as it was sent.
    pub after: Option<String>,
    limit: Option<usize>,
}

impl Wanted {
    /// What a query asks for.
    pub fn of(call: &HttpRequest) -> Result<Self, Problem> {
        let wanted: Self = query(call)?;
        if !(1..=MOST).contains(&wanted.lines()) {
            return Err(Problem::malformed(format!("limit takes a number from 1 to {MOST}")));
        }
        Ok(wanted)
    }

    /// How many lines there are at the most.
    pub fn lines(&self) -> usize {
        self.limit.unwrap_or(USUAL)
    }
}

/// Answers with the lines that `next` reads from what is left, until nothing is.
pub async fn stream_lines<Rest, Reading>(
    rest: Rest,
    next: impl Fn(Rest) -> Reading + Copy + 'static,
) -> Answered
where
    Rest: 'static,
    Reading: Future<Output = Result<(Bytes, Option<Rest>), Problem>> + 'static,
{
    // The first page tells whether there is anything to tell; a status cannot be taken back later.
    let (first, rest) = next(rest).await?;
    let more = stream::try_unfold(rest, move |rest| async move {
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
