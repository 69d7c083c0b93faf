//! One key over the whole ring: what is answered is true at some moment between the question and the answer.
//!
//! A value of up to 64 KiB is one record and is held whole. A longer one passes through, a few pieces of it in memory at a time,
//! and takes the place of what was there only when all of it has arrived.

use super::{Answered, Door, range};
use crate::{
    object::{
        Cutter, Manifest, PIECE_BYTES,
        get::{Opening, Taker},
        put::{self, Fed},
    },
    put_options::PutOptions,
    register::Done,
};
use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    dev::Payload,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
};
use bytes::Bytes;
use futures_util::{StreamExt, future::join, stream};
use minor_manners::{
    Problem, body, conditions,
    value::{self, Told, content_type, key_of, tagged, ttl_s},
};
use minor_protocol::{Ballot, Content, Expect, Key, Stamp, State, Wish, limits};
use std::{io, ops::Bound, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Bytes that a long value on its way in or out holds, about.
const PASSING_BYTES: usize = 36 * PIECE_BYTES;
/// Pieces that wait between the ring and the socket.
const AHEAD: usize = 2;
/// How often a long value is opened anew because somebody replaces it.
const OPENINGS: usize = 4;

/// The key of a path, if users may name it.
pub(super) fn user_key(name: &str) -> Result<Key, Problem> {
    Ok(Key::of_user(key_of(name)?.as_str())?)
}

/// `GET` and `HEAD`
pub(super) async fn get(door: &Door, call: &HttpRequest, name: &str) -> Answered {
    let key = user_key(name)?;
    let turn = door.turn()?;
    for _ in 0..OPENINGS {
        let Some(state) = door.router.get(&key).await? else {
            return Err(Problem::absent(key.as_str()));
        };
        let manifest = Manifest::of(&state).transpose();
        let manifest = manifest.map_err(|why| Problem::new(StatusCode::BAD_GATEWAY, why))?;
        let State { header: kept, value } = state;
        let stamp = kept.stamp().unwrap_or(Stamp(Ballot::ZERO));
        if let Some(known) = value::known(call, stamp)? {
            return Ok(known);
        }
        let bytes = manifest.as_ref().map_or(value.len() as u64, |manifest| manifest.bytes);
        // With HEAD, Range means nothing (RFC 9110, 14.2), as at a storage.
        let part = match *call.method() {
            Method::HEAD => None,
            _ => range::wanted(call.headers(), bytes, stamp)?,
        };
        let status = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let wanted = part.clone().unwrap_or(0..bytes);
        let Content { content_type, expires_ms } = kept.content.unwrap_or_default();
        let mut told = Told { content_type, stamp, expires_ms };
        let mut reply = HttpResponse::build(status);
        let mut reply = match manifest {
            None => {
                let value = Bytes::from(value);
                reply.body(value.slice(wanted.start as usize..wanted.end as usize))
            }
            Some(manifest) => {
                told.content_type = manifest.content_type;
                let length = wanted.end - wanted.start;
                if call.method() == Method::HEAD {
                    let nothing = stream::empty::<Result<Bytes, io::Error>>();
                    reply.body(SizedStream::new(length, nothing))
                } else {
                    let mut held = door.shared.in_flight.hold();
                    held.more(PASSING_BYTES)?;
                    let Some((opening, coming)) = open(door, &key, wanted).await? else { continue };
                    if opening.stamp != stamp {
                        continue;
                    }
                    let keep = (held, turn);
                    let pieces = stream::unfold((coming, keep), |(mut coming, keep)| async {
                        let piece: Result<Bytes, crate::NotGot> = coming.recv().await?;
                        // The rest is missing, and the length in the head tells so.
                        Some((piece.map_err(io::Error::other), (coming, keep)))
                    });
                    reply.body(SizedStream::new(length, pieces.boxed_local()))
                }
            }
        };
        let head = reply.headers_mut();
        told.write(head, now_ms(door));
        head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(part) = part {
            let of = format!("bytes {}-{}/{bytes}", part.start, part.end - 1);
            head.insert(header::CONTENT_RANGE, HeaderValue::try_from(of).expect("it is ASCII"));
        }
        return Ok(reply);
    }
    Err(Problem::not_now("the value is replaced again and again: try again in a moment"))
}

type Coming = mpsc::Receiver<Result<Bytes, crate::NotGot>>;

/// Opens a long value; none if it is there no more.
async fn open(
    door: &Door,
    key: &Key,
    wanted: std::ops::Range<u64>,
) -> Result<Option<(Opening, Coming)>, Problem> {
    let (opening, told) = oneshot::channel();
    let (bytes, coming) = mpsc::channel(AHEAD);
    let range = (Bound::Included(wanted.start), Bound::Excluded(wanted.end));
    let (router, key) = (door.router.clone(), key.clone());
    actix_rt::spawn(async move { router.hand_out(&key, range, Taker { opening, bytes }).await });
    let told = told.await.map_err(|_| Problem::not_now("the reading was broken off"))?;
    Ok(told?.map(|opening| (opening, coming)))
}

/// `PUT`
pub(super) async fn put(door: &Door, call: &HttpRequest, name: &str, body: Payload) -> Answered {
    let (key, expect) = (user_key(name)?, conditions::expected(call.headers())?);
    let content_type = content_type(call)?;
    let ttl_s = ttl_s(call)?;
    if call.headers().contains_key(header::CONTENT_RANGE) {
        return Err(Problem::malformed("a value is put as a whole: Content-Range is not taken"));
    }
    let mut pieces = body::Pieces::of(body);
    let _turn = match door.turn() {
        Ok(turn) => turn,
        Err(too_many) => {
            pass_over(pieces).await;
            return Err(too_many);
        }
    };
    let mut held = door.shared.in_flight.hold();
    let mut begin = vec![];
    let mut is_long = false;
    while !is_long && let Some(piece) = pieces.next().await? {
        held.more(piece.len())?;
        begin.extend_from_slice(&piece);
        is_long = begin.len() > limits::VALUE_BYTES;
    }
    let mut options = PutOptions::new().content_type(content_type).expect(expect);
    options.time_to_live = ttl_s.map(Duration::from_secs);
    put::check(&key, &options.content_type)?;
    let done = if is_long {
        held.more(PASSING_BYTES)?;
        // Boxed, or every small one would carry room for it.
        Box::pin(pass(door, &key, begin, pieces, &options)).await?
    } else {
        set(door, &key, begin, &options).await?
    };
    Ok(tagged(status_of(&done, expect), done.stamp))
}

/// Reads what nobody wants, if it is short: a connection on which something is left unread is closed.
async fn pass_over(mut pieces: body::Pieces) {
    let mut bytes = 0;
    while bytes <= limits::VALUE_BYTES
        && let Ok(Some(piece)) = pieces.next().await
    {
        bytes += piece.len();
    }
}

/// Whether a value is new, as a status tells it.
pub(super) fn status_of(done: &Done, expect: Expect) -> StatusCode {
    let was_there = match expect {
        Expect::Absent => false,
        Expect::Anything => done.before.is_some(),
        Expect::Present | Expect::Stamp(_) => true,
    };
    if was_there { StatusCode::NO_CONTENT } else { StatusCode::CREATED }
}

/// Sets a value that fits into a record.
pub(super) async fn set(
    door: &Door,
    key: &Key,
    value: Vec<u8>,
    options: &PutOptions,
) -> Result<Done, Problem> {
    let content_type = options.content_type.clone();
    let wish = Wish::Set { content_type, expires_ms: options.expires_ms(now_ms(door)), value };
    Ok(door.router.set(key, options.expect, wish).await?)
}

/// Passes a long value on to the ring as it comes.
async fn pass(
    door: &Door,
    key: &Key,
    begin: Vec<u8>,
    mut pieces: body::Pieces,
    options: &PutOptions,
) -> Result<Done, Problem> {
    let (feed, source) = mpsc::channel(AHEAD);
    let feeding = async move {
        let (mut cutter, mut next) = (Cutter::default(), Bytes::from(begin));
        loop {
            let mut rest = &next[..];
            while !rest.is_empty() {
                if let Some(piece) = cutter.take(&mut rest)
                    && feed.send(Fed::Piece(piece)).await.is_err()
                {
                    return Ok(());
                }
            }
            match pieces.next().await {
                Ok(Some(piece)) => next = piece,
                Ok(None) => break,
                Err(problem) => {
                    let _ = feed.send(Fed::Failed(problem.detail().to_owned())).await;
                    return Err(problem);
                }
            }
        }
        if let Some(piece) = cutter.rest() {
            let _ = feed.send(Fed::Piece(piece)).await;
        }
        let _ = feed.send(Fed::End).await;
        Ok(())
    };
    let (fed, put) = join(feeding, door.router.put(key, source, options)).await;
    fed?;
    Ok(put?)
}

/// `DELETE`
pub(super) async fn delete(door: &Door, call: &HttpRequest, name: &str) -> Answered {
    let (key, expect) = (user_key(name)?, conditions::expected(call.headers())?);
    let _turn = door.turn()?;
    match door.router.delete(&key, expect).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::absent(key.as_str())),
    }
}

pub(super) fn now_ms(door: &Door) -> u64 {
    door.router.now_ms()
}
