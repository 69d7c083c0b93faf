//! A storage beside the door: for one machine that is to be router and storage at once.
//!
//! It is an ordinary storage, a process of its own that this one starts, brings into the ring, and stops when the door is
//! closed. What is not said here it takes from its own environment (`MINOR_STORAGE_*`).
//!
//! Others may be away while it is brought in. That stops neither it nor the door: what it keeps is wanted all the more, so
//! it is tried again until it is done. Only what nobody but the operator can mend ends the two.

mod running;

use super::super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    join::{Alone, Join},
    lab::storage,
    progress,
    settings::Origin,
};
use super::Serve;
use clap::Args;
use futures_util::future::{Either, select};
use running::{Running, Start};
use std::{
    cell::Cell,
    convert::Infallible,
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::pin,
    time::{Duration, Instant},
};

/// Between two tries to bring it into the ring: the first pause, and the longest. A try in vain takes its time as well.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often it is said why it is not in the ring yet, if the reason stays the same.
const AGAIN: Duration = Duration::from_secs(60);

/// What may be said of it.
#[derive(Args, Debug)]
#[command(next_help_heading = "A storage beside the door")]
pub(super) struct Flags {
    /// Start a storage on this port, join it to the ring, and stop it with the door. The first of all founds the ring. It is
    /// started again when it ends unasked, and ends itself when the door is killed. It listens where the door does (on
    /// 127.0.0.1 if that is 0.0.0.0); MINOR_STORAGE_BIND and MINOR_STORAGE_ADVERTISE say otherwise.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    with_storage: Option<u16>,

    /// Where it keeps its data; what it says is in DIR.log. [default: ./minor-storage-PORT]
    #[arg(long, requires = "with_storage", value_name = "DIR")]
    data: Option<PathBuf>,

    /// When the door is asked to close, hand over what the storage keeps and let it leave the ring first.
    #[arg(long, requires = "with_storage")]
    leave_on_exit: bool,

    /// Bring what the storage kept while it was in no ring into the ring, as 'sdht join --import' does.
    #[arg(long, requires = "with_storage", conflicts_with = "discard")]
    import: bool,

    /// Drop what the storage kept while it was in no ring.
    #[arg(long, requires = "with_storage")]
    discard: bool,
}

/// The storage, while it runs.
pub(super) struct Beside {
    /// As the ring knows it.
    address: String,
    running: Running,
    /// It was in the ring, wholly.
    was_in: Cell<bool>,
    leaves: bool,
    alone: Alone,
}

const BIND: &str = "MINOR_STORAGE_BIND";
const INSECURE: &str = "MINOR_STORAGE_INSECURE";
const ADVERTISE: &str = "MINOR_STORAGE_ADVERTISE";
const TOKEN_FILE: &str = "MINOR_STORAGE_TOKEN_FILE";

impl Flags {
    /// Starts what is wished for, and waits until it serves.
    pub(super) fn start(&self, door: &Serve, console: &Console) -> Result<Option<Beside>, Fail> {
        let Some(port) = self.with_storage else { return Ok(None) };
        let program = storage::program()?;
        let data = match &self.data {
            Some(data) => data.clone(),
            None => PathBuf::from(format!("minor-storage-{port}")),
        };
        let mut told = vec![];
        // Who may come to the ring may come to it.
        if let (Some(file), None) = (&console.settings.token_file.value, env::var_os(TOKEN_FILE)) {
            told.push((TOKEN_FILE, file.display().to_string()));
        }
        let here = IpAddr::from(Ipv4Addr::LOCALHOST);
        let bind = match env::var(BIND) {
            // What cannot be read the storage complains of itself.
            Ok(own) => own.parse().unwrap_or(here),
            Err(_) => {
                // Where the door is found, unless that says nothing of where others find it.
                let bind = if door.bind.is_unspecified() { here } else { door.bind };
                told.push((BIND, bind.to_string()));
                bind
            }
        };
        if door.insecure && !bind.is_loopback() && env::var_os(INSECURE).is_none() {
            told.push((INSECURE, "true".into()));
        }
        let reached = if bind.is_unspecified() { here } else { bind };
        let reached = SocketAddr::new(reached, port).to_string();
        let address = env::var(ADVERTISE).unwrap_or(reached);
        let start = Start { program, port, bind, data, told };
        let running = start.begin(&address, console)?;
        let data = running.data().display();
        console.say(format_args!("sdht: started a storage on {address} (data in {data})"));
        let alone = match (self.import, self.discard) {
            (true, _) => Alone::ComesAlong,
            (false, true) => Alone::IsDropped,
            (false, false) => Alone::KeepsItOut,
        };
        let (was_in, leaves) = (Cell::new(false), self.leave_on_exit);
        Ok(Some(Beside { address, running, was_in, leaves, alone }))
    }
}

impl Beside {
    /// Brings it into the ring, unless it is there already, however often that must be tried.
    pub(super) async fn join(&self, console: &Console) -> Ended {
        let mut said: Option<(String, Instant)> = None;
        let mut pause = PAUSE;
        loop {
            let why = match Join::of(&self.address, self.alone).run(console).await {
                Ok(()) => {
                    self.was_in.set(true);
                    return Ok(());
                }
                Err(why) if why.passes => why,
                Err(why) => return Err(self.out_for_good(why)),
            };
            let is_new = said.as_ref().is_none_or(|(what, _)| *what != why.what);
            if is_new || said.as_ref().is_some_and(|(_, when)| when.elapsed() >= AGAIN) {
                console.say(format_args!(
                    "sdht: {} is not wholly in the ring yet: {}",
                    self.address, why.what
                ));
                console.say("It runs on, what can be served is served, and it is tried again until it is done.");
                why.next.iter().for_each(|next| console.say(next));
                said = Some((why.what, Instant::now()));
            }
            actix_rt::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Starts it again whenever it ends though nobody asked it to.
    pub(super) async fn keep(&self, console: &Console) -> Infallible {
        self.running.keep(console).await
    }

    /// Brings it in again whenever it was started again: meanwhile a keeper may have let it go. Ends if that cannot be.
    pub(super) async fn join_again(&self, console: &Console) -> Fail {
        loop {
            self.running.started_again().await;
            // Else that is being tried anyway.
            if self.was_in.get()
                && let Err(why) = self.join(console).await
            {
                return why;
            }
        }
    }

    /// The door does not wait for it any longer.
    pub(super) fn say_it_is_on_its_way(&self, console: &Console) {
        let address = &self.address;
        console.say(format_args!(
            "sdht: {address} is still being brought into the ring; the door opens all the same"
        ));
    }

    /// What keeps it out does not pass: the two end, and this still holds.
    fn out_for_good(&self, why: Fail) -> Fail {
        let (address, data) = (&self.address, self.running.data().display());
        let what = format!(
            "{address} cannot be in the ring: {}; it is stopped, and what it keeps stays in {data}",
            why.what
        );
        Fail { what, ..why }
    }

    /// Where a router begins that is to find its ring: where the user says, else with this storage.
    pub(super) fn seeds(&self, console: &Console) -> Vec<String> {
        let known = &console.settings.ring;
        let ours = std::iter::once(&self.address);
        match known.origin {
            Origin::BuiltIn => ours.cloned().collect(),
            Origin::Memory(_) => ours.chain(&known.value).cloned().collect(),
            _ => known.value.clone(),
        }
    }

    /// The door is about to close: what was wished for is handed over, unless whoever asked asks again.
    pub(super) async fn hand_over(&self, console: &Console) -> Ended {
        if !self.leaves {
            return Ok(());
        }
        let address = &self.address;
        console.say(format_args!(
            "sdht: {address} hands over what it keeps, and everything is served meanwhile; asked once more, it stops at once"
        ));
        let what = format!("remove {address}");
        let left = pin!(async {
            let moving = console.ring().await?.leave(address);
            progress::follow(console, &what, moving).await
        });
        let again = pin!(sdht::serve::asked_to_stop()?);
        let why = match select(left, again).await {
            Either::Left((Ok(_), _)) => {
                console.say(format_args!("sdht: {address} has left the ring"));
                return Ok(());
            }
            Either::Left((Err(fail), _)) => fail,
            Either::Right(_) => Fail::new(Code::Interrupted, "interrupted"),
        };
        Err(Fail::new(why.code, format!("{address} is still in the ring: {}", why.what)).next(
            format!(
                "Nothing is lost: its data stays, and 'sdht serve --with-storage {}' brings it back.",
                self.running.port()
            ),
        ))
    }

    /// Stops it, and waits until all it keeps is on disk.
    pub(super) fn stop(self) -> Ended {
        self.running.stop()
    }
}
