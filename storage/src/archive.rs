//! A whole data directory as one stream, so that no engine is ever a prison.
//!
//! ```text
//!   Head { archive: "minor-storage", version: 1 }
//!   Page(name, bytes) …          what the storage wrote down about itself
//!   Record(key, bytes) …         every record, in the byte form of the protocol crate
//!   End { pages, records, crc }  so that a stream that was cut off is never taken for a whole one
//! ```
//!
//! It is a CBOR sequence (RFC 8742): any CBOR library reads it item by item. Neither way holds more than one item in memory.

use crate::{
    notebook, storage,
    store::{Fault, Store, Tree},
};
use minor_protocol::{Key, Record, wire};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// One item of the stream.
#[derive(Debug, Serialize, Deserialize)]
enum Item {
    Head { archive: String, version: u32 },
    Page(String, #[serde(with = "serde_bytes")] Vec<u8>),
    Record(String, #[serde(with = "serde_bytes")] Vec<u8>),
    End { pages: u64, records: u64, crc: u32 },
}

/// How many items went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Pages of the notebook.
    pub pages: u64,
    /// Records.
    pub records: u64,
    /// Records that are damaged, and were left out.
    pub damaged: u64,
}

/// Why an archive could not be written or read to its end.
#[derive(Debug, thiserror::Error)]
pub enum NoArchive {
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The stream failed.
    #[error("the stream failed: {0}")]
    Stream(#[from] io::Error),
    /// What came in is no archive of this kind.
    #[error("item {item}: {why}")]
    Malformed {
        /// Which item of the stream.
        item: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The directory to import into already holds something.
    #[error("it holds a storage already, which was left as it is: import into a new directory")]
    NotEmpty,
}

const ARCHIVE: &str = "minor-storage";
const VERSION: u32 = 1;
/// Items put between two commits.
const GROUP: u64 = 10_000;
/// Bytes of the longest item: a record, its key and their CBOR heads.
const ITEM_BYTES: usize = 128 << 10;

/// Writes everything a store holds.
pub fn export(store: &dyn Store, to: impl Write) -> Result<Count, NoArchive> {
    let mut out = Hashing::new(to);
    let mut count = Count::default();
    out.item(&Item::Head { archive: ARCHIVE.into(), version: VERSION })?;
    storage::each_row(store, Tree::Rest, |name, bytes| {
        count.pages += 1;
        out.item(&Item::Page(String::from_utf8_lossy(name).into_owned(), bytes.to_vec()))
    })?;
    storage::each_row(store, Tree::Records, |row, bytes| {
        let (place, name) = storage::split_row(row)?;
        match (Key::from_bytes(name), Record::from_bytes(name, bytes)) {
            (Ok(key), Ok(_)) if key.position() == place => {
                count.records += 1;
                out.item(&Item::Record(key.into(), bytes.to_vec()))
            }
            _ => {
                count.damaged += 1;
                Ok(())
            }
        }
    })?;
    let (crc, to) = (out.crc.clone().finalize(), &mut out.to);
    let end = Item::End { pages: count.pages, records: count.records, crc };
    to.write_all(&wire::encode(&end))?;
    to.flush()?;
    Ok(count)
}

/// Fills an empty store with what an archive holds. Until its end was seen, the store calls itself unfinished and nobody
/// serves from it.
pub fn import(store: &dyn Store, from: impl Read) -> Result<Count, NoArchive> {
    if !store.scan(Tree::Rest, &[], 1)?.is_empty() || !store.scan(Tree::Records, &[], 1)?.is_empty()
    {
        return Err(NoArchive::NotEmpty);
    }
    notebook::write(store, storage::UNFINISHED, &true)?;
    store.commit().wait()?;
    let mut items = Items { from, read: vec![], at: 0, crc: crc32fast::Hasher::new(), item: 0 };
    let mut count = Count::default();
    match items.next()? {
        Item::Head { archive, version } if archive == ARCHIVE && version == VERSION => {}
        Item::Head { archive, version } => {
            return Err(items.malformed(format!("an archive of {archive}, version {version}")));
        }
        _ => return Err(items.malformed("the stream does not begin as an archive does".into())),
    }
    loop {
        let crc = items.crc.clone().finalize();
        match items.next()? {
            Item::Page(name, bytes) if name != storage::UNFINISHED => {
                store.put(Tree::Rest, name.as_bytes(), Some(&bytes))?;
                count.pages += 1;
            }
            Item::Record(name, bytes) => {
                let key = Key::new(name).map_err(|e| items.malformed(e.to_string()))?;
                Record::from_bytes(key.as_str().as_bytes(), &bytes)
                    .map_err(|e| items.malformed(format!("key '{key}': {e}")))?;
                let row = storage::row_of(key.position(), key.as_str());
                store.put(Tree::Records, &row, Some(&bytes))?;
                count.records += 1;
            }
            Item::End { pages, records, crc: expected } => {
                if (pages, records, expected) != (count.pages, count.records, crc) {
                    return Err(items.malformed("the end does not fit what came before it".into()));
                }
                break;
            }
            Item::Head { .. } | Item::Page(..) => {
                return Err(items.malformed("out of place".into()));
            }
        }
        if (count.pages + count.records).is_multiple_of(GROUP) {
            store.commit().wait()?;
        }
    }
    if !items.is_at_end()? {
        return Err(items.malformed("something follows the end".into()));
    }
    storage::trust(store)?;
    store.commit().wait()?;
    store.put(Tree::Rest, storage::UNFINISHED.as_bytes(), None)?;
    store.commit().wait()?;
    Ok(count)
}

struct Hashing<W> {
    to: W,
    crc: crc32fast::Hasher,
}

impl<W: Write> Hashing<W> {
    fn new(to: W) -> Self {
        Self { to, crc: crc32fast::Hasher::new() }
    }

    fn item(&mut self, item: &Item) -> Result<(), NoArchive> {
        let bytes = wire::encode(item);
        self.crc.update(&bytes);
        Ok(self.to.write_all(&bytes)?)
    }
}

/// The items of a stream, read as they come.
struct Items<R> {
    from: R,
    read: Vec<u8>,
    at: usize,
    crc: crc32fast::Hasher,
    item: u64,
}

impl<R: Read> Items<R> {
    fn next(&mut self) -> Result<Item, NoArchive> {
        self.item += 1;
        // An item is read again from its beginning once more of it has come; a few times at the most, as it is short.
        loop {
            let mut rest = &self.read[self.at..];
            match wire::decode_next::<Item>(&mut rest) {
                Ok(item) => {
                    let end = self.read.len() - rest.len();
                    self.crc.update(&self.read[self.at..end]);
                    self.at = end;
                    return Ok(item);
                }
                Err(e) if self.read.len() - self.at >= ITEM_BYTES || !self.more()? => {
                    return Err(self.malformed(format!("the stream ends or is no archive: {e}")));
                }
                Err(_) => {}
            }
        }
    }

    /// Reads on; false at the end of the stream.
    fn more(&mut self) -> Result<bool, NoArchive> {
        self.read.drain(..self.at);
        self.at = 0;
        let before = self.read.len() as u64;
        let read = (&mut self.from).take(ITEM_BYTES as u64).read_to_end(&mut self.read)? as u64;
        Ok(read > 0 && before + read > before)
    }

    fn is_at_end(&mut self) -> Result<bool, NoArchive> {
        Ok(self.at == self.read.len() && !self.more()?)
    }

    fn malformed(&self, why: String) -> NoArchive {
        NoArchive::Malformed { item: self.item, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        storage::{Durability, Settings, Storage},
        store::memory::{Keep, MemoryStore},
    };
    use minor_protocol::{Expect, Operation, StorageId, Wish};
    use std::sync::Arc;

    fn open(disk: &MemoryStore, fresh: u128) -> Result<Storage, Fault> {
        let settings = Settings {
            fresh_id: StorageId(fresh),
            address: "127.0.0.1:8000".into(),
            zone: String::new(),
            durability: Durability::Always,
        };
        Storage::open(Arc::new(disk.clone()), settings)
    }

    fn filled() -> MemoryStore {
        let disk = MemoryStore::new();
        let storage = open(&disk, 1).unwrap();
        for n in 0..200 {
            let wish =
                Wish::Set { content_type: "x".into(), expires_ms: None, value: vec![n; 400] };
            let set = Operation { expect: Expect::Anything, wish };
            let key = Key::new(format!("key {n}")).unwrap();
            storage.change_alone(&key, set, 1_000).wait().unwrap().unwrap();
        }
        storage.close().unwrap();
        disk.crash(Keep::Durable)
    }

    fn archive_of(disk: &MemoryStore) -> Vec<u8> {
        let mut bytes = vec![];
        export(disk, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_exported_is_imported() {
        let disk = filled();
        let archive = archive_of(&disk);
        let other = MemoryStore::new();
        let count = import(&other, archive.as_slice()).unwrap();
        assert_eq!((count.records, count.damaged), (200, 0));
        assert_eq!(archive_of(&other), archive);
        let (one, two) = (open(&disk, 8).unwrap(), open(&other, 9).unwrap());
        assert_eq!((one.me(), one.total()), (two.me(), two.total()));
        assert!(matches!(import(&other, archive.as_slice()), Err(NoArchive::NotEmpty)));
    }

    #[test]
    fn an_archive_cut_anywhere_is_refused_and_nobody_serves_from_what_came() {
        let archive = archive_of(&filled());
        for end in (0..archive.len()).step_by(997).chain([archive.len() - 1]) {
            let other = MemoryStore::new();
            assert!(import(&other, &archive[..end]).is_err(), "cut at {end}");
            assert!(matches!(open(&other, 9), Err(Fault::Damage { .. })));
        }
    }

    #[test]
    fn an_archive_with_a_flipped_bit_is_refused() {
        let archive = archive_of(&filled());
        for at in (0..archive.len()).step_by(331) {
            let mut rotten = archive.clone();
            rotten[at] ^= 4;
            assert!(import(&MemoryStore::new(), rotten.as_slice()).is_err(), "flipped at {at}");
        }
        let longer = [archive, vec![0]].concat();
        assert!(import(&MemoryStore::new(), longer.as_slice()).is_err());
    }

    #[test]
    fn a_damaged_record_is_left_out_and_counted() {
        let disk = filled();
        let row = storage::row_of(Key::new("key 7").unwrap().position(), "key 7");
        disk.flip_bit(Tree::Records, &row, 200);
        let count = export(&disk, io::sink()).unwrap();
        assert_eq!((count.records, count.damaged), (199, 1));
    }
}
