//! The ring, drawn: a dial with 0 at its top that goes clockwise, the stretches this storage keeps, and where others sit.
//!
//! Names stand outside the ring, level with their places, and move apart where they would touch. A narrow screen shows only
//! their numbers, which the list of neighbours explains.

use super::{
    neighbours::Neighbourhood,
    text::{Plain, parse_place, percent, short_place},
};
use crate::nodeinfo::{ArcInfo, NodeInfo};
use minor_protocol::Position;
use std::{
    f64::consts::{PI, TAU},
    fmt::Write,
};

const CENTRE: (f64, f64) = (320.0, 224.0);
const RADIUS: f64 = 165.0;
/// The middle of the numbers inside the dial, and of the names outside it.
const NUMERALS: f64 = 128.0;
const NAMES: f64 = 191.0;
const LINE: f64 = 16.0;
/// Letters of a name; the rest would leave the picture.
const LETTERS: usize = 18;
const NAMES_AT_MOST: usize = 12;

/// The ring as this storage knows it.
pub(super) fn draw(info: &NodeInfo, around: &Neighbourhood<'_>) -> String {
    let mut svg = format!(
        r#"<svg class="ring" viewBox="0 0 640 448" width="640" height="448" role="img" aria-label="{}"><defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="hatch" d="M0 0v5"/></pattern></defs>"#,
        spoken(info)
    );
    svg += &dial();
    if info.ring.is_none() {
        let tone = if info.arcs.iter().any(|arc| arc.damaged) { "damaged" } else { "alone" };
        svg += &circle(tone);
        svg += &motto("a store", "of its own");
        return svg + "</svg>";
    }
    let kept = |arc: &&ArcInfo| arc.members.first().is_some_and(|first| first.storage == info.id);
    // The own arc last, so that its ends lie on top.
    let (own, copies): (Vec<_>, Vec<_>) = info.arcs.iter().partition(kept);
    for (arc, tone) in copies.iter().map(|a| (a, "copy")).chain(own.iter().map(|a| (a, "own"))) {
        svg += &stretch(arc, if arc.damaged { "damaged" } else { tone });
        if arc.filling == Some(info.id) {
            svg += &stretch(arc, "filling");
        }
    }
    svg += &names(info, around);
    let share: f64 = info.arcs.iter().map(|arc| arc.share).sum();
    match info.arcs.len() {
        0 => svg += &motto("nothing", "kept yet"),
        _ => svg += &centre(&percent(share.min(1.0)), "of the ring is kept here"),
    }
    svg + "</svg>"
}

/// What a picture says to those who hear it.
fn spoken(info: &NodeInfo) -> String {
    if info.ring.is_none() {
        return "A full circle: this storage is a store of its own.".into();
    }
    let mut said = String::from("The ring, clockwise from 0 at the top.");
    for arc in &info.arcs {
        let name = arc.members.first().map_or("nobody", |first| &first.address);
        let whose = match arc.members.first() {
            Some(first) if first.storage == info.id => "its own",
            _ => name,
        };
        let (from, to) = (Plain(&arc.from), Plain(&arc.to));
        let _ = write!(said, " From {from} to {to}, {}: {}.", percent(arc.share), Plain(whose));
    }
    said
}

/// Sixty-four strokes, and the first digit of a place at every quarter.
fn dial() -> String {
    let mut svg = format!("{}<g class=\"dial\">", circle("track"));
    for stroke in 0..64 {
        let (angle, quarter) = (TAU * f64::from(stroke) / 64.0, stroke % 16 == 0);
        let inner = if quarter { RADIUS - 24.0 } else { RADIUS - 17.0 };
        let ((x1, y1), (x2, y2)) = (at(angle, RADIUS - 13.0), at(angle, inner));
        let _ = write!(svg, r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}"/>"#);
    }
    for (quarter, digit) in ["0", "4", "8", "c"].into_iter().enumerate() {
        let (x, y) = at(PI / 2.0 * quarter as f64, NUMERALS);
        let _ = write!(svg, r#"<text x="{x:.1}" y="{:.1}">{digit}</text>"#, y + 4.0);
    }
    svg + "</g>"
}

fn circle(tone: &str) -> String {
    let (x, y) = CENTRE;
    format!(r#"<circle class="{tone}" cx="{x}" cy="{y}" r="{RADIUS}"/>"#)
}

fn centre(large: &str, small: &str) -> String {
    let (x, y) = CENTRE;
    format!(
        r#"<text class="large" x="{x}" y="{:.1}">{large}</text><text class="small" x="{x}" y="{:.1}">{small}</text>"#,
        y + 6.0,
        y + 32.0
    )
}

/// Two lines in the middle where there is no figure to tell.
fn motto(above: &str, below: &str) -> String {
    let (x, y) = CENTRE;
    format!(
        r#"<text class="motto" x="{x}" y="{:.1}">{above}</text><text class="motto" x="{x}" y="{:.1}">{below}</text>"#,
        y - 6.0,
        y + 28.0
    )
}

/// One arc, in proportion; but never so small that it is not seen.
fn stretch(arc: &ArcInfo, tone: &str) -> String {
    let (Some(from), Some(to)) = (parse_place(&arc.from), parse_place(&arc.to)) else {
        return String::new();
    };
    let title = format!(
        "<title>{} to {}, {}</title>",
        short_place(from),
        short_place(to),
        percent(arc.share)
    );
    if from == to {
        return circle(tone).replace("/>", &format!(">{title}</circle>"));
    }
    // A hair of paper between one arc and the next.
    let hair = 1.5 / RADIUS;
    let end = turn(to);
    let length = (turn(Position(to.after(from))) - hair).max(4.0 / RADIUS);
    let ((x1, y1), (x2, y2)) = (at(end - length, RADIUS), at(end, RADIUS));
    let large = u8::from(length > PI);
    format!(
        r#"<path class="{tone}" d="M{x1:.2} {y1:.2}A{RADIUS} {RADIUS} 0 {large} 1 {x2:.2} {y2:.2}">{title}</path>"#
    )
}

/// A place with the name of whoever sits there.
struct Name {
    /// None for this storage itself.
    number: Option<usize>,
    text: String,
    place: (f64, f64),
    y: f64,
}

impl Name {
    fn new(number: Option<usize>, text: &str, place: Position) -> Self {
        let angle = turn(place);
        Self { number, text: text.into(), place: at(angle, RADIUS), y: at(angle, NAMES).1 }
    }

    /// 1 to the right, -1 to the left.
    fn side(&self) -> f64 {
        if self.place.0 >= CENTRE.0 { 1.0 } else { -1.0 }
    }

    /// 1 below, -1 above.
    fn fall(&self) -> f64 {
        if self.place.1 >= CENTRE.1 { 1.0 } else { -1.0 }
    }
}

fn names(info: &NodeInfo, around: &Neighbourhood<'_>) -> String {
    let others = around.others.iter().enumerate();
    let placed = others.filter_map(|(at, other)| {
        Some(Name::new(Some(at + 1), &shortened(&other.member.address), other.place?))
    });
    let mut names: Vec<Name> = placed.take(NAMES_AT_MOST).collect();
    // Last, and so on top.
    names.extend(info.place().map(|place| Name::new(None, "here", place)));
    // Left and right, above and below: each quarter moves apart from its own side's middle outwards, where room is.
    for quarter in [(1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        let fall = quarter.1;
        let within = names.iter_mut().filter(|name| (name.side(), name.fall()) == quarter);
        let mut within: Vec<_> = within.collect();
        within.sort_by(|a, b| (fall * a.y).total_cmp(&(fall * b.y)));
        // The two quarters of a side meet at its middle: each keeps half a line away from there.
        let mut free = LINE / 2.0;
        for name in within {
            let off = (fall * (name.y - CENTRE.1)).max(free);
            name.y = CENTRE.1 + fall * off;
            free = off + LINE;
        }
    }
    names.iter().map(write_name).collect()
}

fn write_name(name: &Name) -> String {
    let (side, (px, py)) = (name.side(), name.place);
    // On the circle of names where it still passes at this height, else straight above or below its place.
    let off = name.y - CENTRE.1;
    let reach = (NAMES * NAMES - off * off).max(0.0).sqrt();
    let x = CENTRE.0 + side * reach.max((px - CENTRE.0).abs());
    let text = format!(r#"<tspan class="name">{}</tspan>"#, Plain(&name.text));
    let (class, radius, text) = match (name.number, side > 0.0) {
        (None, _) => ("here", 9.0, Plain(&name.text).to_string()),
        // The number stands next to the ring.
        (Some(number), true) => ("other", 4.5, format!("{number}&#160; {text}")),
        (Some(number), false) => ("other", 4.5, format!("{text} &#160;{number}")),
    };
    let anchor = if side > 0.0 { "start" } else { "end" };
    format!(
        r#"<path class="lead" d="M{px:.1} {py:.1}L{:.1} {:.1}"/><circle class="{class}" cx="{px:.2}" cy="{py:.2}" r="{radius}"/><text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{:.1}">{text}</text>"#,
        x - side * 4.0,
        name.y,
        name.y + 4.0
    )
}

/// Beginning and end of a long name: the end tells ports apart.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= LETTERS {
        return name.into();
    }
    let (head, tail) = (&letters[..LETTERS - 9], &letters[letters.len() - 8..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// How far a place lies from the top, clockwise.
fn turn(place: Position) -> f64 {
    TAU * (place.0 as f64 / (u64::MAX as f64 + 1.0))
}

fn at(angle: f64, radius: f64) -> (f64, f64) {
    (CENTRE.0 + radius * angle.sin(), CENTRE.1 - radius * angle.cos())
}
