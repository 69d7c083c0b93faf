//! The handle within a program that has a runtime of its own: it can be cloned and sent to any task, and works there.
//!
//! ```text
//! cargo run -p sdht --example embed -- 127.0.0.1:8000
//! ```

use sdht::{NoRing, NotConnected, Ring};
use std::{env, error::Error, time::Duration};

type Failed = Box<dyn Error + Send + Sync>;

async fn ring_at(address: &str) -> Result<Ring, NotConnected> {
    let builder = || Ring::builder().timeout(Duration::from_secs(5));
    match builder().connect([address]).await {
        Err(NotConnected::NoRing(NoRing::NotFounded(_))) => builder().found(address).await,
        other => other,
    }
}

async fn run(address: String) -> Result<(), Failed> {
    let ring = ring_at(&address).await?;
    // A task for each visitor, all of them over the same connections.
    let visits = (0..10).map(|visitor| {
        let ring = ring.clone();
        tokio::spawn(async move {
            let key = format!("visits/{visitor}");
            let before: u64 = ring.get(&key).await?.unwrap_or_default();
            ring.set(&key, &(before + 1)).await?;
            Ok::<_, Failed>(())
        })
    });
    for visit in visits.collect::<Vec<_>>() {
        visit.await??;
    }
    let mut keys = ring.keys("visits/");
    while let Some(key) = keys.next().await {
        let key = key?;
        let count: Option<u64> = ring.get(key.as_str()).await?;
        println!("{key}: {}", count.unwrap_or_default());
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    let address = env::args().nth(1).ok_or("name a storage: HOST:PORT")?;
    // Any kind of runtime does; the ring has a thread of its own.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(address))
}
