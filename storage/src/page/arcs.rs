//! The arcs a storage keeps, as a table; on a narrow screen, as cards.

use super::text::{address_link, bytes, number, percent, short_hex};
use crate::nodeinfo::{ArcInfo, NodeInfo};
use std::fmt::Write;

pub(super) fn section(info: &NodeInfo) -> String {
    if info.ring.is_none() || info.arcs.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        r#"<section class="arcs" aria-labelledby="arcs"><h2 id="arcs">Arcs</h2><table><caption>The stretches of the ring that are kept here. Keys and bytes of a single arc are close, not exact.</caption><thead><tr><th scope="col">Arc</th><th scope="col" class="figure">Share</th><th scope="col" class="figure">Keys</th><th scope="col" class="figure">Bytes</th><th scope="col" class="figure">Epoch</th><th scope="col" class="figure">Copies</th><th scope="col">Kept by</th><th scope="col">State</th></tr></thead><tbody>"#,
    );
    for arc in &info.arcs {
        write_row(&mut html, info, arc);
    }
    html + "</tbody></table></section>"
}

fn write_row(html: &mut String, info: &NodeInfo, arc: &ArcInfo) {
    let own = arc.members.first().is_some_and(|first| first.storage == info.id);
    let tone = match (arc.damaged, own) {
        (true, _) => "damaged",
        (false, true) => "own",
        (false, false) => "copy",
    };
    let whose = if own { "its own" } else { "a copy" };
    let keepers = arc.members.iter().map(|member| {
        let filling = if arc.filling == Some(member.storage) { " (filling)" } else { "" };
        if member.storage == info.id {
            format!("<li>this one{filling}</li>")
        } else {
            format!("<li>{}{filling}</li>", address_link(&member.address))
        }
    });
    let keepers: String = keepers.collect();
    let filled = arc.members.len() - usize::from(arc.filling.is_some()).min(arc.members.len());
    let short = if filled < usize::from(arc.copies) { " short" } else { "" };
    let _ = write!(
        html,
        r#"<tr><th scope="row"><span class="swatch {tone}"></span><span class="span">{from} – {to}</span> <span class="note">{whose}</span></th><td class="figure" data-label="Share">{share}</td><td class="figure" data-label="Keys">{keys}</td><td class="figure" data-label="Bytes">{size}</td><td class="figure" data-label="Epoch">{epoch}</td><td class="figure{short}" data-label="Copies">{filled} of {copies}</td><td class="keepers" data-label="Kept by"><ul>{keepers}</ul></td><td class="states" data-label="State">{states}</td></tr>"#,
        from = short_hex(&arc.from),
        to = short_hex(&arc.to),
        share = percent(arc.share),
        copies = arc.copies,
        epoch = number(arc.epoch),
        keys = number(arc.records),
        size = bytes(arc.bytes),
        states = states(info, arc),
    );
}

fn states(info: &NodeInfo, arc: &ArcInfo) -> String {
    let mut states = vec![];
    if arc.damaged {
        states.push(r#"<span class="bad">damaged</span>"#);
    }
    match arc.filling {
        Some(storage) if storage == info.id => states.push("being filled here"),
        Some(_) => states.push("a new copy is being filled"),
        None => {}
    }
    if arc.sealed {
        states.push("sealed: about to join the arc behind it");
    }
    if states.is_empty() { "whole".into() } else { states.join(", ") }
}
