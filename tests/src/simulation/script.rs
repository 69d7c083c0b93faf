//! A short story in which the author, not chance, says which message comes and which does not.
//!
//! The storages and the routers are the real ones. Between them stands a [`Post`] that asks, for every message, what is to
//! become of it; and the ring is changed one [step](sdht::plan::Step) at a time. At the end the history of the one key is judged
//! as in every other run.

use super::{
    scenario::actors::operate,
    world::{SimulatedTransport, World},
};
use crate::history::{Event, History, Kind, Outcome, wgl};
use futures_util::{FutureExt, future::LocalBoxFuture};
use minor_protocol::{
    Answers, Ask, Decree, Expect, Key, Member, Request, RingArc, RingId, message::PlainRecords,
};
use sdht::{
    NotMoved,
    moves::Taken,
    plan::{First, Step},
    router::{Patience, Router},
    transport::{Silence, Transport},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use tokio::{sync::Notify, task::LocalSet, time::Duration};

/// The ring of every story.
const RING: RingId = RingId(7);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It comes, and its answer too.
    Comes,
    /// It never comes.
    Lost,
    /// It comes when the post is released.
    ComesLater,
    /// It comes, and its answer when the post is released.
    AnswerComesLater,
    /// It comes, and its answer never does.
    AnswerLost,
}

type Judge = Box<dyn Fn(usize, &Request) -> Fate>;

/// A router's way to the storages, with somebody standing in it.
#[derive(Clone)]
pub struct Post {
    carrier: SimulatedTransport,
    world: Rc<World>,
    judge: Rc<RefCell<Judge>>,
    released: Rc<Notify>,
}

impl Post {
    /// From now on this becomes of every message to a host.
    pub fn judged(&self, judge: impl Fn(usize, &Request) -> Fate + 'static) {
        *self.judge.borrow_mut() = Box::new(judge);
    }

    /// From now on nothing comes to these hosts.
    pub fn without(&self, hosts: &'static [usize]) {
        self.judged(move |host, _| if hosts.contains(&host) { Fate::Lost } else { Fate::Comes });
    }

    /// From now on the clock of the router is so much ahead of the others'.
    pub fn set_ahead(&self, ms: u64) {
        self.carrier.set_ahead(ms);
    }

    /// Whatever waits comes now.
    pub fn released(&self) {
        self.released.notify_waiters();
    }

    /// Whatever waits comes now, and everything else as well.
    pub fn release(&self) {
        self.without(&[]);
        self.released();
    }
}

impl Transport for Post {
    fn ask(&self, address: &str, ask: Ask) -> LocalBoxFuture<'static, Result<Answers, Silence>> {
        let post = self.clone();
        let address = address.to_owned();
        let host = (0..post.world.hosts()).find(|host| post.world.address(*host) == address);
        async move {
            let Some(host) = host else { return Err(Silence::Unreachable(address)) };
            let fates = ask.requests.iter().map(|request| post.judge.borrow()(host, request));
            // All are judged, in their order; the last word counts.
            let fate =
                fates.fold(Fate::Comes, |fate, next| if next == Fate::Comes { fate } else { next });
            match fate {
                Fate::Lost => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    return Err(Silence::TooLate(50));
                }
                Fate::ComesLater => post.released.notified().await,
                Fate::Comes | Fate::AnswerComesLater | Fate::AnswerLost => {}
            }
            let answers = post.carrier.ask(&address, ask).await;
            match fate {
                Fate::AnswerLost => Err(Silence::TooLate(50)),
                Fate::AnswerComesLater => {
                    post.released.notified().await;
                    answers
                }
                _ => answers,
            }
        }
        .boxed_local()
    }

    fn now_ms(&self) -> u64 {
        self.carrier.now_ms()
    }

    fn chance(&self, below: u64) -> u64 {
        self.carrier.chance(below)
    }
}

/// A router of the story, and the post it uses.
#[derive(Clone)]
pub struct Teller {
    /// The router.
    pub router: Router<Post>,
    /// Its post.
    pub post: Post,
    process: u64,
}

/// A story on its way.
pub struct Script {
    /// The storages.
    pub world: Rc<World>,
    /// The one key it is about.
    pub key: Key,
    history: Rc<RefCell<History>>,
    tellers: Cell<u64>,
}

impl Script {
    /// A world of this many storages, none of them in a ring, and one key.
    fn of(storages: usize) -> Rc<Self> {
        let key = Key::new("the key").expect("it is short");
        Rc::new(Self {
            world: World::new(7, storages),
            history: Rc::new(RefCell::new(History::new(key.as_str()))),
            key,
            tellers: Cell::new(0),
        })
    }

    /// Somebody with a router of his own, whose clock is so much ahead of the others'.
    pub fn teller(&self, ahead_ms: u64) -> Teller {
        let post = Post {
            carrier: self.world.transport(ahead_ms),
            world: Rc::clone(&self.world),
            judge: Rc::new(RefCell::new(Box::new(|_, _| Fate::Comes))),
            released: Rc::default(),
        };
        let patience = Patience { operation_ms: 5_000, step_ms: 5_000 };
        let process = self.tellers.get();
        self.tellers.set(process + 1);
        let router = Router::new(post.clone(), vec![self.world.address(0)], patience);
        Teller { router, post, process }
    }

    /// A ring of the first so many storages, each of which keeps everything.
    pub async fn ring(&self, storages: usize) -> Result<Teller, String> {
        let founder = self.founded(storages as u8).await?;
        for host in 1..storages {
            self.join(&founder, host).await?;
        }
        Ok(founder)
    }

    /// A ring of the first storage alone.
    pub async fn founded(&self, copies: u8) -> Result<Teller, String> {
        let founder = self.teller(0);
        let address = self.world.address(0);
        let end = founder.router.found(&address, RING, copies).await;
        end.map_err(|why| format!("founding: {why}"))?;
        Ok(founder)
    }

    /// A storage joins.
    pub async fn join(&self, teller: &Teller, host: usize) -> Result<(), String> {
        let address = self.world.address(host);
        let end = teller.router.join(&address, None, PlainRecords::Refuse, &mut |_| {}).await;
        end.map_err(|why| format!("joining storage {host}: {why}"))
    }

    /// A storage joins by a router that is new, which may have to wait too long for others.
    pub async fn join_once(&self, host: usize) -> Result<(), NotMoved> {
        let (router, address) = (self.teller(0).router, self.world.address(host));
        router.join(&address, None, PlainRecords::Refuse, &mut |_| {}).await
    }

    /// A storage comes into the ring, and keeps nothing of it yet.
    pub async fn enter(&self, host: usize) -> Result<(), String> {
        self.tell(host, Request::Enter { ring: RING, plain: PlainRecords::Refuse }).await
    }

    /// A message that somebody sent once comes to a storage.
    pub async fn tell(&self, host: usize, request: Request) -> Result<(), String> {
        let storage = self.world.storage(host).ok_or("it is down")?;
        let me = storage.me().storage;
        let ask = Ask { storage: Some(me), ring: Some(RING), starts: 0, requests: vec![request] };
        let answers = storage.answer(ask, self.world.now_ms()).await.answers;
        answers.into_iter().try_for_each(|answer| answer.map(drop).map_err(|why| why.to_string()))
    }

    /// The arc that holds the key, as a router remembers it.
    pub fn arc(&self, teller: &Teller) -> Result<RingArc, String> {
        let arcs = teller.router.arcs();
        let holds = |arc: &RingArc| arc.span.holds(self.key.position());
        arcs.into_iter().find(holds).ok_or_else(|| "no arc holds the key".into())
    }

    /// Who a host is in an arc.
    pub fn member(&self, host: usize) -> Member {
        self.world.storage(host).expect("it is up").me().clone()
    }

    /// The next step of the arc that holds the key.
    pub async fn step(&self, teller: &Teller, first: First, decree: Decree) -> Result<(), String> {
        let arc = self.arc(teller)?;
        let step = Step { arc, first, decree };
        let mut end = Taken::Decided;
        for _ in 0..5 {
            end = teller.router.take(&step, &mut |_| {}).await;
            if let Taken::Decided = end {
                return Ok(());
            }
            self.world.tend();
        }
        match end {
            Taken::Decided => Ok(()),
            Taken::NotYet(why) => Err(format!("{:?}: {why}", step.decree)),
        }
    }

    /// Somebody asks something of the key; what comes of it goes into the history.
    pub async fn ask(&self, teller: &Teller, kind: Kind) -> Option<Outcome> {
        // A moment that ends one operation and begins another orders nothing.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let called = self.world.elapsed_us();
        let outcome = operate(&teller.router, &self.world, &self.key, kind).await;
        if let Some(outcome) = outcome {
            let event = Event { process: teller.process, kind, called, outcome };
            self.history.borrow_mut().push(event);
        }
        outcome
    }

    /// Everything under way comes to its end.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.world.tend();
    }

    /// Whether one plain register could have answered so.
    pub fn judge(&self) -> Result<(), String> {
        wgl(&self.history.borrow()).map_err(|why| why.to_string())
    }
}

/// Sets the key, if it is absent.
pub fn set_absent(value: u64) -> Kind {
    Kind::Set { expect: Expect::Absent, value }
}

/// Sets the key, whatever is there.
pub fn set(value: u64) -> Kind {
    Kind::Set { expect: Expect::Anything, value }
}

/// Plays a story in a world of this many storages.
pub fn play<F: Future<Output = Result<(), String>>>(
    storages: usize,
    story: impl FnOnce(Rc<Script>) -> F,
) -> Result<(), String> {
    let runtime = super::paused_time().map_err(|why| format!("no runtime: {why}"))?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async move {
        let script = Script::of(storages);
        story(Rc::clone(&script)).await?;
        script.judge()
    }))
}
