//! The keeper: what heals a ring without a person. It lives in every door (`sdht serve`), one in each process.
//!
//! ```text
//!   look ──▶ watch: who is dead?  ──▶ duties: what is next? ──▶ turn: is it mine? ──▶ one duty ──▶ look …
//!            (many looks, never one)  (the first that applies)  (others object)        (the looks go on beside it)
//! ```
//!
//! Every step but the looks is a change of the ring as an operator makes it ([`crate::moves`]), and as safe: whoever is
//! killed in the middle leaves arcs that say what is half done, and any other router finishes it.
//!
//! # Whom it calls dead
//!
//! A storage is evicted after `dead_after` (30 s) of silence, and only when all of this agrees: it missed every look of that
//! time, many in a row, each by several questions of different kinds; of the other storages a majority answered each of
//! these looks, so it is not we who are cut off; the ring let us write down whom we accuse, and no other keeper, who reads
//! that, hears the accused; and it does not answer the last questions, right before anything is done. One answer, and all of
//! it begins anew ([`watch`] and `keeper::turn`). A slow network, or one that loses every fifth message, evicts nobody.
//!
//! # Whom it evicts
//!
//! The dead are evicted when that brings something: another storage takes over the copies, or at least the arcs can lose one
//! member more than before, because the dead one's vote is not waited for any longer. In a ring of three with three copies
//! neither is so: two of two are needed afterwards as two of three were before, and all that would change is that the third
//! must join anew when it comes back. So it is left in its place, which is said once; as soon as a fourth storage joins, it
//! is replaced. Where an arc has no living majority nothing is done at all: that needs a person (`sdht remove --dead`).
//!
//! A storage whose data was damaged sets it aside, and begins anew under a new id. To the ring the old one is as dead as one
//! that is silent, and is evicted like it; the new one is in no ring, and only a person can know that it is to be: the log
//! and the page of the door say so, and name the command.
//!
//! An evicted storage that comes back is told so; it drops what it held and may join anew. One that was away for a shorter
//! time just goes on, and what it missed is levelled.
//!
//! # What it leaves alone
//!
//! While arcs change and it is not the keeper who changes them, an operator or another keeper is at work, and it waits until
//! nothing has moved for `dead_after`. All it moves is within a rate. Data that is damaged on all copies, a ring without
//! a majority, a storage that has to be bought: for these it has no remedy, and says so in the log.

mod acting;
mod deed;
pub mod duties;
mod looking;
mod still;
mod turn;
pub mod watch;
mod words;

pub use deed::{Deed, Work};
pub use duties::Kind;

use crate::{plan::even::heaviest, router::Router, transport::Transport};
use acting::UnderWay;
use duties::{Diary, Duty, Gain, Quiet, Standing, gain};
use futures_util::{
    FutureExt,
    future::{join_all, select},
};
use looking::{Looked, look, unlike};
use minor_protocol::{Member, RingArc, StorageId};
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};
use still::Stillness;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use turn::{Taken, Turn};
use watch::{Sign, Turned, Watch};

/// The least time after which a storage may be called dead: below, looks would not be told from chance.
pub const LEAST_DEAD_AFTER: Duration = Duration::from_secs(2);
/// In how many parts of that time a storage has to answer a question.
const PARTS_OF_PATIENCE: u32 = 15;
/// But that long it always may take.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);
/// Storages that have left and are still asked, in case they do not know.
const REMEMBERED: usize = 256;

/// How a keeper works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a storage is silent before it is dead.
    pub dead_after: Duration,
    /// Bytes moved in a second.
    pub max_rate: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dead_after: Duration::from_secs(30), max_rate: 32 << 20 }
    }
}

/// A keeper.
pub struct Keeper<T: Transport> {
    router: Router<T>,
    settings: Settings,
    tell: Box<dyn FnMut(&Deed)>,
    begun: Instant,
    watch: Watch,
    diary: Diary,
    turn: Turn,
    still: Stillness,
    /// Who was in the ring, and is not any more.
    gone: BTreeMap<StorageId, Member>,
    /// Who is in it.
    members: BTreeMap<StorageId, Member>,
    /// Those of them in whose place another storage answers.
    replaced: BTreeSet<StorageId>,
    /// Arcs whose copies differed when they were last counted.
    doubted: Vec<RingArc>,
    /// What was said of the dead that are not evicted: it is said once.
    said: String,
    under_way: Option<UnderWay>,
}

impl<T: Transport> Keeper<T> {
    /// A keeper that asks and moves by this router, which nobody else should use, and tells what it does.
    pub fn new(router: Router<T>, settings: Settings, tell: impl FnMut(&Deed) + 'static) -> Self {
        router.set_max_rate(settings.max_rate);
        let dead_after_ms = u64::try_from(settings.dead_after.max(LEAST_DEAD_AFTER).as_millis())
            .unwrap_or(u64::MAX);
        Self {
            turn: Turn::new(router.core.lines.transport().chance(u64::MAX)),
            router,
            settings: Settings { dead_after: Duration::from_millis(dead_after_ms), ..settings },
            tell: Box::new(tell),
            begun: Instant::now(),
            watch: Watch::new(dead_after_ms),
            diary: Diary::begun(0, (2 * dead_after_ms).min(duties::REST_MS)),
            still: Stillness::default(),
            gone: BTreeMap::new(),
            members: BTreeMap::new(),
            replaced: BTreeSet::new(),
            doubted: vec![],
            said: String::new(),
            under_way: None,
        }
    }

    /// Keeps the ring, for ever. Dropped, it stops between two messages.
    pub async fn run(mut self) {
        loop {
            let begun = Instant::now();
            self.round().await;
            // Two keepers that began together do not go on together.
            let every_ms = self.watch.every_ms();
            let jitter = self.router.core.lines.transport().chance(every_ms / 2 + 1);
            let next = begun + Duration::from_millis(every_ms * 3 / 4 + jitter);
            let ended = match &mut self.under_way {
                None => {
                    sleep_until(next).await;
                    None
                }
                Some(work) => {
                    select(work, pin!(sleep_until(next)))
                        .map(|first| match first {
                            futures_util::future::Either::Left((ended, _)) => Some(ended),
                            futures_util::future::Either::Right(_) => None,
                        })
                        .await
                }
            };
            if let Some(ended) = ended {
                self.end(ended).await;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn patience(&self) -> Duration {
        (self.settings.dead_after / PARTS_OF_PATIENCE).max(LEAST_PATIENCE)
    }

    fn dead_after_ms(&self) -> u64 {
        u64::try_from(self.settings.dead_after.as_millis()).unwrap_or(u64::MAX)
    }

    /// One look, and what follows from it.
    async fn round(&mut self) {
        let begun_ms = self.now_ms();
        let also: Vec<String> = self.gone.values().map(|member| member.address.clone()).collect();
        let looked = look(&self.router, &also, self.patience()).await;
        self.see(begun_ms, &looked);
        self.object(&looked).await;
        if let Some(standing) = self.standing(&looked).await {
            self.act(&standing).await;
        }
    }

    /// Takes a look in, and notes what has turned.
    fn see(&mut self, begun_ms: u64, looked: &Looked) {
        let now_ms = self.now_ms();
        let turned = self.watch.see(begun_ms, now_ms, &looked.signs);
        let members: BTreeMap<StorageId, Member> = looked
            .arcs
            .iter()
            .flatten()
            .flat_map(|arc| &arc.members)
            .map(|member| (member.storage, member.clone()))
            .collect();
        if looked.arcs.is_some() {
            let is_there = |gone: &Member| members.values().any(|m| m.address == gone.address);
            self.gone.retain(|storage, gone| !members.contains_key(storage) && !is_there(gone));
            for (storage, member) in std::mem::replace(&mut self.members, members) {
                let is_gone = !self.members.contains_key(&storage);
                if is_gone && self.gone.len() < REMEMBERED {
                    self.gone.insert(storage, member);
                }
            }
        }
        self.see_the_replaced(looked);
        for turned in turned {
            match turned {
                // Of whom more is known, more has just been said.
                Turned::Quiet(storage) if self.replaced.contains(&storage) => {}
                Turned::Quiet(storage) => {
                    let who = self.address(storage);
                    self.note(format!("does not hear {who}, and looks more often"));
                }
                Turned::Back(storage, looks) => {
                    let who = self.address(storage);
                    self.note(format!("hears {who} again, after {looks} looks in vain"));
                    self.diary.hurry(Kind::Level);
                }
            }
        }
        for hello in &looked.hellos {
            if self.gone.contains_key(&hello.member.storage)
                && hello.kept.is_empty()
                && hello.wiping.is_empty()
            {
                self.gone.remove(&hello.member.storage);
                let who = &hello.member.address;
                self.note(format!("hears {who}, which is no part of the ring any more and knows it: it may join anew"));
            }
        }
    }

    /// Where another keeper calls somebody dead whom we hear, it is told so.
    async fn object(&mut self, looked: &Looked) {
        let hears = |id| looked.signs.get(&id) == Some(&Sign::Answered);
        let object = timeout(self.patience(), self.turn.object(&self.router, hears)).await;
        for storage in object.unwrap_or_default() {
            let who = self.address(storage);
            self.note(format!("hears {who}, which another keeper calls dead, and objects"));
        }
    }

    /// How the ring stands, if it can be seen as a whole.
    async fn standing(&mut self, looked: &Looked) -> Option<Standing> {
        let arcs = looked.arcs.clone()?;
        let now_ms = self.now_ms();
        let count_of = |arc: &RingArc| {
            let kept = looked
                .kept()
                .find(|(member, kept)| Some(member.storage) == arc.filling && kept.arc == *arc);
            kept.map_or(0, |(_, kept)| kept.records)
        };
        let shown = arcs
            .iter()
            .map(|arc| (arc.clone(), arc.filling.map_or(0, |_| count_of(arc))))
            .collect();
        let still_ms = self.still.see(shown, now_ms);
        let most = |arc: &RingArc, of: fn(&minor_protocol::message::Kept) -> u64| {
            looked.kept().filter(|(_, k)| k.arc == *arc).map(|(_, k)| of(k)).max().unwrap_or(0)
        };
        // Of the same member as an operator's balance would ask: copies may differ.
        let bytes = |arc: &RingArc| {
            let of = |full: &Member| {
                looked.kept().find(|(m, k)| m.storage == full.storage && k.arc == *arc)
            };
            arc.full().find_map(of).map_or(0, |(_, kept)| kept.bytes)
        };
        let weights: Vec<u64> = arcs.iter().map(bytes).collect();
        let damaged: BTreeSet<StorageId> = looked
            .kept()
            .filter(|(_, kept)| kept.damaged && arcs.iter().any(|arc| arc.is_same_slot(&kept.arc)))
            .map(|(member, _)| member.storage)
            .collect();
        let mut standing = Standing {
            still_ms,
            dead: self.watch.dead(),
            silent: self.watch.silent().collect(),
            damaged: damaged.into_iter().collect(),
            uneven: vec![],
            tombstones: arcs.iter().map(|arc| most(arc, |kept| kept.tombstones)).sum(),
            heaviest: Some(heaviest(&arcs, &weights)),
            arcs,
        };
        standing.uneven = self.uneven(&standing, looked).await;
        Some(standing)
    }

    /// The arcs whose copies were counted, now and before, and differed both times.
    async fn uneven(&mut self, standing: &Standing, looked: &Looked) -> Vec<RingArc> {
        let now_ms = self.now_ms();
        if self.under_way.is_some() || !self.diary.may(Kind::Level, now_ms) {
            return vec![];
        }
        let at_rest = standing.arcs.iter().filter(|arc| arc.filling.is_none());
        let patience = self.patience();
        let count = at_rest.map(|arc| {
            let unlike = timeout(patience, unlike(&self.router, arc, &looked.signs));
            async move { unlike.await.unwrap_or(false).then(|| arc.clone()) }
        });
        let differ: Vec<RingArc> = join_all(count).await.into_iter().flatten().collect();
        if differ.is_empty() {
            self.diary.done(Kind::Level, now_ms, now_ms);
        }
        let before = std::mem::replace(&mut self.doubted, differ);
        self.doubted.iter().filter(|arc| before.contains(arc)).cloned().collect()
    }

    /// Does what is to be done, as far as it is our turn.
    async fn act(&mut self, standing: &Standing) {
        let now_ms = self.now_ms();
        self.say_why_nobody_is_evicted(standing);
        if let Some(work) = &self.under_way {
            let kind = work.duty.kind();
            let is_new = |member: &Member| match &work.duty {
                Duty::Evict(named) => named.iter().all(|m| m.storage != member.storage),
                _ => true,
            };
            let dead = standing.to_evict();
            let is_time = self.diary.may(Kind::Evict, now_ms) && self.all_could_object(&dead);
            if !dead.iter().any(is_new) || !is_time {
                return self.hold_on(kind, standing).await;
            }
            self.set_aside(kind, "somebody has died".into());
        }
        let quiet = Quiet { at_rest_ms: self.watch.every_ms(), half_done_ms: self.dead_after_ms() };
        let accused = self.accused(standing);
        let Some(duty) = standing.next(&self.diary, quiet, now_ms) else {
            if !accused.is_empty() {
                // Early, so that others can object before it is time.
                self.take("about to evict", &accused).await;
            } else if self.turn.is_ours() {
                self.give_back().await;
            }
            return;
        };
        if self.take(duty.kind().name(), &accused).await != Taken::Ours {
            return;
        }
        if matches!(&duty, Duty::Evict(dead) if !self.all_could_object(dead)) {
            return;
        }
        let kind = duty.kind();
        let why = self.why(&duty);
        (self.tell)(&Deed::Begun { kind, why });
        self.under_way = Some(UnderWay::begin(&self.router, duty, self.now_ms()));
    }

    /// Who may soon be evicted: those whom it would help to go on without.
    fn accused(&self, standing: &Standing) -> Vec<StorageId> {
        let accused = self.watch.accused();
        let helps = matches!(gain(&standing.arcs, &accused), Gain::Copies | Gain::Votes);
        let may = self.diary.may(Kind::Evict, self.now_ms());
        if may && helps && !accused.is_empty() { accused } else { vec![] }
    }

    /// Whether all of these were accused for so long that every keeper has looked, and read it, at least twice.
    fn all_could_object(&self, dead: &[Member]) -> bool {
        let now_ms = self.now_ms();
        let long =
            |m: &Member| self.turn.accused_ms(m.storage, now_ms) >= self.dead_after_ms() / 9 * 4;
        dead.iter().all(long)
    }

    /// Goes on with what is under way, unless somebody else has taken the turn.
    async fn hold_on(&mut self, kind: Kind, standing: &Standing) {
        let accused = if kind == Kind::Evict { self.watch.dead() } else { self.accused(standing) };
        if self.take(kind.name(), &accused).await == Taken::Others {
            self.set_aside(kind, "another keeper has taken the turn".into());
        }
    }

    fn set_aside(&mut self, kind: Kind, why: String) {
        self.under_way = None;
        self.still.was_ours();
        (self.tell)(&Deed::SetAside { kind, why });
    }

    /// What was under way has come to an end.
    async fn end(&mut self, ended: Result<(), String>) {
        let Some(work) = self.under_way.take() else { return };
        let (kind, now_ms) = (work.duty.kind(), self.now_ms());
        self.still.was_ours();
        match ended {
            Ok(()) => {
                self.diary.done(kind, work.begun_ms, now_ms);
                let took_ms = now_ms - work.begun_ms;
                (self.tell)(&Deed::Done { kind, work: work.work(), took_ms });
            }
            Err(why) => {
                self.diary.failed(kind, now_ms, self.watch.every_ms());
                (self.tell)(&Deed::Failed { kind, why });
            }
        }
        self.give_back().await;
    }

    async fn take(&mut self, doing: &str, accused: &[StorageId]) -> Taken {
        let (now_ms, dead_after_ms, most) =
            (self.now_ms(), self.dead_after_ms(), 2 * self.patience());
        let take = self.turn.take(&self.router, (doing, accused), now_ms, dead_after_ms);
        let taken = match timeout(most, take).await {
            Ok(taken) => taken,
            Err(_) => {
                self.turn.is_not_read();
                Taken::Nobodys
            }
        };
        if let Taken::Objected(heard) = &taken {
            let who: Vec<String> = heard.iter().map(|id| self.address(*id)).collect();
            let who = who.join(", ");
            self.note(format!(
                "does not evict {who}: another keeper hears it, so it is we who are cut off"
            ));
            self.diary.failed(Kind::Evict, self.now_ms(), dead_after_ms);
            self.under_way = None;
            self.give_back().await;
        }
        taken
    }

    async fn give_back(&mut self) {
        let most = self.patience();
        // Who is not heard by then is waited for by others.
        let _ = timeout(most, self.turn.give_back(&self.router)).await;
    }
}
