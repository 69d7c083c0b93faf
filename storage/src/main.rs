//! `minor-storage`: one storage, one process, one directory.

mod cli;
mod start;
mod upkeep;

use clap::Parser;
use std::process::ExitCode;

/// What is logged when `RUST_LOG` does not say. What strangers send is no event: actix-http would log every malformed request.
const LOGGED: &str = "warn,actix_http=off";

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOGGED)).init();
    let cli = cli::Cli::parse();
    // Other things to do with a directory than to serve from it come in here.
    match start::serve(&cli.serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("minor-storage: {why}");
            ExitCode::FAILURE
        }
    }
}
