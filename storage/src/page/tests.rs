//! What the page must hold whatever comes: every state is drawn, nothing from outside is obeyed, every link leads to its key.

use super::{
    samples::{self, NOW_MS, alone, keys, of_ring},
    text::{address_link, ago, bytes, duration, key_target, number, page_target, percent},
    *,
};
use percent_encoding::percent_decode_str;
use std::{
    collections::HashSet,
    env, fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

fn page(info: &NodeInfo, names: &[&str]) -> String {
    render(info, &Keys { page: &keys(names), prefix: "", after: None }, NOW_MS)
}

/// The pages may be looked at: `STATUS_PAGES=DIR` writes them there.
#[test]
fn every_state_is_a_well_formed_page_of_its_own() {
    let mut seen = HashSet::new();
    for (name, info, page, prefix, after) in samples::all() {
        let html = render(&info, &Keys { page: &page, prefix, after }, NOW_MS);
        if let Some(dir) = env::var_os("STATUS_PAGES") {
            fs::write(Path::new(&dir).join(format!("{name}.html")), &html).unwrap();
        }
        well_formed(&html).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(seen.insert(html), "{name} looks like another one");
    }
}

#[test]
fn a_sentence_says_how_it_is_and_what_to_do() {
    let full = NodeInfo { state: Health::Full, ..alone() };
    let damaged = NodeInfo { state: Health::Damaged, ..alone() };
    let damaged_in_ring = NodeInfo { state: Health::Damaged, ..of_ring(3, 3, 0) };
    let stopping = NodeInfo { state: Health::Stopping, ..alone() };
    let new = NodeInfo { arcs: vec![], ..of_ring(3, 3, 0) };
    let mut filling = of_ring(3, 3, 0);
    filling.arcs[1].filling = Some(filling.id);
    for (info, words) in [
        (alone(), &["Serving. No keys yet.", "a store"][..]),
        (of_ring(3, 3, 0), &["Serving. 12,345 keys in 3 arcs.", "100\u{a0}%"]),
        (of_ring(1, 1, 0), &["Serving. 12,345 keys in 1 arc.", "the whole ring"]),
        (new, &["keeps no arc of it yet."]),
        (filling, &["One arc is still being filled", "being filled here", "2 of 3"]),
        (full, &["The disk is nearly full", "Make room"]),
        (damaged, &["is damaged", "minor-storage --check"]),
        (damaged_in_ring, &["is damaged", "sdht repair"]),
        (stopping, &["Stopping."]),
    ] {
        let html = page(&info, &[]);
        for word in words {
            assert!(html.contains(word), "{word} is missing in {html}");
        }
    }
}

#[test]
fn nothing_from_outside_is_obeyed() {
    const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;\u{202e}\0";
    let mut info = of_ring(3, 3, 1);
    info.zone = HOSTILE.into();
    info.address = HOSTILE.into();
    info.set_aside = vec![HOSTILE.into()];
    for member in info.arcs.iter_mut().flat_map(|arc| &mut arc.members) {
        (member.address, member.zone) = (HOSTILE.into(), HOSTILE.into());
    }
    for arc in &mut info.arcs {
        (arc.from, arc.to) = (HOSTILE.into(), HOSTILE.into());
    }
    let near = info.predecessor.iter_mut().chain(&mut info.successors);
    near.for_each(|near| near.member.address = HOSTILE.into());
    for page in [keys(&[HOSTILE]), Page::default()] {
        let keys = Keys { page: &page, prefix: HOSTILE, after: Some(HOSTILE) };
        let html = render(&info, &keys, NOW_MS);
        well_formed(&html).unwrap();
        let inert = html.replace("&lt;script&gt;", "").replace("&lt;img src=x onerror=", "");
        assert!(!inert.contains("<script") && !inert.contains("<img"), "{html}");
        // Only in the field that one may edit does the prefix stand as it is.
        assert_eq!(html.matches('\u{202e}').count(), 1, "{html}");
        assert!(html.contains("<i>\\u{202e}</i>"));
    }
}

#[test]
fn every_key_is_shown_and_its_link_leads_to_it() {
    let html = page(&alone(), samples::MANY);
    for name in samples::MANY.iter().copied() {
        let Some(target) = key_target(name) else {
            assert!([".", ".."].contains(&name));
            continue;
        };
        assert!(html.contains(&format!("href=\"{target}\"")), "{target} is missing");
        let sent = target.strip_prefix("/v1/kv/").unwrap();
        assert_eq!(percent_decode_str(sent).decode_utf8().unwrap(), name);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b);
        assert!(sent.bytes().all(plain), "{sent} would not be sent as it is");
        assert!(sent.split('/').all(|part| ![".", ".."].contains(&part)), "{sent} would be walked");
    }
    assert_eq!(key_target("a/b c?d#e%f").unwrap(), "/v1/kv/a/b%20c%3Fd%23e%25f");
    assert_eq!(key_target("a/../b").unwrap(), "/v1/kv/a%2F..%2Fb");
}

#[test]
fn what_would_not_be_seen_is_spelt_out() {
    for (text, shown) in [
        ("plain text", "plain text"),
        (" a  b ", "<i>␣</i>a <i>␣</i>b<i>␣</i>"),
        ("a\nb\tc\rd", "a<i>\\n</i>b<i>\\t</i>c<i>\\r</i>d"),
        ("\0\u{1b}\u{85}", "<i>\\u{0}</i><i>\\u{1b}</i><i>\\u{85}</i>"),
        ("x\u{202e}y\u{200b}\u{a0}", "x<i>\\u{202e}</i>y<i>\\u{200b}</i><i>\\u{a0}</i>"),
        ("Grüße 日本 🦀", "Grüße 日本 🦀"),
    ] {
        assert_eq!(Shown(text).to_string(), format!("<bdi>{shown}</bdi>"), "{text:?}");
    }
}

#[test]
fn only_host_and_port_become_a_link_to_another_storage() {
    for address in ["127.0.0.1:8000", "db-1.example.org:1", "[::1]:8000"] {
        let link = format!("<a href=\"http://{address}/\">{address}</a>");
        assert_eq!(address_link(address), link);
    }
    for address in
        ["", "host", "host:", ":80", "host:99999", "host:+1", "u@host:1", "a/b:1", "a b:1", "::1:8"]
    {
        assert!(!address_link(address).contains("<a "), "{address} became a link");
    }
}

#[test]
fn one_page_of_keys_leads_to_the_next_and_back() {
    let mut page = keys(&["a", "b"]);
    page.next = page.rows.last().map(|row| row.key.clone());
    let html = render(&alone(), &Keys { page: &page, prefix: "x&y", after: Some("z+") }, NOW_MS);
    assert!(html.contains("href=\"/?prefix=x%26y&amp;after=b#keys\""), "{html}");
    assert!(html.contains("href=\"/?prefix=x%26y#keys\""));
    assert!(html.contains("href=\"/?prefix=x%26y&amp;after=z%2B\">Reload"));
    assert!(html.contains("value=\"x&amp;y\""));
    assert_eq!(page_target("", None), "/");
    assert!(!self::page(&alone(), &["a"]).contains("Next page"));
}

#[test]
fn an_arc_is_drawn_clockwise_from_its_first_place_to_its_last() {
    let mut info = of_ring(3, 3, 0);
    info.arcs.truncate(1);
    let quarter = 1u64 << 62;
    let mut drawn = |from: u64, to: u64| {
        (info.arcs[0].from, info.arcs[0].to) = (format!("{from:016x}"), format!("{to:016x}"));
        let html = page(&info, &[]);
        html.split("class=\"own\" ").nth(1).unwrap().split('>').next().unwrap().to_owned()
    };
    // To the right is a quarter, the top is 0: half the ring over the top ends at the right.
    let over = drawn(quarter.wrapping_mul(3), quarter);
    assert!(over.contains("A165 165 0 0 1 485.00 224.00"), "{over}");
    // All but a quarter takes the long way.
    let long = drawn(quarter, 0);
    assert!(long.contains("A165 165 0 1 1 320.00 59.00"), "{long}");
    assert!(drawn(7, 7).starts_with("cx="), "the whole ring is a circle");
}

#[test]
fn numbers_are_written_for_people() {
    assert_eq!([0, 999, 1_000, 12_345_678].map(number), ["0", "999", "1,000", "12,345,678"]);
    let sizes = [0, 1_023, 1_024, 1_536, 102_400, (1 << 20) - 1, u64::MAX].map(bytes);
    let written = ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "100 KiB", "1.0 MiB", "16.0 EiB"];
    assert_eq!(sizes, written.map(|size| size.replace(' ', "\u{a0}")));
    let shares = [0.0, 1e-9, 0.0942, 0.9999, 1.0].map(percent).map(|p| p.replace('\u{a0}', " "));
    assert_eq!(shares, ["0.0 %", "below 0.1 %", "9.4 %", "100 %", "100 %"]);
    let spans = [0, 61, 3_600, 5_400, 86_400, 277_000, 4_000_000];
    let spans = spans.map(duration).map(|span| span.replace('\u{a0}', " "));
    assert_eq!(spans, ["0 s", "1 min", "1 h", "1 h 30 min", "1 day", "3 days 4 h", "46 days"]);
    let since = [NOW_MS, NOW_MS - 9_000_000, NOW_MS + 70_000, NOW_MS + 100];
    let since = since.map(|ms| ago(ms, NOW_MS).replace('\u{a0}', " "));
    assert_eq!(since, ["just now", "2 h ago", "1 min ahead", "just now"]);
    assert!(time(NOW_MS).contains(">2026-11-21 01:43:22<"));
    assert_eq!(time(u64::MAX >> 16), "beyond all calendars");
}

#[test]
fn browsers_accept_the_style_and_nothing_else() {
    let mut shell = Command::new("sha256sum");
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(STYLE.as_bytes()).unwrap();
    let said = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
    let digest: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&said[2 * at..2 * at + 2], 16).unwrap()).collect();
    let allowed = format!("style-src 'sha256-{}';", base64(&digest));
    assert!(CONTENT_SECURITY_POLICY.contains(&allowed), "the style changed: {allowed}");
    assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'none';"));
    let html = page(&of_ring(3, 3, 0), samples::MANY);
    assert_eq!(html.matches("<style>").count(), 1);
    assert!(html.contains(&format!("<style>{STYLE}</style>")), "the style is embedded as it is");
    assert!(!html.contains(" style=") && !html.contains("<script"));
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = bytes.chunks(3).flat_map(|three| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*three.get(at).unwrap_or(&0)));
        let letter = move |at: usize| char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]);
        (0..4).map(move |at| if at <= three.len() { letter(at) } else { '=' })
    });
    letters.collect()
}

#[test]
fn a_page_that_is_not_well_formed_is_told_from_one_that_is() {
    let within = |html: &str| well_formed(&format!("<!DOCTYPE html>{html}"));
    assert_eq!(within("<p id=\"a\">x &amp; y<input value=\"b\"></p><svg><path/></svg>"), Ok(()));
    for html in [
        "<p>",
        "<p></b>",
        "<b><p></b></p>",
        "<p>a & b</p>",
        "<p>a > b</p>",
        "<p class=a></p>",
        "<p class=\"a\" class=\"b\"></p>",
        "<p id=\"a\"></p><p id=\"a\"></p>",
        "<p onclick=\"a\"></p>",
        "<p class=\"<\"></p>",
        "< p></p>",
    ] {
        assert!(within(html).is_err(), "{html} passes");
    }
}

/// Elements nest and end, attributes stand in quotes and once, ids are unique, and every `&` begins a reference.
fn well_formed(html: &str) -> Result<(), String> {
    let (mut open, mut ids) = (vec![], HashSet::new());
    let mut rest = html.strip_prefix("<!DOCTYPE html>").ok_or("no doctype")?;
    while let Some(begin) = rest.find('<') {
        check_text(&rest[..begin])?;
        let (tag, behind) = rest[begin + 1..].split_once('>').ok_or("a tag without an end")?;
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            let last: Option<&str> = open.pop();
            if last != Some(name) {
                return Err(format!("</{name}> ends {last:?}"));
            }
            continue;
        }
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let name = name.trim_end_matches('/');
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(format!("<{tag}> is no element"));
        }
        let mut given = HashSet::new();
        while !attributes.is_empty() && attributes != "/" {
            let (key, value) = attributes.split_once("=\"").ok_or(format!("in <{tag}>"))?;
            let (value, behind) = value.split_once('"').ok_or(format!("in <{tag}>"))?;
            check_text(value)?;
            let plain = key.bytes().all(|b| b.is_ascii_alphabetic() || b"-0123456789".contains(&b));
            let fresh = given.insert(key) && (key != "id" || ids.insert(value));
            if !plain || !fresh || key.starts_with("on") || value.contains('<') {
                return Err(format!("{key}={value} in <{tag}>"));
            }
            attributes = behind.trim_start();
        }
        match name {
            "style" => rest = rest.split_once("</style>").ok_or("an endless style")?.1,
            "meta" | "link" | "input" => {}
            _ if tag.ends_with('/') => {}
            _ => open.push(name),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} do not end")) }
}

fn check_text(text: &str) -> Result<(), String> {
    for behind in text.split('&').skip(1) {
        let name = behind.split(';').next().unwrap_or_default();
        let known = ["amp", "lt", "gt", "quot", "#39", "#160"].contains(&name);
        if !known || !behind.contains(';') {
            return Err(format!("&{behind}"));
        }
    }
    if text.contains(['\0', '\r', '>']) { Err(format!("{text:?}")) } else { Ok(()) }
}
