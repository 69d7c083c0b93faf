//! Beginning an arc again that has lost its majority for good.
//!
//! Everything else that becomes of an arc is voted on. When more than half of its members never come back there is no vote
//! any more, and whoever answers for the data may decide to go on with what is left, or with nothing. That gives up what only
//! the lost ones held, which can be any acknowledged write; so it must not happen by accident, nor by halves:
//!
//! * A restart names the arc exactly, span, epoch and members, and every single member that is given up. A storage that
//!   sees the arc otherwise refuses.
//! * It is refused where those not given up are a majority: then a vote is possible, and nothing need be lost.
//! * All that are not given up stay. Where nobody is left, one heir is named, which knows the arc as one it does not keep and
//!   holds nothing of it; where anybody is left, no heir is taken.
//! * The new epoch lies far above the old one: above whatever the lost members may have agreed on among themselves without
//!   anybody here hearing of it. Its lower part is drawn, so that two operators who restart one arc at the same time, each
//!   with another idea of who is lost, make two different epochs, of which the higher one holds everywhere.
//!
//! A member that was given up and comes back after all is taught the new arc like any other that was away: it is in it no
//! more, and clears what it held. Until then it may still answer a router that knows nobody else; that too is given up.

use crate::{
    arc::{Member, RingArc},
    id::StorageId,
};
use serde::{Deserialize, Serialize};

/// More decrees than an arc is ever given while some of its members are out of sight.
const AHEAD: u64 = 1 << 20;

/// An arc, to be begun again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// The arc as it was last agreed.
    pub arc: RingArc,
    /// The members that never come back.
    pub lost: Vec<StorageId>,
    /// Who keeps it from now on, empty as it is, where all members are lost.
    pub heir: Option<Member>,
    /// Drawn by the router that asks for it.
    pub draw: u16,
}

/// Why an arc is not begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRestart {
    /// Somebody is given up who is no member, or twice.
    #[error("only members can be given up, each once")]
    Strangers,
    /// It can be voted on.
    #[error("those who are left are a majority, and can vote")]
    MajorityLeft,
    /// An heir where somebody is left, or none where nobody is.
    #[error("an heir is named where nobody is left, and only there")]
    Heir,
    /// The last epoch of all.
    #[error("no epoch is left")]
    NoEpoch,
}

impl Restart {
    /// The arc it begins again as.
    pub fn next(&self) -> Result<RingArc, NoRestart> {
        let is_lost = |storage: StorageId| self.lost.contains(&storage);
        let named = self.arc.members.iter().filter(|m| is_lost(m.storage)).count();
        if named != self.lost.len() {
            return Err(NoRestart::Strangers);
        }
        if self.arc.members.len() - named >= self.arc.majority() {
            return Err(NoRestart::MajorityLeft);
        }
        let left = |m: &&Member| !is_lost(m.storage);
        // Whoever was still being filled holds less than the others; alone, it holds more than nobody.
        let mut members: Vec<Member> = self.arc.full().filter(left).cloned().collect();
        if members.is_empty() {
            members = self.arc.members.iter().filter(left).cloned().collect();
        }
        match &self.heir {
            Some(heir) if members.is_empty() && !self.arc.has(heir.storage) => {
                members.push(heir.clone());
            }
            None if !members.is_empty() => {}
            _ => return Err(NoRestart::Heir),
        }
        let epoch = self.arc.epoch.checked_add(AHEAD + u64::from(self.draw));
        let epoch = epoch.ok_or(NoRestart::NoEpoch)?;
        Ok(RingArc { epoch, members, filling: None, sealed: None, ..self.arc.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RingId;

    fn member(n: u128) -> Member {
        Member { storage: StorageId(n), address: format!("h:{n}"), zone: String::new() }
    }

    fn restart(members: u128, lost: &[u128], heir: Option<u128>) -> Result<Vec<u128>, NoRestart> {
        let members = (1..=members).map(member).collect();
        let arc = RingArc { members, ..RingArc::founding(RingId(1), member(1), 3) };
        let lost = lost.iter().copied().map(StorageId).collect();
        let next = Restart { arc, lost, heir: heir.map(member), draw: 7 }.next()?;
        assert!(next.epoch > 1 << 20);
        Ok(next.members.iter().map(|m| m.storage.0).collect())
    }

    #[test]
    fn what_is_left_goes_on_and_nobody_else() {
        assert_eq!(restart(3, &[1, 3], None), Ok(vec![2]));
        assert_eq!(restart(5, &[1, 2, 3], None), Ok(vec![4, 5]));
        assert_eq!(restart(2, &[1], None), Ok(vec![2]), "one of two is no majority");
        assert_eq!(restart(1, &[1], Some(9)), Ok(vec![9]));
    }

    #[test]
    fn nothing_is_given_up_that_need_not_be() {
        assert_eq!(restart(3, &[1], None), Err(NoRestart::MajorityLeft));
        assert_eq!(restart(3, &[], None), Err(NoRestart::MajorityLeft));
        assert_eq!(restart(3, &[1, 9], None), Err(NoRestart::Strangers));
        assert_eq!(restart(3, &[1, 1], None), Err(NoRestart::Strangers));
        assert_eq!(restart(3, &[1, 2], Some(9)), Err(NoRestart::Heir));
        assert_eq!(restart(1, &[1], None), Err(NoRestart::Heir));
        assert_eq!(restart(1, &[1], Some(1)), Err(NoRestart::Heir));
    }

    #[test]
    fn who_was_being_filled_goes_on_only_where_nobody_else_is_left() {
        let members = (1..=3).map(member).collect();
        let filling = Some(StorageId(3));
        let arc = RingArc { members, filling, ..RingArc::founding(RingId(1), member(1), 3) };
        let next = |lost: &[u128]| {
            let lost = lost.iter().copied().map(StorageId).collect();
            Restart { arc: arc.clone(), lost, heir: None, draw: 0 }.next().unwrap()
        };
        assert_eq!(next(&[1, 2]).members, [member(3)]);
        assert_eq!(next(&[1, 2]).filling, None);
    }
}
