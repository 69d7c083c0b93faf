//! Whether the copies are alike, by what their storages count: no record is read for it.

use crate::{router::Router, transport::Transport};
use futures_util::{StreamExt, future::join_all};
use minor_protocol::{Reply, Request, RingArc, StorageId, message::Tally};
use std::collections::BTreeMap;
use tokio::time::{Duration, sleep};

/// How long it is waited before unlike copies are looked at again: what is being written is over by then, or has gone on.
const BETWEEN: Duration = Duration::from_millis(150);

type Counts = BTreeMap<StorageId, Tally>;

impl<T: Transport> Router<T> {
    /// Those of these arcs whose copies differ though nobody is writing there: what their storages count differs twice in the
    /// same way. A storage that came back from somewhere else lags like that until it is levelled.
    pub async fn unlike(&self, arcs: &[RingArc]) -> Vec<RingArc> {
        let first = join_all(arcs.iter().map(|arc| self.counts(arc))).await;
        let differ = arcs.iter().zip(first).filter(|(_, counts)| !are_alike(counts));
        let differ: Vec<(&RingArc, Counts)> = differ.collect();
        if differ.is_empty() {
            return vec![];
        }
        sleep(BETWEEN).await;
        let second = join_all(differ.iter().map(|(arc, _)| self.counts(arc))).await;
        let stays = differ.into_iter().zip(second).filter(|((_, first), second)| first == second);
        stays.map(|((arc, _), _)| arc.clone()).collect()
    }

    /// What the full members of an arc count that answer.
    async fn counts(&self, arc: &RingArc) -> Counts {
        let tally = |member| (member, Request::Tally { span: arc.span, epoch: arc.epoch });
        let mut answers = self.say_all(arc.full().map(tally));
        let mut counts = Counts::new();
        while let Some((from, heard)) = answers.next().await {
            if let Ok(Ok(Reply::Tallied { tally })) = heard {
                counts.insert(from, tally);
            }
        }
        counts
    }
}

fn are_alike(counts: &Counts) -> bool {
    let mut all = counts.values();
    let first = all.next();
    all.all(|other| Some(other) == first)
}
