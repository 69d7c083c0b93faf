//! The keys, a page at a time: each a link to its value, with the time of its last change and its size.

use super::{
    Keys,
    text::{Shown, Value, ago, bytes, is_address, key_target, page_target, roughly, time},
};
use crate::{
    nodeinfo::{Health, NodeInfo},
    storage::Line,
};
use std::fmt::Write;

pub(super) fn section(info: &NodeInfo, keys: &Keys<'_>, now_ms: u64) -> String {
    let mut html = String::from(
        r#"<section class="keys" aria-labelledby="keys"><div class="head"><h2 id="keys">Keys</h2>"#,
    );
    let _ = write!(
        html,
        r#"<form action="/" method="get" role="search"><label for="prefix">that begin with</label><input type="search" id="prefix" name="prefix" value="{}" autocapitalize="off" autocomplete="off" spellcheck="false"><button>Show</button></form></div>"#,
        Value(keys.prefix)
    );
    if keys.page.rows.is_empty() {
        html += &nothing(info, keys);
    } else {
        html += &table(info, keys, now_ms);
    }
    html += &steps(keys);
    html + "</section>"
}

fn table(info: &NodeInfo, keys: &Keys<'_>, now_ms: u64) -> String {
    let whose = if info.ring.is_some() { "The copies kept here, in" } else { "In" };
    let mut html = format!(
        r#"<table><caption>{whose} the order of their places on the ring. Times are UTC.</caption><thead><tr><th scope="col">Key</th><th scope="col">Changed</th><th scope="col" class="figure">Size</th></tr></thead><tbody>"#
    );
    keys.page.rows.iter().for_each(|row| write_row(&mut html, row, now_ms));
    html + "</tbody></table>"
}

fn write_row(html: &mut String, row: &Line, now_ms: u64) {
    let (name, changed_ms) = (row.key.as_str(), row.stamp.time_ms());
    let shown = match key_target(name) {
        Some(target) => format!(r#"<a href="{target}">{}</a>"#, Shown(name)),
        None => format!("{} <span class=\"note\">(curl --path-as-is)</span>", Shown(name)),
    };
    let ends = match row.expires_ms.and_then(|end| end.checked_sub(now_ms)) {
        Some(left_ms) => format!(" · expires in {}", roughly(left_ms / 1_000)),
        None => String::new(),
    };
    let _ = write!(
        html,
        r#"<tr><th scope="row" class="key">{shown}</th><td class="changed">{} <span class="note">{}{ends}</span></td><td class="figure">{}</td></tr>"#,
        time(changed_ms),
        ago(changed_ms, now_ms),
        bytes(row.bytes.into())
    );
}

/// Why no key is shown, and what to do about it.
fn nothing(info: &NodeInfo, keys: &Keys<'_>) -> String {
    if info.state == Health::Damaged {
        return "<p class=\"empty\">Keys are not listed while some of the data is damaged: the list could miss some.</p>".into();
    }
    if keys.page.next.is_some() {
        return "<p class=\"empty\">None among those looked at so far.</p>".into();
    }
    if !keys.prefix.is_empty() {
        let prefix = Shown(keys.prefix);
        let more = if keys.after.is_some() { "No more keys begin" } else { "No key begins" };
        return format!("<p class=\"empty\">{more} with <code>{prefix}</code>.</p>");
    }
    if keys.after.is_some() {
        return "<p class=\"empty\">No more keys.</p>".into();
    }
    let address = if is_address(&info.address) { &info.address } else { "HOST:PORT" };
    let line = match info.ring {
        None => format!("curl -X PUT --data-binary @file http://{address}/v1/kv/my/key"),
        Some(_) => format!("sdht --ring {address} set my/key -f file"),
    };
    format!(
        "<p class=\"empty\">None yet. This puts a file under the key <code>my/key</code>:</p><pre><code>{line}</code></pre>"
    )
}

/// Back to the beginning, on to the next page.
fn steps(keys: &Keys<'_>) -> String {
    let mut links = String::new();
    if !keys.prefix.is_empty() {
        links += r#"<a href="/#keys">All keys</a>"#;
    }
    if keys.after.is_some() {
        let target = page_target(keys.prefix, None);
        let _ = write!(links, r#"<a href="{target}#keys">From the beginning</a>"#);
    }
    if let Some(next) = &keys.page.next {
        let target = page_target(keys.prefix, Some(next.as_str()));
        let _ = write!(links, r#"<a class="next" rel="next" href="{target}#keys">Next page</a>"#);
    }
    if links.is_empty() {
        return links;
    }
    format!(r#"<nav class="steps" aria-label="Pages of keys">{links}</nav>"#)
}
