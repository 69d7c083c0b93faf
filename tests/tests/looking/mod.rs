//! Looking at the door's page with a real browser. The pictures stay in the target directory, for people to look at.

use crate::scene::Scene;
use sdht_tests::{
    browser::{Browser, Tone},
    skip_but_in_ci,
};
use std::{path::Path, thread, time::Duration};

/// How large a window is on a desk.
pub(crate) const DESK: (u32, u32) = (1_280, 1_500);
/// And on a phone.
pub(crate) const PHONE: (u32, u32) = (390, 2_400);

/// A browser, if there is one on this machine.
pub(crate) fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        skip_but_in_ci("there is no chromedriver to look at the page of the door with");
    }
    browser
}

/// Takes a picture, once all that comes in slowly is in.
pub(crate) fn picture(browser: &Browser, name: &str) {
    thread::sleep(Duration::from_millis(800));
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("door-{name}.png"));
    browser.picture(&place);
}

/// The page is seen, and says this.
pub(crate) fn open(browser: &Browser, scene: &Scene, says: &str) {
    browser.open(&scene.door.at("/"), DESK, Tone::Light);
    browser.wait_for("#lead", says);
}

/// The browser has noted nothing.
pub(crate) fn nothing_to_complain_of(browser: &Browser) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
