//! A whole ring as one stream, so that no ring is ever a prison.
//!
//! ```text
//!   Head { archive: "sdht", version: 1 }
//!   Value { key, content_type, expires_ms, length }, then as many Piece(bytes) as the length takes …
//!   End { values, crc }          so that a stream that was cut off is never taken for a whole one
//! ```
//!
//! It is a CBOR sequence (RFC 8742): any CBOR library reads it item by item. Neither way holds more than a few values in
//! memory. Stamps do not travel: in the ring they come to, the values are new.

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

#[derive(Debug, Serialize, Deserialize)]
enum Item {
    Head { archive: String, version: u32 },
    Value(About),
    Piece(#[serde(with = "serde_bytes")] Vec<u8>),
    End { values: u64, crc: u32 },
}

/// A value without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) key: String,
    pub(crate) content_type: String,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) length: u64,
}

const ARCHIVE: &str = "sdht";
const VERSION: u32 = 1;
/// Bytes of a piece.
pub(crate) const PIECE: usize = 64 << 10;

/// Why a stream could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoArchive {
    #[error("the stream cannot be read: {0}")]
    Stream(#[from] io::Error),
    #[error("there is nothing in it")]
    Empty,
    #[error("item {item} of the stream: {why}")]
    Malformed { item: u64, why: String },
}

/// Writes an archive.
pub(crate) struct Writer<W> {
    to: W,
    crc: crc32fast::Hasher,
    values: u64,
    /// Bytes of the value under way that are still to come.
    left: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(to: W) -> io::Result<Self> {
        let mut writer = Self { to, crc: crc32fast::Hasher::new(), values: 0, left: 0 };
        writer.item(&Item::Head { archive: ARCHIVE.into(), version: VERSION })?;
        Ok(writer)
    }

    /// Begins a value; its bytes follow.
    pub(crate) fn value(&mut self, about: About) -> io::Result<()> {
        assert_eq!(self.left, 0, "the value before is whole");
        self.left = about.length;
        self.values += 1;
        self.item(&Item::Value(about))
    }

    /// Some bytes of the value, in their order.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes.len() as u64).expect("no more than was announced");
        bytes.chunks(PIECE).try_for_each(|piece| self.item(&Item::Piece(piece.to_vec())))
    }

    /// Without it, nobody takes the stream for whole.
    pub(crate) fn end(mut self) -> io::Result<u64> {
        assert_eq!(self.left, 0, "the last value is whole");
        let crc = self.crc.clone().finalize();
        self.item(&Item::End { values: self.values, crc })?;
        self.to.flush()?;
        Ok(self.values)
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        let bytes = minor_protocol::wire::encode(item);
        self.crc.update(&bytes);
        self.to.write_all(&bytes)
    }
}

/// Reads an archive, value by value.
pub(crate) struct Reader<R> {
    from: Hashing<R>,
    item: u64,
    values: u64,
    left: u64,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(from: R) -> Result<Self, NoArchive> {
        let from = Hashing { from, crc: crc32fast::Hasher::new(), bytes: 0 };
        let mut reader = Self { from, item: 0, values: 0, left: 0 };
        match reader.next_item()? {
            Item::Head { archive, version } if archive == ARCHIVE && version == VERSION => {
                Ok(reader)
            }
            Item::Head { archive, version } => {
                Err(reader.malformed(format!("an archive of {archive}, version {version}")))
            }
            _ => Err(reader.malformed("the stream does not begin as an archive does")),
        }
    }

    /// The next value; none at the end of a stream that is whole. The bytes of the one before must have been taken.
    pub(crate) fn value(&mut self) -> Result<Option<About>, NoArchive> {
        assert_eq!(self.left, 0, "the value before was taken");
        let expected = self.from.crc.clone().finalize();
        match self.next_item()? {
            Item::Value(about) => {
                self.left = about.length;
                self.values += 1;
                Ok(Some(about))
            }
            Item::End { values, crc } if (values, crc) == (self.values, expected) => {
                match self.from.read(&mut [0])? {
                    0 => Ok(None),
                    _ => Err(self.malformed("something follows the end")),
                }
            }
            Item::End { .. } => Err(self.malformed("the end does not fit what came before it")),
            Item::Head { .. } | Item::Piece(_) => Err(self.malformed("it is out of place")),
        }
    }

    /// The next bytes of the value; none when that was all.
    pub(crate) fn bytes(&mut self) -> Result<Option<Vec<u8>>, NoArchive> {
        if self.left == 0 {
            return Ok(None);
        }
        let Item::Piece(piece) = self.next_item()? else {
            return Err(self.malformed("a piece of a value is missing"));
        };
        match self.left.checked_sub(piece.len() as u64) {
            Some(left) if left < self.left => self.left = left,
            Some(_) => return Err(self.malformed("an empty piece")),
            None => return Err(self.malformed("a value is longer than it should be")),
        }
        Ok(Some(piece))
    }

    /// The item that was read last, counted from 1.
    pub(crate) fn item(&self) -> u64 {
        self.item
    }

    fn next_item(&mut self) -> Result<Item, NoArchive> {
        self.item += 1;
        match ciborium::from_reader(&mut self.from) {
            Ok(item) => Ok(item),
            Err(ciborium::de::Error::Io(why)) if why.kind() == io::ErrorKind::UnexpectedEof => {
                if self.from.bytes == 0 {
                    return Err(NoArchive::Empty);
                }
                Err(self.malformed(match self.item {
                    1 => "it does not begin as an archive does",
                    _ => "the stream ends too early",
                }))
            }
            Err(ciborium::de::Error::Io(why)) => Err(why.into()),
            Err(why) => Err(self.malformed(why.to_string())),
        }
    }

    fn malformed(&self, why: impl Into<String>) -> NoArchive {
        NoArchive::Malformed { item: self.item, why: why.into() }
    }
}

/// What is read is counted into a checksum.
struct Hashing<R> {
    from: R,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.crc.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<(About, Vec<u8>)> {
        [0, 1, PIECE - 1, PIECE, 3 * PIECE + 7]
            .into_iter()
            .map(|length| {
                let (key, content_type) = (format!("key {length}"), "x/y".to_owned());
                let about = About { key, content_type, expires_ms: Some(9), length: length as u64 };
                (about, (0..length).map(|n| (n % 251) as u8).collect())
            })
            .collect()
    }

    fn archive() -> Vec<u8> {
        let mut stream = vec![];
        let mut writer = Writer::new(&mut stream).unwrap();
        for (about, bytes) in values() {
            writer.value(about).unwrap();
            writer.bytes(&bytes).unwrap();
        }
        assert_eq!(writer.end().unwrap(), 5);
        stream
    }

    fn read(stream: &[u8]) -> Result<Vec<(About, Vec<u8>)>, NoArchive> {
        let mut reader = Reader::new(stream)?;
        let mut values = vec![];
        while let Some(about) = reader.value()? {
            let mut value = vec![];
            while let Some(bytes) = reader.bytes()? {
                value.extend(bytes);
            }
            values.push((about, value));
        }
        Ok(values)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&archive()).unwrap(), values());
    }

    #[test]
    fn a_stream_that_was_cut_or_changed_anywhere_is_refused() {
        let whole = archive();
        assert!(matches!(read(&[]), Err(NoArchive::Empty)));
        for end in (0..whole.len()).step_by(1_237).chain([whole.len() - 1]) {
            assert!(read(&whole[..end]).is_err(), "cut at {end}");
        }
        for at in (0..whole.len()).step_by(1_237) {
            let mut rotten = whole.clone();
            rotten[at] ^= 1;
            assert!(read(&rotten).is_err(), "flipped at {at}");
        }
        assert!(read(&[whole, vec![0]].concat()).is_err(), "longer");
    }
}
