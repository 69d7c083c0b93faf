//! What a storage writes down about itself: who it is, its chart, its ceiling, its neighbours.
//!
//! Each page is replaced in one durable step, however long it is. A short page is one put. A long one is cut into pieces
//! under names that the present page does not use (turn 0 and turn 1 take turns), and then the page itself is put, which
//! names the new pieces: before that put the old page holds, after it the new one, and nothing in between.

use crate::store::{Fault, Mark, Store, Tree};
use minor_protocol::wire;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Bytes of the longest piece.
const PIECE: usize = 48 << 10;

/// One page as it lies in the store: its head, behind the head's own checksum.
#[derive(Debug, Serialize, Deserialize)]
enum Page {
    Short(#[serde(with = "serde_bytes")] Vec<u8>),
    Long { turn: u8, pieces: u32, crc: u32 },
}

/// Replaces a page.
pub(crate) fn write(store: &dyn Store, name: &str, page: &impl Serialize) -> Result<Mark, Fault> {
    let bytes = wire::encode(page);
    if bytes.len() <= PIECE {
        return put(store, name, &Page::Short(bytes));
    }
    let turn = match get(store, name)? {
        Some(Page::Long { turn, .. }) => 1 - turn,
        _ => 0,
    };
    let mut pieces = 0;
    for piece in bytes.chunks(PIECE) {
        store.put(Tree::Rest, piece_name(name, turn, pieces).as_bytes(), Some(piece))?;
        pieces += 1;
    }
    put(store, name, &Page::Long { turn, pieces, crc: crc32fast::hash(&bytes) })
}

/// Reads a page. One that was written and cannot be read is damage.
pub(crate) fn read<T: DeserializeOwned>(store: &dyn Store, name: &str) -> Result<Option<T>, Fault> {
    let damage = |why: &str| Fault::Damage { what: format!("the storage's page '{name}' {why}") };
    let bytes = match get(store, name)? {
        None => return Ok(None),
        Some(Page::Short(bytes)) => bytes,
        Some(Page::Long { turn, pieces, crc }) => {
            let mut bytes = vec![];
            for piece in 0..pieces {
                let name = piece_name(name, turn, piece);
                let piece = store.get(Tree::Rest, name.as_bytes())?;
                bytes.extend(piece.ok_or_else(|| damage("lacks a piece"))?);
            }
            if crc32fast::hash(&bytes) != crc {
                return Err(damage("does not fit its checksum"));
            }
            bytes
        }
    };
    wire::decode(&bytes).map(Some).map_err(|e| damage(&format!("cannot be read: {e}")))
}

fn piece_name(name: &str, turn: u8, piece: u32) -> String {
    format!("{name}/{turn}/{piece:08}")
}

fn put(store: &dyn Store, name: &str, page: &Page) -> Result<Mark, Fault> {
    let head = wire::encode(page);
    let mut bytes = crc32fast::hash(&head).to_be_bytes().to_vec();
    bytes.extend(head);
    store.put(Tree::Rest, name.as_bytes(), Some(&bytes))
}

fn get(store: &dyn Store, name: &str) -> Result<Option<Page>, Fault> {
    let Some(bytes) = store.get(Tree::Rest, name.as_bytes())? else { return Ok(None) };
    let whole = bytes
        .split_first_chunk()
        .filter(|(crc, head)| u32::from_be_bytes(**crc) == crc32fast::hash(head));
    let page = whole.and_then(|(_, head)| wire::decode(head).ok());
    let damage =
        || Fault::Damage { what: format!("the storage's page '{name}' does not fit its checksum") };
    page.map(Some).ok_or_else(damage)
}
