//! Who acts in a run: users who quarrel over keys, operators who change the ring and die at it, and accidents.

use super::*;
use sdht::{
    keeper::{Deed as Kept, Keeper, Kind as Duty},
    listing::Cursor,
};

impl Run {
    pub(super) fn user(&self, process: u64) -> JoinHandle<()> {
        let router = self.router(Patience { operation_ms: 3_000, step_ms: 10_000 }).0;
        let (world, histories) = (Rc::clone(&self.world), Rc::clone(&self.histories));
        let (next_value, report) = (Rc::clone(&self.next_value), Rc::clone(&self.report));
        let scenario = self.scenario;
        spawn_local(async move {
            let mut last: BTreeMap<u64, Stamp> = BTreeMap::new();
            for _ in 0..scenario.operations {
                let n = world.below(scenario.keys);
                let value = next_value.get();
                let kind = match scenario.deeds[world.below(10) as usize] {
                    Deed::Get => Kind::Get,
                    Deed::Set => Kind::Set { expect: Expect::Anything, value },
                    Deed::SetAbsent => Kind::Set { expect: Expect::Absent, value },
                    Deed::SetSeen => match last.get(&n) {
                        Some(stamp) => Kind::Set { expect: Expect::Stamp(*stamp), value },
                        None => Kind::Set { expect: Expect::Present, value },
                    },
                    Deed::Delete => Kind::Delete { expect: Expect::Anything },
                };
                if matches!(kind, Kind::Set { .. }) {
                    next_value.set(value + 1);
                }
                let called = world.elapsed_us();
                let outcome = operate(&router, &world, &key(n), kind).await;
                match outcome {
                    Some(outcome) => {
                        match outcome {
                            Outcome::Answered { answer, .. } => {
                                report.borrow_mut().answered += 1;
                                if let Answer::Done(stamp)
                                | Answer::Seen(Seen::Value { stamp, .. }) = answer
                                {
                                    last.insert(n, stamp);
                                }
                            }
                            Outcome::Unknown { .. } => report.borrow_mut().unknown += 1,
                        }
                        let event = Event { process, kind, called, outcome };
                        histories.borrow_mut()[n as usize].push(event);
                    }
                    None => world.count("an operation was refused"),
                }
                sleep(Duration::from_millis(world.below(scenario.rest_ms.0))).await;
            }
        })
    }

    /// Sets keys that nobody will change or delete.
    pub(super) async fn set_what_stays(&self, router: &SimulatedRouter) -> Result<(), String> {
        for n in 0..STAYING {
            let wish =
                Wish::Set { content_type: String::new(), expires_ms: None, value: vec![n as u8] };
            let set = Operation { expect: Expect::Anything, wish };
            let end = router.change(&staying(n), set).await;
            end.map_err(|why| format!("setting what stays: {why}"))?;
        }
        Ok(())
    }

    /// Somebody who lists all keys while the ring changes. What stays must be shown every time; and whoever is not shown a
    /// key has been told that it is absent, as if he had asked for it.
    pub(super) fn lister(&self) -> JoinHandle<()> {
        let router = self.router(Patience { operation_ms: 3_000, step_ms: 10_000 }).0;
        let run = self.clone();
        let world = Rc::clone(&self.world);
        spawn_local(async move {
            loop {
                let (called, changes) = (world.elapsed_us(), ring_changes(&world));
                let (mut cursor, mut keys) = (Cursor::default(), vec![]);
                let end = loop {
                    match router.list(&mut cursor).await {
                        Ok(Some(page)) => keys.extend(page),
                        Ok(None) => break Ok(()),
                        Err(why) => break Err(why),
                    }
                };
                if end.is_ok() {
                    world.count("the keys were listed");
                    if ring_changes(&world) > changes {
                        world.count("the keys were listed while the ring changed");
                    }
                    run.hear_listing(called, &keys);
                } else {
                    world.count("a listing gave up");
                }
                sleep(Duration::from_millis(world.below(300))).await;
            }
        })
    }

    fn hear_listing(&self, called: u64, keys: &[Key]) {
        if let Some(missed) = (0..STAYING).map(staying).find(|key| !keys.contains(key)) {
            let why = format!("a listing from {called} us on missed '{missed}', which stayed");
            self.wrong.borrow_mut().get_or_insert(why);
        }
        let answer = Answer::Seen(Seen::Absent);
        let outcome = Outcome::Answered { at: self.world.elapsed_us(), answer };
        let event = Event { process: u64::MAX - 1, kind: Kind::Get, called, outcome };
        let mut histories = self.histories.borrow_mut();
        let missing = (0..histories.len()).filter(|n| !keys.contains(&key(*n as u64)));
        missing.for_each(|n| histories[n].push(event));
    }

    /// Somebody who changes the ring, and now and then dies in the middle of it.
    pub(super) fn operator(&self) -> JoinHandle<()> {
        let seeds = self.clone();
        let world = Rc::clone(&self.world);
        spawn_local(async move {
            loop {
                let (router, switch) =
                    seeds.router(Patience { operation_ms: 3_000, step_ms: 5_000 });
                let host = world.below(world.hosts() as u64) as usize;
                let address = world.address(host);
                let id = StorageId(host as u128 + 1);
                let wish = seeds.scenario.wishes[world.below(10) as usize];
                let copies = [1, 2, 3, 3, 5][world.below(5) as usize];
                let w = Rc::clone(&world);
                let changing = spawn_local(async move {
                    let mut tell = |progress| {
                        if let sdht::moves::Progress::Agreed(_, decree) = progress {
                            w.count(agreed(&decree));
                        }
                    };
                    let end = match wish {
                        ToDo::Join => {
                            router.join(&address, None, PlainRecords::Refuse, &mut tell).await
                        }
                        ToDo::Leave => router.leave(id, &mut tell).await,
                        ToDo::Copies => router.set_copies(copies, &mut tell).await,
                        ToDo::Sweep => match router.walk().await {
                            Ok(walked) => {
                                for arc in walked.arcs {
                                    if router.sweep(&arc).await.is_ok_and(|swept| swept > 0) {
                                        w.count("dead records were swept");
                                    }
                                }
                                Ok(())
                            }
                            Err(_) => Ok(()),
                        },
                        ToDo::Repair => router.repair(&mut tell).await,
                    };
                    w.count(if end.is_ok() {
                        "a ring change ended"
                    } else {
                        "a ring change gave up"
                    });
                });
                if world.chance(300) {
                    sleep(Duration::from_millis(world.below(1_500))).await;
                    if !changing.is_finished() {
                        switch.set(true);
                        changing.abort();
                        world.count("a router died while it changed the ring");
                    }
                } else {
                    let _ = changing.await;
                }
                sleep(Duration::from_millis(world.below(seeds.scenario.rest_ms.1))).await;
            }
        })
    }

    /// Somebody who keeps the ring, unasked.
    pub(super) fn keeper(&self) -> JoinHandle<()> {
        let router = self.router(Patience { operation_ms: 3_000, step_ms: 5_000 }).0;
        let world = Rc::clone(&self.world);
        let settings = sdht::keeper::Settings {
            dead_after: Duration::from_secs(2),
            ..sdht::keeper::Settings::default()
        };
        spawn_local(Keeper::new(router, settings, move |deed| world.count(done(deed))).run())
    }

    /// One host after another has an accident, and is well again after a while.
    pub(super) fn accidents(&self) -> JoinHandle<()> {
        let (world, scenario) = (Rc::clone(&self.world), self.scenario);
        spawn_local(async move {
            for _ in 0..scenario.accidents {
                let a_while = || sleep(Duration::from_millis(world.below(scenario.down_ms)));
                a_while().await;
                let host = world.below(world.hosts() as u64) as usize;
                match scenario.mishaps[world.below(4) as usize] {
                    Mishap::Crash => {
                        world.crash(host);
                        a_while().await;
                        world.start(host);
                    }
                    Mishap::Pause => world.pause(host, world.below(2 * scenario.down_ms)),
                    Mishap::Full => {
                        world.set_room(host, minor_storage::store::Room::Low);
                        a_while().await;
                        world.set_room(host, minor_storage::store::Room::Enough);
                    }
                }
            }
        })
    }

    /// At the end everything can be read.
    pub(super) async fn read_once(&self, router: &SimulatedRouter, n: u64) -> Result<(), String> {
        let called = self.world.elapsed_us();
        match operate(router, &self.world, &key(n), Kind::Get).await {
            Some(outcome) => {
                let event = Event { process: u64::MAX, kind: Kind::Get, called, outcome };
                self.histories.borrow_mut()[n as usize].push(event);
                Ok(())
            }
            None => Err(format!("I7: key '{}' cannot be read when all is calm", key(n))),
        }
    }
}

/// Keys that stay, in runs with a lister.
const STAYING: u64 = 4;

fn staying(n: u64) -> Key {
    Key::new(format!("stays {n}")).expect("it is short")
}

/// How many decrees were agreed so far.
fn ring_changes(world: &World) -> u64 {
    let counted = world.counted();
    counted.iter().filter(|(what, _)| what.starts_with("agreed: ")).map(|(_, n)| n).sum()
}

fn agreed(decree: &minor_protocol::Decree) -> &'static str {
    use minor_protocol::Decree;
    match decree {
        Decree::Grow { .. } => "agreed: grow",
        Decree::Shrink { .. } => "agreed: shrink",
        Decree::Filled => "agreed: filled",
        Decree::Split { .. } => "agreed: split",
        Decree::Seal { .. } => "agreed: seal",
        Decree::Absorb { .. } => "agreed: absorb",
        Decree::Reopen => "agreed: reopen",
        Decree::Copies { .. } => "agreed: copies",
        Decree::Lead { .. } => "agreed: lead",
        Decree::Readdress { .. } => "agreed: readdress",
    }
}

/// What a keeper did, for counting.
pub(in crate::simulation) fn done(deed: &Kept) -> &'static str {
    match deed {
        Kept::Done { kind: Duty::Evict, .. } => "a keeper evicted",
        Kept::Done { kind: Duty::Finish, .. } => "a keeper finished what another began",
        Kept::Done { kind: Duty::Level, .. } => "a keeper levelled",
        Kept::Done { kind: Duty::Sweep, .. } => "a keeper swept",
        Kept::Done { .. } => "a keeper did something else",
        Kept::Begun { .. } => "a keeper began something",
        Kept::SetAside { .. } => "a keeper left something for another thing",
        Kept::Failed { .. } => "a keeper gave up for now",
        Kept::Noticed(_) => "a keeper noticed something",
    }
}

pub(in crate::simulation) fn key(n: u64) -> Key {
    Key::new(format!("key {n}")).expect("it is short")
}

/// Asks one thing; none if it was refused and surely not done.
pub(in crate::simulation) async fn operate<T: sdht::transport::Transport>(
    router: &Router<T>,
    world: &World,
    key: &Key,
    kind: Kind,
) -> Option<Outcome> {
    let set = |value: u64| Wish::Set {
        content_type: String::new(),
        expires_ms: None,
        value: value.to_be_bytes().to_vec(),
    };
    let answered = |answer| Some(Outcome::Answered { at: world.elapsed_us(), answer });
    let operation = match kind {
        Kind::Get => {
            let state = router.get(key).await.ok()?;
            return answered(Answer::Seen(state.map_or(Seen::Absent, seen)));
        }
        Kind::Set { expect, value } => Operation { expect, wish: set(value) },
        Kind::Delete { expect } => Operation { expect, wish: Wish::Delete },
    };
    match router.change(key, operation).await {
        Ok(Changed::Done(done)) => answered(Answer::Done(done.stamp)),
        Ok(Changed::Kept) => answered(Answer::Kept),
        Ok(Changed::NotMet(stamp)) => {
            let seen = stamp.map_or(Seen::Absent, |stamp| Seen::Value { stamp, value: None });
            answered(Answer::NotMet(Some(seen)))
        }
        Err(NotChanged::Unknown { .. }) => Some(Outcome::Unknown { id: None }),
        Err(_) => None,
    }
}

fn seen(state: State) -> Seen {
    let stamp = state.header.stamp().expect("what was set has a stamp");
    let value = state.value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    Seen::Value { stamp, value }
}
