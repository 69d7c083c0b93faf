//! A storage beside the door: for one machine that is to be router and storage at once.
//!
//! It is an ordinary storage, a process of its own that this one starts, brings into the ring, and stops when the door is
//! closed. What is not said here it takes from its own environment (`MINOR_STORAGE_*`).

use super::super::{
    Ended,
    console::Console,
    fail::{Code, Fail},
    join::Join,
    lab::storage::{self, Process},
    progress,
};
use clap::Args;
use futures_util::future::{Either, select};
use rustix::process::Signal;
use std::{
    env,
    path::{Path, PathBuf},
    pin::pin,
};

/// What may be said of it.
#[derive(Args, Debug)]
#[command(next_help_heading = "A storage beside the door")]
pub(super) struct Flags {
    /// Start a storage on this port, join it to the ring, and stop it with the door. The first of all founds the ring.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    with_storage: Option<u16>,

    /// Where it keeps its data; what it says is in DIR.log. [default: ./minor-storage-PORT]
    #[arg(long, requires = "with_storage", value_name = "DIR")]
    data: Option<PathBuf>,

    /// When the door is asked to close, hand over what the storage keeps and let it leave the ring first.
    #[arg(long, requires = "with_storage")]
    leave_on_exit: bool,
}

/// The storage, while it runs.
pub(super) struct Beside {
    port: u16,
    /// As the ring knows it.
    address: String,
    process: Option<Process>,
    leaves: bool,
}

const ADVERTISE: &str = "MINOR_STORAGE_ADVERTISE";
const TOKEN_FILE: &str = "MINOR_STORAGE_TOKEN_FILE";

impl Flags {
    /// Starts what is wished for, and waits until it serves.
    pub(super) fn start(&self, console: &Console) -> Result<Option<Beside>, Fail> {
        let Some(port) = self.with_storage else { return Ok(None) };
        let program = storage::program()?;
        if !storage::is_free(port) {
            return Err(Fail::other(format!("something listens on port {port} already")).next(
                "--with-storage takes another port; or, if that is a storage of the ring, serve without it.",
            ));
        }
        let data = match &self.data {
            Some(data) => data.clone(),
            None => PathBuf::from(format!("minor-storage-{port}")),
        };
        let mut command = storage::command(&program, port, &data);
        // Who may come to the ring may come to it.
        if let (Some(file), None) = (&console.settings.token_file.value, env::var_os(TOKEN_FILE)) {
            command.env(TOKEN_FILE, file);
        }
        let address = env::var(ADVERTISE).unwrap_or_else(|_| format!("127.0.0.1:{port}"));
        let process = storage::launch(command, &address, &log_of(&data))?;
        console
            .say(format_args!("sdht: started a storage on {address} (data in {})", data.display()));
        Ok(Some(Beside { port, address, process, leaves: self.leave_on_exit }))
    }
}

/// Beside its data, as `DIR.log`.
fn log_of(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".log");
    data.with_file_name(name)
}

impl Beside {
    /// Brings it into the ring, unless it is there already.
    pub(super) async fn join(&self, console: &Console) -> Ended {
        Join::of(&self.address).run(console).await
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
        let moving = console.ring().await?.leave(address);
        let what = format!("remove {address}");
        let left = pin!(progress::follow(console, &what, moving));
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
                self.port
            ),
        ))
    }

    /// Stops it, and waits until all it keeps is on disk.
    pub(super) fn stop(self) -> Ended {
        self.process.map_or(Ok(()), |process| process.end(Signal::TERM, self.port))
    }
}
