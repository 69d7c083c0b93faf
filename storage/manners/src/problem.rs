//! Every no that leaves over HTTP, in one form: what happened, to what, and what to do next.
//!
//! Programs that accept JSON get a problem of RFC 9457; people get the same as one line.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use minor_protocol::{Refusal, key::NoKey};
use serde::Serialize;

/// A no.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// What happened and what to do.
    detail: String,
    /// What must be said in the head.
    header: Option<(HeaderName, HeaderValue)>,
}

/// Its form for programs.
#[derive(Serialize)]
struct Shown<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
}

/// Seconds after which what is busy now may be asked again.
const COME_BACK_S: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    /// A no with this status and these words.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), header: None }
    }

    /// The same, with one more line in the head.
    pub fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// It is not formed as it should be.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// What was expected is not so.
    pub fn not_met(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, detail)
    }

    /// It is too long.
    pub fn too_large(what: &str, limit: usize) -> Self {
        let detail = format!("{what} has at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// Not now; a moment later perhaps.
    pub fn not_now(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with(header::RETRY_AFTER, COME_BACK_S)
    }

    /// There is no such key.
    pub fn absent(name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no value under the key '{}'", name.escape_debug()),
        )
    }

    /// There is nothing of ours at this place.
    pub fn nowhere(but: &str) -> Self {
        let detail = format!("there is nothing here; {but}");
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The place takes only these methods.
    pub fn method(allows: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this place takes only {allows}"))
            .with(header::ALLOW, HeaderValue::from_static(allows))
    }

    /// The words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The reply to whoever made this call.
    pub fn shown_to(self, call: &HttpRequest) -> HttpResponse {
        let mut reply = HttpResponse::build(self.status);
        reply.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if let Some(header) = self.header {
            reply.insert_header(header);
        }
        let title = self.status.canonical_reason().unwrap_or("Refused");
        let instance = call.path();
        if accepts_json(call) {
            let shown = Shown {
                r#type: "about:blank",
                title,
                status: self.status.as_u16(),
                detail: &self.detail,
                instance,
            };
            let body = serde_json::to_string(&shown).expect("texts and a number are JSON");
            return reply.content_type("application/problem+json").body(body);
        }
        reply.content_type("text/plain; charset=utf-8").body(format!("{title}: {}\n", self.detail))
    }
}

/// Whether it asks for JSON by name. curl accepts anything, and a person reads what it prints.
fn accepts_json(call: &HttpRequest) -> bool {
    let accept = call.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("json"))
}

/// The one place where the storage's no becomes HTTP's.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let said = refusal.to_string();
        match refusal {
            Refusal::NotAlone => Self::new(
                StatusCode::MISDIRECTED_REQUEST,
                "this storage belongs to a ring: write through a router",
            ),
            Refusal::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                format!("{said}: it still reads and deletes; make room on it, and it writes again"),
            ),
            Refusal::Damaged { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "{said}: stop it, look with `minor-storage --check DIR`, and save what is whole with \
                     `minor-storage export`; in a ring, `sdht repair` fills it again from its copies"
                ),
            ),
            Refusal::Malformed(_) => Self::malformed(said),
            Refusal::Stopping => Self::not_now(format!("{said}: try again when it is back")),
            Refusal::TooMuch => Self::not_now("too much is asked at once: try again in a moment"),
            Refusal::Failed(_) => {
                Self::not_now(format!("{said}; it stops now, and what it acknowledged is kept"))
            }
            Refusal::Filling => Self::not_now(
                "this copy is still being filled, and what it lacks may be elsewhere: ask through a router",
            ),
            // The rest only routers hear, inside an answer.
            _ => Self::new(StatusCode::CONFLICT, said),
        }
    }
}

impl From<NoKey> for Problem {
    fn from(why: NoKey) -> Self {
        let status = match why {
            NoKey::TooLong(_) => StatusCode::URI_TOO_LONG,
            NoKey::Empty | NoKey::NotText | NoKey::Reserved => StatusCode::BAD_REQUEST,
        };
        Self::new(status, why.to_string())
    }
}
