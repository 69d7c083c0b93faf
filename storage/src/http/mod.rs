//! The HTTP face: everything a storage says over a socket, and nothing that it decides.
//!
//! ```text
//!   bind ─▶ listen ─▶ serve ─▶ routes ─▶ answer
//!                                          ├── place      what is meant?
//!                                          ├── kv         keys, for people with curl
//!                                          ├── listing    the keys kept here
//!                                          ├── ask        batches, for routers
//!                                          ├── info       how the storage is
//!                                          └── metrics    counts them all
//! ```
//!
//! Who may ask, how a body is read, and how a no looks are manners that routers share: [`minor_manners`].
//!
//! There is one service, and one `match` in it, instead of actix-web's router: keys are then decoded exactly once, wrong methods
//! and unknown places are answered in one form, and a `GET` is some 2 µs shorter.
//!
//! What it does not do: TLS (a proxy does), compression (it would change bytes), redirects to anything but a storage of the ring.

mod ask;
mod info;
mod kv;
mod listing;
mod metrics;
mod place;

pub use minor_manners::{Guard, NoTokens, Tokens, asked_to_stop, tell_ready, tell_stopping};

use crate::{nodeinfo::Limits, storage::Storage, store::Fault};
use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    dev::{Extensions, Payload, ServiceRequest, ServiceResponse, fn_service},
    http::{Method, StatusCode},
    rt::{
        System,
        net::{TcpSocket, TcpStream},
    },
    web::ServiceConfig,
};
use metrics::{Connections, Metrics};
use minor_manners::{Answered, Problem, body::InFlight, readable_to};
use minor_protocol::{Refusal, limits};
use place::Place;
use std::{
    any::Any,
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long what is under way may take when the storage stops.
pub const FAREWELL: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections that may wait to be taken.
const BACKLOG: u32 = 1_024;
/// Threads that read much: listings and tallies. More would not make one disk faster.
const LONG_WORK_THREADS: usize = 8;

/// A storage, and what its HTTP face knows beside it.
pub struct Face {
    storage: Arc<Storage>,
    guard: Guard,
    in_flight: InFlight,
    connections: Connections,
    metrics: Metrics,
    begun: Instant,
    set_aside: Vec<String>,
}

impl Face {
    /// The face of a storage. `set_aside` is what was found or put beside its data because it could not be trusted.
    pub fn new(storage: Arc<Storage>, guard: Guard, set_aside: Vec<String>) -> Self {
        let (in_flight, connections) = (InFlight::default(), Connections::default());
        let begun = Instant::now();
        let metrics =
            Metrics::new(&storage, &in_flight, &connections, begun, set_aside.len() as u64);
        Self { storage, guard, in_flight, connections, metrics, begun, set_aside }
    }
}

/// Everything the face answers, for an `App` in production and in tests.
pub fn routes(face: Arc<Face>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config.default_service(fn_service(move |call: ServiceRequest| {
            let face = face.clone();
            async move {
                let (call, body) = call.into_parts();
                let reply = answer(&face, &call, body).await;
                Ok::<_, Error>(ServiceResponse::new(call, reply))
            }
        }));
    }
}

async fn answer(face: &Face, call: &HttpRequest, body: Payload) -> HttpResponse {
    let begun = Instant::now();
    let place = Place::of(call.path());
    let answered = match face.guard.admit(call, place.about()) {
        Ok(()) => give(face, call, place, body).await,
        Err(problem) => Err(problem),
    };
    let reply = answered.unwrap_or_else(|problem| problem.shown_to(call));
    let reply = readable_to(call, reply);
    face.metrics.count(place, reply.status(), begun.elapsed());
    reply
}

async fn give(face: &Face, call: &HttpRequest, place: Place<'_>, body: Payload) -> Answered {
    if let (Place::Key(_) | Place::Keys, Some(aside)) = (place, face.set_aside.first())
        && face.storage.is_plain()
    {
        // Its keys would all look absent, and nobody is there to fill it again.
        return Err(set_aside(aside));
    }
    match (place, call.method()) {
        (Place::Key(name), &Method::GET | &Method::HEAD) => kv::get(face, call, name).await,
        (Place::Key(name), &Method::PUT) => kv::put(face, call, name, body).await,
        (Place::Key(name), &Method::DELETE) => kv::delete(face, call, name).await,
        (Place::Ask, &Method::POST) => ask::post(face, call, body).await,
        (Place::Keys, &Method::GET) => listing::get(face, call).await,
        (Place::Page, &Method::GET | &Method::HEAD) => info::page(face, call).await,
        (Place::NodeInfo, &Method::GET | &Method::HEAD) => Ok(info::nodeinfo(face)),
        (Place::Live, &Method::GET | &Method::HEAD) => Ok(info::live()),
        (Place::Ready, &Method::GET | &Method::HEAD) => info::ready(face),
        (Place::Metrics, &Method::GET | &Method::HEAD) => Ok(info::metrics(face)),
        (Place::Nowhere, _) => {
            Err(Problem::nowhere("keys are at /v1/kv/KEY, the status page is at /"))
        }
        (place, _) => Err(Problem::method(place.allows())),
    }
}

/// The data of a store of its own lies damaged beside it.
fn set_aside(dir: &str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!(
            "the data of this storage was damaged and set aside in {dir}: bring it back from a backup, or save what is \
             whole; to begin anew without it, move that directory elsewhere and start again"
        ),
    )
}

/// A write that meets a fault may or may not be on the disk.
impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLarge { .. } => Self::too_large("a value", limits::VALUE_BYTES),
            Fault::Closed => Refusal::Stopping.into(),
            Fault::Disk { .. } | Fault::Damage { .. } => Self::not_now(format!(
                "{fault}; the storage stops now: read before you write again"
            )),
        }
    }
}

/// Takes an address, so that nobody else can; nobody connects before [`listen`].
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The port of one that was killed a moment ago is free for its successor.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Lets others connect. Call it within [`run`].
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?.into_std()
}

/// Serves until `stop` ends; then lets what is under way finish, for [`FAREWELL`] at the longest.
pub async fn serve(
    listener: TcpListener,
    face: Arc<Face>,
    workers: usize,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let connections = face.connections.clone();
    let limits = Limits::IN_FORCE;
    HttpServer::new(move || App::new().configure(routes(face.clone())))
        .on_connect(move |connection: &dyn Any, data: &mut Extensions| {
            if connection.is::<TcpStream>() {
                data.insert(connections.one_more());
            }
        })
        .workers(workers)
        .worker_max_blocking_threads(LONG_WORK_THREADS)
        .max_connections(limits.connections.div_ceil(workers))
        .client_request_timeout(Duration::from_secs(limits.head_seconds))
        .keep_alive(KEEP_ALIVE)
        .tcp_nodelay(true)
        .shutdown_timeout(FAREWELL.as_secs())
        .shutdown_signal(stop)
        .listen(listener)?
        .run()
        .await
}

/// Runs a future on the runtime that sockets here need.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    System::new().block_on(future)
}

/// The time by this machine's clock.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
