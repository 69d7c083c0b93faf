//! Whether a door stands: when far more is asked than it can do, when much is asked for long, and when nothing is asked.

use crate::{
    AT_ONCE, Failed, Figure,
    door::open_many_files,
    key,
    line::{Line, Reply},
    process::Process,
    ring_of,
};
use sdht::Ring;
use std::{
    cell::RefCell,
    path::Path,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Sets so many keys.
fn set_all(ring: &Ring, keys: usize) -> Result<(), Failed> {
    let all: Vec<usize> = (0..keys).collect();
    for some in all.chunks(10_000) {
        let set = ring.set_many(some.iter().map(|n| (key(*n), "v".repeat(97))));
        for ended in pollster::block_on(set) {
            ended?;
        }
    }
    Ok(())
}

/// Nobody waits longer for an answer.
const NO_ANSWER: Duration = Duration::from_secs(30);
/// Storages of the idle ring.
const STORAGES: usize = 10;
/// Keys of the small operations.
const KEYS: usize = 10_000;
/// Connections on which they are done when it is for long.
const FEW: usize = 16;
/// MiB of the large object.
const OBJECT_MIB: usize = 64;

/// What many connections were answered.
#[derive(Default)]
struct Answered {
    took: Vec<Duration>,
    told_to_come_back: usize,
    /// Neither done nor told to come back, in their words.
    failed: Vec<String>,
}

impl Answered {
    fn note(&mut self, heard: Result<Reply, Failed>, took: Duration) {
        match heard {
            Ok(reply) if reply.status < 300 => self.took.push(took),
            Ok(reply) if reply.status == 503 && reply.come_back => self.told_to_come_back += 1,
            Ok(reply) => self.failed.push(format!("{reply:?}")),
            Err(why) => self.failed.push(why.to_string()),
        }
    }
}

/// So many connections, each of which gets and puts in turn and waits for nothing but its answers.
async fn ask(address: &str, connections: usize, time: Duration) -> Result<Answered, Failed> {
    let all = Rc::new(RefCell::new(Answered::default()));
    let begun = Instant::now();
    let load = |of: usize| {
        let (all, address) = (Rc::clone(&all), address.to_owned());
        actix_rt::spawn(async move {
            let mut line = Line::open(&address).await?;
            let mut n = of;
            while begun.elapsed() < time {
                n += connections;
                let asked = Instant::now();
                let name = key(n % KEYS);
                let asking = async {
                    if (n / connections).is_multiple_of(2) {
                        line.put(&name, &[7; 100]).await
                    } else {
                        line.get(&name).await
                    }
                };
                let heard = timeout(NO_ANSWER, asking).await;
                let heard = heard.unwrap_or_else(|_| Err("no answer".into()));
                let is_lost = heard.is_err();
                all.borrow_mut().note(heard, asked.elapsed());
                if is_lost {
                    line = Line::open(&address).await?;
                }
            }
            Ok::<_, Failed>(())
        })
    };
    let loads: Vec<_> = (0..connections).map(load).collect();
    for load in loads {
        load.await??;
    }
    Ok(all.take())
}

/// As much as makes its peak, five times as much, and nearly as many connections as it takes; then as much as at first.
pub(crate) fn when_too_much_is_asked(dir: &Path, time: Duration) -> Result<(), Failed> {
    open_many_files();
    let (storages, ring) = ring_of(dir, 3, 3)?;
    set_all(&ring, KEYS)?;
    let door = Process::door(dir, &storages[0].address, &[])?;
    let runtime = actix_rt::Runtime::new()?;
    println!("gets and puts in turn, {time:?} each");
    let heads =
        ["connections", "done/s", "of peak", "p50 us", "p99 us", "503", "failed", "MiB at most"];
    heads.iter().for_each(|head| print!("{head:>12}"));
    println!();
    let mut peak = None;
    for connections in [AT_ONCE, 5 * AT_ONCE, 1_000, AT_ONCE] {
        let begun = Instant::now();
        let answered = runtime.block_on(ask(&door.address, connections, time))?;
        let Figure { rate, p50_us, p99_us } = Figure::of(answered.took, begun.elapsed());
        let part = rate / *peak.get_or_insert(rate);
        let (back, failed) = (answered.told_to_come_back, answered.failed.len());
        let mib = door.memory_kib()?.1 >> 10;
        println!(
            "{connections:>12}{rate:>12.0}{part:>12.2}{p50_us:>12}{p99_us:>12}{back:>12}{failed:>12}{mib:>12}"
        );
        answered.failed.first().iter().for_each(|why| println!("failed: {why}"));
    }
    Ok(())
}

/// Small operations and a large object that comes and goes, and the memory of the door at every minute.
pub(crate) fn for_long(dir: &Path, time: Duration) -> Result<(), Failed> {
    let (storages, ring) = ring_of(dir, 3, 3)?;
    set_all(&ring, KEYS)?;
    let door = Process::door(dir, &storages[0].address, &[])?;
    println!("{FEW} connections get and put, one more puts and gets {OBJECT_MIB} MiB");
    let minute = Duration::from_secs(60).min(time);
    let (begun, mut seen) = (Instant::now(), vec![]);
    println!("{:>8}{:>12}{:>12}{:>12}{:>12}", "minute", "MiB", "at most", "small", "large");
    let runtime = actix_rt::Runtime::new()?;
    while begun.elapsed() + minute / 2 < time {
        let (small, large) = runtime.block_on(async {
            let small = actix_rt::spawn({
                let address = door.address.clone();
                async move { ask(&address, FEW, minute).await }
            });
            let large = come_and_go(&door.address, minute).await?;
            Ok::<_, Failed>((small.await??, large))
        })?;
        if let Some(why) = small.failed.first() {
            return Err(why.clone().into());
        }
        let (now, most) = door.memory_kib()?;
        seen.push(now);
        let (at, small) = (seen.len(), small.took.len());
        println!("{at:>8}{:>12.1}{:>12.1}{small:>12}{large:>12}", mib(now), mib(most));
    }
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    println!("from the first minute to the last: {:+.1} MiB", mib(last) - mib(first));
    Ok(())
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1_024.0
}

/// Puts and gets the large object for so long; says how often.
async fn come_and_go(address: &str, time: Duration) -> Result<usize, Failed> {
    let (begun, mut times, piece) = (Instant::now(), 0, vec![7; 1 << 20]);
    let mut line = Line::open(address).await?;
    while begun.elapsed() < time {
        let put = line.put_again_and_again("large", &piece, OBJECT_MIB).await?;
        let got = line.get("large").await?;
        if put.status >= 300 || got.status != 200 || got.bytes != (OBJECT_MIB as u64) << 20 {
            return Err(format!("the large object: {put:?}, then {got:?}").into());
        }
        times += 1;
    }
    Ok(times)
}

/// A ring of ten with many keys, and a door with its keeper that nobody comes to.
pub(crate) fn when_nothing_is_asked(dir: &Path, keys: usize, time: Duration) -> Result<(), Failed> {
    let (storages, ring) = ring_of(dir, STORAGES, 1)?;
    let begun = Instant::now();
    set_all(&ring, keys)?;
    println!("{STORAGES} storages, {keys} keys, set in {:.0} s", begun.elapsed().as_secs_f64());
    // Or the keeper would do it, and not be idle.
    pollster::block_on(async { ring.balance().await })?;
    drop(ring);
    let door = Process::door(dir, &storages[0].address, &[])?;
    // Its first looks are those of somebody who knows nothing yet.
    thread::sleep(time.min(Duration::from_secs(15)));
    let all = || storages.iter().map(Process::processor_s).sum::<Result<f64, Failed>>();
    let before = (door.processor_s()?, all()?);
    thread::sleep(time);
    let percent = |used: f64| used / time.as_secs_f64() * 100.0;
    let (ours, theirs) = (percent(door.processor_s()? - before.0), percent(all()? - before.1));
    let memory = mib(door.memory_kib()?.0);
    println!(
        "an idle door with its keeper: {ours:.2} % of a core (goal: below 1), {memory:.1} MiB"
    );
    println!("the {STORAGES} storages beside it: {theirs:.2} % together");
    Ok(())
}
