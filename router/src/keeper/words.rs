//! What a keeper says, in words for whoever reads the log.

use super::{
    Keeper,
    deed::Deed,
    duties::{Duty, Gain, Standing, gain},
    looking::{Looked, replaced},
};
use crate::transport::Transport;
use minor_protocol::{Member, StorageId};

/// What it is in the middle of when it ends, somebody else has to finish.
impl<T: Transport> Drop for Keeper<T> {
    fn drop(&mut self) {
        if let Some(work) = self.under_way.take() {
            let kind = work.duty.kind();
            let why = "it ends with its door; what is stored is safe, and is served meanwhile; another keeper, this one \
                       when it is back, or 'sdht repair', goes on with it";
            (self.tell)(&Deed::SetAside { kind, why: why.into() });
        }
    }
}

impl<T: Transport> Keeper<T> {
    pub(super) fn note(&mut self, what: String) {
        (self.tell)(&Deed::Noticed(what));
    }

    pub(super) fn address(&self, storage: StorageId) -> String {
        self.members.get(&storage).map_or_else(|| storage.to_string(), |m| m.address.clone())
    }

    pub(super) fn why(&self, duty: &Duty) -> String {
        match duty {
            Duty::Evict(dead) => {
                let silent = |member: &Member| {
                    let (ms, looks) = self.watch.silence(member.storage);
                    let how = match self.replaced.contains(&member.storage) {
                        true => "is gone, and another storage is in its place,",
                        false => "was silent",
                    };
                    format!(
                        "{} {how} for {} s, in {looks} looks in a row, while most others answered",
                        member.address,
                        ms / 1_000
                    )
                };
                dead.iter().map(silent).collect::<Vec<_>>().join("; ")
            }
            Duty::Finish => {
                "an arc is half done or lacks a copy, and nobody has gone on with it".into()
            }
            Duty::Refill => "a storage does not trust its own data".into(),
            Duty::Level(arcs) => format!("the copies of {} arcs count differently", arcs.len()),
            Duty::Sweep => "everybody answers, and there are dead keys".into(),
            Duty::SweepPieces => "it is time to look for what uploads have left behind".into(),
            Duty::Balance(load) => {
                format!("{} keeps {} % of its share", load.member.address, load.percent())
            }
        }
    }

    /// Notes in whose place another storage answers, of those in the ring and of those who were in it.
    pub(super) fn see_the_replaced(&mut self, looked: &Looked) {
        let now = replaced(&self.members, &looked.heard);
        let before = std::mem::replace(&mut self.replaced, now.clone());
        for storage in now.difference(&before) {
            let who = self.address(*storage);
            if looked.foreign.contains(&who) {
                self.note(format!(
                    "finds a storage of another ring at {who}: the one that this ring had there is gone, and to be evicted"
                ));
                continue;
            }
            self.note(format!(
                "finds another storage at {who}, on an empty disk: the one that the ring had there is gone, and to be evicted; then 'sdht join {who}' brings the new one in"
            ));
        }
        for storage in replaced(&self.gone, &looked.heard) {
            if let Some(Member { address, .. }) = self.gone.remove(&storage)
                && !looked.foreign.contains(&address)
            {
                self.note(format!("finds a storage at {address} that is in no ring, where one was evicted: 'sdht join {address}' brings it in"));
            }
        }
    }

    /// The dead that stay in their places are named once.
    pub(super) fn say_why_nobody_is_evicted(&mut self, standing: &Standing) {
        let who: Vec<String> = standing.dead.iter().map(|id| self.address(*id)).collect();
        let who = who.join(", ");
        let say = match gain(&standing.arcs, &standing.dead) {
            _ if standing.dead.is_empty() => String::new(),
            Gain::Copies | Gain::Votes => String::new(),
            Gain::Nothing if standing.dead.iter().all(|id| self.replaced.contains(id)) => {
                let those = who.replace(", ", " ");
                format!(
                    "leaves {who} in its place, gone as it is: nobody can take over its copies but the storage that is there now: 'sdht remove {those} --dead', then 'sdht join {those}'"
                )
            }
            Gain::Nothing => format!(
                "leaves {who} in its place, dead as it is: nobody can take over its copies. Start it again, or join another storage"
            ),
            Gain::NoMajority(arcs) => format!(
                "can do nothing about {who}: {} arcs have no majority without it. Start it again; or name all that never come back: sdht remove --dead",
                arcs.len()
            ),
        };
        if say != self.said && !say.is_empty() {
            self.note(say.clone());
        }
        self.said = say;
    }
}
