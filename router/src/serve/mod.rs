//! The door: a router that stays, for every program that speaks HTTP.
//!
//! ```text
//!   curl ──▶ listener ──▶ worker 1: its own router ──▶ storages
//!                    └──▶ worker 2: its own router ──▶ storages
//!                            │
//!                            ├── place      what is meant? One table, from which /openapi.json is made
//!                            ├── kv         one key over the whole ring, linearizable, of any size; range: a part of it
//!                            ├── listing    the keys, as NDJSON
//!                            ├── batch      many operations in one request
//!                            ├── info       how the ring is
//!                            ├── page       the ring, drawn, for people; and what they change there
//!                            ├── fault      what a router says of a failure, as a status
//!                            └── metrics    counts
//!   keeper (one in each process): its own router ──▶ storages
//! ```
//!
//! Beside the workers stands the window, through which all pages see the same picture of the ring.
//!
//! Its manners are those of a storage ([`minor_manners`]), and any number of doors may stand open: none keeps anything that
//! matters. Each worker has a router of its own, so that nothing is shared on the way of a request but a few counters.
//!
//! Everything is bounded. A worker works on so many requests at a time, and all of them hold so many bytes; whoever comes then
//! is told to come back in a second, before anything of his request was done.
//!
//! What it does not do: TLS (a proxy does), compression, transactions over several keys.

mod batch;
mod fault;
mod info;
mod json;
mod kv;
mod listing;
mod metrics;
mod page;
mod picture;
mod place;
mod range;
mod window;

use crate::{
    counters::Counters,
    keeper::{self, Keeper},
    router::{Patience, Router},
    transport::http::{HttpTransport, Token},
};
use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    dev::{Payload, ServiceRequest, ServiceResponse, fn_service},
    http::{Method, header},
    web::ServiceConfig,
};
use futures_util::future::{Either, join, pending, select};
use metrics::Metrics;
use minor_manners::{Answered, Problem, body::InFlight, readable_to};
use minor_protocol::RingArc;
use place::Place;
use std::{
    cell::Cell,
    future::Future,
    io,
    net::TcpListener,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use window::{Window, change::Changes, window};

pub use minor_manners::{Guard, NoTokens, Tokens, asked_to_stop, tell_ready, tell_stopping};

/// Requests that all workers together work on at a time, each its part of them.
const AT_ONCE: usize = 512;
/// Connections at a time: twice as many, so that whoever is too many is told so, and is not left waiting in silence.
const CONNECTIONS: usize = 1_024;
/// How long a head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long what is under way may take when the door closes.
const FAREWELL: Duration = Duration::from_secs(10);

/// How a door stands.
#[derive(Debug)]
pub struct Settings {
    /// Storages of the ring; one that answers is enough.
    pub ring: Vec<String>,
    /// Arcs that were seen before. They may be out of date.
    pub known: Vec<RingArc>,
    /// What opens the storages.
    pub token: Option<Token>,
    /// How long an operation is tried.
    pub timeout: Duration,
    /// Who may come in.
    pub guard: Guard,
    /// Threads that answer, each with its own router.
    pub workers: usize,
    /// Where its routers count what they do.
    pub counters: Arc<Counters>,
    /// How the ring is kept; none if somebody else does it, or nobody.
    pub keeper: Option<keeper::Settings>,
}

/// What all workers share.
struct Shared {
    guard: Guard,
    in_flight: InFlight,
    metrics: Metrics,
    window: Window,
}

/// One worker's door.
struct Door {
    router: Router<HttpTransport>,
    shared: Arc<Shared>,
    /// Requests it may still take on.
    room: Rc<Cell<usize>>,
}

/// One of the requests that a worker works on, until dropped.
struct Turn(Rc<Cell<usize>>);

impl Door {
    fn turn(&self) -> Result<Turn, Problem> {
        let Some(room) = self.room.get().checked_sub(1) else {
            let why = "too many requests are being worked on: nothing of this one was done; try again in a moment";
            return Err(Problem::not_now(why));
        };
        self.room.set(room);
        Ok(Turn(Rc::clone(&self.room)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// What it takes to be a router of the ring.
#[derive(Clone)]
struct Opening {
    ring: Vec<String>,
    known: Vec<RingArc>,
    token: Option<Token>,
    counters: Arc<Counters>,
}

impl Opening {
    /// One more, for this thread.
    fn router(&self, patience: Patience) -> Router<HttpTransport> {
        let transport = HttpTransport::new(self.token.as_ref());
        let counters = Arc::clone(&self.counters);
        let router = Router::counted(transport, self.ring.clone(), patience, counters);
        router.remember(&self.known);
        if !self.known.is_empty() {
            // It was seen before the door opened. All of its routers stay with that ring, whatever comes to live there.
            router.core.lines.heard_from_the_ring();
        }
        router
    }
}

/// Serves until `stop` ends; then lets what is under way finish, for 10 s at the longest. To be called in a runtime of actix.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let Settings { ring, known, token, timeout, guard, workers, counters, keeper } = settings;
    let in_flight = InFlight::default();
    let metrics = Metrics::new(&in_flight, &counters);
    let operation_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let patience = Patience { operation_ms, ..Patience::default() };
    let opening = Opening { ring, known, token, counters };
    let (window, watcher) = window(opening.router(patience));
    let shared = Arc::new(Shared { guard, in_flight, metrics, window });
    let watched = Arc::clone(&shared);
    let keeper = keeper.map(|settings| {
        let router = opening.router(Patience::default());
        let (shared, clock) = (Arc::clone(&shared), router.clone());
        let keeper = Keeper::new(router, settings, move |deed| {
            log::info!(target: "sdht::keeper", "the keeper {deed}");
            shared.metrics.note(deed);
            shared.window.note(clock.now_ms(), deed);
        });
        keeper.run()
    });
    let app = move || {
        // Here is the worker's own thread.
        let router = opening.router(patience);
        let (shared, room) = (Arc::clone(&shared), Rc::new(Cell::new(AT_ONCE.div_ceil(workers))));
        App::new().configure(routes(Rc::new(Door { router, shared, room })))
    };
    let (closing, closed) = oneshot::channel::<()>();
    let stop = async move {
        stop.await;
        drop(closing);
    };
    let serving = HttpServer::new(app)
        .workers(workers)
        .max_connections(CONNECTIONS.div_ceil(workers))
        .client_request_timeout(HEAD)
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .shutdown_timeout(FAREWELL.as_secs())
        .shutdown_signal(stop)
        .listen(listener)?
        .run();
    let changes = Rc::<Changes>::default();
    let seen = Rc::clone(&changes);
    let watching = async move {
        // Whoever listens would hold up the farewell: they hear the end at once.
        select(pin!(watcher.watch(&watched.metrics, &seen)), closed).await;
    };
    let keeping = async {
        match keeper {
            Some(keeper) => keeper.await,
            None => pending().await,
        }
    };
    // The keeper never ends; when the door has closed, it stops between two messages.
    let closed = match select(pin!(join(serving, watching)), pin!(keeping)).await {
        Either::Left(((closed, ()), _)) => closed,
        Either::Right(((), open)) => open.await.0,
    };
    if let Some(left) = changes.unfinished() {
        log::warn!("{left}");
    }
    closed
}

fn routes(door: Rc<Door>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config.default_service(fn_service(move |call: ServiceRequest| {
            let door = Rc::clone(&door);
            async move {
                let (call, body) = call.into_parts();
                let reply = answer(&door, &call, body).await;
                Ok::<_, Error>(ServiceResponse::new(call, reply))
            }
        }));
    }
}

async fn answer(door: &Door, call: &HttpRequest, body: Payload) -> HttpResponse {
    let begun = Instant::now();
    let place = Place::of(call.path());
    let answered = match door.shared.guard.admit(call, place.about()) {
        Ok(()) => give(door, call, place, body).await,
        Err(problem) => Err(problem),
    };
    let reply = answered.unwrap_or_else(|problem| problem.shown_to(call));
    let reply = readable_to(call, reply);
    door.shared.metrics.count(place.operation(call.method()), reply.status(), begun.elapsed());
    reply
}

/// What a body is said to be, in small letters and without what goes along; empty if nothing is said.
fn media_type(call: &HttpRequest) -> String {
    let kind = call.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// What seldom happens is boxed: every request would carry room for it otherwise.
async fn give(door: &Door, call: &HttpRequest, place: Place<'_>, body: Payload) -> Answered {
    match (place, call.method()) {
        (Place::Key(name), &Method::GET | &Method::HEAD) => kv::get(door, call, name).await,
        (Place::Key(name), &Method::PUT) => kv::put(door, call, name, body).await,
        (Place::Key(name), &Method::DELETE) => kv::delete(door, call, name).await,
        (Place::Keys, &Method::GET) => Box::pin(listing::get(door, call)).await,
        (Place::Batch, &Method::POST) => Box::pin(batch::post(door, call, body)).await,
        (Place::WhereIs(name), &Method::GET | &Method::HEAD) => {
            Box::pin(info::where_is(door, call, name)).await
        }
        (Place::Page, &Method::GET | &Method::HEAD) => Ok(page::page()),
        (Place::Script, &Method::GET | &Method::HEAD) => Ok(page::script()),
        (Place::Style, &Method::GET | &Method::HEAD) => Ok(page::style()),
        (Place::Events, &Method::GET) => page::events(door),
        (Place::Change(what), &Method::POST) => {
            Box::pin(page::change(door, call, what, body)).await
        }
        (Place::Stop, &Method::POST) => Box::pin(page::stop(door, call, body)).await,
        (Place::Ring, &Method::GET | &Method::HEAD) => Box::pin(info::ring(door)).await,
        (Place::Live, &Method::GET | &Method::HEAD) => Ok(info::live()),
        (Place::Ready, &Method::GET | &Method::HEAD) => Box::pin(info::ready(door, call)).await,
        (Place::Metrics, &Method::GET | &Method::HEAD) => Ok(Box::pin(info::metrics(door)).await),
        (Place::OpenApi, &Method::GET | &Method::HEAD) => Ok(info::open_api()),
        (Place::Nowhere, _) => Err(Problem::nowhere("keys are at /v1/kv/KEY")),
        (place, _) => Err(Problem::method(place.allows())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_room_for_little_more_than_a_change() {
        fn bytes<F>(_: impl Fn(&'static Door, &'static HttpRequest, Payload) -> F) -> usize {
            size_of::<F>()
        }
        let carried = bytes(answer);
        assert!(carried <= 4 << 10, "{carried} bytes are moved with every request");
    }
}
