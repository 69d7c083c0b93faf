//! Changes of the ring as people see them on the door's page, and make and stop them there.

mod looking;
mod scene;

use looking::{PHONE, browser, nothing_to_complain_of, open, picture};
use scene::scene;
use sdht::Ring;
use sdht_tests::{
    browser::{Tone, press},
    http::Call,
};
use serde_json::json;
use std::thread;

#[test]
fn what_another_router_moves_is_seen_under_way() {
    let Some(browser) = browser() else { return };
    let scene = scene(3, 1_500, &[]);
    open(&browser, &scene, "All is well");
    let (address, newcomer) = (scene.address(0), scene.newcomer());
    // Slowly, so that there is something to see.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let moving = thread::spawn(move || {
        actix_rt::System::new().block_on(async {
            let ring = Ring::builder().max_rate(150_000).connect([address]).await.unwrap();
            let mut moving = ring.join(&newcomer);
            while stopped.try_recv().is_err() && moving.next().await.is_some() {}
            if stopped.try_recv().is_err() { moving.await } else { Ok(()) }
        })
    });
    browser.wait_until("a move is seen", "return !!document.querySelector('#ring .coming')");
    browser.wait_for("#lead", "Data is on its way to");
    browser.wait_for("#moves", &format!("{} is being filled", scene.newcomer()));
    browser.wait_until(
        "it goes on, and tells how long",
        "return /[1-9][0-9,]* of [0-9,]+ keys/.test(document.getElementById('moves').textContent) \
         && /left|nearly/.test(document.getElementById('moves').textContent)",
    );
    picture(&browser, "move");
    browser.look(PHONE.0, PHONE.1, Tone::Dark);
    picture(&browser, "move-phone");
    browser.wait_for("#lead", "All is well");
    browser.wait_until("four are in", "return document.querySelectorAll('#rows tr').length === 4");
    drop(stop);
    moving.join().unwrap().unwrap();
    nothing_to_complain_of(&browser);
}

#[test]
fn the_whole_ring_is_cared_for_with_keys_alone() {
    let Some(browser) = browser() else { return };
    let scene = scene(4, 100, &[]);
    open(&browser, &scene, "All is well");
    let agree = |begin: &str, title: &str| {
        browser.run(begin);
        browser.type_keys(press::ENTER);
        browser.wait_until("it asks", "return document.activeElement.id === 'plan-yes'");
        assert_eq!(browser.text("#plan-name"), title);
        browser.type_keys(press::ENTER);
    };

    browser.wait_until(
        "the number is the ring's",
        "return document.getElementById('copies-wanted').value === '3'",
    );
    browser.run("document.getElementById('copies-wanted').focus()");
    browser.type_keys("4");
    browser.run("document.querySelector('#copying button').focus()");
    browser.type_keys(press::ENTER);
    browser.wait_until("it asks", "return document.activeElement.id === 'plan-yes'");
    browser.wait_for("#plan-said", "would be copied");
    assert_eq!(browser.text("#plan-name"), "Keep 4 copies");
    picture(&browser, "plan-copies");
    browser.type_keys(press::ENTER);
    browser.wait_for("#moves", "Changed to 4 copies");
    browser.wait_for("#news", "Changed to 4 copies");
    browser.wait_for("#copies", "4");

    agree("document.getElementById('repair').focus()", "Repair");
    browser.wait_for("#moves", "Repaired");

    // Nothing is uneven where all keep everything: there is nothing to agree to, and Escape goes back to where one was.
    browser.run("document.getElementById('balance').focus()");
    browser.type_keys(press::ENTER);
    browser.wait_for("#plan-said", "Nothing would be changed.");
    assert!(!browser.sees("#plan-yes"));
    browser.type_keys(press::ESCAPE);
    assert_eq!(browser.run("return document.activeElement.id"), "balance");
    picture(&browser, "care");
    nothing_to_complain_of(&browser);
}

#[test]
fn a_change_that_waits_for_a_storage_is_stopped_there_and_repair_finishes_it() {
    let Some(browser) = browser() else { return };
    // A keeper would finish it.
    let scene = scene(4, 100, &["--no-keeper"]);
    open(&browser, &scene, "All is well");
    assert!(!browser.sees("#stop"), "nothing is under way");
    let (leaving, away) = (scene.address(0), &scene.storages[2].1);
    away.pause();
    browser.wait_for("#lead", "does not answer");
    let wish = Call::post("/v1/ring/remove", json!({"address": leaving}).to_string());
    assert_eq!(scene.door.call(&wish.with("content-type", "application/json")).status, 202);
    browser.wait_for("#moves", &format!("Removing {leaving}"));
    browser.wait_until("it can be stopped", "return !document.getElementById('stop').hidden");
    picture(&browser, "stop");
    browser.run("document.getElementById('stop').focus()");
    browser.type_keys(press::ENTER);
    browser.wait_for("#moves", &format!("Stopped removing {leaving}"));
    browser.wait_for("#news", "Stopped removing");
    assert!(browser.text("#moves").contains("repair, or a keeper, finishes what is half done"));
    assert!(!browser.sees("#stop"));
    assert_eq!(browser.run("return document.activeElement.id"), "moves");
    picture(&browser, "stopped");

    away.resume();
    browser.wait_until("it answers", "return !document.querySelector('tr.missing')");
    browser.click("#repair");
    browser.wait_until("it asks", "return document.activeElement.id === 'plan-yes'");
    browser.type_keys(press::ENTER);
    browser.wait_for("#moves", "Repaired");
    browser.wait_for("#lead", "All is well");
    assert_eq!(scene.home.sdht(&["status"]).code, 0, "the command says the same");
    nothing_to_complain_of(&browser);
}
