//! Clearing away what does not belong: arcs that a storage still keeps because nobody has told it that it is out.
//!
//! A storage drops what it held as soon as it learns that it is no member any more. One that was away when that was agreed,
//! and that nobody has met since, has not learned it. Before it is told, the owners show that they hold everything: every arc
//! is levelled.

use super::{NotMoved, Progress};
use crate::{router::Router, transport::Transport};
use minor_protocol::{Member, Request, RingArc, Span, limits::LEARN_ARCS, message::Hello};
use tokio::time::{Duration, Instant, sleep};

/// How often it is looked whether a storage has done its clearing.
const LOOK_MS: u64 = 20;

/// What a storage kept that it is no member of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Who.
    pub member: Member,
    /// Which stretch of the ring.
    pub span: Span,
    /// Records it held there, about.
    pub records: u64,
    /// Bytes of them, about.
    pub bytes: u64,
}

impl<T: Transport> Router<T> {
    /// Has every storage that answers drop what it is no member of, after the owners were levelled. Storages the ring does
    /// not know any more can be named by their addresses.
    pub async fn purge(
        &self,
        also: &[String],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        self.repair(tell).await?;
        self.know_of(also);
        let seen = self.survey().await?;
        for hello in seen.hops.iter().filter_map(|hop| hop.hello.as_ref()) {
            let newer = newer_than_it_knows(hello, &seen.arcs);
            for learned in newer.chunks(LEARN_ARCS) {
                let silent = |silence| {
                    let address = hello.member.address.clone();
                    NotMoved::Silent { address, silence }
                };
                let refused = |refusal| {
                    let address = hello.member.address.clone();
                    NotMoved::Refused { address, refusal }
                };
                let learn = Request::Learn { arcs: learned.to_vec() };
                self.say(&hello.member, learn).await.map_err(silent)?.map_err(refused)?;
            }
            self.until_cleared(&hello.member, tell).await?;
            for kept in &hello.kept {
                let lost = newer
                    .iter()
                    .any(|arc| arc.span.overlaps(kept.arc.span) && !arc.has(hello.member.storage));
                if lost {
                    tell(Progress::Purged(Purged {
                        member: hello.member.clone(),
                        span: kept.arc.span,
                        records: kept.records,
                        bytes: kept.bytes,
                    }));
                }
            }
        }
        Ok(())
    }

    /// Waits until a storage has cleared away all that it left.
    async fn until_cleared(
        &self,
        member: &Member,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let silent = |silence| NotMoved::Silent { address: member.address.clone(), silence };
        let begun = Instant::now();
        loop {
            let (hello, _) = self.hello(&member.address).await.map_err(silent)?;
            let Some(span) = hello.wiping.first() else { return Ok(()) };
            if begun.elapsed() > Duration::from_millis(self.core.patience.step_ms) {
                let refusal = minor_protocol::Refusal::Wiping { span: *span };
                return Err(NotMoved::Refused { address: member.address.clone(), refusal });
            }
            tell(Progress::Waiting(format!("{} is still clearing {span}", member.address)));
            sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}

/// The arcs of which a storage still keeps an older form.
fn newer_than_it_knows(hello: &Hello, arcs: &[RingArc]) -> Vec<RingArc> {
    let is_newer = |arc: &&RingArc| {
        hello.kept.iter().any(|k| k.arc.epoch < arc.epoch && k.arc.span.overlaps(arc.span))
    };
    arcs.iter().filter(is_newer).cloned().collect()
}
