//! The command: what one types, one file a verb.
//!
//! ```text
//!   args ──▶ settings (flag, environment, file, memory) ──▶ verb ──▶ data on stdout, talk on stderr, one exit code
//!                                                            │
//!                                    Console: the ring, what was typed, where things are printed
//! ```
//!
//! A verb is a struct of arguments and one function that asks the ring and prints what it says. It prints through the
//! [`Console`], which knows whether a person or a program reads, and it fails with a [`Fail`], which carries the exit code,
//! what happened, and what to do next.

mod archive;
mod balance;
mod bench;
mod completions;
mod config;
mod console;
mod copies;
mod del;
mod export;
mod fail;
mod get;
mod has;
mod import;
mod join;
mod keys;
mod lab;
mod load;
mod man;
mod memory;
mod preview;
mod progress;
mod pull;
mod purge;
mod push;
mod remove;
mod repair;
mod serve;
mod set;
mod settings;
mod status;
mod table;
mod tree;
mod value;
mod walk;
mod whereis;
mod whole;
mod workload;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};
use console::Console;
use fail::{Code, Fail};
use futures_util::future::{Either, select};
use sdht::pace::Pace;
use std::{ffi::OsString, pin::pin};

/// A distributed hash table that people can trust with real data.
///
/// Storages (minor-storage) keep the data; this command joins them into a ring, and reads and writes its keys.
#[derive(Debug, Parser)]
#[command(name = "sdht", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,

    #[command(flatten)]
    options: Options,
}

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 other, 2 usage, 3 not found, 4 precondition failed,
5 no majority and nothing changed, 6 outcome unknown, 7 not allowed, 8 degraded, 130 interrupted.";

/// What can be said with every verb.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "With every verb")]
pub(crate) struct Options {
    /// Storages of the ring; one that answers is enough. The ring that is remembered stays so: 'sdht join' and 'sdht lab'
    /// are what changes it. [env: SDHT_RING] [default: the ring used last, else 127.0.0.1:8000]
    #[arg(long, global = true, value_name = "HOST:PORT[,...]", value_parser = settings::addresses)]
    ring: Option<settings::Addresses>,

    /// A file that not everybody can read, with the token of the storages. [env: SDHT_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,

    /// How long one operation is tried, as 10s, 500ms or 2m; and how long a change of the ring, however long it takes, goes
    /// without getting any further, or looks at the ring for --plan. [env: SDHT_TIMEOUT] [default: 10s, and 30s for a change of the ring]
    #[arg(long, global = true, value_name = "TIME", value_parser = settings::duration)]
    timeout: Option<std::time::Duration>,

    /// For programs: one JSON object, or one a line; and one as the last line of standard error for what went wrong.
    #[arg(long, global = true)]
    json: bool,

    /// Nothing on standard error but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// More on standard error; twice for all of it.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

/// What can be said where data moves, or goes.
#[derive(Args, Debug)]
pub(crate) struct Care {
    /// Ask nothing back.
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Say what would move, in keys and bytes, and stop.
    #[arg(long)]
    pub(crate) plan: bool,

    /// Move no more than this in a second, as 10MiB, 500k or 2000000, so that others are not in the way.
    #[arg(long, value_name = "BYTES", value_parser = settings::bytes)]
    pub(crate) max_rate: Option<u64>,
}

impl Care {
    /// The ring, which moves no faster than was said.
    async fn ring(&self, console: &Console) -> Result<sdht::Ring, Fail> {
        Ok(self.heed(console.ring().await?).await)
    }

    async fn heed(&self, ring: sdht::Ring) -> sdht::Ring {
        if let Some(rate) = self.max_rate {
            ring.set_max_rate(rate).await;
        }
        ring
    }
}

/// What can be said where values come and go, while the ring stays as it is.
#[derive(Args, Debug)]
pub(crate) struct Ease {
    /// Send or fetch no more than this in a second, as 10MiB, 500k or 2000000, so that others are not in the way.
    #[arg(long, value_name = "BYTES", value_parser = settings::bytes)]
    max_rate: Option<u64>,
}

impl Ease {
    /// For all that is under way together.
    fn pace(&self) -> Pace {
        let pace = Pace::default();
        if let Some(rate) = self.max_rate {
            pace.set_rate(rate);
        }
        pace
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Join(join::Join),
    #[command(visible_alias = "leave")]
    Remove(remove::Remove),
    #[command(visible_aliases = ["put", "store"])]
    Set(set::Set),
    #[command(visible_alias = "lookup")]
    Get(get::Get),
    Del(del::Del),
    #[command(visible_alias = "haskey")]
    Has(has::Has),
    Keys(keys::Keys),
    Whereis(whereis::Whereis),
    Walk(walk::Walk),
    Status(status::Status),
    /// The same as 'sdht status --watch'.
    #[command(hide = true)]
    Monitor(status::Status),
    Copies(copies::Copies),
    Balance(balance::Balance),
    Repair(repair::Repair),
    Purge(purge::Purge),
    Serve(serve::Serve),
    Export(export::Export),
    Import(import::Import),
    Push(push::Push),
    Pull(pull::Pull),
    Lab(lab::Lab),
    #[command(hide = true)]
    Addmany(lab::AddMany),
    Load(load::Load),
    Bench(bench::Bench),
    Config(config::Config),
    Completions(completions::Completions),
    Man(man::Man),
}

/// How a verb that did not fail ends.
type Ended = Result<(), Fail>;

impl Verb {
    async fn run(&self, console: &Console) -> Ended {
        match self {
            Self::Join(verb) => verb.run(console).await,
            Self::Remove(verb) => verb.run(console).await,
            Self::Set(verb) => verb.run(console).await,
            Self::Get(verb) => verb.run(console).await,
            Self::Del(verb) => verb.run(console).await,
            Self::Has(verb) => verb.run(console).await,
            Self::Keys(verb) => verb.run(console).await,
            Self::Whereis(verb) => verb.run(console).await,
            Self::Walk(verb) => verb.run(console).await,
            Self::Status(verb) => verb.run(console).await,
            Self::Monitor(verb) => verb.watch(console).await,
            Self::Copies(verb) => verb.run(console).await,
            Self::Balance(verb) => verb.run(console).await,
            Self::Repair(verb) => verb.run(console).await,
            Self::Purge(verb) => verb.run(console).await,
            Self::Serve(verb) => verb.run(console).await,
            Self::Export(verb) => verb.run(console).await,
            Self::Import(verb) => verb.run(console).await,
            Self::Push(verb) => verb.run(console).await,
            Self::Pull(verb) => verb.run(console).await,
            Self::Lab(verb) => verb.run(console).await,
            Self::Addmany(verb) => verb.run(console).await,
            Self::Load(verb) => verb.run(console).await,
            Self::Bench(verb) => verb.run(console).await,
            Self::Config(verb) => verb.run(console),
            Self::Completions(verb) => verb.run(console),
            Self::Man(verb) => verb.run(console),
        }
    }

    /// What to know when it was stopped by Ctrl-C.
    fn stopped(&self) -> Option<String> {
        let again = as_typed();
        match self {
            Self::Join(_)
            | Self::Remove(_)
            | Self::Copies(_)
            | Self::Balance(_)
            | Self::Purge(_)
            | Self::Repair(_)
            | Self::Import(_) => Some(format!(
                "Everything is served as before. The same again goes on from here: sdht {again}"
            )),
            Self::Push(_) | Self::Pull(_) => Some(format!(
                "What has come over is there. The same again does no harm: sdht {again}"
            )),
            Self::Set(_) | Self::Del(_) => Some(
                "It may have been done, or may still be: read before you change it again.".into(),
            ),
            _ => None,
        }
    }
}

/// The line that was typed, to be typed again.
fn as_typed() -> String {
    let words = std::env::args().skip(1).map(quoted);
    words.collect::<Vec<_>>().join(" ")
}

/// As a shell wants it.
fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Whether `--json` is among what was typed; behind `--` it is a value.
fn asks_for_json(typed: impl IntoIterator<Item = OsString>) -> bool {
    typed.into_iter().take_while(|word| word != "--").any(|word| word == "--json")
}

/// The whole command, from what was typed to the exit code.
pub(crate) fn main() -> Code {
    let Cli { verb, options } = match Cli::try_parse() {
        Ok(cli) => cli,
        // That it was to be JSON is not told by what could not be read.
        Err(usage) if usage.use_stderr() && asks_for_json(std::env::args_os()) => {
            return Fail::from(usage).tell(true);
        }
        Err(usage) => {
            // Where nobody reads, nothing needs to be said.
            let _ = usage.print();
            return if usage.use_stderr() { Code::Usage } else { Code::Ok };
        }
    };
    let told = Console::open(&options).and_then(|console| {
        let ended = in_a_runtime(&verb, &console);
        console.close(ended)
    });
    match told {
        Ok(()) => Code::Ok,
        Err(fail) => fail.tell(options.json),
    }
}

fn in_a_runtime(verb: &Verb, console: &Console) -> Ended {
    let runtime =
        actix_rt::Runtime::new().map_err(|why| Fail::other(format!("no runtime: {why}")))?;
    runtime.block_on(async {
        if let Verb::Serve(verb) = verb {
            // It hears Ctrl-C itself, and lets what is under way finish.
            return verb.run(console).await;
        }
        // Heard from the beginning: what is begun before anybody waits for anything is written down before it ends.
        let work = pin!(console.aloud(verb.run(console)));
        let stop = pin!(sdht::serve::asked_to_stop()?);
        let ended = match select(work, stop).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => {
                let (code, what) = (Code::Interrupted, "interrupted");
                Err(Fail { next: verb.stopped(), ..Fail::new(code, what) })
            }
        };
        if ended.is_ok() {
            console.remember().await;
        }
        ended
    })
}

/// The whole of it as clap sees it: for completions, man pages and tests.
fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
