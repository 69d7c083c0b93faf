//! Votes on keys and arcs, through the whole service.

use crate::world::*;
use minor_protocol::{
    Ask, Ballot, Decree, Expect, Operation, Refusal, Reply, Request, StorageId, Wish, limits,
    message::{Dead, Outcome, Proposed, Show},
    record::Record,
};
use minor_storage::store::Room;

#[test]
fn a_round_is_promised_accepted_and_read() {
    let world = World::member();
    let b = ballot(3, 0);
    assert!(matches!(world.yes(prepare("k", b)), Reply::Promised { shown: None, .. }));
    assert_eq!(world.yes(accept("k", b, value(b, "v"))), Reply::Accepted);
    assert_eq!(world.read("k", 3), Some((b, value(b, "v"))));
    let Reply::Promised { shown: Some(shown), .. } = world.yes(prepare("k", ballot(3, 1))) else {
        panic!("the record is shown to the next who prepares");
    };
    assert_eq!((shown.ballot, whole(shown)), (b, value(b, "v")));
}

/// Rule 2: prepare at one epoch and accept at the next is no round.
#[test]
fn a_round_lives_in_one_epoch() {
    let world = World::member();
    let b = ballot(3, 0);
    world.yes(prepare("k", b));
    world.yes(Request::Learn { arcs: vec![arc(4, &[1, 2, 3])] });
    assert!(
        matches!(world.no(accept("k", b, value(b, "v"))), Refusal::Stale { arc } if arc.epoch == 4)
    );
    assert!(matches!(world.no(read("k", 3)), Refusal::Stale { .. }));
    assert!(matches!(world.no(read("k", 5)), Refusal::Behind { arc: Some(_) }));
}

/// Rule 4, for readers too.
#[test]
fn nothing_is_shown_before_it_is_durable() {
    let world = World::member();
    let b = ballot(3, 0);
    world.yes(prepare("k", b));
    world.disk.hold_commits();
    let mut accepted =
        Box::pin(world.storage.answer(world.ask(vec![accept("k", b, value(b, "v"))]), NOW));
    let shows = [
        read("k", 3),
        prepare("k", ballot(3, 1)),
        Request::List { span: arc(3, &[1]).span, epoch: 3, after: None, limit: 10 },
        Request::Tally { span: arc(3, &[1]).span, epoch: 3 },
    ];
    assert!(!is_ready(&mut accepted), "acknowledged before it was durable");
    for request in shows {
        let mut shown = Box::pin(world.storage.answer(world.ask(vec![request.clone()]), NOW));
        assert!(!is_ready(&mut shown), "shown before it was durable by {request:?}");
    }
    let mut other = Box::pin(world.storage.answer(world.ask(vec![read("another", 3)]), NOW));
    assert!(is_ready(&mut other), "a key of another cell need not wait");
    world.disk.release_commits();
    assert!(is_ready(&mut accepted));
}

#[test]
fn no_vote_of_an_arc_is_shown_before_it_is_durable() {
    let world = World::member();
    world.disk.hold_commits();
    let held = arc(3, &[1, 2, 3]);
    let votes = [
        Request::PrepareDecree { arc: held.clone(), ballot: ballot(3, 1) },
        Request::AcceptDecree {
            arc: held,
            ballot: ballot(3, 1),
            decree: Decree::Copies { wanted: 1 },
        },
        Request::Learn { arcs: vec![arc(4, &[1, 2, 3])] },
        read("k", 4),
        Request::Hello,
        // What the refusals show is the new arc.
        read("k", 3),
        prepare("k", ballot(3, 1)),
        Request::Tally { span: arc(3, &[1]).span, epoch: 3 },
        Request::PrepareDecree { arc: arc(3, &[1, 2, 3]), ballot: ballot(3, 2) },
    ];
    for request in votes {
        let mut answer = Box::pin(world.storage.answer(world.ask(vec![request.clone()]), NOW));
        assert!(!is_ready(&mut answer), "shown before it was durable: {request:?}");
    }
}

/// Rule 10.
#[test]
fn what_did_not_change_need_not_travel() {
    let world = World::member();
    let (b, c) = (ballot(3, 0), ballot(3, 1));
    world.yes(accept("k", b, value(b, "v")));
    let held = |at, ballot| Request::Accept { key: key("k"), ballot, state: Proposed::Held(at) };
    assert_eq!(world.no(held(ballot(3, -1), c)), Refusal::NotHeld);
    assert_eq!(world.yes(held(b, c)), Reply::Accepted);
    assert_eq!(world.yes(held(b, c)), Reply::Accepted, "sent again, it is the same accept");
    assert_eq!(world.read("k", 3), Some((c, value(b, "v"))));
}

/// Rule 9.
#[test]
fn a_change_in_one_step_needs_an_arc_of_one_member() {
    let change = |ballot: Ballot, id: Ballot| Request::Change {
        key: key("k"),
        ballot,
        id,
        now_ms: NOW,
        operation: set(minor_protocol::Expect::Absent, "v", None),
    };
    let founder = World::founder();
    let (b, c) = (ballot(1, 0), ballot(1, 1));
    let Reply::Changed { outcome: Outcome::Done, .. } = founder.yes(change(b, b)) else { panic!() };
    // The reply was lost, and the operation is tried again: done, not "not met".
    let Reply::Changed { outcome: Outcome::Done, .. } = founder.yes(change(c, b)) else { panic!() };
    // The very first message comes once more, late: what it asks for was done, whatever its ballot is worth by now.
    let Reply::Changed { outcome: Outcome::Done, .. } = founder.yes(change(b, b)) else { panic!() };
    let older = ballot(1, -1);
    assert!(matches!(founder.no(change(older, older)), Refusal::Refused { .. }));
    assert_eq!(World::member().no(change(ballot(3, 0), ballot(3, 0))), Refusal::NotAlone);
}

/// A retry that changed nothing must not be overtaken by its own first try.
#[test]
fn a_change_that_was_not_met_still_keeps_older_tries_out() {
    let world = World::founder();
    let change = |ballot: Ballot, operation: Operation| Request::Change {
        key: key("k"),
        ballot,
        id: ballot,
        now_ms: NOW,
        operation,
    };
    let not_met = world.yes(change(ballot(1, 5), set(minor_protocol::Expect::Present, "v", None)));
    assert!(matches!(not_met, Reply::Changed { outcome: Outcome::NotMet, .. }));
    let late = change(ballot(1, 4), set(minor_protocol::Expect::Anything, "v", None));
    assert_eq!(world.no(late), Refusal::Refused { highest: ballot(1, 5) });
}

/// Rule 17.
#[test]
fn only_a_storage_that_is_being_filled_takes_copies() {
    let copy = |epoch, at: Ballot| Request::Copy {
        key: key("k"),
        epoch,
        record: Record { ballot: at, state: value(at, "old") },
    };
    let world = World::member();
    assert_eq!(world.no(copy(3, ballot(1, 0))), Refusal::NotFilling);
    world.yes(Request::Learn { arcs: vec![arc(4, &[2, 3])] });
    while world.storage.tidy().unwrap() == minor_storage::storage::Tended::Some {}
    let filling = minor_protocol::RingArc { filling: Some(ME), ..arc(5, &[1, 2, 3]) };
    world.yes(Request::Learn { arcs: vec![filling] });
    assert!(matches!(world.no(copy(4, ballot(1, 0))), Refusal::Stale { .. }));
    // Neither floor nor ceiling holds it up, and a newer record stays.
    assert_eq!(world.yes(copy(5, ballot(1, -500_000))), Reply::Copied);
    world.yes(accept("k", ballot(5, 0), value(ballot(5, 0), "new")));
    assert_eq!(world.yes(copy(5, ballot(1, 500))), Reply::Copied);
    assert_eq!(world.read("k", 5), Some((ballot(5, 0), value(ballot(5, 0), "new"))));
}

/// Rules 19 and 21.
#[test]
fn what_is_dropped_is_gone_for_good() {
    let world = World::member();
    let (b, c) = (ballot(3, 0), ballot(3, 1));
    world.yes(accept("k", b, value(b, "v")));
    let drop = |at| Request::Drop { epoch: 3, dead: vec![Dead { key: key("k"), ballot: at }] };
    assert_eq!(world.yes(drop(b)), Reply::Dropped { records: 0 }, "it is alive");
    world.yes(accept("k", c, tombstone(c)));
    assert_eq!(world.yes(drop(b)), Reply::Dropped { records: 0 }, "another ballot");
    assert_eq!(world.yes(drop(c)), Reply::Dropped { records: 1 });
    assert_eq!(world.read("k", 3), None);
    // However late the old value comes again, it is refused.
    assert_eq!(world.no(accept("k", b, value(b, "v"))), Refusal::Refused { highest: c });
    assert_eq!(world.no(prepare("k", c)), Refusal::Refused { highest: c });
    assert!(
        matches!(world.yes(prepare("k", ballot(3, 2))), Reply::Promised { swept, .. } if swept == c)
    );
}

/// Rule 19.
#[test]
fn nothing_is_dropped_while_a_member_is_being_filled() {
    let world = World::member();
    let c = ballot(3, 1);
    world.yes(accept("k", c, tombstone(c)));
    let filling = minor_protocol::RingArc { filling: Some(StorageId(4)), ..arc(4, &[1, 2, 3, 4]) };
    world.yes(Request::Learn { arcs: vec![filling] });
    let drop = Request::Drop { epoch: 4, dead: vec![Dead { key: key("k"), ballot: c }] };
    assert_eq!(world.no(drop), Refusal::Filling);
}

/// Rule 22.
#[test]
fn dropping_a_record_keeps_the_promise() {
    let world = World::member();
    let (c, promised) = (ballot(3, 1), ballot(3, 9));
    world.yes(accept("k", c, tombstone(c)));
    world.yes(prepare("k", promised));
    world.yes(Request::Drop { epoch: 3, dead: vec![Dead { key: key("k"), ballot: c }] });
    assert_eq!(world.no(prepare("k", ballot(3, 5))), Refusal::Refused { highest: promised });
}

#[test]
fn a_full_disk_takes_no_values_and_still_deletes_votes_and_shows() {
    let world = World::member();
    let b = ballot(3, 0);
    world.yes(accept("k", b, value(b, "v")));
    world.disk.set_room(Room::Low);
    assert_eq!(world.no(accept("k", ballot(3, 1), value(b, "w"))), Refusal::Full);
    assert_eq!(world.read("k", 3), Some((b, value(b, "v"))));
    world.yes(accept("k", ballot(3, 2), tombstone(ballot(3, 2))));
    world.yes(Request::PrepareDecree { arc: arc(3, &[1, 2, 3]), ballot: ballot(3, 1) });
    world.disk.set_room(Room::Enough);
    world.yes(accept("k", ballot(3, 3), value(b, "w")));
}

#[test]
fn what_was_refused_for_want_of_room_is_not_taken_when_it_comes_a_second_time() {
    let world = World::member();
    let b = ballot(3, 1);
    world.yes(prepare("k", b));
    world.disk.set_room(Room::Low);
    assert_eq!(world.no(accept("k", b, value(b, "v"))), Refusal::Full);
    world.disk.set_room(Room::Enough);
    assert!(
        matches!(world.no(accept("k", b, value(b, "v"))), Refusal::Refused { highest } if highest > b)
    );
    assert_eq!(world.read("k", 3), None);
    let next = ballot(3, 2);
    world.yes(prepare("k", next));
    world.yes(accept("k", next, value(next, "v")));
    // What it holds it holds, and says so whether or not there is room.
    world.disk.set_room(Room::Low);
    world.yes(accept("k", next, value(next, "v")));
}

#[test]
fn who_means_another_storage_or_ring_is_told_so() {
    let world = World::member();
    let ask = |storage, ring| Ask { storage, ring, starts: 0, requests: vec![read("k", 3)] };
    let stranger = [Err(Refusal::Stranger { storage: ME, ring: Some(RING) })];
    for wrong in [
        ask(Some(StorageId(5)), Some(RING)),
        ask(Some(ME), Some(minor_protocol::RingId(5))),
        ask(Some(ME), None),
        ask(None, Some(RING)),
    ] {
        assert_eq!(world.storage.work(wrong, NOW).wait().unwrap().answers, stranger);
    }
    let hello = Ask { storage: None, ring: None, starts: 0, requests: vec![Request::Hello] };
    assert!(matches!(
        world.storage.work(hello, NOW).wait().unwrap().answers[0],
        Ok(Reply::Hello(_))
    ));
}

#[test]
fn the_answers_to_one_ask_have_a_limit() {
    let world = World::member();
    let b = ballot(3, 0);
    let big = minor_protocol::State { value: vec![7; limits::VALUE_BYTES], ..value(b, "") };
    world.yes(accept("k", b, big));
    let many = world.ask(vec![read("k", 3); 100]);
    let answers = world.storage.work(many, NOW).wait().unwrap().answers;
    let shown = answers.iter().filter(|a| a.is_ok()).count();
    assert!(shown * limits::VALUE_BYTES <= limits::ANSWER_BYTES && shown >= 60, "{shown} shown");
    assert!(answers[shown..].iter().all(|a| *a == Err(Refusal::TooMuch)));
    let heads = Request::Read { key: key("k"), epoch: 3, show: Show::Header };
    let answers = world.storage.work(world.ask(vec![heads; 100]), NOW).wait().unwrap().answers;
    assert!(answers.iter().all(Result::is_ok), "headers are small");
}

#[test]
fn of_requests_that_read_much_only_so_many_are_answered_at_once() {
    let world = World::member();
    let list = Request::List { span: arc(3, &[1]).span, epoch: 3, after: None, limit: 10 };
    let mut many = vec![list; 100];
    many.push(read("k", 3));
    let answers = world.storage.work(world.ask(many), NOW).wait().unwrap().answers;
    assert!(answers[..limits::ASK_LONG].iter().all(Result::is_ok));
    assert!(answers[limits::ASK_LONG..100].iter().all(|a| *a == Err(Refusal::TooMuch)));
    assert!(answers[100].is_ok(), "others are not held up by them");
}

#[test]
fn a_request_that_contradicts_itself_does_nothing() {
    let world = World::founder();
    let b = ballot(1, 0);
    let twice = vec![Dead { key: key("k"), ballot: b }; 2];
    assert!(matches!(world.no(Request::Drop { epoch: 1, dead: twice }), Refusal::Malformed(_)));
    let wish = Wish::Set { content_type: String::new(), expires_ms: None, value: vec![] };
    for operation in [delete(), Operation { expect: Expect::Anything, wish }] {
        let id = ballot(1, 1);
        let from_the_future =
            Request::Change { key: key("k"), ballot: b, id, now_ms: NOW, operation };
        assert!(matches!(world.no(from_the_future), Refusal::Malformed(_)));
    }
}

#[test]
fn a_disk_that_fails_is_the_end_and_is_said() {
    let world = World::member();
    world.disk.fail_next_commit();
    let b = ballot(3, 0);
    let answers =
        futures_lite(world.storage.answer(world.ask(vec![accept("k", b, value(b, "v"))]), NOW));
    assert!(matches!(answers.answers[0], Err(Refusal::Failed(_))));
    assert!(matches!(world.no(read("k", 3)), Refusal::Failed(_)));
    assert!(world.storage.health().is_err());
}

fn futures_lite<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    let waker = std::task::Waker::noop();
    match future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("the simulated disk answers at once"),
    }
}
