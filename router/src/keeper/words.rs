//! What a keeper says, in words for whoever reads the log.

use super::{
    Keeper,
    deed::Deed,
    duties::{Duty, Gain, Standing, gain},
};
use crate::transport::Transport;
use minor_protocol::{Member, StorageId};

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
                    format!(
                        "{} was silent for {} s, in {looks} looks in a row, while most others answered",
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

    /// The dead that stay in their places are named once.
    pub(super) fn say_why_nobody_is_evicted(&mut self, standing: &Standing) {
        let who: Vec<String> = standing.dead.iter().map(|id| self.address(*id)).collect();
        let who = who.join(", ");
        let say = match gain(&standing.arcs, &standing.dead) {
            _ if standing.dead.is_empty() => String::new(),
            Gain::Copies | Gain::Votes => String::new(),
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
