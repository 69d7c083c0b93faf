//! `sdht lab`: a ring of real storages on this machine, for trying things out.
//!
//! ```text
//!   ./sdht-lab/  lab.json       which storages there are, their processes, their flags
//!                8000/          what the storage on port 8000 keeps
//!                8000.log       what it says
//! ```
//!
//! The storages are ordinary ones, each a process of its own that outlives this command. Every verb looks at what is, does
//! what is missing and writes down what it did, so `up` said twice is `up`, and after a restart of the machine it is `up` too.
//! Nothing waits between the start of a process and its being written down, or Ctrl-C would leave one that nobody knows.

mod folder;
mod logs;
pub(super) mod storage;

use super::{Ended, console::Console, fail::Fail, load::Load, progress, status, table};
use clap::{Args, Subcommand};
use folder::Folder;
use minor_protocol::message::PlainRecords;
use sdht::{NoRing, NotConnected, Ring};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use storage::Storage;

/// Play with a local ring of real storages: start it, kill some, start them again.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  sdht lab up 4 --load 1000
  sdht lab kill 8002
  sdht lab down --destroy-data")]
pub(crate) struct Lab {
    #[command(subcommand)]
    verb: Verb,

    /// The folder of its data and logs.
    #[arg(long, global = true, value_name = "DIR", default_value = "sdht-lab")]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Up(Up),
    Add(Add),
    /// End storages as a power cut would (kill -9).
    #[command(
        after_help = "Examples:\n  sdht lab kill 8002\n  sdht lab kill 8001 8002\n  sdht lab kill 8000 --dir /tmp/play"
    )]
    Kill(Ports),
    /// Stop storages if they run, and start them again.
    #[command(
        after_help = "Examples:\n  sdht lab restart 8002\n  sdht lab restart 8001 8002\n  sdht lab restart 8000 --dir /tmp/play"
    )]
    Restart(Ports),
    /// Ask storages to stop, and wait until they have. They stay in the ring.
    #[command(
        after_help = "Examples:\n  sdht lab stop 8002\n  sdht lab stop 8001 8002\n  sdht lab stop 8000 --dir /tmp/play"
    )]
    Stop(Ports),
    Logs(logs::Logs),
    /// Show which storages there are, and which of them run.
    #[command(visible_alias = "ps")]
    #[command(
        after_help = "Examples:\n  sdht lab status\n  sdht lab status --json\n  sdht lab status --dir /tmp/play"
    )]
    Status,
    Down(Down),
}

/// Start so many storages on free ports, join them, and print the ring. What ran before runs again, with its data.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht lab up 4
  sdht lab up 4 --load 1000
  sdht lab up 5 --copies 5 --port 9000 -- --durability interval")]
struct Up {
    /// How many there are to be in all. [default: as many as there were, or 4]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    storages: Option<u16>,

    /// Then put so many random items in, as 'sdht load' does.
    #[arg(long, value_name = "ITEMS")]
    load: Option<u64>,

    /// How many copies a new ring keeps of everything. [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=7))]
    copies: Option<u8>,

    /// Where to begin looking for free ports. [default: behind those of the lab, or 8000]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Flags for each storage of a new lab.
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// Start so many further storages, and join them to the ring of the lab.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht lab add 1
  sdht lab add 3 --port 9000
  sdht lab add 2 --dir /tmp/play")]
struct Add {
    /// How many.
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    storages: u16,

    /// Where to begin looking for free ports. [default: behind those of the lab]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// The same as 'sdht lab add'.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht addmany 1
  sdht addmany 3 --port 9000
  sdht addmany 2 --dir /tmp/play")]
pub(crate) struct AddMany {
    #[command(flatten)]
    add: Add,

    /// The folder of the lab.
    #[arg(long, value_name = "DIR", default_value = "sdht-lab")]
    dir: PathBuf,
}

/// Where it is begun to look for free ports, and how many copies a ring has, unless somebody says otherwise.
const PORT: u16 = 8_000;
const COPIES: u8 = 3;

#[derive(Args, Debug)]
struct Ports {
    /// The ports of the storages.
    #[arg(required = true, value_name = "PORT")]
    ports: Vec<u16>,
}

/// Stop all storages. Their data stays, and 'sdht lab up' goes on with it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht lab down
  sdht lab down --destroy-data
  sdht lab down --dir /tmp/play")]
struct Down {
    /// Remove all that they kept, and their logs.
    #[arg(long)]
    destroy_data: bool,

    /// For old hands: nothing is asked back in any case.
    #[arg(short, long)]
    yes: bool,
}

impl Lab {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let each = |ports: &Ports, act: fn(&mut Storage, &Path, &[String]) -> Ended| {
            let mut folder = Folder::open(&self.dir)?;
            let (dir, flags) = (folder.dir.clone(), folder.lab.flags.clone());
            for port in &ports.ports {
                let done = act(folder.storage(*port)?, &dir, &flags);
                folder.write()?;
                done?;
            }
            show(console, &folder)
        };
        match &self.verb {
            Verb::Up(up) => up.run(console, &self.dir).await,
            Verb::Add(add) => add.run(console, &self.dir).await,
            Verb::Kill(ports) => each(ports, |storage, _, _| storage.kill()),
            Verb::Stop(ports) => each(ports, |storage, _, _| storage.stop()),
            Verb::Restart(ports) => each(ports, |storage, dir, flags| {
                let program = storage::program()?;
                storage.stop()?;
                storage.start(&program, dir, flags)
            }),
            Verb::Logs(logs) => logs.run(console, &self.dir).await,
            // Without the lock: one may look while others work.
            Verb::Status => {
                let lab =
                    folder::Lab::read(&self.dir)?.ok_or_else(|| folder::nothing_in(&self.dir))?;
                print(console, &self.dir, &lab.storages)
            }
            Verb::Down(down) => down.run(console, &self.dir),
        }
    }
}

impl AddMany {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        self.add.run(console, &self.dir).await
    }
}

impl Up {
    async fn run(&self, console: &Console, dir: &Path) -> Ended {
        let program = storage::program()?;
        let mut folder = Folder::open_or_make(dir, &self.flags)?;
        if !self.flags.is_empty() && self.flags != folder.lab.flags {
            let what = format!("the storages of this lab have the flags {:?}", folder.lab.flags);
            return Err(Fail::usage(what).next(
                "Leave the flags away; or, for a new lab, say 'sdht lab down --destroy-data' first.",
            ));
        }
        start_again(&mut folder, &program)?;
        let there = folder.lab.storages.len();
        let wanted = self.storages.map_or(if there == 0 { 4 } else { there }, usize::from);
        let new = wanted.saturating_sub(there);
        start_new(&mut folder, &program, new, self.port)?;
        let ring = join_all(console, &folder, self.copies.unwrap_or(COPIES)).await?;
        self.say_what_was_not_heeded(console, &ring, there, new).await;
        show_ring(console, &folder, &ring).await?;
        match self.load {
            Some(items) => {
                console.flush()?;
                Load::of(items).run(console).await
            }
            None => Ok(()),
        }
    }
}

impl Up {
    /// What was typed for a new lab, where there is one already.
    async fn say_what_was_not_heeded(
        &self,
        console: &Console,
        ring: &Ring,
        there: usize,
        new: usize,
    ) {
        if self.storages.is_some_and(|wanted| usize::from(wanted) < there) {
            console.say(format_args!(
                "This lab has {there} storages already, and none was taken away: 'sdht remove HOST:PORT' lets one go."
            ));
        }
        if there > 0 && new == 0 && self.port.is_some() {
            console.say("--port was not needed: no storage was added to this lab.");
        }
        let kept = ring.arcs().await.iter().map(|arc| arc.copies).max();
        if let (Some(wanted), Some(kept)) = (self.copies, kept)
            && wanted != kept
        {
            console.say(format_args!(
                "--copies is for a new ring, and this one keeps {kept}: 'sdht copies {wanted}' changes it."
            ));
        }
    }
}

impl Add {
    async fn run(&self, console: &Console, dir: &Path) -> Ended {
        let (mut folder, program) = (Folder::open(dir)?, storage::program()?);
        if !folder.lab.storages.iter().any(Storage::runs) {
            return Err(Fail::other("no storage of this lab runs").next("Start them: sdht lab up"));
        }
        start_new(&mut folder, &program, self.storages.into(), self.port)?;
        let ring = join_all(console, &folder, COPIES).await?;
        show_ring(console, &folder, &ring).await
    }
}

impl Down {
    fn run(&self, console: &Console, dir: &Path) -> Ended {
        let mut folder = Folder::open(dir)?;
        for n in 0..folder.lab.storages.len() {
            let stopped = folder.lab.storages[n].stop();
            folder.write()?;
            stopped?;
        }
        let (place, many) = (folder.dir.display().to_string(), folder.lab.storages.len());
        if self.destroy_data {
            let gone: Vec<String> = folder.lab.storages.iter().map(Storage::address).collect();
            folder.destroy()?;
            console.forget(&gone);
        }
        if console.json {
            let object = json!({ "dir": place, "stopped": many, "destroyed": self.destroy_data });
            return console.object(object);
        }
        console.print(match self.destroy_data {
            true => format!("{many} storages are stopped, and their data is gone"),
            false => format!("{many} storages are stopped; their data is in {place}"),
        })
    }
}

/// Starts what is written down and does not run.
fn start_again(folder: &mut Folder, program: &Path) -> Ended {
    let (dir, flags) = (folder.dir.clone(), folder.lab.flags.clone());
    for n in 0..folder.lab.storages.len() {
        let started = folder.lab.storages[n].start(program, &dir, &flags);
        folder.write()?;
        started?;
    }
    Ok(())
}

/// Starts so many new ones, on free ports.
fn start_new(folder: &mut Folder, program: &Path, count: usize, from: Option<u16>) -> Ended {
    let (dir, flags) = (folder.dir.clone(), folder.lab.flags.clone());
    let last = folder.lab.storages.iter().map(|storage| storage.port).max();
    let from = from.or(last).unwrap_or(PORT);
    let mut ports = from..=u16::MAX;
    // Also where nothing is started there is a lab now.
    folder.write()?;
    for _ in 0..count {
        let is_ours = |port| folder.lab.storages.iter().any(|storage| storage.port == port);
        let free = ports.find(|port| !is_ours(*port) && storage::is_free(("127.0.0.1", *port)));
        let port = free.ok_or_else(|| Fail::other(format!("no port from {from} on is free")))?;
        let mut storage = Storage { port, process: None };
        storage.start(program, &dir, &flags)?;
        folder.lab.storages.push(storage);
        folder.write()?;
    }
    Ok(())
}

/// Brings all storages of the lab into its ring, which the first of them founds.
async fn join_all(console: &Console, folder: &Folder, copies: u8) -> Result<Ring, Fail> {
    let addresses: Vec<String> = folder.lab.storages.iter().map(Storage::address).collect();
    let ring = match console.connect(console.builder()?, &addresses).await {
        Ok(ring) => ring,
        Err(NotConnected::NoRing(NoRing::NotFounded(_))) => {
            console.builder()?.copies(copies).found(addresses[0].clone()).await?
        }
        Err(other) => return Err(other.into()),
    };
    let ring = console.adopt(ring);
    console.settle_here();
    for address in &addresses {
        // Whose place on the ring an arc ends at has come in; a join that was stopped half-way is said again.
        if !ring.arcs().await.iter().any(|arc| arc.members[0].address == *address) {
            let moving = ring.join_at(address, None, PlainRecords::Refuse);
            progress::follow(console, &format!("join {address}"), moving).await?;
        }
    }
    Ok(ring)
}

async fn show_ring(console: &Console, folder: &Folder, ring: &Ring) -> Ended {
    let seen = status::survey(ring).await?;
    if console.json {
        let mut object = as_json(&folder.dir, &folder.lab.storages);
        object["ring"] = seen.to_json();
        return console.object(object);
    }
    console.print(seen.table())?;
    console.print(&seen.state.sentence)?;
    console.say(format_args!(
        "Data and logs are in {}. 'sdht lab down' stops it, 'sdht --help' shows what else there is.",
        folder.dir.display()
    ));
    Ok(())
}

fn show(console: &Console, folder: &Folder) -> Ended {
    print(console, &folder.dir, &folder.lab.storages)
}

fn print(console: &Console, dir: &Path, storages: &[Storage]) -> Ended {
    if console.json {
        return console.object(as_json(dir, storages));
    }
    let mut table = table::of(&["storage", "state", "process", "data", "log"]);
    table::numbers(&mut table, &[2]);
    for storage in storages {
        table.add_row(vec![
            storage.address(),
            storage.state().to_owned(),
            pid(storage).map_or_else(|| "-".into(), |pid| pid.to_string()),
            storage.data(dir).display().to_string(),
            storage.log(dir).display().to_string(),
        ]);
    }
    console.print(table)
}

fn pid(storage: &Storage) -> Option<i32> {
    storage.process.as_ref().filter(|_| storage.runs()).map(|process| process.pid)
}

fn as_json(dir: &Path, storages: &[Storage]) -> Value {
    let storages = storages.iter().map(|storage| {
        json!({
            "address": storage.address(),
            "port": storage.port,
            "state": storage.state(),
            "process": pid(storage),
            "data": storage.data(dir),
            "log": storage.log(dir),
        })
    });
    json!({ "dir": dir, "storages": storages.collect::<Vec<_>>() })
}
