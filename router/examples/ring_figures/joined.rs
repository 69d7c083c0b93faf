//! A join, while nobody asks for anything and while many do: how many records move in a second, how many more than had to,
//! and how long those who ask are kept waiting meanwhile.

use crate::{Failed, Figure, figure, key, process::Process, ring_of};
use futures_util::future::{join, join_all};
use sdht::{Ring, moves::Far};
use std::{
    cell::{Cell, RefCell},
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long those who ask are watched before somebody joins.
const BEFORE: Duration = Duration::from_secs(3);

/// A ring of one storage is filled and a second one joins, so half of the records move; so many callers get and set in turn,
/// one after another.
pub(crate) async fn figures(
    dir: &Path,
    records: usize,
    callers: usize,
) -> Result<Vec<Figure>, Failed> {
    let data = |n| dir.join(format!("j{callers}-{n}"));
    let storages = [Process::storage(&data(0), &[])?, Process::storage(&data(1), &[])?];
    let ring = ring_of(&storages[..1], 1).await?;
    for n in 0..records / 1_000 {
        let pairs = (n * 1_000..(n + 1) * 1_000).map(|n| (key(n), "v".repeat(97)));
        for ended in ring.set_many(pairs).await {
            ended?;
        }
    }
    // They have a router of their own, as others would.
    let others = Ring::connect([storages[0].address.as_str()]).await?;
    let mut figures = vec![];
    if callers > 0 {
        let ((), figure) =
            asked(&others, "before a join", records, callers, waited(BEFORE)).await?;
        figures.push(figure);
    }
    let joining = async {
        let (begun, mut far) = (Instant::now(), Far::default());
        let mut moving = ring.join(&storages[1].address);
        while let Some(progress) = moving.next().await {
            far.hear(&progress);
        }
        moving.await.map(|()| (begun.elapsed(), far.copied().0))
    };
    let (joined, figure) = asked(&others, "during it", records, callers, joining).await?;
    let (took, moved) = joined?;
    let half = (records / 2) as f64;
    let name = format!(
        "join beside {callers} callers: {moved} records moved, {:.2} x",
        moved as f64 / half
    );
    let (rate, us) = (moved as f64 / took.as_secs_f64(), took.as_micros());
    figures.push(Figure { name, rate, p50_us: us, p99_us: us, processor_us: None });
    figures.extend((callers > 0).then_some(figure));
    Ok(figures)
}

/// Has so many callers get and set in turn until this has ended.
async fn asked<T>(
    ring: &Ring,
    when: &str,
    records: usize,
    callers: usize,
    until: impl Future<Output = T>,
) -> Result<(T, Figure), Failed> {
    let (is_over, took) = (Cell::new(false), RefCell::new(vec![]));
    let begun = Instant::now();
    let call = async |caller: usize| {
        let mut n = caller * 7_919;
        while !is_over.get() {
            n += 1_009;
            let (key, begun) = (key(n % records), Instant::now());
            if n.is_multiple_of(2) {
                ring.put_bytes(&key, "", vec![7; 100]).await?;
            } else {
                ring.get_bytes(&key).await?.ok_or("a key is lost")?;
            }
            took.borrow_mut().push(begun.elapsed());
        }
        Ok::<(), Failed>(())
    };
    let ending = async {
        let ended = until.await;
        is_over.set(true);
        ended
    };
    let (ended, called) = join(ending, join_all((0..callers).map(call))).await;
    called.into_iter().collect::<Result<(), Failed>>()?;
    let name = format!("get and set, {callers} callers, {when}");
    Ok((ended, figure(name, begun.elapsed(), took.into_inner())))
}

/// Ends after a while, whatever runtime there is.
async fn waited(time: Duration) {
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        thread::sleep(time);
        tell.send(())
    });
    let _ = told.await;
}
