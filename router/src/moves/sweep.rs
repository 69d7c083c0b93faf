//! Sweeping the whole ring: what is dead on all members of its arc goes, pieces that no header names before that.

use super::{NotMoved, Progress, Swept};
use crate::{object::ORPHAN_AGE, router::Router, transport::Transport};

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
            swept.keys += self.sweep(&arc).await?;
            tell(Progress::Swept(swept));
        }
        Ok(())
    }
}
