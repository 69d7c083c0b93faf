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

/// What came of a request: a reply, or a reasoned no.
pub type Answered = Result<HttpResponse, Problem>;

/// What the query says.
pub fn query<T: serde::de::DeserializeOwned>(call: &HttpRequest) -> Result<T, Problem> {
    let query = web::Query::from_query(call.query_string());
    query.map(web::Query::into_inner).map_err(|why| Problem::malformed(why.to_string()))
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
