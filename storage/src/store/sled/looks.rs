//! Large values, and how sled is brought to keep no more of them in memory than it was told to.
//!
//! sled notes every look at a page in one of 256 lists, by the page's number, and only when a list is full, at 64 notes, are
//! the pages thrown out that its cache has no room for. With small values that does not matter. But a page holds up to 16
//! values whatever their size: with values of 64 KiB, 256 times 64 looks at as many pages bring 11 GiB into memory before the
//! first page has to go. (Without what is done here, a storage with 2.5 GB of them took 2.2 GB with a cache of 256 MiB, and
//! 3.4 GB when they were read.)
//!
//! So after a look at a large value its page is looked at again, the more often the larger the value is: at 64 KiB its list
//! fills up, and what is too much is thrown out. Values beside each other mostly share a page, so of a row of neighbours
//! only the first is treated so, and the others have an eighth of it each.

use std::sync::atomic::{AtomicU64, Ordering};

/// Below this a value is not large: a page full of such is small enough to wait for its list.
const LARGE: usize = 2 << 10;
/// One more look for so many bytes.
const BYTES_A_LOOK: usize = 1 << 10;
/// The looks that fill a list.
const MOST: usize = 64;

/// Of so many neighbours each has its part of the looks that the first had.
const NEIGHBOURS: usize = 8;

/// Where the last large value was.
#[derive(Debug, Default)]
pub(super) struct Looks {
    last: AtomicU64,
}

impl Looks {
    /// How often to look at this key again, when a value of so many bytes was just read, put or removed under it.
    pub(super) fn after(&self, key: &[u8], bytes: usize) -> usize {
        if bytes < LARGE {
            return 0;
        }
        let place = key.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
        let looks = (bytes / BYTES_A_LOOK).min(MOST);
        if self.last.swap(place, Ordering::Relaxed) == place { looks / NEIGHBOURS } else { looks }
    }
}

#[test]
fn the_larger_the_more_often_and_neighbours_less() {
    let (looks, one, other) =
        (Looks::default(), [7, 0, 0, 0, 0, 0, 0, 1], [7, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(looks.after(&one, LARGE - 1), 0);
    assert_eq!(looks.after(&one, 4 << 10), 4);
    assert_eq!(looks.after(&[&one[..], b"a"].concat(), 64 << 10), MOST / NEIGHBOURS);
    assert_eq!(looks.after(&other, 64 << 10), MOST);
    assert_eq!(looks.after(&one, 1 << 20), MOST);
}
