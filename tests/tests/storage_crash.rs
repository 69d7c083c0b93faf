//! What a storage acknowledged survives `kill -9`, at whatever moment it comes; what it promised does too.
//!
//! Writers put numbered values on keys of their own and on keys they share, and note when each write began and when it was
//! acknowledged. After the kill and a restart a key may show a write only if no acknowledged write began after that one had
//! ended: an unacknowledged write may have happened or not, an acknowledged one has happened.

use minor_protocol::{
    Answer, Ask, Ballot, Key, Moment, Refusal, Reply, Request, RingId,
    message::{Proposed, Show},
    record::{Content, Header, State},
};
use sdht_tests::{
    chance::Chance,
    http::{Call, Connection, target},
    number,
    process::{Launch, Process, fresh},
};
use std::{
    collections::HashMap,
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const WRITERS: usize = 6;
const SHARED_KEYS: usize = 8;
/// Requests a reader sends at once.
const AT_ONCE: usize = 32;

/// One write of a key: a number, or none for a deletion.
#[derive(Clone, Debug)]
struct Write {
    value: Option<u64>,
    began: u64,
    /// `u64::MAX` as long as it is not acknowledged: it may happen at any later time.
    ended: u64,
}

/// All writes of each key since its value was last known for certain.
type Ledger = HashMap<String, Vec<Write>>;

/// Whether a key may show `found` after these writes.
fn may_show(writes: &[Write], found: Option<u64>) -> bool {
    // A key nobody wrote is absent.
    let never = Write { value: None, began: 0, ended: 0 };
    let all = || std::iter::once(&never).chain(writes);
    let last_known = all().filter(|write| write.ended != u64::MAX).map(|write| write.began).max();
    all().any(|write| write.value == found && Some(write.ended) >= last_known)
}

#[test]
fn the_check_itself_tells_a_lost_write_from_one_in_doubt() {
    let write = |value, began, ended| Write { value, began, ended };
    let acknowledged = [write(Some(1), 1, 2), write(Some(2), 3, 4)];
    assert!(may_show(&acknowledged, Some(2)));
    assert!(!may_show(&acknowledged, Some(1)) && !may_show(&acknowledged, None));
    let in_doubt = [write(Some(1), 1, 2), write(None, 3, u64::MAX)];
    assert!(may_show(&in_doubt, Some(1)) && may_show(&in_doubt, None));
    let overlapping = [write(Some(1), 1, 4), write(Some(2), 2, 3)];
    assert!(may_show(&overlapping, Some(1)) && may_show(&overlapping, Some(2)));
    assert!(!may_show(&[], Some(1)) && may_show(&[], None));
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds = number("ROUNDS", 5);
    let mut seed = Chance::new(number("SEED", 1));
    let (_dir, mut storage) = fresh();
    let clock = AtomicU64::new(1);
    let mut settled = Ledger::new();
    let (mut acknowledged, mut in_doubt, mut slowest) = (0, 0, Duration::ZERO);
    for round in 1..=rounds {
        let life = Duration::from_millis(100 + seed.bits() % 900);
        let ledger = write_until_killed(&mut storage, life, round, &clock);
        let writes = || ledger.values().flatten();
        let ended = writes().filter(|write| write.ended != u64::MAX).count();
        assert!(ended > 0, "round {round}: nothing was written in {life:?}");
        acknowledged += ended;
        in_doubt += writes().count() - ended;

        storage.restart();
        slowest = slowest.max(storage.started_in);
        for (key, writes) in ledger {
            settled.entry(key).or_default().extend(writes);
        }
        // All keys at the end, and until then those of this round, a few of the others each time.
        let mut due = settled.clone();
        if round < rounds {
            due.retain(|key, writes| writes.len() > 1 || of_round(key, round) || seed.once_in(50));
        }
        let found = read(&storage, due.keys().cloned().collect());
        for (key, found) in found {
            let writes = settled.get_mut(&key).unwrap();
            assert!(
                may_show(writes, found),
                "round {round}: {key} shows {found:?} after {writes:?}"
            );
            let now = clock.fetch_add(1, Ordering::SeqCst);
            *writes = vec![Write { value: found, began: now, ended: now }];
        }
    }
    println!(
        "kill -9: {rounds} rounds, {acknowledged} writes acknowledged, 0 lost, {in_doubt} in doubt, {} keys, \
         slowest start {slowest:?}",
        settled.len()
    );
}

fn of_round(key: &str, round: u64) -> bool {
    key.strip_prefix("own/").is_some_and(|rest| rest.starts_with(&format!("{round}/")))
}

/// Lets the writers write for a while, then kills the storage under them. What was written, and what was answered.
fn write_until_killed(
    storage: &mut Process,
    life: Duration,
    round: u64,
    clock: &AtomicU64,
) -> Ledger {
    let connections: Vec<_> = (0..WRITERS).map(|_| storage.connect()).collect();
    let killed = AtomicBool::new(false);
    let ledgers = thread::scope(|scope| {
        let writers: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(writer, connection)| {
                let seed = Chance::new(round << 8 | writer as u64);
                let killed = &killed;
                scope.spawn(move || write(connection, seed, round, writer, clock, killed))
            })
            .collect();
        thread::sleep(life);
        killed.store(true, Ordering::SeqCst);
        storage.kill9();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
    });
    let mut all = Ledger::new();
    for (key, writes) in ledgers.into_iter().flatten() {
        all.entry(key).or_default().extend(writes);
    }
    all
}

/// One writer, until its connection breaks.
fn write(
    mut connection: Connection,
    mut seed: Chance,
    round: u64,
    writer: usize,
    clock: &AtomicU64,
    killed: &AtomicBool,
) -> Ledger {
    let mut ledger = Ledger::new();
    for count in 0.. {
        let own = format!("own/{round}/{writer}/{count}");
        let shared = || format!("shared/{}", count % SHARED_KEYS);
        let (key, value) = match seed.index(8) {
            0..4 => (own, Some(seed.bits())),
            4..7 => (shared(), Some(seed.bits())),
            _ => (shared(), None),
        };
        let call = match value {
            Some(value) => Call::put(&target(&key), body(value)),
            None => Call::delete(&target(&key)),
        };
        let writes = ledger.entry(key).or_default();
        let began = clock.fetch_add(1, Ordering::SeqCst);
        writes.push(Write { value, began, ended: u64::MAX });
        match connection.call(&call) {
            Ok(reply) => {
                let fits = match value {
                    Some(_) => matches!(reply.status, 201 | 204),
                    None => matches!(reply.status, 204 | 404),
                };
                assert!(fits, "{call:?}: {reply:?}");
                let last = writes.last_mut().unwrap();
                last.ended = clock.fetch_add(1, Ordering::SeqCst);
            }
            Err(_) if killed.load(Ordering::SeqCst) => break,
            Err(error) => panic!("{call:?}: {error}"),
        }
    }
    ledger
}

/// A value of any length up to 2,000 bytes that begins with its number, and is all made of it.
fn body(value: u64) -> Vec<u8> {
    let length = 8 + (value % 2_000) as usize;
    value.to_be_bytes().into_iter().cycle().take(length).collect()
}

/// What the keys show.
fn read(storage: &Process, keys: Vec<String>) -> Vec<(String, Option<u64>)> {
    let mut connection = storage.connect();
    let mut found = vec![];
    for keys in keys.chunks(AT_ONCE) {
        let calls: Vec<_> = keys.iter().map(|key| Call::get(&target(key))).collect();
        let replies = connection.call_all(&calls).unwrap();
        for (key, reply) in keys.iter().zip(replies) {
            let value = match reply.status {
                404 => None,
                200 => {
                    let first = reply.body.first_chunk().expect("a value has its number");
                    let value = u64::from_be_bytes(*first);
                    assert_eq!(reply.body, body(value), "{key} shows what nobody wrote");
                    Some(value)
                }
                _ => panic!("{key}: {reply:?}"),
            };
            found.push((key.clone(), value));
        }
    }
    found
}

#[test]
fn what_was_promised_before_a_kill_holds_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Launch::on(&dir.path().join("data")).serve();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let ballot =
        |ms: u64| Ballot { epoch: 1, clock: Moment::at_ms(now_ms + ms), router: 7, seq: 0 };
    let key = || Key::new("k").unwrap();
    let ring = RingId(9);
    let founded = answer(&storage, None, Request::Found { ring, copies: 1 });
    assert_eq!(founded, Ok(Reply::Entered));
    let prepare = Request::Prepare { key: key(), ballot: ballot(10), show: Show::Whole };
    let promised = answer(&storage, Some(ring), prepare);
    assert!(matches!(promised, Ok(Reply::Promised { shown: None, .. })), "{promised:?}");

    storage.kill9();
    storage.restart();
    // A router that was slow: its ballot lies below the promise, and the promise was only in memory.
    let header =
        Header { recent: vec![ballot(0)], content: Some(Content::default()), ..Header::default() };
    let state = State { header, value: b"late".into() };
    let accept = |ms| Request::Accept {
        key: key(),
        ballot: ballot(ms),
        state: Proposed::State(state.clone()),
    };
    let highest = match answer(&storage, Some(ring), accept(0)) {
        Err(Refusal::Refused { highest }) => highest,
        other => panic!("the promise is forgotten: {other:?}"),
    };
    assert!(highest >= ballot(10), "the refusal names what was promised or more: {highest:?}");
    // One above what the refusal names is a try like any other.
    let above = Ballot { clock: highest.clock.next(), ..highest };
    let prepare = Request::Prepare { key: key(), ballot: above, show: Show::Whole };
    let promised = answer(&storage, Some(ring), prepare);
    assert!(matches!(promised, Ok(Reply::Promised { shown: None, .. })), "{promised:?}");
}

/// The answer to one request.
#[allow(clippy::result_large_err)] // The protocol's own type.
fn answer(storage: &Process, ring: Option<RingId>, request: Request) -> Answer {
    let mut connection = storage.connect();
    let mut ask = |storage, ring, request| -> io::Result<_> {
        let ask = Ask { storage, ring, starts: 0, requests: vec![request] };
        let mut answers = connection.ask(&ask)?.expect("an ask is answered");
        assert_eq!(answers.answers.len(), 1);
        Ok((answers.storage, answers.answers.remove(0)))
    };
    let (id, _) = ask(None, None, Request::Hello).unwrap();
    ask(Some(id), ring, request).unwrap().1
}
