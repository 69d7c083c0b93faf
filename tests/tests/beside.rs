//! A storage beside the door: `sdht serve --with-storage`, from its start to its leaving.

use rustix::process::{Pid, Signal, kill_process};
use sdht_tests::{
    command::{Home, Told},
    door::Door,
    http::Call,
    process::{self, Launch},
    wait_until,
};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::Instant,
};

/// So many ports that nobody listens on. Somebody else could take one before we do; then the test fails and says so.
fn free_ports<const N: usize>() -> [String; N] {
    let held = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port().to_string())
}

fn open(home: &Home, flags: &[&str]) -> Door {
    Door::open(home, &[&["--workers", "1"], flags].concat())
}

fn listens(port: &str) -> bool {
    TcpListener::bind(("127.0.0.1", port.parse().unwrap())).is_err()
}

#[test]
fn a_storage_beside_the_door_comes_in_and_hands_over_before_it_goes() {
    let home = Home::default();
    let [first, second] = free_ports();
    let founder = open(&home, &["--with-storage", &first]);
    for n in 0..50 {
        let put = founder.call(&Call::put(&format!("/v1/kv/key{n}"), "value"));
        assert_eq!(put.status, 201, "{put:?}");
    }
    let ring = format!("127.0.0.1:{first}");
    home.ends(0, &["copies", "1", "--ring", &ring]);
    let flags = ["--with-storage", &second, "--data", "second", "--leave-on-exit"];
    let flags = [&flags[..], &["--ring", &ring]].concat();
    let guest = open(&home, &flags);
    let moved = |door: &Door, cause: &str| {
        let metrics = door.call(&Call::get("/metrics")).text();
        let name = format!("sdht_moved_keys_total{{cause=\"{cause}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("{metrics}")).parse::<u64>().unwrap()
    };
    assert!(moved(&guest, "join") > 0, "half of the keys went to the storage beside this door");
    assert_eq!(moved(&founder, "join"), 0, "and another door did it");
    home.ends(0, &["status", "--ring", &ring]);
    assert_eq!(guest.call(&Call::get("/v1/kv/key7")).text(), "value");

    let told = guest.close();
    assert!(told.code == 0 && told.err.contains("has left the ring"), "{told}");
    assert!(!listens(&second), "nothing of it runs on");
    assert!(home.path().join("second").is_dir(), "its directory stays");
    let keys = founder.call(&Call::get("/v1/kv")).text();
    assert_eq!(keys.lines().count(), 50, "{keys}");

    // It comes back with what is left in its directory.
    let guest = open(&home, &flags);
    assert_eq!(guest.call(&Call::get("/v1/kv/key7")).text(), "value");
    assert!(guest.close().err.contains("has left the ring"));

    // Without the wish to leave it stays in the ring, and its data where it is.
    let told = founder.close();
    assert!(told.code == 0 && !told.err.contains("hands over"), "{told}");
    assert!(!listens(&first), "the storage ended with its door");
    let founder = open(&home, &["--with-storage", &first]);
    assert_eq!(founder.call(&Call::get("/v1/kv/key49")).text(), "value");
}

#[test]
fn the_last_storage_says_that_it_cannot_hand_anything_over() {
    let home = Home::default();
    let [port] = free_ports();
    let told = open(&home, &["--with-storage", &port, "--leave-on-exit"]).close();
    assert!(told.code == 4 && told.err.contains("still in the ring"), "{told}");
    assert!(told.err.contains("its data stays") && !listens(&port), "{told}");
}

#[test]
fn what_stands_in_the_way_of_a_storage_is_said() {
    let home = Home::default();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let told = home.ends(1, &["serve", "-p", "0", "--with-storage", &port]);
    assert!(told.err.contains(&port) && told.err.contains("another port"), "{told}");
    for alone in [&["--leave-on-exit"][..], &["--data", "dir"]] {
        let told = home.ends(2, &[&["serve"], alone].concat());
        assert!(told.err.contains("--with-storage"), "{told}");
    }

    // The command alone in a directory, and nothing on the PATH.
    let lonely = home.path().join("sdht");
    let ours = home.command(&[]).get_program().to_owned();
    fs::copy(ours, &lonely).unwrap();
    let [port] = free_ports();
    let out = Command::new(&lonely)
        .args(["serve", "-p", "0", "--with-storage", &port])
        .env("PATH", home.path())
        .env("HOME", home.path())
        .output()
        .unwrap();
    let told = Told::of(out);
    assert!(told.code == 1 && told.err.contains("minor-storage is neither in"), "{told}");

    // Not a directory: the storage itself says why it does not start.
    fs::write(home.path().join("file"), "").unwrap();
    let line = ["serve", "-p", "0", "--with-storage", &port, "--data", "file"];
    let told = home.ends(1, &line);
    assert!(told.err.contains("did not start") && told.err.contains("file.log"), "{told}");
}

#[test]
fn a_storage_comes_back_though_another_one_is_away() {
    let (home, guests) = (Home::default(), [process::fresh(), process::fresh()]);
    let [port] = free_ports();
    let [(_one, first), (dir, mut second)] = guests;
    let away = second.address();
    let others = format!("{},{away}", first.address());
    home.ends(0, &["join", &first.address().to_string(), &away.to_string(), "--copies", "2"]);
    let flags = ["--with-storage", &port, "--ring", &others];
    let door = open(&home, &flags);
    for n in 0..30 {
        assert_eq!(door.call(&Call::put(&format!("/v1/kv/key{n}"), "value")).status, 201);
    }
    door.close();
    second.kill9();

    let begun = Instant::now();
    let door = open(&home, &flags);
    assert!(begun.elapsed() < process::LIMIT, "{}", door.log());
    let waits = || door.log().contains("is not wholly in the ring yet");
    wait_until("it says what it waits for", process::LIMIT, waits);
    let log = door.log();
    assert!(log.contains(&away.to_string()) && log.contains("runs on"), "{log}");
    let is_served = |n: &i32| door.call(&Call::get(&format!("/v1/kv/key{n}"))).status == 200;
    let place = (0..30).find(|n| kept_without(&home, &others, &format!("key{n}"), away));
    let kept = place.expect("one key in three is kept by the two that are there");
    assert!(is_served(&kept), "what has a majority is served: key{kept}\n{}", door.log());

    // At the same place, where the others look for it.
    let _second = Launch::on(&dir.path().join("data")).at_port(away.port()).serve();
    let in_order = || home.sdht(&["status", "--ring", &others]).code == 0;
    wait_until("all three are in the ring again", process::LIMIT, in_order);
    assert!((0..30).all(|n| is_served(&n)), "{}", door.log());
    let told = door.close();
    assert!(told.code == 0 && !listens(&port), "{told}");
}

/// Whether the storage at this address is none of those that keep the key.
fn kept_without(home: &Home, ring: &str, key: &str, address: SocketAddr) -> bool {
    let told = home.sdht(&["whereis", key, "--ring", ring]);
    assert_eq!(told.code, 0, "{told}");
    !told.text().contains(&address.to_string())
}

#[test]
fn a_door_opens_before_its_ring_is_there_and_comes_to_it_later() {
    let home = Home::default();
    let [first, second] = free_ports();
    let ring = format!("127.0.0.1:{first}");
    let flags = ["--with-storage", &second, "--data", "second", "--ring", &ring];
    let guest = open(&home, &flags);
    assert_eq!(guest.call(&Call::get("/readyz")).status, 503);
    assert!(listens(&second), "its storage runs on");
    assert!(guest.log().contains("is not wholly in the ring yet"), "{}", guest.log());

    let founder = open(&home, &["--with-storage", &first, "--ring", &ring]);
    assert_eq!(founder.call(&Call::put("/v1/kv/k", "value")).status, 201);
    let served = || guest.call(&Call::get("/v1/kv/k")).status == 200;
    wait_until("the guest has come to the ring", process::LIMIT, served);
    let both = format!("127.0.0.1:{second}");
    let is_in = || home.sdht(&["status", "--ring", &ring]).text().contains(&both);
    wait_until("its storage is in the ring", process::LIMIT, is_in);
}

/// The process that serves from this directory.
fn process_on(data: &Path) -> Pid {
    let lock = fs::read_to_string(data.join("lock")).unwrap();
    Pid::from_raw(lock.trim().parse().unwrap()).unwrap()
}

#[test]
fn a_storage_that_is_killed_is_started_again() {
    let home = Home::default();
    let [port] = free_ports();
    let door = open(&home, &["--with-storage", &port, "--data", "its"]);
    assert_eq!(door.call(&Call::put("/v1/kv/k", "value")).status, 201);
    let killed = process_on(&home.path().join("its"));
    kill_process(killed, Signal::KILL).unwrap();
    let is_told = || door.log().contains("nobody here asked it to");
    wait_until("the door says that its storage ended", process::LIMIT, is_told);
    let is_served = || door.call(&Call::get("/v1/kv/k")).status == 200;
    wait_until("what it keeps is served again", process::LIMIT, is_served);
    assert_ne!(process_on(&home.path().join("its")), killed);
    assert_eq!(door.log().matches("nobody here asked it to").count(), 1, "{}", door.log());
    let told = door.close();
    assert!(told.code == 0 && !listens(&port), "{told}");
}

#[test]
fn a_storage_ends_with_a_door_that_is_killed_and_comes_back_with_the_next() {
    let home = Home::default();
    let [port] = free_ports();
    let flags = ["--with-storage", &port, "--data", "its"];
    let door = open(&home, &flags);
    assert_eq!(door.call(&Call::put("/v1/kv/k", "value")).status, 201);
    door.kill9();
    // At once: the storage of the killed one may still be ending.
    let door = open(&home, &flags);
    assert_eq!(door.call(&Call::get("/v1/kv/k")).text(), "value");
    door.kill9();
    wait_until("nobody is left", process::LIMIT, || !listens(&port));
    let log = fs::read_to_string(home.path().join("its.log")).unwrap();
    assert!(log.contains("whoever started it is gone"), "{log}");
}

#[test]
fn what_a_storage_kept_by_itself_is_brought_in_or_dropped_as_was_said() {
    let home = Home::default();
    let [first, second] = free_ports();
    let founder = open(&home, &["--with-storage", &first]);
    let mut alone = Launch::on(&home.path().join("second")).serve();
    assert_eq!(alone.call(&Call::put("/v1/kv/mine", "value")).status, 201);
    alone.terminate();
    let ring = format!("127.0.0.1:{first}");
    let flags = ["--with-storage", &second, "--data", "second", "--ring", &ring];
    let told = home.ends(4, &[&["serve", "-p", "0"], &flags[..]].concat());
    assert!(told.err.contains("--import") && told.err.contains("--discard"), "{told}");
    assert!(told.err.contains("what it keeps stays in second") && !listens(&second), "{told}");

    let brought = [&flags[..], &["--import"]].concat();
    let guest = open(&home, &brought);
    // A door opens before its storage has come in, if that takes long.
    let is_shown = |door: &Door| door.call(&Call::get("/v1/kv/mine")).text() == "value";
    wait_until("it is brought in", process::LIMIT, || is_shown(&founder));
    guest.close();
    // A service says the same at each start.
    let again = open(&home, &brought);
    wait_until("it is there again", process::LIMIT, || is_shown(&again));
}

#[test]
fn a_storage_listens_where_its_door_does() {
    let home = Home::default();
    let [port] = free_ports();
    let door = open(&home, &["--bind", "127.0.0.5", "--with-storage", &port]);
    let address = format!("127.0.0.5:{port}");
    assert!(!listens(&port) && TcpListener::bind(&*address).is_err(), "{}", door.log());
    let status = home.sdht(&["status", "--ring", &address]);
    assert!(status.text().contains(&address), "{status}");
}

#[test]
fn a_ring_of_several_machines_lets_nobody_in_who_is_reached_from_one_alone() {
    let home = Home::default();
    let [first, second] = free_ports();
    // On this machine it is reached there, and it is no address of this machine alone.
    let elsewhere = format!("0.0.0.0:{first}");
    let data = home.path().join("first");
    let launch = Launch::on(&data).at_port(first.parse().unwrap());
    let _founder = launch.with(&["--advertise", &elsewhere]).serve();
    home.ends(0, &["join", &elsewhere]);
    let line = ["serve", "-p", "0", "--with-storage", &second, "--ring", &elsewhere];
    let told = home.ends(4, &line);
    let why = format!("127.0.0.1:{second} is reached from its own machine alone");
    assert!(told.err.contains(&why) && told.err.contains("MINOR_STORAGE_ADVERTISE"), "{told}");
    let status = home.sdht(&["status", "--ring", &elsewhere]).text();
    assert!(status.contains(&elsewhere) && !status.contains(&second), "{status}");
}
