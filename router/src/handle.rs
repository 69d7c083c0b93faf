//! The ring as a program holds it: cloned, sent, and used from any thread and under any runtime, or none.
//!
//! What speaks HTTP may not leave its thread, and works in one kind of runtime only. So a handle is a line to a thread of
//! its own, on which a router lives:
//!
//! ```text
//!   any thread, any runtime                      one thread
//!   ring.set(..).await ──── a job ────▶  router: asks, hears, decides
//!        ▲                                    │
//!        └─────────── its outcome ◀───────────┘
//! ```
//!
//! A job that was handed over is carried to its end, also when nobody waits for it any more: to drop a future is to look
//! away, not to take back. (A change of the ring stops when its [`Moving`] is dropped, between two messages, and the next one
//! goes on from there.) All clones share the thread, so what many tasks ask at the same time travels together.

mod many;
mod moving;
mod object;
mod stream;
mod values;

pub use moving::Moving;
pub use object::Object;
pub use stream::Keys;
pub use values::Value;

use crate::{
    NotMoved,
    counters::Counters,
    error::{NotConnected, NotGot, NotSet, Trouble},
    look::Look,
    register::Changed,
    router::{Patience, Router},
    transport::http::{HttpTransport, Token},
    walk::{NoRing, Walked},
};
use minor_protocol::{Key, Operation, RingArc, RingId, State};
use std::{collections::BTreeMap, fmt, thread, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// What a ring keeps of everything, unless somebody wishes for another number.
const COPIES: u8 = 3;

/// A ring. Clones are cheap and share one thread, which ends with the last of them.
#[derive(Clone)]
pub struct Ring {
    jobs: mpsc::UnboundedSender<Job>,
}

/// Something to be done on the router's thread.
type Job = Box<dyn FnOnce(&Router<HttpTransport>) + Send>;

/// The router's thread has ended.
#[derive(Clone, Copy, Debug)]
struct Ended;

/// How to come to a ring.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    token: Option<Token>,
    patience: Patience,
    copies: Option<u8>,
    known: Vec<RingArc>,
    max_rate: Option<u64>,
    counters: std::sync::Arc<Counters>,
}

impl Builder {
    /// Shows this token to every storage.
    pub fn token(self, token: Token) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Tries each operation on a key for this long; 10 s if nothing is said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience.operation_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// A change of the ring ends when it has waited this long without getting any further; 30 s if nothing is said.
    pub fn stall(mut self, stall: Duration) -> Self {
        self.patience.step_ms = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Moves at most so many bytes of data in a second while the ring changes; as fast as it goes if nothing is said.
    pub fn max_rate(mut self, bytes_per_s: u64) -> Self {
        self.max_rate = Some(bytes_per_s);
        self
    }

    /// Counts here what its router does, together with what others do.
    pub fn counted(self, counters: std::sync::Arc<Counters>) -> Self {
        Self { counters, ..self }
    }

    /// A ring that is founded keeps this many copies; 3 if nothing is said.
    pub fn copies(self, copies: u8) -> Self {
        Self { copies: Some(copies), ..self }
    }

    /// Begins with these arcs, which an earlier handle gave, instead of a walk. They may be out of date.
    pub fn known(self, arcs: Vec<RingArc>) -> Self {
        Self { known: arcs, ..self }
    }

    /// Comes to the ring that the storages at these addresses are part of. One that answers is enough.
    pub async fn connect<A: Into<String>>(
        self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Ring, NotConnected> {
        let ring = self.open(addresses).await?;
        ring.find().await?;
        Ok(ring)
    }

    /// The same without asking anybody yet, so that [`Ring::waited_for`] can be asked while [`Ring::find`] finds it.
    pub async fn open<A: Into<String>>(
        self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Ring, NotConnected> {
        self.start(addresses.into_iter().map(Into::into).collect()).await
    }

    /// Makes the storage at this address a ring of its own: what it kept until now is the ring's first content.
    pub async fn found(self, address: impl Into<String>) -> Result<Ring, NotConnected> {
        let (address, copies) = (address.into(), self.copies.unwrap_or(COPIES));
        let ring = self.start(vec![address.clone()]).await?;
        let founded = ring.run(move |router| async move {
            let id = RingId(router.draw_id());
            router.found(&address, id, copies).await
        });
        founded.await.unwrap_or(Err(NotMoved::Ended))?;
        Ok(ring)
    }

    async fn start(self, seeds: Vec<String>) -> Result<Ring, NotConnected> {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let (tell, told) = oneshot::channel();
        let live = move || match actix_rt::Runtime::new() {
            Ok(runtime) => {
                let _ = tell.send(Ok(()));
                runtime.block_on(live(self, seeds, waiting));
            }
            Err(why) => drop(tell.send(Err(why.to_string()))),
        };
        let thread = thread::Builder::new().name("sdht".into()).spawn(live);
        thread.map_err(|why| NotConnected::NoThread(why.to_string()))?;
        let started = told.await.unwrap_or_else(|_| Err("it ended at once".into()));
        started.map_err(NotConnected::NoThread)?;
        Ok(Ring { jobs })
    }
}

/// The life of the router's thread: one job after another is begun, and none waits for another.
async fn live(builder: Builder, seeds: Vec<String>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let transport = HttpTransport::new(builder.token.as_ref());
    let router = Router::counted(transport, seeds, builder.patience, builder.counters);
    builder.max_rate.iter().for_each(|rate| router.set_max_rate(*rate));
    router.remember(&builder.known);
    while let Some(job) = jobs.recv().await {
        job(&router);
    }
}

impl Ring {
    /// Comes to the ring that the storages at these addresses are part of. One that answers is enough.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = sdht::Ring::connect(["127.0.0.1:8000", "127.0.0.1:8001"]).await?;
    /// ring.set("a key", "a value").await?;
    /// assert_eq!(ring.get("a key").await?, Some("a value".to_owned()));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect<A: Into<String>>(
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, NotConnected> {
        Self::builder().connect(addresses).await
    }

    /// For a token, another patience, or a ring that is yet to be founded.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Reads a key's state as the ring keeps it, linearizably; none if there is no value. Of a large object that is its
    /// header.
    pub async fn read(&self, key: Key) -> Result<Option<State>, NotGot> {
        let name = key.clone();
        let read = self.run(move |router| async move { router.get(&key).await }).await;
        match read {
            Ok(state) => Ok(state?),
            Err(Ended) => Err(NotGot::NotRead { key: name, why: Trouble::Ended }),
        }
    }

    /// Changes a key by any operation there is.
    pub async fn change(&self, key: Key, operation: Operation) -> Result<Changed, NotSet> {
        values::check(&key, &operation)?;
        let name = key.clone();
        let change = move |router: Router<_>| async move { router.change(&key, operation).await };
        match self.run(change).await {
            Ok(changed) => Ok(changed?),
            Err(Ended) => Err(NotSet::Unknown { key: name, why: Trouble::Ended }),
        }
    }

    /// Which ring it is, once that is known.
    pub async fn id(&self) -> Option<RingId> {
        self.run(|router| async move { router.ring_id() }).await.ok().flatten()
    }

    /// How often it has turned to an arc for a key: once for each operation, as long as the ring is remembered rightly and
    /// nobody is in the way. What is above that are further hops.
    pub async fn rounds(&self) -> u64 {
        self.run(|router| async move { router.rounds() }).await.unwrap_or_default()
    }

    /// The arcs as they are remembered, without asking anybody. To be kept for [`Builder::known`].
    pub async fn arcs(&self) -> Vec<RingArc> {
        self.run(|router| async move { router.arcs() }).await.unwrap_or_default()
    }

    /// Finds the ring, if no arc of it is remembered. A part of it may be out of reach; the rest works.
    pub async fn find(&self) -> Result<(), NoRing> {
        if !self.arcs().await.is_empty() {
            return Ok(());
        }
        match self.walk().await {
            Ok(_) | Err(NoRing::Gap { .. }) => Ok(()),
            Err(no_ring) => Err(no_ring),
        }
    }

    /// Goes round the ring, successor by successor, until it is closed.
    pub async fn walk(&self) -> Result<Walked, NoRing> {
        let walked = self.run(|router| async move { router.walk().await }).await;
        walked.unwrap_or(Err(NoRing::Ended))
    }

    /// Asks every storage that any other has heard of, also those not needed to close the ring.
    pub async fn survey(&self) -> Result<Walked, NoRing> {
        let seen = self.run(|router| async move { router.survey().await }).await;
        seen.unwrap_or(Err(NoRing::Ended))
    }

    /// All copies of a key, as each of its storages shows them.
    pub async fn look(&self, key: Key) -> Result<Look, NotGot> {
        let name = key.clone();
        match self.run(move |router| async move { router.look(&key).await }).await {
            Ok(look) => Ok(look?),
            Err(Ended) => Err(NotGot::NotRead { key: name, why: Trouble::Ended }),
        }
    }

    /// Which storages it has been waiting for, for a second and more, and how long.
    pub async fn waited_for(&self) -> BTreeMap<String, Duration> {
        self.run(|router| async move { router.waited_for() }).await.unwrap_or_default()
    }

    /// Why what is under way is tried again and again, if that has been so for half a second and more.
    pub async fn held_up_by(&self) -> Option<String> {
        self.run(|router| async move { router.held_up_by() }).await.ok().flatten()
    }

    /// Has something done on the router's thread.
    async fn run<A, F>(
        &self,
        work: impl FnOnce(Router<HttpTransport>) -> F + Send + 'static,
    ) -> Result<A, Ended>
    where
        F: Future<Output = A> + 'static,
        A: Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        self.begin(|router| async move { drop(tell.send(work(router).await)) })?;
        told.await.map_err(|_| Ended)
    }

    /// Hands something over to the router's thread.
    fn begin<F>(
        &self,
        work: impl FnOnce(Router<HttpTransport>) -> F + Send + 'static,
    ) -> Result<(), Ended>
    where
        F: Future<Output = ()> + 'static,
    {
        let job: Job = Box::new(|router| drop(actix_rt::spawn(work(router.clone()))));
        self.jobs.send(job).map_err(|_| Ended)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ring(..)")
    }
}

#[cfg(test)]
mod tests;
