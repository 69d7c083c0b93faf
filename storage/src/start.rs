//! From flags to a storage that serves, and from being asked to stop to a clean end.
//!
//! The address is taken first, then the directory, then the data is read; only then may others connect, so nobody ever meets a
//! storage that is not ready. What cannot be begun is said in one line, and nothing is left changed.

use crate::{cli::Serve, upkeep::Upkeep};
use futures_util::future::{Either, pending, select};
use minor_protocol::StorageId;
use minor_storage::{
    http::{self, Face, Guard, NoTokens, Tokens},
    storage::{Settings, Storage},
    store::{
        Fault,
        directory::{Directory, Unusable},
        sled::Options,
    },
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::pin,
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a directory is waited for that somebody who is ending may still hold.
const LEAVING: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(50);

/// Why a storage does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoStart {
    #[error(transparent)]
    Tokens(#[from] NoTokens),
    #[error(
        "others could reach {0} and read and write everything: listen on 127.0.0.1 (--bind), or ask for a token (--token-file FILE), \
         or stay on 127.0.0.1 behind a proxy that knows its users, or say --insecure if everybody there may do so"
    )]
    OpenToAll(IpAddr),
    #[error(
        "cannot listen on {address}: {why}; is another program there? --port takes another port, 0 any free one"
    )]
    Address { address: SocketAddr, why: io::Error },
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("the data in {} cannot be opened: {fault}; nothing in it was set aside. See to the disk, then start again", dir.display())]
    Unopened { dir: PathBuf, fault: Fault },
    #[error("the damaged data in {} cannot be set aside: {why}; move its `store` away, then start again", dir.display())]
    NotSetAside { dir: PathBuf, why: io::Error },
    #[error("this system gives no random numbers: {0}")]
    NoChance(#[from] getrandom::Error),
    #[error("the system refused what serving takes: {0}")]
    System(#[from] io::Error),
    #[error("{0}; what was acknowledged is kept, and is checked at the next start")]
    NotClosed(Fault),
}

/// Serves until asked to stop.
pub(crate) fn serve(flags: &Serve) -> Result<(), NoStart> {
    let tokens = flags.token_file.as_deref().map(Tokens::read).transpose()?;
    if !flags.bind.is_loopback() && tokens.is_none() && !flags.insecure {
        return Err(NoStart::OpenToAll(flags.bind));
    }
    let wanted = SocketAddr::new(flags.bind, flags.port);
    let not_ours = |why| NoStart::Address { address: wanted, why };
    let socket = http::bind(wanted).map_err(not_ours)?;
    let address = socket.local_addr()?;
    let advertised = flags.advertise.clone().unwrap_or_else(|| reached_at(address).to_string());

    let beside = || PathBuf::from(format!("./minor-storage-{}", address.port()));
    let dir = flags.data.clone().unwrap_or_else(beside);
    let directory = claim(&dir, flags)?;
    let storage = open(&dir, &directory, flags, &advertised)?;
    let set_aside = directory.set_aside_found().iter().map(|d| d.display().to_string()).collect();
    let guard = Guard::new(address, &advertised, tokens);
    let face = Arc::new(Face::new(storage.clone(), guard, set_aside));

    http::run(async {
        let asked = http::asked_to_stop()?;
        let alone = match flags.until_stdin_ends {
            true => Either::Left(stdin_ended()),
            false => Either::Right(pending()),
        };
        let stop = async {
            select(pin!(asked), pin!(alone)).await;
            http::tell_stopping();
        };
        let listener = http::listen(socket).map_err(not_ours)?;
        eprintln!("minor-storage: listening on http://{address}/ (data in {})", dir.display());
        http::tell_ready();
        let upkeep = Upkeep::begin(storage.clone())?;
        http::serve(listener, face, flags.workers.into(), stop).await?;
        upkeep.end();
        Ok::<_, NoStart>(())
    })?;
    storage.close().map_err(NoStart::NotClosed)?;
    eprintln!("minor-storage: stopped; everything is on disk");
    // Not by returning: a thread that still reads for somebody who left would be waited for.
    process::exit(0)
}

/// Claims the directory. Where somebody holds the other end of standard input, who held it before may have been left alone a
/// moment ago.
fn claim(dir: &Path, flags: &Serve) -> Result<Directory, Unusable> {
    let begun = Instant::now();
    loop {
        match Directory::claim(dir) {
            Err(Unusable::InUse { .. }) if flags.until_stdin_ends && begun.elapsed() < LEAVING => {
                thread::sleep(GLANCE);
            }
            claimed => return claimed,
        }
    }
}

/// Ends when standard input does.
async fn stdin_ended() {
    let (tell, told) = oneshot::channel::<()>();
    thread::spawn(move || {
        // What comes is nobody's business; that nothing more comes is.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(tell);
    });
    let _ = told.await;
    eprintln!("minor-storage: whoever started it is gone, so it stops");
}

/// Opens what lies in the directory. What is damaged is set aside, and a new storage begins: its ring fills it again.
fn open(
    dir: &Path,
    directory: &Directory,
    flags: &Serve,
    advertised: &str,
) -> Result<Arc<Storage>, NoStart> {
    let fault = match attempt(directory, flags, advertised)? {
        Ok(storage) => return Ok(storage),
        Err(fault) => fault,
    };
    if let Fault::Damage { what } = &fault {
        let aside = directory.set_aside(what, jiff::Timestamp::now());
        let aside = aside.map_err(|why| NoStart::NotSetAside { dir: dir.into(), why })?;
        eprintln!(
            "minor-storage: the data is damaged ({what}); it was set aside in {}, and this storage begins anew, empty and under a new id. \
             In a ring, `sdht remove --dead` the old one and join this one; remove what was set aside when you no longer need it",
            aside.display()
        );
        return attempt(directory, flags, advertised)?
            .map_err(|fault| NoStart::Unopened { dir: dir.into(), fault });
    }
    Err(NoStart::Unopened { dir: dir.into(), fault })
}

fn attempt(
    directory: &Directory,
    flags: &Serve,
    advertised: &str,
) -> Result<Result<Arc<Storage>, Fault>, NoStart> {
    let mut fresh_id = [0; 16];
    getrandom::fill(&mut fresh_id)?;
    let settings = Settings {
        fresh_id: StorageId(u128::from_ne_bytes(fresh_id)),
        address: advertised.into(),
        zone: flags.zone.clone(),
        durability: flags.durability.into(),
    };
    let store = directory.open_store(Options { cache_bytes: flags.cache_mib << 20 });
    Ok(store.and_then(|store| Storage::open(Arc::new(store), settings)).map(Arc::new))
}

/// Where others reach an address, as far as the address itself tells.
fn reached_at(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    log::warn!(
        "nobody can be told to ask {address}: give --advertise HOST:PORT before joining a ring"
    );
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
}
