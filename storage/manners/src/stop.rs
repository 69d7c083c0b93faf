//! When a program that serves is asked to stop.

use actix_web::rt::signal::unix::{SignalKind, signal};
use futures_util::future::select;
use std::{io, pin::pin};

/// Ends when a service manager or a person at the keyboard asks the process to stop. To be called in a runtime of actix.
pub fn asked_to_stop() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        select(pin!(terminate.recv()), pin!(interrupt.recv())).await;
    })
}
