//! `minor-storage`: one storage, one process, one directory.

mod cli;
mod start;
mod tools;
mod upkeep;

use clap::Parser;
use std::process::ExitCode;

/// A batch is many small pieces, made and let go together: the system's allocator takes half as much time again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is logged when `RUST_LOG` does not say. What strangers send is no event: actix-http would log every malformed request.
const LOGGED: &str = "warn,actix_http=off";

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOGGED)).init();
    let cli = cli::Cli::parse();
    let end = match (&cli.check, &cli.tool) {
        (Some(dir), _) => tools::check(dir).map_err(|why| why.to_string()),
        (None, Some(tool)) => tools::use_tool(tool).map_err(|why| why.to_string()),
        (None, None) => {
            start::serve(&cli.serve).map_err(|why| why.to_string()).map(|()| ExitCode::SUCCESS)
        }
    };
    end.unwrap_or_else(|why| {
        eprintln!("minor-storage: {why}");
        ExitCode::FAILURE
    })
}
