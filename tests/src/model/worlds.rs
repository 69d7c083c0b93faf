//! The worlds. Each begins where it becomes interesting, in a state that was reached by real decrees, and not from nothing:
//! what leads there is another world's matter.

use super::{
    Bounds, Condition, Scene, World,
    judge::Judge,
    keeper::Keeper,
    member, place,
    runner::{Round, Runner, Task},
};
use minor_protocol::{
    Ballot, Decree, Expect, Member, Moment, Operation, Position, Record, RingArc, RingId, Span,
    State, StorageId, Wish,
    record::{Content, Header},
};
use minor_storage::acceptors::chart::Chart;
use sdht::plan::Goal;
use std::slice::from_ref;

const RING: RingId = RingId(1);
const A: u8 = 0;
const B: u8 = 1;
const C: u8 = 2;
const D: u8 = 3;

/// A router of before, whose ballots the first records carry.
const OF_OLD: u64 = 99;

fn ballot(epoch: u64, clock: u64) -> Ballot {
    Ballot { epoch, clock: Moment(clock), router: OF_OLD, seq: 0 }
}

/// A record that these operations made, accepted with the last one's ballot.
fn record(made_by: &[Ballot], alive: bool) -> Record {
    let header = made_by.iter().fold(Header::default(), |header, id| header.with(*id, None));
    let content = alive.then(Content::default);
    let value = if alive { vec![0] } else { vec![] };
    let state = State { header: Header { content, ..header }, value };
    Record { ballot: *made_by.last().expect("something made it"), state }
}

fn set(expect: Expect, value: u8) -> Task {
    let wish = Wish::Set { content_type: String::new(), expires_ms: None, value: vec![value] };
    Task::Change(Operation { expect, wish })
}

fn delete() -> Task {
    Task::Change(Operation { expect: Expect::Anything, wish: Wish::Delete })
}

/// The goal that the whole ring is one arc kept by these.
fn kept_by(members: &[u8]) -> Task {
    let places = members.iter().map(|m| (Span::WHOLE.to, member(*m))).collect();
    Task::Reach(Goal { places, copies: members.len() as u8, away: vec![] })
}

/// How the storages came to be what they are: decrees, and who learned of them.
struct Past {
    charts: Vec<Chart>,
    arc: RingArc,
}

impl Past {
    /// A ring that storage 0 founds, and others that have entered it.
    fn founded(storages: u8, copies: u8) -> Self {
        let founder = Chart::founding(RING, member(A), copies);
        let arc = founder.seats()[0].arc.clone();
        let others = (1..storages).map(|n| Chart::entering(RING, StorageId(n.into()), vec![]));
        Self { charts: std::iter::once(founder).chain(others).collect(), arc }
    }

    fn learn(&mut self, who: &[u8]) {
        for number in who {
            let arc = from_ref(&self.arc);
            self.charts[usize::from(*number)].learn(arc).expect("it can be learned");
        }
    }

    /// A decree that all members, or only `who`, learned to be chosen.
    fn decided(mut self, decree: Decree, who: Option<&[u8]>) -> Self {
        self.arc = decree.next(&self.arc).expect("the decree fits").remove(0);
        let members: Vec<u8> = self.arc.members.iter().map(|m| m.storage.0 as u8).collect();
        self.learn(who.unwrap_or(&members));
        self
    }

    fn grown(mut self, number: u8, who: Option<&[u8]>) -> Self {
        self.learn(&[number]);
        self.decided(Decree::Grow { member: member(number), place: u8::MAX }, who)
    }

    fn filled(self) -> Self {
        self.decided(Decree::Filled, None)
    }

    fn shrunk(self, number: u8, who: Option<&[u8]>) -> Self {
        self.decided(Decree::Shrink { storage: StorageId(number.into()) }, who)
    }

    /// The storages, each with a record or none.
    fn holding(self, records: &[Option<&Record>]) -> Vec<Keeper> {
        let charts = self.charts.into_iter().zip(records);
        charts.map(|(chart, record)| Keeper::new(chart, record.cloned())).collect()
    }
}

/// An arc of the first three storages, in epoch 5.
fn three(storages: u8) -> Past {
    Past::founded(storages, 3).grown(B, None).filled().grown(C, None).filled()
}

/// One key, three storages and two routers that change it at the same time; one of them reads it, too.
pub fn contention(bounds: Bounds) -> World {
    let past = three(3);
    let arcs = [past.arc.clone()];
    let runners = vec![Runner::new(1, 0, &arcs), Runner::new(2, 0, &arcs)];
    let first = Scene::new(past.holding(&[None; 3]), runners, bounds, Judge::default());
    let tasks = vec![vec![set(Expect::Absent, 1), Task::Get], vec![set(Expect::Anything, 2)]];
    let sometimes: Vec<(&'static str, Condition)> = vec![
        ("a change is done", |_, s| s.judge.length() > 0),
        ("both are answered", |_, s| s.runners[0].answered == 2 && s.runners[1].answered == 1),
        ("a storage restarts", |_, s| s.keepers.iter().any(Keeper::has_restarted)),
        ("two accepted different states", |_, s| {
            let [a, b, _] = [0, 1, 2].map(|n| s.keepers[n].record.as_ref());
            a.zip(b).is_some_and(|(a, b)| a.state != b.state)
        }),
    ];
    World { first, tasks, tries: vec![2, 1], one_mover: false, sometimes, off: None }
}

/// The arc has gone on from A B C to A B D. A still holds an accept that nobody else took, of an older epoch and with a late
/// clock; C does not know that it is out; and one router remembers the arc of before.
pub fn residue(bounds: Bounds) -> World {
    let past = three(4);
    let before = past.arc.clone();
    let unchosen = record(&[ballot(before.epoch, 10)], true);
    let past = past.grown(D, None).shrunk(C, Some(&[A, B, D]));
    let runners = vec![Runner::new(1, 0, from_ref(&past.arc)), Runner::new(2, 0, &[before])];
    let keepers = past.holding(&[Some(&unchosen), None, None, None]);
    let first = Scene::new(keepers, runners, bounds, Judge::default());
    let tasks = vec![vec![set(Expect::Anything, 1)], vec![Task::Get]];
    let sometimes: Vec<(&'static str, Condition)> = vec![
        ("the change is done", |_, s| s.runners[0].answered == 1),
        ("the reading is answered", |_, s| s.runners[1].answered == 1),
        ("what nobody else took is chosen after all", |_, s| s.judge.length() == 2),
        ("it vanishes", |_, s| {
            s.keepers
                .iter()
                .all(|k| k.header().is_some_and(|h| h.recent.len() == 1) || k.me().0 == 2)
                && s.judge.length() == 1
        }),
    ];
    World { first, tasks, tries: vec![2, 2], one_mover: false, sometimes, off: None }
}

/// The arc grows from A B C to A B C D, and A and B have not heard of it; one router has.
pub fn half_grown(bounds: Bounds) -> World {
    let past = three(4);
    let before = past.arc.clone();
    let past = past.grown(D, Some(&[C, D]));
    let arc = past.arc.clone();
    let runners = vec![Runner::new(1, 10, &[before]), Runner::new(2, 0, from_ref(&arc))];
    let first = Scene::new(past.holding(&[None; 4]), runners, bounds, Judge::default())
        .teaching(0, from_ref(&arc))
        .teaching(1, &[arc]);
    let tasks = vec![vec![set(Expect::Anything, 1)], vec![set(Expect::Anything, 2)]];
    let sometimes: Vec<(&'static str, Condition)> = vec![
        ("both changes are done", |_, s| s.judge.length() == 2),
        ("one is done in each epoch", |_, s| {
            s.runners.iter().all(|r| r.answered == 1)
                && s.keepers.iter().any(|k| k.arc().is_some_and(|arc| arc.epoch == 5))
        }),
    ];
    World { first, tasks, tries: vec![2, 1], one_mover: false, sometimes, off: None }
}

/// A value that A and C hold is deleted and swept, while an accept of it is still on its way to B.
pub fn sweep(bounds: Bounds) -> World {
    let past = three(3);
    let arcs = [past.arc.clone()];
    let id = ballot(past.arc.epoch, 1);
    let old = record(&[id], true);
    let runners = vec![Runner::new(1, 1, &arcs), Runner::new(2, 1, &arcs)];
    let keepers = past.holding(&[Some(&old), None, Some(&old)]);
    let first =
        Scene::new(keepers, runners, bounds, Judge::after(&[id], false)).with_old_accept(1, old);
    let tasks = vec![vec![delete(), Task::Sweep], vec![set(Expect::Absent, 2)]];
    World { first, tasks, tries: vec![2, 2], one_mover: false, sometimes: swept(), off: None }
}

/// A tombstone that all hold is swept, while two change the key.
pub fn swept_between(bounds: Bounds) -> World {
    let past = three(3);
    let arcs = [past.arc.clone()];
    let made_by = [ballot(past.arc.epoch, 1), ballot(past.arc.epoch, 2)];
    let dead = record(&made_by, false);
    let runners =
        vec![Runner::new(1, 2, &arcs), Runner::new(2, 9, &arcs), Runner::new(3, 4, &arcs)];
    let keepers = past.holding(&[Some(&dead); 3]);
    let first = Scene::new(keepers, runners, bounds, Judge::after(&made_by, true));
    let tasks =
        vec![vec![Task::Sweep], vec![set(Expect::Anything, 1)], vec![set(Expect::Anything, 2)]];
    World { first, tasks, tries: vec![1, 1, 1], one_mover: false, sometimes: swept(), off: None }
}

fn swept() -> Vec<(&'static str, Condition)> {
    vec![
        ("all have dropped it", |_, s| s.keepers.iter().all(|k| k.record.is_none())),
        ("the sweep is done and the key is set again", |_, s| {
            let alive = |k: &Keeper| k.header().is_some_and(|h| h.content.is_some());
            s.runners.iter().all(|r| r.answered > 0) && s.keepers.iter().all(alive)
        }),
    ]
}

/// An arc of A B C is to become one of A B D, and two routers are at it. D was a member long ago, does not know that it is
/// out, and still holds a value that was deleted and swept since.
pub fn come_back(bounds: Bounds) -> World {
    let past = Past::founded(4, 3).grown(B, None).filled().grown(D, None).filled();
    let (id, deleted) = (ballot(past.arc.epoch, 1), ballot(past.arc.epoch + 2, 2));
    let old = record(&[id], true);
    let mut past = past.grown(C, Some(&[A, B, C])).shrunk(D, None);
    for number in [A, B, C] {
        past.charts[usize::from(number)].raise_floor(0, deleted);
    }
    let arcs = [past.arc.clone()];
    let runners = vec![Runner::new(1, 2, &arcs), Runner::new(2, 2, &arcs)];
    let keepers = past.holding(&[None, None, None, Some(&old)]);
    let first = Scene::new(keepers, runners, bounds, Judge::after(&[id, deleted], true));
    let tasks = vec![vec![kept_by(&[A, B, D])], vec![kept_by(&[A, B, D])]];
    let sometimes: Vec<(&'static str, Condition)> = vec![
        ("the newcomer clears what it held", |_, s| s.keepers[3].record.is_none()),
        ("the arc is handed over", |_, s| s.keepers[3].arc().is_some_and(|arc| arc.epoch == 9)),
        ("both put it to the vote at once", |_, s| {
            s.runners.iter().all(|r| matches!(r.round(), Round::Poll { .. }))
        }),
    ];
    World { first, tasks, tries: vec![3, 2], one_mover: false, sometimes, off: None }
}

/// An arc of A B C has grown by D, which is to be filled, and C is to go; C has not heard of it yet, nor has the other
/// router, which sets the key. What was set before is on B and C alone.
pub fn hand_over(bounds: Bounds) -> World {
    let past = three(4);
    let before = past.arc.clone();
    let id = ballot(before.epoch, 1);
    let held = record(&[id], true);
    let past = past.grown(D, Some(&[A, B, D]));
    let arc = past.arc.clone();
    let runners = vec![Runner::new(1, 0, from_ref(&arc)), Runner::new(2, 0, &[before])];
    let keepers = past.holding(&[None, Some(&held), Some(&held), None]);
    let first =
        Scene::new(keepers, runners, bounds, Judge::after(&[id], false)).teaching(2, &[arc]);
    let tasks = vec![vec![kept_by(&[A, B, D])], vec![set(Expect::Present, 1)]];
    let sometimes: Vec<(&'static str, Condition)> = vec![
        ("the arc is handed over", |_, s| s.runners[0].answered == 1),
        ("the newcomer is filled by a copy", |_, s| {
            matches!(s.runners[0].round(), Round::Copy { .. })
        }),
        ("a sync meets what nobody can tell, and renews it", |_, s| {
            matches!(s.runners[0].round(), Round::Prepare { .. })
        }),
        ("the change is done in the last epoch", |_, s| {
            s.runners[1].answered == 1
                && s.keepers[3].record.as_ref().is_some_and(|r| r.ballot.epoch == 7)
        }),
        ("both are done", |_, s| s.runners.iter().all(|r| r.answered == 1)),
    ];
    World { first, tasks, tries: vec![4, 2], one_mover: true, sometimes, off: None }
}

/// The ring is cut in two arcs of the same members, and one router merges them, while another gives a member of the
/// upper one a new zone: seal, absorb and reopen against a change that comes between.
pub fn merge(bounds: Bounds) -> World {
    let past = three(3);
    let cut = Position(place().0.wrapping_add(1 << 32));
    let halves = Decree::Split { at: cut }.next(&past.arc).expect("it can be cut");
    let mut past = past;
    past.charts.iter_mut().for_each(|chart| chart.learn(&halves).expect("it can be learned"));
    let moved = Member { zone: "z".into(), ..member(B) };
    let lower = [A, B, C].map(|m| (cut, member(m)));
    let upper = [member(A), moved, member(C)].map(|m| (Span::WHOLE.to, m));
    let places = lower.into_iter().chain(upper).collect();
    let changed = Task::Reach(Goal { places, copies: 3, away: vec![] });
    let runners = vec![Runner::new(1, 0, &halves), Runner::new(2, 0, &halves)];
    let first = Scene::new(past.holding(&[None; 3]), runners, bounds, Judge::default());
    let tasks = vec![vec![kept_by(&[A, B, C])], vec![changed]];
    let sometimes: Vec<(&'static str, Condition)> = vec![
        ("the arcs are one again", |_, s| {
            s.keepers.iter().all(|k| k.arc().is_some_and(|arc| arc.span == Span::WHOLE))
        }),
        ("the lower arc is sealed and the upper one has changed", |_, s| {
            s.keepers.iter().any(|k| {
                let seats = k.chart.seats();
                seats.iter().any(|seat| {
                    seat.arc.sealed.is_some_and(|seal| {
                        seats.iter().any(|u| u.arc.span == seal.span && u.arc.epoch > seal.epoch)
                    })
                })
            })
        }),
        ("a seal is taken back", |_, s| {
            s.keepers.iter().any(|k| {
                k.arc().is_some_and(|arc| {
                    arc.epoch == 8 && arc.span != Span::WHOLE && arc.sealed.is_none()
                })
            })
        }),
    ];
    World { first, tasks, tries: vec![4, 2], one_mover: false, sometimes, off: None }
}
