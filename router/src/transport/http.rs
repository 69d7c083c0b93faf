//! Storages over HTTP: one POST out, one body back, and silence for everything else.
//!
//! Whoever answers here may be broken, or somebody else at an old address. So nothing is waited for longer than a deadline,
//! nothing is read beyond a limit, no redirect is followed (the answer would be another storage's), nothing is decompressed,
//! and what does not look like answers is garbled, in the sender's own words as far as it has any.

use super::{Silence, Transport};
use actix_service::ServiceExt;
use actix_tls::connect::{Connection, Connector as TcpConnector};
use awc::{
    Client, ClientResponse, Connector,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{StatusCode, Uri, header},
};
use bytes::BytesMut;
use futures_util::{FutureExt, Stream, StreamExt, future::LocalBoxFuture};
use minor_protocol::{Answers, Ask, limits, wire};
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How long a connection may take to come about.
const CONNECT_MS: u64 = 2_000;
/// How long a storage may take from the first byte of an ask to the last of its answers, the connection included.
const ANSWER_MS: u64 = 5_000;
/// How long an idle connection is kept: shorter than the storage keeps it, so that a request seldom meets a closing one.
const IDLE_MS: u64 = 3_000;
/// Connections at a time: a few to each storage of the largest ring anybody has in mind.
const CONNECTIONS: usize = 1_024;
/// Bytes of a refusal that are read to learn its reason.
const REASON_BYTES: usize = 4 << 10;
/// Characters of a reason that are passed on.
const REASON_CHARS: usize = 300;

/// What opens a storage that is closed to strangers. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token of visible ASCII, without blanks around it.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A way to real storages. It works on one thread, within a runtime of actix.
#[derive(Clone)]
pub struct HttpTransport {
    outside: Client,
}

impl HttpTransport {
    /// A way that shows this token, if any, to whomever it asks.
    pub fn new(token: Option<&Token>) -> Self {
        // Without it, a small ask waits for the acknowledgement of the one before.
        let tcp = TcpConnector::default().service().map(|connection: Connection<Uri, _>| {
            if let Err(why) = actix_rt::net::TcpStream::set_nodelay(&connection, true) {
                log::debug!("a connection stays with Nagle's delay: {why}");
            }
            connection
        });
        let connector = Connector::new()
            .connector(tcp)
            .timeout(Duration::from_millis(CONNECT_MS))
            .conn_keep_alive(Duration::from_millis(IDLE_MS))
            .limit(CONNECTIONS);
        let builder = Client::builder().connector(connector).disable_redirects().disable_timeout();
        let builder = match token {
            Some(Token(token)) => builder.bearer_auth(token),
            None => builder,
        };
        Self { outside: builder.finish() }
    }

    async fn post(self, place: Uri, ask: Ask) -> Result<Answers, Silence> {
        let said = wire::encode(&ask);
        // It may hold a MiB of values: that is not kept twice while the storage works.
        drop(ask);
        let request = self
            .outside
            .post(place)
            .insert_header((header::CONTENT_TYPE, wire::MEDIA_TYPE))
            .insert_header((header::ACCEPT, "application/cbor, application/problem+json"));
        let mut answer = request.send_body(said).await.map_err(silence)?;
        if answer.status() != StatusCode::OK {
            let why = no(&mut answer).await;
            return Err(match answer.status() {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Silence::NotAllowed(why),
                _ => Silence::Garbled(why),
            });
        }
        let kind = answer.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wire::MEDIA_TYPE.as_bytes())) {
            return Err(Silence::Garbled(format!("its content type is not {}", wire::MEDIA_TYPE)));
        }
        let body = read(&mut answer, limits::ANSWER_BYTES_READ).await?;
        wire::decode(&body).map_err(|why| Silence::Garbled(why.to_string()))
    }
}

impl Transport for HttpTransport {
    fn ask(&self, address: &str, ask: Ask) -> LocalBoxFuture<'static, Result<Answers, Silence>> {
        let Some(place) = place_of(address) else {
            let why = format!("'{address}' is no HOST:PORT");
            return std::future::ready(Err(Silence::Unreachable(why))).boxed_local();
        };
        let heard = self.clone().post(place, ask);
        let limited = tokio::time::timeout(Duration::from_millis(ANSWER_MS), heard);
        limited.map(|heard| heard.unwrap_or(Err(Silence::TooLate(ANSWER_MS)))).boxed_local()
    }

    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn chance(&self, below: u64) -> u64 {
        // Without chance there are no names that nobody else has: a router that cannot draw must not vote.
        getrandom::u64().expect("the system gives random numbers") % below.max(1)
    }
}

/// Where asks to this address go; none if it is not a host and a port and nothing else.
pub(crate) fn place_of(address: &str) -> Option<Uri> {
    let place: Uri = format!("http://{address}/v1/ask").parse().ok()?;
    let authority = place.authority()?;
    let whole = authority.as_str() == address && !address.contains('@');
    (whole && authority.port_u16().is_some_and(|port| port != 0)).then_some(place)
}

/// What it means that there is not even the head of an answer.
fn silence(why: SendRequestError) -> Silence {
    match why {
        SendRequestError::Connect(ConnectError::Timeout) => Silence::TooLate(CONNECT_MS),
        SendRequestError::Connect(why) => Silence::Unreachable(why.to_string()),
        SendRequestError::Response(why) => Silence::Garbled(why.to_string()),
        other => Silence::Unreachable(other.to_string()),
    }
}

/// A no in words: the status, and the reason if one is given in a form we know.
async fn no<S>(answer: &mut ClientResponse<S>) -> String
where
    S: Stream<Item = Result<bytes::Bytes, PayloadError>> + Unpin,
{
    let status = answer.status();
    let body = read(answer, REASON_BYTES).await.unwrap_or_default();
    let reason = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let reason = reason.as_ref().and_then(|problem| problem["detail"].as_str());
    match reason {
        Some(reason) => {
            let reason: String = reason.chars().take(REASON_CHARS).collect();
            format!("{status}: {}", reason.escape_debug())
        }
        None => status.to_string(),
    }
}

/// A body, if it is no longer than `most`, whatever its head says.
async fn read<S>(answer: &mut ClientResponse<S>, most: usize) -> Result<BytesMut, Silence>
where
    S: Stream<Item = Result<bytes::Bytes, PayloadError>> + Unpin,
{
    let too_long = || Silence::Garbled(format!("its answer is longer than {most} bytes"));
    let said = answer.headers().get(header::CONTENT_LENGTH);
    let said = said.and_then(|said| said.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|said| said > most) {
        return Err(too_long());
    }
    let mut body = BytesMut::with_capacity(said.unwrap_or(0));
    while let Some(piece) = answer.next().await {
        let piece = piece.map_err(|why| Silence::Garbled(why.to_string()))?;
        if body.len() + piece.len() > most {
            return Err(too_long());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
