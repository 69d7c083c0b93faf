//! What the door costs: the same work through `sdht serve` and through the library, in the same run; and whether it stands when
//! far too much is asked, for a long time, and when nothing is.
//!
//! ```text
//! cargo build --release -p minor-storage -p sdht
//! cargo run --release -p sdht --example door_figures -- [--rounds 5] [--times 20000] [--workers N]
//! cargo run --release -p sdht --example door_figures -- --overload [--seconds 10]
//! cargo run --release -p sdht --example door_figures -- --flat [MINUTES]
//! cargo run --release -p sdht --example door_figures -- --idle [--keys 1000000] [--seconds 60]
//! ```
//!
//! Three storages keep three copies of everything, durably; values have 100 bytes. The door is a process of its own and is
//! asked over connections that stay open, by a load that speaks just enough HTTP (`line.rs`) and runs on one thread here,
//! beside all others on the same cores.

mod door;
mod line;
#[path = "../figures/process.rs"]
mod process;
mod stands;

use futures_util::{StreamExt, stream};
use line::Line;
use process::Process;
use sdht::Ring;
use std::{
    cell::{Cell, RefCell},
    env,
    error::Error,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failed = Box<dyn Error + Send + Sync>;

/// Requests at a time.
const AT_ONCE: usize = 64;
/// What the door is to do of what the library does.
const GOAL: f64 = 0.5;

/// What is asked of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Get,
    Set,
}

/// How often it was done in a second, and how long one took.
#[derive(Clone, Copy, Debug)]
struct Figure {
    rate: f64,
    p50_us: u128,
    p99_us: u128,
}

impl Figure {
    fn of(mut took: Vec<Duration>, all: Duration) -> Self {
        took.sort();
        let at = |part: usize| took.get(took.len() * part / 100).map_or(0, Duration::as_micros);
        Self { rate: took.len() as f64 / all.as_secs_f64(), p50_us: at(50), p99_us: at(99) }
    }
}

fn key(n: usize) -> String {
    format!("key/{n:08}")
}

/// A ring of so many storages, and its handle.
fn ring_of(dir: &Path, storages: usize, copies: u8) -> Result<(Vec<Process>, Ring), Failed> {
    let start = |n: usize| Process::storage(&dir.join(n.to_string()), &[]);
    let storages = (0..storages).map(start).collect::<Result<Vec<_>, _>>()?;
    let ring = pollster::block_on(async {
        let ring = Ring::builder().copies(copies).found(&storages[0].address).await?;
        for storage in &storages[1..] {
            ring.join(&storage.address).await?;
        }
        Ok::<_, Failed>(ring)
    })?;
    Ok((storages, ring))
}

/// So many operations through the library.
async fn by_library(ring: &Ring, work: Work, times: usize) -> Result<Figure, Failed> {
    let each = |n| {
        let ring = ring.clone();
        async move {
            let begun = Instant::now();
            match work {
                Work::Set => drop(ring.put_bytes(&key(n), "", vec![7; 100]).await?),
                Work::Get => drop(ring.get_bytes(&key(n)).await?.ok_or("a key is lost")?),
            }
            Ok::<_, Failed>(begun.elapsed())
        }
    };
    let begun = Instant::now();
    let took: Vec<_> = stream::iter(0..times).map(each).buffer_unordered(AT_ONCE).collect().await;
    Ok(Figure::of(took.into_iter().collect::<Result<_, _>>()?, begun.elapsed()))
}

/// So many operations through the door.
async fn by_door(address: &str, work: Work, times: usize) -> Result<Figure, Failed> {
    let (next, took) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::with_capacity(times))));
    let mut lines = vec![];
    for _ in 0..AT_ONCE {
        lines.push(Line::open(address).await?);
    }
    let begun = Instant::now();
    let load = |mut line: Line| {
        let (next, took) = (Rc::clone(&next), Rc::clone(&took));
        actix_rt::spawn(async move {
            loop {
                let n = next.replace(next.get() + 1);
                if n >= times {
                    return Ok::<_, Failed>(());
                }
                let begun = Instant::now();
                let reply = match work {
                    Work::Get => line.get(&key(n)).await?,
                    Work::Set => line.put(&key(n), &[7; 100]).await?,
                };
                if !(200..300).contains(&reply.status) {
                    return Err(format!("{work:?} of {}: {reply:?}", key(n)).into());
                }
                took.borrow_mut().push(begun.elapsed());
            }
        })
    };
    let loads: Vec<_> = lines.into_iter().map(load).collect();
    for load in loads {
        load.await??;
    }
    Ok(Figure::of(took.take(), begun.elapsed()))
}

/// The figure in the middle.
fn median(figures: &mut [Figure]) -> Figure {
    figures.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    figures[figures.len() / 2]
}

/// Library and door in turn, so many times.
fn compare(dir: &Path, [rounds, times]: [usize; 2], flags: &[&str]) -> Result<(), Failed> {
    let (storages, ring) = ring_of(dir, 3, 3)?;
    let door = Process::door(dir, &storages[0].address, flags)?;
    let runtime = actix_rt::Runtime::new()?;
    let all = [Work::Set, Work::Get];
    let mut figures = all.map(|_| [vec![], vec![]]);
    for _ in 0..rounds {
        for (work, [library, through]) in all.into_iter().zip(&mut figures) {
            library.push(pollster::block_on(by_library(&ring, work, times))?);
            through.push(runtime.block_on(by_door(&door.address, work, times))?);
        }
    }
    println!(
        "medians of {rounds} rounds of {times}, {AT_ONCE} at a time; per second (p50, p99 in us)"
    );
    let heads = ["library", "door", "ratio", "goal"];
    println!("{:<6}{:>26}{:>26}{:>8}{:>8}", "", heads[0], heads[1], heads[2], heads[3]);
    for (work, [library, through]) in all.into_iter().zip(&mut figures) {
        let (library, through) = (median(library), median(through));
        let shown = |f: Figure| format!("{:.0} ({}, {})", f.rate, f.p50_us, f.p99_us);
        let (name, ratio) = (format!("{work:?}").to_lowercase(), through.rate / library.rate);
        let (library, through) = (shown(library), shown(through));
        println!("{name:<6}{library:>26}{through:>26}{ratio:>8.2}{GOAL:>8.2}");
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    let words: Vec<String> = env::args().collect();
    let at = |flag: &str| words.iter().position(|word| word == flag);
    let number =
        |flag: &str, or: f64| at(flag).and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(or);
    let count = |flag: &str, or: f64| number(flag, or) as usize;
    let seconds = |or: f64| Duration::from_secs_f64(number("--seconds", or));
    let dir = tempfile::tempdir()?;
    if at("--overload").is_some() {
        stands::when_too_much_is_asked(dir.path(), seconds(10.0))
    } else if at("--flat").is_some() {
        stands::for_long(dir.path(), Duration::from_secs_f64(60.0 * number("--flat", 10.0)))
    } else if at("--idle").is_some() {
        stands::when_nothing_is_asked(dir.path(), count("--keys", 1e6), seconds(60.0))
    } else {
        // As many as the door takes by itself, unless it is said.
        let workers = at("--workers").and_then(|at| words.get(at + 1));
        let flags: Vec<&str> = workers.iter().flat_map(|count| ["--workers", count]).collect();
        compare(dir.path(), [count("--rounds", 5.0), count("--times", 20_000.0)], &flags)
    }
}
