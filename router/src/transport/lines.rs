//! One line per storage: what is said while an ask is under way gathers, and goes out as one.
//!
//! Alone, a request leaves at once. Under load, batches grow by themselves to as much as fits, and a storage makes a whole
//! batch durable with one flush: that is all the pipelining there is.

use super::{
    Silence, Transport,
    inbox::{Inbox, Tell},
    silences::Silences,
};
use futures_util::future::{Either, select};
use minor_protocol::{
    Answer, Answers, Ask, Member, Refusal, Request, RingId, StorageId, limits, message::Proposed,
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    pin::pin,
    rc::Rc,
};
use tokio::time::{Duration, Instant, sleep_until, timeout};

/// An answer of yes or no, or none.
pub type Heard = Result<Answer, Silence>;

/// Asks under way to one storage at a time: one that is worked on, one on its way.
const UNDER_WAY: usize = 2;
/// Requests one line holds before it refuses more: so that a storage that hangs does not take the memory of its router.
const WAITING: usize = 20_000;
/// Bytes of them.
const WAITING_BYTES: usize = 64 << 20;

/// How long a storage that was slow or silent is not among the first to be asked.
const DOUBT: Duration = Duration::from_secs(1);

/// What is known of how a storage answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// How long an ask lately took, in the mean.
    pub us: u64,
    /// It was slow or silent a moment ago.
    pub is_doubted: bool,
}

/// The lines to all storages.
pub struct Lines<T> {
    transport: T,
    ring: RefCell<Option<RingId>>,
    lines: RefCell<BTreeMap<StorageId, Line>>,
    /// Whether any storage has answered as one of the ring.
    answered: Cell<bool>,
    silences: RefCell<Silences>,
}

#[derive(Default)]
struct Line {
    address: String,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    under_way: usize,
    /// The most starts heard of.
    starts: u64,
    /// How long an ask lately took, in the mean.
    us: u64,
    doubted_until: Option<Instant>,
    /// When anything came from it the last time.
    heard_at: Option<Instant>,
}

struct Waiting {
    request: Request,
    bytes: usize,
    tell: Tell,
}

impl<T: Transport> Lines<T> {
    /// Lines over this transport, on which nobody is waited for longer than this while nothing comes from him.
    pub fn new(transport: T, patience: Duration) -> Rc<Self> {
        Rc::new(Self {
            transport,
            ring: RefCell::default(),
            lines: RefCell::default(),
            answered: Cell::default(),
            silences: RefCell::new(Silences::within(patience)),
        })
    }

    /// The transport.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The ring that every ask names.
    pub fn ring(&self) -> Option<RingId> {
        *self.ring.borrow()
    }

    /// From now on every ask names this ring.
    pub fn set_ring(&self, ring: RingId) {
        *self.ring.borrow_mut() = Some(ring);
    }

    /// Whether nobody has answered as a storage of the ring yet: it may be no more than a memory.
    pub fn nobody_answered(&self) -> bool {
        !self.answered.get()
    }

    /// A storage of the ring has answered.
    pub fn heard_from_the_ring(&self) {
        self.answered.set(true);
    }

    /// Says one thing to a storage, and waits for the answer as long as anything comes from it. Dropping the future does not
    /// take it back.
    pub fn say(
        self: &Rc<Self>,
        to: &Member,
        request: Request,
    ) -> impl Future<Output = Heard> + use<T> {
        let (inbox, asked) = (Inbox::default(), Instant::now());
        self.say_into(&inbox, 0, to, request);
        let (lines, to) = (Rc::clone(self), to.storage);
        async move {
            match select(pin!(inbox.only()), pin!(lines.until_given_up(to, asked))).await {
                Either::Left((heard, _)) => heard,
                Either::Right((silence, _)) => Err(silence),
            }
        }
    }

    /// Ends when nothing has come from a storage for as long as anybody waits for it, counted from `asked` at the earliest.
    pub async fn until_given_up(&self, storage: StorageId, asked: Instant) -> Silence {
        loop {
            let (address, heard_at) = match self.lines.borrow().get(&storage) {
                Some(line) => (line.address.clone(), line.heard_at),
                None => (String::new(), None),
            };
            let now = Instant::now();
            let wait = self.silences.borrow().wait(&address, now);
            let due = heard_at.map_or(asked, |heard_at| heard_at.max(asked)) + wait;
            if now >= due {
                self.silences.borrow_mut().heard_nothing(&address, wait, now);
                self.doubt(storage);
                return too_late(wait);
            }
            sleep_until(due).await;
        }
    }

    /// Who has been waited for so long that somebody may want to know.
    pub fn waited_for(&self) -> BTreeMap<String, Duration> {
        self.silences.borrow().waited_for(Instant::now())
    }

    /// Whom it has asked something, and waits for.
    pub fn asked(&self) -> Vec<String> {
        self.silences.borrow().asked()
    }

    /// Says one thing to a storage; its answer comes into this inbox, under this number.
    pub fn say_into(self: &Rc<Self>, inbox: &Inbox, number: usize, to: &Member, request: Request) {
        let tell = inbox.expect(number);
        let bytes = weight(&request);
        let start = {
            let mut lines = self.lines.borrow_mut();
            let line = lines.entry(to.storage).or_default();
            if line.waiting.len() >= WAITING || line.waiting_bytes + bytes > WAITING_BYTES {
                return tell.tell(Err(Silence::Unreachable("too much waits for it".into())));
            }
            line.address.clone_from(&to.address);
            line.waiting_bytes += bytes;
            line.waiting.push_back(Waiting { request, bytes, tell });
            let start = line.under_way < UNDER_WAY;
            line.under_way += usize::from(start);
            start
        };
        if start {
            tokio::task::spawn_local(Rc::clone(self).pump(to.storage));
        }
    }

    /// What is known of how these answer, for whom to ask first and how long to wait before others are asked as well.
    pub fn pace(&self, of: impl Iterator<Item = StorageId>) -> Vec<Pace> {
        let (lines, now) = (self.lines.borrow(), Instant::now());
        let pace = |line: &Line| Pace {
            us: line.us,
            is_doubted: line.doubted_until.is_some_and(|until| now < until),
        };
        of.map(|storage| lines.get(&storage).map_or_else(Pace::default, pace)).collect()
    }

    /// A storage was slower than could be expected, or silent: for a while, others are asked first.
    pub fn doubt(&self, storage: StorageId) {
        if let Some(line) = self.lines.borrow_mut().get_mut(&storage) {
            line.doubted_until = Some(Instant::now() + DOUBT);
        }
    }

    /// Asks whoever is at an address something by itself, without a line: before it is known who that is.
    pub async fn ask_stranger(&self, address: &str, ask: Ask) -> Result<Answers, Silence> {
        let wait = self.silences.borrow().wait(address, Instant::now());
        match timeout(wait, self.ask(address, ask)).await {
            Ok(heard) => heard,
            Err(_) => {
                self.silences.borrow_mut().heard_nothing(address, wait, Instant::now());
                Err(too_late(wait))
            }
        }
    }

    /// Asks, and has it known who is waited for.
    async fn ask(&self, address: &str, ask: Ask) -> Result<Answers, Silence> {
        let number = self.silences.borrow_mut().asks(address, Instant::now());
        let mut under_way = UnderWay { silences: &self.silences, number, was_answered: false };
        let heard = self.transport.ask(address, ask).await;
        under_way.was_answered = heard.is_ok();
        if let Err(Silence::TooLate(_)) = &heard {
            // The way there has waited as long as it ever does.
            self.silences.borrow_mut().heard_nothing(address, Duration::MAX, Instant::now());
        }
        heard
    }

    /// How often a storage was started, as far as was heard.
    pub fn starts(&self, storage: StorageId) -> u64 {
        self.lines.borrow().get(&storage).map_or(0, |line| line.starts)
    }

    /// Heard from a storage, or of it, that it was started this often.
    pub fn heard_starts(&self, storage: StorageId, starts: u64) {
        let mut lines = self.lines.borrow_mut();
        let line = lines.entry(storage).or_default();
        line.starts = line.starts.max(starts);
    }

    /// Sends what waits until nothing does.
    async fn pump(self: Rc<Self>, storage: StorageId) {
        // One turn of the loop that runs all tasks: whatever is said in this turn goes out together.
        tokio::task::yield_now().await;
        loop {
            let Some((address, ask, tells)) = self.gather(storage) else { return };
            let (count, begun) = (ask.requests.len(), Instant::now());
            let heard = self.ask(&address, ask).await;
            let heard = match heard {
                Ok(answers) if answers.answers.len() != count => Err(Silence::Garbled(format!(
                    "{} answers to {count} requests",
                    answers.answers.len()
                ))),
                other => other,
            };
            match heard {
                Ok(answers) => {
                    let is_stranger = |a: &Answer| matches!(a, Err(Refusal::Stranger { .. }));
                    if !answers.answers.iter().all(is_stranger) {
                        self.heard_from_the_ring();
                    }
                    if answers.storage == storage {
                        self.heard_starts(storage, answers.starts);
                    }
                    self.took(storage, begun.elapsed());
                    tells.into_iter().zip(answers.answers).for_each(|(tell, a)| tell.tell(Ok(a)));
                }
                Err(silence) => {
                    self.doubt(storage);
                    tells.into_iter().for_each(|tell| tell.tell(Err(silence.clone())));
                }
            }
        }
    }

    /// A storage answered an ask in this time.
    fn took(&self, storage: StorageId, took: Duration) {
        if let Some(line) = self.lines.borrow_mut().get_mut(&storage) {
            let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            line.us = (7 * line.us + took) / 8;
            line.heard_at = Some(Instant::now());
        }
    }

    fn gather(&self, storage: StorageId) -> Option<(String, Ask, Vec<Tell>)> {
        let mut lines = self.lines.borrow_mut();
        let line = lines.get_mut(&storage)?;
        let (mut requests, mut tells, mut bytes, mut long) = (vec![], vec![], 0, 0);
        while let Some(next) = line.waiting.front() {
            long += usize::from(next.request.is_long());
            let fits = requests.len() < limits::ASK_REQUESTS
                && bytes + next.bytes <= limits::ASK_BYTES
                && long <= limits::ASK_LONG;
            if !fits && !requests.is_empty() {
                break;
            }
            let Waiting { request, bytes: more, tell } = line.waiting.pop_front()?;
            line.waiting_bytes -= more;
            bytes += more;
            requests.push(request);
            tells.push(tell);
        }
        if requests.is_empty() {
            line.under_way -= 1;
            return None;
        }
        let ask = Ask {
            storage: Some(storage),
            ring: *self.ring.borrow(),
            starts: line.starts,
            requests,
        };
        Some((line.address.clone(), ask, tells))
    }
}

/// An ask on its way: however it ends, nobody is waited for after it.
struct UnderWay<'a> {
    silences: &'a RefCell<Silences>,
    number: u64,
    was_answered: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.silences.borrow_mut().ended(self.number, self.was_answered);
    }
}

fn too_late(waited: Duration) -> Silence {
    Silence::TooLate(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX))
}

/// About how many bytes a request takes on the wire.
fn weight(request: &Request) -> usize {
    match request {
        Request::Accept { key, state: Proposed::State(state), .. } => {
            200 + key.as_str().len() + state.value.len()
        }
        Request::Copy { key, record, .. } => 200 + key.as_str().len() + record.state.value.len(),
        Request::Fill { records, .. } => records.iter().map(|held| 100 + held.bytes()).sum(),
        Request::Change { key, operation, .. } => {
            let value = match &operation.wish {
                minor_protocol::Wish::Set { value, .. } => value.len(),
                _ => 0,
            };
            200 + key.as_str().len() + value
        }
        Request::Prepare { key, .. } | Request::Accept { key, .. } | Request::Read { key, .. } => {
            80 + key.as_str().len()
        }
        Request::Drop { dead, .. } => dead.iter().map(|d| 60 + d.key.as_str().len()).sum(),
        Request::Learn { arcs } => arcs.len() * 1_000,
        _ => 2_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture};
    use minor_protocol::{Ballot, Key, State};

    /// Storages that take what they are told, and never answer.
    struct Hanging;

    impl Transport for Hanging {
        fn ask(&self, _: &str, _: Ask) -> LocalBoxFuture<'static, Result<Answers, Silence>> {
            std::future::pending().boxed_local()
        }

        fn now_ms(&self) -> u64 {
            0
        }

        fn chance(&self, _: u64) -> u64 {
            0
        }
    }

    /// How many requests with values of so many bytes one who hangs is told before the next is refused.
    async fn taken(bytes: usize) -> usize {
        let lines = Lines::new(Hanging, Duration::from_secs(10));
        let to =
            Member { storage: StorageId(1), address: "127.0.0.1:1".into(), zone: String::new() };
        let (mut inbox, key) = (Inbox::default(), Key::new("k").unwrap());
        for taken in 0.. {
            let state = Proposed::State(State { value: vec![0; bytes], ..State::default() });
            let accept = Request::Accept { key: key.clone(), ballot: Ballot::ZERO, state };
            lines.say_into(&inbox, taken, &to, accept);
            if let Some(Some((refused, heard))) = inbox.next().now_or_never() {
                assert_eq!((refused, heard.is_err()), (taken, true));
                return taken;
            }
        }
        unreachable!("it is counted until one is refused")
    }

    #[test]
    fn what_waits_for_one_who_hangs_takes_no_more_than_its_share_of_memory() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            assert_eq!(taken(10).await, WAITING);
            let large = taken(limits::VALUE_BYTES).await;
            assert!((900..=1_024).contains(&large), "{large} values of the largest size");
        });
    }
}
