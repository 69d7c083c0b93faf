//! Storages that join, leave, die, come back and are evicted, in orders drawn from a seed, while users read and write: one
//! and the same story over the simulated network and over real processes.
//!
//! `STORIES=100` tells more of them in simulation, `REAL_STORIES=20` with processes, `STORY=7` one again.

mod places;

use futures_util::future::LocalBoxFuture;
use minor_protocol::{Key, Operation, RingArc, RingId, StorageId, Wish, message::PlainRecords};
use places::{Place, Real, Simulated};
use sdht::{
    Loss, NotMoved, Progress,
    error::NotChanged,
    plan::Goal,
    router::{Patience, Router},
    transport::Transport,
};
use sdht_tests::{
    chance::Chance,
    number, process,
    simulation::{
        paused_time,
        world::{Faults, World},
    },
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use tokio::{
    task::{LocalSet, spawn_local},
    time::{Duration, sleep, timeout},
};

/// What the users were told.
#[derive(Default)]
struct Ledger {
    values: BTreeMap<Key, Option<u64>>,
    /// Keys of which nobody can tell any more, as an answer said.
    doubtful: BTreeSet<Key>,
    /// What must not have happened.
    wrong: Vec<String>,
    answered: usize,
}

impl Ledger {
    /// One user, who alone writes its keys: what it was told last is what it must read.
    async fn live<T: Transport>(
        ledger: Rc<RefCell<Self>>,
        router: Router<T>,
        user: usize,
        stop: Rc<Cell<bool>>,
    ) {
        for turn in 1_u64.. {
            if stop.get() {
                return;
            }
            let key = Key::new(format!("{user}/{}", turn % 60)).unwrap();
            if !ledger.borrow().doubtful.contains(&key) {
                Self::check(&ledger, &router, &key).await;
                let wish = if turn % 7 == 0 {
                    Wish::Delete
                } else {
                    let value = turn.to_be_bytes().to_vec();
                    Wish::Set { content_type: String::new(), expires_ms: None, value }
                };
                let value = (wish != Wish::Delete).then_some(turn);
                let operation = Operation { expect: minor_protocol::Expect::Anything, wish };
                let ended = router.change(&key, operation).await;
                let mut ledger = ledger.borrow_mut();
                ledger.answered += 1;
                match ended {
                    Ok(_) => drop(ledger.values.insert(key, value)),
                    Err(NotChanged::Unknown { .. }) => {
                        ledger.values.remove(&key);
                        ledger.doubtful.insert(key);
                    }
                    Err(why) => ledger.wrong.push(format!("a change failed: {why}")),
                }
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn check<T: Transport>(ledger: &RefCell<Self>, router: &Router<T>, key: &Key) {
        let expected = ledger.borrow().values.get(key).copied().flatten();
        match router.get(key).await {
            Ok(state) => {
                let seen = state.map(|s| u64::from_be_bytes(*s.value.first_chunk().unwrap()));
                if seen != expected {
                    let why = format!("key '{key}' is {seen:?} and should be {expected:?}");
                    ledger.borrow_mut().wrong.push(why);
                }
            }
            Err(why) => ledger.borrow_mut().wrong.push(format!("a read failed: {why}")),
        }
    }
}

/// What may befall the ring.
#[derive(Clone, Copy, Debug)]
enum Event {
    Join(usize),
    Leave(usize),
    DieAndReturn(usize),
    DieForGood(usize),
}

struct Story<P> {
    place: P,
    chance: RefCell<Chance>,
    storages: usize,
    copies: u8,
    inside: RefCell<Vec<usize>>,
    told: RefCell<Vec<String>>,
}

impl<P: Place + 'static> Story<P> {
    fn router(&self) -> Router<P::Way> {
        let seeds = (0..self.storages).map(|n| self.place.address(n)).collect();
        Router::new(self.place.way(), seeds, Patience { operation_ms: 20_000, step_ms: 60_000 })
    }

    fn draw(&self, below: usize) -> usize {
        self.chance.borrow_mut().index(below)
    }

    /// What can happen next, and leaves every arc its majority.
    fn next_event(&self) -> Event {
        let inside = self.inside.borrow();
        let outside: Vec<usize> = (0..self.storages).filter(|n| !inside.contains(n)).collect();
        let one_inside = inside[self.draw(inside.len())];
        let may_lose_one = inside.len().min(usize::from(self.copies)) >= 3;
        loop {
            match self.draw(6) {
                0..3 if !outside.is_empty() => {
                    return Event::Join(outside[self.draw(outside.len())]);
                }
                3 if inside.len() > 1 => return Event::Leave(one_inside),
                4 if may_lose_one => return Event::DieAndReturn(one_inside),
                5 if may_lose_one => return Event::DieForGood(one_inside),
                _ if inside.len() == 1 && outside.is_empty() => {
                    return Event::DieAndReturn(one_inside);
                }
                _ => {}
            }
        }
    }

    /// Has a router of its own change the ring; now and then that router dies on the way, and another one does it again.
    async fn change<F>(&self, work: F) -> Result<(), NotMoved>
    where
        F: Fn(Router<P::Way>, Rc<Cell<usize>>) -> LocalBoxFuture<'static, Result<(), NotMoved>>,
    {
        while self.draw(3) == 0 {
            let (router, seen) = (self.router(), Rc::new(Cell::new(0)));
            let doomed = spawn_local(work(router, Rc::clone(&seen)));
            let end = self.draw(25);
            while seen.get() < end && !doomed.is_finished() {
                sleep(Duration::from_micros(300)).await;
            }
            doomed.abort();
            self.say(format!("a router died after {} messages", seen.get()));
        }
        work(self.router(), Rc::default()).await
    }

    fn say(&self, line: String) {
        if number("STORY", u64::MAX) < u64::MAX {
            eprintln!("{line}");
        }
        self.told.borrow_mut().push(line);
    }

    /// What needs no router.
    fn begin(&self, event: Event) {
        if let Event::DieAndReturn(n) | Event::DieForGood(n) = event {
            self.place.kill(n);
        }
    }

    async fn happen(&self, event: Event) -> Result<(), NotMoved> {
        let address = |n| self.place.address(n);
        let count = |seen: Rc<Cell<usize>>| move |_: Progress| seen.set(seen.get() + 1);
        match event {
            Event::Join(n) => {
                let address = address(n);
                self.change(|router, seen| {
                    let (address, mut tell) = (address.clone(), count(seen));
                    Box::pin(async move {
                        router.join(&address, None, PlainRecords::Refuse, &mut tell).await
                    })
                })
                .await?;
                self.inside.borrow_mut().push(n);
            }
            Event::Leave(n) => {
                let id = self.router().storage_at(&address(n)).await?;
                self.leave(id).await?;
                self.inside.borrow_mut().retain(|inside| *inside != n);
            }
            Event::DieAndReturn(n) => {
                sleep(Duration::from_millis(20 + self.draw(200) as u64)).await;
                self.place.start(n);
                // It may lag; what it missed is given to it, so that another may die.
                self.router().repair(&mut |_| {}).await?;
            }
            Event::DieForGood(n) => {
                let address = address(n);
                self.change(|router, seen| {
                    let (dead, mut tell) = (vec![address.clone()], count(seen));
                    Box::pin(async move {
                        match router.evict(&dead, Loss::Refused, &mut tell).await {
                            // The router that died had done it already.
                            Err(NotMoved::Unknown { .. }) => router.repair(&mut tell).await,
                            other => other,
                        }
                    })
                })
                .await?;
                self.inside.borrow_mut().retain(|inside| *inside != n);
                // Later it is found in a corner, and plugged in again: it does not know that it is out.
                self.place.start(n);
                self.router().purge(&[address], &mut |_| {}).await?;
            }
        }
        Ok(())
    }

    async fn leave(&self, id: StorageId) -> Result<(), NotMoved> {
        let count = |seen: Rc<Cell<usize>>| move |_: Progress| seen.set(seen.get() + 1);
        self.change(|router, seen| {
            let mut tell = count(seen);
            Box::pin(async move { router.leave(id, &mut tell).await })
        })
        .await
    }

    /// The whole story; the words say what went wrong.
    async fn tell(&self, events: usize) -> Result<usize, String> {
        let founder = self.router();
        let address = self.place.address(0);
        while let Err(why) = founder.found(&address, RingId(7), self.copies).await {
            self.say(format!("founded again, since {why}"));
        }
        let (ledger, stop) = (Rc::new(RefCell::new(Ledger::default())), Rc::new(Cell::new(false)));
        let users: Vec<_> = (0..4)
            .map(|user| {
                spawn_local(Ledger::live(Rc::clone(&ledger), self.router(), user, Rc::clone(&stop)))
            })
            .collect();
        for _ in 0..events {
            let event = self.next_event();
            self.say(format!("{event:?}"));
            self.begin(event);
            // A message may be lost at the very beginning; said again, it goes on from there.
            let mut end = self.happen(event).await;
            while matches!(&end, Err(why) if why.is_retryable()) {
                self.say(format!("said again, since {end:?}"));
                end = self.happen(event).await;
            }
            end.map_err(|why| format!("{event:?}: {why}"))?;
            if !ledger.borrow().wrong.is_empty() {
                break;
            }
        }
        // While everybody writes it may well be that somebody has too much at the end.
        match self.router().balance(&mut |_| {}).await {
            Ok(()) | Err(NotMoved::Uneven(_)) => {}
            Err(why) => return Err(format!("balance: {why}")),
        }
        stop.set(true);
        for user in users {
            user.await.map_err(|why| format!("a user fell over: {why}"))?;
        }
        let router = self.router();
        let keys: Vec<Key> = ledger.borrow().values.keys().cloned().collect();
        for key in keys {
            Ledger::check(&ledger, &router, &key).await;
        }
        let ledger = ledger.take();
        if !ledger.wrong.is_empty() {
            return Err(ledger.wrong.join("\n"));
        }
        if ledger.doubtful.len() * 20 > ledger.answered {
            return Err(format!("too many outcomes unknown: {:?}", ledger.doubtful));
        }
        self.at_rest(&router).await?;
        Ok(ledger.answered)
    }

    /// The walk closes, every arc has exactly its wanted members, nobody keeps too much, and nothing is left where it does
    /// not belong.
    async fn at_rest(&self, router: &Router<P::Way>) -> Result<(), String> {
        self.place.calm();
        router.balance(&mut |_| {}).await.map_err(|why| format!("balance: {why}"))?;
        router.purge(&[], &mut |_| {}).await.map_err(|why| format!("purge: {why}"))?;
        let arcs: Vec<RingArc> = router.walk().await.map_err(|why| why.to_string())?.arcs;
        let inside = self.inside.borrow().clone();
        let goal = Goal::of(&arcs);
        if arcs.len() != inside.len() || !goal.steps(&arcs).is_empty() {
            return Err(format!("{} storages, and the arcs are {arcs:#?}", inside.len()));
        }
        for arc in &arcs {
            if arc.members.len() != inside.len().min(usize::from(self.copies)) {
                return Err(format!("it has not the members it should have: {arc}"));
            }
        }
        for n in 0..self.storages {
            let address = self.place.address(n);
            for place in self.place.keeps(n) {
                let arc =
                    arcs.iter().find(|arc| arc.span.holds(place)).expect("they tile the ring");
                if arc.members.iter().all(|member| member.address != address) {
                    return Err(format!(
                        "{address} holds a record at {place}, which is not its own"
                    ));
                }
            }
        }
        let load = router.load().await.map_err(|why| why.to_string())?;
        if !load.is_fair() {
            return Err(format!("a storage keeps too much: {load:?}"));
        }
        Ok(())
    }
}

async fn one<P: Place + 'static>(place: P, seed: u64, events: usize) -> usize {
    let (storages, copies) = shape(seed);
    let story = Story {
        place,
        chance: RefCell::new(Chance::new(seed)),
        storages,
        copies,
        inside: RefCell::new(vec![0]),
        told: RefCell::default(),
    };
    let end = timeout(Duration::from_secs(3_000), story.tell(events)).await;
    let why = match end {
        Ok(Ok(answered)) => return answered,
        Ok(Err(why)) => why,
        Err(_) => "it has no end".into(),
    };
    let told = story.told.borrow().join("\n  ");
    panic!("STORY={seed}: {storages} storages, {copies} copies\n  {told}\n{why}")
}

/// How many storages there are in a story, and how many copies are kept.
fn shape(seed: u64) -> (usize, u8) {
    let all = [1, 2, 3, 5, 8].map(|storages| [1, 3, 5].map(|copies| (storages, copies)));
    all.as_flattened()[(seed % 15) as usize]
}

/// The numbers of the stories to tell.
fn stories(name: &str, usual: u64) -> std::ops::Range<u64> {
    match number("STORY", u64::MAX) {
        u64::MAX => 0..number(name, usual),
        one => one..one + 1,
    }
}

#[test]
fn the_story_holds_in_simulation_whatever_the_order() {
    let (mut answered, stories) = (0, stories("STORIES", 60));
    for seed in stories.clone() {
        let runtime = paused_time().unwrap();
        answered += LocalSet::new().block_on(&runtime, async {
            let world = World::new(seed, shape(seed).0);
            world.set_faults(Faults { lost: 5, late: 10, late_ms: 100, doubled: 10, slow: 0 });
            let tended = Rc::clone(&world);
            spawn_local(async move {
                loop {
                    tended.tend();
                    sleep(Duration::from_millis(7)).await;
                }
            });
            one(Simulated(world), seed, 8).await
        });
    }
    println!("{} stories, {answered} changes answered", stories.count());
}

#[test]
fn the_same_story_holds_with_real_processes() {
    let (mut answered, stories) = (0, stories("REAL_STORIES", 5));
    for n in stories.clone() {
        // Of the fifteen shapes, those with several storages and copies first.
        let seed = if stories.start > 0 { n } else { n * 4 + 7 };
        let storages = (0..shape(seed).0).map(|_| process::fresh()).collect();
        let real = Real(RefCell::new(storages));
        answered += actix_rt::Runtime::new().unwrap().block_on(one(real, seed, 4));
    }
    println!("{} stories, {answered} changes answered", stories.count());
}
