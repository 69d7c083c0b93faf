//! Batches, for routers: many requests in, as many answers out, one commit for all of them.

use super::{Answered, Face, now_ms};
use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    dev::Payload,
    http::{StatusCode, header},
    web::{self, Bytes},
};
use minor_manners::{
    Problem,
    body::{self, Held},
};
use minor_protocol::{Answers, Ask, Request, limits, wire};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// `POST`
pub(super) async fn post(face: &Face, call: &HttpRequest, body: Payload) -> Answered {
    expect_cbor(call)?;
    let mut held = face.in_flight.hold();
    let body = body::read(call, body, "an ask", limits::ASK_BYTES_READ, &mut held).await?;
    let answers = answers(face, ask_in(&body)?).await?;
    let bytes = wire::encode(&answers);
    held.more(bytes.len())?;
    let answers = Outgoing { rest: bytes.into(), _held: held };
    Ok(HttpResponse::Ok().content_type(wire::MEDIA_TYPE).body(answers))
}

/// A page of another site may post only what forms send; so this is what keeps it out, as well as a matter of form.
fn expect_cbor(call: &HttpRequest) -> Result<(), Problem> {
    let given = call.headers().get(header::CONTENT_TYPE).map(|given| given.as_bytes());
    if given.is_some_and(|given| given.eq_ignore_ascii_case(wire::MEDIA_TYPE.as_bytes())) {
        return Ok(());
    }
    let detail = format!("an ask has the content type {}", wire::MEDIA_TYPE);
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

fn ask_in(body: &[u8]) -> Result<Ask, Problem> {
    let ask: Ask = wire::decode(body).map_err(|why| Problem::malformed(why.to_string()))?;
    if ask.requests.len() > limits::ASK_REQUESTS {
        let detail = format!("an ask has at most {} requests", limits::ASK_REQUESTS);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(ask)
}

async fn answers(face: &Face, ask: Ask) -> Result<Answers, Problem> {
    let now_ms = now_ms();
    if !ask.requests.iter().any(Request::is_long) {
        return Ok(face.storage.work(ask, now_ms).settled().await?);
    }
    let storage = face.storage.clone();
    let worked = web::block(move || storage.work(ask, now_ms)).await;
    let worked = worked.map_err(|_| Problem::not_now("the work was broken off: ask again"))?;
    Ok(worked.settled().await?)
}

/// Answers on their way out. They go piece by piece, so that what a slow router has not taken yet counts as held.
struct Outgoing {
    rest: Bytes,
    _held: Held,
}

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

impl MessageBody for Outgoing {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let piece = self.rest.len().min(PIECE);
        Poll::Ready((piece > 0).then(|| Ok(self.rest.split_to(piece))))
    }
}
