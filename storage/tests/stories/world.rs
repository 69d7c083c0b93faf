//! One storage on a simulated disk, and short words for talking to it.

use minor_protocol::{
    Answer, Ask, Ballot, Expect, Key, Member, Moment, Operation, Position, Refusal, Reply, Request,
    RingArc, RingId, Span, State, StorageId, Wish,
    message::{Outcome, Proposed, Show, Shown, ShownContent},
    record::{Content, Header},
};
use minor_storage::{
    storage::{Durability, Settings, Storage},
    store::memory::{Keep, MemoryStore},
};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

pub(crate) const ME: StorageId = StorageId(1);
pub(crate) const RING: RingId = RingId(77);
pub(crate) const NOW: u64 = 1_000_000;

pub(crate) struct World {
    pub(crate) disk: MemoryStore,
    pub(crate) storage: Storage,
}

pub(crate) fn open(disk: &MemoryStore) -> Storage {
    let settings = Settings {
        fresh_id: ME,
        address: "127.0.0.1:8000".into(),
        zone: String::new(),
        durability: Durability::Always,
    };
    Storage::open(Arc::new(disk.clone()), settings).expect("the disk is well")
}

impl World {
    /// Scrubs every cell of the ring once. Says how many bytes that was.
    pub(crate) fn scrub_all(&self, now_ms: u64) -> u64 {
        (0..4_096).map(|_| self.storage.scrub(now_ms).unwrap()).sum()
    }

    /// A storage in no ring.
    pub(crate) fn plain() -> Self {
        let disk = MemoryStore::new();
        let storage = open(&disk);
        Self { disk, storage }
    }

    /// A storage that keeps the whole ring with two others, as it does after it was filled: epoch 3.
    pub(crate) fn member() -> Self {
        let world = Self::plain();
        let enter =
            Request::Enter { ring: RING, plain: minor_protocol::message::PlainRecords::Refuse };
        world.yes(enter);
        let filling = RingArc { filling: Some(ME), ..arc(2, &[1, 2, 3]) };
        world.yes(Request::Learn { arcs: vec![arc(1, &[2, 3])] });
        world.yes(Request::Learn { arcs: vec![filling] });
        world.yes(Request::Learn { arcs: vec![arc(3, &[1, 2, 3])] });
        world
    }

    /// A storage that keeps the whole ring alone: epoch 1.
    pub(crate) fn founder() -> Self {
        let world = Self::plain();
        world.yes(Request::Found { ring: RING, copies: 3 });
        world
    }

    /// The storage as it comes up after a power cut.
    pub(crate) fn after_crash(&self, keep: Keep) -> Self {
        let disk = self.disk.crash(keep);
        let storage = open(&disk);
        Self { disk, storage }
    }

    /// The storage as it comes up after a stop in good order.
    pub(crate) fn after_stop(self) -> Self {
        self.storage.close().expect("the disk is well");
        let disk = self.disk.crash(Keep::Durable);
        let storage = open(&disk);
        Self { disk, storage }
    }

    pub(crate) fn ask(&self, requests: Vec<Request>) -> Ask {
        let hello = self.storage.hello_now();
        Ask { storage: Some(hello.member.storage), ring: hello.ring, starts: 0, requests }
    }

    pub(crate) fn say(&self, request: Request) -> Answer {
        let answers =
            self.storage.work(self.ask(vec![request]), NOW).wait().expect("the disk is well");
        answers.answers.into_iter().next().expect("one request, one answer")
    }

    #[track_caller]
    pub(crate) fn yes(&self, request: Request) -> Reply {
        self.say(request).expect("a reply")
    }

    #[track_caller]
    pub(crate) fn no(&self, request: Request) -> Refusal {
        self.say(request).expect_err("a refusal")
    }

    /// What the storage shows of a key in an epoch.
    #[track_caller]
    pub(crate) fn read(&self, name: &str, epoch: u64) -> Option<(Ballot, State)> {
        let Reply::Found { shown } = self.yes(read(name, epoch)) else { panic!("no reading") };
        shown.map(|shown| (shown.ballot, whole(shown)))
    }

    /// The chart's epoch for the whole ring, or none if it keeps nothing.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.storage.hello_now().kept.first().map(|kept| kept.arc.epoch)
    }

    pub(crate) fn change(&self, name: &str, operation: Operation) -> Answer {
        self.storage.change_alone(&key(name), operation, NOW).wait().expect("the disk is well")
    }

    #[track_caller]
    pub(crate) fn put(&self, name: &str, value: &str) -> Outcome {
        match self.change(name, set(Expect::Anything, value, None)) {
            Ok(Reply::Changed { outcome, .. }) => outcome,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn whole(shown: Shown) -> State {
    match shown.content {
        ShownContent::Whole(state) => state,
        ShownContent::Header(..) => panic!("the whole was asked for"),
    }
}

/// Whether a future is ready now.
pub(crate) fn is_ready(future: &mut (impl Future + Unpin)) -> bool {
    let future = pin!(future);
    matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub(crate) fn member(n: u128) -> Member {
    Member {
        storage: StorageId(n),
        address: format!("127.0.0.1:{}", 8000 + n),
        zone: String::new(),
    }
}

/// The whole ring in one arc.
pub(crate) fn arc(epoch: u64, members: &[u128]) -> RingArc {
    part(Span::WHOLE, epoch, members)
}

pub(crate) fn part(span: Span, epoch: u64, members: &[u128]) -> RingArc {
    RingArc {
        ring: RING,
        span,
        epoch,
        members: members.iter().copied().map(member).collect(),
        filling: None,
        copies: 3,
        sealed: None,
    }
}

pub(crate) fn half(lower: u64, upper: u64) -> Span {
    Span::new(Position(lower), Position(upper))
}

/// A ballot of an epoch, some milliseconds before or after now.
pub(crate) fn ballot(epoch: u64, ms: i64) -> Ballot {
    let clock = Moment::at_ms(NOW.checked_add_signed(ms).unwrap());
    Ballot { epoch, clock, router: 9, seq: 0 }
}

pub(crate) fn value(at: Ballot, text: &str) -> State {
    let content = Some(Content { content_type: "text/plain".into(), expires_ms: None });
    let header = Header { recent: vec![at], forgot: Ballot::ZERO, content };
    State { header, value: text.into() }
}

pub(crate) fn tombstone(at: Ballot) -> State {
    State { header: Header::default().with(at, None), value: vec![] }
}

pub(crate) fn prepare(name: &str, ballot: Ballot) -> Request {
    Request::Prepare { key: key(name), ballot, show: Show::Whole }
}

pub(crate) fn accept(name: &str, ballot: Ballot, state: State) -> Request {
    Request::Accept { key: key(name), ballot, state: Proposed::State(state) }
}

pub(crate) fn read(name: &str, epoch: u64) -> Request {
    Request::Read { key: key(name), epoch, show: Show::Whole }
}

pub(crate) fn set(expect: Expect, text: &str, expires_ms: Option<u64>) -> Operation {
    let wish = Wish::Set { content_type: "text/plain".into(), expires_ms, value: text.into() };
    Operation { expect, wish }
}

pub(crate) fn delete() -> Operation {
    Operation { expect: Expect::Anything, wish: Wish::Delete }
}
