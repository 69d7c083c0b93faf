//! How a key is put, got and refused over HTTP.
//!
//! A storage speaks so of what it keeps, and a router of the whole ring; whoever knows one knows the other.
//!
//! ```text
//!   guard        may it be asked at all?
//!   body         reads what is sent, within its limits
//!   conditions   If-Match, If-None-Match
//!   listing      what may be wished of a listing, and its lines
//!   value        a key and its value in a path and in a head
//!   problem      every no, in one form
//!   stop         being asked to stop
//!   notify       telling a service manager how far it is
//! ```

pub mod body;
pub mod conditions;
pub mod guard;
pub mod listing;
mod notify;
pub mod problem;
mod stop;
pub mod value;

pub use guard::{Guard, NoTokens, Tokens};
pub use notify::{tell_ready, tell_stopping};
pub use problem::Problem;
pub use stop::asked_to_stop;

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::{ConnectionType, Version},
    web,
};
use serde::de::DeserializeOwned;

/// What came of a request: a reply, or a reasoned no.
pub type Answered = Result<HttpResponse, Problem>;

/// What the query says. Nothing that is read so must be said.
pub fn query<T: DeserializeOwned>(call: &HttpRequest) -> Result<T, Problem> {
    let query = call.query_string();
    web::Query::from_query(query)
        .map(web::Query::into_inner)
        .map_err(|_| Problem::malformed(misread::<T>(query)))
}

/// What of a query cannot be read, and why, in words.
fn misread<T: DeserializeOwned>(query: &str) -> String {
    for part in query.split('&') {
        let Err(why) = web::Query::<T>::from_query(part) else { continue };
        let why = why.to_string();
        let why = why.rsplit("error: ").next().unwrap_or_default();
        let why = match why.strip_prefix("unknown field ") {
            Some(named) => {
                let named = named.replace(", expected one of", ", but");
                format!("there is no {}", named.replace(", expected", ", but"))
            }
            None if why.contains("digit") || why.contains("number") || why.contains("integer") => {
                "this takes a whole number".into()
            }
            None => why.to_owned(),
        };
        return format!("{} in the query: {why}", part.escape_debug());
    }
    // Each by itself is right: one is there twice.
    let names: Vec<&str> =
        query.split('&').map(|part| part.split('=').next().unwrap_or_default()).collect();
    let twice = names.iter().find(|name| names.iter().filter(|other| other == name).count() > 1);
    match twice {
        Some(name) => format!("{} stands in the query more than once", name.escape_debug()),
        None => "the query cannot be read".into(),
    }
}

/// The reply as whoever asked can read it: HTTP/1.0 knows no chunks, and there a body of no known length ends where the
/// connection does.
pub fn readable_to(call: &HttpRequest, mut reply: HttpResponse) -> HttpResponse {
    if call.version() < Version::HTTP_11 && reply.body().size() == BodySize::Stream {
        let head = reply.head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    reply
}
