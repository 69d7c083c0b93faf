//! `sdht`: the ring at a terminal.

mod cli;

fn main() {
    // Not returned: whoever still waits for standard input on a thread of its own would be waited for.
    std::process::exit(cli::main().into());
}
