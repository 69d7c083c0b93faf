//! A join or a removal that was asked for at the door: planned, or begun and told of in every picture until long after its end.
//!
//! One at a time: two at once would only be in each other's way. What has begun goes on when nobody watches. When the program
//! ends it stops, everything is served as before, and the same again goes on from there.

use crate::{
    moves::{Far, Loss, NotMoved, Preview, Wanted},
    router::Router,
    serve::picture::{Change, Progress},
    transport::{Silence, http::HttpTransport},
};
use actix_web::http::StatusCode;
use minor_manners::Problem;
use minor_protocol::{StorageId, message::PlainRecords};
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, rc::Rc, sync::Arc};
use tokio::sync::{Semaphore, oneshot};

/// Plans and changes that are worked on at a time.
pub(super) const AT_ONCE: usize = 8;
/// Changes that are told of after their end.
const REMEMBERED: usize = 4;

/// What is wished, as it was sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Wish {
    /// `HOST:PORT`.
    pub(in crate::serve) address: String,
    /// Only what would move is to be told.
    #[serde(default)]
    pub(in crate::serve) plan: bool,
    /// It never comes back.
    #[serde(default)]
    pub(in crate::serve) dead: bool,
}

/// Which change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum What {
    Join,
    Remove,
}

/// Something to be planned or done, and who waits for the answer.
pub(in crate::serve) struct Asked {
    pub(in crate::serve) what: What,
    pub(in crate::serve) wish: Wish,
    pub(in crate::serve) tell: oneshot::Sender<Result<Told, Problem>>,
}

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::serve) enum Told {
    /// It has begun.
    Accepted { accepted: &'static str, address: String },
    /// It would do this.
    Plan { moves: Vec<Moved>, keys: u64, bytes: u64, bytes_total: u64, steps: usize },
}

#[derive(Debug, Serialize)]
pub(in crate::serve) struct Moved {
    to: String,
    from_place: String,
    to_place: String,
    keys: u64,
    bytes: u64,
}

impl From<Preview> for Told {
    fn from(preview: Preview) -> Self {
        let moved = preview.moves.iter().map(|moved| Moved {
            to: moved.to.address.clone(),
            from_place: moved.span.from.to_string(),
            to_place: moved.span.to.to_string(),
            keys: moved.keys,
            bytes: moved.bytes,
        });
        Self::Plan {
            moves: moved.collect(),
            keys: preview.keys(),
            bytes: preview.bytes(),
            bytes_total: preview.bytes_total,
            steps: preview.decrees,
        }
    }
}

/// What is to be done, after a first look.
enum Work {
    Join(String),
    Leave(StorageId),
    Evict(String),
}

/// Begins what was asked. It goes on by itself.
pub(super) fn begin(
    router: Router<HttpTransport>,
    changes: Rc<RefCell<Vec<Change>>>,
    turns: &Arc<Semaphore>,
    Asked { what, wish, tell }: Asked,
) {
    let Ok(turn) = Arc::clone(turns).try_acquire_owned() else {
        let why = "too many changes of the ring are being planned: try again in a moment";
        return drop(tell.send(Err(Problem::not_now(why))));
    };
    actix_rt::spawn(async move {
        let _turn = turn;
        let work = match look(&router, what, &wish).await {
            Ok(work) => work,
            Err(problem) => return drop(tell.send(Err(problem))),
        };
        if wish.plan {
            let wanted = match work {
                Work::Join(address) => Wanted::Join(address, None),
                Work::Leave(storage) => Wanted::Leave(storage),
                // Who is called dead leaves like any other, as far as what moves is concerned.
                Work::Evict(address) => match router.storage_at(&address).await {
                    Ok(storage) => Wanted::Leave(storage),
                    Err(why) => return drop(tell.send(Err(why.into()))),
                },
            };
            let told = router.preview(&wanted).await;
            return drop(tell.send(told.map(Told::from).map_err(Problem::from)));
        }
        let number = match note(&mut changes.borrow_mut(), what, &wish, router.now_ms()) {
            Ok(number) => number,
            Err(problem) => return drop(tell.send(Err(problem))),
        };
        let _ = tell.send(Ok(Told::Accepted { accepted: what.word(), address: wish.address }));
        carry_out(&router, work, &changes, number).await;
    });
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Remove => "remove",
        }
    }
}

/// Whether it can be done at all, seen at once and not when nobody looks any more.
async fn look(router: &Router<HttpTransport>, what: What, wish: &Wish) -> Result<Work, Problem> {
    let address = &wish.address;
    if what == What::Join {
        let heard = router.hello(address).await;
        heard.map_err(|silence| silent(address, &silence))?;
        return Ok(Work::Join(address.clone()));
    }
    let walked = router.survey().await.map_err(|why| Problem::not_now(why.to_string()))?;
    let members = || walked.arcs.iter().flat_map(|arc| &arc.members);
    let Some(member) = members().find(|member| member.address == *address) else {
        let detail = format!("no storage of the ring has the address {}", address.escape_debug());
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    if members().all(|other| other.storage == member.storage) {
        return Err(conflict(format!(
            "{address} is the last storage of the ring, and nobody else would keep its data: join another one first"
        )));
    }
    let hellos = walked.hops.iter().filter_map(|hop| hop.hello.as_ref());
    let answers = hellos.into_iter().any(|hello| hello.member.storage == member.storage);
    match (answers, wish.dead) {
        (true, true) => Err(conflict(format!(
            "{address} answers: it is not dead, and can be removed like any other"
        ))),
        (false, false) => Err(conflict(format!(
            "{address} does not answer: start it again, or say that it never comes back"
        ))),
        (true, false) => Ok(Work::Leave(member.storage)),
        (false, true) => Ok(Work::Evict(address.clone())),
    }
}

/// Writes down that it begins; refused while another change of this door is under way.
fn note(changes: &mut Vec<Change>, what: What, wish: &Wish, begun_ms: u64) -> Result<u64, Problem> {
    if let Some(other) = changes.iter().find(|change| change.state == Progress::Running) {
        return Err(conflict(format!(
            "{} {} is under way: wait for its end",
            other.what, other.address
        )));
    }
    if changes.len() >= REMEMBERED {
        changes.remove(0);
    }
    // No two begin in the same millisecond, as they are told apart by it.
    let begun_ms = changes.last().map_or(begun_ms, |last| begun_ms.max(last.begun_ms + 1));
    changes.push(Change {
        what: what.word(),
        address: wish.address.clone(),
        state: Progress::Running,
        share: 0.0,
        keys: 0,
        bytes: 0,
        why: String::new(),
        begun_ms,
    });
    Ok(begun_ms)
}

async fn carry_out(
    router: &Router<HttpTransport>,
    work: Work,
    changes: &RefCell<Vec<Change>>,
    begun_ms: u64,
) {
    let with = |alter: &mut dyn FnMut(&mut Change)| {
        let mut changes = changes.borrow_mut();
        changes.iter_mut().filter(|change| change.begun_ms == begun_ms).for_each(alter);
    };
    let mut far = Far::default();
    let mut tell = |progress| {
        far.hear(&progress);
        with(&mut |change| {
            change.share = far.share();
            (change.keys, change.bytes) = far.copied();
            change.why = match &progress {
                crate::Progress::Waiting(why) => why.clone(),
                _ => String::new(),
            };
        });
    };
    let ended = match work {
        Work::Join(address) => router.join(&address, None, PlainRecords::Refuse, &mut tell).await,
        Work::Leave(storage) => router.leave(storage, &mut tell).await,
        Work::Evict(address) => router.evict(&[address], Loss::Refused, &mut tell).await,
    };
    with(&mut |change| match &ended {
        Ok(()) => (change.state, change.share, change.why) = (Progress::Done, 1.0, String::new()),
        Err(why) => (change.state, change.why) = (Progress::Failed, why.to_string()),
    });
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
            NotMoved::NoRing(_) | NotMoved::Stuck { .. } | NotMoved::Ended => {
                Self::not_now(why.to_string())
            }
            NotMoved::Silent { .. } => Self::new(StatusCode::BAD_GATEWAY, why.to_string()),
            NotMoved::Unknown { .. } => Self::new(StatusCode::NOT_FOUND, why.to_string()),
            why => conflict(why.to_string()),
        }
    }
}
