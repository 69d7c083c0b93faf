//! HTTP/1.1 over a bare socket: every byte sent is the test's own, and nothing of a reply is put right.
//!
//! That is why no ready-made library serves here: they refuse to send what is malformed, follow redirects, and mend targets.

use minor_protocol::{Answers, Ask, wire};
use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a socket may stay silent before a read gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A well-formed request, unless its parts are not.
#[derive(Clone)]
pub struct Call {
    method: String,
    target: String,
    head: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Call {
    /// A request of any method without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), head: vec![], body: vec![] }
    }

    /// A `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A `PUT` of these bytes.
    pub fn put(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("PUT", target) }
    }

    /// A `POST` of these bytes.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", target) }
    }

    /// A `DELETE`.
    pub fn delete(target: &str) -> Self {
        Self::new("DELETE", target)
    }

    /// The same with one more header. `host`, `content-length` and `transfer-encoding` take the place of our own.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.head.push((name.into(), value.into()));
        self
    }

    /// The bytes that go out.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let gives =
            |name: &str| self.head.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !gives("host") {
            text += &format!("host: {host}\r\n");
        }
        let takes_body = !self.body.is_empty() || ["PUT", "POST"].contains(&&*self.method);
        if takes_body && !gives("content-length") && !gives("transfer-encoding") {
            text += &format!("content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.head {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// What came back.
#[derive(Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers in their order, names in lower case.
    pub head: Vec<(String, String)>,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(given, _)| given == name).map(|(_, value)| &**value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?} with {}", self.method, self.target, self.head, shortly(&self.body))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} with {}", self.status, self.head, shortly(&self.body))
    }
}

fn shortly(body: &[u8]) -> String {
    let beginning = String::from_utf8_lossy(&body[..body.len().min(400)]);
    format!("{} bytes {beginning:?}", body.len())
}

/// Whether the request called for a body in the reply: `HEAD` does not, and the reply does not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Head and body.
    Body,
    /// Only the head, whatever length it tells of.
    Head,
}

/// One connection, kept alive.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    host: String,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, unread: vec![], host: address.to_string() })
    }

    /// The socket, for those who want to be slow or rude.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request without waiting for its reply.
    pub fn send_call(&mut self, call: &Call) -> io::Result<()> {
        self.send(&call.bytes(&self.host))
    }

    /// Sends a request and waits for its reply.
    pub fn call(&mut self, call: &Call) -> io::Result<Reply> {
        // A request refused by its head is answered before it is read, and sending the rest of it may fail.
        let sent = self.send_call(call);
        let wanted = if call.method == "HEAD" { Wanted::Head } else { Wanted::Body };
        self.receive(wanted).or_else(|error| sent.and(Err(error)))
    }

    /// Sends many requests at once and then reads their replies, which come in the same order.
    pub fn call_all(&mut self, calls: &[Call]) -> io::Result<Vec<Reply>> {
        let bytes: Vec<u8> = calls.iter().flat_map(|call| call.bytes(&self.host)).collect();
        self.send(&bytes)?;
        calls.iter().map(|_| self.receive(Wanted::Body)).collect()
    }

    /// What a storage answers to an ask; or its reply, when it does not answer at all.
    pub fn ask(&mut self, ask: &Ask) -> io::Result<Result<Answers, Reply>> {
        let call = Call::post("/v1/ask", wire::encode(ask)).with("content-type", wire::MEDIA_TYPE);
        let reply = self.call(&call)?;
        Ok(if reply.status == 200 {
            Ok(wire::decode(&reply.body).expect("answers have their form"))
        } else {
            Err(reply)
        })
    }

    /// Reads one reply.
    pub fn receive(&mut self, wanted: Wanted) -> io::Result<Reply> {
        loop {
            let head = self.read_head()?;
            let (status, head) =
                parse_head(&head).ok_or_else(|| malformed(&String::from_utf8_lossy(&head)))?;
            if (100..200).contains(&status) {
                continue;
            }
            let mut reply = Reply { status, head, body: vec![] };
            if wanted == Wanted::Body && status != 204 && status != 304 {
                reply.body = self.read_body(&reply)?;
            }
            return Ok(reply);
        }
    }

    fn read_head(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                return Ok(self.unread.drain(..end + 4).collect());
            }
            self.read_more()?;
        }
    }

    fn read_body(&mut self, reply: &Reply) -> io::Result<Vec<u8>> {
        if reply.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            return self.read_chunks();
        }
        if let Some(length) = reply.header("content-length") {
            let length = length.parse().map_err(|_| malformed(length))?;
            return self.read_exactly(length);
        }
        loop {
            match self.read_more() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.unread));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = vec![];
        loop {
            let line = self.read_line()?;
            let length = usize::from_str_radix(&line, 16).map_err(|_| malformed(&line))?;
            body.extend(self.read_exactly(length)?);
            let after = self.read_line()?;
            if !after.is_empty() {
                return Err(malformed(&after));
            }
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|bytes| bytes == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.read_more()?;
        }
    }

    fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.read_more()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                self.unread.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }
}

type Head = Vec<(String, String)>;

fn parse_head(bytes: &[u8]) -> Option<(u16, Head)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.trim_end().split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Some((status, lines.map(named).collect::<Option<_>>()?))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("no HTTP reply: {what:?}"))
}

/// A key as a request's target.
pub fn target(key: &str) -> String {
    let mut target = String::from("/v1/kv/");
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                target.push(byte.into());
            }
            _ => target += &format!("%{byte:02X}"),
        }
    }
    target
}
