//! The thread that tends the storage while it serves, and ends the process when the disk has failed.
//!
//! A store that met a fault is never tried again: after a failed sync nobody knows what is on the disk until it is read anew.
//! The service manager, or whoever started the process, starts it again.

use minor_storage::{
    http::now_ms,
    storage::{Durability, Storage, Tended},
    store::Fault,
};
use std::{
    io, process,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often something is done.
const BEAT: Duration = Duration::from_millis(50);
/// Steps of urgent work in one beat, so that the rest is not forgotten over it.
const STEPS: usize = 100;
/// Bytes that are scrubbed in one beat, in the mean: 8 MiB a second, so that 20 GB are gone through in forty minutes.
const SCRUBBED: u64 = (8 << 20) / 20;
/// Beats between two commits, when writes are acknowledged before they are durable.
const COMMIT_BEATS: u64 = 10;

/// The thread, until it is told to end.
pub(crate) struct Upkeep {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Upkeep {
    /// Begins to tend a storage.
    pub(crate) fn begin(storage: Arc<Storage>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("upkeep".into());
        let thread = thread.spawn(move || tend(&storage, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends it, after the step it is at.
    pub(crate) fn end(self) {
        drop(self.stop);
        // If it panicked it has said so, and the storage is closed all the same.
        let _ = self.thread.join();
    }
}

fn tend(storage: &Storage, stopped: &Receiver<()>) {
    let (mut beats, mut scrubbed) = (0, 0);
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(BEAT) {
        beats += 1;
        match beat(storage, beats, &mut scrubbed) {
            Ok(()) | Err(Fault::Closed) => {}
            Err(fault) => give_up(&fault),
        }
    }
}

/// What is done in one beat. `scrubbed` is by how many bytes the scrub is ahead of its time.
fn beat(storage: &Storage, beats: u64, scrubbed: &mut u64) -> Result<(), Fault> {
    storage.health()?;
    for _ in 0..STEPS {
        if storage.tidy()? == Tended::Nothing {
            break;
        }
    }
    *scrubbed = scrubbed.saturating_sub(SCRUBBED);
    if *scrubbed == 0 {
        *scrubbed = storage.scrub(now_ms())?;
    }
    if storage.durability() == Durability::Interval && beats.is_multiple_of(COMMIT_BEATS) {
        // Nobody waits for it; if it fails, the store's health says so at the next beat.
        drop(storage.commit());
    }
    Ok(())
}

fn give_up(fault: &Fault) -> ! {
    eprintln!(
        "minor-storage: {fault}; it stops at once and tries nothing again. What was acknowledged is kept; see to the disk, then start it again"
    );
    process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::StorageId;
    use minor_storage::{storage::Settings, store::memory::MemoryStore};

    #[test]
    fn a_scrub_that_is_ahead_of_its_time_rests() {
        let settings = Settings {
            fresh_id: StorageId(1),
            address: "127.0.0.1:8000".into(),
            zone: String::new(),
            durability: Durability::Always,
        };
        let storage = Storage::open(Arc::new(MemoryStore::new()), settings).unwrap();
        let mut ahead = 3 * SCRUBBED;
        for left in [2, 1] {
            beat(&storage, 1, &mut ahead).unwrap();
            assert_eq!(ahead, left * SCRUBBED);
        }
    }
}
