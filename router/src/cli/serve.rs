//! `sdht serve`: a router that stays, with a door for every program that speaks HTTP.

mod beside;

use super::{
    Ended,
    console::{Console, token},
    fail::{Code, Fail},
    settings::{self, duration},
};
use beside::{Beside, Flags};
use clap::Args;
use futures_util::{
    FutureExt, TryFutureExt,
    future::{Either, Fuse, pending, select, try_join},
};
use minor_protocol::RingArc;
use sdht::{
    keeper::{self, LEAST_DEAD_AFTER},
    serve::{Guard, Settings, Tokens, serve},
};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// The door opens after this long, also where its storage is still being brought into the ring.
const OPENS_AFTER: Duration = Duration::from_secs(10);

/// Serve the whole ring over HTTP, for every program that is not Rust; and keep it whole.
///
/// The keeper is part of it: it replaces storages that are dead, finishes what a stopped command began, levels copies, sweeps
/// what is dead and evens out, and says each of these in a line on standard error. There may be any number of doors; their
/// keepers take turns.
///
/// A storage beside the door keeps running when others of the ring are away: the door opens after 10 s at the latest, serves
/// what can be served, and goes on bringing its storage in.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sdht serve
  sdht serve -p 7001 --workers 2
  sdht serve --with-storage 8000 --leave-on-exit
  sdht serve --dead-after 2m --max-rate 10000000
  sdht serve --no-keeper
  sdht serve --ring 10.0.0.1:8000 --bind 10.0.0.9 --door-token-file /etc/sdht/door")]
pub(crate) struct Serve {
    /// The port to listen on; 0 takes any free one and says which.
    #[arg(short, long, env = "SDHT_PORT", default_value_t = 7_000)]
    port: u16,

    /// The address to listen on. One that others reach needs --door-token-file or --insecure.
    #[arg(long, env = "SDHT_BIND", value_name = "ADDR", default_value = "127.0.0.1")]
    bind: IpAddr,

    /// A file that not everybody can read, with one or two tokens: whoever comes to this door must show one of them.
    #[arg(long, env = "SDHT_DOOR_TOKEN_FILE", value_name = "FILE")]
    door_token_file: Option<PathBuf>,

    /// Let anybody who reaches the address read and write everything.
    #[arg(long)]
    insecure: bool,

    /// Threads that answer, each with a router of its own. [default: one for each core]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,

    /// Leave the ring as it is: nothing is healed by this door.
    #[arg(long)]
    no_keeper: bool,

    /// How long a storage is silent before the keeper replaces it, as 30s or 2m; 2 s at the least. [default: 30s]
    #[arg(long, env = "SDHT_DEAD_AFTER", value_name = "TIME", value_parser = dead_after)]
    dead_after: Option<Duration>,

    /// Bytes the keeper moves in a second at the most, so that users do not feel it. [default: 33554432]
    #[arg(long, env = "SDHT_MAX_RATE", value_name = "BYTES", value_parser = settings::bytes)]
    max_rate: Option<u64>,

    #[command(flatten)]
    beside: Flags,
}

/// A time that tells a dead storage from a slow one.
fn dead_after(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let least = LEAST_DEAD_AFTER;
    if time < least { Err(format!("{} s at the least", least.as_secs())) } else { Ok(time) }
}

impl Serve {
    pub(crate) async fn run(&self, console: &Console) -> Ended {
        let tokens = self.door_token_file.as_deref().map(Tokens::read).transpose();
        let tokens = tokens.map_err(|why| Fail::usage(why.to_string()))?;
        if !self.bind.is_loopback() && tokens.is_none() && !self.insecure {
            return Err(Fail::usage(format!(
                "others could reach {} and read and write everything",
                self.bind
            ))
            .next(
                "Listen on 127.0.0.1 (--bind), ask for a token (--door-token-file FILE), stay on 127.0.0.1 behind a proxy \
                 that knows its users, or say --insecure if everybody there may do so.",
            ));
        }
        let wanted = SocketAddr::new(self.bind, self.port);
        let no_place = |why| Fail::other(format!("cannot listen on {wanted}: {why}"));
        let listener = TcpListener::bind(wanted).map_err(no_place)?;
        // From here on it is asked to stop, and does so in good order.
        let mut asked = pin!(sdht::serve::asked_to_stop()?);
        let beside = self.beside.start(self, console)?;
        let ended = self.stand(console, listener, tokens, beside.as_ref(), asked.as_mut()).await;
        // Whatever happened, it does not go on unseen.
        let stopped = beside.map_or(Ok(()), Beside::stop);
        ended.and(stopped)?;
        console.say("sdht: stopped");
        Ok(())
    }

    async fn stand(
        &self,
        console: &Console,
        listener: TcpListener,
        tokens: Option<Tokens>,
        beside: Option<&Beside>,
        mut asked: Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        let mut joining = pin!(join(beside, console).fuse());
        let mut keeping = pin!(keep(beside, console).fuse());
        let way = {
            let finding = pin!(console.aloud(find(beside, console, joining.as_mut())));
            let finding = select(finding, keeping.as_mut());
            match select(finding, asked.as_mut()).await {
                Either::Left((Either::Left((way, _)), _)) => way?,
                Either::Left((Either::Right((never, _)), _)) => match never {},
                Either::Right(_) => return Err(Fail::new(Code::Interrupted, "interrupted")),
            }
        };
        let address = listener.local_addr()?;
        let storages = &console.settings;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let usual = keeper::Settings::default();
        let keeper = keeper::Settings {
            dead_after: self.dead_after.unwrap_or(usual.dead_after),
            max_rate: self.max_rate.unwrap_or(usual.max_rate),
        };
        let settings = Settings {
            ring: way.seeds,
            known: way.known,
            token: storages.token_file.value.as_deref().map(token).transpose()?,
            timeout: storages.timeout.value,
            guard: Guard::new(address, &address.to_string(), tokens),
            workers: self.workers.map_or_else(cores, usize::from),
            counters: Arc::clone(&console.counters),
            keeper: (!self.no_keeper).then_some(keeper),
        };
        console.say(format!("sdht: listening on http://{address}/"));
        sdht::serve::tell_ready();
        let (close, closing) = oneshot::channel::<()>();
        let serving = serve(listener, settings, closing.map(drop)).map_err(Fail::from);
        let stopping = async {
            let failed =
                failed(joining.as_mut(), join_again(beside, console), keeping.as_mut(), asked);
            let failed = failed.await;
            // It is not to be brought in while it leaves.
            joining.set(Fuse::terminated());
            sdht::serve::tell_stopping();
            let ended = match (failed, beside) {
                (Some(failed), _) => Err(failed),
                (None, Some(beside)) => beside.hand_over(console).await,
                (None, None) => Ok(()),
            };
            drop(close);
            Ok(ended)
        };
        let ((), ended) = try_join(serving, stopping).await?;
        ended
    }
}

/// Why the door is to close though nobody asks for it; nothing when somebody asks.
async fn failed(
    joining: impl Future<Output = Ended>,
    joining_again: impl Future<Output = Fail>,
    keeping: impl Future<Output = Infallible> + Unpin,
    asked: impl Future<Output = ()> + Unpin,
) -> Option<Fail> {
    let joining = pin!(async {
        match joining.await {
            Ok(()) => pending().await,
            Err(failed) => failed,
        }
    });
    let joining_again = pin!(joining_again);
    let joining = select(joining, joining_again);
    match select(asked, select(joining, keeping)).await {
        Either::Left(_) => None,
        Either::Right((Either::Left((failed, _)), _)) => Some(failed.factor_first().0),
        Either::Right((Either::Right((never, _)), _)) => match never {},
    }
}

/// How the door's routers come to the ring.
struct Way {
    seeds: Vec<String>,
    known: Vec<RingArc>,
}

/// Finds the ring. Where a storage beside the door is being brought into it, the door does not wait for the end of that.
async fn find(
    beside: Option<&Beside>,
    console: &Console,
    joining: impl Future<Output = Ended>,
) -> Result<Way, Fail> {
    let Some(beside) = beside else {
        let known = console.ring().await?.arcs().await;
        return Ok(Way { seeds: console.settings.ring.value.clone(), known });
    };
    match timeout(OPENS_AFTER, joining).await {
        Ok(joined) => joined?,
        Err(_) => beside.say_it_is_on_its_way(console),
    }
    let known = match console.reached() {
        Some(ring) => ring.arcs().await,
        None => vec![],
    };
    Ok(Way { seeds: beside.seeds(console), known })
}

/// Keeps the storage beside the door running, if there is one.
async fn keep(beside: Option<&Beside>, console: &Console) -> Infallible {
    match beside {
        Some(beside) => beside.keep(console).await,
        None => pending().await,
    }
}

/// Brings the storage beside the door in again after each of its further starts.
async fn join_again(beside: Option<&Beside>, console: &Console) -> Fail {
    match beside {
        Some(beside) => beside.join_again(console).await,
        None => pending().await,
    }
}

/// Brings the storage beside the door, if there is one, into the ring.
async fn join(beside: Option<&Beside>, console: &Console) -> Ended {
    match beside {
        Some(beside) => beside.join(console).await,
        None => Ok(()),
    }
}
