//! The keeper among real processes: storages that are killed and stopped under users who come through a door.

use sdht_tests::{
    http::Call,
    kept::{DEAD_AFTER, User, kept},
    process,
    rings::address,
};
use std::{thread, time::Instant};

#[test]
fn one_of_five_is_killed_under_load_and_the_keeper_restores_all_copies() {
    let mut kept = kept(5, &[]);
    let users: Vec<User> = (0..4).map(|name| User::of(&kept, name)).collect();
    users.iter().for_each(|user| user.goes_on(50));
    let dead = address(&kept.storages[2]);
    kept.storages[2].1.kill9();
    let begin = Instant::now();
    kept.waits_for("all copies are there again", || {
        let (storages, whole) = kept.ring();
        !storages.contains(&dead) && whole
    });
    let took = begin.elapsed();
    assert!(took >= DEAD_AFTER, "it was called dead after {took:?}");
    users.iter().for_each(|user| user.goes_on(20));
    users.into_iter().for_each(User::ends_well);
    kept.waits_for("it is counted", || kept.evictions() == 1);
    assert!(kept.figure("sdht_repairs_total{kind=\"copied\"}") > 0);
    assert!(kept.figure("sdht_moved_keys_total{cause=\"evict\"}") > 0);
    assert_eq!(kept.figure("sdht_under_copied_arcs"), 0);
    let log = kept.log();
    assert!(log.contains("begins evicting the dead") && log.contains(&dead), "{log}");

    // It comes back, is told that it is out, and may join anew.
    kept.start_again(2);
    kept.waits_for("it is told", || kept.log().contains("it may join anew"));
    let info = kept.storages[2].1.call(&Call::get("/nodeinfo")).json();
    assert_eq!(info["arcs"].as_array().map(Vec::len), Some(0), "{info}");
    kept.home.ends(0, &["join", &dead]);
    assert!(kept.ring().0.contains(&dead));
}

#[test]
fn a_storage_that_stands_still_is_evicted_when_it_is_dead_and_not_before_and_answers_nothing_stale()
{
    let kept = kept(4, &[]);
    let user = User::of(&kept, 0);
    user.goes_on(20);
    let still = &kept.storages[1].1;
    let address = still.address().to_string();
    still.pause();
    thread::sleep(DEAD_AFTER * 2 / 3);
    still.resume();
    // Long enough for whoever would have been called dead.
    thread::sleep(2 * DEAD_AFTER);
    assert_eq!(kept.evictions(), 0, "{}", kept.log());
    assert!(kept.ring().0.contains(&address));
    user.goes_on(20);

    still.pause();
    kept.waits_for("it is evicted", || kept.evictions() == 1);
    user.goes_on(60);
    still.resume();
    kept.waits_for("it is told", || kept.log().contains("it may join anew"));
    user.ends_well();
    // What it held it holds no more; for a key of the ring it sends whoever asks to those who keep it.
    for n in 0..50 {
        let reply = still.call(&Call::get(&format!("/v1/kv/0/{n}")));
        assert_ne!(reply.status, 200, "it still answers: {reply:?}");
    }
}

#[test]
fn all_storages_start_again_at_once_and_everything_is_there() {
    let mut kept = kept(4, &[]);
    for n in 0..100 {
        assert_eq!(kept.call(&Call::put(&format!("/v1/kv/{n}"), n.to_string())).status, 201);
    }
    kept.storages.iter_mut().for_each(|(_, storage)| storage.kill9());
    // Nobody is left who could tell a dead one from the others.
    thread::sleep(2 * DEAD_AFTER);
    (0..4).for_each(|n| kept.start_again(n));
    for n in 0..100 {
        let place = format!("/v1/kv/{n}");
        kept.waits_for("a key is read", || kept.call(&Call::get(&place)).text() == n.to_string());
    }
    assert_eq!((kept.evictions(), kept.ring().0.len()), (0, 4), "{}", kept.log());
}

#[test]
fn a_door_without_a_keeper_evicts_nobody() {
    let mut kept = kept(4, &["--no-keeper"]);
    kept.storages[3].1.kill9();
    thread::sleep(3 * DEAD_AFTER);
    assert_eq!((kept.evictions(), kept.ring().0.len()), (0, 4));
    assert!(!kept.log().contains("keeper"), "{}", kept.log());
}

#[test]
fn of_three_nobody_is_evicted_since_nobody_could_take_over_until_a_fourth_joins() {
    let mut kept = kept(3, &[]);
    assert_eq!(kept.call(&Call::put("/v1/kv/k", "v")).status, 201);
    let dead = address(&kept.storages[2]);
    kept.storages[2].1.kill9();
    kept.waits_for("it is said", || kept.log().contains("nobody can take over its copies"));
    assert_eq!(kept.evictions(), 0);
    let (_dir, fourth) = process::fresh();
    kept.home.ends(0, &["join", &fourth.address().to_string()]);
    kept.waits_for("the fourth has taken over", || {
        let (storages, whole) = kept.ring();
        storages.len() == 3 && !storages.contains(&dead) && whole
    });
    assert_eq!(kept.call(&Call::get("/v1/kv/k")).text(), "v");
}

#[test]
fn a_keeper_that_ends_in_the_middle_says_what_it_leaves_and_who_finishes_it() {
    // So slowly that it is seen at work.
    let mut kept = kept(4, &["--max-rate", "2000"]);
    kept.home.ends(0, &["load", "100", "--value-size", "2000", "--seed", "7"]);
    kept.storages[3].1.kill9();
    kept.waits_for("it is at work", || kept.log().contains("begins evicting the dead"));
    let (said, _storages) = kept.close();
    let left = said.lines().find(|line| line.contains("leaves evicting the dead")).expect(&said);
    assert!(left.contains("is safe") && left.contains("sdht repair"), "{said}");
}
