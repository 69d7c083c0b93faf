//! `sdht repair` leaves nothing behind: all copies alike, and nothing dead.

use sdht_tests::{
    command::Home,
    http::Call,
    process::{self, Process},
};
use tempfile::TempDir;

fn ring_of_three() -> (Home, Vec<(TempDir, Process)>) {
    let storages: Vec<_> = (0..3).map(|_| process::fresh()).collect();
    let home = Home::default();
    let addresses: Vec<String> = storages.iter().map(|s| s.1.address().to_string()).collect();
    home.ends(0, &["join", &addresses[0], &addresses[1], &addresses[2]]);
    (home, storages)
}

/// Deleted keys that the storages still hold a record of, all together.
fn tombstones(storages: &[(TempDir, Process)]) -> u64 {
    let of = |storage: &Process| {
        let info = storage.call(&Call::get("/nodeinfo"));
        let info: serde_json::Value = serde_json::from_slice(&info.body).unwrap();
        info["tombstones"].as_u64().unwrap()
    };
    storages.iter().map(|(_, storage)| of(storage)).sum()
}

#[test]
fn after_a_repair_no_deleted_key_is_left_on_any_disk() {
    let (home, storages) = ring_of_three();
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
