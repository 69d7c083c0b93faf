//! `-o FILE`: what is there stays until all has come, nothing half done is left behind, and what is no plain file is written to
//! as it stands.

use rustix::{fs::Mode, process::Signal};
use sdht_tests::{
    command::{Home, Told, interrupt, stop},
    process::LIMIT,
    rings::{Storage, ring_of},
};
use std::{
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::PathBuf,
    process::Child,
    thread,
    time::{Duration, Instant},
};

/// Long enough to be seen half-way.
const LONG: usize = 48 << 20;

/// Somebody at a ring that holds a long value, and a file of an older one.
fn with_a_long_value() -> (Home, Vec<Storage>) {
    let (home, storages) = ring_of(1);
    fs::write(home.path().join("from"), vec![7; LONG]).unwrap();
    home.ends(0, &["set", "long", "-f", "from"]);
    fs::remove_file(home.path().join("from")).unwrap();
    fs::write(home.path().join("file"), "old").unwrap();
    (home, storages)
}

/// What is in the person's home beside what the command remembers.
fn files(home: &Home) -> Vec<String> {
    let there = fs::read_dir(home.path()).unwrap().map(|there| there.unwrap().file_name());
    let mut names: Vec<_> = there.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name != "state");
    names.sort();
    names
}

/// Gets the long value into the file, and holds its storage once a part has come.
fn half_got(home: &Home, storages: &[Storage]) -> Child {
    let mut child = home.begin(&["get", "long", "-o", "file", "--timeout", "1s"]);
    let begun = Instant::now();
    let is_there = |name: &String| {
        let about = fs::metadata(home.path().join(name));
        name.contains("unfinished") && about.is_ok_and(|about| about.len() > 0)
    };
    while !files(home).iter().any(is_there) {
        assert!(child.try_wait().unwrap().is_none(), "it was too quick to be held");
        assert!(begun.elapsed() < LIMIT, "no part of it has come");
        thread::yield_now();
    }
    storages[0].1.pause();
    child
}

/// A pipe with a name.
fn pipe_in(home: &Home) -> PathBuf {
    let pipe = home.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    pipe
}

#[test]
fn a_get_that_breaks_off_leaves_the_old_file_and_nothing_else() {
    let (home, storages) = with_a_long_value();
    let told = Told::of(half_got(&home, &storages).wait_with_output().unwrap());
    assert_eq!(told.code, 5, "{told}");
    assert_eq!(fs::read_to_string(home.path().join("file")).unwrap(), "old");
    assert_eq!(files(&home), ["file"]);
    storages[0].1.resume();

    // As Ctrl-C does, and `timeout`.
    for signal in [Signal::INT, Signal::TERM] {
        let told = stop(half_got(&home, &storages), signal);
        assert_eq!(told.code, 130, "{told}");
        assert_eq!(fs::read_to_string(home.path().join("file")).unwrap(), "old");
        assert_eq!(files(&home), ["file"]);
        storages[0].1.resume();
    }

    home.ends(0, &["get", "long", "-o", "file"]);
    assert!(fs::read(home.path().join("file")).unwrap() == vec![7; LONG]);
    assert_eq!(files(&home), ["file"]);
}

#[test]
fn who_could_not_read_the_old_file_cannot_read_the_new_one() {
    let (home, _storages) = ring_of(1);
    home.ends(0, &["set", "tree/file", "new"]);
    let dir = home.path().join("dir");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("file");
    for line in [
        &["get", "tree/file", "-o", "dir/file"][..],
        &["export", "-o", "dir/file"],
        &["pull", "dir", "--prefix", "tree/"],
    ] {
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let before = fs::metadata(&file).unwrap();
        home.ends(0, line);
        let after = fs::metadata(&file).unwrap();
        assert_ne!(before.ino(), after.ino(), "{line:?}: it is another file");
        assert_eq!((after.mode() & 0o777, after.uid()), (0o600, before.uid()), "{line:?}");
    }
}

#[test]
fn what_is_no_plain_file_is_written_to_as_it_stands() {
    let (home, _storages) = ring_of(1);
    home.ends(0, &["set", "k", "value"]);
    let archive = home.ends(0, &["export"]).out;
    let (get, export): (&[&str], &[&str]) = (&["get", "k", "-o"], &["export", "-o"]);
    for (line, wanted) in [(get, &b"value"[..]), (export, &archive)] {
        let to = |name: &str| home.ends(0, &[line, &[name]].concat());
        to("/dev/null");
        assert!(to("/dev/stdout").out == wanted, "{line:?}");

        // A pipe with a name is read by somebody else.
        let pipe = pipe_in(&home);
        let read = {
            let pipe = pipe.clone();
            thread::spawn(move || fs::read(pipe).unwrap())
        };
        to("pipe");
        assert!(read.join().unwrap() == wanted, "{line:?}");
        fs::remove_file(pipe).unwrap();

        // What was printed to a file before stays in it.
        let out = home.path().join("out");
        fs::write(&out, "before;").unwrap();
        let mut command = home.command(&[line, &["/dev/stdout"]].concat());
        command.stdout(fs::File::options().append(true).open(&out).unwrap());
        assert!(command.status().unwrap().success());
        assert!(fs::read(&out).unwrap() == [b"before;", wanted].concat(), "{line:?}");
    }
}

#[test]
fn behind_a_link_it_is_the_file_that_is_replaced() {
    let (home, _storages) = ring_of(1);
    home.ends(0, &["set", "k", "value"]);
    fs::create_dir(home.path().join("dir")).unwrap();
    symlink("dir/file", home.path().join("link")).unwrap();
    for text in ["value", "another"] {
        home.ends(0, &["set", "k", text]);
        home.ends(0, &["get", "k", "-o", "link"]);
        assert!(fs::symlink_metadata(home.path().join("link")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(home.path().join("dir/file")).unwrap(), text);
    }
    assert_eq!(files(&home), ["dir", "link"]);
    // What is a directory, or lies in none, is said to be so.
    assert!(home.ends(1, &["get", "k", "-o", "dir"]).err.contains("directory"));
    assert!(home.ends(1, &["get", "k", "-o", "nowhere/file"]).err.contains("nowhere/file"));
}

#[test]
fn a_pipe_that_nobody_reads_is_given_up_by_ctrl_c() {
    let (home, _storages) = ring_of(1);
    home.ends(0, &["set", "k", "value"]);
    pipe_in(&home);
    for line in [["get", "k", "-o", "pipe"].as_slice(), &["export", "-o", "pipe"]] {
        let child = home.begin(line);
        thread::sleep(Duration::from_secs(1));
        let told = interrupt(child);
        assert_eq!(told.code, 130, "{line:?}: {told}");
    }
    assert_eq!(files(&home), ["pipe"]);
}

#[test]
fn whoever_stops_reading_is_no_failure_whatever_the_pipe_is_called() {
    let (home, _storages) = with_a_long_value();
    for line in [
        &["get", "long"][..],
        &["get", "long", "-o", "-"],
        &["get", "long", "-o", "/dev/stdout"],
        &["export"],
        &["export", "-o", "-"],
        &["export", "-o", "/dev/stdout"],
    ] {
        let mut child = home.begin(line);
        // As `head -c1` does.
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let told = Told::of(child.wait_with_output().unwrap());
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{line:?}");
    }
}

#[test]
fn a_file_called_minus_is_standard_input() {
    let (home, _storages) = ring_of(1);
    assert_eq!(home.sdht_fed(&["set", "k", "-f", "-"], b"typed").code, 0);
    assert_eq!(home.prints(&["get", "k"]), "typed");
    let archive = home.ends(0, &["export"]).out;
    home.ends(0, &["del", "k"]);
    assert_eq!(home.sdht_fed(&["import", "-f", "-"], &archive).code, 0);
    assert_eq!(home.prints(&["get", "k"]), "typed");
    assert!(files(&home).is_empty());
}

#[test]
fn where_no_second_file_can_be_made_the_one_that_is_there_is_written_to_in_place() {
    let (home, _storages) = ring_of(1);
    home.ends(0, &["set", "k", "value"]);
    // As long as a name may be: another name beside it cannot be made, whoever one is.
    let name = "n".repeat(255);
    let file = home.path().join(&name);
    fs::write(&file, "what was there, and is longer").unwrap();
    let before = fs::metadata(&file).unwrap().ino();
    home.ends(0, &["get", "k", "-o", &name]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "value");
    assert_eq!(fs::metadata(&file).unwrap().ino(), before);
    home.ends(3, &["get", "nothing", "-o", &name]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "value", "nothing came, and it stays");
    home.ends(0, &["export", "-o", &name]);
    assert!(fs::read(&file).unwrap() == home.ends(0, &["export"]).out);
    assert_eq!(files(&home), [name]);
}
