//! The door of a ring of real processes, as curl comes to it.

use sdht_tests::{
    command::Home,
    door::Door,
    http::{Call, Connection, Reply, Wanted},
    process,
    rings::{self, Storage, address, addresses, joined, ring_of, wiped},
    wait_until,
};
use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A ring of three storages and a door to it.
struct Open {
    door: Door,
    address: SocketAddr,
    storages: Vec<Storage>,
    _home: Home,
}

fn open(flags: &[&str]) -> Open {
    let (home, storages) = ring_of(3);
    let door = Door::open(&home, &[&["--ring", &address(&storages[0])], flags].concat());
    Open { address: door.address(), door, storages, _home: home }
}

impl Open {
    fn call(&self, call: &Call) -> Reply {
        self.door.call(call)
    }

    fn at(&self, place: &str) -> String {
        self.door.at(place)
    }

    /// What curl prints: the body, and the status on a line of its own.
    fn curl(&self, arguments: &[&str], place: &str) -> (u16, String) {
        let out = curl_fed(arguments, &self.at(place), b"");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{out:?}"));
        (status.parse().unwrap(), body.to_owned())
    }
}

fn curl_fed(arguments: &[&str], url: &str, input: &[u8]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-w", "\n%{http_code}"]).args(arguments).arg(url);
    curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = curl.spawn().expect("curl is there");
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let feed = thread::spawn(move || drop(stdin.write_all(&input)));
    let out = child.wait_with_output().unwrap();
    feed.join().unwrap();
    out
}

#[test]
fn curl_alone_does_everything() {
    let open = open(&[]);
    let put =
        |more: &[&str], place| open.curl(&[&["-X", "PUT", "-d", "hello"], more].concat(), place);
    assert_eq!(put(&["-H", "Content-Type: text/plain"], "/v1/kv/a/key").0, 201);
    assert_eq!(put(&["-H", "Content-Type: text/plain"], "/v1/kv/a/key").0, 204);
    assert_eq!(open.curl(&[], "/v1/kv/a%2Fkey"), (200, "hello".into()));
    assert_eq!(open.curl(&["-r", "1-3"], "/v1/kv/a/key"), (206, "ell".into()));
    assert_eq!(open.curl(&["-r", "9-"], "/v1/kv/a/key").0, 416);
    assert_eq!(put(&["-H", "If-None-Match: *"], "/v1/kv/a/key").0, 412);
    assert_eq!(put(&["-H", "If-None-Match: *"], "/v1/kv/once").0, 201);
    assert_eq!(put(&["-H", "Transfer-Encoding: chunked"], "/v1/kv/in-chunks").0, 201);
    assert_eq!(put(&["-H", "Expect: 100-continue"], "/v1/kv/asked-before").0, 201);
    assert_eq!(open.curl(&[], "/v1/kv/asked-before"), (200, "hello".into()));

    let got = open.call(&Call::get("/v1/kv/a/key"));
    let (tag, kind) = (got.header("etag").unwrap(), got.header("content-type"));
    assert_eq!((kind, got.header("x-content-type-options")), (Some("text/plain"), Some("nosniff")));
    let matches = format!("If-Match: {tag}");
    assert_eq!(open.curl(&["-H", &format!("If-None-Match: {tag}")], "/v1/kv/a/key").0, 304);
    assert_eq!(put(&["-H", &matches], "/v1/kv/a/key").0, 204);
    assert_eq!(put(&["-H", &matches], "/v1/kv/a/key").0, 412, "it is another one by now");
    let head = open.call(&Call::new("HEAD", "/v1/kv/a/key"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    for range in ["bytes=1-3", "bytes=9-"] {
        let head = open.call(&Call::new("HEAD", "/v1/kv/a/key").with("range", range));
        let (length, part) = (head.header("content-length"), head.header("content-range"));
        assert_eq!((head.status, length, part), (200, Some("5"), None), "Range is for GET");
    }

    assert_eq!(put(&["-H", "Sdht-Ttl: 1"], "/v1/kv/brief").0, 201);
    wait_until("a brief value is gone", process::LIMIT, || open.curl(&[], "/v1/kv/brief").0 == 404);
    let seen = open.call(&Call::get("/v1/whereis/brief?check=1")).json();
    let shows = |copy: &serde_json::Value| copy["expired"] == true && copy["bytes"].is_null();
    assert!(seen["storages"].as_array().unwrap().iter().all(shows), "{seen}");
    assert_eq!(open.curl(&["-X", "DELETE"], "/v1/kv/brief").0, 404, "it was gone already");
    let twice = Call::put("/v1/kv/twice", "v").with("sdht-ttl", "1").with("sdht-ttl", "2");
    assert_eq!(open.call(&twice).status, 400);

    let (status, keys) = open.curl(&[], "/v1/kv?prefix=a");
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort_unstable();
    assert_eq!(
        (status, &keys[..]),
        (200, &["{\"key\":\"a/key\"}", "{\"key\":\"asked-before\"}"][..])
    );
    let (_, first) = open.curl(&[], "/v1/kv?limit=1");
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    let (_, rest) = open.curl(&[], &format!("/v1/kv?after={}", first["key"].as_str().unwrap()));
    assert_eq!(rest.lines().count(), 3, "four keys are there: {rest}");

    assert_eq!(open.curl(&["-X", "DELETE"], "/v1/kv/a/key").0, 204);
    assert_eq!(open.curl(&["-X", "DELETE"], "/v1/kv/a/key").0, 404);
    assert_eq!(open.curl(&[], "/v1/kv/a/key").0, 404);
    let told = open.door.close();
    assert_eq!(told.code, 0, "Ctrl-C closes the door in order");
}

#[test]
fn a_long_value_passes_through_and_any_part_of_it_comes_back() {
    let open = open(&[]);
    let long: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for placed in ["201", "204"] {
        let put =
            curl_fed(&["-T", "-", "-H", "Content-Type: image/raw"], &open.at("/v1/kv/long"), &long);
        assert_eq!(put.stdout, format!("\n{placed}").as_bytes(), "{put:?}");
    }
    let got = open.call(&Call::get("/v1/kv/long"));
    assert_eq!((got.status, got.header("content-type")), (200, Some("image/raw")));
    assert!(got.body == long, "{} bytes came back", got.body.len());
    let part = open.call(&Call::get("/v1/kv/long").with("range", "bytes=1000000-1200000"));
    assert_eq!(
        (part.status, part.header("content-range")),
        (206, Some("bytes 1000000-1200000/3000000"))
    );
    assert!(part.body == long[1_000_000..=1_200_000]);
    for range in ["", "bytes=1-3"] {
        let head = open.call(&Call::new("HEAD", "/v1/kv/long").with("range", range));
        assert_eq!((head.status, head.header("content-length")), (200, Some("3000000")));
    }
    let refused = open.call(&Call::put("/v1/kv/long", long.clone()).with("if-none-match", "*"));
    assert_eq!(refused.status, 412);
    let short = open.call(&Call::put("/v1/kv/long", "short"));
    assert_eq!(short.status, 204);
    assert_eq!(open.call(&Call::get("/v1/kv/long")).text(), "short");
    assert_eq!(open.curl(&[], "/v1/kv").1, "{\"key\":\"long\"}\n", "no piece is shown as a key");
}

#[test]
fn a_batch_is_answered_in_its_order() {
    let open = open(&[]);
    let post = |lines: &str| {
        let call = Call::post("/v1/batch", lines).with("content-type", "application/x-ndjson");
        let reply = open.call(&call);
        assert_eq!(reply.status, 200, "{reply:?}");
        let told = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        reply.text().lines().map(told).collect::<Vec<_>>()
    };
    let told = post(
        "{\"op\":\"set\",\"key\":\"a\",\"value\":\"text\",\"if_none_match\":\"*\"}\n\
         {\"op\":\"set\",\"key\":\"b\",\"base64\":\"/w==\"}\n\
         {\"op\":\"get\",\"key\":\"nothing\"}\n\
         {\"op\":\"set\",\"key\":\"\",\"value\":\"\"}",
    );
    let statuses: Vec<_> = told.iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 404, 400]);
    let stamp = told[0]["stamp"].as_str().unwrap();
    let told = post(&format!(
        "{{\"op\":\"get\",\"key\":\"a\"}}\n{{\"op\":\"get\",\"key\":\"b\"}}\n\
         {{\"op\":\"set\",\"key\":\"c\",\"value\":\"\",\"if_match\":\"{stamp}\"}}"
    ));
    assert_eq!((told[0]["value"].as_str(), told[0]["stamp"].as_str()), (Some("text"), Some(stamp)));
    assert_eq!(told[1]["base64"].as_str(), Some("/w=="));
    assert_eq!(told[2]["status"].as_u64(), Some(412));
    let form = Call::post("/v1/batch", "").with("content-type", "text/plain");
    assert_eq!(open.call(&form).status, 415, "a page of another site could send that");
}

/// Sets so many keys, at most 1,000.
fn set_many(door: &Door, prefix: &str, keys: usize) {
    let set = |n| format!("{{\"op\":\"set\",\"key\":\"{prefix}{n}\",\"value\":\"v\"}}\n");
    let call = Call::post("/v1/batch", (0..keys).map(set).collect::<String>());
    let reply = door.call(&call.with("content-type", "application/x-ndjson"));
    assert_eq!(reply.text().matches("\"status\":201").count(), keys, "{reply:?}");
}

#[test]
fn all_keys_are_listed_unless_fewer_are_asked_for() {
    let open = open(&[]);
    set_many(&open.door, "one/", 1_000);
    set_many(&open.door, "two/", 200);
    let lines = |query: &str| open.curl(&[], &format!("/v1/kv{query}")).1.lines().count();
    assert_eq!(lines(""), 1_200);
    assert_eq!((lines("?prefix=two/"), lines("?limit=1100")), (200, 1_100));
    let (status, said) = open.curl(&[], "/v1/kv?Limit=1");
    assert_eq!(status, 400);
    assert!(said.contains("there is no `Limit`, but `prefix`, `after`, `limit`"), "{said}");
}

#[test]
fn a_listing_that_fails_in_the_middle_says_so_in_its_last_line_and_is_cut() {
    let mut storages = rings::storages(3);
    drop(joined(&storages, 1));
    let home = Home::default();
    let flags =
        ["--ring", &address(&storages[0]), "--no-keeper", "--workers", "1", "--timeout", "1s"];
    let door = Door::open(&home, &flags);
    set_many(&door, "", 300);
    let ring = door.call(&Call::get("/v1/ring")).json();
    // The last but the one that goes over the top, where a listing begins.
    let arcs = ring["arcs"].as_array().unwrap().iter();
    let arcs = arcs.filter(|arc| arc["from"].as_str() < arc["to"].as_str());
    let last = arcs.max_by_key(|arc| arc["to"].as_str().unwrap().to_owned()).unwrap();
    let dead = last["members"][0]["address"].as_str().unwrap();
    let dead = storages.iter().position(|storage| address(storage) == dead).unwrap();
    storages[dead].1.kill9();
    let out = curl_fed(&[], &door.at("/v1/kv"), b"");
    assert_eq!(out.status.code(), Some(18), "the connection is cut: {out:?}");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut lines = text.lines().filter(|line| line.starts_with('{'));
    let error = lines.next_back().unwrap();
    assert!(error.starts_with("{\"error\":\"the keys of ("), "{error}");
    assert!(error.contains("go on with after="), "{error}");
    assert!((1..300).contains(&lines.count()), "those before it are there: {text}");
}

#[test]
fn every_place_of_the_description_is_there() {
    let open = open(&[]);
    let described = open.call(&Call::get("/openapi.json")).json();
    let paths = described["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 19);
    for (path, methods) in paths {
        let place = path.replace("{key}", "some");
        let nothing = open.call(&Call::new("PATCH", &place));
        assert_eq!(nothing.status, 405, "{path}");
        let allowed = nothing.header("allow").unwrap().to_lowercase();
        for method in ["get", "put", "post", "delete"] {
            let is_described = methods.get(method).is_some();
            assert_eq!(
                allowed.split(", ").any(|one| one == method),
                is_described,
                "{method} {path}"
            );
            let mut line = Connection::open(open.address).unwrap();
            line.send_call(&Call::new(&method.to_uppercase(), &place)).unwrap();
            // The head tells all that is asked here, and events have no end.
            let reply = line.receive(Wanted::Head).unwrap();
            assert_eq!(reply.status != 405, is_described, "{method} {path}: {reply:?}");
            assert_ne!(reply.status, 500, "{method} {path}");
        }
    }
    let reply = open.call(&Call::get("/elsewhere").with("accept", "application/json"));
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (404, Some("application/problem+json"))
    );
    assert_eq!(open.call(&Call::get(&format!("/v1/kv/{}", "x".repeat(1_025)))).status, 414);
    assert_eq!(open.call(&Call::get("/v1/kv/%00hidden")).status, 400);
    let metrics = open.call(&Call::get("/metrics")).text();
    assert!(metrics.contains("sdht_under_copied_arcs 0"), "{metrics}");
    assert_eq!(metrics.matches("sdht_storage_up{").count(), 3, "{metrics}");
}

#[test]
fn a_lost_storage_is_no_lost_door_but_no_redundancy_either() {
    let mut open = open(&[]);
    assert_eq!(open.call(&Call::put("/v1/kv/kept", "value")).status, 201);
    assert_eq!(open.call(&Call::get("/readyz?redundant=1")).status, 200);
    let ring = open.call(&Call::get("/v1/ring")).json();
    assert_eq!(ring["storages"].as_array().unwrap().len(), 3);
    open.storages[2].1.kill9();
    assert_eq!(open.call(&Call::get("/readyz")).status, 200);
    assert_eq!(open.call(&Call::get("/readyz?redundant=1")).status, 503);
    assert_eq!(open.call(&Call::get("/v1/kv/kept")).text(), "value");
    assert_eq!(open.call(&Call::put("/v1/kv/kept", "other")).status, 204);
    let down = "sdht_storage_up{storage=\"".to_owned() + &address(&open.storages[2]) + "\"} 0";
    let metrics = open.call(&Call::get("/metrics")).text();
    assert!(metrics.contains(&down) && metrics.contains("sdht_under_copied_arcs 3"), "{metrics}");
}

#[test]
fn one_that_has_left_and_hangs_holds_up_nobody_who_asks_how_the_ring_is() {
    let (home, storages) = ring_of(4);
    let door = Door::open(&home, &["--ring", &address(&storages[0]), "--no-keeper"]);
    home.ends(0, &["remove", &address(&storages[3])]);
    storages[3].1.pause();
    let begun = Instant::now();
    // All of its workers, whatever each of them remembers.
    for _ in 0..4 {
        let reply = door.call(&Call::get("/readyz?redundant=1"));
        assert_eq!((reply.status, reply.text().as_str()), (200, "redundant\n"));
        assert!(door.call(&Call::get("/metrics")).text().contains("sdht_under_copied_arcs 0"));
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    storages[3].1.resume();
}

#[test]
fn a_listing_without_chunks_is_had_by_whoever_knows_none() {
    let open = open(&[]);
    for name in ["one", "two", "three"] {
        assert_eq!(open.call(&Call::put(&format!("/v1/kv/{name}"), "v")).status, 201);
    }
    let alone = process::fresh();
    for place in [open.at("/v1/kv"), format!("http://{}/v1/kv", address(&alone))] {
        let out = curl_fed(&["--http1.0", "-i"], &place, b"");
        let text = String::from_utf8_lossy(&out.stdout);
        let (head, lines) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        let mut lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.pop(), Some("200"), "{text}");
        assert!(lines.iter().all(|line| line.is_empty() || line.starts_with('{')), "{text}");
    }
}

#[test]
fn a_door_stays_with_its_ring_whatever_comes_to_live_there() {
    let mut open = open(&["--timeout", "1s", "--workers", "2"]);
    assert_eq!(open.call(&Call::put("/v1/kv/kept", "value")).status, 201);
    open.storages.iter_mut().for_each(wiped);
    let line = addresses(&open.storages);
    let line: Vec<&str> = ["join"].into_iter().chain(line.iter().map(|a| &**a)).collect();
    Home::default().ends(0, &line);
    for _ in 0..8 {
        let reply = open.call(&Call::get("/v1/kv/kept"));
        assert_eq!(reply.status, 503, "it is another ring's word that there is nothing: {reply:?}");
        let ready = open.call(&Call::get("/readyz"));
        assert_eq!(ready.status, 503, "{ready:?}");
        assert!(ready.text().contains("is of ring"), "{ready:?}");
    }
}

#[test]
fn without_a_majority_the_answer_is_503_and_come_back() {
    let mut open = open(&["--timeout", "1s"]);
    open.storages[1].1.kill9();
    open.storages[2].1.kill9();
    let reply = open.call(&Call::get("/v1/kv/any"));
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{reply:?}");
    assert_eq!(open.call(&Call::get("/livez")).status, 200);
}

#[test]
fn more_than_the_workers_take_is_refused_at_once() {
    for workers in ["1", "2"] {
        too_many_come(workers);
    }
}

fn too_many_come(workers: &str) {
    let open = open(&["--workers", workers, "--timeout", "20s"]);
    // An upload that does not go on is being worked on.
    let slow = |n: usize| {
        let mut slow = Connection::open(open.address).unwrap();
        let head = format!(
            "PUT /v1/kv/slow{n} HTTP/1.1\r\nhost: {}\r\ncontent-length: 9\r\n\r\n",
            open.address
        );
        slow.send(head.as_bytes()).unwrap();
        slow
    };
    let mut slow_ones: Vec<Connection> = (0..512).map(slow).collect();
    let mut refused = None;
    wait_until("the workers are busy", process::LIMIT, || {
        let reply = open.call(&Call::get("/v1/kv/any"));
        refused = (reply.status == 503).then_some(reply);
        // It may have taken the place of one of them.
        slow_ones.push(slow(slow_ones.len()));
        refused.is_some()
    });
    assert_eq!(refused.unwrap().header("retry-after"), Some("1"));
    assert_eq!(open.call(&Call::get("/livez")).status, 200);
    // A put that is refused is read all the same: whoever sent it may try again where he is. (With two workers it may come to
    // the one that has room left.)
    let mut patient = Connection::open(open.address).unwrap();
    for _ in 0..3 {
        let again = patient.call(&Call::put("/v1/kv/k", vec![7; 9_000])).unwrap();
        assert!([503, 201, 204].contains(&again.status), "{again:?}");
    }
    drop(slow_ones);
    wait_until("the workers have room again", process::LIMIT, || {
        open.call(&Call::get("/v1/kv/any")).status == 404
    });
}

#[test]
fn others_than_this_machine_need_a_token() {
    let home = Home::default();
    let told = Home::default();
    let (_dir, storage) = process::fresh();
    let address = storage.address().to_string();
    home.ends(0, &["join", &address]);
    let refused = home.sdht(&["serve", "-p", "0", "--bind", "0.0.0.0", "--ring", &address]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.err.contains("--insecure"), "{refused}");

    let file = told.path().join("tokens");
    std::fs::write(&file, "a-long-secret-word-of-ours\n").unwrap();
    let chmod = Command::new("chmod").arg("600").arg(&file).status().unwrap();
    assert!(chmod.success());
    let open = open(&["--door-token-file", file.to_str().unwrap()]);
    assert_eq!(open.call(&Call::get("/v1/kv/k")).status, 401);
    assert_eq!(open.call(&Call::get("/livez")).status, 200);
    let shown = Call::get("/v1/kv/k").with("authorization", "Bearer a-long-secret-word-of-ours");
    assert_eq!(open.call(&shown).status, 404);
    let pointed = shown.with("host", "evil.example");
    assert_eq!(open.call(&pointed).status, 421);
}
