//! The other storages that this one knows: those before and behind it, and those it shares arcs with.

use super::text::{Shown, address_link, parse_place};
use crate::nodeinfo::NodeInfo;
use minor_protocol::{Member, Position};
use std::fmt::Write;

const STEPS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

/// The others, each once, in the order they are numbered.
pub(super) struct Neighbourhood<'a> {
    pub(super) others: Vec<Other<'a>>,
}

/// Another storage.
pub(super) struct Other<'a> {
    pub(super) member: &'a Member,
    /// Where it sits, if that is known.
    pub(super) place: Option<Position>,
    /// Where it stands as seen from here.
    stands: Vec<String>,
}

impl<'a> Neighbourhood<'a> {
    pub(super) fn of(info: &'a NodeInfo) -> Self {
        let mut around = Self { others: vec![] };
        if let Some(before) = &info.predecessor {
            around.meet(info, &before.member, Some("one before".into()));
        }
        for (steps, behind) in info.successors.iter().enumerate() {
            let stands = match STEPS.get(steps) {
                Some(steps) => format!("{steps} behind"),
                None => format!("{} behind", steps + 1),
            };
            around.meet(info, &behind.member, Some(stands));
        }
        for member in info.arcs.iter().flat_map(|arc| &arc.members) {
            around.meet(info, member, None);
        }
        around
    }

    fn meet(&mut self, info: &NodeInfo, member: &'a Member, stands: Option<String>) {
        if member.storage == info.id {
            return;
        }
        if let Some(known) = self.others.iter_mut().find(|o| o.member.storage == member.storage) {
            known.stands.extend(stands);
            return;
        }
        let place = place_of(info, member);
        self.others.push(Other { member, place, stands: stands.into_iter().collect() });
    }

    /// The list beside the ring.
    pub(super) fn section(&self, info: &NodeInfo) -> String {
        if info.ring.is_none() {
            return String::new();
        }
        let mut html = String::from(
            r#"<section class="neighbours" aria-labelledby="neighbours"><h2 id="neighbours">Neighbours</h2>"#,
        );
        if self.others.is_empty() {
            html += "<p class=\"quiet\">None: this storage is the whole ring.</p></section>";
            return html;
        }
        html += "<ol>";
        for other in &self.others {
            let Member { address, zone, .. } = other.member;
            let mut notes: Vec<String> = other.stands.clone();
            if notes.is_empty() {
                notes.push("shares an arc".into());
            }
            if !zone.is_empty() {
                notes.push(format!("zone {}", Shown(zone)));
            }
            let (link, notes) = (address_link(address), notes.join(" · "));
            let _ = write!(html, "<li>{link}<span class=\"note\">{notes}</span></li>");
        }
        html + "</ol></section>"
    }
}

/// Where a storage sits, as far as the arcs kept here tell: each ends at the place of its first member, and the own one begins
/// behind the predecessor's.
fn place_of(info: &NodeInfo, member: &Member) -> Option<Position> {
    let first = |storage| {
        info.arcs.iter().find(move |a| a.members.first().is_some_and(|m| m.storage == storage))
    };
    if let Some(arc) = first(member.storage) {
        return parse_place(&arc.to);
    }
    let before = info.predecessor.as_ref().filter(|p| p.member.storage == member.storage);
    before.and(first(info.id)).and_then(|own| parse_place(&own.from))
}
