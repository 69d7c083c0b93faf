//! What a storage tells of itself to people and scripts: the body of `/nodeinfo`, and what the status page draws.

use crate::{
    storage::{Durability, Storage},
    store::Room,
};
use minor_manners::body;
use minor_protocol::{
    Member, Position, RingId, StorageId, limits,
    message::{Kept, Neighbour},
};
use serde::Serialize;

/// The version of the data directory's form.
pub const FORMAT: u32 = 1;

/// Everything at a glance. Fields are only ever added.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeInfo {
    /// Random, made with the data directory.
    pub id: StorageId,
    /// Where others reach it.
    pub address: String,
    /// What it shares its fate with.
    pub zone: String,
    /// Of the program.
    pub version: &'static str,
    /// Of the data directory.
    pub format: u32,
    /// None while it is a store of its own.
    pub ring: Option<RingId>,
    /// How often it was started.
    pub starts: u64,
    /// Seconds since it was.
    pub uptime_s: u64,
    /// What it can do now.
    pub state: Health,
    /// When a write is acknowledged: `always` or `interval`.
    pub durability: &'static str,
    /// The storage before it on the ring.
    pub predecessor: Option<Neighbour>,
    /// The storages behind it.
    pub successors: Vec<Neighbour>,
    /// The arcs it keeps; the one whose first member it is ends at its own place.
    pub arcs: Vec<ArcInfo>,
    /// Keys with a value.
    pub keys: u64,
    /// Deleted keys that are still to be swept.
    pub tombstones: u64,
    /// Bytes of keys and records.
    pub bytes: u64,
    /// The disk.
    pub disk: Disk,
    /// Data that was found damaged and set aside, if any.
    pub set_aside: Vec<String>,
    /// What it takes at the most.
    pub limits: Limits,
}

/// What a storage can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Everything.
    Serving,
    /// Reads and deletes; the disk is nearly full.
    Full,
    /// All but what an arc it keeps would need: some of its data is damaged.
    Damaged,
    /// Nothing any more.
    Stopping,
}

/// An arc the storage keeps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArcInfo {
    /// The last place before it.
    pub from: String,
    /// Its last place.
    pub to: String,
    /// The part of the ring it takes.
    pub share: f64,
    /// Which form of the arc.
    pub epoch: u64,
    /// Copies wanted.
    pub copies: u8,
    /// Who keeps it; the end of the arc is the first one's place.
    pub members: Vec<Member>,
    /// The member that is still being filled.
    pub filling: Option<StorageId>,
    /// It is about to become part of the arc behind it.
    pub sealed: bool,
    /// The storage does not trust its data there.
    pub damaged: bool,
    /// Records it holds of it, about.
    pub records: u64,
    /// Bytes of them, about.
    pub bytes: u64,
}

/// The disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Bytes the data takes.
    pub used: u64,
    /// Bytes that are free.
    pub free: u64,
}

/// Every limit on what comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it, and storages are asked for them by name")]
pub struct Limits {
    pub key_bytes: usize,
    pub value_bytes: usize,
    pub content_type_bytes: usize,
    pub ask_bytes: usize,
    pub ask_requests: usize,
    pub answer_bytes: usize,
    pub list_rows: u32,
    pub connections: usize,
    pub in_flight_bytes: usize,
    pub head_seconds: u64,
    pub body_grace_seconds: u64,
    pub body_bytes_per_second: u64,
}

impl Limits {
    /// The limits in force.
    pub const IN_FORCE: Self = Self {
        key_bytes: limits::KEY_BYTES,
        value_bytes: limits::VALUE_BYTES,
        content_type_bytes: limits::CONTENT_TYPE_BYTES,
        ask_bytes: limits::ASK_BYTES_READ,
        ask_requests: limits::ASK_REQUESTS,
        answer_bytes: limits::ANSWER_BYTES,
        list_rows: limits::LIST_ROWS,
        connections: 1_024,
        in_flight_bytes: body::IN_FLIGHT_BYTES,
        head_seconds: 5,
        body_grace_seconds: body::GRACE_SECONDS,
        body_bytes_per_second: body::BYTES_PER_SECOND,
    };
}

impl NodeInfo {
    /// How things stand. `set_aside` is known to whoever opened the directory.
    pub fn of(storage: &Storage, uptime_s: u64, set_aside: Vec<String>) -> Self {
        let hello = storage.hello_now();
        let (total, stats) = (storage.total(), storage.stats());
        let arcs: Vec<ArcInfo> = hello.kept.into_iter().map(ArcInfo::of).collect();
        let state = match storage.room() {
            _ if storage.is_stopping() => Health::Stopping,
            _ if arcs.iter().any(|a| a.damaged) => Health::Damaged,
            Room::Low => Health::Full,
            Room::Enough => Health::Serving,
        };
        Self {
            id: hello.member.storage,
            address: hello.member.address,
            zone: hello.member.zone,
            version: env!("CARGO_PKG_VERSION"),
            format: FORMAT,
            ring: hello.ring,
            starts: storage.starts(),
            uptime_s,
            state,
            durability: match storage.durability() {
                Durability::Always => "always",
                Durability::Interval => "interval",
            },
            predecessor: hello.predecessor,
            successors: hello.successors,
            arcs,
            keys: total.records - total.tombstones,
            tombstones: total.tombstones,
            bytes: total.bytes,
            disk: Disk { used: stats.disk_bytes, free: stats.free_bytes },
            set_aside,
            limits: Limits::IN_FORCE,
        }
    }

    /// This storage's place on the ring: the end of the arc whose first member it is.
    pub fn place(&self) -> Option<Position> {
        let own =
            self.arcs.iter().find(|a| a.members.first().is_some_and(|m| m.storage == self.id));
        own.and_then(|a| u64::from_str_radix(&a.to, 16).ok()).map(Position)
    }
}

impl ArcInfo {
    fn of(kept: Kept) -> Self {
        let Kept { arc, records, bytes, damaged, .. } = kept;
        Self {
            from: arc.span.from.to_string(),
            to: arc.span.to.to_string(),
            share: arc.span.share(),
            epoch: arc.epoch,
            copies: arc.copies,
            filling: arc.filling,
            sealed: arc.sealed.is_some(),
            members: arc.members,
            damaged,
            records,
            bytes,
        }
    }
}
