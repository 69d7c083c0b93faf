//! The page for people: one document, one script, one style sheet, all of them in the program; and what the script listens to
//! and asks for.
//!
//! The page itself holds nothing of the ring, so everybody may have it. All it shows comes through `/v1/events` and the
//! other places, for which it shows the token that its reader types, if the door has one.

use super::{
    Answered, Door, media_type,
    window::{
        change::{Asked, Order, Told},
        wish::{self, What, Wished},
    },
};
use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{StatusCode, header},
    web::Bytes,
};
use futures_util::stream;
use minor_manners::{Problem, body};
use std::{io, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

const PAGE: &str = include_str!("page/page.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

/// What a browser may do with it: run its own script, apply its own style, speak to this door. Nothing inline, nothing from
/// elsewhere, in nobody's frame; and no text ever becomes a piece of the document.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// How long one stream of events lasts; a page that still listens opens another.
const STREAM: Duration = Duration::from_secs(3_600);
/// Bytes of a wish.
const WISH_BYTES: usize = 4 << 10;
/// How long a plan may take, and what is seen before a change begins.
const PLAN: Duration = Duration::from_secs(30);

/// `/`
pub(super) fn page() -> HttpResponse {
    told("text/html; charset=utf-8", PAGE)
}

/// `/page.js`
pub(super) fn script() -> HttpResponse {
    told("text/javascript; charset=utf-8", SCRIPT)
}

/// `/page.css`
pub(super) fn style() -> HttpResponse {
    told("text/css; charset=utf-8", STYLE)
}

fn told(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"))
        // A page of yesterday's program would not understand today's events.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}

/// `/v1/events`: the last minutes first, then a picture every second, until the door closes.
pub(super) fn events(door: &Door) -> Answered {
    let window = &door.shared.window;
    let Some((listener, mut shown)) = window.listen() else {
        return Err(Problem::not_now("too many listen already: try again in a moment"));
    };
    // What is there now is new to whoever has just come.
    shown.mark_changed();
    let until = Instant::now() + STREAM;
    let past = Some(window.past());
    let pictures =
        stream::unfold((past, shown, listener), move |(past, mut shown, listener)| async move {
            if let Some(past) = past {
                return Some((Ok::<_, io::Error>(past), (None, shown, listener)));
            }
            loop {
                timeout_at(until, shown.changed()).await.ok()?.ok()?;
                let picture: Option<Bytes> = shown.borrow_and_update().clone();
                if let Some(picture) = picture {
                    return Some((Ok(picture), (None, shown, listener)));
                }
            }
        });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(Box::pin(pictures)))
}

/// `/v1/ring/join`, and the other changes of the ring beside it.
pub(super) async fn change(door: &Door, call: &HttpRequest, what: What, body: Payload) -> Answered {
    let _turn = door.turn()?;
    let wished = Wished::read(what, &sent(door, call, body).await?)?;
    let told = order(door, Order::Begin(wished)).await?;
    let status = match told {
        Told::Accepted { .. } => StatusCode::ACCEPTED,
        Told::Plan(_) | Told::Stopped { .. } => StatusCode::OK,
    };
    Ok(HttpResponse::build(status).json(told))
}

/// `/v1/ring/stop`
pub(super) async fn stop(door: &Door, call: &HttpRequest, body: Payload) -> Answered {
    let _turn = door.turn()?;
    wish::nothing_more(&sent(door, call, body).await?)?;
    Ok(HttpResponse::Ok().json(order(door, Order::Stop).await?))
}

/// What was sent, in a form that no page of another site could send.
async fn sent(door: &Door, call: &HttpRequest, body: Payload) -> Result<Vec<u8>, Problem> {
    if media_type(call) != "application/json" {
        let detail = "a change of the ring has the content type application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let mut held = door.shared.in_flight.hold();
    body::read(call, body, "a change of the ring", WISH_BYTES, &mut held).await
}

/// Has the window do it, and waits for its answer.
async fn order(door: &Door, order: Order) -> Result<Told, Problem> {
    let (tell, told) = oneshot::channel();
    if !door.shared.window.ask(Asked { order, tell }) {
        return Err(Problem::not_now(
            "too many changes are asked for: nothing of this one was done",
        ));
    }
    let Ok(told) = timeout(PLAN, told).await else {
        let seconds = PLAN.as_secs();
        return Err(Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("there was no answer within {seconds} s; the ring shows whether it has begun"),
        ));
    };
    told.map_err(|_| Problem::not_now("the door is closing: nothing was done"))?
}
