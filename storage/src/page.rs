//! The status page of one storage: where it sits on the ring, how it is, and its keys.
//!
//! One page, complete in itself: no script, no asset, nothing fetched. It is made of what [`NodeInfo`] says and of one page of
//! keys, and nothing else, so that a test can draw any state a storage may come into.
//!
//! Keys, zones and addresses come from outside. They go through `text`, which leaves no letter that HTML would obey and
//! none that a reader would not see.

mod arcs;
mod keys;
mod neighbours;
mod ring;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod text;

use crate::{
    nodeinfo::{Disk, Health, NodeInfo},
    storage::Page,
};
use neighbours::Neighbourhood;
use text::{Plain, Shown, bytes, count, duration, number, page_target, time};

/// What a browser may do with the page: apply its own style, show its own icon, send its form back here. Nothing else.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-VglG6Cka/j2RU9L+rFrUx6hqVbw/iq+vtC+GGvqZQQY='; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("page/style.css");

/// A page of keys and what was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    /// The keys, and where to go on.
    pub page: &'a Page,
    /// What they begin with.
    pub prefix: &'a str,
    /// The key they come behind; none on the first page.
    pub after: Option<&'a str>,
}

/// The page, in HTML.
pub fn render(info: &NodeInfo, keys: &Keys<'_>, now_ms: u64) -> String {
    let around = Neighbourhood::of(info);
    // Where there are no neighbours to tell of, the facts stand beside the ring.
    let (beside, below) = match info.ring {
        None => (facts(info), String::new()),
        Some(_) => (around.section(info), facts(info)),
    };
    [
        head(info, keys, now_ms),
        state(info),
        set_aside(info),
        format!(r#"<div class="where"><figure>{}</figure><div>"#, ring::draw(info, &around)),
        figures(info),
        beside,
        "</div></div>".into(),
        arcs::section(info),
        keys::section(info, keys, now_ms),
        below,
        FOOT.into(),
    ]
    .concat()
}

const FOOT: &str = r#"</main><footer><nav aria-label="For programs"><a href="/nodeinfo">/nodeinfo</a><a href="/metrics">/metrics</a><a href="/v1/kv">/v1/kv</a></nav></footer></body></html>
"#;

fn head(info: &NodeInfo, keys: &Keys<'_>, now_ms: u64) -> String {
    const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32' fill='none' stroke-width='5'%3E%3Ccircle cx='16' cy='16' r='12' stroke='%23999' stroke-opacity='.5'/%3E%3Cpath d='M16 4a12 12 0 0 1 12 12' stroke='%230d7a68'/%3E%3C/svg%3E";
    let zone = match &*info.zone {
        "" => String::new(),
        zone => format!(r#"<span class="zone">zone {}</span>"#, Shown(zone)),
    };
    format!(
        r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title} · {word}</title><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer"><link rel="icon" href="{ICON}"><style>{STYLE}</style></head><body><header><p class="kind">storage {zone}</p><h1>{address}</h1><p class="seen"><span>{now} UTC</span><a href="{reload}">Reload</a></p></header><main>"#,
        title = Plain(&info.address),
        word = word(info.state),
        address = Shown(&info.address),
        now = time(now_ms),
        reload = page_target(keys.prefix, keys.after),
    )
}

fn word(state: Health) -> &'static str {
    match state {
        Health::Serving => "serving",
        Health::Full => "full",
        Health::Damaged => "damaged",
        Health::Stopping => "stopping",
    }
}

/// How it is, in one sentence; and if that is not well, what to do.
fn state(info: &NodeInfo) -> String {
    let arcs = info.arcs.len() as u64;
    let kept = match info.ring {
        Some(_) if arcs == 0 => "It belongs to a ring and keeps no arc of it yet".into(),
        Some(_) if info.keys == 0 => format!("{}, no keys yet", count(arcs, "arc")),
        Some(_) => format!("{} in {}", count(info.keys, "key"), count(arcs, "arc")),
        None if info.keys == 0 => "No keys yet".into(),
        None => count(info.keys, "key"),
    };
    let sentence = match info.state {
        Health::Serving => format!("Serving. {kept}."),
        Health::Full => {
            "The disk is nearly full. Reads and deletes go on; writes are refused.".into()
        }
        Health::Damaged => {
            "Some of its data is damaged, and it answers nothing for that part.".into()
        }
        Health::Stopping => "Stopping. It takes no more requests.".into(),
    };
    let filling = info.arcs.iter().filter(|arc| arc.filling == Some(info.id)).count() as u64;
    let advice = match (info.state, info.ring) {
        (Health::Full, None) => "Make room on its disk or delete keys: it takes writes again by itself.".into(),
        (Health::Full, Some(_)) => "Make room on its disk, or run <code>sdht balance</code> to let others keep more: it takes writes again by itself.".into(),
        (Health::Damaged, Some(_)) => "Run <code>sdht repair</code>: it is filled anew from the other copies, which still serve.".into(),
        (Health::Damaged, None) => "There is no other copy. Stop it and run <code>minor-storage --check</code> on its directory, then restore a backup.".into(),
        (Health::Serving, Some(_)) if filling > 0 => {
            format!("{} still being filled here from the other copies.", match filling {
                1 => "One arc is".into(),
                filling => format!("{} are", count(filling, "arc")),
            })
        }
        _ => String::new(),
    };
    let advice = match &*advice {
        "" => String::new(),
        advice => format!(r#"<p class="advice">{advice}</p>"#),
    };
    format!(r#"<p class="state {}">{sentence}</p>{advice}"#, word(info.state))
}

fn set_aside(info: &NodeInfo) -> String {
    if info.set_aside.is_empty() {
        return String::new();
    }
    let list: String =
        info.set_aside.iter().map(|dir| format!("<li><code>{}</code></li>", Shown(dir))).collect();
    format!(
        r#"<aside class="warning" aria-label="Data set aside"><p>Data that could not be trusted was set aside, and is not served. It stays until somebody removes it:</p><ul>{list}</ul></aside>"#
    )
}

fn figures(info: &NodeInfo) -> String {
    let Disk { used, free } = info.disk;
    // Along 200 steps, and seen as soon as there is anything.
    let part = used as f64 / (used as f64 + free as f64).max(1.0) * 200.0;
    let part = if used == 0 { 0.0 } else { part.max(1.0) };
    let full = if info.state == Health::Full { " full" } else { "" };
    format!(
        r#"<section class="figures" aria-label="Figures"><dl><div><dt>Keys</dt><dd>{keys}</dd></div><div><dt>Data</dt><dd>{size}</dd></div><div><dt>Up for</dt><dd>{up}</dd></div></dl><div class="disk"><svg class="bar{full}" viewBox="0 0 200 6" preserveAspectRatio="none" aria-hidden="true"><rect class="all" width="200" height="6"/><rect class="part" width="{part:.1}" height="6"/></svg><p>{used} on disk <span>{free} free</span></p></div></section>"#,
        keys = number(info.keys),
        size = bytes(info.bytes),
        up = duration(info.uptime_s),
        used = bytes(used),
        free = bytes(free),
    )
}

fn facts(info: &NodeInfo) -> String {
    let durability = match info.durability {
        "always" => "an acknowledged write survives a power cut",
        "interval" => "an acknowledged write survives a power cut half a second later",
        _ => "",
    };
    let mut facts = vec![("Storage", format!("<code>{}</code>", info.id))];
    facts.extend(info.ring.map(|ring| ("Ring", format!("<code>{ring}</code>"))));
    let place = info.place().filter(|_| info.ring.is_some());
    facts.extend(place.map(|place| ("Place", format!("<code>{place}</code>"))));
    facts.push(("Durability", format!("{} <span>{durability}</span>", Shown(info.durability))));
    let starts = if info.starts == 1 { "once".into() } else { count(info.starts, "time") };
    facts.push(("Started", starts));
    if info.tombstones > 0 {
        facts.push(("Deleted", format!("{} still to be swept", count(info.tombstones, "key"))));
    }
    let version = Shown(info.version);
    facts.push(("Version", format!("{version} <span>data format {}</span>", info.format)));
    let facts =
        facts.iter().map(|(name, fact)| format!("<div><dt>{name}</dt><dd>{fact}</dd></div>"));
    let facts: String = facts.collect();
    format!(
        r#"<section class="facts" aria-labelledby="facts"><h2 id="facts">Facts</h2><dl>{facts}</dl></section>"#
    )
}
