//! How the storage is: for people, for scripts, for whoever keeps it running, for Prometheus.

use super::{Answered, Face, listing, now_ms};
use crate::{
    nodeinfo::NodeInfo,
    page::{self, Keys},
    store::Room,
};
use actix_web::{HttpRequest, HttpResponse, http::header};
use minor_manners::{Problem, query};
use minor_protocol::{Key, Refusal};
use serde::Deserialize;

/// Keys on one status page.
const KEYS_SHOWN: usize = 50;

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
}

/// `/`
pub(super) async fn page(face: &Face, call: &HttpRequest) -> Answered {
    let Wanted { prefix, after } = query(call)?;
    let after = after.filter(|after| !after.is_empty());
    let behind = after.as_deref().map(Key::new).transpose()?;
    let page = listing::page(&face.storage, prefix.clone(), behind, KEYS_SHOWN).await;
    // A storage that cannot list its keys says why on the rest of the page.
    let page = &page.unwrap_or_default();
    let keys = Keys { page, prefix: &prefix, after: after.as_deref() };
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(page::render(&info_of(face), &keys, now_ms())))
}

/// `/nodeinfo`
pub(super) fn nodeinfo(face: &Face) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .json(info_of(face))
}

/// `/livez`: the process is there.
pub(super) fn live() -> HttpResponse {
    said("alive\n")
}

/// `/readyz`: the data is open, there is room on the disk, and it is not stopping. Damage in one arc is no reason to keep away
/// from the others.
pub(super) fn ready(face: &Face) -> Answered {
    face.storage.health()?;
    if face.storage.is_stopping() {
        return Err(Refusal::Stopping.into());
    }
    match face.storage.room() {
        Room::Enough => Ok(said("ready\n")),
        Room::Low => Err(Problem::not_now(
            "the disk is nearly full: it reads and deletes, and writes again when there is room",
        )),
    }
}

/// `/metrics`
pub(super) fn metrics(face: &Face) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(face.metrics.text())
}

fn info_of(face: &Face) -> NodeInfo {
    NodeInfo::of(&face.storage, face.begun.elapsed().as_secs(), face.set_aside.clone())
}

fn said(line: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(line)
}
