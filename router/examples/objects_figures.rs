//! How fast large objects go into a ring and come out, and how much memory that takes here.
//!
//! ```text
//! for n in 0 1 2; do target/release/minor-storage -p 800$n --data /tmp/objects/$n & done
//! cargo run --release -p sdht --example objects_figures -- 2048 127.0.0.1:8000 127.0.0.1:8001 127.0.0.1:8002
//! ```
//!
//! The first storage founds a ring of three copies if it is in none, and the others join it; the object, of so many MiB, is
//! put twice (so the second put deletes what the first brought), read three times, and deleted.

use sdht::{
    NoRing, NotConnected, PutOptions,
    blocking::{Moving, Ring},
};
use std::{
    env,
    error::Error,
    fs,
    io::{self, Read},
    time::Instant,
};

type Failed = Box<dyn Error + Send + Sync>;

const KEY: &str = "objects_figures";

/// A source that costs nothing: so many bytes, each piece of which differs from the next.
struct Source {
    left: u64,
    turn: u8,
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        into[..count].fill(self.turn);
        self.left -= count as u64;
        self.turn = self.turn.wrapping_add(1);
        Ok(count)
    }
}

fn ring_of(addresses: &[String]) -> Result<Ring, Failed> {
    let [first, others @ ..] = addresses else { return Err("name a storage".into()) };
    let ring = match Ring::connect([first]) {
        Err(NotConnected::NoRing(NoRing::NotFounded(_))) => {
            Ring::found_by(sdht::Ring::builder().copies(3), first)?
        }
        other => return Ok(other?),
    };
    others.iter().map(|address| ring.join(address)).try_for_each(Moving::finish)?;
    Ok(ring)
}

/// The most memory this process ever held, in MiB.
fn peak_mib() -> Result<u64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line.and_then(|l| l.split_whitespace().next()).ok_or("no VmHWM")?.parse()?;
    Ok(kib >> 10)
}

fn timed<A, E: Into<Failed>>(
    what: &str,
    mib: u64,
    work: impl FnOnce() -> Result<A, E>,
) -> Result<A, Failed> {
    let begun = Instant::now();
    let done = work().map_err(Into::into)?;
    let took = begun.elapsed().as_secs_f64();
    let rate = (mib << 20) as f64 / 1e6 / took;
    println!("{what:<24} {took:>8.2} s {rate:>8.0} MB/s   {:>4} MiB at the most", peak_mib()?);
    Ok(done)
}

fn main() -> Result<(), Failed> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [mib, addresses @ ..] = words.as_slice() else { return Err("MIB ADDRESS...".into()) };
    let mib: u64 = mib.parse()?;
    let ring = ring_of(addresses)?;
    let source = || Source { left: mib << 20, turn: 0 };
    println!("idle: {} MiB", peak_mib()?);
    timed("put", mib, || ring.put_stream(KEY, source(), &PutOptions::new()))?;
    timed("put over it", mib, || ring.put_stream(KEY, source(), &PutOptions::new()))?;
    for _ in 0..3 {
        let mut object = ring.get_stream(KEY, ..)?.ok_or("the object is lost")?;
        let count = timed("get", mib, || io::copy(&mut object, &mut io::sink()))?;
        assert_eq!(count, mib << 20, "some of it is lost");
    }
    timed("delete", mib, || ring.delete(KEY))?;
    Ok(())
}
