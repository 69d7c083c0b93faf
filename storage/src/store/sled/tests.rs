//! What only the engine's own file can show: how faults and panics inside sled come out.

use super::*;

#[test]
fn a_panic_inside_sled_ends_the_store_with_the_panics_words() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path(), Options::default()).unwrap();
    store.put(Tree::Rest, b"key", Some(b"value")).unwrap();
    store.commit().wait().unwrap();

    let fault =
        store.engine.guard::<()>("testing", || panic!("page {} is missing", 7)).unwrap_err();
    assert_eq!(fault, Fault::Damage { what: "panic while testing: page 7 is missing".into() });
    assert_eq!(store.put(Tree::Rest, b"key", None), Err(fault.clone()));
    assert_eq!(store.commit().wait(), Err(fault.clone()));
    assert_eq!(store.health(), Err(fault.clone()));
    assert_eq!(store.close(b""), Err(fault));
    assert_eq!(store.get(Tree::Rest, b"key").unwrap().unwrap(), b"value");
}

#[test]
fn a_fault_met_by_one_is_told_to_all_who_wait() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path(), Options::default()).unwrap();
    let (tell, commit) = Commit::waiting();
    let fault = store.engine.stick(Fault::Disk { doing: "testing", why: "smoke".into() });
    store.asks.send(Ask::Durable(tell)).unwrap();
    assert_eq!(commit.wait(), Err(fault.clone()));
    assert_eq!(store.engine.stick(Fault::Closed), Fault::Closed);
    assert_eq!(store.health(), Err(fault), "the first fault stays");
}
