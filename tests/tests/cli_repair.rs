//! `sdht repair` leaves nothing behind: all copies alike, and nothing dead.

use sdht_tests::{
    http::Call,
    process::{Launch, Process},
    rings::{Storage, ring_of},
};

/// Deleted keys that the storages still hold a record of, all together.
fn tombstones(storages: &[Storage]) -> u64 {
    let of = |storage: &Process| {
        let info = storage.call(&Call::get("/nodeinfo"));
        let info: serde_json::Value = serde_json::from_slice(&info.body).unwrap();
        info["tombstones"].as_u64().unwrap()
    };
    storages.iter().map(|(_, storage)| of(storage)).sum()
}

#[test]
fn after_a_repair_no_deleted_key_is_left_on_any_disk() {
    let (home, storages) = ring_of(3);
    for key in ["a", "b", "c", "d"] {
        home.ends(0, &["set", key, "v"]);
    }
    home.ends(0, &["del", "a", "b", "c"]);
    // A majority is enough for a deletion; the third may not have heard of it yet.
    assert!(tombstones(&storages) >= 2 * 3);
    let told = home.ends(0, &["repair"]);
    assert!(told.text().contains("3 dead keys and 0 orphaned pieces were swept"), "{told}");
    assert_eq!(tombstones(&storages), 0);
    assert_eq!(home.prints(&["keys"]), "d");
    let again = &home.ends(0, &["repair", "--json"]).json()[0];
    assert_eq!((&again["swept_keys"], &again["swept_pieces"]), (&0.into(), &0.into()));
}

#[test]
fn a_storage_that_missed_some_writes_is_levelled_and_the_dead_go_after_that() {
    let (home, mut storages) = ring_of(3);
    for key in ["kept", "replaced", "deleted"] {
        home.ends(0, &["set", key, "before"]);
    }
    storages[2].1.kill9();
    home.ends(0, &["set", "replaced", "after"]);
    home.ends(0, &["set", "new", "after"]);
    home.ends(0, &["del", "deleted"]);
    // Who is away might bring the value back: what is dead stays as long as that.
    home.ends(8, &["repair"]);
    assert_eq!(tombstones(&storages[..2]), 2);
    let (at, data) = (storages[2].1.address().port(), storages[2].0.path().join("data"));
    storages[2].1 = Launch::on(&data).at_port(at).serve();
    let told = home.ends(0, &["repair"]);
    assert!(told.text().contains("1 dead keys"), "{told}");
    assert_eq!(tombstones(&storages), 0);
    for (key, value) in [("kept", "before"), ("replaced", "after"), ("new", "after")] {
        let seen = &home.ends(0, &["whereis", key, "--check", "--json"]).json()[0];
        let stamps: Vec<&str> = seen["storages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["stamp"].as_str().unwrap())
            .collect();
        assert!(seen["agree"] == true && stamps.len() == 3, "{seen}");
        assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "{seen}");
        assert_eq!(home.prints(&["get", key]), value);
    }
    home.ends(3, &["get", "deleted"]);
}
