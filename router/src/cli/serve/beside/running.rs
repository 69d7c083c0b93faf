//! The process of the storage beside the door: started, watched, and started again when it ends though nobody asked it to.
//!
//! It holds one end of a pipe, and the door the other: however the door ends, the storage hears of it, and stops in good
//! order. So a door that is killed leaves nobody behind on its storage's port.

use super::super::super::{
    Ended,
    console::Console,
    fail::Fail,
    lab::storage::{self, PATIENCE},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    cell::RefCell,
    convert::Infallible,
    net::{IpAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// How often it is looked whether it runs.
const GLANCE: Duration = Duration::from_millis(100);
/// Before it is started again: the first pause, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What has run for so long ended for a new reason.
const CALM: Duration = Duration::from_secs(60);
/// So many starts in vain are told of, one after another.
const TOLD: u32 = 10;
/// How long a port that somebody has is waited for.
const LEAVING: Duration = Duration::from_secs(5);

/// How it is started.
pub(super) struct Start {
    pub(super) program: PathBuf,
    pub(super) port: u16,
    /// Where it listens, as far as it is known here.
    pub(super) bind: IpAddr,
    pub(super) data: PathBuf,
    /// What it is told besides, in its environment.
    pub(super) told: Vec<(&'static str, String)>,
}

/// The process.
pub(super) struct Running {
    start: Start,
    address: String,
    child: RefCell<Child>,
    started_again: Notify,
}

impl Start {
    fn command(&self) -> Command {
        let mut command = storage::command(&self.program, self.port, &self.data);
        command.arg("--until-stdin-ends").stdin(Stdio::piped());
        command.envs(self.told.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Beside its data, as `DIR.log`.
    fn log(&self) -> PathBuf {
        let mut name = self.data.file_name().unwrap_or_default().to_owned();
        name.push(".log");
        self.data.with_file_name(name)
    }

    /// Starts it, and waits until it serves.
    pub(super) fn begin(self, address: &str, console: &Console) -> Result<Running, Fail> {
        self.wait_for_the_port(console)?;
        let child = storage::launch(self.command(), address, &self.log())?;
        let address = address.to_owned();
        let (child, started_again) = (RefCell::new(child), Notify::new());
        Ok(Running { start: self, address, child, started_again })
    }

    /// The storage of a door that was killed a moment ago is about to end.
    fn wait_for_the_port(&self, console: &Console) -> Ended {
        let port = self.port;
        let is_free = || storage::is_free((self.bind, port));
        if is_free() {
            return Ok(());
        }
        console.say(format_args!(
            "sdht: something listens on port {port}; it is waited for {} s, as it may be ending",
            LEAVING.as_secs()
        ));
        let begun = Instant::now();
        while !is_free() {
            if begun.elapsed() > LEAVING {
                return Err(Fail::other(format!("something listens on port {port} already")).next(
                    "--with-storage takes another port; or, if that is a storage of the ring, serve without it.",
                ));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

impl Running {
    /// Where it keeps its data.
    pub(super) fn data(&self) -> &Path {
        &self.start.data
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.start.port
    }

    /// How it ended, if it did.
    fn ended(&self) -> Option<ExitStatus> {
        self.child.borrow_mut().try_wait().ok().flatten()
    }

    /// Starts it again whenever it ends, after a pause that grows as long as that is in vain.
    pub(super) async fn keep(&self, console: &Console) -> Infallible {
        let (mut since, mut starts) = (Instant::now(), 0);
        loop {
            actix_rt::time::sleep(GLANCE).await;
            if since.elapsed() >= CALM {
                starts = 0;
            }
            let Some(how) = self.ended() else { continue };
            let pause = pause(starts);
            if starts < TOLD {
                console.say(self.told(how, starts));
            }
            actix_rt::time::sleep(pause).await;
            match storage::begin(&mut self.start.command(), &self.start.log()) {
                Ok(begun) => {
                    *self.child.borrow_mut() = begun.0;
                    self.started_again.notify_one();
                }
                Err(why) if starts < TOLD => console.say(format_args!("sdht: {}", why.what)),
                Err(_) => {}
            }
            (since, starts) = (Instant::now(), starts + 1);
        }
    }

    /// Waits until it was started again, and listens.
    pub(super) async fn started_again(&self) {
        self.started_again.notified().await;
        while TcpStream::connect((self.start.bind, self.start.port)).is_err() {
            actix_rt::time::sleep(GLANCE).await;
        }
    }

    /// What is said when it ended, after so many starts in vain.
    fn told(&self, how: ExitStatus, starts: u32) -> String {
        let (address, log) = (&self.address, self.start.log());
        let last = match starts + 1 {
            TOLD => "; no more is said of it until it has run for a minute",
            _ => "",
        };
        format!(
            "sdht: the storage on {address} ended, and nobody here asked it to ({how}; all it said is in {}); it is started \
             again in {} s{last}",
            log.display(),
            pause(starts).as_secs()
        )
    }

    /// Stops it, and waits until all it keeps is on disk.
    pub(super) fn stop(self) -> Ended {
        let no = |why: String| Fail::other(format!("storage {}: {why}", self.address));
        if self.ended().is_some() {
            return Ok(());
        }
        // It was not waited for yet, so its number is its own.
        let pid = Pid::from_child(&self.child.borrow());
        kill_process(pid, Signal::TERM).map_err(|why| no(why.to_string()))?;
        let begun = Instant::now();
        while self.ended().is_none() {
            if begun.elapsed() > PATIENCE {
                let pid = pid.as_raw_nonzero();
                return Err(no(format!("process {pid} does not stop"))
                    .next(format!("End it with 'kill -9 {pid}'.")));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

/// The pause before the next start, after so many in vain.
fn pause(starts: u32) -> Duration {
    PAUSE.saturating_mul(1 << starts.min(6)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_has_an_end() {
        let seconds: Vec<u64> = (0..9).map(|starts| pause(starts).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
