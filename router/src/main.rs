//! `sdht`: the ring at a terminal.

mod cli;

/// An operation is many small pieces, made and let go together, as in the storage.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Not returned: whoever still waits for standard input on a thread of its own would be waited for.
    std::process::exit(cli::main().into());
}
