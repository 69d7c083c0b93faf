//! `sdht load`: random items in, every one queried, and what that was like.

use super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    progress::Line,
    table,
    workload::{
        chance::Chance,
        letters::Kind,
        run::{Content, Manner, Work},
        spread::{self, Part},
        summary::{Summary, bars},
        value::HEAD,
    },
};
use clap::Args;
use futures_util::future::{Either, select};
use minor_protocol::limits::VALUE_BYTES;
use sdht::Ring;
use serde_json::json;
use std::{pin::pin, time::Duration};

/// Put random items in, query every one of them, and print how that went and where they lie.
///
/// The items stay, under keys that begin with 'load/SEED/'. With the same seed they are the same ones again.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht load 1000
  sdht load 100000 --value-size 1000 --tasks 128
  sdht load 20000 --seed 7 --check --json")]
pub(crate) struct Load {
    /// How many items.
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    items: u64,

    #[command(flatten)]
    effort: Effort,

    /// Also read, all the while, what was put in before: half of what is done then are reads.
    #[arg(long)]
    check: bool,
}

/// What can be said of any work.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Bytes of each value.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = value_size)]
    pub(crate) value_size: usize,

    /// How many operations are under way at a time.
    #[arg(long, visible_alias = "connections", value_name = "COUNT", default_value_t = 64, value_parser = tasks)]
    pub(crate) tasks: usize,

    /// What all chance is drawn from; another one each time if nothing is said.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u32>,
}

fn value_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| (HEAD..=VALUE_BYTES).contains(size));
    size.ok_or_else(|| format!("a value has from {HEAD} to {VALUE_BYTES} bytes here"))
}

fn tasks(text: &str) -> Result<usize, String> {
    let tasks = text.parse().ok().filter(|tasks| (1..=10_000).contains(tasks));
    tasks.ok_or_else(|| "from 1 to 10000".into())
}

impl Effort {
    /// As it is where nobody says anything.
    pub(crate) fn usual() -> Self {
        Self { value_size: 100, tasks: 64, seed: None }
    }

    pub(crate) fn seed(self) -> Result<u32, Fail> {
        let mut fresh = [0; 4];
        match self.seed {
            Some(seed) => Ok(seed),
            None => match getrandom::fill(&mut fresh) {
                Ok(()) => Ok(u32::from_ne_bytes(fresh)),
                Err(why) => Err(Fail::other(format!("this system gives no random numbers: {why}"))),
            },
        }
    }

    pub(crate) fn content(self, seed: u32) -> Content {
        Content { seed: seed.into(), value_bytes: self.value_size }
    }
}

impl Load {
    /// As `lab up --load` wants it.
    pub(crate) fn of(items: u64) -> Self {
        Self { items, effort: Effort::usual(), check: false }
    }

    pub(crate) async fn run(&self, console: &Console) -> Ended {
        self.into(console, console.ring().await?).await
    }

    async fn into(&self, console: &Console, ring: Ring) -> Ended {
        let seed = self.effort.seed()?;
        let prefix = format!("load/{seed:08x}/");
        let work = Work::new(ring.clone(), prefix.clone(), self.effort.content(seed), true);
        let manner = Manner { tasks: self.effort.tasks, rate: None };
        let rounds = ring.rounds().await;

        let mut chance = Chance::new(seed.into());
        let put = || {
            let is_read = self.check && work.keys() > 0 && chance.below(2) == 0;
            match work.keys() {
                all if all == self.items => None,
                _ if work.summary().is_hopeless(manner.tasks) => None,
                some if is_read => Some((Kind::Read, chance.below(some))),
                _ => Some((Kind::Insert, work.new_key())),
            }
        };
        let put_in = watch(console, "put in", &work, manner, put).await?;
        if put_in.is_hopeless(manner.tasks) {
            return verdict(console, &[put_in], true);
        }
        let mut next = 0..self.items;
        let query = || next.next().map(|key| (Kind::Read, key));
        let queried = watch(console, "query", &work, manner, query).await?;

        let hops = work.hops(rounds).await;
        let places = (0..self.items).map(|key| work.key(key).position());
        let parts = spread::of(&ring.arcs().await, places);
        if console.json {
            let spread = parts
                .iter()
                .map(|part| json!({ "address": part.address, "own": part.own, "kept": part.kept }));
            console.object(json!({
                "items": self.items,
                "prefix": prefix,
                "seed": seed,
                "value_bytes": self.effort.value_size,
                "put_in": put_in.to_json(),
                "queried": queried.to_json(),
                "hops": hops,
                "spread": spread.collect::<Vec<_>>(),
            }))?;
        } else {
            console.print(format_args!("put in, {} items under '{prefix}':", self.items))?;
            console.print(put_in.table())?;
            console.print(format_args!("\nqueried, every one of them:\n{}", queried.table()))?;
            console.print(queried.chart())?;
            console.print(format_args!("\nhops to a key: {hops:.2}"))?;
            console.print(spread_table(&parts))?;
            let rows: Vec<_> = parts.iter().map(|part| (part.address.clone(), part.own)).collect();
            console.print(bars(&rows))?;
        }
        verdict(console, &[put_in, queried], true)
    }
}

fn spread_table(parts: &[Part]) -> comfy_table::Table {
    let mut table = table::of(&["storage", "items in its arc", "% of all", "items kept"]);
    table::numbers(&mut table, &[1, 2, 3]);
    let all = parts.iter().map(|part| part.own).sum::<u64>().max(1);
    for Part { address, own, kept } in parts {
        let share = format!("{:.1}", 100.0 * *own as f64 / all as f64);
        table.add_row(vec![address.clone(), own.to_string(), share, kept.to_string()]);
    }
    table
}

/// Runs it, and shows how it goes.
pub(crate) async fn watch(
    console: &Console,
    what: &str,
    work: &Work,
    manner: Manner,
    next: impl FnMut() -> Option<(Kind, u64)>,
) -> Result<Summary, Fail> {
    let mut line = Line::new(console, what);
    let show = async {
        loop {
            actix_rt::time::sleep(Duration::from_millis(250)).await;
            line.show(format_args!("{} operations", work.summary().operations()));
        }
    };
    let summary = match select(pin!(work.run(manner, next)), pin!(show)).await {
        Either::Left((summary, _)) => summary,
        Either::Right(((), _)) => unreachable!("it is shown as long as it runs"),
    };
    Ok(summary)
}

/// The last line, and the code.
pub(crate) fn verdict(console: &Console, summaries: &[Summary], is_checked: bool) -> Ended {
    let sum = |of: fn(&Summary) -> u64| summaries.iter().map(of).sum::<u64>();
    let (lost, stale, failed) = (sum(|s| s.lost), sum(|s| s.stale), sum(|s| s.failed));
    if !console.json {
        console.print(match is_checked {
            true => format!("{lost} lost, {stale} stale, {failed} failed"),
            false => format!("{failed} failed"),
        })?;
    }
    if lost + stale + failed == 0 {
        return Ok(());
    }
    let first = summaries.iter().find_map(|summary| summary.first_failure.as_ref());
    let what = match (lost + stale, first) {
        (0, Some(first)) => format!("{failed} operations failed; the first: {first}"),
        _ => "the ring did not keep what it acknowledged".into(),
    };
    Err(Fail::new(Code::Degraded, what).next(
        "'sdht status' shows who is missing, and 'sdht whereis KEY --check' what each storage has.",
    ))
}
