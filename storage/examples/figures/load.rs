//! Closed-loop load: so many connections, each with one request under way, all on one thread.
//!
//! The request is made once and only its key's digits are changed; of a reply only status and length are read. What this
//! costs is what the storage cannot have, where both share the cores.

use actix_web::rt::{net::TcpStream, spawn, time::sleep};
use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;
/// Digits of a key's number.
const DIGITS: usize = 8;
const WARM_UP: Duration = Duration::from_millis(500);

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Get,
    Put,
}

/// The name of the key of this number.
pub(crate) fn key(number: u64) -> String {
    format!("k{number:0DIGITS$}")
}

/// What the connections share.
struct Shared {
    begun: Cell<u64>,
    done: Cell<u64>,
    /// How many may begin.
    limit: Cell<u64>,
}

/// Requests per second, over keys taken in turn.
pub(crate) async fn rate(
    address: SocketAddr,
    work: Work,
    keys: u64,
    at_once: usize,
    lasting: Duration,
) -> io::Result<f64> {
    let shared = shared(u64::MAX);
    let tasks = begin(address, work, keys, at_once, &shared);
    sleep(WARM_UP).await;
    let (begun, before) = (Instant::now(), shared.done.get());
    sleep(lasting).await;
    let rate = (shared.done.get() - before) as f64 / begun.elapsed().as_secs_f64();
    shared.limit.set(0);
    for task in tasks {
        task.await.expect("a connection's task does not panic")?;
    }
    Ok(rate)
}

/// One request for each of so many keys.
pub(crate) async fn so_many(
    address: SocketAddr,
    work: Work,
    keys: u64,
    at_once: usize,
) -> io::Result<()> {
    let shared = shared(keys);
    for task in begin(address, work, keys, at_once, &shared) {
        task.await.expect("a connection's task does not panic")?;
    }
    Ok(())
}

fn shared(limit: u64) -> Rc<Shared> {
    Rc::new(Shared { begun: Cell::new(0), done: Cell::new(0), limit: Cell::new(limit) })
}

type Task = actix_web::rt::task::JoinHandle<io::Result<()>>;

fn begin(
    address: SocketAddr,
    work: Work,
    keys: u64,
    at_once: usize,
    shared: &Rc<Shared>,
) -> Vec<Task> {
    (0..at_once).map(|_| spawn(connection(address, work, keys, shared.clone()))).collect()
}

async fn connection(
    address: SocketAddr,
    work: Work,
    keys: u64,
    shared: Rc<Shared>,
) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut request, digits_at) = request(address, work);
    let mut reply = vec![0; 16 << 10];
    while shared.begun.get() < shared.limit.get() {
        let number = shared.begun.replace(shared.begun.get() + 1) % keys;
        write_digits(&mut request[digits_at..digits_at + DIGITS], number);
        send(&stream, &request).await?;
        receive(&stream, &mut reply).await?;
        shared.done.set(shared.done.get() + 1);
    }
    Ok(())
}

/// The bytes of a request, and where in them the digits of its key stand.
fn request(address: SocketAddr, work: Work) -> (Vec<u8>, usize) {
    let (method, length, value) = match work {
        Work::Get => ("GET", String::new(), String::new()),
        Work::Put => ("PUT", format!("content-length: {VALUE_BYTES}\r\n"), "v".repeat(VALUE_BYTES)),
    };
    let line = format!("{method} /v1/kv/{} HTTP/1.1\r\n", key(0));
    let digits_at = line.find(&key(0)).expect("the key is there") + 1;
    (format!("{line}host: {address}\r\n{length}\r\n{value}").into_bytes(), digits_at)
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

async fn send(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn receive(stream: &TcpStream, bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    loop {
        // The answer is never there at once, so waiting comes first.
        stream.readable().await?;
        match stream.try_read(&mut bytes[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if is_whole(&bytes[..filled])? {
            return Ok(());
        }
    }
}

/// Whether a reply has come in to its end.
fn is_whole(bytes: &[u8]) -> io::Result<bool> {
    let Some(head) = find(bytes, b"\r\n\r\n") else { return Ok(false) };
    if !bytes.starts_with(b"HTTP/1.1 2") {
        let said = String::from_utf8_lossy(bytes);
        return Err(io::Error::other(format!("the load was refused: {said}")));
    }
    let length = find(&bytes[..head], b"ontent-length: ").map_or(0, |at| {
        let digits = bytes[at + 15..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
    });
    Ok(bytes.len() >= head + 4 + length)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
