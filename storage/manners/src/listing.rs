//! A listing of keys: what may be wished of it, and its lines, streamed page by page.
//!
//! Whoever lists brings what is left to read, and how the next lines are read from it; the whole listing is never in memory. So
//! all keys are listed unless fewer are asked for, and only a listing of as many lines as its limit may have left some out.
//!
//! A status cannot be taken back. What fails in the middle is told in a last line, and then the connection is cut, so that whoever
//! does not read that line does not take the listing for whole either:
//!
//! ```text
//! {"key":"fruit/7"}
//! {"error":"the keys of (…] could not be listed: …; the lines before this one hold: go on with after= and the last key of them"}
//! ```

use crate::{Answered, Problem, query};
use actix_web::{HttpRequest, HttpResponse, http::header, web::Bytes};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use std::{io, time::Duration};
use tokio::time::sleep;

/// How long the last line of a listing that failed has to get out, before the connection is cut.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What is wished of a listing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
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
        if wanted.limit == Some(0) {
            return Err(Problem::malformed("limit takes a whole number, at least 1"));
        }
        Ok(wanted)
    }

    /// How many lines there are at the most: all, if nobody says how many.
    pub fn lines(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
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
    // The first page tells whether there is anything to tell.
    let (first, rest) = next(rest).await?;
    let more = stream::unfold(Left::of(rest), move |left| async move {
        match left {
            Left::More(rest) => Some(match next(rest).await {
                Ok((lines, rest)) => (Ok(lines), Left::of(rest)),
                Err(problem) => {
                    let why = problem.detail().to_owned();
                    (Ok(last_line(&why)), Left::Cut(why))
                }
            }),
            Left::Cut(why) => {
                // What is written when the connection is cut at once is lost.
                sleep(LAST_WORDS).await;
                let why = format!("a listing was cut off in the middle: {why}");
                Some((Err(io::Error::other(why)), Left::Nothing))
            }
            Left::Nothing => None,
        }
    });
    let lines = stream::once(async { Ok(first) }).chain(more);
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(lines))
}

/// What comes next.
enum Left<Rest> {
    More(Rest),
    /// The connection is cut, for this reason.
    Cut(String),
    Nothing,
}

impl<Rest> Left<Rest> {
    fn of(rest: Option<Rest>) -> Self {
        rest.map_or(Self::Nothing, Self::More)
    }
}

/// What is told of a failure in the middle.
fn last_line(why: &str) -> Bytes {
    let error = format!(
        "{why}; the lines before this one hold: go on with after= and the last key of them"
    );
    (serde_json::json!({ "error": error }).to_string() + "\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{body::MessageBody, test::TestRequest};
    use std::{future::poll_fn, pin::pin};

    /// Two lines, and then it fails.
    async fn next(rest: u8) -> Result<(Bytes, Option<u8>), Problem> {
        match rest {
            0 => Err(Problem::not_now("the keys of (0, 9] could not be listed")),
            _ => Ok(("{}\n".into(), Some(rest - 1))),
        }
    }

    #[test]
    fn what_fails_in_the_middle_is_told_in_a_last_line_and_cut() {
        actix_web::rt::System::new().block_on(fails_in_the_middle());
    }

    async fn fails_in_the_middle() {
        let reply = stream_lines(2, next).await.unwrap();
        let (mut body, mut text) = (pin!(reply.into_body()), String::new());
        let cut = loop {
            match poll_fn(|context| body.as_mut().poll_next(context)).await {
                Some(Ok(lines)) => text += std::str::from_utf8(&lines).unwrap(),
                ended => break ended,
            }
        };
        assert!(matches!(cut, Some(Err(_))), "nobody takes it for whole");
        let told = "the keys of (0, 9] could not be listed; the lines before this one hold: go on with after= and the last key of them";
        assert_eq!(text, format!("{{}}\n{{}}\n{}\n", serde_json::json!({ "error": told })));
        assert!(stream_lines(0, next).await.is_err(), "at once, it is a status");
    }

    #[test]
    fn a_query_that_is_not_understood_is_named() {
        let no = |query: &str| {
            let call = TestRequest::with_uri(&format!("/v1/kv?{query}")).to_http_request();
            Wanted::of(&call).unwrap_err().detail().to_owned()
        };
        assert_eq!(no("limit=0"), "limit takes a whole number, at least 1");
        assert_eq!(no("prefix=a&limit=abc"), "limit=abc in the query: this takes a whole number");
        assert_eq!(
            no("Limit=1"),
            "Limit=1 in the query: there is no `Limit`, but `prefix`, `after`, `limit`"
        );
        assert_eq!(no("limit=1&limit=2"), "limit stands in the query more than once");
    }
}
