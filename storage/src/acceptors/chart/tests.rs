//! Stories of the chart: each rule that an arc's acceptor keeps, red when the rule is removed.

use super::*;
use minor_protocol::{Moment, Restart, Unfit};

const ME: StorageId = StorageId(1);

fn member(n: u128) -> Member {
    Member { storage: StorageId(n), address: format!("127.0.0.1:{n}"), zone: String::new() }
}

fn arc(from: u64, to: u64, epoch: u64, members: &[u128]) -> RingArc {
    RingArc {
        ring: RingId(1),
        span: Span::new(Position(from), Position(to)),
        epoch,
        members: members.iter().copied().map(member).collect(),
        filling: None,
        copies: 3,
        sealed: None,
    }
}

/// A storage that keeps (0, 100] in epoch 5, filled in epoch 4.
fn chart() -> Chart {
    let mut chart = Chart::entering(RingId(1), ME, vec![]);
    let filling = RingArc { filling: Some(ME), ..arc(0, 100, 4, &[1, 2, 3]) };
    chart.learn(&[filling, arc(0, 100, 5, &[1, 2, 3])]).unwrap();
    chart
}

fn ballot(epoch: u64, ms: u64) -> Ballot {
    Ballot { epoch, clock: Moment::at_ms(ms), router: 7, seq: 0 }
}

fn at(place: u64) -> Position {
    Position(place)
}

/// Rule 2.
#[test]
fn a_storage_answers_for_exactly_its_epoch() {
    let chart = chart();
    assert_eq!(chart.admits(at(50), 5), Ok(0));
    let held = Box::new(arc(0, 100, 5, &[1, 2, 3]));
    assert_eq!(chart.admits(at(50), 4), Err(Refusal::Stale { arc: held.clone() }));
    assert_eq!(chart.admits(at(50), 6), Err(Refusal::Behind { arc: Some(held) }));
    assert_eq!(chart.admits(at(101), 5), Err(Refusal::Behind { arc: None }));
}

/// Rules 11 and 12 as far as an acceptor can see: what does not follow the arc gets no vote.
#[test]
fn a_decree_that_does_not_fit_gets_no_vote() {
    let mut chart = chart();
    let held = arc(0, 100, 5, &[1, 2, 3]);
    let no = chart.accept_decree(&held, ballot(5, 1), &Decree::Filled);
    assert_eq!(no, Err(Refusal::Unfit(Unfit::NotFilling)));
    let again = Decree::Grow { member: member(2), place: 0 };
    assert!(chart.accept_decree(&held, ballot(5, 1), &again).is_err());
}

#[test]
fn votes_on_decrees_are_never_taken_back() {
    let mut chart = chart();
    let held = arc(0, 100, 5, &[1, 2, 3]);
    let (low, high) = (ballot(5, 1), ballot(5, 2));
    let (grow, shrink) =
        (Decree::Grow { member: member(4), place: 0 }, Decree::Shrink { storage: StorageId(3) });
    assert_eq!(chart.prepare_decree(&held, high), Ok(None));
    assert_eq!(chart.prepare_decree(&held, low), Err(Refusal::Refused { highest: high }));
    assert_eq!(chart.prepare_decree(&held, high), Err(Refusal::Refused { highest: high }));
    assert_eq!(chart.accept_decree(&held, low, &grow), Err(Refusal::Refused { highest: high }));
    assert_eq!(chart.accept_decree(&held, high, &grow), Ok(()));
    // Whoever comes next is shown the vote, and has to carry it through.
    assert_eq!(chart.prepare_decree(&held, ballot(5, 3)), Ok(Some((high, grow))));
    assert!(chart.accept_decree(&held, high, &shrink).is_err());
}

#[test]
fn a_vote_is_for_the_very_arc_that_is_named() {
    let mut chart = chart();
    let others = arc(0, 100, 5, &[1, 2, 4]);
    let narrower = arc(0, 90, 5, &[1, 2, 3]);
    for wrong in [others, narrower, arc(0, 100, 4, &[1, 2, 3])] {
        let no = chart.prepare_decree(&wrong, ballot(5, 1));
        assert!(matches!(no, Err(Refusal::Stale { .. } | Refusal::Behind { .. })), "{no:?}");
    }
    let next = arc(0, 100, 6, &[1, 2, 3]);
    assert!(matches!(chart.prepare_decree(&next, ballot(6, 1)), Err(Refusal::Behind { .. })));
}

/// Rule 13.
#[test]
fn a_storage_that_is_left_out_lets_go_and_remembers_that_it_did() {
    let mut chart = chart();
    chart.learn(&[arc(0, 100, 6, &[2, 3])]).unwrap();
    assert_eq!(chart.wiping(), [Span::new(at(0), at(100))]);
    assert!(chart.seats().is_empty());
    // It is not reborn at an old epoch, however late that is taught.
    let filling = RingArc { filling: Some(ME), ..arc(0, 100, 4, &[1, 2, 3]) };
    chart.learn(&[filling, arc(0, 100, 5, &[1, 2, 3])]).unwrap();
    assert!(chart.seats().is_empty());
    assert!(matches!(chart.admits(at(50), 5), Err(Refusal::Stale { arc }) if arc.epoch == 6));
    assert!(matches!(chart.admits(at(50), 7), Err(Refusal::Behind { arc: Some(_) })));
}

#[test]
fn nothing_comes_in_where_the_old_is_still_being_cleared() {
    let mut chart = chart();
    chart.learn(&[arc(0, 100, 6, &[2, 3])]).unwrap();
    let back = RingArc { filling: Some(ME), ..arc(0, 100, 7, &[1, 2, 3]) };
    let span = Span::new(at(0), at(100));
    assert_eq!(chart.clone().learn(std::slice::from_ref(&back)), Err(Refusal::Wiping { span }));
    chart.wiped(span);
    chart.learn(&[back]).unwrap();
    assert_eq!(chart.admits(at(50), 7), Ok(0));
}

/// Whoever lists an arc names its end, and the end may be the last part that was not superseded yet.
#[test]
fn whoever_asks_for_more_than_is_left_of_an_arc_hears_what_took_the_rest() {
    for newer in [arc(0, 60, 6, &[1, 2, 3]), arc(0, 60, 6, &[2, 3])] {
        let mut chart = chart();
        chart.learn(std::slice::from_ref(&newer)).unwrap();
        assert!(chart.admits_span(Span::new(at(60), at(100)), 5).is_ok());
        let no = chart.admits_span(Span::new(at(30), at(100)), 5);
        assert_eq!(no, Err(Refusal::Stale { arc: Box::new(newer) }));
    }
}

/// Rule 14.
#[test]
fn a_newcomer_s_floor_is_its_first_epoch() {
    let mut chart = Chart::entering(RingId(1), ME, vec![]);
    chart.learn(&[arc(0, 100, 4, &[2, 3])]).unwrap();
    let grown = RingArc { filling: Some(ME), ..arc(0, 100, 5, &[1, 2, 3]) };
    chart.learn(&[grown]).unwrap();
    assert_eq!(chart.seats()[0].floor, Ballot::first_of(5));
    // It keeps that floor while it stays.
    chart.learn(&[arc(0, 100, 6, &[1, 2, 3])]).unwrap();
    assert_eq!(chart.seats()[0].floor, Ballot::first_of(5));
}

#[test]
fn a_storage_that_was_never_filled_does_not_pass_its_emptiness_off_as_absence() {
    let mut chart = Chart::entering(RingId(1), ME, vec![]);
    let full = arc(0, 100, 9, &[1, 2, 3]);
    assert!(matches!(chart.learn(&[full]), Err(Refusal::NeverFilled { .. })));
    assert!(chart.seats().is_empty());
}

/// Rule 14.
#[test]
fn who_never_heard_that_it_was_out_does_not_come_in_with_what_it_held() {
    let mut chart = chart();
    let back = RingArc { filling: Some(ME), ..arc(0, 100, 7, &[1, 2, 3]) };
    let before = chart.clone();
    assert!(matches!(chart.learn(std::slice::from_ref(&back)), Err(Refusal::NeverFilled { .. })));
    assert_eq!(chart, before);
    chart.learn(&[arc(0, 100, 6, &[2, 3])]).unwrap();
    chart.wiped(Span::new(at(0), at(100)));
    assert_eq!(chart.learn(&[back]), Ok(()));
}

/// Rule 15.
#[test]
fn a_split_passes_the_floor_on_to_both_halves() {
    let mut chart = chart();
    chart.raise_floor(0, ballot(5, 70));
    chart.learn(&[arc(0, 40, 6, &[1, 2, 3]), arc(40, 100, 6, &[1, 2, 3])]).unwrap();
    assert_eq!(chart.seats().len(), 2);
    assert!(chart.seats().iter().all(|s| s.floor == ballot(5, 70)));
    assert!(chart.wiping().is_empty());
}

/// Rule 16.
#[test]
fn a_joined_arc_has_the_higher_floor() {
    let mut chart = chart();
    chart.learn(&[arc(0, 40, 6, &[1, 2, 3]), arc(40, 100, 6, &[1, 2, 3])]).unwrap();
    chart.raise_floor(1, ballot(6, 70));
    chart.learn(&[arc(0, 100, 8, &[1, 2, 3])]).unwrap();
    assert_eq!(chart.seats().len(), 1);
    assert_eq!(chart.seats()[0].floor, ballot(6, 70));
}

/// Rules 8 and 17: a floor may rise for other reasons; only what was dropped makes an absent key forgetful.
#[test]
fn what_was_swept_is_handed_on_and_a_newcomer_has_swept_nothing() {
    let mut chart = chart();
    assert!(chart.seats()[0].floor > Ballot::ZERO);
    assert_eq!(chart.seats()[0].swept, Ballot::ZERO, "it came in, and dropped nothing");
    chart.raise_floor(0, ballot(5, 90));
    assert_eq!(chart.seats()[0].swept, Ballot::ZERO, "promises were forgotten, and no records");
    chart.swept(0, ballot(5, 70));
    chart.learn(&[arc(0, 40, 6, &[1, 2, 3]), arc(40, 100, 6, &[1, 2, 3])]).unwrap();
    assert!(chart.seats().iter().all(|s| s.swept == ballot(5, 70)));
    chart.swept(1, ballot(6, 80));
    chart.learn(&[arc(0, 100, 8, &[1, 2, 3])]).unwrap();
    assert_eq!((chart.seats()[0].swept, chart.seats()[0].floor), (ballot(6, 80), ballot(6, 80)));
}

/// Rule 17.
#[test]
fn only_the_one_being_filled_inherits_what_others_swept() {
    let mut chart = Chart::entering(RingId(1), ME, vec![]);
    let filling = RingArc { filling: Some(ME), ..arc(0, 100, 4, &[1, 2, 3]) };
    chart.learn(&[filling]).unwrap();
    let span = Span::new(at(0), at(100));
    assert!(matches!(chart.inherit(span, 3, ballot(3, 7)), Err(Refusal::Stale { .. })));
    chart.inherit(span, 4, ballot(3, 7)).unwrap();
    chart.inherit(span, 4, ballot(3, 5)).unwrap();
    assert_eq!(chart.seats()[0].swept, ballot(3, 7));
    assert_eq!(chart.seats()[0].floor, Ballot::first_of(4));
    chart.learn(&[arc(0, 100, 5, &[1, 2, 3])]).unwrap();
    assert_eq!(chart.seats()[0].swept, ballot(3, 7));
    assert_eq!(chart.inherit(span, 5, ballot(3, 9)), Err(Refusal::NotFilling));
}

#[test]
fn an_arc_is_adopted_only_above_everything_it_overlaps() {
    let mut chart = chart();
    chart.learn(&[arc(0, 40, 6, &[1, 2, 3]), arc(40, 100, 9, &[1, 2, 3])]).unwrap();
    let before = chart.clone();
    chart.learn(&[arc(0, 100, 8, &[1, 2, 3])]).unwrap();
    assert_eq!(chart, before);
    chart.learn(&[arc(0, 100, 9, &[1, 2, 3])]).unwrap();
    assert_eq!(chart, before);
}

#[test]
fn a_part_that_was_not_superseded_lags_and_still_knows_the_vote() {
    let mut chart = chart();
    let whole = arc(0, 100, 5, &[1, 2, 3]);
    let split = Decree::Split { at: at(40) };
    chart.accept_decree(&whole, ballot(5, 1), &split).unwrap();
    // Whoever had it chosen taught one half and died.
    chart.learn(&[arc(0, 40, 6, &[1, 2, 3])]).unwrap();
    assert!(chart.admits(at(20), 6).is_ok() && chart.admits(at(70), 5).is_ok());
    assert!(chart.admits(at(20), 5).is_err() && chart.admits(at(70), 6).is_err());
    let shown = chart.prepare_decree(&whole, ballot(5, 2));
    assert_eq!(shown, Ok(Some((ballot(5, 1), split))));
    let rest = arc(40, 100, 5, &[1, 2, 3]);
    assert!(chart.prepare_decree(&rest, ballot(5, 3)).is_err(), "no such arc was ever agreed");
    chart.learn(&[arc(40, 100, 6, &[2, 3])]).unwrap();
    assert_eq!(chart.wiping(), [Span::new(at(40), at(100))]);
    assert!(chart.prepare_decree(&whole, ballot(5, 4)).is_err(), "nothing is left of it");
}

#[test]
fn the_pieces_of_one_arc_vote_as_one() {
    let mut chart = chart();
    let whole = arc(0, 100, 5, &[1, 2, 3]);
    chart.learn(&[arc(40, 60, 6, &[1, 2, 3])]).unwrap();
    assert_eq!(chart.seats().len(), 3);
    chart.prepare_decree(&whole, ballot(5, 7)).unwrap();
    chart.learn(&[arc(0, 40, 6, &[1, 2, 3])]).unwrap();
    let low = chart.prepare_decree(&whole, ballot(5, 6));
    assert_eq!(low, Err(Refusal::Refused { highest: ballot(5, 7) }));
}

#[test]
fn damage_goes_on_to_whatever_follows_until_it_is_let_go() {
    let mut chart = chart();
    chart.declare_damaged(0);
    let span = Span::new(at(0), at(100));
    assert_eq!(chart.admits(at(50), 5), Err(Refusal::Damaged { span }));
    chart.learn(&[arc(0, 40, 6, &[1, 2, 3]), arc(40, 100, 6, &[1, 2, 3])]).unwrap();
    assert!(chart.seats().iter().all(|s| s.damaged));
    chart.learn(&[arc(0, 40, 7, &[2, 3])]).unwrap();
    chart.wiped(Span::new(at(0), at(40)));
    let grown = RingArc { filling: Some(ME), ..arc(0, 40, 8, &[2, 3, 1]) };
    chart.learn(&[grown]).unwrap();
    assert!(chart.admits(at(20), 8).is_ok());
}

#[test]
fn a_plain_storage_keeps_everything_below_every_ring() {
    let chart = Chart::plain(member(1));
    assert_eq!(chart.admits(at(0), 0), Ok(0));
    assert!(chart.admits(at(u64::MAX), 1).is_err());
}

fn restart(arc: RingArc, lost: &[u128], heir: Option<u128>) -> Restart {
    let lost = lost.iter().copied().map(StorageId).collect();
    Restart { arc, lost, heir: heir.map(member), draw: 3 }
}

#[test]
fn an_arc_begins_again_only_as_it_is_and_only_without_a_majority() {
    let mut chart = chart();
    let held = arc(0, 100, 5, &[1, 2, 3]);
    let before = chart.clone();
    for other in [arc(0, 100, 4, &[1, 2, 3]), arc(0, 90, 5, &[1, 2, 3]), arc(0, 100, 5, &[1, 3, 2])]
    {
        assert!(chart.restart(&restart(other, &[2, 3], None)).is_err());
    }
    assert!(chart.restart(&restart(held.clone(), &[3], None)).is_err(), "two of three can vote");
    assert!(chart.restart(&restart(held.clone(), &[1, 2], None)).is_err(), "it is given up itself");
    assert_eq!(chart, before);
    let asked = restart(held, &[2, 3], None);
    assert_eq!(chart.restart(&asked), Ok(true));
    assert_eq!(chart.restart(&asked), Ok(false), "said again, it is so already");
    assert_eq!(chart.seats()[0].arc, asked.next().unwrap());
    assert!(chart.wiping().is_empty(), "what is left is kept");
    // Whatever the lost ones agreed on meanwhile is older.
    chart.learn(&[arc(0, 100, 6, &[2, 3, 4])]).unwrap();
    assert_eq!(chart.seats()[0].arc, asked.next().unwrap());
}

#[test]
fn an_heir_begins_with_nothing_and_takes_nothing_old() {
    let lost = arc(0, 100, 5, &[2]);
    let mut heir = Chart::entering(RingId(1), ME, vec![]);
    let asked = restart(lost.clone(), &[2], Some(1));
    assert_eq!(heir.restart(&asked), Err(Refusal::Behind { arc: None }), "it knows of no such arc");
    heir.learn(&[lost]).unwrap();
    assert_eq!(heir.restart(&asked), Ok(true));
    let seat = &heir.seats()[0];
    assert_eq!(
        (seat.arc.clone(), seat.floor),
        (asked.next().unwrap(), Ballot::first_of(seat.arc.epoch))
    );
    // Who holds some of it still does not take it over empty.
    let mut full = chart();
    let others = restart(arc(0, 100, 5, &[2]), &[2], Some(1));
    assert!(full.restart(&others).is_err());
}

#[test]
fn a_member_that_was_given_up_and_comes_back_is_out() {
    let mut chart = chart();
    let asked = restart(arc(0, 100, 5, &[1, 2, 3]), &[1, 2], None);
    chart.learn(&[asked.next().unwrap()]).unwrap();
    assert!(chart.seats().is_empty());
    assert_eq!(chart.wiping(), [arc(0, 100, 5, &[1]).span]);
}
