//! Finding the ring from any one of its storages.
//!
//! A storage knows the arcs it keeps and the ones it left, and a few neighbours. The walk asks one, goes on from the end of
//! what is known to whoever keeps the arc that starts there, and so on until the ring closes:
//!
//! ```text
//!        ask A: it keeps (d,a] (c,d] (b,c]
//!            └▶ nothing is known behind a: ask A's neighbours, then whoever else was heard of
//!                   └▶ B keeps (a,b]: the ring is closed
//! ```
//!
//! What it saw is remembered, so the next operation needs no walk; and what it finds wrong on the way, a storage that names
//! another neighbour than the ring shows, it mends.

mod mend;

use crate::{
    ring::RingMap,
    router::Router,
    transport::{Silence, Transport},
};
use futures_util::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, join_all},
    stream::FuturesUnordered,
};
use minor_protocol::{
    Ask, Position, Reply, Request, RingArc, RingId, StorageId,
    message::{Hello, Neighbour},
};
use std::collections::{BTreeMap, VecDeque};
use tokio::time::{Duration, timeout};

/// How long an answer is waited for before the next storage is asked as well.
const LATE: Duration = Duration::from_millis(250);

fn nobody_answers(asked: usize, last: &str) -> String {
    match asked {
        1 => format!("no storage answered: {last}"),
        more => format!("none of {more} storages answered; last: {last}"),
    }
}

/// Why no ring was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRing {
    /// No address was given, and none is remembered.
    #[error("no storage is known: name one")]
    NobodyKnown,
    /// The router's own thread has ended.
    #[error("the router has ended")]
    Ended,
    /// Nobody who was asked is in a ring.
    #[error("none of the storages asked is in a ring ({0}); 'sdht join' founds one")]
    NotFounded(String),
    /// Nobody answered.
    #[error("{}", nobody_answers(*asked, last))]
    NobodyAnswers {
        /// How many were asked.
        asked: usize,
        /// The last silence.
        last: String,
        /// What listens where that came from is no storage: it says something else.
        is_no_storage: bool,
    },
    /// Everybody reachable was asked, and a stretch of the ring is kept by none of them.
    #[error(
        "{asked} storages were asked, and none keeps the arc behind {gap}; last silence: {last}"
    )]
    Gap {
        /// The first place nobody keeps.
        gap: Position,
        /// How many were asked.
        asked: usize,
        /// The last silence.
        last: String,
    },
    /// Whoever answered lets us not in.
    #[error("{address}: {why}")]
    NotAllowed {
        /// Who.
        address: String,
        /// Why.
        why: String,
    },
    /// Storages of different rings.
    #[error("{address} is of ring {found}, not of {wanted}")]
    AnotherRing {
        /// Who.
        address: String,
        /// Its ring.
        found: RingId,
        /// The ring of the others.
        wanted: RingId,
    },
}

/// One request of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Who was asked.
    pub address: String,
    /// What it said of itself; none if it was silent.
    pub hello: Option<Hello>,
}

impl Hop {
    /// Who answered, and at which address.
    pub fn heard(&self) -> Option<(&str, StorageId)> {
        self.hello.as_ref().map(|hello| (&*self.address, hello.member.storage))
    }

    /// Whether this storage answered.
    pub fn is(&self, storage: StorageId) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.member.storage == storage)
    }
}

/// A finished walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Every request, in order.
    pub hops: Vec<Hop>,
    /// The arcs, which tile the ring.
    pub arcs: Vec<RingArc>,
}

impl<T: Transport> Router<T> {
    /// Asks whoever is at an address who that is.
    pub async fn hello(&self, address: &str) -> Result<(Hello, u64), Silence> {
        let ask = Ask { storage: None, ring: None, starts: 0, requests: vec![Request::Hello] };
        let heard = self.core.lines.ask_stranger(address, ask).await;
        self.heard_at(address, heard.as_ref().err());
        let answers = heard?;
        match answers.answers.into_iter().next() {
            Some(Ok(Reply::Hello(hello))) if hello.member.storage == answers.storage => {
                self.core.lines.heard_starts(answers.storage, answers.starts);
                Ok((*hello, answers.starts))
            }
            other => Err(Silence::Garbled(format!("{other:?}"))),
        }
    }

    /// Walks round the ring, from nothing but addresses, until what the storages show closes. What was known before and is
    /// newer than what they show stays: an arc that anybody ever adopted is never unmade.
    pub async fn walk(&self) -> Result<Walked, NoRing> {
        let mut walk = self.begin();
        loop {
            let known = || self.core.ring.borrow().tiled();
            if walk.ring.is_tiled()
                && let Some(arcs) = known()
            {
                self.mend(&walk, &arcs);
                walk.hops.extend(walk.late());
                return Ok(Walked { hops: walk.hops, arcs });
            }
            self.hop(&mut walk, LATE).await?;
        }
    }

    /// Asks everybody anybody has heard of, also those that are not needed to close the ring: who lags is taught.
    pub async fn survey(&self) -> Result<Walked, NoRing> {
        let mut walk = self.begin();
        self.go_everywhere(&mut walk).await;
        let arcs = self.core.ring.borrow().tiled();
        let Some(arcs) = arcs else { return Err(walk.no_ring(self.core.ring.borrow().gap())) };
        self.mend(&walk, &arcs);
        Ok(Walked { hops: walk.hops, arcs })
    }

    /// Asks everybody at once, and waits for nobody longer than this: for whoever wants to know now who answers.
    pub(crate) async fn roll_call(&self, patience: Duration) -> Result<Walked, NoRing> {
        let hops = self.look_about(&[], patience).await;
        let arcs = self.core.ring.borrow().tiled();
        // What does not close is told best by a walk.
        let Some(arcs) = arcs else { return Ok(Walked { hops, arcs: self.walk().await?.arcs }) };
        Ok(Walked { hops, arcs })
    }

    /// The same, whether or not the ring closes: who answers and what they show.
    pub(crate) async fn ask_everybody(&self) -> Vec<Hop> {
        let mut walk = self.begin();
        self.go_everywhere(&mut walk).await;
        self.teach_those_who_lag(&walk, &self.arcs());
        walk.hops
    }

    /// Round the ring in its order until it is closed, then to all the others at once.
    async fn go_everywhere(&self, walk: &mut Walk) {
        loop {
            let late = if walk.ring.is_tiled() { Duration::ZERO } else { LATE };
            if self.hop(walk, late).await.is_err() {
                return;
            }
        }
    }

    /// The same, with these addresses too, of everybody at once and without waiting for anybody longer than this: for whoever
    /// looks again and again. Storages of other rings are heard, and not listened to.
    pub(crate) async fn look_about(&self, also: &[String], patience: Duration) -> Vec<Hop> {
        let mut walk = self.begin();
        walk.hear_of(also.iter().cloned());
        loop {
            let asked: Vec<String> = std::iter::from_fn(|| walk.next(None, |_| false)).collect();
            if asked.is_empty() {
                break;
            }
            let heard = asked.iter().map(|address| timeout(patience, self.hello(address)));
            let heard = join_all(heard).await;
            for (address, heard) in asked.into_iter().zip(heard) {
                if heard.is_err() {
                    self.heard_at(&address, Some(&Silence::TooLate(patience.as_millis() as u64)));
                }
                let hello = heard.ok().and_then(Result::ok).map(|(hello, starts)| {
                    self.hear_hello(&mut walk, &address, &hello, starts);
                    hello
                });
                walk.hops.push(Hop { address, hello });
            }
        }
        let tiled = self.core.ring.borrow().tiled();
        match tiled {
            Some(arcs) => self.mend(&walk, &arcs),
            None => self.teach_those_who_lag(&walk, &self.arcs()),
        }
        walk.hops
    }

    fn begin(&self) -> Walk {
        Walk::new(self.core.ring.borrow().addresses(), self.core.seeds.borrow().clone())
    }

    /// The arc of a place, walking only as far as it takes.
    pub(crate) async fn find(&self, place: Position) -> Result<std::sync::Arc<RingArc>, NoRing> {
        let mut walk = self.begin();
        loop {
            if let Some(arc) = self.core.ring.borrow().shared_arc_at(place) {
                self.core.counters.hops(1 + walk.hops.len() as u64);
                return Ok(arc);
            }
            self.hop(&mut walk, LATE).await?;
        }
    }

    /// Asks the next one, and when it is late the one after that as well, until somebody has been heard. One that hangs does
    /// not keep a walk from those who live.
    async fn hop(&self, walk: &mut Walk, late: Duration) -> Result<(), NoRing> {
        let (address, heard) = loop {
            let gap = walk.ring.gap();
            let near = gap.and_then(|gap| walk.ring.arc_before(gap));
            // The members of the arc before know best who comes next; but whoever was silent lately is asked when all others
            // have been.
            let near = near.map(|arc| arc.first().address.clone());
            let near = near.filter(|near| !self.is_silent(near));
            if let Some(address) = walk.next(near, |address| self.is_silent(address)) {
                let router = self.clone();
                let ask = async move { (router.hello(&address).await, address) };
                walk.asking.push(ask.map(|(heard, address)| (address, heard)).boxed_local());
            }
            let heard = walk.asking.next();
            let heard = match walk.waiting.is_empty() {
                true => heard.await,
                false => match timeout(late, heard).await {
                    Ok(heard) => heard,
                    Err(_) => continue,
                },
            };
            match heard {
                Some(heard) => break heard,
                None if self.yields(walk) => {}
                None => return Err(walk.no_ring(walk.ring.gap())),
            }
        };
        let hello = match heard {
            Ok((hello, starts)) => {
                self.hear_hello(walk, &address, &hello, starts);
                Some(hello)
            }
            Err(silence) => {
                walk.last = format!("{address}: {silence}");
                walk.last_is_garbled = matches!(silence, Silence::Garbled(_));
                if let Silence::NotAllowed(_) = &silence {
                    walk.closed = Some((address.clone(), silence.to_string()));
                }
                None
            }
        };
        walk.hops.push(Hop { address, hello });
        Ok(())
    }

    /// What was only remembered yields to what is seen, once all have been asked and none of them is of that ring.
    fn yields(&self, walk: &mut Walk) -> bool {
        let Some(NoRing::AnotherRing { found, .. }) = walk.foreign else { return false };
        if !self.core.lines.nobody_answered() {
            return false;
        }
        self.forget();
        self.core.lines.set_ring(found);
        *walk = Walk::new(std::mem::take(&mut walk.asked), vec![]);
        true
    }

    fn hear_hello(&self, walk: &mut Walk, address: &str, hello: &Hello, starts: u64) {
        let Some(found) = hello.ring else {
            walk.plain = Some(address.to_owned());
            return;
        };
        match self.ring_id() {
            None => self.core.lines.set_ring(found),
            Some(wanted) if wanted != found => {
                // Somebody else's, at an address that one of ours may have had before: the others go on without it.
                walk.foreign =
                    Some(NoRing::AnotherRing { address: address.to_owned(), found, wanted });
                return;
            }
            Some(_) => {}
        }
        self.core.lines.heard_from_the_ring();
        walk.seen.insert(hello.member.storage, Neighbour { member: hello.member.clone(), starts });
        for kept in hello.kept.iter().filter(|kept| !kept.damaged) {
            self.learn(&kept.arc);
            walk.ring.learn(&kept.arc);
        }
        // What it left it knows only from hearsay; whoever keeps it now says so himself when asked.
        let members =
            hello.kept.iter().map(|kept| &kept.arc).chain(&hello.left).flat_map(|arc| &arc.members);
        let hints = hello.successors.iter().chain(&hello.predecessor);
        let heard_of =
            hints.clone().map(|hint| &hint.member).chain(members).map(|m| m.address.clone());
        walk.hear_of(heard_of);
        for hint in hints {
            self.core.lines.heard_starts(hint.member.storage, hint.starts);
        }
    }
}

/// Who was asked, and what came of it.
type Asked = (String, Result<(Hello, u64), Silence>);

/// A walk on its way.
struct Walk {
    /// What the storages asked have shown.
    ring: RingMap,
    hops: Vec<Hop>,
    waiting: VecDeque<String>,
    asked: Vec<String>,
    seen: BTreeMap<StorageId, Neighbour>,
    plain: Option<String>,
    /// A storage of another ring.
    foreign: Option<NoRing>,
    /// Those who have not answered yet.
    asking: FuturesUnordered<LocalBoxFuture<'static, Asked>>,
    /// Who let us not in, and why.
    closed: Option<(String, String)>,
    /// The last silence, and whether something was said all the same.
    last: String,
    last_is_garbled: bool,
}

impl Walk {
    fn new(known: Vec<String>, seeds: Vec<String>) -> Self {
        let mut walk = Self {
            ring: RingMap::default(),
            hops: vec![],
            waiting: VecDeque::new(),
            asked: vec![],
            seen: BTreeMap::new(),
            plain: None,
            foreign: None,
            asking: FuturesUnordered::new(),
            closed: None,
            last: "nobody was silent".into(),
            last_is_garbled: false,
        };
        walk.hear_of(seeds.into_iter().chain(known));
        walk
    }

    fn hear_of(&mut self, addresses: impl IntoIterator<Item = String>) {
        for address in addresses {
            if !self.asked.contains(&address) && !self.waiting.contains(&address) {
                self.waiting.push_back(address);
            }
        }
    }

    /// Whom to ask next: the preferred one if it was not asked yet, else whoever has waited longest, the silent at last.
    fn next(
        &mut self,
        preferred: Option<String>,
        is_silent: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let preferred = preferred.filter(|address| !self.asked.contains(address));
        let next = match preferred {
            Some(address) => {
                self.waiting.retain(|waiting| *waiting != address);
                Some(address)
            }
            None => {
                let first = self.waiting.iter().position(|address| !is_silent(address));
                self.waiting.remove(first.unwrap_or(0))
            }
        };
        self.asked.extend(next.clone());
        next
    }

    /// Those who were asked and have not answered.
    fn late(&self) -> Vec<Hop> {
        let heard = |address: &&String| self.hops.iter().any(|hop| hop.address == **address);
        let late = self.asked.iter().filter(|address| !heard(address));
        late.map(|address| Hop { address: address.clone(), hello: None }).collect()
    }

    fn no_ring(&self, gap: Option<Position>) -> NoRing {
        let asked = self.asked.len();
        let nobody_is_silent = self.hops.iter().all(|hop| hop.hello.is_some());
        if let Some(foreign) = self.foreign.as_ref().filter(|_| nobody_is_silent) {
            return foreign.clone();
        }
        match (&self.plain, gap) {
            _ if asked == 0 => NoRing::NobodyKnown,
            _ if self.seen.is_empty() && self.plain.is_none() => {
                if let Some((address, why)) = self.closed.clone() {
                    return NoRing::NotAllowed { address, why };
                }
                let (last, is_no_storage) = (self.last.clone(), self.last_is_garbled);
                NoRing::NobodyAnswers { asked, last, is_no_storage }
            }
            // Whoever is silent may be in one.
            (Some(plain), _) if self.seen.is_empty() && !nobody_is_silent => {
                let last = format!("{}; {plain} is in no ring", self.last);
                NoRing::NobodyAnswers { asked, last, is_no_storage: self.last_is_garbled }
            }
            (Some(plain), _) if self.seen.is_empty() => NoRing::NotFounded(plain.clone()),
            (_, gap) => {
                NoRing::Gap { gap: gap.unwrap_or_default(), asked, last: self.last.clone() }
            }
        }
    }
}
