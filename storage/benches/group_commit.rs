//! How many durable puts a second the store takes, when 1, 8 and 64 callers share its commits.
//!
//! `cargo bench -p minor-storage --bench group_commit -- [DIRECTORY [SECONDS]]`. The directory should lie on the disk that
//! will be used; without one a temporary directory beside the build is taken.
//!
//! Callers are threads of their own, and then tasks of one worker thread, which is how the service runs them.

use minor_storage::store::{
    Store, Tree,
    sled::{Options, SledStore},
};
use std::{
    error::Error,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const VALUE: [u8; 100] = [7; 100];

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds an option of its own.
    let mut given = std::env::args().skip(1).filter(|given| !given.starts_with("--"));
    let parent = given.next().map_or(PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let time = Duration::from_secs(given.next().map_or(Ok(5), |seconds| seconds.parse())?);

    for callers in [1, 8, 64] {
        for (kind, run) in [("threads", threads as Run), ("tasks", tasks as Run)] {
            let dir = tempfile::tempdir_in(&parent)?;
            let store = Arc::new(SledStore::open(dir.path(), Options::default())?);
            let waits = run(&store, callers, time);
            report(kind, callers, time, waits, store.stats().commits);
        }
    }
    Ok(())
}

/// Runs so many callers for so long, and says how long each put waited to be durable.
type Run = fn(&Arc<SledStore>, u64, Duration) -> Vec<Duration>;

fn threads(store: &Arc<SledStore>, callers: u64, time: Duration) -> Vec<Duration> {
    let started = Instant::now();
    let work = |caller| {
        let puts = (0..).take_while(|_| started.elapsed() < time);
        puts.map(|put| {
            let began = Instant::now();
            store
                .put(Tree::Records, &key(caller, put), Some(&VALUE))
                .expect("the store should take a put");
            store.commit().wait().expect("the store should commit");
            began.elapsed()
        })
        .collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let callers: Vec<_> =
            (0..callers).map(|caller| scope.spawn(move || work(caller))).collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().expect("a caller should not panic"))
            .collect()
    })
}

fn tasks(store: &Arc<SledStore>, callers: u64, time: Duration) -> Vec<Duration> {
    let started = Instant::now();
    let work = |caller, store: Arc<SledStore>| async move {
        let mut waits = Vec::new();
        while started.elapsed() < time {
            let began = Instant::now();
            let key = key(caller, waits.len() as u64);
            store.put(Tree::Records, &key, Some(&VALUE)).expect("the store should take a put");
            store.commit().await.expect("the store should commit");
            waits.push(began.elapsed());
        }
        waits
    };
    let worker =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime should start");
    worker.block_on(async {
        let callers: Vec<_> =
            (0..callers).map(|caller| tokio::spawn(work(caller, store.clone()))).collect();
        let mut waits = Vec::new();
        for caller in callers {
            waits.extend(caller.await.expect("a caller should not panic"));
        }
        waits
    })
}

/// Keys all over the tree, as places on the ring are: the same ones in every run.
fn key(caller: u64, put: u64) -> [u8; 16] {
    let number = (caller << 40 | put).wrapping_add(1);
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(spread ^ spread >> 32)) << 64 | u128::from(number)).to_be_bytes()
}

fn report(kind: &str, callers: u64, time: Duration, mut waits: Vec<Duration>, commits: u64) {
    waits.sort();
    let at = |percent: usize| waits[waits.len() * percent / 100].as_micros();
    println!(
        "{callers:2} {kind:7} {:8.0} durable puts/s, {:6.1} a commit, waited p50 {:5} us, p99 {:5} us",
        waits.len() as f64 / time.as_secs_f64(),
        waits.len() as f64 / commits as f64,
        at(50),
        at(99),
    );
}
