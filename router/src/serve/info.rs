//! How the ring is: for scripts, for whoever keeps it running, for Prometheus.

use super::{Answered, Door, kv::user_key, metrics::Standing, place};
use crate::{look::compared::compared, verdict::serves, walk::Hop};
use actix_web::{HttpRequest, HttpResponse, http::header};
use minor_manners::{Problem, query};
use minor_protocol::{Member, RingArc};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::timeout;

/// How long a look at the whole ring may take.
const LOOK: Duration = Duration::from_secs(5);
/// And how long each of its storages may take.
const ROLL_CALL: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Wanted {
    redundant: Option<u8>,
}

#[derive(Deserialize)]
struct Compare {
    check: Option<u8>,
}

/// Whether an arc has all the copies that are wanted, and none of them is still being filled.
fn is_redundant(arc: &RingArc) -> bool {
    arc.filling.is_none() && arc.members.len() >= usize::from(arc.copies)
}

/// Whether a copy of an arc is not to be had now: none is kept there, or whoever keeps it does not answer, or has lost it.
fn lacks_a_copy(arc: &RingArc, hops: &[Hop]) -> bool {
    let heard = |member: &Member| hops.iter().find(|hop| hop.is(member.storage));
    let keeps = |member: &Member| {
        let hello = heard(member).and_then(|hop| hop.hello.as_ref());
        hello.is_some_and(|hello| serves(hello, arc))
    };
    !is_redundant(arc) || !arc.members.iter().all(keeps)
}

/// `/livez`: the process is there.
pub(super) fn live() -> HttpResponse {
    said("alive\n")
}

/// `/readyz`: the ring is found. With `redundant=1`: any storage may stop now without harm.
pub(super) async fn ready(door: &Door, call: &HttpRequest) -> Answered {
    let Wanted { redundant } = query(call)?;
    if !matches!(redundant, Some(1)) {
        if let Err(why) = look(door.router.walk()).await? {
            return Err(Problem::not_now(why.to_string()));
        }
        return Ok(said("ready\n"));
    }
    let standing = standing(door).await?;
    if let Some((address, _)) = standing.storages.iter().find(|(_, is_up)| !is_up) {
        return Err(Problem::not_now(format!("storage {address} does not answer")));
    }
    if standing.under_copied > 0 {
        let arcs = standing.under_copied;
        return Err(Problem::not_now(format!("{arcs} arcs lack a copy, or one is being filled")));
    }
    Ok(said("redundant\n"))
}

/// `/v1/ring`
pub(super) async fn ring(door: &Door) -> Answered {
    let _turn = door.turn()?;
    let walked = look(door.router.walk()).await?;
    let walked = walked.map_err(|why| Problem::not_now(why.to_string()))?;
    let mut storages = BTreeMap::new();
    for member in walked.arcs.iter().flat_map(|arc| &arc.members) {
        storages.insert(member.storage, member);
    }
    let storages: Vec<_> = storages.into_values().collect();
    let arcs: Vec<Value> = walked.arcs.iter().map(arc_shown).collect();
    let id = door.router.ring_id();
    Ok(HttpResponse::Ok().json(json!({"ring": id, "arcs": arcs, "storages": storages})))
}

/// `/v1/whereis/…`
pub(super) async fn where_is(door: &Door, call: &HttpRequest, name: &str) -> Answered {
    let key = user_key(name)?;
    let Compare { check } = query(call)?;
    let _turn = door.turn()?;
    let seen = door.router.look(&key).await?;
    if matches!(check, Some(1)) {
        return Ok(HttpResponse::Ok().json(compared(&key, seen)));
    }
    let position = key.position().to_string();
    Ok(HttpResponse::Ok()
        .json(json!({"key": key.as_str(), "position": position, "arc": arc_shown(&seen.arc)})))
}

fn arc_shown(arc: &RingArc) -> Value {
    json!({
        "from": arc.span.from.to_string(),
        "to": arc.span.to.to_string(),
        "epoch": arc.epoch,
        "copies": arc.copies,
        "members": arc.members,
        "filling": arc.filling,
        "sealed": arc.sealed.is_some(),
        "redundant": is_redundant(arc),
    })
}

/// `/metrics`
pub(super) async fn metrics(door: &Door) -> HttpResponse {
    // When the ring cannot be seen, the counters are wanted all the more.
    let standing = standing(door).await.ok();
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(door.shared.metrics.text(standing.as_ref()))
}

/// `/openapi.json`
pub(super) fn open_api() -> HttpResponse {
    HttpResponse::Ok().json(place::open_api())
}

/// Looks at every storage.
async fn standing(door: &Door) -> Result<Standing, Problem> {
    let walked = look(door.router.roll_call(ROLL_CALL)).await?;
    let walked = walked.map_err(|why| Problem::not_now(why.to_string()))?;
    let under_copied = walked.arcs.iter().filter(|arc| lacks_a_copy(arc, &walked.hops)).count();
    let mut storages = BTreeMap::new();
    for member in walked.arcs.iter().flat_map(|arc| &arc.members) {
        let answered = walked.hops.iter().any(|hop| hop.is(member.storage));
        storages.insert(member.address.clone(), answered);
    }
    Ok(Standing { under_copied, storages: storages.into_iter().collect() })
}

async fn look<T>(looking: impl Future<Output = T>) -> Result<T, Problem> {
    let late = |_| Problem::not_now(format!("the ring was not seen within {} s", LOOK.as_secs()));
    timeout(LOOK, looking).await.map_err(late)
}

fn said(line: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(line)
}
