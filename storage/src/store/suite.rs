//! The stories every store must make true, told of both; then what only a disk, and only a simulated disk, can tell.

mod in_memory;
mod on_disk;

use super::{
    Farewell, Fault, MAX_VALUE, Mark, Room, Store, Tree,
    memory::{Keep, MemoryStore},
    sled::{Options, SledStore},
};
use std::{cell::RefCell, thread};

const TREES: [Tree; 2] = [Tree::Records, Tree::Rest];

/// Where a store lies, to be opened again after it was closed or dropped.
trait Home: Default {
    fn open(&self) -> Box<dyn Store>;
}

struct Disk(tempfile::TempDir);

impl Default for Disk {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Home for Disk {
    fn open(&self) -> Box<dyn Store> {
        Box::new(SledStore::open(self.0.path(), Options { cache_bytes: 16 << 20 }).unwrap())
    }
}

#[derive(Default)]
struct Memory(RefCell<MemoryStore>);

impl Home for Memory {
    fn open(&self) -> Box<dyn Store> {
        let next = self.0.borrow().crash(Keep::Durable);
        *self.0.borrow_mut() = next.clone();
        Box::new(next)
    }
}

/// Runs each story once per implementor.
macro_rules! stories {
    ($($story:ident)*) => {
        mod sled {
            $(#[test] fn $story() { super::$story(&super::Disk::default()); })*
        }
        mod memory {
            $(#[test] fn $story() { super::$story(&super::Memory::default()); })*
        }
    };
}

stories! {
    what_is_put_is_read_until_it_is_removed
    the_two_trees_do_not_mix
    a_scan_is_in_key_order_and_pages_meet_without_gap_or_overlap
    a_purge_stays_within_its_bounds_and_its_limit
    a_purge_of_an_empty_or_turned_span_removes_nothing
    a_mark_is_durable_after_a_commit_and_not_before
    what_is_found_at_open_is_durable
    many_threads_share_a_commit_and_lose_nothing
    a_value_may_be_as_long_as_the_limit_and_no_longer
    a_store_with_room_says_so
    commits_are_counted_from_the_opening
    a_closed_store_refuses_everything
    a_farewell_is_found_by_the_next_until_it_is_forgotten
    a_store_dropped_without_a_farewell_keeps_what_was_committed
    a_commit_may_be_awaited_as_a_future
    random_work_leaves_what_a_plain_map_says
}

fn put(store: &dyn Store, key: &[u8], value: &[u8]) -> Mark {
    store.put(Tree::Records, key, Some(value)).unwrap()
}

fn keys(store: &dyn Store, tree: Tree) -> Vec<Vec<u8>> {
    store.scan(tree, b"", usize::MAX).unwrap().into_iter().map(|(key, _)| key).collect()
}

fn what_is_put_is_read_until_it_is_removed(home: &impl Home) {
    let store = home.open();
    for tree in TREES {
        assert_eq!(store.get(tree, b"key").unwrap(), None);
        store.put(tree, b"key", None).unwrap();
        store.put(tree, b"key", Some(b"one")).unwrap();
        store.put(tree, b"key", Some(b"two")).unwrap();
        assert_eq!(store.get(tree, b"key").unwrap().unwrap(), b"two");
        store.put(tree, b"empty", Some(b"")).unwrap();
        assert_eq!(store.get(tree, b"empty").unwrap().unwrap(), b"");
        store.put(tree, b"key", None).unwrap();
        assert_eq!(store.get(tree, b"key").unwrap(), None);
    }
}

fn the_two_trees_do_not_mix(home: &impl Home) {
    let store = home.open();
    store.put(Tree::Records, b"key", Some(b"a record")).unwrap();
    store.put(Tree::Rest, b"key", Some(b"a promise")).unwrap();
    store.purge(Tree::Records, b"", None, usize::MAX).unwrap();
    assert_eq!(store.get(Tree::Records, b"key").unwrap(), None);
    assert_eq!(store.get(Tree::Rest, b"key").unwrap().unwrap(), b"a promise");
}

fn a_scan_is_in_key_order_and_pages_meet_without_gap_or_overlap(home: &impl Home) {
    let store = home.open();
    let mut all: Vec<Vec<u8>> =
        (0..300u16).map(|i| i.wrapping_mul(40_503).to_be_bytes().to_vec()).collect();
    // Keys that are the beginning of others, and the last key of all: where paging goes wrong, if it does.
    all.extend([vec![0], vec![0, 0], vec![0, 0, 0], vec![7], vec![0xff; 2], vec![0xff; 9]]);
    for key in &all {
        put(&*store, key, key);
    }
    all.sort();
    all.dedup();
    assert_eq!(keys(&*store, Tree::Records), all);
    assert!(store.scan(Tree::Records, b"", 0).unwrap().is_empty());

    for limit in [1, 2, 7, 64, 1000] {
        let (mut paged, mut from) = (Vec::new(), Vec::new());
        loop {
            let page = store.scan(Tree::Records, &from, limit).unwrap();
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            from = [last, &[0][..]].concat();
            paged.extend(page.into_iter().map(|(key, _)| key));
        }
        assert_eq!(paged, all, "with pages of {limit}");
    }
}

fn a_purge_stays_within_its_bounds_and_its_limit(home: &impl Home) {
    let store = home.open();
    for key in 0..100u8 {
        put(&*store, &[key], b"value");
    }
    let purge = |from: u8, to: Option<u8>, limit| {
        store.purge(Tree::Records, &[from], to.as_ref().map(std::slice::from_ref), limit).unwrap()
    };
    assert_eq!(purge(10, Some(20), 4), 4);
    assert_eq!(purge(10, Some(20), 100), 6);
    assert_eq!(purge(10, Some(20), 100), 0);
    assert_eq!(purge(90, None, 3), 3);
    assert_eq!(purge(90, None, 100), 7);
    assert_eq!(purge(0, None, 0), 0);
    let left: Vec<Vec<u8>> = (0..10).chain(20..90).map(|key| vec![key]).collect();
    assert_eq!(keys(&*store, Tree::Records), left);

    store.commit().wait().unwrap();
    drop(store);
    assert_eq!(keys(&*home.open(), Tree::Records), left, "purged rows do not come back");
}

fn a_purge_of_an_empty_or_turned_span_removes_nothing(home: &impl Home) {
    let store = home.open();
    put(&*store, b"b", b"value");
    assert_eq!(store.purge(Tree::Records, b"b", Some(b"b"), 9).unwrap(), 0);
    assert_eq!(store.purge(Tree::Records, b"c", Some(b"a"), 9).unwrap(), 0);
    assert_eq!(keys(&*store, Tree::Records), [b"b"]);
}

fn a_mark_is_durable_after_a_commit_and_not_before(home: &impl Home) {
    let store = home.open();
    for _ in 0..5 {
        let mark = put(&*store, b"key", b"value");
        assert!(!store.is_durable(mark));
        store.commit().wait().unwrap();
        assert!(store.is_durable(mark));
    }
    let removed = store.put(Tree::Records, b"key", None).unwrap();
    assert!(!store.is_durable(removed), "a removal is a put too");
    store.commit().wait().unwrap();
    assert!(store.is_durable(removed));
}

fn what_is_found_at_open_is_durable(home: &impl Home) {
    assert!(home.open().is_durable(Mark::default()));
    let store = home.open();
    put(&*store, b"key", b"value");
    store.close(b"").unwrap();
    drop(store);
    let store = home.open();
    assert!(store.is_durable(Mark::default()));
    assert!(!store.is_durable(put(&*store, b"key", b"another value")));
}

fn many_threads_share_a_commit_and_lose_nothing(home: &impl Home) {
    let store = home.open();
    thread::scope(|scope| {
        for thread in 0..16u8 {
            let store = &*store;
            scope.spawn(move || {
                for i in 0..50u8 {
                    let mark = put(store, &[thread, i], &[i]);
                    store.commit().wait().unwrap();
                    assert!(store.is_durable(mark), "answered before it was durable");
                }
            });
        }
    });
    drop(store);
    let store = home.open();
    let all: Vec<Vec<u8>> =
        (0..16).flat_map(|thread| (0..50).map(move |i| vec![thread, i])).collect();
    assert_eq!(keys(&*store, Tree::Records), all);
}

fn a_value_may_be_as_long_as_the_limit_and_no_longer(home: &impl Home) {
    let store = home.open();
    let longest = vec![7; MAX_VALUE];
    // More than fit one page of a tree, so that pages of the longest values split.
    for key in 0..40u8 {
        put(&*store, &[key], &longest);
    }
    let too_long = vec![8; MAX_VALUE + 1];
    let refused = store.put(Tree::Records, &[0], Some(&too_long));
    assert_eq!(refused, Err(Fault::TooLarge { bytes: MAX_VALUE + 1 }));
    assert_eq!(store.health(), Ok(()), "that is no fault of the store's");
    store.commit().wait().unwrap();
    drop(store);
    let store = home.open();
    for key in 0..40u8 {
        assert!(store.get(Tree::Records, &[key]).unwrap().unwrap() == longest);
    }
}

fn a_store_with_room_says_so(home: &impl Home) {
    let store = home.open();
    assert_eq!(store.room(), Room::Enough, "this test needs some room on the disk");
    assert!(store.stats().free_bytes > 0);
    put(&*store, b"key", b"value");
    assert!(store.stats().disk_bytes > 0);
}

fn commits_are_counted_from_the_opening(home: &impl Home) {
    for _ in 0..2 {
        let store = home.open();
        assert_eq!(store.stats().commits, 0);
        store.commit().wait().unwrap();
        store.commit().wait().unwrap();
        assert_eq!(store.stats().commits, 2);
    }
}

fn a_closed_store_refuses_everything(home: &impl Home) {
    let store = home.open();
    put(&*store, b"key", b"value");
    store.close(b"").unwrap();
    for tree in TREES {
        assert_eq!(store.get(tree, b"key"), Err(Fault::Closed));
        assert_eq!(store.put(tree, b"key", None), Err(Fault::Closed));
        assert_eq!(store.scan(tree, b"", 1), Err(Fault::Closed));
        assert_eq!(store.purge(tree, b"", None, 1), Err(Fault::Closed));
    }
    assert_eq!(store.commit().wait(), Err(Fault::Closed));
    assert_eq!(store.health(), Err(Fault::Closed));
    assert_eq!(store.forget_farewell(), Err(Fault::Closed));
    assert_eq!(store.close(b"again"), Err(Fault::Closed));
}

fn a_farewell_is_found_by_the_next_until_it_is_forgotten(home: &impl Home) {
    let store = home.open();
    assert_eq!(store.farewell(), Farewell::None);
    put(&*store, b"key", b"value");
    store.close(b"one record").unwrap();
    drop(store);

    let store = home.open();
    assert_eq!(store.farewell(), Farewell::Left(b"one record".to_vec()));
    assert_eq!(keys(&*store, Tree::Records), [b"key"], "a close makes all durable");
    drop(store);

    let store = home.open();
    assert_eq!(store.farewell(), Farewell::Left(b"one record".to_vec()), "nobody has forgotten it");
    store.forget_farewell().unwrap();
    assert_eq!(store.farewell(), Farewell::None);
    store.forget_farewell().unwrap();
    drop(store);
    assert_eq!(home.open().farewell(), Farewell::None);
}

fn a_store_dropped_without_a_farewell_keeps_what_was_committed(home: &impl Home) {
    for round in 0..4u8 {
        let store = home.open();
        assert_eq!(store.farewell(), Farewell::None);
        assert_eq!(keys(&*store, Tree::Rest), (0..round).map(|key| vec![key]).collect::<Vec<_>>());
        store.put(Tree::Rest, &[round], Some(b"value")).unwrap();
        store.commit().wait().unwrap();
    }
}

fn a_commit_may_be_awaited_as_a_future(home: &impl Home) {
    let store = home.open();
    let worker = tokio::runtime::Builder::new_current_thread().build().unwrap();
    worker.block_on(async {
        let mark = put(&*store, b"key", b"value");
        store.commit().await.unwrap();
        assert!(store.is_durable(mark));
    });
}

fn random_work_leaves_what_a_plain_map_says(home: &impl Home) {
    let mut plain = std::collections::BTreeMap::new();
    let mut seed = 1u64;
    let mut roll = |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    for _ in 0..4 {
        let store = home.open();
        for _ in 0..500 {
            let key = roll(200).to_be_bytes().to_vec();
            match roll(10) {
                0..6 => {
                    let value = vec![7; roll(2000) as usize];
                    put(&*store, &key, &value);
                    plain.insert(key, value);
                }
                6..9 => {
                    store.put(Tree::Records, &key, None).unwrap();
                    plain.remove(&key);
                }
                _ => {
                    let limit = roll(4) as usize;
                    let within: Vec<_> = plain
                        .range(key.clone()..)
                        .take(limit)
                        .map(|(key, _)| key.clone())
                        .collect();
                    assert_eq!(
                        store.purge(Tree::Records, &key, None, limit).unwrap(),
                        within.len()
                    );
                    within.iter().for_each(|key| drop(plain.remove(key)));
                }
            }
        }
        store.commit().wait().unwrap();
        drop(store);
        let rows: Vec<_> = plain.clone().into_iter().collect();
        assert!(home.open().scan(Tree::Records, b"", usize::MAX).unwrap() == rows);
    }
}
