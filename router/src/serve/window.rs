//! The window: whoever wants to watch the ring looks through it, and all of them see the same picture.
//!
//! ```text
//!   storages ◀── one look a second, while anybody watches ── window ──▶ picture ──▶ every listener
//!   a page   ─── a change of the ring, or only its plan ───────▲
//! ```
//!
//! It lives on the program's own thread, with a router of its own, beside the workers: it costs them nothing. A storage that
//! hangs holds up nobody, since each is asked by itself, and the picture is drawn at its time with what is known then. Who
//! did not answer for [`SILENT`] is drawn as silent.

pub(super) mod change;
mod deeds;
mod load;
pub(super) mod wish;

use super::{
    metrics::Metrics,
    picture::{Beside, Filling, Load, Picture, Seen, event, fillings},
};
use crate::{keeper, router::Router, transport::http::HttpTransport};
use actix_web::web::Bytes;
use change::{Asked, Changes};
use deeds::Deeds;
use load::Past;
use minor_protocol::{RingArc, Span, StorageId};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

/// How often a picture is drawn.
const EVERY: Duration = Duration::from_secs(1);
/// How long a picture waits for those who are slow.
const SOON: Duration = Duration::from_millis(250);
/// How long it waits for those of whom nothing is known yet.
const FIRST: Duration = Duration::from_secs(2);
/// Whoever did not answer for this long is silent.
const SILENT: Duration = Duration::from_millis(2_500);
/// How long a walk may take, when the ring is not known to its end.
const WALK: Duration = Duration::from_secs(10);
/// Listeners at a time.
const LISTENERS: usize = 64;
/// Over how long the pace of a move is taken.
const PACE: Duration = Duration::from_secs(10);
/// Storages that are asked, at the most.
const STORAGES: usize = 1_024;

/// The workers' side.
#[derive(Clone)]
pub(super) struct Window {
    shown: watch::Receiver<Option<Bytes>>,
    listeners: Arc<Listeners>,
    past: Arc<Mutex<Past>>,
    deeds: Arc<Mutex<Deeds>>,
    asked: mpsc::Sender<Asked>,
}

/// Who watches.
#[derive(Default)]
struct Listeners {
    count: AtomicUsize,
    /// The first has come.
    first: Notify,
}

/// One who watches, until dropped.
pub(super) struct Listener(Arc<Listeners>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Relaxed);
    }
}

impl Window {
    /// One more who watches; none if there are too many.
    pub(super) fn listen(&self) -> Option<(Listener, watch::Receiver<Option<Bytes>>)> {
        let before = self.listeners.count.fetch_add(1, Relaxed);
        let listener = Listener(Arc::clone(&self.listeners));
        if before >= LISTENERS {
            return None;
        }
        if before == 0 {
            self.listeners.first.notify_one();
        }
        Some((listener, self.shown.clone()))
    }

    /// How this door did in the last minutes, as an event.
    pub(super) fn past(&self) -> Bytes {
        let past = self.past.lock().unwrap_or_else(|broken| broken.into_inner());
        event("past", &past.told()).into()
    }

    /// The keeper has done or noticed something.
    pub(super) fn note(&self, at_ms: u64, deed: &keeper::Deed) {
        let mut deeds = self.deeds.lock().unwrap_or_else(|broken| broken.into_inner());
        deeds.note(at_ms, deed);
    }

    /// Hands something over to be done; false if there is no room.
    pub(super) fn ask(&self, asked: Asked) -> bool {
        self.asked.try_send(asked).is_ok()
    }
}

/// Both sides of a window through which a router's ring is seen.
pub(super) fn window(router: Router<HttpTransport>) -> (Window, Watcher) {
    let (show, shown) = watch::channel(None);
    let (ask, asked) = mpsc::channel(16);
    let window = Window {
        shown,
        listeners: Arc::default(),
        past: Arc::default(),
        deeds: Arc::default(),
        asked: ask,
    };
    (window.clone(), Watcher { look: Look::new(router), show, asked, window })
}

/// The side that looks.
pub(super) struct Watcher {
    look: Look,
    show: watch::Sender<Option<Bytes>>,
    asked: mpsc::Receiver<Asked>,
    window: Window,
}

impl Watcher {
    /// Looks for as long as it is polled. Whoever listens hears the end when it is dropped.
    pub(super) async fn watch(mut self, metrics: &Metrics, changes: &Rc<Changes>) {
        let mut beat = interval(EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut load = Load::default();
        loop {
            tokio::select! {
                asked = self.asked.recv() => {
                    if let Some(asked) = asked {
                        changes.hear(self.look.router.clone(), asked);
                    }
                    continue;
                }
                () = self.window.listeners.first.notified() => {}
                _ = beat.tick() => {
                    let mut past = self.window.past.lock().unwrap_or_else(|broken| broken.into_inner());
                    load = past.count(metrics.so_far(), self.look.router.now_ms(), Instant::now());
                }
            }
            if self.window.listeners.count.load(Relaxed) == 0 {
                // What was seen long ago is shown to nobody who comes later.
                self.show.send_if_modified(|shown| shown.take().is_some());
                self.look.forget();
                continue;
            }
            if let Some(picture) = self.look.picture(changes, &self.window.deeds, load).await {
                self.show.send_replace(Some(picture.event().into()));
            }
        }
    }
}

/// What was heard of one storage lately.
#[derive(Default)]
struct Told {
    /// Since when it has been asked without an answer.
    asked: Option<Instant>,
    /// What it said last, and when; none if it refused a connection since.
    seen: Option<(Seen, Instant)>,
    /// It has answered, or failed to, since somebody watches.
    is_known: bool,
}

impl Told {
    /// Whether a picture that was begun so long ago still waits for it.
    fn is_waited_for(&self, waited: Duration) -> bool {
        self.asked.is_some() && waited < if self.is_known { SOON } else { FIRST }
    }
}

/// The looking itself.
struct Look {
    router: Router<HttpTransport>,
    told: Rc<RefCell<BTreeMap<String, Told>>>,
    /// Somebody has answered.
    heard: Rc<Notify>,
    walking: Rc<RefCell<bool>>,
    arcs: Vec<RingArc>,
    paces: BTreeMap<(Span, StorageId), VecDeque<(Instant, u64)>>,
}

impl Look {
    fn new(router: Router<HttpTransport>) -> Self {
        Self {
            router,
            told: Rc::default(),
            heard: Rc::default(),
            walking: Rc::default(),
            arcs: vec![],
            paces: BTreeMap::new(),
        }
    }

    fn forget(&mut self) {
        self.told.borrow_mut().retain(|_, told| {
            told.is_known = false;
            told.asked.is_some()
        });
        self.paces.clear();
    }

    /// Asks everybody, and draws what is known a moment later; none as long as the ring was never seen whole.
    async fn picture(
        &mut self,
        changes: &Changes,
        deeds: &Mutex<Deeds>,
        load: Load,
    ) -> Option<Picture> {
        let begun = Instant::now();
        let addresses: BTreeSet<String> = self.addresses();
        addresses.iter().for_each(|address| self.ask(address));
        while self.told.borrow().values().any(|told| told.is_waited_for(begun.elapsed())) {
            let _ = timeout(SOON, self.heard.notified()).await;
        }
        // Whoever is waited for no longer is known to be slow.
        self.told.borrow_mut().values_mut().for_each(|told| told.is_known = true);
        match self.router.core.ring.borrow().tiled() {
            Some(arcs) => self.arcs = arcs,
            None => self.walk(),
        }
        if self.arcs.is_empty() {
            return None;
        }
        let now = Instant::now();
        let ring = self.arcs[0].ring;
        let seen: BTreeMap<StorageId, Seen> = {
            let mut told = self.told.borrow_mut();
            told.retain(|address, told| addresses.contains(address) || told.asked.is_some());
            let is_fresh = |told: &&Told| match (&told.seen, told.asked) {
                (Some(_), None) => true,
                (Some((_, at)), Some(asked)) => now - asked.max(*at) < SILENT,
                (None, _) => false,
            };
            let fresh = told.values().filter(is_fresh).filter_map(|told| told.seen.as_ref());
            // Who is no member, at an address of this ring, has taken another's place.
            let members = || self.arcs.iter().flat_map(|arc| &arc.members);
            let is_other =
                |seen: &Seen| members().all(|member| member.storage != seen.hello.member.storage);
            let fresh = fresh.filter(|(seen, _)| seen.hello.ring == Some(ring) || is_other(seen));
            fresh.map(|(seen, _)| (seen.hello.member.storage, seen.clone())).collect()
        };
        let fillings = fillings(&self.arcs, &seen);
        self.follow(&fillings, now);
        let left = |filling: Filling| (filling, self.left_s(&filling));
        let fillings = fillings.into_iter().map(left).collect();
        let (now_ms, changes) = (self.router.now_ms(), changes.told());
        let keeper = deeds.lock().unwrap_or_else(|broken| broken.into_inner()).told();
        let beside = Beside { now_ms, fillings, changes, keeper, load };
        Some(Picture::of(&self.arcs, &seen, beside))
    }

    /// Whom the arcs name; nobody else is asked.
    fn addresses(&self) -> BTreeSet<String> {
        let arcs = self.router.arcs();
        let members = arcs.iter().flat_map(|arc| &arc.members);
        members.map(|member| member.address.clone()).take(STORAGES).collect()
    }

    /// Asks one, unless it still owes an answer.
    fn ask(&self, address: &str) {
        let begun = Instant::now();
        {
            let mut told = self.told.borrow_mut();
            let told = told.entry(address.to_owned()).or_default();
            if told.asked.is_some() {
                return;
            }
            told.asked = Some(begun);
        }
        let (router, address) = (self.router.clone(), address.to_owned());
        let (all, heard) = (Rc::clone(&self.told), Rc::clone(&self.heard));
        actix_rt::spawn(async move {
            let answer = router.hello(&address).await;
            let us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            if let Ok((hello, _)) = &answer
                && hello.ring == router.ring_id()
            {
                let kept = hello.kept.iter().filter(|kept| !kept.damaged);
                kept.for_each(|kept| router.learn(&kept.arc));
            }
            if let Some(told) = all.borrow_mut().get_mut(&address) {
                (told.asked, told.is_known) = (None, true);
                told.seen = answer.ok().map(|(hello, _)| (Seen { hello, us }, Instant::now()));
            }
            heard.notify_one();
        });
    }

    /// Goes round the ring, once at a time and without being waited for.
    fn walk(&self) {
        if self.walking.replace(true) {
            return;
        }
        let (router, walking) = (self.router.clone(), Rc::clone(&self.walking));
        actix_rt::spawn(async move {
            if let Ok(Err(why)) = timeout(WALK, router.walk()).await {
                log::info!("the ring is not seen to its end: {why}");
                sleep(EVERY).await;
            }
            walking.replace(false);
        });
    }

    /// Notes how far everything that is being filled has come.
    fn follow(&mut self, fillings: &[Filling], now: Instant) {
        let span = |filling: &Filling| (self.arcs[filling.arc].span, filling.to);
        let spans: Vec<(Span, StorageId)> = fillings.iter().map(span).collect();
        self.paces.retain(|pace, _| spans.contains(pace));
        for (span, filling) in spans.into_iter().zip(fillings) {
            let pace = self.paces.entry(span).or_default();
            pace.push_back((now, filling.held.bytes));
            while pace.len() > 2 && pace.front().is_some_and(|(at, _)| now - *at > PACE) {
                pace.pop_front();
            }
        }
    }

    /// How long it takes at the pace of the last seconds.
    fn left_s(&self, filling: &Filling) -> Option<f64> {
        let pace = self.paces.get(&(self.arcs[filling.arc].span, filling.to))?;
        let ((from, before), (to, now)) = (pace.front()?, pace.back()?);
        let rate = now.saturating_sub(*before) as f64 / (*to - *from).as_secs_f64().max(0.001);
        (rate > 0.0).then(|| filling.of.bytes.saturating_sub(*now) as f64 / rate)
    }
}
