//! An address that means another storage on every machine.
//!
//! Who says that it is reached at 127.0.0.1 is reached there from its own machine alone; from any other one, whoever listens
//! there is asked in its place. Among storages of one machine that does no harm. A ring with a storage elsewhere does not
//! take it in. Names are taken to be what they should be, the same everywhere.

use minor_protocol::{Member, RingArc};
use std::net::IpAddr;

/// Somebody of the ring whose machine, as far as addresses tell, is another than this newcomer's.
pub(super) fn apart<'a>(newcomer: &Member, arcs: &'a [RingArc]) -> Option<&'a Member> {
    let mut members = arcs.iter().flat_map(|arc| &arc.members);
    if !is_of_one_machine(&newcomer.address) {
        return None;
    }
    // Whoever is in is in: it may have come before others did.
    let is_in = members.clone().any(|member| member.storage == newcomer.storage);
    members.find(|member| !is_in && !is_of_one_machine(&member.address))
}

fn is_of_one_machine(address: &str) -> bool {
    let (host, _) = address.rsplit_once(':').unwrap_or((address, ""));
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    ip.map_or(host == "localhost", |ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_alone_is_told_from_others() {
        for own in ["127.0.0.1:8000", "127.0.0.5:1", "[::1]:8000", "localhost:8000"] {
            assert!(is_of_one_machine(own), "{own}");
        }
        for other in ["10.0.0.1:8000", "[fd00::1]:8000", "storage.example:8000", "s0:1"] {
            assert!(!is_of_one_machine(other), "{other}");
        }
    }
}
