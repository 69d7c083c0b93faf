//! What only a simulated disk can show: exactly what a power cut takes, a failing sync, a flipped bit, an answer held back.

use super::*;
use std::{
    future::Future,
    task::{Context, Poll, Waker},
};

#[test]
fn a_power_cut_takes_exactly_what_was_not_committed() {
    let store = MemoryStore::new();
    put(&store, b"kept", b"value");
    put(&store, b"removed", b"value");
    store.commit().wait().unwrap();
    put(&store, b"lost", b"value");
    put(&store, b"kept", b"another value");
    store.put(Tree::Records, b"removed", None).unwrap();
    assert_eq!(store.uncommitted(), 3);

    let found = store.crash(Keep::Durable);
    assert_eq!(found.uncommitted(), 0);
    assert_eq!(keys(&found, Tree::Records), [&b"kept"[..], b"removed"]);
    assert_eq!(found.get(Tree::Records, b"kept").unwrap().unwrap(), b"value");
}

#[test]
fn a_torn_group_leaves_any_prefix_and_nothing_else() {
    let store = MemoryStore::new();
    put(&store, &[0], b"durable");
    store.commit().wait().unwrap();
    for key in 1..=5 {
        put(&store, &[key], b"in the air");
    }
    for kept in 0..=7 {
        let found = store.crash(Keep::Prefix(kept));
        let rows: Vec<Vec<u8>> = (0..=kept.min(5) as u8).map(|key| vec![key]).collect();
        assert_eq!(keys(&found, Tree::Records), rows);
        assert_eq!(
            keys(&found.crash(Keep::Durable), Tree::Records),
            rows,
            "what is found is durable"
        );
    }
    assert_eq!(store.uncommitted(), 5, "a crash does not change the store it is told of");
}

#[test]
fn a_purge_is_lost_and_kept_like_any_put() {
    let store = MemoryStore::new();
    for key in 0..4 {
        put(&store, &[key], b"value");
    }
    store.commit().wait().unwrap();
    store.purge(Tree::Records, &[1], None, 9).unwrap();
    assert_eq!(keys(&store.crash(Keep::Durable), Tree::Records).len(), 4);
    assert_eq!(keys(&store.crash(Keep::Prefix(2)), Tree::Records), [[0], [3]]);
    store.commit().wait().unwrap();
    assert_eq!(keys(&store.crash(Keep::Durable), Tree::Records), [[0]]);
}

#[test]
fn a_failed_commit_ends_the_store_and_makes_nothing_durable() {
    let store = MemoryStore::new();
    let mark = put(&store, b"key", b"value");
    store.fail_next_commit();
    let fault = store.commit().wait().unwrap_err();
    assert!(matches!(fault, Fault::Disk { .. }));
    assert!(!store.is_durable(mark));
    assert_eq!(store.put(Tree::Records, b"key", None), Err(fault.clone()));
    assert_eq!(store.commit().wait(), Err(fault.clone()), "it is not tried again");
    assert_eq!(store.health(), Err(fault.clone()));
    assert_eq!(store.close(b"all is well"), Err(fault));
    assert_eq!(store.get(Tree::Records, b"key").unwrap().unwrap(), b"value");

    let found = store.crash(Keep::Durable);
    assert_eq!(found.health(), Ok(()));
    assert_eq!(found.farewell(), Farewell::None);
    assert!(keys(&found, Tree::Records).is_empty());
}

#[test]
fn held_commits_end_together_when_they_are_released() {
    let store = MemoryStore::new();
    store.hold_commits();
    let first = put(&store, b"first", b"value");
    let mut commits = [store.commit(), store.commit()];
    let second = put(&store, b"second", b"value");
    let mut nobody = Context::from_waker(Waker::noop());
    for commit in &mut commits {
        assert_eq!(std::pin::Pin::new(commit).poll(&mut nobody), Poll::Pending);
    }
    assert!(!store.is_durable(first));

    store.release_commits();
    for commit in commits {
        assert_eq!(commit.wait(), Ok(()));
    }
    assert!(store.is_durable(first) && store.is_durable(second));
    assert_eq!(store.stats().commits, 1);
}

#[test]
fn a_held_commit_can_fail_when_it_is_released() {
    let store = MemoryStore::new();
    store.hold_commits();
    put(&store, b"key", b"value");
    let commit = store.commit();
    store.fail_next_commit();
    store.release_commits();
    assert_eq!(commit.wait(), Err(store.health().unwrap_err()));
    assert_eq!(store.uncommitted(), 1);
}

#[test]
fn a_flipped_bit_is_read_before_and_after_a_crash() {
    let store = MemoryStore::new();
    put(&store, b"key", &[0, 0]);
    store.commit().wait().unwrap();
    store.flip_bit(Tree::Records, b"key", 9);
    store.flip_bit(Tree::Records, b"key", 99);
    store.flip_bit(Tree::Records, b"nobody", 0);
    assert_eq!(store.get(Tree::Records, b"key").unwrap().unwrap(), [0, 2]);
    assert_eq!(store.crash(Keep::Durable).get(Tree::Records, b"key").unwrap().unwrap(), [0, 2]);
}

#[test]
fn clones_are_handles_on_one_store() {
    let store = MemoryStore::new();
    put(&store.clone(), b"key", b"value");
    assert_eq!(keys(&store, Tree::Records), [b"key"]);
    store.set_room(Room::Low);
    assert_eq!(store.clone().room(), Room::Low);
}
