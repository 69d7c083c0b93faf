//! Whether a storage is there, or another one in its place: decided here for everybody who says so.

use minor_protocol::{Member, StorageId};

/// Whether a storage of the ring is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It answers, wherever it is by now.
    Answers,
    /// Nobody answers at its address.
    Silent,
    /// Another storage answers at its address, be it in no ring or in another one: its disk was wiped or replaced.
    Replaced,
}

impl Presence {
    /// Of this storage, by everybody who was heard, each with its address.
    pub fn of<'a>(member: &Member, heard: impl IntoIterator<Item = (&'a str, StorageId)>) -> Self {
        let mut presence = Self::Silent;
        for (address, storage) in heard {
            if storage == member.storage {
                return Self::Answers;
            }
            if address == member.address {
                presence = Self::Replaced;
            }
        }
        presence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_place_is_taken_is_told_from_who_is_silent_and_from_who_has_moved() {
        let member = Member { storage: StorageId(1), address: "a:1".into(), zone: String::new() };
        let of = |heard: &[(&'static str, u128)]| {
            Presence::of(&member, heard.iter().map(|(address, id)| (*address, StorageId(*id))))
        };
        assert_eq!(of(&[]), Presence::Silent);
        assert_eq!(of(&[("b:2", 2)]), Presence::Silent);
        assert_eq!(of(&[("b:2", 2), ("a:1", 1)]), Presence::Answers);
        assert_eq!(of(&[("a:1", 9), ("b:2", 2)]), Presence::Replaced);
        assert_eq!(of(&[("a:1", 9), ("c:3", 1)]), Presence::Answers, "it lives elsewhere now");
    }
}
