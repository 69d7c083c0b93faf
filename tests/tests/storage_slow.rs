//! A thousand who take their time do not slow down the one who does not, and are served as well.
//!
//! Half of them are slow to say what they want, the other half are slow to hand over what they want kept. All of them drip
//! while another one asks as fast as it can. The slow ones must get on without a pause, for a storage waits 5 s for a head.

use sdht_tests::{
    http::{Call, Connection, Wanted},
    process::{Process, fresh, open_many_files},
    skip,
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const SLOW: usize = 1_000;
const CALLS: usize = 2_000;
/// Below this, a slower one in a hundred is the machine's own noise.
const NOISE: Duration = Duration::from_millis(10);
/// How long is measured at most.
const LIMIT: Duration = Duration::from_secs(20);
const BODY: usize = 64;

/// A request on its way: what was not yet sent of it.
struct Dripping {
    connection: Connection,
    rest: Vec<u8>,
}

#[test]
fn a_thousand_slow_connections_leave_others_served() {
    let files = open_many_files();
    if files < 2 * SLOW as u64 {
        return skip(&format!("only {files} open files are allowed here"));
    }
    let (_dir, storage) = fresh();
    storage.call(&Call::put("/v1/kv/k", vec![b'v'; 100]));
    let mut quick = storage.connect();
    p99(&mut quick);
    let alone = p99(&mut quick);

    let begin = Instant::now();
    let mut slow: Vec<_> = (0..SLOW).map(|n| begin_slowly(&storage, n)).collect();
    let measured = AtomicBool::new(false);
    let among_slow = thread::scope(|scope| {
        scope.spawn(|| {
            while !measured.load(Ordering::Relaxed) {
                slow.iter_mut().for_each(drip);
                thread::sleep(Duration::from_millis(100));
            }
        });
        let among_slow = p99(&mut quick);
        measured.store(true, Ordering::Relaxed);
        among_slow
    });
    let lasted = begin.elapsed();
    for Dripping { connection, rest } in &mut slow {
        // Whoever took more than the 5 s was told so, and cannot send the rest.
        let _ = connection.send(rest);
    }
    let mut in_time = 0;
    for Dripping { connection, .. } in &mut slow {
        match connection.receive(Wanted::Body).expect("a slow one is answered too").status {
            200 | 201 => in_time += 1,
            408 if lasted > Duration::from_secs(4) => {}
            status => panic!("a slow one is answered {status}"),
        }
    }
    println!(
        "slow: {SLOW} connections for {lasted:?}, {in_time} served in time; others' p99 {among_slow:?}, alone {alone:?}"
    );
    assert!(
        among_slow <= (2 * alone).max(NOISE),
        "one in a hundred waits {among_slow:?} among slow ones, and {alone:?} without"
    );
}

fn begin_slowly(storage: &Process, n: usize) -> Dripping {
    let call = if n.is_multiple_of(2) {
        Call::get("/v1/kv/k").with("x-slow", &"x".repeat(BODY))
    } else {
        Call::put(&format!("/v1/kv/slow/{n}"), vec![b's'; BODY])
    };
    let mut connection = storage.connect();
    let mut bytes = call.bytes(&storage.address().to_string());
    let rest = bytes.split_off(bytes.len() - BODY);
    connection.send(&bytes).unwrap();
    Dripping { connection, rest }
}

/// Sends one byte more, but never the last.
fn drip(slow: &mut Dripping) {
    if slow.rest.len() > 8 {
        let _ = slow.connection.send(&[slow.rest.remove(0)]);
    }
}

/// What one call in a hundred exceeds.
fn p99(connection: &mut Connection) -> Duration {
    let end = Instant::now() + LIMIT;
    let mut times: Vec<_> = (0..CALLS)
        .take_while(|_| Instant::now() < end)
        .map(|_| {
            let begin = Instant::now();
            assert_eq!(connection.call(&Call::get("/v1/kv/k")).unwrap().status, 200);
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() * 99 / 100]
}
