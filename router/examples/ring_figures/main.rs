//! How fast a ring of real storages on this machine is, through the handle that programs use.
//!
//! ```text
//! cargo build --release -p minor-storage && cargo run --release -p sdht --example ring_figures -- [--json] [--records N]
//! cargo build --release -p minor-storage && cargo run --release -p sdht --example ring_figures -- --peers [--runs 3] [--times N]
//! ```
//!
//! Storages run as they come, so what is acknowledged is on the disk; values have 100 bytes. With `--peers`, etcd (three
//! members, loaded over gRPC: see `etcd.rs`), Redis that syncs every write, and a Redis Cluster of three (both loaded by
//! `redis-benchmark`: see `peers.rs`) are started and measured in the same run, as far as Debian's packages `etcd-server`,
//! `redis-server` and `redis-tools` are installed, and what is printed is ours beside theirs and the goal.

mod compared;
mod etcd;
mod joined;
mod peers;
#[path = "../figures/process.rs"]
mod process;

use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream};
use minor_protocol::{Answers, Ask, Key};
use process::Process;
use sdht::{
    Ring,
    router::{Patience, Router},
    transport::{Silence, Transport, http::HttpTransport},
};
use std::{
    cell::Cell,
    env,
    error::Error,
    rc::Rc,
    time::{Duration, Instant},
};

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failed = Box<dyn Error + Send + Sync>;

/// One line of the table.
struct Figure {
    name: String,
    rate: f64,
    p50_us: u128,
    p99_us: u128,
    /// Processor time of each operation here, and in all storages together; where it was not measured, none.
    processor_us: Option<[f64; 2]>,
}

/// Processor time used until now, here and in the storages.
fn used_s(storages: &[Process]) -> Result<[f64; 2], Failed> {
    let theirs = storages.iter().map(Process::processor_s).sum::<Result<f64, _>>()?;
    Ok([process::processor_s(std::process::id())?, theirs])
}

async fn ring_of(storages: &[Process], copies: u8) -> Result<Ring, Failed> {
    let [first, others @ ..] = storages else { return Err("a ring has a storage".into()) };
    let ring = Ring::builder().copies(copies).found(&first.address).await?;
    for storage in others {
        ring.join(&storage.address).await?;
    }
    Ok(ring)
}

fn key(n: usize) -> String {
    format!("key {n:08}")
}

/// Does something many times, so many at a time.
async fn timed<F: Future<Output = Result<(), Failed>>>(
    name: String,
    times: usize,
    at_once: usize,
    storages: &[Process],
    each: impl Fn(usize) -> F,
) -> Result<Figure, Failed> {
    let (begun, before) = (Instant::now(), used_s(storages)?);
    let each = |n| {
        let done = each(n);
        async move {
            let begun = Instant::now();
            done.await.map(|()| begun.elapsed())
        }
    };
    let ended: Vec<Result<Duration, Failed>> =
        stream::iter(0..times).map(each).buffer_unordered(at_once).collect().await;
    let whole = begun.elapsed();
    let took = ended.into_iter().collect::<Result<Vec<Duration>, Failed>>()?;
    let after = used_s(storages)?;
    let used = [0, 1].map(|of| (after[of] - before[of]) * 1e6 / times as f64);
    Ok(Figure { processor_us: Some(used), ..figure(name, whole, took) })
}

/// What these operations, which took so long each, come to.
fn figure(name: String, whole: Duration, mut took: Vec<Duration>) -> Figure {
    took.sort();
    let at = |part: usize| took.get(took.len() * part / 100).map_or(0, Duration::as_micros);
    let rate = took.len() as f64 / whole.as_secs_f64();
    Figure { name, rate, p50_us: at(50), p99_us: at(99), processor_us: None }
}

/// So many operations 64 at a time, and one at a time.
async fn operations(
    ring: &Ring,
    storages: &[Process],
    copies: u8,
    times: [usize; 2],
    figures: &mut Vec<Figure>,
) -> Result<(), Failed> {
    for (at_once, times) in [(64, times[0]), (1, times[1])] {
        let name = |what| format!("{what}, {copies} copies, {at_once} at a time");
        let set = |n| {
            let ring = ring.clone();
            async move {
                ring.put_bytes(&key(n), "", vec![7; 100]).await?;
                Ok(())
            }
        };
        figures.push(timed(name("set"), times, at_once, storages, set).await?);
        let get = |n| {
            let ring = ring.clone();
            async move { ring.get_bytes(&key(n)).await?.map(drop).ok_or("a key is lost".into()) }
        };
        figures.push(timed(name("get"), times, at_once, storages, get).await?);
    }
    Ok(())
}

/// By hundreds, eight hundreds at a time; the rate is that of keys.
async fn many(
    ring: &Ring,
    storages: &[Process],
    copies: u8,
    hundreds: usize,
    figures: &mut Vec<Figure>,
) -> Result<(), Failed> {
    let keys = |n: usize| (n * 100..(n + 1) * 100).map(key);
    let value = "v".repeat(97);
    let set = |n| {
        let set = ring.set_many(keys(n).map(|key| (key, &value)));
        async move {
            for ended in set.await {
                ended?;
            }
            Ok(())
        }
    };
    let get = |n| {
        let get = ring.get_many::<_, String>(keys(n));
        async move {
            for ended in get.await {
                ended?.ok_or("a key is lost")?;
            }
            Ok(())
        }
    };
    let name = |what| format!("{what} by hundreds, {copies} copies (keys)");
    for mut figure in [
        timed(name("set_many"), hundreds, 8, storages, set).await?,
        timed(name("get_many"), hundreds, 8, storages, get).await?,
    ] {
        figure.rate *= 100.0;
        figure.processor_us = figure.processor_us.map(|used| used.map(|us| us / 100.0));
        figures.push(figure);
    }
    Ok(())
}

/// Counts what is asked.
#[derive(Clone)]
struct Counting(HttpTransport, Rc<Cell<usize>>);

impl Transport for Counting {
    fn ask(&self, address: &str, ask: Ask) -> LocalBoxFuture<'static, Result<Answers, Silence>> {
        self.1.set(self.1.get() + 1);
        self.0.ask(address, ask).boxed_local()
    }

    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    fn chance(&self, below: u64) -> u64 {
        self.0.chance(below)
    }
}

/// What a router needs to find its way.
struct Hops {
    storages: usize,
    /// Requests of a cold walk.
    cold: usize,
    /// Requests of one get in a router that knows the ring, and how long it takes.
    warm: f64,
    us: f64,
    /// The same of keys that three of the storages keep, as in the smallest ring: what is more with all of them is the
    /// machine's, which has so many processes to wake in turn.
    of_three_us: f64,
}

async fn hops(storages: usize, address: String) -> Result<Hops, Failed> {
    let asked = Rc::new(Cell::new(0));
    let transport = Counting(HttpTransport::new(None), Rc::clone(&asked));
    let router = Router::new(transport, vec![address], Patience::default());
    let cold = router.walk().await?.hops.len();
    // What the walk mends is on its way still.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let arcs = router.arcs();
    let keys = || (0..).filter_map(|n| Key::new(key(n)).ok());
    let is_near = |key: &Key| arcs.iter().take(3).any(|arc| arc.span.holds(key.position()));
    let (all, near) = (keys().take(1_000), keys().filter(is_near).take(1_000));
    let mut took = vec![];
    let mut each = vec![];
    for keys in [all.collect::<Vec<_>>(), near.collect()] {
        asked.set(0);
        let begun = Instant::now();
        for key in &keys {
            router.get(key).await?;
        }
        took.push(begun.elapsed().as_micros() as f64 / 1_000.0);
        each.push(asked.get() as f64 / 1_000.0);
    }
    Ok(Hops { storages, cold, warm: each[0], us: took[0], of_three_us: took[1] })
}

fn main() -> Result<(), Failed> {
    let words: Vec<String> = env::args().collect();
    let number = |flag: &str, or: usize| {
        let at = words.iter().position(|word| word == flag);
        at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(or)
    };
    let records = number("--records", 200_000);
    let times = number("--times", 40_000);
    let times = [times, times / 20];
    let dir = tempfile::tempdir()?;
    if words.iter().any(|word| word == "--peers") {
        return compared::print(dir.path(), number("--runs", 3), times);
    }
    let start_some = |name: &str, count: usize| {
        let start = |n| Process::storage(&dir.path().join(format!("{name}{n}")), &[]);
        (0..count).map(start).collect::<Result<Vec<_>, _>>()
    };
    let mut figures = vec![];
    for copies in [3, 1] {
        let storages = start_some(&format!("c{copies}-"), 3)?;
        pollster::block_on(async {
            let ring = ring_of(&storages, copies).await?;
            operations(&ring, &storages, copies, times, &mut figures).await?;
            many(&ring, &storages, copies, times[0] / 40, &mut figures).await
        })?;
    }
    for callers in [0, 8] {
        figures.extend(pollster::block_on(joined::figures(dir.path(), records, callers))?);
    }
    let mut walks = vec![];
    for count in [3, 30] {
        let storages = start_some(&format!("h{count}-"), count)?;
        // The handle ends with this block, and the router below starts cold.
        pollster::block_on(async { ring_of(&storages, 1).await.map(drop) })?;
        let address = storages[0].address.clone();
        walks.push(actix_rt::Runtime::new()?.block_on(hops(count, address))?);
    }
    print(&figures, &walks, words.iter().any(|word| word == "--json"));
    Ok(())
}

fn print(figures: &[Figure], walks: &[Hops], as_json: bool) {
    if as_json {
        let figures = figures.iter().map(|f| {
            serde_json::json!({
                "figure": f.name, "rate": f.rate,
                "p50_us": f.p50_us as u64, "p99_us": f.p99_us as u64, "processor_us": f.processor_us,
            })
        });
        let walks = walks.iter().map(|hops| {
            serde_json::json!({
                "figure": "hops", "storages": hops.storages, "cold": hops.cold, "warm": hops.warm,
                "get_us": hops.us, "get_of_three_us": hops.of_three_us,
            })
        });
        return println!("{}", serde_json::Value::from_iter(figures.chain(walks)));
    }
    println!(
        "{:<48} {:>10} {:>8} {:>8}   processor time of each: here, in the storages",
        "figure", "per second", "p50 us", "p99 us"
    );
    for Figure { name, rate, p50_us, p99_us, processor_us } in figures {
        let used = processor_us.map(|[here, there]| format!("   {here:.1} us, {there:.1} us"));
        let used = used.unwrap_or_default();
        println!("{name:<48} {rate:>10.0} {p50_us:>8} {p99_us:>8}{used}");
    }
    for Hops { storages, cold, warm, us, of_three_us } in walks {
        println!(
            "{storages} storages: a cold walk is {cold} requests, a warm get {warm:.2}, in {us:.0} us; of keys that three \
             of them keep {of_three_us:.0} us"
        );
    }
}
