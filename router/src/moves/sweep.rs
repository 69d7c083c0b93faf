//! Sweeping the whole ring: what is dead on all members of its arc goes, pieces that no header names before that.

use super::{NotMoved, Progress, Swept};
use crate::{object::ORPHAN_AGE, router::Router, transport::Transport};
use minor_protocol::RingArc;
use tokio::time::{Duration, sleep};

/// How often it is looked whether an arc's members are alike, and how long it is waited in between. Where somebody writes all
/// the time they never are, and what is dead on all of them is swept nevertheless.
const LOOKS: u32 = 10;
const LOOK_MS: u64 = 20;

impl<T: Transport> Router<T> {
    /// Deletes orphaned pieces, then drops what every member of an arc shows dead. An arc of which a member is silent, or is
    /// being filled, keeps its dead for the next sweep.
    pub async fn sweep_all(&self, tell: &mut dyn FnMut(Progress)) -> Result<(), NotMoved> {
        let not_listed = |why| NotMoved::NotSwept(Box::new(why));
        // First, since a piece that is deleted is one more dead record.
        let pieces = self.sweep_orphans(ORPHAN_AGE).await.map_err(not_listed)?;
        let mut swept = Swept { keys: 0, pieces };
        tell(Progress::Swept(swept));
        for arc in self.survey().await?.arcs {
            self.until_alike(&arc, tell).await?;
            swept.keys += self.sweep(&arc).await?;
            tell(Progress::Swept(swept));
        }
        Ok(())
    }

    /// What was renewed is on a majority; the last member may hear of it a moment later, or has to be levelled once more.
    async fn until_alike(
        &self,
        arc: &RingArc,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        for look in 1..=LOOKS {
            let tallies = self.tallies(arc, arc.span).await.unwrap_or_default();
            let all_heard = tallies.len() == arc.members.len();
            if !all_heard || tallies.iter().all(|tally| *tally == tallies[0]) {
                return Ok(());
            }
            if look == LOOKS / 2 {
                self.level(arc, tell).await?;
            }
            sleep(Duration::from_millis(LOOK_MS)).await;
        }
        Ok(())
    }
}
