//! The mutants of the protocol, and for each a kind of run that soon shows what is missing.

use super::{
    scenario::{Deed, Mishap, Scenario, ToDo},
    world::Faults,
};

/// Every rule that can be switched off, and what its absence means.
pub const MUTANTS: [(&str, &str); 23] = [
    ("M1", "ballots are compared without the epoch in first place"),
    ("M2", "a change prepares in one epoch and has its state accepted in the next"),
    ("M3", "storages answer for whatever epoch they are asked about"),
    ("M4", "a restarted storage has no ceiling: its promises are forgotten and not kept"),
    ("M5", "an accept that comes late or again is taken below a promise made since"),
    ("M6", "a reader sends an accept of an older epoch again, and storages take it"),
    ("M7", "a reader believes the newest it sees and does not help it to a majority"),
    ("M8", "an operation that was applied is applied again when it is retried"),
    ("M9", "an operation that changes nothing is answered from what only some hold"),
    ("M10", "a member is dropped, or called filled, without a sync"),
    ("M11", "an arc of an even number of members grows without a sync"),
    ("M12", "a sync is content with one full member's listing"),
    ("M13", "a storage does not note which arcs it left"),
    ("M14", "a newcomer comes in without having learned the present arc as an outsider"),
    ("M15", "the joined arc's epoch is counted from the lower arc's before it was sealed"),
    ("M16", "the upper arc absorbs a lower one that has not agreed to be sealed"),
    ("M17", "a sweep is content with a majority that holds the tombstone"),
    ("M18", "a dropped tombstone does not raise the floor"),
    ("M19", "a storage that drops a tombstone forgets what it promised for the key"),
    ("M20", "a storage answers before what it tells of is durable"),
    ("M21", "a member that is filled is not told how far the others have dropped dead records"),
    ("M22", "a listing is content with what one member shows"),
    ("M23", "a member is let go although too few of the others answer"),
];

/// A scenario in which this mutant's harm is likely.
pub fn aimed_at(mutant: &str, seed: u64) -> Scenario {
    use Deed::*;
    use ToDo::*;
    let drawn = Scenario { within_s: 600, ..Scenario::drawn(seed) };
    // Messages overtake each other all the time, and clocks are apart: rounds on one key interleave.
    let tangled = Faults { lost: 20, late: 400, late_ms: 150, doubled: 50, slow: 0 };
    let quarrel = Scenario {
        storages: 3,
        copies: 3,
        joined: 3,
        users: 4,
        keys: 1,
        operators: 0,
        listers: 0,
        accidents: 0,
        deeds: [Get, Get, Set, Set, SetAbsent, SetAbsent, SetSeen, SetSeen, Delete, Delete],
        rest_ms: (20, 20),
        skew_ms: 500,
        faults: tangled,
        ..drawn
    };
    // Arcs change hands all the time, and members lag.
    let moving = Scenario {
        keys: 8,
        operators: 2,
        operations: 100,
        deeds: [Get, Get, Get, Get, Get, Get, Set, Set, Set, Delete],
        wishes: [Join, Join, Join, Join, Leave, Leave, Leave, Leave, Copies, Copies],
        rest_ms: (60, 50),
        faults: Faults { lost: 150, ..drawn.faults },
        ..drawn
    };
    match mutant {
        "M4" => Scenario { accidents: 200, mishaps: [Mishap::Crash; 4], down_ms: 50, ..quarrel },
        "M5" | "M7" | "M8" | "M9" => quarrel,
        "M17" | "M18" | "M19" => Scenario {
            operators: 2,
            wishes: [Sweep; 10],
            deeds: [Get, Get, SetAbsent, SetAbsent, SetAbsent, Delete, Delete, Delete, Delete, Set],
            ..quarrel
        },
        "M20" => Scenario {
            accidents: 20,
            mishaps: [Mishap::Crash; 4],
            down_ms: 300,
            faults: Faults { slow: 300, ..drawn.faults },
            ..drawn
        },
        "M3" => {
            Scenario { storages: 5, copies: 1, joined: 3, users: 4, rest_ms: (20, 20), ..moving }
        }
        "M1" | "M2" | "M6" => Scenario {
            keys: 2,
            operators: 2,
            wishes: moving.wishes,
            storages: 4,
            rest_ms: (20, 50),
            ..quarrel
        },
        "M10" | "M12" => moving,
        "M22" => Scenario { listers: 1, ..moving },
        "M11" => Scenario { storages: 5, copies: 2, joined: 3, ..moving },
        "M14" => Scenario {
            storages: 4,
            joined: 3,
            copies: 2,
            keys: 4,
            operators: 3,
            accidents: 10,
            mishaps: [Mishap::Crash, Mishap::Crash, Mishap::Pause, Mishap::Pause],
            deeds: [Get, Get, Get, Set, Set, Set, Delete, Delete, Delete, Delete],
            wishes: [Join, Join, Join, Leave, Leave, Leave, Sweep, Sweep, Sweep, Sweep],
            ..moving
        },
        _ => drawn,
    }
}
