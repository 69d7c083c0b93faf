//! The keeper among real processes: storages that are killed and stopped under users who come through a door.

use sdht_tests::{
    command::Home,
    http::{Call, Connection, Reply},
    process::{self, Launch, Process},
    wait_until,
};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::Child,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// When a storage is dead, in these tests.
const DEAD_AFTER: Duration = Duration::from_secs(4);

/// A ring, a door to it with a keeper, and the home of whoever opened it.
struct Kept {
    home: Home,
    storages: Vec<(TempDir, Process)>,
    door: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.door.kill();
        let _ = self.door.wait();
    }
}

fn kept(count: usize, flags: &[&str]) -> Kept {
    let storages: Vec<(TempDir, Process)> = (0..count).map(|_| process::fresh()).collect();
    let addresses: Vec<String> = storages.iter().map(|s| s.1.address().to_string()).collect();
    let home = Home::default();
    let mut join = vec!["join"];
    join.extend(addresses.iter().map(String::as_str));
    home.ends(0, &join);
    let dead_after = format!("{}s", DEAD_AFTER.as_secs());
    let ring = addresses.join(",");
    let mut serve = vec!["serve", "-p", "0", "--ring", &ring, "--dead-after", &dead_after];
    serve.extend(flags);
    let mut door = home.begin(&serve);
    let mut said = BufReader::new(door.stderr.take().expect("stderr is piped"));
    let mut line = String::new();
    while !line.contains("listening on http://") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the door did not open");
    }
    let place = line.split("http://").nth(1).unwrap().trim_end().trim_end_matches('/');
    let address = place.parse().unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&log);
    thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            into.lock().unwrap().push_str(&format!("{line}\n"));
        }
    });
    Kept { home, storages, door, address, log }
}

impl Kept {
    fn call(&self, call: &Call) -> Reply {
        Connection::open(self.address).unwrap().call(call).unwrap()
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn figure(&self, name: &str) -> u64 {
        let text = self.call(&Call::get("/metrics")).text();
        let line = text.lines().find(|line| line.starts_with(name));
        let figure = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        figure.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
    }

    fn evictions(&self) -> u64 {
        self.figure("sdht_keeper_actions_total{action=\"evict\"}")
    }

    /// The addresses of the ring's storages, and whether every arc has all of its copies.
    fn ring(&self) -> (Vec<String>, bool) {
        let ring = self.call(&Call::get("/v1/ring")).json();
        let address = |one: &serde_json::Value| one["address"].as_str().unwrap().to_owned();
        let storages = ring["storages"].as_array().unwrap().iter().map(address).collect();
        let whole = ring["arcs"].as_array().unwrap().iter().all(|arc| arc["redundant"] == true);
        (storages, whole)
    }

    /// A storage that was killed comes back, at its old address and with its old data.
    fn start_again(&mut self, n: usize) {
        let (dir, storage) = &mut self.storages[n];
        *storage = Launch::on(&dir.path().join("data")).at_port(storage.address().port()).serve();
    }

    fn waits_for(&self, what: &str, true_now: impl FnMut() -> bool) {
        let begin = Instant::now();
        let mut true_now = true_now;
        while !true_now() {
            let waited = begin.elapsed();
            assert!(waited < process::LIMIT, "waited {waited:?} until {what}:\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A user who sets keys and reads them back, through the door, until told to stop. Whatever is not as it was set, or is
/// answered with a failure, is told at the end.
struct User {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    task: JoinHandle<Vec<String>>,
}

impl User {
    fn of(kept: &Kept, name: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::default()), Arc::new(AtomicU64::default()));
        let (stopped, counted, address) = (Arc::clone(&stop), Arc::clone(&done), kept.address);
        let task = thread::spawn(move || {
            let mut wrong = vec![];
            let mut line = Connection::open(address).unwrap();
            for round in 0_u64.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (place, value) = (format!("/v1/kv/{name}/{}", round % 50), round.to_string());
                match line.call(&Call::put(&place, value.as_str())) {
                    Ok(reply) if reply.status < 300 => {}
                    // What nobody can tell of may be read either way.
                    other => {
                        wrong.push(format!("PUT {place}: {other:?}"));
                        continue;
                    }
                }
                match line.call(&Call::get(&place)) {
                    Ok(reply) if reply.text() == value => {}
                    other => wrong.push(format!("GET {place} should be {value}: {other:?}")),
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            wrong
        });
        Self { stop, done, task }
    }

    /// Lets it do so many rounds more.
    fn goes_on(&self, rounds: u64) {
        let before = self.done.load(Ordering::Relaxed);
        wait_until("a user goes on", process::LIMIT, || {
            self.done.load(Ordering::Relaxed) >= before + rounds
        });
    }

    fn ends_well(self) {
        self.stop.store(true, Ordering::Relaxed);
        let wrong = self.task.join().unwrap();
        assert!(wrong.is_empty(), "{} requests went wrong: {:#?}", wrong.len(), &wrong[..1]);
    }
}

#[test]
fn one_of_five_is_killed_under_load_and_the_keeper_restores_all_copies() {
    let mut kept = kept(5, &[]);
    let users: Vec<User> = (0..4).map(|name| User::of(&kept, name)).collect();
    users.iter().for_each(|user| user.goes_on(50));
    let dead = kept.storages[2].1.address().to_string();
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
    let dead = kept.storages[2].1.address().to_string();
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
