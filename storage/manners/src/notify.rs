//! Telling whoever started the process, a service manager, how far it is.

use sd_notify::NotifyState;

/// It takes requests from now on.
pub fn tell_ready() {
    tell(NotifyState::Ready);
}

/// It takes no more of them, and ends in good order.
pub fn tell_stopping() {
    tell(NotifyState::Stopping);
}

/// Where nobody wants to be told, nothing happens.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        log::warn!("the service manager could not be told: {error}");
    }
}
