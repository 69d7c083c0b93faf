//! The pure parts: cutting, ranges, names.

use super::*;
use minor_protocol::Moment;

fn upload(clock: u64) -> Ballot {
    Ballot { epoch: 0, clock: Moment(clock), router: u64::MAX, seq: u32::MAX }
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn manifest(bytes: u64, piece_bytes: u64) -> Manifest {
    Manifest { content_type: "a/b".into(), bytes, piece_bytes, crc: 7, upload: upload(1) }
}

#[test]
fn what_comes_in_bits_of_any_length_is_cut_into_pieces_of_one_length() {
    let all: Vec<u8> = (0..=255).cycle().take(2 * PIECE_BYTES + 100).collect();
    for bit in [1_000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, all.len()] {
        let (mut cutter, mut pieces) = (Cutter::default(), vec![]);
        for mut bytes in all.chunks(bit) {
            while !bytes.is_empty() {
                pieces.extend(cutter.take(&mut bytes));
            }
        }
        pieces.extend(cutter.rest());
        let lengths: Vec<usize> = pieces.iter().map(Vec::len).collect();
        assert_eq!(lengths, [PIECE_BYTES, PIECE_BYTES, 100], "in bits of {bit}");
        assert_eq!(pieces.concat(), all);
    }
}

#[test]
fn nothing_is_left_behind_the_last_full_piece() {
    let mut cutter = Cutter::default();
    assert!(cutter.take(&mut &[7; PIECE_BYTES][..]).is_some());
    assert_eq!(cutter.rest(), None);
}

/// The parts of every range of small objects, against picking byte by byte.
#[test]
fn a_range_is_made_of_exactly_its_bytes_and_reads_no_piece_in_vain() {
    for (bytes, size) in [(1, 4), (4, 4), (5, 4), (11, 4), (12, 4), (6, 1)] {
        let all: Vec<u64> = (0..bytes).collect();
        let pieces: Vec<&[u64]> = all.chunks(size as usize).collect();
        for (start, end) in (0..=bytes).flat_map(|s| (s..=bytes).map(move |e| (s, e))) {
            let mut read = vec![];
            for part in manifest(bytes, size).parts(start..end) {
                let piece = pieces[part.number as usize];
                assert_eq!(piece.len(), part.whole);
                assert!(!part.wanted.is_empty(), "{part:?} of {start}..{end}");
                read.extend_from_slice(&piece[part.wanted]);
            }
            assert_eq!(read, all[start as usize..end as usize], "{start}..{end} of {bytes}");
        }
    }
}

#[test]
fn a_range_that_reaches_beyond_the_end_is_cut_there() {
    let clamp = |range: &dyn Fn() -> (Bound<u64>, Bound<u64>)| clamp(range(), 10);
    use Bound::{Excluded, Included, Unbounded};
    assert_eq!(clamp(&|| (Unbounded, Unbounded)), 0..10);
    assert_eq!(clamp(&|| (Included(3), Excluded(5))), 3..5);
    assert_eq!(clamp(&|| (Included(3), Included(5))), 3..6);
    assert_eq!(clamp(&|| (Excluded(3), Included(u64::MAX))), 4..10);
    assert!(clamp(&|| (Included(20), Excluded(30))).is_empty());
    assert!(clamp(&|| (Included(7), Excluded(3))).is_empty());
}

#[test]
fn a_piece_s_name_tells_its_object_and_fits_into_a_key() {
    let longest = "k".repeat(NAME_BYTES);
    for name in ["a", "a/b.c", "{tag}x", "}", "{", longest.as_str()] {
        let full = Ballot { epoch: u64::MAX, ..upload(u64::MAX) };
        for (upload, number) in [(upload(1), 0), (upload(9), 10), (upload(1), 31), (full, u32::MAX)]
        {
            let piece = piece(&key(name), upload, number);
            assert!(piece.is_reserved());
            assert_eq!(object_of(&piece), Some((key(name), upload)), "{piece:?}");
        }
    }
    for other in [
        "a",
        "\0",
        "\0{}a",
        "\0{1-2-3-4.5}",
        "\0{1-2-3-4.05}1a",
        "\0{1-2-3-4}1a",
        "\0{1-2-3-4.5}Aa",
    ] {
        assert_eq!(object_of(&key(other)), None, "{other:?}");
    }
}

#[test]
fn sixteen_pieces_live_together_and_all_over_the_ring_whatever_the_key() {
    for name in ["a", "{tag}x"] {
        let mut eighths = [0; 8];
        for group in 0..800 {
            let number = group * TOGETHER;
            let place = piece(&key(name), upload(1), number).position();
            let neighbours: Vec<Key> =
                (0..TOGETHER).map(|n| piece(&key(name), upload(1), number + n)).collect();
            assert!(neighbours.iter().all(|piece| piece.position() == place));
            assert!(neighbours.is_sorted(), "they lie in their order on the disk");
            eighths[(place.0 >> 61) as usize] += 1;
        }
        assert!(eighths.iter().all(|pieces| (60..140).contains(pieces)), "{eighths:?}");
    }
}

#[test]
fn a_manifest_is_read_back_and_impossible_ones_are_refused() {
    let state = |wish: Wish| {
        let Wish::Set { content_type, expires_ms, value } = wish else { panic!("{wish:?}") };
        let content = Some(Content { content_type, expires_ms });
        let header = minor_protocol::Header { content, ..Default::default() };
        State { header, value }
    };
    let good = manifest(1 << 40, PIECE_BYTES as u64);
    assert_eq!(Manifest::of(&state(good.wish(None))), Some(Ok(good.clone())));
    for bad in [manifest(9, 0), manifest(9, 1 + PIECE_BYTES as u64), manifest(1 << 40, 1)] {
        assert!(matches!(Manifest::of(&state(bad.wish(None))), Some(Err(_))), "{bad:?}");
    }
    let plain = Wish::Set { content_type: "a/b".into(), expires_ms: None, value: vec![1] };
    assert_eq!(Manifest::of(&state(plain)), None);
}
