//! A storage that is to go: whom an address means, and whether it is there to hand over what it keeps.

use crate::walk::Walked;
use minor_protocol::StorageId;

/// A storage of the ring that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// Who it is.
    pub storage: StorageId,
    /// Whether it is there.
    pub presence: Presence,
    /// It is the last one: nobody else would keep its data.
    pub is_last: bool,
}

/// Whether a storage is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It answers, wherever it is by now.
    Answers,
    /// Nobody answers at its address.
    Silent,
    /// Another storage answers at its address: its disk was wiped or replaced.
    Replaced,
}

impl Leaver {
    /// The storage that the ring has at an address, as all were heard just now; none if the ring has nobody there.
    pub fn at(address: &str, walked: &Walked) -> Option<Self> {
        let members = || walked.arcs.iter().flat_map(|arc| &arc.members);
        let storage = members().find(|member| member.address == address)?.storage;
        let mut hellos = walked.hops.iter().filter_map(|hop| hop.hello.as_ref());
        let presence = if walked.hops.iter().any(|hop| hop.is(storage)) {
            Presence::Answers
        } else if hellos.any(|hello| hello.member.address == address) {
            Presence::Replaced
        } else {
            Presence::Silent
        };
        let is_last = members().all(|member| member.storage == storage);
        Some(Self { storage, presence, is_last })
    }
}
