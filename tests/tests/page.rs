//! The status page as a browser shows it: on a phone and on a desktop, under the policy it is served with.
//!
//! The pictures stay in the target directory, for people to look at.

use sdht_tests::{
    http::{Call, target},
    process::{Process, fresh},
    skip_but_in_ci, wait_until,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
/// A browser that starts for the first time takes its time, and more of it while other tests run.
const LIMIT: Duration = Duration::from_secs(120);

const KEYS: &[&str] =
    &["a/key", "photos/the harbour.jpg", "why? #1 & 100%", "Grüße/日本", "x\u{202e}y"];
const HOSTILE: &str = "<script>document.title='taken over'</script>\"'&";

#[test]
fn a_browser_shows_the_page_on_a_phone_and_on_a_desktop() {
    let Some(browser) = browser() else {
        return skip_but_in_ci("there is no chromium to look at the status page with");
    };
    let (_dir, storage) = fresh();
    for key in KEYS.iter().chain([&HOSTILE]) {
        let reply = storage.call(&Call::put(&target(key), format!("the value of {key}")));
        assert_eq!(reply.status, 201, "{key}: {}", reply.text());
    }
    for (width, height) in [(390, 2_000), (1_280, 1_400)] {
        let picture = place(&format!("page-{width}.png"));
        let _ = fs::remove_file(&picture);
        let size = format!("--window-size={width},{height}");
        look(browser, &storage, &[&size, &format!("--screenshot={}", picture.display())]);
        let bytes = fs::read(&picture).expect("a picture was taken");
        assert_eq!(png_size(&bytes), Some((width, height)));
        // An empty page of this size has a few thousand bytes.
        assert!(bytes.len() > 20_000, "a picture of {} bytes shows nothing", bytes.len());
    }
}

#[test]
fn a_browser_finds_every_key_and_obeys_none() {
    let Some(browser) = browser() else {
        return skip_but_in_ci("there is no chromium to look at the status page with");
    };
    let (_dir, storage) = fresh();
    let empty = look(browser, &storage, &["--dump-dom"]);
    assert!(empty.contains(&format!("http://{}/v1/kv/my/key", storage.address())), "{empty}");
    for key in KEYS.iter().chain([&HOSTILE]) {
        storage.call(&Call::put(&target(key), "a value"));
    }
    let page = look(browser, &storage, &["--dump-dom"]);
    for key in KEYS.iter().chain([&HOSTILE]) {
        let link = format!("href=\"{}\"", target(key));
        assert!(page.contains(&link), "{link} is missing in {page}");
    }
    assert!(page.contains(">a/key<") && page.contains("x<i>\\u{202e}</i>y"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<title>taken over"), "{page}");
}

fn browser() -> Option<&'static str> {
    let runs = |name: &&&str| {
        let mut command = Command::new(name);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    BROWSERS.iter().find(runs).copied()
}

/// What a browser prints when it is shown the page. It must have nothing to complain of.
fn look(browser: &str, storage: &Process, more: &[&str]) -> String {
    let profile = tempfile::tempdir().expect("a temporary directory can be made");
    let (printed, said) = (profile.path().join("printed"), profile.path().join("said"));
    let create = |path: &Path| File::create(path).expect("a file can be made");
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
        .args(more)
        .arg(format!("http://{}/", storage.address()))
        .stdin(Stdio::null())
        .stdout(create(&printed))
        .stderr(create(&said));
    let mut child = command.spawn().expect("a browser that tells its version starts");
    let mut status = None;
    wait_until("the browser has looked at the page", LIMIT, || {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    let said = String::from_utf8_lossy(&fs::read(said).unwrap()).into_owned();
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {said}");
    assert!(!said.contains("Content Security Policy"), "the policy forbids what is used: {said}");
    String::from_utf8_lossy(&fs::read(printed).unwrap()).into_owned()
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Width and height, which stand right behind a PNG's first sixteen bytes.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    let number = |at: usize| Some(u32::from_be_bytes(*rest.get(at..)?.first_chunk()?));
    Some((number(0)?, number(4)?))
}
