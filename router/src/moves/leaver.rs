//! A storage that is to go: whom an address means, and whether it is there to hand over what it keeps.

use crate::walk::{Hop, Walked};
use minor_protocol::StorageId;

pub use crate::verdict::Presence;

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

impl Leaver {
    /// The storage that the ring has at an address, as all were heard just now; none if the ring has nobody there.
    pub fn at(address: &str, walked: &Walked) -> Option<Self> {
        let members = || walked.arcs.iter().flat_map(|arc| &arc.members);
        let member = members().find(|member| member.address == address)?;
        let (storage, heard) = (member.storage, walked.hops.iter().filter_map(Hop::heard));
        let presence = Presence::of(member, heard);
        let is_last = members().all(|member| member.storage == storage);
        Some(Self { storage, presence, is_last })
    }
}
