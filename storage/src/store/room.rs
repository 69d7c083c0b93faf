//! Room on the disk: say that it is running out while there is still room to say so in.
//!
//! An engine that hits a full disk is broken until it is opened again, so writes are refused well before that, below a floor.
//! And a ballast file lies beside the data, to be thrown off when the floor is reached: what frees room (and every vote) must
//! still be written then, and others may be filling the same disk.

use super::Room;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// With less than this free, room is low.
pub(super) const FLOOR: u64 = 48 << 20;
/// How much the ballast takes, and how far above the floor the free bytes must come before room is enough again.
pub(super) const BALLAST: u64 = 16 << 20;

/// Bytes free to us where `dir` lies.
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = statvfs(dir)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// Watches the free bytes, and trims the ballast.
#[derive(Debug)]
pub(super) struct Gauge {
    dir: PathBuf,
    room: Room,
    ballast_bytes: u64,
}

impl Gauge {
    /// Starts watching, and takes on the ballast if there is room for it; else goes without.
    pub(super) fn new(dir: &Path) -> Self {
        let ballast_bytes = fs::metadata(dir.join("ballast")).map_or(0, |file| file.blocks() * 512);
        let mut gauge = Self { dir: dir.to_owned(), room: Room::Enough, ballast_bytes };
        if gauge.look() == Room::Enough && gauge.ballast_bytes < BALLAST {
            gauge.take_on_ballast();
        }
        gauge
    }

    /// Looks how much room there is now. If the disk does not say, nothing has changed.
    pub(super) fn look(&mut self) -> Room {
        let Ok(free) = free_bytes(&self.dir) else { return self.room };
        // The ballast counts as free, or throwing it off would look like room regained, and taking it on like room lost.
        let room = judge(self.room, free + self.ballast_bytes);
        match (self.room, room) {
            (Room::Enough, Room::Low) => self.throw_off_ballast(),
            (Room::Low, Room::Enough) => self.take_on_ballast(),
            _ => {}
        }
        self.room = room;
        room
    }

    // Ballast is a comfort: without it the floor still holds. So neither taking it on nor throwing it off can fail.
    fn take_on_ballast(&mut self) {
        match allocate(&self.dir.join("ballast")) {
            Ok(()) => self.ballast_bytes = BALLAST,
            Err(_) => self.throw_off_ballast(),
        }
    }

    fn throw_off_ballast(&mut self) {
        let _ = fs::remove_file(self.dir.join("ballast"));
        self.ballast_bytes = 0;
    }
}

/// Two thresholds, so that room does not flicker when one write more or less makes the difference.
fn judge(before: Room, free_with_ballast: u64) -> Room {
    let threshold = match before {
        Room::Enough => FLOOR + BALLAST,
        Room::Low => FLOOR + 2 * BALLAST,
    };
    if free_with_ballast < threshold { Room::Low } else { Room::Enough }
}

/// Makes the ballast of real blocks, not of a hole.
fn allocate(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, BALLAST) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = vec![0; 1 << 20];
            (0..BALLAST >> 20).try_for_each(|_| file.write_all(&zeros))
        }
        end => Ok(end?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_low_below_the_floor_and_enough_again_only_well_above_it() {
        let mut room = Room::Enough;
        for (free_mib, then) in [
            (64, Room::Enough),
            (63, Room::Low),
            (64, Room::Low),
            (79, Room::Low),
            (80, Room::Enough),
            (64, Room::Enough),
        ] {
            room = judge(room, free_mib << 20);
            assert_eq!(room, then, "with {free_mib} MiB free");
        }
    }

    #[test]
    fn the_ballast_is_made_of_real_blocks_and_can_be_thrown_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut gauge = Gauge::new(dir.path());
        assert_eq!(gauge.look(), Room::Enough, "this test needs some room on the disk");
        assert!(fs::metadata(dir.path().join("ballast")).unwrap().blocks() * 512 >= BALLAST);
        assert_eq!(Gauge::new(dir.path()).ballast_bytes / BALLAST, 1, "the next to open finds it");
        gauge.throw_off_ballast();
        assert!(!dir.path().join("ballast").exists());
    }
}
