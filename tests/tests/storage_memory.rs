//! A storage full of large values takes the memory it was told to take, and a bound beside it, however much it holds.

use minor_storage::store::{
    Store, Tree,
    sled::{Options, SledStore},
};
use std::{fs, path::Path};

const VALUES: u64 = 12_000;
const VALUE: usize = 64 << 10;
/// sled keeps at least one page, of at most a MiB, for each of its 256 lists; besides these there are its buffers.
const MOST_MIB: u64 = 32 + 256 + 160;

#[test]
fn three_quarters_of_a_gib_of_large_values_fit_into_less_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..VALUES {
        store.put(Tree::Records, &key(n), Some(&value(n))).unwrap();
    }
    store.commit().wait().unwrap();
    assert_small("when they were put");

    store.close(b"").unwrap();
    drop(store);
    let store = open(dir.path());
    for n in 0..VALUES {
        assert_eq!(store.get(Tree::Records, &key(n)).unwrap(), Some(value(n)));
    }
    assert_small("when they were read");

    let (mut from, mut rows) = (vec![], 0);
    loop {
        let page = store.scan(Tree::Records, &from, 1_000).unwrap();
        let Some((last, _)) = page.last() else { break };
        from = [last, &[0][..]].concat();
        rows += page.len() as u64;
    }
    assert_eq!(rows, VALUES);
    assert_small("when they were listed");
}

fn open(dir: &Path) -> SledStore {
    SledStore::open(dir, Options { cache_bytes: 32 << 20 }).unwrap()
}

/// Scattered as places on the ring are.
fn key(n: u64) -> [u8; 8] {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn value(n: u64) -> Vec<u8> {
    key(n).repeat(VALUE / 8)
}

fn assert_small(when: &str) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let mib = line.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10;
    println!("{mib} MiB {when}");
    assert!(mib <= MOST_MIB, "{mib} MiB {when}");
}
