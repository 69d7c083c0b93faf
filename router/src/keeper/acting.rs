//! Carrying out one duty, beside the looks that go on meanwhile.

use super::{deed::Work, duties::Duty};
use crate::{
    counters::Cause,
    moves::{Loss, NotMoved, Progress},
    object::ORPHAN_AGE,
    router::Router,
    transport::Transport,
};
use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};
use tokio::task::JoinHandle;

/// A duty that is being carried out. Dropped, it stops between two messages, and leaves what any router can finish.
pub(super) struct UnderWay {
    pub(super) duty: Duty,
    pub(super) begun_ms: u64,
    work: Rc<RefCell<Work>>,
    task: JoinHandle<Result<(), NotMoved>>,
}

impl UnderWay {
    /// Begins a duty.
    pub(super) fn begin<T: Transport>(router: &Router<T>, duty: Duty, now_ms: u64) -> Self {
        let work = Rc::new(RefCell::new(Work::default()));
        let task = carry_out(router.clone(), duty.clone(), Rc::clone(&work));
        let task = tokio::task::spawn_local(task);
        Self { duty, begun_ms: now_ms, work, task }
    }

    /// What was done so far.
    pub(super) fn work(&self) -> Work {
        self.work.borrow().clone()
    }
}

impl Future for UnderWay {
    type Output = Result<(), String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = std::task::ready!(Pin::new(&mut self.task).poll(cx));
        Poll::Ready(match ended {
            Ok(end) => end.map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry_out<T: Transport>(
    router: Router<T>,
    duty: Duty,
    work: Rc<RefCell<Work>>,
) -> Result<(), NotMoved> {
    let tell = &mut |progress: Progress| work.borrow_mut().hear(&progress);
    match duty {
        Duty::Evict(dead) => {
            let dead: Vec<_> = dead.iter().map(|member| member.storage).collect();
            router.evict_by_id(&dead, Loss::Refused, tell).await
        }
        // Parts of a repair, and counted as one; the other duties count by themselves what they move.
        Duty::Finish => router.finish(&mut router.watched(Cause::Repair, tell).teller()).await,
        Duty::Refill => router.refill(&mut router.watched(Cause::Repair, tell).teller()).await,
        Duty::Level(arcs) => {
            let mut watched = router.watched(Cause::Repair, tell);
            for arc in arcs {
                router.level(&arc, &mut watched.teller()).await?;
            }
            Ok(())
        }
        Duty::Sweep => {
            for arc in router.walk().await?.arcs {
                let swept = router.sweep(&arc).await?;
                work.borrow_mut().swept += swept as u64;
            }
            Ok(())
        }
        Duty::SweepPieces => {
            let swept = router.sweep_orphans(ORPHAN_AGE).await;
            let pieces = swept.map_err(|why| NotMoved::NotSwept(Box::new(why)))?;
            work.borrow_mut().pieces += pieces as u64;
            Ok(())
        }
        Duty::Balance(_) => router.balance(tell).await,
    }
}
