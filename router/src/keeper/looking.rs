//! One look at the whole ring: everybody is asked, all at once, and who does not answer is asked again in another way.

use super::watch::Sign;
use crate::{router::Router, transport::Transport, verdict::Presence, walk::Hop};
use futures_util::future::join_all;
use minor_protocol::{
    Key, Member, Refusal, Reply, Request, RingArc, StorageId,
    message::{Hello, Kept, Show},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::timeout;

/// What a look showed.
pub(super) struct Looked {
    /// The arcs, which tile the ring; none if nobody knows what became of a part of it.
    pub(super) arcs: Option<Vec<RingArc>>,
    /// What those who answered said of themselves.
    pub(super) hellos: Vec<Hello>,
    /// Every storage of the ring.
    pub(super) signs: BTreeMap<StorageId, Sign>,
    /// Whoever answered, of this ring or not, and at which address.
    pub(super) heard: Vec<(String, StorageId)>,
    /// Where a storage of another ring answered.
    pub(super) foreign: BTreeSet<String>,
}

impl Looked {
    /// What those who answered keep of the arcs as they are now.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&Member, &Kept)> {
        self.hellos.iter().flat_map(|hello| hello.kept.iter().map(|kept| (&hello.member, kept)))
    }
}

/// Looks at all storages of the ring, and at these addresses too. None is waited for longer than this.
pub(super) async fn look<T: Transport>(
    router: &Router<T>,
    also: &[String],
    patience: Duration,
) -> Looked {
    let hops = router.look_about(also, patience).await;
    let ring = router.ring_id();
    let heard = hops.iter().filter_map(Hop::heard);
    let heard = heard.map(|(address, storage)| (address.to_owned(), storage)).collect();
    let is_foreign = |hop: &&Hop| {
        hop.hello.as_ref().is_some_and(|hello| hello.ring.is_some() && hello.ring != ring)
    };
    let foreign = hops.iter().filter(is_foreign).map(|hop| hop.address.clone()).collect();
    let hellos: Vec<Hello> = hops
        .into_iter()
        .filter_map(|Hop { hello, .. }| hello)
        .filter(|hello| hello.ring.is_some() && hello.ring == ring)
        .collect();
    let arcs = router.core.ring.borrow().tiled();
    let mut members: BTreeMap<StorageId, Member> = BTreeMap::new();
    for member in router.arcs().into_iter().flat_map(|arc| arc.members) {
        members.insert(member.storage, member);
    }
    let says = |id: &StorageId| hellos.iter().any(|hello| hello.member.storage == *id);
    let asked = members.values().filter(|member| !says(&member.storage));
    // Who has no time to tell of himself may have some for a user, and who missed one message may hear the next.
    let answered = join_all(asked.map(|member| async {
        let answers = answers(router, member, patience).await
            || matches!(timeout(patience, router.hello(&member.address)).await,
                Ok(Ok((hello, _))) if hello.member.storage == member.storage);
        (member.storage, answers)
    }))
    .await;
    let hears = |id: &StorageId| says(id) || answered.contains(&(*id, true));
    let sign = |id: &StorageId| if hears(id) { Sign::Answered } else { Sign::Silent };
    let signs = members.keys().map(|id| (*id, sign(id))).collect();
    Looked { arcs, hellos, signs, heard, foreign }
}

/// Those of these members in whose place another storage answers: a disk was wiped, or exchanged, or set aside as damaged, and
/// who starts on an empty one has a new id.
pub(super) fn replaced(
    members: &BTreeMap<StorageId, Member>,
    heard: &[(String, StorageId)],
) -> BTreeSet<StorageId> {
    let heard = || heard.iter().map(|(address, storage)| (&**address, *storage));
    let is_other = |member: &&Member| Presence::of(member, heard()) == Presence::Replaced;
    members.values().filter(is_other).map(|member| member.storage).collect()
}

/// Whether a storage answers a question as users' routers ask them; a no is an answer.
async fn answers<T: Transport>(router: &Router<T>, member: &Member, patience: Duration) -> bool {
    let key = Key::new("is anybody there?").expect("it is short");
    let read = Request::Read { key, epoch: 0, show: Show::Header };
    match timeout(patience, router.say(member, read)).await {
        // Somebody else lives there now.
        Ok(Ok(Err(Refusal::Stranger { .. }))) => false,
        Ok(Ok(_)) => true,
        _ => false,
    }
}

/// Whether those members of an arc who answered the look count it differently.
pub(super) async fn unlike<T: Transport>(
    router: &Router<T>,
    arc: &RingArc,
    signs: &BTreeMap<StorageId, Sign>,
) -> bool {
    let hears = |member: &&Member| signs.get(&member.storage) == Some(&Sign::Answered);
    let tally = Request::Tally { span: arc.span, epoch: arc.epoch };
    let asked = arc.members.iter().filter(hears).map(|member| router.say(member, tally.clone()));
    let heard = join_all(asked).await;
    let mut tallies = heard.iter().filter_map(|heard| match heard {
        Ok(Ok(Reply::Tallied { tally })) => Some(tally),
        _ => None,
    });
    let first = tallies.next();
    tallies.any(|tally| Some(tally) != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_at_a_members_address_with_another_id_is_told_from_silence() {
        let member = |id, address: &str| Member {
            storage: StorageId(id),
            address: address.into(),
            zone: String::new(),
        };
        let members = [member(1, "a:1"), member(2, "b:2"), member(3, "c:3")];
        let members = members.into_iter().map(|member| (member.storage, member)).collect();
        let heard = [("a:1".to_owned(), StorageId(9)), ("c:3".to_owned(), StorageId(3))];
        assert_eq!(replaced(&members, &heard), [StorageId(1)].into(), "3 has only left the ring");
        assert!(replaced(&members, &[]).is_empty());
    }
}
