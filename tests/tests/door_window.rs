//! What the page of the door is made of, as a program sees it: its texts, its events, and the changes that are asked for there.

mod scene;

use scene::{Scene, scene};
use sdht_tests::{
    http::{Call, Connection, Wanted},
    process::{self, Process},
    wait_until,
};
use serde_json::json;
use std::{
    thread,
    time::{Duration, Instant},
};

/// A change of the ring, asked for as a program does.
fn change(scene: &Scene, place: &str, wish: &serde_json::Value) -> (u16, serde_json::Value) {
    let call = Call::post(place, wish.to_string()).with("content-type", "application/json");
    let reply = scene.door.call(&call.with("accept", "application/json"));
    (reply.status, reply.json())
}

#[test]
fn the_page_is_three_texts_under_a_strict_policy() {
    let scene = scene(1, 0, &[]);
    for (place, kind) in
        [("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")]
    {
        let reply = scene.door.call(&Call::get(place));
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").unwrap().starts_with(kind), "{reply:?}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let pointed = Call::get(place).with("host", "evil.example");
        assert_eq!(scene.door.call(&pointed).status, 421, "no name that was made to point here");
    }
    let page = scene.door.call(&Call::get("/")).text();
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("onclick="));
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn a_change_is_planned_without_being_done_and_refused_with_its_reason() {
    let scene = scene(3, 100, &[]);
    let newcomer = scene.newcomer();
    let (status, plan) =
        change(&scene, "/v1/ring/join", &json!({"address": newcomer, "plan": true}));
    assert_eq!(status, 200, "{plan}");
    assert!(plan["keys"].as_u64().unwrap() > 0 && plan["bytes"].as_u64().unwrap() > 0, "{plan}");
    assert_eq!(plan["moves"][0]["to"], newcomer.as_str());
    let storages =
        || scene.door.call(&Call::get("/v1/ring")).json()["storages"].as_array().unwrap().len();
    assert_eq!(storages(), 3, "it was only a plan");

    let wish = json!({"address": newcomer}).to_string();
    let simple =
        scene.door.call(&Call::post("/v1/ring/join", wish).with("content-type", "text/plain"));
    assert_eq!(simple.status, 415, "a page of another site could send that");
    let (status, why) = change(&scene, "/v1/ring/remove", &json!({"address": "127.0.0.1:1"}));
    assert_eq!((status, why["status"].as_u64()), (404, Some(404)), "{why}");
    let (status, why) =
        change(&scene, "/v1/ring/remove", &json!({"address": scene.address(0), "dead": true}));
    assert_eq!(status, 409, "{why}");
    assert!(why["detail"].as_str().unwrap().contains("answers: it is not dead"), "{why}");
    let (status, why) =
        change(&scene, "/v1/ring/join", &json!({"address": newcomer, "plam": true}));
    assert_eq!(status, 400, "what nobody understands is not half done: {why}");

    let (status, told) = change(&scene, "/v1/ring/join", &json!({"address": newcomer}));
    assert_eq!((status, told["accepted"].as_str()), (202, Some("join")), "{told}");
    wait_until("it is in the ring", process::LIMIT, || {
        storages() == 4 && scene.home.sdht(&["status"]).code == 0
    });
}

/// How a change of this door ended, once it has, and once that is drawn.
fn ended(scene: &Scene, what: &str) -> serde_json::Value {
    let mut last = serde_json::Value::Null;
    wait_until("the change has ended", process::LIMIT, || {
        // Who has looked counts as one who listens until the next picture.
        thread::sleep(Duration::from_millis(200));
        last = picture(scene)["changes"].as_array().unwrap().last().cloned().unwrap_or_default();
        last["what"] == what && last["state"] != "running"
    });
    last
}

/// What a page is shown at this time.
fn picture(scene: &Scene) -> serde_json::Value {
    sdht_tests::kept::picture_at(scene.door.address())
}

#[test]
fn copies_balance_and_repair_are_planned_done_and_refused_like_the_others() {
    // A keeper would sweep before it is asked to.
    let scene = scene(4, 200, &["--no-keeper"]);
    let copies = || scene.door.call(&Call::get("/v1/ring")).json()["arcs"][0]["copies"].clone();
    for (place, wrong) in [
        ("/v1/ring/copies", json!({})),
        ("/v1/ring/copies", json!({"copies": 8})),
        ("/v1/ring/balance", json!({"address": scene.address(0)})),
        ("/v1/ring/repair", json!({"plan": 1})),
    ] {
        let (status, why) = change(&scene, place, &wrong);
        assert_eq!((status, why["status"].as_u64()), (400, Some(400)), "{place} {wrong}: {why}");
        let simple = Call::post(place, "{}").with("content-type", "text/plain");
        assert_eq!(scene.door.call(&simple).status, 415, "a page of another site could send that");
    }

    let (status, plan) = change(&scene, "/v1/ring/copies", &json!({"copies": 4, "plan": true}));
    assert_eq!((status, plan["moves"].as_array().map(Vec::len)), (200, Some(4)), "{plan}");
    assert!(plan["keys"].as_u64().unwrap() >= 200, "one copy more of everything: {plan}");
    assert_eq!(copies(), 3, "it was only a plan");
    let (status, told) = change(&scene, "/v1/ring/copies", &json!({"copies": 4}));
    assert_eq!((status, &told), (202, &json!({"accepted": "copies"})));
    let last = ended(&scene, "copies");
    assert_eq!((&last["state"], &last["copies"]), (&json!("done"), &json!(4)), "{last}");
    assert_eq!(copies(), 4);

    // Where all keep everything, shares are even.
    let (status, plan) = change(&scene, "/v1/ring/balance", &json!({"plan": true}));
    assert_eq!((status, plan["steps"].as_u64()), (200, Some(0)), "{plan}");
    let (status, told) = change(&scene, "/v1/ring/balance", &json!({}));
    assert_eq!((status, &told["accepted"]), (202, &json!("balance")), "{told}");
    assert_eq!(ended(&scene, "balance")["state"], "done");
    let log = scene.door.log();
    for line in ["'sdht copies 4' was asked for at this door, and begins", "'sdht balance' is done"]
    {
        assert!(log.contains(line), "{log}");
    }

    for n in 0..5 {
        let key = format!("/v1/kv/dead/{n}");
        assert_eq!(scene.door.call(&Call::put(&key, "a value")).status, 201);
        assert_eq!(scene.door.call(&Call::delete(&key)).status, 204);
    }
    let (status, told) = change(&scene, "/v1/ring/repair", &json!({}));
    assert_eq!((status, &told["accepted"]), (202, &json!("repair")), "{told}");
    let last = ended(&scene, "repair");
    assert_eq!(last["state"], "done", "{last}");
    assert!(last["swept"].as_u64().unwrap() >= 5, "{last}");

    let described = scene.door.call(&Call::get("/openapi.json")).json();
    let fields = |place: &str| {
        let body = &described["paths"][format!("/v1/ring/{place}")]["post"]["requestBody"];
        body["content"]["application/json"]["schema"]["properties"].clone()
    };
    for place in ["join", "remove", "copies", "balance", "repair"] {
        assert_eq!(fields(place)["plan"]["type"], "boolean", "{place}: {described}");
    }
    assert_eq!(fields("stop"), json!({}));
}

#[test]
fn a_change_is_stopped_between_two_steps_and_the_same_again_goes_on() {
    // A keeper would finish it.
    let scene = scene(4, 200, &["--no-keeper"]);
    let stop = || change(&scene, "/v1/ring/stop", &json!({}));
    let (status, why) = stop();
    assert_eq!(status, 409, "{why}");
    assert!(why["detail"].as_str().unwrap().contains("no change"), "{why}");
    assert_eq!(change(&scene, "/v1/ring/stop", &json!({"now": true})).0, 400);
    let simple = Call::post("/v1/ring/stop", "{}").with("content-type", "text/plain");
    assert_eq!(scene.door.call(&simple).status, 415, "a page of another site could send that");

    // Whoever leaves hands over to one that does not answer: it waits.
    let wish = json!({"address": scene.address(0)});
    scene.storages[2].1.pause();
    let (status, told) = change(&scene, "/v1/ring/remove", &wish);
    assert_eq!(status, 202, "{told}");
    let (status, why) = change(&scene, "/v1/ring/repair", &json!({}));
    assert_eq!(status, 409, "{why}");
    assert!(why["detail"].as_str().unwrap().ends_with("wait for its end, or stop it"), "{why}");
    let (status, told) = stop();
    assert_eq!((status, told["stopped"].as_str()), (200, Some("remove")), "{told}");
    assert_eq!(stop().0, 409, "it is stopped already");
    let last = ended(&scene, "remove");
    assert_eq!((&last["state"], &last["why"]), (&json!("stopped"), &told["detail"]), "{last}");
    assert!(told["detail"].as_str().unwrap().contains("The same change again"), "{told}");
    let seen = |key: &str| scene.door.call(&Call::get(key)).status;
    assert_eq!(scene.door.call(&Call::put("/v1/kv/meanwhile", "a value")).status, 201);

    scene.storages[2].1.resume();
    let (status, told) = change(&scene, "/v1/ring/remove", &wish);
    assert_eq!(status, 202, "{told}");
    // The first one stays in the picture until the second is drawn.
    let (mut second, first) = (last.clone(), last["begun_ms"].clone());
    wait_until("the second one has ended", process::LIMIT, || {
        second = ended(&scene, "remove");
        second["begun_ms"] != first
    });
    assert_eq!(second["state"], "done", "{second}");
    assert_eq!(seen("/v1/kv/meanwhile"), 200);
    assert_eq!(scene.home.sdht(&["status"]).code, 0);
    let ring = scene.door.call(&Call::get("/v1/ring")).json();
    assert_eq!(ring["storages"].as_array().unwrap().len(), 3, "{ring}");
}

#[test]
fn listeners_are_bounded_share_one_look_and_hear_the_end() {
    let scene = scene(3, 0, &[]);
    let listen = || {
        let mut line = Connection::open(scene.door.address()).unwrap();
        line.send_call(&Call::get("/v1/events")).unwrap();
        let reply = line.receive(Wanted::Head).unwrap();
        (reply.status, line)
    };
    let mut lines: Vec<Connection> = vec![];
    for _ in 0..64 {
        let (status, line) = listen();
        assert_eq!(status, 200);
        lines.push(line);
    }
    assert_eq!(listen().0, 503, "more than that are too many");

    // However many listen, a storage is asked once a second.
    let asked = || asks(&scene.storages[0].1);
    let (before, begun) = (asked(), Instant::now());
    thread::sleep(Duration::from_secs(4));
    let (looks, seconds) = (asked() - before, begun.elapsed().as_secs_f64());
    assert!((2.0..=seconds + 2.0).contains(&looks), "{looks} asks in {seconds:.1} s");

    drop(lines.split_off(1));
    let last = lines.pop().unwrap();
    let closing = Instant::now();
    assert_eq!(scene.door.close().code, 0);
    assert!(closing.elapsed() < Duration::from_secs(5), "a listener held up the farewell");
    drop(last);

    let before = asks(&scene.storages[0].1);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(asks(&scene.storages[0].1), before, "nobody looks any more");
}

/// How many asks a storage has answered.
fn asks(storage: &Process) -> f64 {
    let metrics = storage.call(&Call::get("/metrics")).text();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("minor_storage_requests_total{place=\"ask\","));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn a_door_that_closes_in_the_middle_of_a_change_says_what_it_leaves_and_how_it_is_finished() {
    // A keeper would have something to say as well.
    let scene = scene(4, 100, &["--no-keeper"]);
    let leaving = scene.address(0);
    // What waits for a storage is under way for long enough.
    scene.storages[2].1.pause();
    let (status, told) = change(&scene, "/v1/ring/remove", &json!({"address": leaving}));
    assert_eq!(status, 202, "{told}");
    let Scene { door, storages, home, .. } = scene;
    let said = door.close().err;
    let again = format!("sdht remove {leaving}");
    let closes = |line: &&str| line.contains("this door closes") && line.contains(&again);
    let left = said.lines().find(closes).expect(&said);
    for word in ["in the middle of a change", "is safe", "served meanwhile", "'sdht repair'"] {
        assert!(left.contains(word), "{word}: {said}");
    }
    storages[2].1.resume();
    home.ends(0, &["remove", &leaving]);
    assert_eq!(home.sdht(&["status"]).code, 0);
}
