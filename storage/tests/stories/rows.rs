//! Listings, counts and the middle of an arc.

use crate::world::*;
use minor_protocol::{
    Key, Position, Refusal, Reply, Request, Span,
    message::{Row, Tally},
    record::mark,
};

fn world() -> (World, Vec<Key>) {
    let world = World::member();
    let b = ballot(3, 0);
    let mut keys: Vec<Key> = (0..3_000).map(|n| key(&format!("key {n}"))).collect();
    let requests = keys.iter().map(|k| accept(k.as_str(), b, value(b, "v"))).collect::<Vec<_>>();
    for some in requests.chunks(1_000) {
        let answers = world.storage.work(world.ask(some.to_vec()), NOW).wait().unwrap().answers;
        assert!(answers.iter().all(Result::is_ok));
    }
    keys.sort_by_key(|k| (k.position(), k.clone()));
    (world, keys)
}

/// Teaches the storage that its arc now ends elsewhere, so that the span crosses the top of the ring.
fn turned(world: &World, to: u64) -> Span {
    let span = half(to, to);
    world.yes(Request::Learn { arcs: vec![part(span, 4, &[1, 2, 3])] });
    span
}

fn list(world: &World, span: Span, epoch: u64, limit: u32) -> Vec<Row> {
    let (mut all, mut after) = (vec![], None);
    loop {
        let page = world.yes(Request::List { span, epoch, after, limit });
        let Reply::Listed { rows, more } = page else { panic!("no listing") };
        assert!(rows.len() <= limit as usize);
        all.extend(rows);
        if !more {
            return all;
        }
        after = all.last().map(|row| row.key.clone());
    }
}

#[test]
fn a_listing_shows_each_key_of_the_span_once_in_ring_order() {
    let (world, keys) = world();
    let to = keys[1_234].position().0;
    let span = turned(&world, to);
    for limit in [1_000, 7] {
        let listed: Vec<Key> = list(&world, span, 4, limit).into_iter().map(|r| r.key).collect();
        let expected: Vec<Key> = keys[1_235..].iter().chain(&keys[..=1_234]).cloned().collect();
        assert!(listed == expected, "{} listed, {} expected", listed.len(), expected.len());
    }
    let part = half(keys[2_990].position().0, keys[10].position().0);
    let listed = list(&world, part, 4, 5);
    assert_eq!(listed.len(), 9 + 11);
}

#[test]
fn a_listing_is_of_one_epoch() {
    let (world, _) = world();
    let list = |epoch| Request::List { span: Span::WHOLE, epoch, after: None, limit: 10 };
    assert!(matches!(world.no(list(2)), Refusal::Stale { .. }));
    assert!(matches!(world.no(list(4)), Refusal::Behind { .. }));
}

#[test]
fn a_tally_counts_what_is_there() {
    let (world, keys) = world();
    let span = half(keys[99].position().0, keys[1_099].position().0);
    let Reply::Tallied { tally } = world.yes(Request::Tally { span, epoch: 3 }) else { panic!() };
    let digest =
        keys[100..1_100].iter().fold(0, |sum, k| sum ^ mark(k.as_str().as_bytes(), ballot(3, 0)));
    assert_eq!((tally.records, tally.tombstones, tally.digest), (1_000, 0, digest));
    let Reply::Tallied { tally } = world.yes(Request::Tally { span: Span::WHOLE, epoch: 3 }) else {
        panic!()
    };
    assert_eq!(tally, world.storage.total());
    assert_ne!(tally, Tally::default());
}

/// Where so many bytes of a span lie behind.
fn cut(world: &World, span: Span, epoch: u64, bytes: u64) -> Option<Position> {
    let Reply::Cut { at } = world.yes(Request::Cut { span, epoch, bytes }) else { panic!() };
    at
}

fn bytes_of(world: &World, span: Span, epoch: u64) -> u64 {
    let Reply::Tallied { tally } = world.yes(Request::Tally { span, epoch }) else { panic!() };
    tally.bytes
}

#[test]
fn a_cut_lies_behind_so_many_bytes_and_not_one_record_more() {
    let (world, keys) = world();
    for (from, to) in [(None, None), (Some(2_500), Some(500)), (Some(0), Some(1_000))] {
        let at = |n: Option<usize>| n.map_or(u64::MAX, |n: usize| keys[n].position().0);
        let span = half(at(from), at(to));
        let all = bytes_of(&world, span, 3);
        let of_one = all / keys.iter().filter(|key| span.holds(key.position())).count() as u64;
        for wanted in [1, all / 7, all / 2, all - 2 * of_one] {
            let at = cut(&world, span, 3, wanted).unwrap();
            let below = bytes_of(&world, half(span.from.0, at.0), 3);
            assert!((wanted..wanted + 2 * of_one).contains(&below), "{span}: {below} of {all}");
        }
        assert_eq!(cut(&world, span, 3, all + 1), None, "there is no more than all");
    }
}

#[test]
fn an_arc_with_one_place_cannot_be_cut() {
    let world = World::member();
    let b = ballot(3, 0);
    assert_eq!(cut(&world, Span::WHOLE, 3, 1), None);
    for n in 0..10 {
        world.yes(accept(&format!("{{tag}}{n}"), b, value(b, "v")));
    }
    let place = key("{tag}").position().0;
    world.yes(Request::Learn { arcs: vec![part(half(place - 10, place), 4, &[1, 2, 3])] });
    assert_eq!(cut(&world, half(place - 10, place), 4, 1), None, "they all lie at its end");
}
