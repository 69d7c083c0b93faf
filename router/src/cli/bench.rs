//! `sdht bench`: the workloads of YCSB, and whether the ring keeps its word under them.

use super::{
    Ended,
    console::Console,
    fail::Fail,
    load::{Effort, verdict, watch},
    settings,
    workload::{
        chance::Chance,
        keys::Distribution,
        letters::{Kind, Letter},
        run::{Manner, Work},
        summary::Summary,
    },
};
use clap::Args;
use futures_util::{
    StreamExt, TryStreamExt,
    future::{Either, select},
    stream,
};
use serde_json::json;
use std::{
    cell::Cell,
    pin::pin,
    time::{Duration, Instant},
};

/// Measure the ring with a workload of YCSB, from A to F, and print rates and latencies.
///
/// First it writes its records, under keys that begin with 'bench/'; they stay there for the next run unless --clean is said.
/// A is half reads and half updates, B 95 reads to 5 updates, C only reads, D 95 reads of what is new to 5 inserts, E 95 scans
/// to 5 inserts, F half reads and half conditional updates of what was just read. The ring keeps no order of keys, so a scan is
/// up to 100 reads at once.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht bench
  sdht bench b --distribution uniform --ops 100000 --json
  sdht bench a --rate 5000 --duration 1m --check")]
pub(crate) struct Bench {
    /// The workload.
    #[arg(value_enum, default_value_t = Letter::A)]
    workload: Letter,

    /// How keys are drawn. [default: zipfian; for D latest]
    #[arg(long, value_enum, value_name = "HOW")]
    distribution: Option<Distribution>,

    /// How many records there are at first.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    records: u64,

    /// For how long. [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = settings::duration, conflicts_with = "ops")]
    duration: Option<Duration>,

    /// How many operations.
    #[arg(long, value_name = "COUNT")]
    ops: Option<u64>,

    /// So many operations in a second, whether the ring keeps up or not; each one's latency counts from when it was due.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,

    /// Verify of every read that nothing acknowledged is lost or stale, and read everything once more at the end.
    #[arg(long)]
    check: bool,

    /// Delete the records at the end.
    #[arg(long)]
    clean: bool,

    /// Print a line for each second; with --json an object.
    #[arg(long)]
    progress: bool,

    #[command(flatten)]
    effort: Effort,
}

const DURATION: Duration = Duration::from_secs(10);

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=10_000_000.0).contains(rate));
    rate.ok_or_else(|| "a number from 0.01 to 10000000".into())
}

/// When it is enough.
#[derive(Clone, Copy, Debug)]
enum Enough {
    After(u64),
    At(Instant),
}

impl Bench {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let ring = console.ring().await?;
        let seed = self.effort.seed()?;
        let content = self.effort.content(seed);
        let work = Work::new(ring.clone(), "bench/".into(), content, self.check);
        let flat_out = Manner { tasks: self.effort.tasks, rate: None };

        let rounds = ring.rounds().await;
        let goes_on = || work.keys() < self.records && !work.summary().is_hopeless(flat_out.tasks);
        let insert = || goes_on().then(|| (Kind::Insert, work.new_key()));
        let written = watch(console, "write records", &work, flat_out, insert).await?;
        if written.is_hopeless(flat_out.tasks) {
            return verdict(console, &[written], self.check);
        }

        let measured = self.measure(console, &work, seed).await?;
        let hops = work.hops(rounds).await;
        let mut summaries = vec![written, measured];
        if self.check {
            let mut keys = 0..work.keys();
            let read = || keys.next().map(|key| (Kind::Read, key));
            summaries.push(watch(console, "read all", &work, flat_out, read).await?);
        }
        if self.clean {
            self.clean(&work, &ring).await?;
        }

        let [written, measured, ..] = &summaries[..] else { unreachable!("both were pushed") };
        let distribution = self.distribution();
        if console.json {
            let sum = |of: fn(&Summary) -> u64| summaries.iter().map(of).sum::<u64>();
            console.object(json!({
                "workload": self.workload.name(),
                "distribution": format!("{distribution:?}").to_lowercase(),
                "records": self.records,
                "value_bytes": self.effort.value_size,
                "tasks": self.effort.tasks,
                "rate": self.rate,
                "seed": seed,
                "written": written.to_json(),
                "measured": measured.to_json(),
                "hops": hops,
                "checked": self.check,
                "lost": sum(|s| s.lost),
                "stale": sum(|s| s.stale),
                "failed": sum(|s| s.failed),
            }))?;
        } else {
            console.print(format_args!(
                "workload {}, keys {}, {} records of {} bytes, {} tasks{}, {:.1} s",
                self.workload.name(),
                format!("{distribution:?}").to_lowercase(),
                self.records,
                self.effort.value_size,
                self.effort.tasks,
                self.rate.map_or(String::new(), |rate| format!(", {rate} due in a second")),
                measured.over.as_secs_f64(),
            ))?;
            console.print(measured.table())?;
            console.print(measured.chart())?;
            console.print(format_args!("hops to a key: {hops:.2}"))?;
        }
        verdict(console, &summaries, self.check)
    }

    fn distribution(&self) -> Distribution {
        self.distribution.unwrap_or(self.workload.distribution())
    }

    /// When it is enough. Where operations are due at moments, all that are due within the time are done, however late.
    fn enough(&self) -> Enough {
        let duration = self.duration.unwrap_or(DURATION);
        match (self.ops, self.rate) {
            (Some(ops), _) => Enough::After(ops),
            (None, Some(rate)) => Enough::After((rate * duration.as_secs_f64()).ceil() as u64),
            (None, None) => Enough::At(Instant::now() + duration),
        }
    }

    async fn measure(&self, console: &Console, work: &Work, seed: u32) -> Result<Summary, Fail> {
        let manner = Manner { tasks: self.effort.tasks, rate: self.rate };
        let (mut chance, given) = (Chance::new(u64::from(seed) + 1), Cell::new(0_u64));
        let (enough, distribution) = (self.enough(), self.distribution());
        let next = || {
            let goes_on = match enough {
                Enough::After(count) => given.get() < count,
                Enough::At(end) => Instant::now() < end,
            };
            given.set(given.get() + 1);
            goes_on.then(|| match self.workload.draw(&mut chance) {
                Kind::Insert => (Kind::Insert, work.new_key()),
                kind => (kind, distribution.draw(work.keys(), &mut chance)),
            })
        };
        let name = format!("workload {}", self.workload.name());
        let _ = work.take_recent();
        let measuring = watch(console, &name, work, manner, next);
        if !self.progress {
            return measuring.await;
        }
        let telling = async {
            for second in 1_u64.. {
                actix_rt::time::sleep(Duration::from_secs(1)).await;
                tell(console, second, &work.take_recent().to_json(Duration::from_secs(1)))?;
            }
            Ok(())
        };
        match select(pin!(measuring), pin!(telling)).await {
            Either::Left((summary, _)) => summary,
            Either::Right((told, _)) => {
                Err(told.err().unwrap_or_else(|| Fail::other("time is over")))
            }
        }
    }

    async fn clean(&self, work: &Work, ring: &sdht::Ring) -> Ended {
        let delete = |key| {
            let (ring, key) = (ring.clone(), work.key(key));
            async move { ring.delete(key.as_str()).await }
        };
        let deleted = stream::iter(0..work.keys()).map(delete).buffer_unordered(self.effort.tasks);
        deleted.try_for_each(|_| async { Ok(()) }).await?;
        Ok(())
    }
}

fn tell(console: &Console, second: u64, figures: &serde_json::Value) -> Ended {
    if console.json {
        let mut object = figures.clone();
        object["second"] = second.into();
        console.object(object)?;
    } else {
        let figure = |name: &str| figures[name].as_u64().unwrap_or_default();
        console.print(format_args!(
            "second {second}: {} operations, p50 {} µs, p99 {} µs, max {} µs",
            figure("operations"),
            figure("p50_us"),
            figure("p99_us"),
            figure("max_us")
        ))?;
    }
    console.flush()
}
