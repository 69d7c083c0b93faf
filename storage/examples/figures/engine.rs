//! What a storage's writing is measured against: its own store and the store's group commit, without records and without HTTP.

use crate::load::{VALUE_BYTES, key};
use actix_web::rt::{spawn, time::sleep};
use minor_protocol::Position;
use minor_storage::store::{
    Store, Tree,
    sled::{Options, SledStore},
};
use std::{
    cell::Cell,
    io,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

const WARM_UP: Duration = Duration::from_millis(500);

/// Durable puts per second, over keys taken in turn, so many at once.
pub(crate) async fn rate(
    dir: &Path,
    keys: u64,
    at_once: usize,
    lasting: Duration,
) -> io::Result<f64> {
    let store =
        Rc::new(SledStore::open(&dir.join("store"), Options::default()).map_err(io::Error::other)?);
    let (begun, done, over) =
        (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let one = || {
        let (store, begun, done, over) = (store.clone(), begun.clone(), done.clone(), over.clone());
        async move {
            while !over.get() {
                let turn = begun.replace(begun.get() + 1);
                let number = turn % keys;
                // Never what is there already: sled writes nothing then.
                let mut value = [b'v'; VALUE_BYTES];
                value[..8].copy_from_slice(&u64::to_be_bytes(turn));
                // Where a record of this key lies in a storage: in ring order, which is no order of names.
                let name = key(number);
                let row = [&Position::of(&name).0.to_be_bytes()[..], name.as_bytes()].concat();
                store.put(Tree::Records, &row, Some(&value))?;
                store.commit().await?;
                done.set(done.get() + 1);
            }
            Ok::<_, minor_storage::store::Fault>(())
        }
    };
    let tasks: Vec<_> = (0..at_once).map(|_| spawn(one())).collect();
    sleep(WARM_UP).await;
    let (begin, before) = (Instant::now(), done.get());
    sleep(lasting).await;
    let rate = f64::from(done.get() - before) / begin.elapsed().as_secs_f64();
    over.set(true);
    for task in tasks {
        task.await.expect("a task does not panic").map_err(io::Error::other)?;
    }
    Ok(rate)
}
