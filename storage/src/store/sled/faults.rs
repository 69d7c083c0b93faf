//! What goes wrong in the engine or on the disk, in words of ours.

use super::Fault;
use std::{any::Any, io};

/// A panic in there: sled's own doubts about what it read, unless the system refused it something.
pub(super) fn panicked(doing: &'static str, panic: &(dyn Any + Send)) -> Fault {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    // sled panics over what the system refuses it (threads, memory, files) just as over what it cannot read. The first says
    // nothing about the data.
    if ["Os {", "os error", "alloc", "spawn"].iter().any(|word| text.contains(word)) {
        return Fault::Disk { doing, why: text.into() };
    }
    Fault::Damage { what: format!("panic while {doing}: {text}") }
}

/// A file that ends too early was cut short; any other error is the disk's.
pub(super) fn disk(doing: &'static str) -> impl Fn(io::Error) -> Fault {
    move |error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            Fault::Damage { what: format!("while {doing}: {error}") }
        }
        _ => Fault::Disk { doing, why: error.to_string() },
    }
}
