//! What no one should send: drawn from a seed, kind by kind.

use minor_protocol::{
    Ask, Ballot, Decree, Expect, Key, Member, Moment, Operation, Position, Record, Request,
    RingArc, RingId, Span, State, StorageId, Wish,
    message::{Dead, Held, PlainRecords, Proposed, Show},
    wire,
};
use sdht_tests::chance::Chance;

const METHODS: [&str; 9] =
    ["GET", "PUT", "DELETE", "HEAD", "POST", "OPTIONS", "TRACE", "CONNECT", "BREW"];
const TARGETS: [&str; 24] = [
    "/v1/kv/k",
    "/v1/kv/",
    "/v1/kv",
    "/v1/kv?limit=-1",
    "/v1/kv?limit=99999999999999999999",
    "/v1/kv?after=%ff&prefix=%00",
    "/v1/kv?prefix=%",
    "/v1/kv/%",
    "/v1/kv/%zz",
    "/v1/kv/%c3%28",
    "/v1/kv/%00",
    "/v1/kv/../../etc/passwd",
    "/v1/kv//",
    "/v1/ask",
    "/v1/ask?x",
    "/nodeinfo",
    "/",
    "/?after=%ff",
    "/?page=-1",
    "*",
    "http://evil.example/v1/kv/k",
    "//",
    "",
    "/metrics\u{7f}",
];
const NAMES: [&str; 20] = [
    "host",
    "content-length",
    "transfer-encoding",
    "content-type",
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "expect",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "origin",
    "range",
    "sdht-ttl",
    "te",
    "trailer",
    "upgrade",
    "x",
    "",
];
const VALUES: [&str; 22] = [
    "",
    "*",
    "0",
    "-1",
    "1",
    "65537",
    "99999999999999999999999",
    "0x10",
    "chunked",
    "chunked, chunked",
    "gzip",
    "close",
    "100-continue",
    "application/cbor",
    "text/html; charset=\"",
    "\"",
    "\"a\", W/\"b\", c",
    "bytes=0-,-1",
    "Bearer ",
    "Thu, 99 Foo 0000 99:99:99 GMT",
    "websocket",
    "\u{e4}\t\u{1}",
];
const CHUNKS: [&str; 10] = [
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "fffffffffffffffffff\r\nx\r\n",
    "-1\r\nx\r\n",
    "5\r\nhello",
    "5;ext=\"\r\nhello\r\n",
    "\r\n",
    "0\r\ntrailer: x\r\n\r\n",
    "zz\r\nhello\r\n",
];

/// Bytes to be sent on a connection of their own.
pub(crate) fn http(seed: &mut Chance, port: u16) -> Vec<u8> {
    match seed.index(9) {
        0 => {
            let count = seed.index(2_000);
            seed.bytes(count)
        }
        1 => request_line(seed),
        2 => large_head(seed, port),
        3 => {
            let mut request = odd_request(seed, port, &["content-length", "content-length"]);
            request.extend(seed.bytes(20));
            request
        }
        4 => {
            let mut request = odd_request(seed, port, &["transfer-encoding"]);
            (0..seed.index(6)).for_each(|_| request.extend(seed.one_of(&CHUNKS).bytes()));
            request
        }
        5 => {
            let mut request = proper_request(seed, port);
            twist(&mut request, seed);
            request
        }
        6 => {
            let mut request = proper_request(seed, port);
            request.truncate(seed.index(request.len()));
            request
        }
        7 => {
            let mut request = proper_request(seed, port);
            request.extend(odd_request(seed, port, &[]));
            request
        }
        _ => odd_request(seed, port, &[]),
    }
}

fn request_line(seed: &mut Chance) -> Vec<u8> {
    let space = seed.one_of(&[" ", "  ", "\t", ""]);
    let version =
        seed.one_of(&["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "http/1.1", "", "PRI"]);
    let end = seed.one_of(&["\r\n", "\n", "\r", "\r\n\r\n", "\0\r\n"]);
    let (method, target) = (seed.one_of(&METHODS), seed.one_of(&TARGETS));
    format!("{method}{space}{target}{space}{version}{end}host: localhost{end}{end}").into_bytes()
}

fn large_head(seed: &mut Chance, port: u16) -> Vec<u8> {
    let mut text = format!("GET /v1/kv/{}", "k".repeat(seed.index(3_000)));
    text += &"/x".repeat(if seed.once_in(4) { seed.index(60_000) } else { 0 });
    text += &format!(" HTTP/1.1\r\nhost: localhost:{port}\r\n");
    if seed.once_in(2) {
        let (name, value) = (seed.index(9_000), seed.index(200_000));
        text += &format!("{}: {}\r\n", "n".repeat(1 + name), "v".repeat(value));
    } else {
        (0..seed.index(3_000)).for_each(|n| text += &format!("x-{n}: {n}\r\n"));
    }
    (text + "\r\n").into_bytes()
}

/// A request with odd headers, these among them.
fn odd_request(seed: &mut Chance, port: u16, names: &[&str]) -> Vec<u8> {
    let (method, target) = (seed.one_of(&METHODS), seed.one_of(&TARGETS));
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !seed.once_in(8) {
        text += &format!("host: localhost:{port}\r\n");
    }
    let more: Vec<_> = (0..seed.index(4)).map(|_| seed.one_of(&NAMES)).collect();
    for name in names.iter().chain(&more) {
        text += &format!("{name}: {}\r\n", seed.one_of(&VALUES));
    }
    (text + "\r\n").into_bytes()
}

fn proper_request(seed: &mut Chance, port: u16) -> Vec<u8> {
    let head = format!("HTTP/1.1\r\nhost: localhost:{port}\r\n");
    let method = seed.one_of(&["GET", "PUT", "DELETE", "HEAD"]);
    if method == "PUT" {
        let value = "v".repeat(seed.index(200));
        let length = value.len();
        format!("PUT /v1/kv/k {head}content-length: {length}\r\n\r\n{value}").into_bytes()
    } else {
        format!("{method} /v1/kv/k {head}\r\n").into_bytes()
    }
}

/// Changes, drops, doubles and inserts a few bytes.
fn twist(bytes: &mut Vec<u8>, seed: &mut Chance) {
    for _ in 0..=seed.index(4) {
        if bytes.is_empty() {
            return;
        }
        let at = seed.index(bytes.len());
        let to = at + seed.index((bytes.len() - at).min(16));
        match seed.index(5) {
            0 => bytes[at] ^= 1 << seed.index(8),
            1 => bytes[at] = seed.bits() as u8,
            2 => drop(bytes.drain(at..to)),
            3 => {
                let part = bytes[at..to].to_vec();
                bytes.splice(at..at, part);
            }
            _ => bytes.insert(at, seed.bits() as u8),
        }
    }
}

/// The body of an ask to the storage of this id.
pub(crate) fn ask(seed: &mut Chance, id: StorageId) -> Vec<u8> {
    match seed.index(8) {
        0 => {
            let count = seed.index(300);
            seed.bytes(count)
        }
        1 => {
            // Arrays, maps and tags within each other; within a field that nobody knows, too.
            let opener = [0x81_u8, 0xa1, 0xc1, 0x9f, 0xbf][seed.index(5)];
            let mut bytes = if seed.once_in(2) { vec![0xa1, 0x61, b'x'] } else { vec![] };
            bytes.resize(bytes.len() + seed.index(100_000), opener);
            bytes
        }
        2 => {
            // Somewhere in a proper ask, a claim to 2^60 elements or bytes.
            let mut bytes = wire::encode(&proper_ask(seed, id));
            let at = seed.index(bytes.len());
            let major = [0x5b_u8, 0x7b, 0x9b, 0xbb][seed.index(4)];
            bytes.splice(at..at, [major, 0x10, 0, 0, 0, 0, 0, 0, 0]);
            bytes
        }
        3 => {
            let mut bytes = wire::encode(&proper_ask(seed, id));
            bytes.truncate(seed.index(bytes.len()));
            bytes
        }
        // Proper in form, wild in content.
        4 => wire::encode(&proper_ask(seed, id)),
        _ => {
            let mut bytes = wire::encode(&proper_ask(seed, id));
            twist(&mut bytes, seed);
            bytes
        }
    }
}

fn proper_ask(seed: &mut Chance, id: StorageId) -> Ask {
    let storage = if seed.once_in(8) { None } else { Some(id) };
    let ring = seed.once_in(2).then_some(RingId(9));
    let requests = (0..seed.index(4)).map(|_| request(seed, id)).collect();
    Ask { storage, ring, starts: wild(seed) % 2, requests }
}

/// A number that is likely to be a border of something.
fn wild(seed: &mut Chance) -> u64 {
    [0, 1, 2, 1 << 16, 1 << 32, 1 << 48, u64::MAX - 1, u64::MAX, seed.bits()][seed.index(9)]
}

fn request(seed: &mut Chance, id: StorageId) -> Request {
    let key = Key::new(format!("{}", seed.index(20))).expect("a number is a key");
    let ballot = Ballot {
        epoch: wild(seed),
        clock: Moment(wild(seed)),
        router: wild(seed),
        seq: wild(seed) as u32,
    };
    let (epoch, ring) = (wild(seed), RingId(9));
    let span = Span::new(Position(wild(seed)), Position(wild(seed)));
    let member = Member { storage: id, address: "127.0.0.1:1".into(), zone: String::new() };
    let arc = RingArc {
        ring,
        span,
        epoch,
        members: vec![member],
        filling: seed.once_in(4).then_some(id),
        copies: wild(seed) as u8,
        sealed: None,
    };
    let limit = wild(seed) as u32;
    match seed.index(18) {
        0 => Request::Hello,
        1 => Request::Prepare { key, ballot, show: Show::Whole },
        2 => Request::Accept { key, ballot, state: Proposed::State(State::default()) },
        3 => Request::Accept { key, ballot, state: Proposed::Held(ballot) },
        4 => Request::Read { key, epoch, show: Show::Header },
        5 => Request::Copy { key, epoch, record: Record { ballot, state: State::default() } },
        6 => Request::Drop { epoch, dead: vec![Dead { key, ballot }] },
        7 => Request::List { span, epoch, after: Some(key), limit },
        8 => Request::Cut { span, epoch, bytes: epoch },
        9 => Request::PrepareDecree { arc, ballot },
        10 => Request::AcceptDecree { arc, ballot, decree: Decree::Split { at: span.to } },
        11 => Request::Learn { arcs: vec![arc] },
        12 => Request::Found { ring, copies: wild(seed) as u8 },
        13 => Request::Enter { ring, plain: PlainRecords::Refuse },
        16 => {
            let lost = arc.members.iter().map(|m| m.storage).collect();
            let restart = Restart { heir: None, arc, lost, draw: wild(seed) as u16 };
            Request::Restart { restart: Box::new(restart) }
        }
        14 => Request::Records { span, epoch, after: Some(key) },
        15 => {
            let record = Record { ballot, state: State::default() };
            Request::Fill { epoch, records: vec![Held { key, record }] }
        }
        _ => {
            let expires_ms = Some(wild(seed));
            let wish = Wish::Set { content_type: "x".into(), expires_ms, value: vec![1] };
            let operation = Operation { expect: Expect::Anything, wish };
            Request::Change { key, ballot, id: ballot, now_ms: wild(seed), operation }
        }
    }
}
