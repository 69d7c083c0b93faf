//! Power cuts and stops. What the protocol calls one transaction is one put, or several in an order of which every prefix is
//! safe: each story cuts the power after every single put.

use crate::world::*;
use minor_protocol::{
    Decree, Refusal, Reply, Request, RingArc,
    message::{Dead, PlainRecords},
};
use minor_storage::store::memory::Keep;

/// Does something with commits held, and gives every world that a power cut could leave, from "nothing of it" to "all".
fn every_prefix(world: &World, act: impl FnOnce(&World)) -> Vec<World> {
    world.disk.hold_commits();
    act(world);
    let puts = world.disk.uncommitted();
    assert!(puts > 0, "nothing was written");
    (0..=puts).map(|kept| world.after_crash(Keep::Prefix(kept))).collect()
}

fn unheard(world: &World, request: Request) {
    // The answer is never waited for: the power goes first.
    let _ = world.storage.work(world.ask(vec![request]), NOW);
}

/// Rule 3.
#[test]
fn a_promise_made_before_the_crash_holds_after_it() {
    let world = World::member();
    let promised = ballot(3, 2_000);
    world.yes(prepare("k", promised));
    let after = world.after_crash(Keep::Durable);
    for lower in [ballot(3, 1), promised] {
        let Refusal::Refused { highest } = after.no(prepare("k", lower)) else { panic!() };
        assert!(highest >= promised);
        assert!(matches!(after.no(accept("k", lower, value(lower, "v"))), Refusal::Refused { .. }));
    }
    // One refusal brings a router above it.
    let Refusal::Refused { highest } = after.no(prepare("k", ballot(3, 1))) else { panic!() };
    let next = minor_protocol::Ballot { clock: highest.clock.next(), ..highest };
    after.yes(prepare("k", next));
}

/// Rule 3: the promise itself must not be shown before the ceiling above it is durable.
#[test]
fn a_promise_above_the_ceiling_waits_for_the_ceiling() {
    let world = World::member();
    world.disk.hold_commits();
    let mut first =
        Box::pin(world.storage.answer(world.ask(vec![prepare("k", ballot(3, 0))]), NOW));
    assert!(!is_ready(&mut first));
    world.disk.release_commits();
    assert!(is_ready(&mut first));
    world.disk.hold_commits();
    let mut next = Box::pin(world.storage.answer(world.ask(vec![prepare("k", ballot(3, 1))]), NOW));
    assert!(is_ready(&mut next), "below the ceiling a promise needs no disk");
}

#[test]
fn crash_after_crash_the_ceiling_never_falls() {
    let mut world = World::member();
    let mut highest = ballot(3, 0);
    for _ in 0..5 {
        world.yes(prepare("k", highest));
        world = world.after_crash(Keep::Durable);
        let Refusal::Refused { highest: refused } = world.no(prepare("k", highest)) else {
            panic!()
        };
        assert!(refused >= highest);
        highest = minor_protocol::Ballot { clock: refused.clock.next(), ..refused };
    }
}

#[test]
fn a_stop_in_good_order_leaves_no_ceiling_above_what_was_promised() {
    let world = World::member();
    let promised = ballot(3, 0);
    world.yes(prepare("k", promised));
    let after = world.after_stop();
    assert!(matches!(after.no(prepare("k", promised)), Refusal::Refused { .. }));
    after.yes(prepare("k", ballot(3, 1)));
}

#[test]
fn what_was_acknowledged_survives() {
    let world = World::member();
    let b = ballot(3, 0);
    world.yes(accept("k", b, value(b, "v")));
    let after = world.after_crash(Keep::Durable);
    assert_eq!(after.read("k", 3), Some((b, value(b, "v"))));
}

#[test]
fn a_vote_on_a_decree_survives() {
    let world = World::member();
    let (held, b) = (arc(3, &[1, 2, 3]), ballot(3, 0));
    let decree = Decree::Copies { wanted: 5 };
    world.yes(Request::AcceptDecree { arc: held.clone(), ballot: b, decree: decree.clone() });
    let after = world.after_crash(Keep::Durable);
    let Refusal::Refused { highest } =
        after.no(Request::PrepareDecree { arc: held.clone(), ballot: ballot(3, -1) })
    else {
        panic!()
    };
    assert_eq!(highest, b);
    let shown = after.yes(Request::PrepareDecree { arc: held, ballot: ballot(3, 1) });
    assert_eq!(shown, Reply::DecreePromised { accepted: Some((b, decree)) });
}

/// Rule 13: dropping the records and noting that the arc was left is one step.
#[test]
fn letting_go_of_an_arc_is_one_step() {
    let world = World::member();
    let b = ballot(3, 0);
    for name in ["a", "b", "c"] {
        world.yes(accept(name, b, value(b, name)));
    }
    let worlds =
        every_prefix(&world, |w| unheard(w, Request::Learn { arcs: vec![arc(4, &[2, 3])] }));
    for after in worlds {
        match after.epoch() {
            Some(3) => assert!(["a", "b", "c"].iter().all(|n| after.read(n, 3).is_some())),
            None => {
                // Whatever comes, it does not serve epoch 3 again, nor come in before everything is cleared.
                assert!(matches!(after.no(read("a", 3)), Refusal::Stale { .. }));
                after.yes(Request::Learn { arcs: vec![arc(3, &[1, 2, 3])] });
                assert_eq!(after.epoch(), None);
                let back = RingArc { filling: Some(ME), ..arc(5, &[1, 2, 3]) };
                assert!(matches!(
                    after.no(Request::Learn { arcs: vec![back.clone()] }),
                    Refusal::Wiping { .. }
                ));
                while after.storage.tidy().unwrap() == minor_storage::storage::Tended::Some {}
                after.yes(Request::Learn { arcs: vec![back] });
                assert_eq!(after.read("a", 5), None);
            }
            other => panic!("in no known epoch: {other:?}"),
        }
    }
}

#[test]
fn a_crash_while_clearing_leaves_it_to_be_cleared() {
    let world = World::member();
    let b = ballot(3, 0);
    for n in 0..50 {
        world.yes(accept(&format!("key {n}"), b, value(b, "v")));
    }
    world.yes(Request::Learn { arcs: vec![arc(4, &[2, 3])] });
    let worlds = every_prefix(&world, |w| {
        while w.storage.tidy().unwrap() == minor_storage::storage::Tended::Some {}
    });
    for after in worlds {
        let records = after.storage.total().records;
        let cleared = after.storage.hello_now().wiping.is_empty();
        assert!(!cleared || records == 0, "it calls itself cleared and holds {records} records");
    }
}

/// Rule 21: raising the floor and removing the record are one step.
#[test]
fn a_record_is_never_gone_without_the_floor_being_raised() {
    let world = World::member();
    let names: Vec<String> = (0..20).map(|n| format!("key {n}")).collect();
    let dead: Vec<Dead> =
        names.iter().zip(1..).map(|(n, ms)| Dead { key: key(n), ballot: ballot(3, ms) }).collect();
    for d in &dead {
        world.yes(accept(d.key.as_str(), d.ballot, tombstone(d.ballot)));
    }
    let drop = Request::Drop { epoch: 3, dead: dead.clone() };
    for after in every_prefix(&world, |w| unheard(w, drop)) {
        let floor = after.storage.hello_now().kept[0].floor;
        for d in &dead {
            assert!(
                after.read(d.key.as_str(), 3).is_some() || floor >= d.ballot,
                "'{}' came off",
                d.key
            );
        }
    }
}

#[test]
fn a_split_is_adopted_whole_or_not_at_all() {
    let world = World::member();
    let b = ballot(3, 0);
    world.yes(accept("k", b, value(b, "v")));
    let (lower, upper) = (half(u64::MAX, 1 << 63), half(1 << 63, u64::MAX));
    let arcs = vec![part(lower, 4, &[1, 2, 3]), part(upper, 4, &[1, 2, 3])];
    for after in every_prefix(&world, |w| unheard(w, Request::Learn { arcs })) {
        let epochs: Vec<u64> = after.storage.hello_now().kept.iter().map(|k| k.arc.epoch).collect();
        assert!(epochs == [3] || epochs == [4, 4], "{epochs:?}");
        assert!(after.read("k", epochs[0]).is_some());
    }
}

#[test]
fn founding_and_entering_a_ring_are_one_step() {
    let world = World::plain();
    world.put("k", "v");
    let found = Request::Found { ring: RING, copies: 3 };
    for after in every_prefix(&world, |w| unheard(w, found)) {
        let epoch = after.epoch().unwrap();
        assert_eq!(after.storage.is_plain(), epoch == 0);
        assert!(after.read("k", epoch).is_some());
    }
    let world = World::plain();
    world.put("k", "v");
    let enter = Request::Enter { ring: RING, plain: PlainRecords::Discard };
    for after in every_prefix(&world, |w| unheard(w, enter)) {
        let hello = after.storage.hello_now();
        assert!(after.storage.is_plain() || hello.kept.is_empty() && !hello.wiping.is_empty());
    }
}

/// A chart too long for one put.
#[test]
fn a_long_chart_is_replaced_in_one_step() {
    let world = World::member();
    let step = u64::MAX / 600;
    let pieces: Vec<RingArc> = (0..600)
        .map(|n| part(half((n * step).wrapping_sub(1), (n + 1) * step - 1), 4, &[2, 3, 4, 5, 6]))
        .collect();
    for some in pieces.chunks(60) {
        world.yes(Request::Learn { arcs: some.to_vec() });
    }
    assert_eq!(world.after_crash(Keep::Durable).storage.hello_now().left.len(), 600);
    for turn in 5..8 {
        let renewed = RingArc { epoch: turn, ..pieces[7].clone() };
        let world = world.after_crash(Keep::Durable);
        let worlds = every_prefix(&world, |w| unheard(w, Request::Learn { arcs: vec![renewed] }));
        assert!(worlds.len() > 3, "the chart is long");
        for after in worlds {
            let left = after.storage.hello_now().left;
            assert_eq!(left.len(), 600);
            assert!(left.iter().all(|a| a.epoch == 4 || a.epoch == turn));
        }
    }
}
