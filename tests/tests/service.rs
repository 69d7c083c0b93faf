//! The two programs as services: what they tell the service manager, and what their units and settings may name.

use rustix::process::{Pid, Signal, kill_process};
use sdht_tests::{
    command::Home,
    process::{self, Launch},
    skip_but_in_ci, wait_until,
};
use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A service manager's ear.
struct Ear {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Ear {
    fn in_dir(dir: &Path) -> Self {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(process::LIMIT)).unwrap();
        Self { socket, path }
    }

    fn hears(&self) -> String {
        let mut message = [0; 256];
        let length = self.socket.recv(&mut message).expect("something is told");
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    }
}

#[test]
fn a_storage_tells_when_it_is_ready_and_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let ear = Ear::in_dir(dir.path());
    let variable = format!("NOTIFY_SOCKET={}", ear.path.display());
    let launch = Launch::on(&dir.path().join("data")).under(&["env", &variable]);
    let mut storage = launch.serve();
    assert_eq!(ear.hears(), "READY=1");
    assert!(storage.terminate().status.success());
    assert_eq!(ear.hears(), "STOPPING=1");
}

#[test]
fn a_door_tells_when_it_is_ready_and_when_it_stops() {
    let (home, (_dir, storage)) = (Home::default(), process::fresh());
    let address = storage.address().to_string();
    home.ends(0, &["join", &address]);
    let ear = Ear::in_dir(home.path());
    let mut command = home.command(&["serve", "-p", "0", "--ring", &address]);
    command.env("NOTIFY_SOCKET", &ear.path).stdout(Stdio::null()).stderr(Stdio::null());
    let mut door = command.spawn().unwrap();
    assert_eq!(ear.hears(), "READY=1");
    kill_process(Pid::from_child(&door), Signal::TERM).unwrap();
    assert_eq!(ear.hears(), "STOPPING=1");
    wait_until("the door has closed", process::LIMIT, || door.try_wait().unwrap().is_some());
    assert!(door.wait().unwrap().success());
}

fn debian(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../debian").join(name);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[test]
fn every_setting_of_a_service_is_one_that_its_program_takes() {
    let door = Home::default().prints(&["serve", "--help"]);
    let storage = Command::new(process::program()).arg("--help").output().unwrap();
    let storage = String::from_utf8(storage.stdout).unwrap();
    for (settings, help, unit) in [
        ("minor-storage.default", storage, "minor-storage@.service"),
        ("sdht.default", door, "sdht.service"),
    ] {
        let (text, unit) = (debian(settings), debian(unit));
        // Lines are broken where they are full.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let names = text.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
        let names: Vec<&str> = names
            .map(|(name, _)| name)
            .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
            .collect();
        assert!(names.len() > 5, "{settings}: {names:?}");
        for name in names.into_iter().filter(|name| *name != "RUST_LOG") {
            let taken =
                help.contains(&format!("[env: {name}")) || unit.contains(&format!("${name}"));
            assert!(taken, "{settings}: {name} means nothing");
        }
        assert!(unit.contains("Type=notify") && unit.contains("WantedBy=multi-user.target"));
    }
}

#[test]
fn the_units_leave_little_open() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip_but_in_ci("systemd-analyze is not here (Debian package systemd)");
    }
    for unit in ["minor-storage@.service", "sdht.service"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../debian").join(unit);
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--offline=true", "--threshold=20"]).arg(path);
        let out = analyze.output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{unit}: {}", text.lines().last().unwrap_or_default());
    }
}
