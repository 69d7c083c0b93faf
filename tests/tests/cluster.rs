//! Rings of real processes, over real sockets: they grow, shrink, lose a storage for good, and keep what they were given.
//!
//! A ledger writes down what was acknowledged; after every change of the ring all of it is read back, and nothing that was
//! deleted may have returned.

use sdht::{Expect, Loss, NotMoved, NotSet, Progress, Wanted, blocking::Ring};
use sdht_tests::{
    http::Call,
    process,
    rings::{address, found, joined, storages},
    wait_until,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

/// What the ring was told, and said yes to.
#[derive(Default)]
struct Ledger {
    values: BTreeMap<String, Option<u64>>,
    turn: u64,
}

impl Ledger {
    /// Sets a few keys anew, changes some and deletes some.
    fn write(&mut self, ring: &Ring) {
        self.turn += 1;
        for n in 0..40 {
            let key = format!("key {n} of {}", self.turn);
            ring.set(&key, &self.turn).unwrap();
            self.values.insert(key, Some(self.turn));
        }
        let old: Vec<String> = self.values.keys().cloned().collect();
        for key in old.iter().step_by(7) {
            ring.set(key, &self.turn).unwrap();
            self.values.insert(key.clone(), Some(self.turn));
        }
        for key in old.iter().step_by(11) {
            assert_eq!(ring.delete(key).unwrap(), self.values[key].is_some(), "{key}");
            self.values.insert(key.clone(), None);
        }
    }

    /// Reads everything, by name and by listing.
    fn check(&self, ring: &Ring) {
        let read = ring.get_many::<_, u64>(self.values.keys());
        for ((key, value), read) in self.values.iter().zip(read) {
            assert_eq!(read.as_ref(), Ok(value), "{key}");
        }
        let mut listed: Vec<String> = ring.keys("").map(|key| key.unwrap().into()).collect();
        listed.sort();
        let alive = self.values.iter().filter(|(_, value)| value.is_some());
        let alive: Vec<String> = alive.map(|(key, _)| key.clone()).collect();
        assert_eq!(listed, alive);
    }
}

#[test]
fn many_values_may_be_long_ones_and_leave_nothing_behind() {
    let storages = storages(3);
    let ring = joined(&storages, 3);
    let set = ring.set_many([("a", vec![3_u32; 50_000]), ("b", vec![1])]);
    let read = ring.get_many::<_, Vec<u32>>(["a", "b"]);
    assert!(set[0].is_ok() && read == [Ok(Some(vec![3; 50_000])), Ok(Some(vec![1]))]);
    assert!(ring.set_many([("a", 1)])[0].is_ok() && ring.delete("b").unwrap());
    assert_eq!(ring.sweep_orphans(Duration::ZERO).unwrap(), 0);
}

/// Every arc has as many members as it can have, none of them being filled.
fn assert_whole(ring: &Ring, storages: usize, copies: usize) {
    let arcs = ring.survey().unwrap().arcs;
    assert_eq!(arcs.len(), storages, "{arcs:#?}");
    for arc in arcs {
        assert_eq!((arc.members.len(), arc.filling), (copies.min(storages), None), "{arc}");
    }
}

#[test]
fn one_two_three_and_five_storages_come_and_go_in_another_order() {
    let storages = storages(5);
    let ring = found(&storages[0], 3);
    let mut ledger = Ledger::default();
    ledger.write(&ring);
    for (n, storage) in storages.iter().enumerate().skip(1) {
        ring.join(&address(storage)).finish().unwrap();
        assert_whole(&ring, n + 1, 3);
        ledger.check(&ring);
        ledger.write(&ring);
        ledger.check(&ring);
    }
    for (left, gone) in [2, 0, 4, 1].into_iter().enumerate() {
        ring.leave(&address(&storages[gone])).finish().unwrap();
        assert_whole(&ring, 4 - left, 3);
        ledger.check(&ring);
        ledger.write(&ring);
    }
    ledger.check(&ring);
    // Whoever comes from outside finds the same.
    ledger.check(&Ring::connect([address(&storages[3])]).unwrap());
}

#[test]
fn a_ring_of_three_goes_on_without_one_and_lets_the_dead_go() {
    let mut storages = storages(4);
    let ring = joined(&storages[..3], 3);
    let mut ledger = Ledger::default();
    ledger.write(&ring);
    storages[1].1.kill9();
    ledger.check(&ring);
    ledger.write(&ring);
    ledger.check(&ring);
    // A router that starts now finds the ring too.
    let late = Ring::connect([address(&storages[2])]).unwrap();
    ledger.check(&late);
    late.leave(&address(&storages[1])).finish().unwrap();
    assert_whole(&late, 2, 3);
    ledger.check(&ring);
    late.join(&address(&storages[3])).finish().unwrap();
    assert_whole(&late, 3, 3);
    ledger.write(&ring);
    ledger.check(&late);
}

#[test]
fn a_storage_that_was_away_catches_up() {
    let mut storages = storages(3);
    let ring = joined(&storages, 3);
    let mut ledger = Ledger::default();
    ledger.write(&ring);
    storages[0].1.kill9();
    ledger.write(&ring);
    let at = storages[0].1.address().port();
    let data = storages[0].0.path().join("data");
    storages[0].1 = process::Launch::on(&data).at_port(at).serve();
    ring.repair().finish().unwrap();
    // Whoever is asked shows its own copy.
    for key in ledger.values.keys() {
        let own = Call::get(&format!("/v1/kv/{}", key.replace(' ', "%20")));
        let stamps =
            storages.iter().map(|(_, storage)| storage.call(&own).header("etag").map(String::from));
        let stamps: BTreeSet<Option<String>> = stamps.collect();
        assert_eq!(stamps.len(), 1, "one repair makes all copies alike: {key} has {stamps:?}");
    }
    storages[1].1.kill9();
    ledger.check(&ring);
    ledger.write(&ring);
    ledger.check(&ring);
}

#[test]
fn what_a_join_copies_is_what_the_plan_said_and_not_a_byte_twice() {
    [1, 3].into_iter().for_each(a_join_copies_what_was_planned);
}

/// The newcomer's fair part of everything is its copies among the storages: that much has to move, and hardly more does.
fn a_join_copies_what_was_planned(copies: u8) {
    let storages = storages(4);
    let ring = joined(&storages[..3], copies);
    Ledger::default().write(&ring);
    ring.balance().finish().unwrap();
    ring.repair().finish().unwrap();
    let plan = ring.plan(Wanted::Join(address(&storages[3]), None)).unwrap();
    assert!(plan.moves.len() == usize::from(copies) && plan.bytes() > 0);
    let fair = plan.bytes_total * u64::from(copies) / 4;
    assert!(plan.bytes() * 10 <= fair * 11, "{} of {fair} bytes", plan.bytes());
    let mut copied = BTreeMap::new();
    let mut moving = ring.join(&address(&storages[3]));
    for progress in moving.by_ref() {
        if let Progress::Synced(synced) = progress {
            // A later sync of the same stretch, before somebody goes, finds nothing to copy.
            let most: &mut u64 = copied.entry(synced.span).or_default();
            *most = synced.bytes.max(*most);
        }
    }
    moving.finish().unwrap();
    assert_eq!(copied.values().sum::<u64>(), plan.bytes());
}

#[test]
fn without_a_majority_nothing_is_evicted_unless_the_loss_is_accepted() {
    let mut storages = storages(3);
    let ring = joined(&storages, 3);
    let mut ledger = Ledger::default();
    ledger.write(&ring);
    ring.repair().finish().unwrap();
    storages[0].1.kill9();
    storages[1].1.kill9();
    let dead = [address(&storages[0]), address(&storages[1])];
    let evict = |dead: &[String], loss| ring.evict(dead.to_vec(), loss).finish();
    match evict(&dead, Loss::Refused) {
        Err(NotMoved::NoMajority(mute)) => {
            assert!(mute.len() == 3 && mute.iter().all(|mute| mute.silent.len() == 2));
        }
        other => panic!("{other:?}"),
    }
    let half_named = evict(&dead[..1], Loss::Accepted);
    assert!(matches!(half_named, Err(NotMoved::NoMajority(_))), "{half_named:?}");
    let alive = evict(&[address(&storages[2])], Loss::Accepted);
    assert!(matches!(alive, Err(NotMoved::Alive { .. })), "{alive:?}");
    let told: Vec<Progress> = ring.evict(dead.to_vec(), Loss::Accepted).collect();
    let lost = told.iter().filter(|told| matches!(told, Progress::Lost(_)));
    assert_eq!(lost.count(), 3);
    assert_whole(&ring, 1, 3);
    // All had been levelled before, so nothing is missing.
    ledger.check(&ring);
    ledger.write(&ring);
}

#[test]
fn what_only_the_dead_kept_is_given_up_and_the_rest_is_there() {
    let mut storages = storages(3);
    let ring = joined(&storages, 1);
    for n in 0..60 {
        ring.set(&format!("key {n}"), &n).unwrap();
    }
    storages[1].1.kill9();
    let dead = [address(&storages[1])];
    // Somebody who was never told who kept what.
    let late = Ring::connect([address(&storages[0])]).unwrap();
    assert!(late.evict(dead.to_vec(), Loss::Refused).finish().is_err());
    let mut evicting = late.evict(dead.to_vec(), Loss::Accepted);
    let told: Vec<Progress> = evicting.by_ref().collect();
    evicting.finish().unwrap();
    let lost = told.iter().find_map(|told| match told {
        Progress::Lost(lost) => Some(lost.clone()),
        _ => None,
    });
    let lost = lost.expect("it says what is lost");
    assert!(lost.kept_by.is_empty());
    assert_whole(&late, 2, 1);
    for n in 0..60 {
        let key = format!("key {n}");
        let is_lost = lost.span.holds(sdht::Position::of(&key));
        assert_eq!(ring.get::<u64>(&key).unwrap(), (!is_lost).then_some(n), "{key}");
        ring.set(&key, &n).unwrap();
    }
}

#[test]
fn copies_go_from_one_to_three_and_back() {
    let storages = storages(3);
    let ring = joined(&storages, 1);
    let mut ledger = Ledger::default();
    for copies in [1, 3, 1] {
        ring.set_copies(copies).finish().unwrap();
        assert_whole(&ring, 3, copies.into());
        ledger.check(&ring);
        ledger.write(&ring);
        ledger.check(&ring);
    }
}

#[test]
fn a_ring_changes_under_load_and_nobody_notices() {
    let storages = storages(4);
    let ring = joined(&storages[..1], 3);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers = (0..4).map(|writer| {
        let (ring, stop, done) = (ring.clone(), stop.clone(), done.clone());
        thread::spawn(move || {
            let (mut last, mut doubtful) = (BTreeMap::new(), BTreeSet::new());
            for turn in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let key = format!("{writer}/{}", turn % 50);
                if doubtful.contains(&key) {
                    continue;
                }
                // What this writer alone writes is what it reads.
                assert_eq!(ring.get::<u64>(&key).unwrap(), last.get(&key).copied(), "{key}");
                match ring.set(&key, &turn) {
                    Ok(_) => drop(last.insert(key, turn)),
                    // A try that was half taken when the arc changed may still take effect at any time: nobody can tell, the
                    // error says so, and this key proves nothing any more.
                    Err(NotSet::Unknown { .. }) => {
                        last.remove(&key);
                        doubtful.insert(key);
                    }
                    Err(why) => panic!("{why}"),
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            assert!(doubtful.len() <= 5, "too many outcomes unknown: {doubtful:?}");
            last
        })
    });
    let writers: Vec<_> = writers.collect();
    for storage in &storages[1..] {
        ring.join(&address(storage)).finish().unwrap();
    }
    for storage in &storages[..2] {
        ring.leave(&address(storage)).finish().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        for (key, turn) in writer.join().unwrap() {
            assert_eq!(ring.get::<u64>(&key).unwrap(), Some(turn), "{key}");
        }
    }
    assert!(done.load(Ordering::Relaxed) > 100, "there was no load");
}

#[test]
fn set_if_lets_one_of_many_win() {
    let storages = storages(3);
    let ring = joined(&storages, 3);
    let tries = (0..8_u64).map(|n| {
        let ring = ring.clone();
        thread::spawn(move || ring.set_if("lock", &n, Expect::Absent))
    });
    let tries: Vec<_> = tries.collect();
    let ended: Vec<_> = tries.into_iter().map(|t| t.join().unwrap()).collect();
    let won: Vec<usize> = (0..8).filter(|n| ended[*n].is_ok()).collect();
    assert_eq!(won.len(), 1, "{ended:?}");
    let lost = |end: &&Result<_, _>| matches!(end, Err(NotSet::NotMet { found: Some(_), .. }));
    assert_eq!(ended.iter().filter(lost).count(), 7, "{ended:?}");
    assert_eq!(ring.get::<u64>("lock").unwrap(), Some(won[0] as u64));
    let stamp = *ended[won[0]].as_ref().unwrap();
    let next = ring.set_if("lock", "other", Expect::Stamp(stamp)).unwrap();
    assert!(ring.delete_if("lock", Expect::Stamp(stamp)).is_err());
    assert!(ring.delete_if("lock", Expect::Stamp(next)).unwrap());
    assert_eq!(ring.get_bytes("lock").unwrap(), None);
}

#[test]
fn bytes_come_back_as_they_were_put() {
    let storages = storages(1);
    let ring = found(&storages[0], 1);
    let bytes: Vec<u8> = (0..=255).cycle().take(64 << 10).collect();
    let stamp = ring.put_bytes("a/b", "image/png", bytes.clone()).unwrap();
    let value = ring.get_bytes("a/b").unwrap().unwrap();
    assert_eq!(
        (value.bytes, value.content_type.as_str(), value.stamp),
        (bytes, "image/png", stamp)
    );
    assert!(matches!(ring.get::<u64>("a/b"), Err(sdht::NotGot::AnotherType { .. })));
}

/// Polls once and looks away.
fn look_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn who_looks_away_from_a_change_breaks_nothing() {
    let storages = storages(3);
    let ring = joined(&storages, 3);
    let handle = ring.handle();
    for n in 0..200_u64 {
        let key = format!("key {}", n % 10);
        let mut set = Box::pin(handle.set(&key, &n));
        assert!(look_once(set.as_mut()).is_pending());
        drop(set);
        let mut listing = handle.keys("");
        let mut next = Box::pin(listing.next());
        let _ = look_once(next.as_mut());
    }
    // Each read sees some write of that key; and when the last of them has come to its end, a new one stays.
    for n in 0..10 {
        let key = format!("key {n}");
        let limit = Duration::from_secs(10);
        wait_until("what nobody waited for is done", limit, || {
            let seen = ring.get::<u64>(&key).unwrap();
            assert!(seen.is_none_or(|seen| seen % 10 == n), "{key}: {seen:?}");
            ring.set(&key, &n).unwrap();
            ring.get::<u64>(&key).unwrap() == Some(n)
        });
    }
}

#[test]
fn a_join_that_is_dropped_half_way_is_finished_by_the_next() {
    let storages = storages(3);
    let ring = found(&storages[0], 2);
    let mut ledger = Ledger::default();
    ledger.write(&ring);
    for storage in &storages[1..] {
        for steps in 0..6 {
            let moving = ring.join(&address(storage));
            assert!(moving.take(steps).count() <= steps);
            ledger.check(&ring);
        }
        Ring::connect([address(&storages[0])]).unwrap().join(&address(storage)).finish().unwrap();
        ledger.check(&ring);
        ledger.write(&ring);
    }
    assert_whole(&ring, 3, 2);
    ledger.check(&ring);
}

#[test]
fn a_handle_works_within_a_foreign_runtime_and_without_one() {
    let storages = storages(1);
    let ring = found(&storages[0], 1);
    let foreign = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = ring.handle().clone();
    foreign.block_on(async {
        handle.set("within", &1).await.unwrap();
        // Even the blocking form does not mind.
        assert_eq!(ring.get::<u32>("within").unwrap(), Some(1));
    });
    let handle = ring.handle().clone();
    let elsewhere =
        thread::spawn(move || pollster::block_on(async move { handle.get::<u32>("within").await }));
    assert_eq!(elsewhere.join().unwrap().unwrap(), Some(1));
}

#[test]
fn the_short_form_founds_a_ring_and_joins_to_it() {
    let storages = storages(2);
    assert!(sdht::get::<u32>("k").is_err());
    sdht::join(&address(&storages[0])).unwrap();
    sdht::set("k", &5).unwrap();
    sdht::join(&address(&storages[1])).unwrap();
    assert_eq!(sdht::get("k").unwrap(), Some(5));
    sdht::remove(&address(&storages[0])).unwrap();
    assert_eq!(sdht::get("k").unwrap(), Some(5));
    assert!(sdht::delete("k").unwrap());
}
