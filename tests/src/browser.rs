//! A real browser, driven as a person would: Chromium without a window, by the WebDriver protocol.
//!
//! The protocol is JSON over HTTP, and [`crate::http`] speaks it: a library for it would bring a runtime and a second HTTP.
//! The picture that a test leaves in the target directory is for people to look at.

use crate::{
    http::{Call, Connection},
    process::LIMIT,
    wait_until,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A browser, its driver, and one page. It ends when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

/// What people prefer to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Ink on paper.
    Light,
    /// At night.
    Dark,
}

/// What a key is called that types no letter.
pub mod press {
    /// Tab.
    pub const TAB: &str = "\u{e004}";
    /// Enter.
    pub const ENTER: &str = "\u{e007}";
    /// Escape.
    pub const ESCAPE: &str = "\u{e00c}";
    /// Right.
    pub const RIGHT: &str = "\u{e014}";
}

impl Browser {
    /// Starts one; none if there is no `chromedriver` on this machine.
    pub fn start() -> Option<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().ok()?;
        let mut said = BufReader::new(driver.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "chromedriver did not start");
            let port = line.split("started successfully on port ").nth(1);
            if let Some(port) = port {
                break port.trim().trim_end_matches('.').parse().expect("a port is a number");
            }
        };
        thread::spawn(move || said.lines().for_each(drop));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser = Self { driver, address, session: String::new() };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            "--window-size=1280,1400",
        ];
        let wish = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let session = browser.post("/session", &wish);
        browser.session = session["sessionId"].as_str().expect("a session has an id").to_owned();
        Some(browser)
    }

    fn call(&self, call: &Call) -> Value {
        let reply = Connection::open(self.address).and_then(|mut line| line.call(call));
        let reply = reply.unwrap_or_else(|error| panic!("{call:?}: {error}"));
        assert_eq!(reply.status, 200, "{call:?}: {}", reply.text());
        reply.json()["value"].take()
    }

    fn post(&self, place: &str, body: &Value) -> Value {
        let call = Call::post(place, body.to_string());
        self.call(&call.with("content-type", "application/json"))
    }

    fn at(&self, place: &str) -> String {
        format!("/session/{}{place}", self.session)
    }

    /// Shows a page in a window of this size.
    pub fn open(&self, url: &str, (width, height): (u32, u32), tone: Tone) {
        self.look(width, height, tone);
        self.post(&self.at("/url"), &json!({ "url": url }));
    }

    /// Looks at the page that is open in another way.
    pub fn look(&self, width: u32, height: u32, tone: Tone) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.develop("Emulation.setDeviceMetricsOverride", &size);
        let tone = if tone == Tone::Dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": tone}]});
        self.develop("Emulation.setEmulatedMedia", &media);
    }

    fn develop(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.post(&self.at("/goog/cdp/execute"), &body);
    }

    /// What a piece of script gives back.
    pub fn run(&self, script: &str) -> Value {
        self.post(&self.at("/execute/sync"), &json!({"script": script, "args": []}))
    }

    /// The text of what an element shows; empty if there is none.
    pub fn text(&self, selector: &str) -> String {
        let quoted = json!(selector);
        let script =
            format!("return (document.querySelector({quoted}) || {{textContent: ''}}).textContent");
        self.run(&script).as_str().expect("a text is a text").to_owned()
    }

    /// Whether such an element is there and is seen.
    pub fn sees(&self, selector: &str) -> bool {
        let quoted = json!(selector);
        let script = format!(
            "const it = document.querySelector({quoted}); return !!it && it.getClientRects().length > 0"
        );
        self.run(&script) == true
    }

    /// Waits until a piece of script gives back true.
    pub fn wait_until(&self, what: &str, script: &str) {
        wait_until(what, LIMIT, || {
            let is_so = self.run(script) == true;
            if !is_so {
                thread::sleep(Duration::from_millis(100));
            }
            is_so
        });
    }

    /// Waits until an element's text has this in it.
    pub fn wait_for(&self, selector: &str, text: &str) {
        wait_until(&format!("{selector} says {text:?}"), LIMIT, || {
            let is_so = self.text(selector).contains(text);
            if !is_so {
                thread::sleep(Duration::from_millis(100));
            }
            is_so
        });
    }

    /// Clicks on the element, as a mouse does.
    pub fn click(&self, selector: &str) {
        self.post(&self.element(selector, "click"), &json!({}));
    }

    /// Chooses a file where one is to be chosen.
    pub fn give_file(&self, selector: &str, file: &Path) {
        let file = file.to_str().expect("our own names are UTF-8");
        self.post(&self.element(selector, "value"), &json!({ "text": file }));
    }

    /// From now on, what is downloaded goes into this directory.
    pub fn save_into(&self, dir: &Path) {
        let place = dir.to_str().expect("our own names are UTF-8");
        let into = json!({"behavior": "allow", "downloadPath": place});
        self.develop("Browser.setDownloadBehavior", &into);
    }

    fn element(&self, selector: &str, what: &str) -> String {
        let found = json!({"using": "css selector", "value": selector});
        let found = self.post(&self.at("/element"), &found);
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        self.at(&format!("/element/{}/{what}", id.expect("an element has an id")))
    }

    /// Types letters, and keys that are named in [`press`], into whatever has the focus.
    pub fn type_keys(&self, keys: &str) {
        let pressed = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|way| json!({"type": way, "value": key.to_string()}))
        });
        let keys = json!({"type": "key", "id": "keyboard", "actions": pressed.collect::<Vec<_>>()});
        self.post(&self.at("/actions"), &json!({ "actions": [keys] }));
    }

    /// Takes a picture of what is seen.
    pub fn picture(&self, place: &Path) {
        let picture = self.call(&Call::get(&self.at("/screenshot")));
        let text = picture.as_str().expect("a picture is told as text");
        let bytes = BASE64_STANDARD.decode(text).expect("a picture is told as base64");
        assert!(bytes.starts_with(b"\x89PNG"), "what came is no picture");
        // An empty page has a few thousand bytes.
        assert!(bytes.len() > 15_000, "a picture of {} bytes shows nothing", bytes.len());
        fs::write(place, bytes).expect("a file can be written");
    }

    /// What the browser complained of since it was asked last.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post(&self.at("/se/log"), &json!({"type": "browser"}));
        let lines = log.as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| line["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // The driver alone knows the browser's processes.
            let bye = Call::delete(&self.at(""));
            let _ = Connection::open(self.address).and_then(|mut line| line.call(&bye));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
