//! A storage beside the door: `sdht serve --with-storage`, from its start to its leaving.

use sdht_tests::{
    command::{Home, interrupt},
    http::{Call, Connection, Reply},
    process, wait_until,
};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::Child,
};

/// A door, and what it says.
struct Door {
    child: Option<Child>,
    port: u16,
}

/// So many ports that nobody listens on. Somebody else could take one before we do; then the test fails and says so.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn open(home: &Home, port: u16, flags: &[&str]) -> Door {
    let port_text = port.to_string();
    let line = [&["serve", "-p", &port_text, "--workers", "1"], flags].concat();
    let mut door = Door { child: Some(home.begin(&line)), port };
    wait_until("the door is open", process::LIMIT, || {
        let ended = door.child.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "{flags:?}: {}", interrupt(door.child.take().unwrap()));
        door.try_call(&Call::get("/readyz")).is_some_and(|reply| reply.status == 200)
    });
    door
}

impl Door {
    fn try_call(&self, call: &Call) -> Option<Reply> {
        Connection::open(SocketAddr::from(([127, 0, 0, 1], self.port))).ok()?.call(call).ok()
    }

    fn call(&self, call: &Call) -> Reply {
        self.try_call(call).expect("the door answers")
    }

    fn close(mut self) -> sdht_tests::command::Told {
        interrupt(self.child.take().unwrap())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Asked, not killed, or the storage beside it would stay.
        if let Some(child) = self.child.take() {
            drop(interrupt(child));
        }
    }
}

fn listens(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_err()
}

#[test]
fn a_storage_beside_the_door_comes_in_and_hands_over_before_it_goes() {
    let home = Home::default();
    let [door, first, second, another] = free_ports();
    let [first_text, second_text] = [first, second].map(|port| port.to_string());
    let founder = open(&home, door, &["--with-storage", &first_text]);
    for n in 0..50 {
        let put = founder.call(&Call::put(&format!("/v1/kv/key{n}"), "value"));
        assert_eq!(put.status, 201, "{put:?}");
    }
    let ring = format!("127.0.0.1:{first}");
    home.ends(0, &["copies", "1", "--ring", &ring]);
    let flags = ["--with-storage", &second_text, "--data", "second", "--leave-on-exit"];
    let flags = [&flags[..], &["--ring", &ring]].concat();
    let guest = open(&home, another, &flags);
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
    assert!(!listens(second) && !listens(another), "nothing of it runs on");
    assert!(home.path().join("second").is_dir(), "its directory stays");
    let keys = founder.call(&Call::get("/v1/kv")).text();
    assert_eq!(keys.lines().count(), 50, "{keys}");

    // It comes back with what is left in its directory.
    let guest = open(&home, another, &flags);
    assert_eq!(guest.call(&Call::get("/v1/kv/key7")).text(), "value");
    assert!(guest.close().err.contains("has left the ring"));

    // Without the wish to leave it stays in the ring, and its data where it is.
    let told = founder.close();
    assert!(told.code == 0 && !told.err.contains("hands over"), "{told}");
    assert!(!listens(first), "the storage ended with its door");
    let founder = open(&home, door, &["--with-storage", &first_text]);
    assert_eq!(founder.call(&Call::get("/v1/kv/key49")).text(), "value");
}

#[test]
fn the_last_storage_says_that_it_cannot_hand_anything_over() {
    let home = Home::default();
    let [door, port] = free_ports();
    let flags = ["--with-storage", &port.to_string(), "--leave-on-exit"];
    let told = open(&home, door, &flags).close();
    assert!(told.code == 4 && told.err.contains("still in the ring"), "{told}");
    assert!(told.err.contains("its data stays") && !listens(port), "{told}");
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
    let out = std::process::Command::new(&lonely)
        .args(["serve", "-p", "0", "--with-storage", &port.to_string()])
        .env("PATH", home.path())
        .env("HOME", home.path())
        .output()
        .unwrap();
    let told = sdht_tests::command::Told::of(out);
    assert!(told.code == 1 && told.err.contains("minor-storage is neither in"), "{told}");

    // Not a directory: the storage itself says why it does not start.
    fs::write(home.path().join("file"), "").unwrap();
    let line = ["serve", "-p", "0", "--with-storage", &port.to_string(), "--data", "file"];
    let told = home.ends(1, &line);
    assert!(told.err.contains("did not start") && told.err.contains("file.log"), "{told}");
}
