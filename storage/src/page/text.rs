//! Words for the page: what came from outside made harmless, addresses made links, numbers made readable.

use jiff::Timestamp;
use minor_protocol::Position;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;

/// What RFC 3986 leaves as it is, and the slash.
const TARGET: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
const TARGET_AND_SLASH: &AsciiSet = &TARGET.add(b'/');

/// A text in HTML: what would be invisible, or turn what follows around, is spelt out and marked as such.
pub(super) struct Shown<'a>(pub(super) &'a str);

/// The same without a mark, where no element may stand.
pub(super) struct Plain<'a>(pub(super) &'a str);

/// The value of an attribute, as it is.
pub(super) struct Value<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<bdi>")?;
        write_visibly(f, self.0, "<i>", "</i>")?;
        f.write_str("</bdi>")
    }
}

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_visibly(f, self.0, "", "")
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| write_letter(f, letter))
    }
}

fn write_visibly(f: &mut fmt::Formatter<'_>, text: &str, open: &str, close: &str) -> fmt::Result {
    let inner = text.trim_matches(' ');
    let start = inner.as_ptr() as usize - text.as_ptr() as usize;
    let within = start..start + inner.len();
    for (at, letter) in text.char_indices() {
        // A space at either end would not be seen, and neither would the second of two.
        let edge = letter == ' ' && (!within.contains(&at) || text[..at].ends_with(' '));
        match letter {
            _ if edge => write!(f, "{open}␣{close}")?,
            '\n' => write!(f, "{open}\\n{close}")?,
            '\r' => write!(f, "{open}\\r{close}")?,
            '\t' => write!(f, "{open}\\t{close}")?,
            _ if is_unseen(letter) => {
                write!(f, "{open}{}{close}", letter.escape_unicode())?;
            }
            _ => write_letter(f, letter)?,
        }
    }
    Ok(())
}

fn write_letter(f: &mut fmt::Formatter<'_>, letter: char) -> fmt::Result {
    match letter {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        // HTML has no place for these, not even by number.
        '\0' | '\r' => f.write_str("\u{fffd}"),
        _ => write!(f, "{letter}"),
    }
}

/// Letters that leave no trace of themselves, or turn the order of others around.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || letter != ' ' && letter.is_whitespace()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Where a key's value is found; none for the keys `.` and `..`, which every browser takes for a step in the path.
pub(super) fn key_target(key: &str) -> Option<String> {
    if [".", ".."].contains(&key) {
        return None;
    }
    // Between slashes, dots would be steps as well, even when encoded; so the slashes are.
    let steps = key.split('/').any(|part| [".", ".."].contains(&part));
    let set = if steps { TARGET_AND_SLASH } else { TARGET };
    Some(format!("/v1/kv/{}", utf8_percent_encode(key, set)))
}

/// This page, from another key on.
pub(super) fn page_target(prefix: &str, after: Option<&str>) -> String {
    let named = [("prefix", Some(prefix).filter(|p| !p.is_empty())), ("after", after)];
    let pairs = named.iter().filter_map(|(name, value)| {
        value.map(|value| format!("{name}={}", utf8_percent_encode(value, TARGET)))
    });
    let query = pairs.collect::<Vec<_>>().join("&amp;");
    if query.is_empty() { "/".into() } else { format!("/?{query}") }
}

/// An address as a link to that storage's own page, if it can be one.
pub(super) fn address_link(address: &str) -> String {
    if is_address(address) {
        format!(r#"<a href="http://{address}/">{address}</a>"#)
    } else {
        Shown(address).to_string()
    }
}

/// Whether it is HOST:PORT and nothing else.
pub(super) fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = match bare {
        Some(host) => {
            host.contains(':') && host.bytes().all(|b| b.is_ascii_hexdigit() || b".:".contains(&b))
        }
        None => host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    fits && !host.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

/// `12,345`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 key`, `12,345 keys`.
pub(super) fn count(how_many: u64, what: &str) -> String {
    let many = if how_many == 1 { "" } else { "s" };
    format!("{} {what}{many}", number(how_many))
}

/// `1.5 MiB`, with a space that does not break.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1 << 10 {
        return format!("{bytes}\u{a0}B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded up to 1,024 belongs to the next unit.
    while size >= 1023.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(size < 99.95);
    format!("{size:.decimals$}\u{a0}{}", UNITS[unit])
}

/// `9.4 %`, and for what is small but there, `below 0.1 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent >= 99.95 => "100\u{a0}%".into(),
        _ if percent > 0.0 && percent < 0.05 => "below\u{a0}0.1\u{a0}%".into(),
        _ => format!("{percent:.1}\u{a0}%"),
    }
}

/// `3 days 4 h`: the two largest units that matter.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}\u{a0}s"),
        (0, 0, _) => format!("{minutes}\u{a0}min"),
        (0, _, _) if minutes % 60 == 0 => format!("{hours}\u{a0}h"),
        (0, _, _) => format!("{hours}\u{a0}h {}\u{a0}min", minutes % 60),
        (1..=13, _, _) if hours % 24 != 0 => {
            format!("{} {}\u{a0}h", count(days, "day").replace(' ', "\u{a0}"), hours % 24)
        }
        _ => count(days, "day").replace(' ', "\u{a0}"),
    }
}

/// `3 days`: the largest unit alone.
pub(super) fn roughly(seconds: u64) -> String {
    let unit = [86_400, 3_600, 60].into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    duration(seconds - seconds % unit)
}

/// A moment as people write it, in UTC, to the second; as an element that programs can read too.
pub(super) fn time(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match moment {
        Some(moment) => {
            format!(r#"<time datetime="{moment}">{}</time>"#, moment.strftime("%Y-%m-%d %H:%M:%S"))
        }
        None => "beyond all calendars".into(),
    }
}

/// How long ago that was.
pub(super) fn ago(ms: u64, now_ms: u64) -> String {
    match now_ms.checked_sub(ms) {
        Some(..2_000) => "just now".into(),
        // Clocks differ, and stamps are drawn from the writer's.
        None if ms - now_ms < 2_000 => "just now".into(),
        None => format!("{} ahead", roughly((ms - now_ms) / 1_000)),
        Some(past_ms) => format!("{} ago", roughly(past_ms / 1_000)),
    }
}

/// The beginning of a place, enough to tell it from others.
pub(super) fn short_place(place: Position) -> String {
    format!("{:04x}…", place.0 >> 48)
}

/// The same of a place in text.
pub(super) fn short_hex(hex: &str) -> String {
    parse_place(hex).map_or_else(|| Shown(hex).to_string(), short_place)
}

/// The place that a text of 16 digits means.
pub(super) fn parse_place(hex: &str) -> Option<Position> {
    u64::from_str_radix(hex, 16).ok().map(Position)
}
