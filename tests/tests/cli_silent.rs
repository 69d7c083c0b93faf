//! The command beside storages that hang, are gone, have lost their disk, or came back from somewhere else: how long it takes,
//! whom it names, what it says still holds, and with which code it ends.

use sdht_tests::{
    command::{Home, Told},
    process,
    rings::{Storage, address, ring_of, start_again, wiped},
};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    time::{Duration, Instant},
};

/// Somebody at a ring of so many storages, which keeps twenty keys.
fn filled_ring_of(count: usize) -> (Home, Vec<Storage>) {
    let (home, storages) = ring_of(count);
    let ring = sdht::blocking::Ring::connect([address(&storages[0])]).unwrap();
    assert!(ring.set_many((0..20).map(|n| (format!("key {n}"), n))).iter().all(Result::is_ok));
    (home, storages)
}

/// How long a line takes.
fn timed(home: &Home, line: &[&str]) -> (Told, Duration) {
    let begun = Instant::now();
    (home.sdht(line), begun.elapsed())
}

#[test]
fn a_storage_that_hangs_costs_one_wait_and_is_named() {
    let (home, storages) = filled_ring_of(4);
    let hangs = address(&storages[2]);
    storages[2].1.pause();
    for (line, code) in [
        (&["keys"][..], 0),
        (&["get", "key 1"], 0),
        (&["set", "key 1", "v"], 0),
        (&["walk"], 0),
        (&["status"], 8),
        (&["whereis", "key 1"], 0),
    ] {
        let (told, took) = timed(&home, &[line, &["--timeout", "1s"]].concat());
        assert!(told.code == code && took < Duration::from_secs(4), "{line:?} {took:?}: {told}");
    }
    // What takes many questions waits for it once, and says so.
    let (told, took) = timed(&home, &["repair", "--timeout", "2s"]);
    assert!(told.code == 8 && took < Duration::from_secs(15), "{took:?}: {told}");
    assert!(told.err.contains(&format!("{hangs} does not answer; it is waited for")), "{told}");
    assert_eq!(told.err.matches("waited for").count(), 1, "{told}");
    let (told, _) = timed(&home, &["repair", "--timeout", "2s", "-q"]);
    assert_eq!(told.err, "");
    let (told, took) = timed(&home, &["remove", &hangs, "--dead", "--timeout", "2s"]);
    assert!(told.code == 0 && took < Duration::from_secs(15), "{took:?}: {told}");
    assert!(home.prints(&["status"]).ends_with("All is well, and any one storage may be stopped."));
    storages[2].1.resume();
}

#[test]
fn what_would_move_is_told_within_the_time_or_whom_it_waited_for() {
    let (home, storages) = filled_ring_of(4);
    let new = process::fresh();
    let (first, joins) = (address(&storages[0]), address(&new));
    let lines = [&["copies", "4"][..], &["balance"], &["remove", &first], &["join", &joins]];
    let within = Duration::from_secs(3);
    let plans = |code: i32| {
        lines.map(|line| {
            let (told, took) = timed(&home, &[line, &["--plan", "--timeout", "3s"]].concat());
            // A command takes a moment to start; and who joins looks for the ring first, in a wait of its own.
            let waits = if line[0] == "join" { 2 } else { 1 };
            let is_in_time = took < waits * within + Duration::from_millis(1_500);
            assert!(told.code == code && is_in_time, "{line:?} {took:?}: {told}");
            told
        })
    };
    storages[2].1.pause();
    for told in plans(0) {
        assert!(!told.err.contains("sdht: "), "whoever hangs is not needed: {told}");
    }
    // Where all who keep an arc hang, nobody can tell what it holds.
    storages[1].1.pause();
    storages[3].1.pause();
    for told in plans(5) {
        // Who is to be removed is looked for first.
        let why = ["nothing was changed", "none keeps the arc"];
        assert!(why.iter().any(|why| told.err.contains(why)), "{told}");
        for silent in &storages[1..] {
            assert!(told.err.contains(&address(silent)), "{silent:?} is named: {told}");
        }
    }
    storages[1..].iter().for_each(|storage| storage.1.resume());
}

#[test]
fn without_a_majority_nothing_is_changed_and_it_ends_in_time() {
    let (home, storages) = filled_ring_of(4);
    let new = process::fresh();
    let epochs = |home: &Home| {
        let seen = home.sdht(&["status", "--json", "--timeout", "1s"]).json().remove(0);
        let arcs = seen["arcs"].as_array().unwrap().clone();
        arcs.iter().map(|arc| arc["epoch"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let before = epochs(&home);
    storages[1].1.pause();
    storages[2].1.pause();
    let (first, joins) = (address(&storages[0]), address(&new));
    for line in [
        &["repair"][..],
        &["copies", "2"],
        &["balance"],
        &["purge"],
        &["join", &joins],
        &["remove", &first],
        &["remove", &address(&storages[1]), "--dead"],
    ] {
        let (told, took) = timed(&home, &[line, &["--timeout", "1s"]].concat());
        assert!(told.code == 5 && took < Duration::from_secs(10), "{line:?} {took:?}: {told}");
        for silent in &storages[1..3] {
            assert!(told.err.contains(&address(silent)), "{line:?} names {silent:?}: {told}");
        }
    }
    for line in [&["set", "key 1", "v"][..], &["get", "key 1"], &["del", "key 1"], &["keys"]] {
        let (told, took) = timed(&home, &[line, &["--timeout", "1s"]].concat());
        // Some keys have their majority; what was sent may still be done.
        assert!([0, 5, 6].contains(&told.code), "{line:?}: {told}");
        assert!(took < Duration::from_secs(5), "{line:?} {took:?}: {told}");
    }
    storages[1].1.resume();
    storages[2].1.resume();
    assert_eq!(epochs(&home), before, "nothing of the ring was changed");
    home.ends(0, &["join", &joins]);
}

#[test]
fn nobody_is_let_go_if_too_few_would_be_left_to_answer() {
    let (home, storages) = filled_ring_of(3);
    home.ends(0, &["set", "k", "v"]);
    storages[2].1.pause();
    let (told, took) = timed(&home, &["remove", &address(&storages[0]), "--timeout", "1s"]);
    assert!(told.code == 1 && took < Duration::from_secs(15), "{took:?}: {told}");
    let why = format!("would not be served, as long as {} is silent", address(&storages[2]));
    assert!(told.err.contains(&why), "{told}");
    home.ends(0, &["get", "k", "--timeout", "1s"]);
    storages[2].1.resume();
    home.ends(0, &["remove", &address(&storages[0])]);
    home.ends(0, &["get", "k"]);
}

/// The door and the library refuse what the command does.
#[test]
fn nobody_takes_copies_away_beside_one_who_is_silent() {
    let (home, mut storages) = filled_ring_of(4);
    storages[1].1.kill9();
    let told = home.ends(4, &["copies", "1", "--timeout", "1s"]);
    assert!(told.err.contains("nothing was changed") && told.err.contains("--dead"), "{told}");
    let ring = sdht::blocking::Ring::connect([address(&storages[0])]).unwrap();
    let copies = |ring: &sdht::blocking::Ring| ring.arcs().iter().map(|arc| arc.copies).max();
    let refused = ring.set_copies(1).finish();
    assert!(matches!(refused, Err(sdht::NotMoved::Beside(_))), "{refused:?}");
    assert_eq!(copies(&ring), Some(3));
}

#[test]
fn who_was_interrupted_says_the_same_again() {
    let (home, mut storages) = filled_ring_of(5);
    let places: Vec<String> = storages.iter().map(address).collect();
    // As if it had been stopped when the first was out.
    home.ends(0, &["remove", &places[4]]);
    let told = home.ends(0, &["remove", &places[4], &places[3]]);
    assert!(told.text().contains(&format!("{} has left", places[3])), "{told}");
    assert!(!told.text().contains(&places[4]) && told.err.contains("passed over"), "{told}");
    home.ends(3, &["remove", &places[4], &places[3]]);

    storages[2].1.kill9();
    let told = home.ends(0, &["remove", &places[3], &places[2], "--dead"]);
    assert!(told.text().contains(&format!("{} has left", places[2])), "{told}");
    home.ends(3, &["remove", &places[3], &places[2], "--dead"]);
    home.ends(0, &["get", "key 1"]);
}

#[test]
fn an_exit_code_is_told_also_where_nobody_listens() {
    let (home, _storages) = ring_of(1);
    for (code, line) in [(3, &["get", "nothing"][..]), (2, &["copies", "9", "--json"])] {
        let mut command = home.command(line);
        command.stderr(fs::File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(Told::of(command.output().unwrap()).code, code, "{line:?}");
    }
}

#[test]
fn each_end_has_the_code_that_the_help_promises() {
    let (home, mut storages) = filled_ring_of(3);
    let (alone, foreign) = (process::fresh(), filled_ring_of(1));
    let (first, in_no_ring) = (address(&storages[0]), address(&alone));
    home.ends(0, &["set", "k", "v"]);
    for (code, line) in [
        (2, &["get"][..]),
        (2, &["get", "k", "--range", "9-3"]),
        (2, &["copies", "9"]),
        (2, &["set", "k", "v", "--content-type", "text/x\r\nSet-Cookie: a=b"]),
        (2, &["repair", "--max-rate", "fast"]),
        (3, &["get", "nothing"]),
        (3, &["remove", "127.0.0.1:1"]),
        (4, &["set", "k", "w", "--if-absent"]),
        (4, &["get", "k", "--range", "5-"]),
        (4, &["remove", &first, "--dead"]),
        (1, &["join", &address(&foreign.1[0]), "--ring", &first]),
        (1, &["get", "k", "--ring", &in_no_ring]),
        (5, &["get", "k", "--ring", "127.0.0.1:1"]),
        (0, &["repair"]),
    ] {
        home.ends(code, line);
    }
    storages[1].1.kill9();
    home.ends(8, &["status"]);
    home.ends(8, &["repair"]);
    storages[2].1.kill9();
    for line in [&["repair"][..], &["copies", "2"], &["join", &in_no_ring], &["get", "k"]] {
        home.ends(5, &[line, &["--timeout", "500ms"]].concat());
    }
    home.ends(8, &["status"]);
}

#[test]
fn a_disk_that_was_wiped_is_said_to_be_so() {
    let (home, mut storages) = filled_ring_of(4);
    wiped(&mut storages[3]);
    let place = address(&storages[3]);
    let words = format!("nother storage lives at {place} now: its disk was wiped or replaced");
    let told = home.ends(8, &["status"]);
    assert!(told.text().contains(&words) && told.text().contains("replaced"), "{told}");
    for line in [&["remove", &place][..], &["join", &place]] {
        let told = home.ends(4, line);
        assert!(told.err.contains(&words) && told.err.contains("--dead"), "{line:?}: {told}");
    }
    home.ends(0, &["remove", &place, "--dead"]);
    home.ends(0, &["join", &place]);
    assert!(home.prints(&["status"]).ends_with("All is well, and any one storage may be stopped."));
    assert_eq!(home.prints(&["keys"]).lines().count(), 20);
}

#[test]
fn a_storage_of_another_ring_in_the_place_of_one_is_said_to_have_taken_it() {
    let (home, mut storages) = filled_ring_of(4);
    wiped(&mut storages[3]);
    let (first, place) = (address(&storages[0]), address(&storages[3]));
    Home::default().ends(0, &["join", &place]);
    let words = format!("nother storage lives at {place} now");
    let says = |code: i32, line: &[&str]| {
        let told = home.ends(code, &[line, &["--ring", &first]].concat());
        assert!(format!("{}{}", told.text(), told.err).contains(&words), "{line:?}: {told}");
    };
    says(8, &["status"]);
    says(4, &["remove", &place]);
    says(4, &["join", &place]);
    // It is the storage that this ring had there that goes; the other is let alone.
    home.ends(0, &["remove", &place, "--dead", "--ring", &first]);
    let told = home.ends(1, &["join", &place, "--ring", &first]);
    assert!(told.err.contains("refuses"), "{told}");
    assert!(home.prints(&["status", "--ring", &first]).contains("All is well"));
    assert_eq!(home.prints(&["keys", "--ring", &first]).lines().count(), 20);
}

#[test]
fn status_counts_the_copies_that_answer_and_sees_those_that_lag() {
    let (home, mut storages) = filled_ring_of(4);
    storages[2].1.kill9();
    let told = home.sdht(&["status", "--json"]).json().remove(0);
    let copies: Vec<u64> = told["storages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["copies"].as_u64().unwrap())
        .collect();
    assert_eq!(copies.iter().filter(|copies| **copies == 2).count(), 3, "{told}");
    for n in 0..20 {
        home.ends(0, &["set", &format!("key {n}"), "newer"]);
    }
    start_again(&mut storages[2]);
    let told = home.ends(8, &["status"]);
    assert!(told.text().contains("are not alike") && told.text().contains("sdht repair"), "{told}");
    home.ends(0, &["repair"]);
    let told = home.ends(0, &["status"]);
    assert!(told.text().ends_with("All is well, and any one storage may be stopped."), "{told}");
    // As many copies as there are storages, and the rest when there are more.
    let told = home.prints(&["copies", "5"]);
    assert!(told.contains("kept on 4 of 5 until one more storage joins"), "{told}");
    assert!(home.ends(8, &["status"]).text().contains("Only 4 of 5 copies"));
    home.ends(0, &["join", &address(&process::fresh())]);
}

#[test]
fn a_change_that_is_stopped_by_silence_says_how_to_go_on() {
    let (home, storages) = filled_ring_of(3);
    let ring = sdht::blocking::Ring::connect([address(&storages[0])]).unwrap();
    for n in 0..40 {
        ring.put_bytes(&format!("much {n}"), "", vec![7; 20_000]).unwrap();
    }
    let new = process::fresh();
    let place = address(&new);
    let child = home.begin(&["join", &place, "--timeout", "1s", "--max-rate", "100k"]);
    // At that pace it is in the middle after a while.
    std::thread::sleep(Duration::from_secs(2));
    new.1.pause();
    let told = Told::of(child.wait_with_output().unwrap());
    assert_eq!(told.code, 1, "{told}");
    assert!(told.err.contains(&format!("sdht join {place} --timeout 1s")), "{told}");
    let told = home.ends(8, &["status", "--timeout", "1s"]);
    assert!(told.text().contains(&place), "{told}");
    new.1.resume();
    home.ends(0, &["join", &place]);
    home.ends(0, &["status"]);
    drop(storages);
}

#[test]
fn a_program_that_is_no_storage_is_told_from_nobody() {
    let (home, storages) = filled_ring_of(1);
    let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = door.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for call in door.incoming().flatten() {
            use std::io::{Read, Write};
            let mut call = call;
            let _ = call.read(&mut [0; 4096]);
            let _ = call.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let told = home.ends(5, &["get", "k", "--ring", &place]);
    assert!(told.err.contains("is no storage") && told.err.contains("sdht serve"), "{told}");
    drop(storages);
}

/// The first line of what a command without a majority says, which comes within a second, and the rest.
fn said_in_time(home: &Home, line: &[&str]) -> (String, String) {
    let mut child = home.begin(line);
    let begun = Instant::now();
    let (mut first, mut rest) = (String::new(), String::new());
    let mut err = BufReader::new(child.stderr.take().unwrap());
    err.read_line(&mut first).unwrap();
    // A second, and what a busy machine takes to start it.
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{line:?}: {:?}", begun.elapsed());
    err.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{line:?}: {first}{rest}");
    (first, rest)
}

#[test]
fn a_ring_that_was_never_reached_is_not_waited_for_in_silence() {
    let home = Home::default();
    // They accept, and never answer.
    let mute = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let places = mute.each_ref().map(|mute| mute.local_addr().unwrap().to_string());
    let ring = places.join(",");
    for line in [&["get", "k"][..], &["keys"], &["join", &places[0]], &["serve", "-p", "0"]] {
        let line = [line, &["--ring", &ring, "--timeout", "3s"]].concat();
        let (first, rest) = said_in_time(&home, &line);
        for place in &places {
            let words = format!("{place} does not answer; it is waited for");
            assert_eq!(format!("{first}{rest}").matches(&words).count(), 1, "{line:?}: {rest}");
        }
        let quiet = home.ends(5, &[&line[..], &["--quiet"]].concat());
        assert!(quiet.err.starts_with("sdht: "), "{quiet}");
    }
}

#[test]
fn what_is_tried_in_vain_says_so_within_a_second_and_ends_when_the_time_is_up() {
    let (home, mut storages) = filled_ring_of(3);
    home.ends(0, &["get", "key 1"]);
    storages.iter_mut().for_each(|storage| storage.1.kill9());
    for line in [&["get", "key 1"][..], &["set", "key 1", "v"], &["keys"], &["repair"]] {
        let begun = Instant::now();
        let (first, rest) = said_in_time(&home, &[line, &["--timeout", "4s"]].concat());
        assert!(first.contains("no majority answers") || first.contains("refused"), "{first}");
        assert!(first.contains("tried again") && first.contains("--timeout"), "{first}");
        assert!(begun.elapsed() >= Duration::from_secs(4), "{line:?}: {rest}");
        assert!(rest.starts_with("sdht: "), "it is said once: {rest}");
        let quiet = home.ends(5, &[line, &["--timeout", "1s", "--quiet"]].concat());
        assert!(quiet.err.starts_with("sdht: "), "{quiet}");
    }
}
