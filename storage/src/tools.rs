//! What else can be done than to serve: check a data directory, export it, import into it; print completions and manual.
//!
//! The first three need the directory for themselves; a storage that serves from it keeps them out.

use crate::cli::{Cli, Tool};
use clap::CommandFactory;
use minor_storage::{
    archive::{self, Count, NoArchive},
    check,
    store::{
        Fault, Store,
        directory::{Directory, Unusable},
        sled::{Options, SledStore},
    },
};
use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Memory for cached data: what is read once needs little.
const CACHE_BYTES: u64 = 64 << 20;

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    #[error("there is no data directory {}", .0.display())]
    Missing(PathBuf),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("the data in {} cannot be opened: {fault}; nothing was changed", dir.display())]
    Unopened { dir: PathBuf, fault: Fault },
    #[error("the data in {} could not be read to its end: {fault}; nothing was changed", dir.display())]
    Unread { dir: PathBuf, fault: Fault },
    #[error(
        "an archive is no text: send it to a file or a pipe, as in `minor-storage export --data DIR > FILE`"
    )]
    Terminal,
    #[error("the export of {} stopped: {why}", dir.display())]
    NotExported { dir: PathBuf, why: NoArchive },
    #[error("nothing was imported into {}: {why}", dir.display())]
    InUse { dir: PathBuf, why: NoArchive },
    #[error("the import into {} stopped: {why}; nobody will serve from what came in: remove the directory and begin anew", dir.display())]
    NotImported { dir: PathBuf, why: NoArchive },
    #[error("the manual could not be written into {}: {why}", dir.display())]
    NoManual { dir: PathBuf, why: io::Error },
    #[error("the result could not be printed: {0}")]
    NotPrinted(#[from] io::Error),
}

/// Reads a closed data directory and says what is there.
pub(crate) fn check(dir: &Path) -> Result<ExitCode, NotDone> {
    let store = open_existing(dir)?;
    let findings =
        check::check(&store).map_err(|fault| NotDone::Unread { dir: dir.into(), fault })?;
    writeln!(io::stdout(), "{findings}")?;
    Ok(if findings.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything else.
pub(crate) fn use_tool(tool: &Tool) -> Result<ExitCode, NotDone> {
    match tool {
        Tool::Export { data } => export(data),
        Tool::Import { data } => import(data),
        Tool::Completions { shell } => complete(*shell),
        Tool::Man { dir } => write_manual(dir),
    }
}

fn complete(shell: clap_complete::Shell) -> Result<ExitCode, NotDone> {
    let mut text = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "minor-storage", &mut text);
    io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn write_manual(dir: &Path) -> Result<ExitCode, NotDone> {
    clap_mangen::generate_to(Cli::command(), dir)
        .map_err(|why| NotDone::NoManual { dir: dir.into(), why })?;
    Ok(ExitCode::SUCCESS)
}

fn export(dir: &Path) -> Result<ExitCode, NotDone> {
    if io::stdout().is_terminal() {
        return Err(NotDone::Terminal);
    }
    let store = open_existing(dir)?;
    let out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let Count { pages, records, damaged } = archive::export(&store, out)
        .map_err(|why| NotDone::NotExported { dir: dir.into(), why })?;
    eprintln!("minor-storage: exported {records} records and {pages} pages");
    if damaged > 0 {
        eprintln!(
            "minor-storage: {damaged} records are damaged and were left out; --check names them"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn import(dir: &Path) -> Result<ExitCode, NotDone> {
    let store = open(dir)?;
    let from = io::BufReader::with_capacity(1 << 20, io::stdin().lock());
    let count = match archive::import(&store, from) {
        Ok(count) => count,
        Err(why @ NoArchive::NotEmpty) => return Err(NotDone::InUse { dir: dir.into(), why }),
        Err(why) => return Err(NotDone::NotImported { dir: dir.into(), why }),
    };
    drop(store);
    eprintln!("minor-storage: imported {} records and {} pages", count.records, count.pages);
    Ok(ExitCode::SUCCESS)
}

fn open_existing(dir: &Path) -> Result<SledStore, NotDone> {
    if !dir.join("format").exists() {
        return Err(NotDone::Missing(dir.into()));
    }
    open(dir)
}

/// The store of a directory that nobody serves from. It is dropped, never closed: the last storage's farewell stays as it is.
fn open(dir: &Path) -> Result<SledStore, NotDone> {
    let directory = Directory::claim(dir)?;
    let store = directory.open_store(Options { cache_bytes: CACHE_BYTES });
    let store = store.map_err(|fault| NotDone::Unopened { dir: dir.into(), fault })?;
    store.health().map_err(|fault| NotDone::Unopened { dir: dir.into(), fault })?;
    // The lock is held until the process ends, which is as soon as the work is done.
    std::mem::forget(directory);
    Ok(store)
}
