//! Whatever comes in, a storage answers no 500, does not panic, does not grow, and serves the next one.
//!
//! Requests that no one should send are drawn from a seed: torn and twisted HTTP on connections of their own, torn and
//! twisted CBOR to `/v1/ask`. The n-th is the same in every run, so a number is all that is needed to see it again.

mod malformed;

use minor_protocol::{Answers, Ask, Refusal, Request, StorageId, wire};
use sdht_tests::{
    chance::Chance,
    http::{Call, Connection},
    number,
    process::{Process, fresh},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

const THREADS: usize = 4;
/// How long we listen to a storage that may be waiting for the rest.
const HEAR: Duration = Duration::from_millis(100);
/// How much memory may grow after the first fifth.
const GROWTH_BYTES: u64 = 64 << 20;

#[test]
fn nothing_malformed_makes_it_panic_fail_or_grow() {
    let count = number("MALFORMED", 10_000);
    let seed = number("SEED", 1);
    let (_dir, storage) = fresh();
    let id = hello(&storage);
    let send_all = |from: u64, to: u64| {
        let next = AtomicU64::new(from);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut to_ask = storage.connect();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= to {
                            break;
                        }
                        send(&storage, &mut to_ask, Chance::new(seed << 40 | n), n, id);
                    }
                });
            }
        });
        assert_eq!(hello(&storage), id, "it still answers");
        assert_eq!(storage.call(&Call::get("/livez")).status, 200);
    };
    send_all(0, count / 5);
    let before = storage.resident_bytes();
    send_all(count / 5, count);
    let after = storage.resident_bytes();
    let said = storage.said();
    assert!(!said.contains("panicked"), "{said}");
    assert!(
        after <= before + GROWTH_BYTES,
        "memory grew from {} to {} MiB",
        before >> 20,
        after >> 20
    );
    println!(
        "malformed: {count} requests, no panic, no 500, memory {} MiB, then {} MiB",
        before >> 20,
        after >> 20
    );
}

/// The `n`-th malformed request: every fourth is CBOR.
fn send(storage: &Process, to_ask: &mut Connection, mut seed: Chance, n: u64, id: StorageId) {
    if n % 4 == 3 {
        let body = malformed::ask(&mut seed, id);
        send_ask(storage, to_ask, &body, n);
    } else {
        send_http(storage, &malformed::http(&mut seed, storage.address().port()), n);
    }
}

fn send_ask(storage: &Process, connection: &mut Connection, body: &[u8], n: u64) {
    let call = Call::post("/v1/ask", body).with("content-type", wire::MEDIA_TYPE);
    let reply = connection.call(&call).unwrap_or_else(|_| {
        // It may close a connection on which it refused something. Nothing more than that.
        *connection = storage.connect();
        connection.call(&call).unwrap_or_else(|error| panic!("request {n}: {error}"))
    });
    assert_ne!(reply.status, 500, "request {n}: {} to {body:x?}", reply.text());
    if reply.status == 200 {
        let answers: Answers = wire::decode(&reply.body).expect("answers have their form");
        for answer in answers.answers {
            assert!(!matches!(answer, Err(Refusal::Failed(_))), "request {n}: {answer:?}");
        }
    }
    if reply.header("connection") == Some("close") {
        *connection = storage.connect();
    }
}

fn send_http(storage: &Process, bytes: &[u8], n: u64) {
    let mut stream = TcpStream::connect(storage.address())
        .unwrap_or_else(|error| panic!("request {n} finds nobody: {error}\n{}", storage.said()));
    stream.set_read_timeout(Some(HEAR)).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    // It may refuse and close before it has read all.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut heard = vec![];
    let mut part = [0; 16 << 10];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let failed = heard.windows(12).any(|bytes| bytes == b"HTTP/1.1 500");
    assert!(
        !failed,
        "request {n}: {:?}\nanswer: {:?}",
        String::from_utf8_lossy(bytes),
        String::from_utf8_lossy(&heard)
    );
}

fn hello(storage: &Process) -> StorageId {
    let ask = Ask { storage: None, ring: None, starts: 0, requests: vec![Request::Hello] };
    storage.connect().ask(&ask).unwrap().expect("a hello is answered").storage
}
