//! The page of the door as people come to it: on a desk and on a phone, by day and by night, with a mouse and with keys alone.
//!
//! Real storages, a real door, a real browser. The pictures stay in the target directory, for people to look at.

mod looking;
mod scene;

use looking::{DESK, PHONE, browser, nothing_to_complain_of, open, picture};
use scene::scene;
use sdht_tests::{
    browser::{Browser, Tone, press},
    http::{Call, target},
    process, wait_until,
};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, thread, time::Duration};

#[test]
fn it_shows_a_storage_die_and_the_ring_heal() {
    let Some(browser) = browser() else { return };
    let mut scene = scene(4, 400, &[]);
    open(&browser, &scene, "All is well");
    assert_eq!(browser.text("#advice"), "Any one storage may be stopped.");
    assert_eq!(browser.text("#keys"), "400");
    assert_eq!(browser.run("return document.querySelectorAll('#ring .piece').length"), 12);
    // Somebody works, so that there is a load to draw.
    for _ in 0..8 {
        for n in 0..50 {
            scene.door.call(&Call::get(&format!("/v1/kv/nothing/{n}")));
        }
        thread::sleep(Duration::from_millis(500));
    }
    browser.wait_for("#latency", "99 % within");
    assert_ne!(browser.text("#rate"), "0");
    for (name, (width, height), tone) in
        [("light", DESK, Tone::Light), ("dark", DESK, Tone::Dark), ("phone", PHONE, Tone::Light)]
    {
        browser.look(width, height, tone);
        picture(&browser, name);
    }

    let dead = scene.address(2);
    scene.storages[2].1.kill9();
    browser.look(DESK.0, DESK.1, Tone::Light);
    browser.wait_for("#lead", &format!("{dead} does not answer"));
    assert_eq!(browser.run("return document.querySelectorAll('#ring .hollow').length"), 3);
    browser.wait_for("tr.missing", "silent");
    picture(&browser, "dead");
    browser.look(PHONE.0, PHONE.1, Tone::Dark);
    picture(&browser, "dead-phone");
    browser.look(DESK.0, DESK.1, Tone::Light);

    // It never comes back: what it kept is copied from those who keep it too, once that was seen and agreed to.
    browser.click("tr.missing .name");
    browser.wait_for("#chosen-name", &dead);
    browser.click("#remove");
    browser.wait_for("#plan-said", "would be copied");
    picture(&browser, "plan");
    assert_eq!(
        scene.door.call(&Call::get("/v1/ring")).json()["storages"].as_array().unwrap().len(),
        4
    );
    browser.click("#plan-yes");
    browser.wait_for("#lead", "All is well");
    browser.wait_until("it is gone", "return document.querySelectorAll('#rows tr').length === 3");
    browser.wait_for("#moves", &format!("Removed {dead}"));
    assert_eq!(browser.run("return document.querySelectorAll('#ring .hollow').length"), 0);
    // A keeper that has heard of the death keeps a key of its own.
    assert!(["400", "401"].contains(&&*browser.text("#keys")), "{}", browser.text("#keys"));
    picture(&browser, "healed");
    assert_eq!(scene.home.sdht(&["status"]).code, 0, "the command says the same");
    nothing_to_complain_of(&browser);
}

#[test]
fn a_storage_that_hangs_is_drawn_as_silent_and_the_page_stays_live() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 0, &[]);
    open(&browser, &scene, "All is well");
    scene.storages[1].1.pause();
    browser.wait_for("#lead", &format!("{} does not answer", scene.address(1)));
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(200));
        assert_eq!(browser.text("#seen"), "live", "a storage that hangs holds up the page");
    }
    scene.storages[1].1.resume();
    browser.wait_for("#lead", "All is well");
    nothing_to_complain_of(&browser);
}

#[test]
fn keys_alone_are_enough_for_everything() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 0, &[]);
    let key = "photos/the harbour & <b>.jpg";
    assert_eq!(scene.door.call(&Call::put(&target(key), "a value")).status, 201);
    open(&browser, &scene, "All is well");

    // Along the ring: the first name has the focus, the arrow goes on, Enter chooses.
    browser
        .wait_until("names are there", "return document.querySelectorAll('.label').length === 3");
    picture(&browser, "three");
    browser.run("document.querySelector('.label').focus()");
    browser.type_keys(press::RIGHT);
    browser.type_keys(press::ENTER);
    browser.wait_until("one is chosen", "return !document.getElementById('chosen').hidden");
    let chosen = browser.text("#chosen-name");
    assert!((0..3).any(|n| scene.address(n) == chosen), "{chosen}");
    browser.type_keys(press::ESCAPE);
    assert!(!browser.sees("#chosen"));

    // A slash, the key, Enter.
    browser.type_keys("/");
    browser.type_keys(key);
    browser.type_keys(press::ENTER);
    browser.wait_for("#found-said", "It is there, on all 3 of its storages");
    assert_eq!(browser.run("return document.querySelectorAll('#found-rows tr').length"), 3);
    assert!(browser.text("#found-rows").contains("the newest"));
    assert!(browser.sees("#ring circle.pin") && browser.sees("#download"));
    picture(&browser, "key");

    // The newcomer's address, Enter for the plan, Enter for the deed.
    let newcomer = scene.newcomer();
    browser.run("document.getElementById('joiner').focus()");
    browser.type_keys(&newcomer);
    browser.type_keys(press::ENTER);
    browser.wait_until("the plan is shown", "return document.activeElement.id === 'plan-yes'");
    assert_eq!(browser.text("#plan-name"), format!("Join {newcomer}"));
    browser.type_keys(press::ENTER);
    browser.wait_for("#rows", &newcomer);
    browser.wait_for("#moves", &format!("Joined {newcomer}"));
    browser.wait_for("#lead", "All is well");

    // What is wrong is said in the door's words.
    browser.run("const it = document.getElementById('joiner'); it.value = ''; it.focus()");
    browser.type_keys("127.0.0.1:1");
    browser.type_keys(press::ENTER);
    browser.wait_for("#plan-said", "127.0.0.1:1 does not answer");
    browser.type_keys(press::ESCAPE);
    browser.wait_until("it is closed", "return !document.getElementById('plan').open");
    let complaints = browser.complaints();
    // The browser notes every status that is no success.
    assert!(complaints.iter().all(|line| line.contains("/v1/ring/join")), "{complaints:?}");
}

#[test]
fn a_key_is_deleted_as_it_was_seen_or_not_at_all() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 0, &[]);
    let key = "notes/today & <i>";
    assert_eq!(scene.door.call(&Call::put(&target(key), "a value")).status, 201);
    open(&browser, &scene, "All is well");
    browser.click("#browse button");
    browser.wait_for("#list", key);
    let ask = || {
        browser.run("document.getElementById('key').focus()");
        browser.run("document.getElementById('key').value = ''");
        browser.type_keys(key);
        browser.type_keys(press::ENTER);
        browser.wait_for("#found-said", "It is there");
        browser.wait_until("it is seen", "return !document.getElementById('delete').hidden");
        browser.run("document.getElementById('delete').focus()");
        browser.type_keys(press::ENTER);
        browser.wait_for("#plan-said", "in all its copies");
        assert_eq!(browser.text("#plan-name"), format!("Delete {key}"));
        assert_eq!(
            browser.run("return document.activeElement.id"),
            "plan-no",
            "what cannot be undone is not done by the same key twice"
        );
    };
    ask();
    assert!(browser.text("#plan-said").starts_with("7 B of "), "{}", browser.text("#plan-said"));
    picture(&browser, "delete");

    // Somebody changes it before the answer: it stays.
    assert_eq!(scene.door.call(&Call::put(&target(key), "another")).status, 204);
    browser.type_keys(press::TAB);
    browser.type_keys(press::ENTER);
    browser.wait_for("#plan-said", "is not as expected");
    assert_eq!(scene.door.call(&Call::get(&target(key))).text(), "another");
    browser.type_keys(press::ESCAPE);

    ask();
    browser.type_keys(press::TAB);
    browser.type_keys(press::ENTER);
    browser.wait_for("#found-said", "is deleted");
    assert_eq!(scene.door.call(&Call::get(&target(key))).status, 404);
    assert_eq!(browser.run("return document.activeElement.id"), "key", "one is left somewhere");
    assert!(!browser.sees("#delete") && !browser.text("#list").contains(key));
    let complaints = browser.complaints();
    // The browser notes every status that is no success.
    assert!(complaints.iter().all(|line| line.contains("412")), "{complaints:?}");
}

/// Looks a key up in the page, whatever was looked up before.
fn look_up(browser: &Browser, key: &str) {
    let script = format!("document.getElementById('key').value = {}", json!(key));
    browser.run(&format!("document.getElementById('found-said').textContent = ''; {script}"));
    browser.run("document.getElementById('key').focus()");
    browser.type_keys(press::ENTER);
}

#[test]
fn dots_between_slashes_lead_to_no_other_key() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 0, &[]);
    let (victim, dotted) = ("/v1/kv/victim", "/v1/kv/x%2F..%2Fvictim");
    assert_eq!(scene.door.call(&Call::put(victim, "of somebody else")).status, 201);
    assert_eq!(scene.door.call(&Call::put(dotted, "mine")).status, 201);
    open(&browser, &scene, "All is well");

    look_up(&browser, "x/../victim");
    browser.wait_for("#found-said", "It is there, on all 3 of its storages");
    assert_eq!(browser.text("#found-rows td[data-label=Bytes]"), "4", "these are mine");
    // Over it, and out again.
    goes_up_and_comes_down(&browser, "x/../victim");
    assert_eq!(scene.door.call(&Call::get(dotted)).body.len(), 300_000);
    assert_eq!(scene.door.call(&Call::get(victim)).text(), "of somebody else");
    browser.click("#delete");
    browser.wait_for("#plan-said", "in all its copies");
    assert!(browser.text("#plan-said").starts_with("293 KiB"), "{}", browser.text("#plan-said"));
    browser.click("#plan-yes");
    browser.wait_for("#found-said", "is deleted");
    assert_eq!(scene.door.call(&Call::get(dotted)).status, 404);
    assert_eq!(scene.door.call(&Call::get(victim)).text(), "of somebody else");
    nothing_to_complain_of(&browser);

    // What a browser cannot name is refused before anything is asked.
    for key in [".", ".."] {
        look_up(&browser, key);
        browser.wait_for("#found-said", &format!("'sdht get -- {key}' in a terminal does"));
        assert!(!browser.sees("#download") && !browser.sees("#delete"));
    }
    nothing_to_complain_of(&browser);
}

#[test]
fn a_page_of_keys_that_is_asked_for_twice_is_listed_once() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 100, &[]);
    open(&browser, &scene, "All is well");
    browser.click("#browse button");
    browser.wait_for("#listed", "60 keys, and there are more");
    browser.run(
        "const more = document.getElementById('more'); more.click(); more.click(); more.click()",
    );
    browser.wait_until(
        "the rest is there",
        "return document.querySelectorAll('#list li').length >= 100 && document.getElementById('more').hidden",
    );
    thread::sleep(Duration::from_millis(500));
    let listed = "const keys = [...document.querySelectorAll('#list li')].map((key) => key.textContent); \
                  return keys.length - new Set(keys).size";
    assert_eq!(browser.run(listed), 0, "a key is listed twice");
    nothing_to_complain_of(&browser);
}

#[test]
fn what_has_expired_is_not_there() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 0, &[]);
    let brief = Call::put("/v1/kv/brief", "a value").with("sdht-ttl", "1");
    assert_eq!(scene.door.call(&brief).status, 201);
    wait_until("it has expired", process::LIMIT, || {
        scene.door.call(&Call::get("/v1/kv/brief")).status == 404
    });
    open(&browser, &scene, "All is well");
    look_up(&browser, "brief");
    browser.wait_for("#found-said", "It is not there");
    assert!(!browser.sees("#download") && !browser.sees("#delete"));
}

#[test]
fn keys_are_listed_as_they_are_and_none_is_obeyed() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 0, &[]);
    let hostile = "<img src=x onerror=\"document.title='taken over'\">";
    for key in ["a/key", "Grüße/日本", "x\u{202e}y", hostile] {
        assert_eq!(scene.door.call(&Call::put(&target(key), "a value")).status, 201);
    }
    open(&browser, &scene, "All is well");
    browser.click("#browse button");
    browser.wait_for("#listed", "4 keys");
    let list = browser.text("#list");
    for key in ["a/key", "Grüße/日本", "x\\u{202e}y", hostile] {
        assert!(list.contains(key), "{key} is not in {list}");
    }
    let of = format!("#list li:nth-child({}) button", 1 + position(&browser, "<img"));
    browser.click(&of);
    browser.wait_for("#found-said", "It is there");
    assert_eq!(browser.run("return document.querySelectorAll('img, script:not([src])').length"), 0);
    assert!(!browser.run("return document.title").to_string().contains("taken over"));
    // Even our own script could not.
    let forbidden = browser.run(
        "try { document.body.innerHTML = '<b>x</b>'; return 'done' } catch (no) { return no.name }",
    );
    assert_eq!(forbidden, "TypeError");
}

/// Which key of the list begins so.
fn position(browser: &Browser, begin: &str) -> u64 {
    let script = format!(
        "return [...document.querySelectorAll('#list button')].findIndex((key) => key.textContent.startsWith({}))",
        json!(begin)
    );
    browser.run(&script).as_u64().expect("it is in the list")
}

#[test]
fn thirty_names_stand_apart_on_a_desk_and_on_a_phone() {
    let Some(browser) = browser() else { return };
    let scene = scene(30, 0, &[]);
    open(&browser, &scene, "All is well");
    let touching = "
        const boxes = [...document.querySelectorAll('.label text')].map((text) => text.getBoundingClientRect());
        const edge = document.documentElement.clientWidth;
        const touch = (a, b) => a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
        return [boxes.length, boxes.filter((a, n) => boxes.some((b, m) => m < n && touch(a, b))).length,
            boxes.filter((a) => a.left < 0 || a.right > edge).length];";
    for (name, (width, height), tone) in [
        ("thirty", DESK, Tone::Light),
        ("thirty-dark", DESK, Tone::Dark),
        ("thirty-phone", PHONE, Tone::Dark),
    ] {
        browser.look(width, height, tone);
        thread::sleep(Duration::from_millis(500));
        assert_eq!(browser.run(touching), json!([30, 0, 0]), "at a width of {width}");
        picture(&browser, name);
    }
    nothing_to_complain_of(&browser);
}

#[test]
fn a_door_with_a_token_asks_for_it_and_forgets_it_with_the_tab() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, "a-long-secret-word-of-ours\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let scene = scene(3, 0, &["--door-token-file", file.to_str().unwrap()]);
    let closed = scene.door.call(&Call::get("/v1/events"));
    assert_eq!(closed.status, 401, "the ring is for those who show the token");
    browser.open(&scene.door.at("/"), DESK, Tone::Dark);
    browser.wait_until("it asks", "return document.getElementById('token').open");
    picture(&browser, "token");
    // Whoever closes it is told what is missing, and finds it again.
    browser.type_keys(press::ESCAPE);
    browser.type_keys(press::ESCAPE);
    browser.wait_for("#lead", "Nothing is seen without a token");
    assert!(browser.sees("#locked") && browser.text("#seen") == "waiting for a token");
    picture(&browser, "locked");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(browser.run("return document.getElementById('token').open"), false, "it nags");
    browser.click("#unlock");
    browser.wait_until("it asks again", "return document.getElementById('token').open");
    browser.type_keys("wröng ☃");
    browser.type_keys(press::ENTER);
    browser.wait_for("#token-said", "No token is written so");
    assert_eq!(browser.run("return sessionStorage.length"), 0, "it is not kept");
    browser.type_keys("a-wrong-secret-of-somebody");
    browser.type_keys(press::ENTER);
    browser.wait_for("#token-said", "does not know that token");
    browser.type_keys("a-long-secret-word-of-ours");
    browser.type_keys(press::ENTER);
    browser.wait_for("#lead", "All is well");
    assert_eq!(
        browser.run("return [sessionStorage.length, localStorage.length, document.cookie]"),
        json!([1, 0, ""])
    );
    goes_up_and_comes_down(&browser, "a/secret.bin");
    let address = scene.newcomer();
    for (place, wish) in [
        ("join", json!({"address": address})),
        ("remove", json!({"address": address})),
        ("copies", json!({"copies": 1})),
        ("balance", json!({})),
        ("repair", json!({"plan": true})),
        ("stop", json!({})),
    ] {
        let call = Call::post(&format!("/v1/ring/{place}"), wish.to_string());
        let call = call.with("content-type", "application/json");
        assert_eq!(scene.door.call(&call).status, 401, "nobody does this without it: {place}");
    }
}

/// Through the page into the ring, and out of it again.
fn goes_up_and_comes_down(browser: &Browser, key: &str) {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let file = dir.path().join("given.bin");
    fs::write(&file, &bytes).unwrap();
    browser.give_file("#file", &file);
    browser.run("document.getElementById('under').focus()");
    browser.type_keys(key);
    browser.click("#upload button");
    browser.wait_for("#uploaded", &format!("'{key}' is stored, 293 KiB"));
    browser.wait_for("#found-said", "It is there, on all 3 of its storages");
    let saved = dir.path().join("saved");
    fs::create_dir(&saved).unwrap();
    browser.save_into(&saved);
    browser.click("#download");
    let name = saved.join(key.rsplit('/').next().unwrap());
    wait_until("it is saved", process::LIMIT, || fs::read(&name).is_ok_and(|got| got == bytes));
}

#[test]
fn what_is_uploaded_comes_back_byte_for_byte() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 0, &[]);
    open(&browser, &scene, "All is well");
    goes_up_and_comes_down(&browser, "photos/2026/harbour.jpg");
    assert_eq!(browser.run("return location.pathname"), "/", "a value is never shown as a page");
    nothing_to_complain_of(&browser);
}
