//! A data directory that is not as it was left is never served as if it were whole.
//!
//! A storage is filled and stopped, then its directory is copied and harmed: one bit turned, a file cut short or gone, as a
//! disk that rots or a restore that was broken off would leave it. A storage on the copy may show every value as it was, may
//! refuse to start, may say that it is damaged and then show less. It may not show a wrong value, whatever it says, and it
//! may not miss one without a word.

use sdht_tests::{
    chance::Chance,
    http::{Call, Connection, target},
    number,
    process::{Launch, Process, fresh},
    wait_until,
};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

const AT_ONCE: usize = 32;
/// Zeros that lie there to be deleted one day: harm to it harms nothing.
const BALLAST: &str = "ballast";

/// What a storage made of a harmed directory.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Everything is as it was left.
    Whole,
    /// Something is amiss, and it says so.
    Said,
    /// Something is amiss, and it does not.
    Lied(String),
}

/// Every key that was ever used, and what it must show.
type Expected = BTreeMap<String, Option<Vec<u8>>>;

#[test]
fn one_turned_bit_is_never_served() {
    let (dir, mut storage) = fresh();
    let expected = fill(&storage);
    assert_eq!(storage.terminate().status.code(), Some(0));
    let original = dir.path().join("data");
    assert_eq!(verdict_on(&original, &expected, |_| {}), Verdict::Whole, "unharmed");

    let mut seed = Chance::new(number("SEED", 1));
    let flips = number("FLIPS", 20);
    let (mut whole, mut said) = (0, 0);
    for flip in 1..=flips {
        let (file, at, bit) = draw_bit(&original, &mut seed);
        let turn = |copy: &Path| turn_bit(&copy.join(&file), at, bit);
        let what = format!("flip {flip}: bit {bit} of byte {at} of {}", file.display());
        match verdict_on(&original, &expected, turn) {
            Verdict::Whole => whole += 1,
            Verdict::Said => said += 1,
            Verdict::Lied(how) => panic!("{what}: {how}"),
        }
    }
    println!("bit flips: {flips}, {whole} did no harm, {said} were said, 0 were served");
}

#[test]
fn a_half_restored_copy_of_a_stopped_storage_is_never_served() {
    let (dir, mut storage) = fresh();
    let expected = fill(&storage);
    assert_eq!(storage.terminate().status.code(), Some(0));
    cut_every_file("stopped", &dir.path().join("data"), &expected);
}

#[test]
fn a_half_restored_copy_of_a_killed_storage_is_never_served() {
    let (dir, mut storage) = fresh();
    let expected = fill(&storage);
    storage.kill9();
    cut_every_file("killed", &dir.path().join("data"), &expected);
}

fn cut_every_file(how_ended: &str, original: &Path, expected: &Expected) {
    assert_eq!(verdict_on(original, expected, |_| {}), Verdict::Whole, "unharmed");
    let (mut whole, mut said, mut lies) = (0, 0, vec![]);
    for file in files(original) {
        let length = fs::metadata(original.join(&file)).unwrap().len();
        let mut cuts = vec![0, length / 4, length / 2, length * 3 / 4, length.saturating_sub(1)];
        cuts.dedup();
        for cut in cuts.into_iter().map(Some).chain([None]) {
            let harm = |copy: &Path| match cut {
                Some(length) => truncate(&copy.join(&file), length),
                None => fs::remove_file(copy.join(&file)).unwrap(),
            };
            match verdict_on(original, expected, harm) {
                Verdict::Whole => whole += 1,
                Verdict::Said => said += 1,
                Verdict::Lied(how) => {
                    lies.push(format!("{} of {length} bytes, left {cut:?}: {how}", file.display()));
                }
            }
        }
    }
    assert!(lies.is_empty(), "{how_ended}, then cut: {lies:#?}");
    println!("cuts of a {how_ended} storage: {whole} did no harm, {said} were said, 0 were served");
}

/// Puts, replaces and deletes, and says what every key must show now.
fn fill(storage: &Process) -> Expected {
    let mut seed = Chance::new(42);
    let mut connection = storage.connect();
    let mut expected = Expected::new();
    let mut calls = vec![];
    for _ in 0..3_000 {
        let key = format!("key/{}", seed.index(1_500));
        let value = (!seed.once_in(6)).then(|| {
            let length = seed.index(1_000);
            seed.bytes(length)
        });
        calls.push(match &value {
            Some(value) => Call::put(&target(&key), value.clone()),
            None => Call::delete(&target(&key)),
        });
        expected.insert(key, value);
    }
    for calls in calls.chunks(AT_ONCE) {
        for reply in connection.call_all(calls).unwrap() {
            assert!(matches!(reply.status, 201 | 204 | 404), "{reply:?}");
        }
    }
    expected
}

/// What a storage makes of a copy of `original`, harmed.
fn verdict_on(original: &Path, expected: &Expected, harm: impl Fn(&Path)) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("data");
    copy_tree(original, &copy);
    harm(&copy);
    let mut storage = match Launch::on(&copy).start() {
        Ok(storage) => storage,
        Err(ended) if ended.status.success() => return Verdict::Lied("it ended with 0".into()),
        Err(ended) if speaks_of_damage(&ended.said) => return Verdict::Said,
        Err(ended) => return Verdict::Lied(format!("it ended with {:?}", ended.said)),
    };
    let said_at_start = speaks_of_damage(&storage.said());
    match compare(&storage, expected) {
        Ok(Compared { wrong: Some(wrong), .. }) => Verdict::Lied(wrong),
        Ok(Compared { missing: None, refused: 0, .. }) if said_at_start => Verdict::Said,
        Ok(Compared { missing: None, refused: 0, .. }) => Verdict::Whole,
        Ok(_) if said_at_start || speaks_of_damage(&storage.said()) => Verdict::Said,
        Ok(Compared { missing: None, .. }) => Verdict::Said,
        Ok(Compared { missing, .. }) => Verdict::Lied(missing.unwrap_or_default()),
        // It ended under the reader: that is a way to say it, if it says it.
        Err(error) => {
            wait_until("the storage has ended", Duration::from_secs(10), || storage.has_ended());
            let ended = storage.end();
            if !ended.status.success() && speaks_of_damage(&ended.said) {
                Verdict::Said
            } else {
                Verdict::Lied(format!("{error}, then {} with {:?}", ended.status, ended.said))
            }
        }
    }
}

fn speaks_of_damage(said: &str) -> bool {
    let said = said.to_lowercase();
    ["damage", "set aside", "format", "cannot be trusted", "restored"]
        .iter()
        .any(|w| said.contains(w))
}

/// How what a storage shows differs from what it must show.
#[derive(Debug, Default)]
struct Compared {
    wrong: Option<String>,
    missing: Option<String>,
    /// Keys for which it said that it cannot answer.
    refused: usize,
}

fn compare(storage: &Process, expected: &Expected) -> io::Result<Compared> {
    let mut connection: Connection = storage.try_connect()?;
    let mut compared = Compared::default();
    let keys: Vec<_> = expected.keys().collect();
    for keys in keys.chunks(AT_ONCE) {
        let calls: Vec<_> = keys.iter().map(|key| Call::get(&target(key))).collect();
        for (key, reply) in keys.iter().zip(connection.call_all(&calls)?) {
            match (reply.status, &expected[*key]) {
                (200, Some(value)) if reply.body == *value => {}
                (404, None) => {}
                (404, Some(_)) => compared.missing = Some(format!("{key} is missing")),
                (500 | 503, _) if speaks_of_damage(&reply.text()) => compared.refused += 1,
                _ => compared.wrong = Some(format!("{key}: {reply:?}")),
            }
        }
    }
    Ok(compared)
}

/// All files of a tree but the ballast, by their paths within it.
fn files(tree: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for inside in fs::read_dir(tree.join(&dir)).unwrap() {
            let inside = inside.unwrap();
            let path = dir.join(inside.file_name());
            match inside.file_type().unwrap().is_dir() {
                true => dirs.push(path),
                false if path.ends_with(BALLAST) => {}
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in files(from) {
        fs::create_dir_all(to.join(&file).parent().unwrap()).unwrap();
        fs::copy(from.join(&file), to.join(&file)).unwrap();
    }
}

/// A bit to turn: mostly of the log, else of any other file, and rarely within the zeros that no one has written to yet.
fn draw_bit(tree: &Path, seed: &mut Chance) -> (PathBuf, u64, usize) {
    let (logs, others): (Vec<_>, Vec<_>) = files(tree)
        .into_iter()
        .filter(|file| fs::metadata(tree.join(file)).unwrap().len() > 0)
        .partition(|file| file.ends_with("db"));
    let choices = if seed.index(4) > 0 { &logs } else { &others };
    let file = choices[seed.index(choices.len())].clone();
    let bytes = fs::read(tree.join(&file)).unwrap();
    let mut at = seed.index(bytes.len());
    for _ in 0..1_000 {
        let around = &bytes[at.saturating_sub(32)..(at + 32).min(bytes.len())];
        if around.iter().any(|byte| *byte != 0) {
            break;
        }
        at = seed.index(bytes.len());
    }
    (file, at as u64, seed.index(8))
}

fn turn_bit(file: &Path, at: u64, bit: usize) {
    let file = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
}

fn truncate(file: &Path, length: u64) {
    OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
}
