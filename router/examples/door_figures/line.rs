//! A kept-alive connection to a door, and no more of HTTP than a load needs: what measures is to cost little of what is measured.

use crate::Failed;
use actix_rt::net::TcpStream;
use std::io::{self, ErrorKind};

/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// A connection.
pub(crate) struct Line {
    stream: TcpStream,
    host: String,
    read: Vec<u8>,
}

/// What of an answer a load looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// It says when to come back.
    pub(crate) come_back: bool,
    pub(crate) bytes: u64,
}

impl Line {
    pub(crate) async fn open(address: &str) -> Result<Self, Failed> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: address.to_owned(), read: vec![] })
    }

    pub(crate) async fn get(&mut self, key: &str) -> Result<Reply, Failed> {
        let head = format!("GET /v1/kv/{key} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.write(head.as_bytes()).await?;
        self.reply().await
    }

    pub(crate) async fn put(&mut self, key: &str, value: &[u8]) -> Result<Reply, Failed> {
        self.put_again_and_again(key, value, 1).await
    }

    /// Puts these bytes, so many times one after the other, as one value.
    pub(crate) async fn put_again_and_again(
        &mut self,
        key: &str,
        value: &[u8],
        times: usize,
    ) -> Result<Reply, Failed> {
        let (host, bytes) = (&self.host, value.len() * times);
        let mut head =
            format!("PUT /v1/kv/{key} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {bytes}\r\n\r\n")
                .into_bytes();
        head.extend_from_slice(value);
        self.write(&head).await?;
        for _ in 1..times {
            self.write(value).await?;
        }
        self.reply().await
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(why) if why.kind() == ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Reads some more behind what is there.
    async fn more(&mut self) -> Result<(), Failed> {
        loop {
            self.stream.readable().await?;
            let mut room = [0; READ];
            match self.stream.try_read(&mut room) {
                Ok(0) => return Err("the door closed the connection".into()),
                Ok(read) => {
                    self.read.extend_from_slice(&room[..read]);
                    return Ok(());
                }
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                Err(why) => return Err(why.into()),
            }
        }
    }

    async fn reply(&mut self) -> Result<Reply, Failed> {
        self.read.clear();
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = std::str::from_utf8(&self.read[..end])?;
        let status = head.get(9..12).ok_or("no status")?.parse()?;
        let field = |name: &str| {
            let named =
                |line: &&str| line.get(..name.len()).is_some_and(|l| l.eq_ignore_ascii_case(name));
            head.lines().find(named).map(|line| line[name.len()..].trim())
        };
        let bytes: u64 = field("content-length:").map_or(Ok(0), str::parse)?;
        let come_back = field("retry-after:").is_some();
        let mut left = bytes.saturating_sub((self.read.len() - end) as u64);
        while left > 0 {
            self.read.clear();
            self.more().await?;
            left = left.saturating_sub(self.read.len() as u64);
        }
        Ok(Reply { status, come_back, bytes })
    }
}
