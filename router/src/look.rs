//! One key as each of its storages shows it, for whoever wants to see all copies and not only the value.

#[cfg(feature = "serve")]
pub mod compared;

use crate::{
    error::NotRead,
    router::Router,
    transport::{Transport, lines::Heard},
    tries::{Again, Tries},
};
use futures_util::StreamExt;
use minor_protocol::{Key, Member, Request, RingArc, message::Show};

/// All copies of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The arc that holds the key.
    pub arc: RingArc,
    /// What each of its members answered to a read, in their order.
    pub copies: Vec<(Member, Heard)>,
    /// What time it was then, in milliseconds since 1970: what had expired by then is there no more.
    pub now_ms: u64,
}

impl<T: Transport> Router<T> {
    /// Asks every storage that keeps a key what it holds. Nothing is mended on the way.
    pub async fn look(&self, key: &Key) -> Result<Look, NotRead> {
        let not_read = |why| NotRead { key: key.clone(), why };
        let mut tries = Tries::new(self.core.patience.operation_ms);
        loop {
            let arc = self.arc_around(key.position(), &mut tries).await.map_err(not_read)?;
            let read = |member: &Member| {
                let (key, epoch) = (key.clone(), arc.epoch);
                (member.clone(), Request::Read { key, epoch, show: Show::Whole })
            };
            let mut answers = self.say_all(arc.members.iter().map(read));
            let mut copies = vec![];
            while let Some((from, heard)) = answers.next().await {
                self.take_in(&arc, from, &heard);
                let member = arc.member(from).expect("only members were asked");
                copies.push((member.clone(), heard));
            }
            // Somebody knew a newer arc: then that one's members are the ones to be seen.
            if self.arc_in_memory(key).is_some_and(|now| now == arc) {
                copies.sort_by_key(|(member, _)| arc.members.iter().position(|m| m == member));
                return Ok(Look { arc: RingArc::clone(&arc), copies, now_ms: self.now_ms() });
            }
            self.or_give_up(Again::Wiser, &mut tries).await.map_err(not_read)?;
        }
    }
}
