//! Storages in every state, for tests and for eyes.

use crate::{
    nodeinfo::{ArcInfo, Disk, FORMAT, Health, Limits, NodeInfo},
    storage::{Line, Page},
};
use minor_protocol::{
    Ballot, Key, Member, Moment, Position, RingId, Span, StorageId, message::Neighbour,
    record::Stamp,
};

/// Some day in 2026.
pub(super) const NOW_MS: u64 = 1_795_225_402_000;

/// A name, a storage, a page of its keys, what they begin with, what they come behind.
pub(super) type Sample = (&'static str, NodeInfo, Page, &'static str, Option<&'static str>);

pub(super) fn all() -> Vec<Sample> {
    let many = || keys(MANY);
    let mut full = with_keys(alone());
    (full.state, full.disk.used, full.disk.free) = (Health::Full, 9_812_000_000, 31_000_000);
    let mut damaged = of_ring(30, 3, 7);
    damaged.state = Health::Damaged;
    damaged.arcs[1].damaged = true;
    damaged.set_aside = vec!["store.damaged-20260131T235959Z".into()];
    let mut filling = of_ring(5, 3, 2);
    filling.arcs[0].filling = Some(filling.id);
    filling.arcs[2].filling = Some(filling.arcs[2].members[2].storage);
    filling.arcs[1].sealed = true;
    filling.arcs[1].copies = 4;
    let mut new = of_ring(3, 3, 0);
    (new.arcs, new.keys, new.bytes, new.predecessor) = (vec![], 0, 0, None);
    let mut founder = with_keys(of_ring(1, 1, 0));
    founder.uptime_s = 40;
    let mut stopping = with_keys(of_ring(2, 2, 1));
    stopping.state = Health::Stopping;
    let mut broken = alone();
    (broken.state, broken.arcs[0].damaged, broken.keys) = (Health::Damaged, true, 812);
    let mut long = of_ring(30, 3, 7);
    long.address = format!("{}.example:65535", "x".repeat(245));
    long.zone = "z".repeat(64);
    for member in long.arcs.iter_mut().flat_map(|arc| &mut arc.members) {
        (member.address, member.zone) = (long.address.clone(), long.zone.clone());
    }
    (long.keys, long.bytes, long.uptime_s) = (9_876_543_210, 9 << 40, 13 * 86_400 + 82_800);
    (long.arcs[0].epoch, long.arcs[0].records) = (123_456, 9_876_543_210);
    long.successors.iter_mut().for_each(|near| near.member.address = long.address.clone());
    let beyond = Page { rows: vec![], next: Key::new("far/along").ok() };
    vec![
        ("plain-empty", alone(), Page::default(), "", None),
        ("plain-keys", with_keys(alone()), many(), "", None),
        ("plain-prefix-none", with_keys(alone()), Page::default(), "no \"such\" <prefix>", None),
        ("plain-damaged", broken, Page::default(), "", None),
        ("plain-beyond", with_keys(alone()), beyond, "x", Some("a/b?c#d&e")),
        ("ring-1", founder, many(), "", None),
        ("ring-3", of_ring(3, 3, 0), keys(&MANY[..5]), "", None),
        ("ring-30", of_ring(30, 3, 7), keys(&MANY[..8]), "a", Some("a/key")),
        ("ring-top", of_ring(30, 5, 1), keys(&MANY[..3]), "", None),
        ("ring-long", long, keys(&MANY[..3]), "", None),
        ("ring-new", new, Page::default(), "", None),
        ("ring-filling", filling, keys(&MANY[..3]), "", None),
        ("ring-damaged", damaged, Page::default(), "", None),
        ("ring-stopping", stopping, keys(&MANY[..2]), "", None),
        ("plain-full", full, keys(&MANY[..6]), "", None),
    ]
}

/// Keys that have given somebody trouble.
pub(super) const MANY: &[&str] = &[
    "a",
    "a/key",
    "photos/2026/11/the harbour at dawn.jpg",
    "<script>alert(1)</script>\"'&",
    "why? because #1 is 100% & more + plus",
    "…/../etc/passwd",
    "..",
    ".",
    "/begins/with/a/slash//and/has/two",
    "ends with a space ",
    "two  spaces",
    "new\nline and\ttab",
    "bidi \u{202e}gpj.exe",
    "\u{0}null\u{1b}[31mred",
    "Grüße/aus/Köln",
    "日本語のキー",
    "مفتاح/عربي",
    "emoji/🦀🌊",
    "zero\u{200b}width",
    "users/{42}/profile",
    "users/{42}/settings",
    "]]>--><!--",
    "&lt;not a tag&gt;",
    "javascript:alert(1)",
    "\\u{202e}",
    "=cmd|' /C calc'!A0",
    "x' onmouseover='alert(1)",
];

pub(super) fn keys(names: &[&str]) -> Page {
    let row = |(at, name): (usize, &&str)| Line {
        key: Key::new(*name).expect("samples are keys"),
        stamp: Stamp(Ballot {
            clock: Moment::at_ms(NOW_MS - 1_000 * 7u64.pow(at as u32 % 9)),
            ..Ballot::ZERO
        }),
        expires_ms: (at % 8 == 2).then_some(NOW_MS + 7_200_000),
        bytes: 13u32.pow(at as u32 % 5) % 65_537,
    };
    let mut rows: Vec<Line> = names.iter().enumerate().map(row).collect();
    if names.len() > 20 {
        let more =
            (0..12).map(|at| format!("logs/2026-11-{:02}/part-{:04}.ndjson", at + 1, at * 37));
        let more: Vec<String> = more.chain(["long/".repeat(200)]).collect();
        let more: Vec<&str> = more.iter().map(|name| &**name).collect();
        rows.extend(more.iter().enumerate().map(row));
    }
    let next = rows.last().map(|row| row.key.clone()).filter(|_| rows.len() > 20);
    Page { rows, next }
}

/// A storage of its own, as new.
pub(super) fn alone() -> NodeInfo {
    let me = member(0);
    NodeInfo {
        id: me.storage,
        address: me.address.clone(),
        zone: String::new(),
        version: env!("CARGO_PKG_VERSION"),
        format: FORMAT,
        ring: None,
        starts: 1,
        uptime_s: 7,
        state: Health::Serving,
        durability: "always",
        predecessor: None,
        successors: vec![],
        arcs: vec![arc(Span::WHOLE, vec![me], 1, 0)],
        keys: 0,
        tombstones: 0,
        bytes: 0,
        disk: Disk { used: 17_300_000, free: 41_200_000_000 },
        set_aside: vec![],
        limits: Limits::IN_FORCE,
    }
}

fn with_keys(info: NodeInfo) -> NodeInfo {
    let disk = Disk { used: 4_730_000_000, ..info.disk };
    NodeInfo {
        disk,
        keys: 12_345,
        tombstones: 3,
        bytes: 1_640_000_000,
        starts: 4,
        uptime_s: 277_000,
        ..info
    }
}

/// Storage `me` of a ring of so many, each keeping its own arc and those of the storages before it.
pub(super) fn of_ring(storages: usize, copies: usize, me: usize) -> NodeInfo {
    // Nearly even, as rings are after a while.
    let step = u64::MAX / storages as u64;
    let place = |at: usize| {
        let uneven = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (step / 2);
        Position((at as u64 + 1).wrapping_mul(step).wrapping_sub(uneven))
    };
    let wrapped = |at: usize| at % storages;
    let arcs = (0..copies).map(|back| {
        let first = wrapped(me + storages - back);
        let before = place(wrapped(first + storages - 1));
        let span = if storages == 1 { Span::WHOLE } else { Span::new(before, place(first)) };
        let members = (0..copies).map(|copy| member(wrapped(first + copy))).collect();
        arc(span, members, copies as u8, 12 + first as u64)
    });
    let near = |at: usize| Neighbour { member: member(wrapped(at)), starts: 1 + at as u64 % 4 };
    let successors = (1..storages.min(5)).map(|ahead| near(me + ahead)).collect();
    let member = member(me);
    NodeInfo {
        id: member.storage,
        address: member.address,
        zone: member.zone,
        ring: Some(RingId(0x6d1f_90aa_3c55_4b02_8a77_1f0e_d3c4_b5a6)),
        predecessor: (storages > 1).then(|| near(me + storages - 1)),
        successors,
        arcs: arcs.collect(),
        ..with_keys(alone())
    }
}

fn arc(span: Span, members: Vec<Member>, copies: u8, epoch: u64) -> ArcInfo {
    ArcInfo {
        from: span.from.to_string(),
        to: span.to.to_string(),
        share: span.share(),
        epoch,
        copies,
        members,
        filling: None,
        sealed: false,
        damaged: false,
        records: 4_115 + epoch,
        bytes: 546_000_000,
    }
}

fn member(at: usize) -> Member {
    let storage =
        StorageId(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834_u128.wrapping_mul(at as u128 + 1));
    let zone = if at == 0 { String::new() } else { format!("rack {}", at % 3 + 1) };
    Member { storage, address: format!("10.0.0.{}:8000", at + 1), zone }
}
