//! What the keeper does that nobody has asked for, among real processes: it goes on without a storage that lost its data,
//! evens out, sweeps, and finishes what others left half done.

use sdht_tests::{
    http::Call,
    kept::{DEAD_AFTER, Kept, User, kept},
    process,
    rings::address,
};
use std::{fs, path::Path, thread, time::Duration};

/// Bits are turned in the log of a database that nobody has open.
fn damage(data: &Path) {
    let log = data.join("store/db");
    let mut bytes = fs::read(&log).unwrap();
    for part in [4, 3, 2] {
        let begin = bytes.len() / part;
        let at = (begin..bytes.len()).find(|at| bytes[*at] != 0).unwrap();
        bytes[at] ^= 1;
    }
    fs::write(&log, bytes).unwrap();
}

/// What the page shows of the keeper, all lines in one text.
fn told_on_the_page(kept: &Kept) -> String {
    let picture = kept.picture();
    let lines = picture["keeper"].as_array().unwrap();
    lines.iter().map(|line| line["said"].as_str().unwrap().to_owned() + "\n").collect()
}

#[test]
fn a_storage_with_damaged_data_is_replaced_by_the_others_and_comes_back_when_a_person_joins_it() {
    let mut kept = kept(4, &[]);
    for n in 0..200 {
        assert_eq!(kept.call(&Call::put(&format!("/v1/kv/{n}"), n.to_string())).status, 201);
    }
    let user = User::of(&kept, 0);
    let address = address(&kept.storages[2]);
    kept.storages[2].1.terminate();
    damage(&kept.storages[2].0.path().join("data"));
    kept.start_again(2);
    let said = kept.storages[2].1.said();
    assert!(said.contains("set aside") && said.contains("under a new id"), "{said}");

    // Its copies are restored by the others, and both the log and the page say why, and what is left for a person to do.
    let finds = format!("finds another storage at {address}, on an empty disk");
    kept.waits_for("it is found", || kept.log().contains(&finds));
    let picture = kept.picture();
    let sentence = picture["sentence"].as_str().unwrap();
    assert!(sentence.contains(&format!("Another storage lives at {address} now")), "{sentence}");
    kept.waits_for("all copies are there again", || {
        let (storages, whole) = kept.ring();
        !storages.contains(&address) && whole
    });
    let to_do = format!("where one was evicted: 'sdht join {address}' brings it in");
    kept.waits_for("it is said what is to be done", || kept.log().contains(&to_do));
    let page = told_on_the_page(&kept);
    assert!(page.contains(&finds) && page.contains(&to_do), "{page}");
    assert!(page.contains("is gone, and another storage is in its place"), "{page}");
    thread::sleep(DEAD_AFTER);
    assert!(
        !kept.ring().0.contains(&address),
        "whether it belongs to the ring only a person knows"
    );

    kept.home.ends(0, &["join", &address]);
    let (storages, whole) = kept.ring();
    assert!(storages.contains(&address) && whole);
    for n in 0..200 {
        assert_eq!(kept.call(&Call::get(&format!("/v1/kv/{n}"))).text(), n.to_string());
    }
    user.ends_well();
    assert_eq!(kept.evictions(), 1);
}

#[test]
fn shares_that_joins_have_left_uneven_are_evened_out_within_the_rate() {
    const RATE: f64 = (1 << 20) as f64;
    let kept = kept(3, &["--max-rate", "1MiB"]);
    kept.home.ends(0, &["load", "100", "--value-size", "60000"]);
    // Two that take next to nothing of the ring, right behind another one.
    let ring = kept.call(&Call::get("/v1/ring")).json();
    let place = u64::from_str_radix(ring["arcs"][0]["to"].as_str().unwrap(), 16).unwrap();
    let newcomers = [process::fresh(), process::fresh()];
    for ((_, storage), n) in newcomers.iter().zip(1..) {
        let at = format!("{:016x}", place.wrapping_add(n << 32));
        kept.home.ends(0, &["join", &storage.address().to_string(), "--at", &at]);
    }
    let is_even = || kept.home.prints(&["balance", "--plan"]) == "Nothing would be changed.";
    let user = User::of(&kept, 0);
    kept.waits_for("it is balanced", || kept.log().contains("is done with balancing"));
    user.ends_well();
    assert!(is_even(), "{}", kept.home.prints(&["balance", "--plan"]));

    let log = kept.log();
    let begins: Vec<&str> = log.lines().filter(|line| line.contains("begins balancing")).collect();
    assert_eq!(begins.len(), 1, "{log}");
    assert!(begins[0].contains(" keeps 1") && begins[0].contains(" % of its share"), "{log}");
    let done = log.lines().find(|line| line.contains("is done with balancing")).unwrap();
    let before = |unit: &str| -> f64 {
        let words = done.split(unit).next().unwrap().trim_end();
        words.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{unit}: {done}"))
    };
    let (bytes, seconds) = (before("bytes moved"), before(" ms") / 1_000.0);
    assert!(bytes > 1e6 && bytes / seconds < 1.2 * RATE, "{done}");
    assert!(kept.figure("sdht_moved_keys_total{cause=\"balance\"}") > 0);
}

#[test]
fn what_was_deleted_and_what_has_expired_is_swept() {
    let kept = kept(3, &[]);
    for n in 0..60 {
        let call = Call::put(&format!("/v1/kv/{n}"), n.to_string());
        let call = if n < 20 { call.with("sdht-ttl", "1") } else { call };
        assert_eq!(kept.call(&call).status, 201);
    }
    thread::sleep(Duration::from_millis(1_500));
    for n in 20..40 {
        assert_eq!(kept.call(&Call::delete(&format!("/v1/kv/{n}"))).status, 204);
    }
    kept.waits_for("all that is dead is swept", || {
        kept.figure("sdht_repairs_total{kind=\"swept\"}") >= 40
    });
    assert!(kept.log().contains("dead keys swept"), "{}", kept.log());
    for n in 0..60 {
        let status = if n < 40 { 404 } else { 200 };
        assert_eq!(kept.call(&Call::get(&format!("/v1/kv/{n}"))).status, status, "{n}");
    }
    assert!(!told_on_the_page(&kept).contains("sweeping"), "that is everyday work");
}

#[test]
fn a_join_that_was_killed_in_the_middle_is_finished() {
    let kept = kept(3, &[]);
    kept.home.ends(0, &["load", "60", "--value-size", "60000"]);
    let (_dir, fourth) = process::fresh();
    let address = fourth.address().to_string();
    let mut join = kept.home.begin(&["join", &address, "--max-rate", "300KiB"]);
    kept.waits_for("it is being filled", || kept.ring().0.contains(&address));
    join.kill().unwrap();
    join.wait().unwrap();
    assert!(!kept.ring().1, "it was killed too late to leave anything half done");
    kept.waits_for("it is finished", || kept.log().contains("is done with finishing"));
    let (storages, whole) = kept.ring();
    assert!(storages.contains(&address) && storages.len() == 4 && whole);
    assert!(kept.log().contains("begins finishing what was begun"), "{}", kept.log());
    assert_eq!(kept.home.sdht(&["status"]).code, 0);
    assert_eq!(kept.evictions(), 0);
}
