//! A router: what it remembers, and the small things everything else is made of.

use crate::{
    asking::{Asking, Round, patience_ms},
    counters::Counters,
    held_up::HeldUp,
    pace::Pace,
    ring::RingMap,
    tally::Verdict,
    transport::{
        Inbox, Silence, Transport,
        lines::{Heard, Lines},
    },
    tries::Count,
    turns::Turns,
};
use futures_util::{
    Stream, StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use minor_protocol::{
    Ballot, HybridClock, Key, Member, Refusal, Request, RingArc, RingId, StorageId,
};
use std::{
    borrow::Borrow,
    cell::{Cell, RefCell},
    collections::BTreeSet,
    pin::pin,
    rc::Rc,
    time::Duration,
};

/// How long those whose answers are not needed may be later than the others.
const LATE: Duration = Duration::from_secs(1);

/// Whether what was heard is enough to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enough {
    /// Everybody still to be heard may be needed.
    NotYet,
    /// More would be welcome, and is not needed.
    Already,
}

/// How patient a router is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long one operation is tried.
    pub operation_ms: u64,
    /// How long a change of the ring waits for one step before it says what stands in the way.
    pub step_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { operation_ms: 10_000, step_ms: 30_000 }
    }
}

/// A router. It lives on one thread, and clones share everything.
pub struct Router<T> {
    pub(crate) core: Rc<Core<T>>,
}

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self { core: Rc::clone(&self.core) }
    }
}

/// What all clones share.
pub(crate) struct Core<T> {
    pub(crate) lines: Rc<Lines<T>>,
    pub(crate) ring: RefCell<RingMap>,
    clock: RefCell<HybridClock>,
    /// Drawn anew at each start, so that no two routers share a ballot; and when its clock was set back.
    name: Cell<u64>,
    /// Addresses the user named.
    pub(crate) seeds: RefCell<Vec<String>>,
    pub(crate) patience: Patience,
    pub(crate) turns: Rc<Turns>,
    pub(crate) pace: Pace,
    /// Addresses at which nobody answered when it was last asked who is there: others are asked first, and waited for.
    silent: RefCell<BTreeSet<String>>,
    /// Whom to ask for the value next: it goes round.
    turn: Cell<usize>,
    /// How often an arc was asked about a key.
    pub(crate) rounds: Cell<u64>,
    pub(crate) counters: std::sync::Arc<Counters>,
    held_up: RefCell<HeldUp>,
}

impl<T: Transport> Router<T> {
    /// A router that knows nothing but these addresses.
    pub fn new(transport: T, seeds: Vec<String>, patience: Patience) -> Self {
        Self::counted(transport, seeds, patience, std::sync::Arc::default())
    }

    /// The same, and what it does is counted here, together with what others do.
    pub fn counted(
        transport: T,
        seeds: Vec<String>,
        patience: Patience,
        counters: std::sync::Arc<Counters>,
    ) -> Self {
        let name = Cell::new(transport.chance(u64::MAX));
        let core = Core {
            lines: Lines::new(transport, Duration::from_millis(patience.operation_ms)),
            ring: RefCell::default(),
            clock: RefCell::default(),
            name,
            seeds: RefCell::new(seeds),
            patience,
            turns: Rc::default(),
            pace: Pace::default(),
            silent: RefCell::default(),
            turn: Cell::new(0),
            rounds: Cell::new(0),
            counters,
            held_up: RefCell::default(),
        };
        Self { core: Rc::new(core) }
    }

    /// From now on it moves at most so many bytes of data in a second.
    pub fn set_max_rate(&self, bytes_per_s: u64) {
        self.core.pace.set_rate(bytes_per_s);
    }

    /// From now on it asks at these addresses too.
    pub(crate) fn know_of(&self, addresses: &[String]) {
        self.core.seeds.borrow_mut().extend(addresses.iter().cloned());
    }

    /// The ring it talks to, once it knows.
    pub fn ring_id(&self) -> Option<RingId> {
        self.core.lines.ring()
    }

    /// How often it has turned to an arc for a key: once for each operation, as long as it remembers the ring rightly and
    /// nobody is in the way.
    pub fn rounds(&self) -> u64 {
        self.core.rounds.get()
    }

    /// The arcs it remembers.
    pub fn arcs(&self) -> Vec<RingArc> {
        self.core.ring.borrow().arcs()
    }

    /// Believes, until it is told better, that the ring is made of these arcs.
    pub fn remember(&self, arcs: &[RingArc]) {
        if let Some(arc) = arcs.first() {
            self.core.lines.set_ring(arc.ring);
        }
        arcs.iter().for_each(|arc| self.learn(arc));
    }

    /// A number that nobody else draws, for what has to have a name of its own.
    pub(crate) fn draw_id(&self) -> u128 {
        let half = || u128::from(self.core.lines.transport().chance(u64::MAX));
        half() << 64 | half()
    }

    /// Forgets the arcs, as if it had just started.
    pub fn forget(&self) {
        self.core.ring.borrow_mut().clear();
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.core.lines.transport().now_ms()
    }

    /// A ballot above all that were given or heard of.
    pub(crate) fn ballot(&self, epoch: u64) -> Ballot {
        let clock = self.core.clock.borrow_mut().tick(self.now_ms());
        Ballot { epoch, clock, router: self.core.name.get(), seq: 0 }
    }

    /// A storage promises nothing behind this time. Where our own clock is not there either, it was when a ballot was given,
    /// and has been set back since. Then we are as a router that has just started: the ballots of both clocks stay apart by
    /// the name.
    fn heed_limit(&self, limit_ms: u64) {
        let mut clock = self.core.clock.borrow_mut();
        if clock.is_beyond(limit_ms) && self.now_ms() <= limit_ms {
            *clock = HybridClock::default();
            self.core.name.set(self.core.lines.transport().chance(u64::MAX));
        }
    }

    /// Something stood in the way: the next ballot goes above it.
    pub(crate) fn see(&self, ballot: Ballot) {
        self.core.clock.borrow_mut().see(ballot.clock);
    }

    pub(crate) fn arc_in_memory(&self, key: &Key) -> Option<std::sync::Arc<RingArc>> {
        self.core.ring.borrow().shared_arc_at(key.position())
    }

    /// Hears of an arc that somebody has adopted.
    pub(crate) fn learn(&self, arc: &RingArc) {
        self.core.ring.borrow_mut().learn(arc);
    }

    /// Says something to one storage.
    pub(crate) fn say(
        &self,
        to: &Member,
        request: Request,
    ) -> impl Future<Output = Heard> + use<T> {
        self.core.lines.say(to, request)
    }

    /// Says something to each of these, and gives the answers as they come.
    pub(crate) fn say_all<M: Borrow<Member>>(
        &self,
        to: impl IntoIterator<Item = (M, Request)>,
    ) -> impl Stream<Item = (StorageId, Heard)> + Unpin {
        let say = |(to, request): (M, Request)| {
            let (storage, said) = (to.borrow().storage, self.say(to.borrow(), request));
            async move { (storage, said.await) }
        };
        to.into_iter().map(say).collect::<FuturesUnordered<_>>()
    }

    /// Whether nobody answered at an address, when it was last asked who is there.
    pub(crate) fn is_silent(&self, address: &str) -> bool {
        self.core.silent.borrow().contains(address)
    }

    /// Who has been asked and has not answered, now or when it was last asked who is there.
    pub(crate) fn awaited(&self) -> BTreeSet<String> {
        let members = self.arcs().into_iter().flat_map(|arc| arc.members);
        let silent = members.map(|member| member.address).filter(|there| self.is_silent(there));
        silent.chain(self.core.lines.asked()).collect()
    }

    /// It was asked at an address who is there.
    pub(crate) fn heard_at(&self, address: &str, silence: Option<&Silence>) {
        let mut silent = self.core.silent.borrow_mut();
        match silence {
            Some(_) => drop(silent.insert(address.to_owned())),
            None => drop(silent.remove(address)),
        }
    }

    /// The next answer to what was said to these, of whom some are still to be heard. Once it is enough, whoever is late is
    /// not waited for: a second at the most, and not at all if it was silent before.
    pub(crate) async fn next_in_time(
        &self,
        answers: &mut (impl Stream<Item = (StorageId, Heard)> + Unpin),
        enough: Enough,
        missing: impl Iterator<Item = &Member>,
    ) -> Option<(StorageId, Heard)> {
        if enough == Enough::NotYet {
            return answers.next().await;
        }
        let mut missing = missing.peekable();
        let all_silent = missing.peek().is_some() && missing.all(|m| self.is_silent(&m.address));
        let patience = if all_silent { Duration::ZERO } else { LATE };
        tokio::time::timeout(patience, answers.next()).await.unwrap_or(None)
    }

    /// Asks as many of an arc's members as it takes, these many to begin with, and hears them until it is decided. A message
    /// is made for a member, and for how many were asked before it.
    pub(crate) async fn hear<R: Round>(
        &self,
        inbox: &mut Inbox,
        first: usize,
        message: impl Fn(&Member, usize) -> Request,
        round: &mut R,
        count: &mut Count<'_>,
    ) -> Verdict {
        let arc = count.arc();
        let paces = self.core.lines.pace(arc.members.iter().map(|member| member.storage));
        let mut asking = Asking::of(first, &paces, self.turn(arc.members.len()));
        let patience = Duration::from_millis(patience_ms(&paces));
        let mut slow = Vec::with_capacity(arc.members.len());
        let mut alarm = pin!(tokio::time::sleep(patience));
        let begun = tokio::time::Instant::now();
        loop {
            while let Some((place, before)) = asking.next() {
                let member = &arc.members[place];
                self.core.lines.say_into(inbox, place, member, message(member, before));
                slow.push(member.storage);
            }
            // Once somebody has told of a newer arc or a higher ballot, the slow are not worth waiting for: another round is.
            let nothing_to_do = asking.is_complete()
                && round.without_the_slow() == Verdict::Pending
                && !count.is_wiser();
            let heard = if nothing_to_do {
                self.next_or_given_up(inbox, arc, &slow, begun).await
            } else {
                match select(inbox.next(), alarm.as_mut()).await {
                    Either::Left((heard, _)) => heard,
                    Either::Right(_) => {
                        slow.iter().for_each(|slow| self.core.lines.doubt(*slow));
                        if asking.is_complete() {
                            return round.without_the_slow();
                        }
                        asking.late();
                        alarm.as_mut().reset(tokio::time::Instant::now() + patience);
                        continue;
                    }
                }
            };
            let (place, heard) = heard.expect("a round is decided when all have been heard");
            let from = arc.members[place].storage;
            if !slow.contains(&from) {
                // It was given up, and counted as silent.
                continue;
            }
            slow.retain(|slow| *slow != from);
            count.hear(self, from, &heard);
            let said_yes = matches!(heard, Ok(Ok(_)));
            match round.hear(from, heard.ok()) {
                Verdict::Pending => asking.heard(said_yes),
                decided => return decided,
            }
        }
    }

    /// Hears those who were asked and have not answered yet, for a second at the most, as long as all may refuse for want of
    /// room.
    pub(crate) async fn hear_the_rest(&self, inbox: &mut Inbox, count: &mut Count<'_>) {
        let rest = async {
            while count.is_without_room_so_far()
                && let Some((place, heard)) = inbox.next().await
            {
                let from = count.arc().members[place].storage;
                count.hear(self, from, &heard);
            }
        };
        // Who is late may have taken it.
        let _ = tokio::time::timeout(LATE, rest).await;
    }

    /// The next answer to a round, or the silence of one from whom nothing has come for too long.
    async fn next_or_given_up(
        &self,
        inbox: &mut Inbox,
        arc: &RingArc,
        slow: &[StorageId],
        begun: tokio::time::Instant,
    ) -> Option<(usize, Heard)> {
        let place = |storage| arc.members.iter().position(|member| member.storage == storage);
        let give_up = slow.iter().filter_map(|slow| Some((place(*slow)?, *slow)));
        let mut given_up: FuturesUnordered<_> = give_up
            .map(|(place, slow)| async move {
                (place, Err(self.core.lines.until_given_up(slow, begun).await))
            })
            .collect();
        match select(inbox.next(), given_up.next()).await {
            Either::Left((heard, _)) => heard,
            Either::Right((given_up, _)) => given_up,
        }
    }

    /// Who has been waited for so long that somebody may want to know, and how long.
    pub fn waited_for(&self) -> std::collections::BTreeMap<String, Duration> {
        self.core.lines.waited_for()
    }

    /// What is tried again and again, and why it was in vain, if that has been so for half a second and more.
    pub fn held_up_by(&self) -> Option<String> {
        self.core.held_up.borrow().why(tokio::time::Instant::now()).map(str::to_owned)
    }

    /// A try was in vain; another one follows.
    pub(crate) fn hold_up(&self, why: impl std::fmt::Display) {
        self.core.held_up.borrow_mut().again(why, tokio::time::Instant::now());
    }

    /// Takes from an answer what it tells beside the answer itself: newer arcs, higher ballots, storages that lag.
    pub(crate) fn take_in(&self, arc: &RingArc, from: StorageId, heard: &Heard) -> Option<()> {
        let Ok(Err(refusal)) = heard else { return None };
        match refusal {
            Refusal::Refused { highest } => self.see(*highest),
            Refusal::Ahead { limit_ms } => self.heed_limit(*limit_ms),
            Refusal::Stale { arc } => self.learn(arc),
            Refusal::Behind { .. } => {
                // It lags: teach it what the others have adopted. Whoever asked does not wait for it.
                if let Some(member) = arc.member(from) {
                    drop(self.say(member, Request::Learn { arcs: vec![arc.clone()] }));
                }
            }
            _ => {}
        }
        Some(())
    }

    /// A place in a turn that goes round.
    pub(crate) fn turn(&self, of: usize) -> usize {
        let turn = self.core.turn.get();
        self.core.turn.set(turn.wrapping_add(1));
        turn % of
    }

    /// Waits a little before the next try, longer with every one, and never as long as another router would.
    pub(crate) async fn pause(&self, tries: u32) {
        let most = 2_u64.saturating_mul(1 << tries.min(9));
        let wait = 1 + self.core.lines.transport().chance(most.min(500));
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}
