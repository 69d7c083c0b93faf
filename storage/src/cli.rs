//! What one may say to `minor-storage`, on the command line or in the environment.

use clap::{Args, Parser, Subcommand, ValueEnum, builder::FalseyValueParser};
use minor_protocol::limits;
use minor_storage::storage::Durability;
use std::{net::IpAddr, path::PathBuf};

/// A small HTTP storage: keeps records, votes when asked, and never opens a connection to anybody.
///
/// In no ring it is a plain key/value store: `curl -X PUT --data-binary @file localhost:8000/v1/kv/a/key`, then
/// `curl localhost:8000/v1/kv/a/key`. A status page is at `/`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) serve: Serve,

    /// Read a closed data directory from end to end, and say what is there and whether it is whole. Its data stays as it is.
    #[arg(long, value_name = "DIR")]
    pub(crate) check: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) tool: Option<Tool>,
}

/// What else can be done than to serve.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Write all of a closed data directory to standard output, as one stream that any CBOR library reads.
    Export {
        /// The directory.
        #[arg(long, env = "MINOR_STORAGE_DATA", value_name = "DIR")]
        data: PathBuf,
    },
    /// Fill a new data directory with such a stream from standard input.
    Import {
        /// The directory; it is made.
        #[arg(long, env = "MINOR_STORAGE_DATA", value_name = "DIR")]
        data: PathBuf,
    },
    /// Print what makes a shell complete this command's words.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the pages of the manual into a directory.
    Man {
        /// The directory; it must exist.
        dir: PathBuf,
    },
}

/// How to serve.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The port to listen on; 0 takes any free one and says which.
    #[arg(short, long, env = "MINOR_STORAGE_PORT", default_value_t = 8_000)]
    pub(crate) port: u16,

    /// The address to listen on. One that others reach needs --token-file or --insecure.
    #[arg(long, env = "MINOR_STORAGE_BIND", value_name = "ADDR", default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,

    /// Where others reach this storage, if that is not where it listens.
    #[arg(long, env = "MINOR_STORAGE_ADVERTISE", value_name = "HOST:PORT", value_parser = place)]
    pub(crate) advertise: Option<String>,

    /// The directory of the data; its parent must exist. [default: ./minor-storage-PORT]
    #[arg(long, env = "MINOR_STORAGE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// When a write is acknowledged.
    #[arg(long, env = "MINOR_STORAGE_DURABILITY", value_enum, default_value_t = Acknowledge::Always)]
    pub(crate) durability: Acknowledge,

    /// A file that only its owner can read, with one token or, while one takes the other's place, two: one on a line. Whoever
    /// asks must show one of them.
    #[arg(long, env = "MINOR_STORAGE_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Let anybody who reaches the address read and write everything.
    #[arg(long, env = "MINOR_STORAGE_INSECURE", value_parser = FalseyValueParser::new())]
    pub(crate) insecure: bool,

    /// What this storage shares its fate with: copies are spread over zones.
    #[arg(long, env = "MINOR_STORAGE_ZONE", value_name = "NAME", default_value = "", value_parser = zone)]
    pub(crate) zone: String,

    /// Memory for cached data, in MiB; the process takes up to half as much again, and with many large values 256 MiB more.
    #[arg(long, env = "MINOR_STORAGE_CACHE_MIB", value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) cache_mib: u64,

    /// Threads that answer. One is enough for most disks.
    #[arg(long, env = "MINOR_STORAGE_WORKERS", value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: u16,

    /// Stop when standard input ends: whoever started this storage is gone then. What held its directory before may be ending
    /// likewise, and is waited for.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_ends: bool,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acknowledge {
    /// When it would survive a power cut.
    Always,
    /// At once; a power cut takes up to half a second of writes with it.
    Interval,
}

impl From<Acknowledge> for Durability {
    fn from(when: Acknowledge) -> Self {
        match when {
            Acknowledge::Always => Self::Always,
            Acknowledge::Interval => Self::Interval,
        }
    }
}

/// `HOST:PORT`, with a host that may stand in a URL.
fn place(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let (host, _) = parts.ok_or("it takes HOST:PORT")?;
    let is_v6 = host.starts_with('[') && host.ends_with(']');
    let is_host =
        |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || is_v6 && "[:]".contains(c);
    if host.is_empty() || !host.chars().all(is_host) {
        return Err("the host takes a name, an IPv4 address, or an [IPv6] address".into());
    }
    if text.len() > limits::ADDRESS_BYTES {
        return Err(format!("it has at most {} letters", limits::ADDRESS_BYTES));
    }
    Ok(text.into())
}

fn zone(text: &str) -> Result<String, String> {
    if text.len() > limits::ZONE_BYTES || text.chars().any(char::is_control) {
        return Err(format!("it has at most {} bytes, all of them visible", limits::ZONE_BYTES));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_place_is_a_host_and_a_port() {
        for good in ["a.example:80", "10.0.0.1:8000", "[fe80::1]:8000"] {
            assert!(place(good).is_ok(), "{good}");
        }
        for bad in ["a.example", ":80", "a b:80", "::1:80", "a.example:http", "a/b:80", "[]"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
