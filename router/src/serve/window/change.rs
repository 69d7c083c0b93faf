//! A change of the ring that was asked for at the door: planned, or begun and told of in every picture until long after its end.
//!
//! One at a time: two at once would only be in each other's way. What has begun goes on when nobody watches. It stops when that
//! is asked for, or when the program ends: between two messages, everything is served as before, and the same again goes on
//! from there.

use super::wish::{Wish, Wished};
use crate::{
    moves::{Far, Leaver, Loss, NotMoved, Presence, Shown, Wanted},
    router::Router,
    serve::picture::{Change, Progress},
    transport::{Silence, http::HttpTransport},
    walk::{NoRing, Walked},
};
use actix_web::http::StatusCode;
use futures_util::future::{Either, select};
use minor_manners::Problem;
use minor_protocol::{StorageId, message::PlainRecords};
use serde::Serialize;
use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    sync::Arc,
};
use tokio::sync::{Semaphore, oneshot};

/// Plans and changes that are worked on at a time.
const AT_ONCE: usize = 8;
/// Changes that are told of after their end.
const REMEMBERED: usize = 4;

/// What stopping leaves behind, and what to do next.
const STOPPED: &str = "What was done so far holds, and everything is served as before. The same change again goes on from here; \
                       repair, or a keeper, finishes what is half done.";

/// Something to be planned, done or stopped, and who waits for the answer.
pub(in crate::serve) struct Asked {
    pub(in crate::serve) order: Order,
    pub(in crate::serve) tell: oneshot::Sender<Result<Told, Problem>>,
}

/// What is asked for.
pub(in crate::serve) enum Order {
    /// That a change begins, or is only planned.
    Begin(Wished),
    /// That the one that is under way stops.
    Stop,
}

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::serve) enum Told {
    /// It has begun.
    Accepted {
        accepted: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// It has stopped.
    Stopped { stopped: &'static str, detail: &'static str },
    /// It would do this.
    Plan(Shown),
}

/// What is to be done, after a first look.
enum Work {
    Change(Wanted),
    /// This one, at this address, never comes back.
    Evict(String, StorageId),
}

/// The changes of this door: the one that is under way, and those that were lately.
pub(in crate::serve) struct Changes {
    told: RefCell<Vec<Change>>,
    /// Stops the one that is under way.
    stop: Cell<Option<oneshot::Sender<()>>>,
    /// The command that does the same as the one that was begun last.
    command: RefCell<String>,
    turns: Arc<Semaphore>,
}

impl Default for Changes {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { told: RefCell::default(), stop: Cell::default(), command: RefCell::default(), turns }
    }
}

impl Changes {
    /// All of them as they are told, the oldest first.
    pub(super) fn told(&self) -> Vec<Change> {
        self.told.borrow().clone()
    }

    /// Does what was asked for. What has begun goes on by itself.
    pub(super) fn hear(
        self: &Rc<Self>,
        router: Router<HttpTransport>,
        Asked { order, tell }: Asked,
    ) {
        let wished = match order {
            Order::Begin(wished) => wished,
            Order::Stop => return drop(tell.send(self.stop())),
        };
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            let why = "too many changes of the ring are being planned: try again in a moment";
            return drop(tell.send(Err(Problem::not_now(why))));
        };
        let changes = Rc::clone(self);
        actix_rt::spawn(async move {
            let _turn = turn;
            changes.begin(&router, wished, tell).await;
        });
    }

    async fn begin(
        &self,
        router: &Router<HttpTransport>,
        Wished { wish, plan }: Wished,
        tell: oneshot::Sender<Result<Told, Problem>>,
    ) {
        let work = match look(router, &wish).await {
            Ok(work) => work,
            Err(problem) => return drop(tell.send(Err(problem))),
        };
        if plan {
            return drop(tell.send(weigh(router, work).await.map_err(Problem::from)));
        }
        let (stop, stopped) = oneshot::channel();
        let begun_ms = match note(&mut self.told.borrow_mut(), &wish, router.now_ms()) {
            Ok(begun_ms) => begun_ms,
            Err(problem) => return drop(tell.send(Err(problem))),
        };
        self.stop.set(Some(stop));
        let command = wish.command();
        log::info!(target: "sdht::door", "'{command}' was asked for at this door, and begins");
        (*self.command.borrow_mut()).clone_from(&command);
        let address = wish.address().map(str::to_owned);
        let _ = tell.send(Ok(Told::Accepted { accepted: wish.what().word(), address }));
        let alter = |alter: &mut dyn FnMut(&mut Change)| {
            let mut changes = self.told.borrow_mut();
            changes.iter_mut().filter(|change| change.begun_ms == begun_ms).for_each(alter);
        };
        let work = pin!(carry_out(router, work, &alter));
        // Who is to stop says nothing more: it is told already.
        let Either::Right((ended, _)) = select(stopped, work).await else { return };
        self.stop.take();
        match &ended {
            Ok(()) => log::info!(target: "sdht::door", "'{command}' is done"),
            Err(why) => log::warn!(target: "sdht::door", "'{command}' was given up: {why}"),
        }
        alter(&mut |change| match &ended {
            Ok(()) => {
                (change.state, change.share, change.why) = (Progress::Done, 1.0, String::new());
            }
            Err(why) => (change.state, change.why) = (Progress::Failed, why.to_string()),
        });
    }

    /// What is left unfinished if the door closes now; nothing if no change is under way.
    pub(in crate::serve) fn unfinished(&self) -> Option<String> {
        self.told.borrow().iter().find(|change| change.state == Progress::Running)?;
        let command = self.command.borrow();
        Some(format!(
            "this door closes in the middle of a change of the ring ('{command}'): what is stored is safe, and is served \
             meanwhile; another keeper, 'sdht repair', or '{command}' said again, finishes it"
        ))
    }

    /// Stops what is under way, as a router that dies would: whoever comes next sees from the arcs what is half done.
    fn stop(&self) -> Result<Told, Problem> {
        let mut changes = self.told.borrow_mut();
        let under_way = changes.iter_mut().find(|change| change.state == Progress::Running);
        let (Some(change), Some(stop)) = (under_way, self.stop.take()) else {
            return Err(conflict("no change that was begun at this door is under way".into()));
        };
        // Whoever looks from now on sees it stopped; and its work ends before another message is sent.
        let _ = stop.send(());
        log::info!(target: "sdht::door", "'{}' was stopped, as was asked for at this door", self.command.borrow());
        (change.state, change.why) = (Progress::Stopped, STOPPED.into());
        Ok(Told::Stopped { stopped: change.what, detail: STOPPED })
    }
}

/// What would move.
async fn weigh(router: &Router<HttpTransport>, work: Work) -> Result<Told, NotMoved> {
    let wanted = match work {
        Work::Change(wanted) => wanted,
        // Who is called dead leaves like any other, as far as what moves is concerned.
        Work::Evict(_, storage) => Wanted::Leave(storage),
    };
    Ok(Told::Plan(router.preview(&wanted).await?.shown()))
}

/// Whether it can be done at all, seen at once and not when nobody looks any more.
async fn look(router: &Router<HttpTransport>, wish: &Wish) -> Result<Work, Problem> {
    let wanted = match wish {
        Wish::Join { address } => {
            let heard = router.hello(address).await;
            let (hello, _) = heard.map_err(|silence| silent(address, &silence))?;
            if let (Some(found), Some(wanted)) = (hello.ring, router.ring_id())
                && found != wanted
            {
                let why = NoRing::AnotherRing { address: address.clone(), found, wanted };
                return Err(conflict(why.to_string()));
            }
            return Ok(Work::Change(Wanted::Join(address.clone(), None)));
        }
        Wish::Remove { address, dead } => return parting(&survey(router).await?, address, *dead),
        Wish::Copies(copies) => Wanted::Copies(*copies),
        Wish::Balance => Wanted::Balance,
        Wish::Repair => Wanted::Repair,
    };
    survey(router).await?;
    Ok(Work::Change(wanted))
}

async fn survey(router: &Router<HttpTransport>) -> Result<Walked, Problem> {
    router.survey().await.map_err(|why| Problem::not_now(why.to_string()))
}

/// How a storage can go: handing over, or as one that never comes back.
fn parting(walked: &Walked, address: &str, is_dead: bool) -> Result<Work, Problem> {
    let Some(Leaver { storage, presence, is_last }) = Leaver::at(address, walked) else {
        let detail = format!("no storage of the ring has the address {}", address.escape_debug());
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    if is_last {
        return Err(conflict(format!(
            "{address} is the last storage of the ring, and nobody else would keep its data: join another one first"
        )));
    }
    match (presence, is_dead) {
        (Presence::Answers, true) => Err(conflict(format!(
            "{address} answers: it is not dead, and can be removed like any other"
        ))),
        (Presence::Silent, false) => Err(conflict(format!(
            "{address} does not answer: start it again, or say that it never comes back"
        ))),
        (Presence::Replaced, false) => Err(conflict(format!(
            "another storage answers at {address}: the one of this ring was wiped or replaced; say that it never comes back"
        ))),
        (Presence::Answers, false) => Ok(Work::Change(Wanted::Leave(storage))),
        (Presence::Silent | Presence::Replaced, true) => {
            Ok(Work::Evict(address.to_owned(), storage))
        }
    }
}

/// Writes down that it begins; refused while another change of this door is under way.
fn note(changes: &mut Vec<Change>, wish: &Wish, begun_ms: u64) -> Result<u64, Problem> {
    if let Some(other) = changes.iter().find(|change| change.state == Progress::Running) {
        let other = format!("{} {}", other.what, other.address);
        let why = format!("{} is under way: wait for its end, or stop it", other.trim_end());
        return Err(conflict(why));
    }
    if changes.len() >= REMEMBERED {
        changes.remove(0);
    }
    // No two begin in the same millisecond, as they are told apart by it.
    let begun_ms = changes.last().map_or(begun_ms, |last| begun_ms.max(last.begun_ms + 1));
    changes.push(Change {
        what: wish.what().word(),
        address: wish.address().unwrap_or_default().to_owned(),
        copies: wish.copies(),
        state: Progress::Running,
        share: 0.0,
        keys: 0,
        bytes: 0,
        swept: 0,
        why: String::new(),
        begun_ms,
    });
    Ok(begun_ms)
}

async fn carry_out(
    router: &Router<HttpTransport>,
    work: Work,
    alter: &impl Fn(&mut dyn FnMut(&mut Change)),
) -> Result<(), NotMoved> {
    let mut far = Far::default();
    let mut tell = |progress| {
        far.hear(&progress);
        alter(&mut |change| {
            change.share = far.share();
            (change.keys, change.bytes) = far.copied();
            change.swept = far.gone().swept.keys + far.gone().swept.pieces;
            change.why = match &progress {
                crate::Progress::Waiting(why) => why.clone(),
                _ => String::new(),
            };
        });
    };
    let wanted = match work {
        Work::Change(wanted) => wanted,
        Work::Evict(address, _) => return router.evict(&[address], Loss::Refused, &mut tell).await,
    };
    match wanted {
        Wanted::Join(address, place) => {
            router.join(&address, place, PlainRecords::Refuse, &mut tell).await
        }
        Wanted::Leave(storage) => router.leave(storage, &mut tell).await,
        Wanted::Copies(copies) => router.set_copies(copies, &mut tell).await,
        Wanted::Balance => router.balance(&mut tell).await,
        Wanted::Repair => match router.repair(&mut tell).await {
            Ok(()) => router.sweep_all(&mut tell).await,
            failed => failed,
        },
    }
}

fn conflict(detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, detail)
}

fn silent(address: &str, silence: &Silence) -> Problem {
    let detail = format!("{} does not answer: {silence}", address.escape_debug());
    Problem::new(StatusCode::BAD_GATEWAY, detail)
}

impl From<NotMoved> for Problem {
    fn from(why: NotMoved) -> Self {
        match why {
            NotMoved::NoRing(_)
            | NotMoved::Stuck { .. }
            | NotMoved::NotSeen { .. }
            | NotMoved::Ended => Self::not_now(why.to_string()),
            NotMoved::Silent { .. } => Self::new(StatusCode::BAD_GATEWAY, why.to_string()),
            NotMoved::Unknown { .. } => Self::new(StatusCode::NOT_FOUND, why.to_string()),
            why => conflict(why.to_string()),
        }
    }
}
