//! Who may know whom, held by reading the source.
//!
//! A wall between crates is held by the compiler; these are the curtains within them, and the house's habits that a machine
//! can see: what a file mentions, what its names are made of, how long it is, how it begins. What is said in comments and in
//! texts does not count.

mod source;

use source::{File, all};
use std::fs;

/// What a file's paths may not begin with, and where.
struct Wall {
    /// Of these files: those whose path begins so.
    within: &'static str,
    /// Except those whose path begins so.
    but: &'static [&'static str],
    /// No path begins with one of these.
    unknown: &'static [&'static str],
    because: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        within: "storage/protocol/",
        but: &[],
        unknown: &["tokio", "actix", "actix_web", "actix_rt", "actix_http", "sled", "log"],
        because: "the protocol is values and rules; it does nothing by itself",
    },
    Wall {
        within: "storage/src/acceptors",
        but: &[],
        unknown: &[
            "crate::store",
            "super::store",
            "crate::http",
            "tokio",
            "actix_web",
            "actix_rt",
            "actix_http",
            "sled",
            "log",
            "getrandom",
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
            "std::process",
        ],
        because: "an acceptor decides over plain values; whoever asked it acts",
    },
    Wall {
        within: "storage/",
        but: &["storage/src/store/sled.rs"],
        unknown: &["sled"],
        because: "the engine is named in one file, so that it can be exchanged",
    },
    Wall {
        within: "storage/src/",
        but: &["storage/src/http", "storage/src/main.rs"],
        unknown: &["actix_web", "actix_http", "actix_rt"],
        because: "what a storage is does not depend on how it is reached",
    },
    Wall {
        within: "storage/",
        but: &[],
        unknown: &["sdht", "awc", "reqwest", "hyper"],
        because: "a storage never opens a connection to anybody and knows no router",
    },
    Wall {
        within: "router/",
        but: &[],
        unknown: &["minor_storage", "sled"],
        because: "a router and a storage share only the protocol",
    },
    Wall {
        within: "router/",
        but: &["router/src/serve/"],
        unknown: &["actix_web"],
        because: "only the door is reached over HTTP",
    },
    Wall {
        within: "storage/manners/",
        but: &[],
        unknown: &["minor_storage", "sdht"],
        because: "manners are shared by those who do not know each other",
    },
    Wall {
        within: "router/",
        but: &["router/src/transport/http.rs"],
        unknown: &["awc"],
        because: "the transport is named in one file, so that a simulated one can take its place",
    },
];

#[test]
fn nobody_knows_whom_it_need_not_know() {
    let mut complaints = vec![];
    let mut engine_seen = false;
    for file in all() {
        engine_seen |= file.paths().iter().any(|(_, path)| begins_with(path, "sled"));
        for wall in WALLS {
            let free = wall.but.iter().any(|but| file.path.starts_with(but));
            if !file.path.starts_with(wall.within) || free {
                continue;
            }
            for (line, path) in file.paths() {
                if wall.unknown.iter().any(|unknown| begins_with(&path, unknown)) {
                    complaints.push(format!("{}:{line}: {path}: {}", file.path, wall.because));
                }
            }
        }
    }
    none(complaints);
    assert!(engine_seen, "someone must name the engine, or this test is blind");
}

/// Whether a path is this one or goes on from it.
fn begins_with(path: &str, beginning: &str) -> bool {
    path.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn time_comes_in_by_the_door() {
    complain_of_words("an own look at the clock where things are decided", |file, word| {
        let decides = ["storage/protocol/", "storage/src/acceptors"];
        decides.iter().any(|place| file.path.starts_with(place))
            && ["Instant", "SystemTime"].contains(&word)
    });
}

#[test]
fn nothing_unsafe_and_nothing_left_undone() {
    complain_of_words("unsafe, or left undone", |_, word| {
        ["unsafe", "todo", "unimplemented", "dbg"].contains(&word)
    });
}

/// Words with a better one in the house's table. Those that foreign names force on us (response, client, entry, range) are
/// left to people's eyes.
const NEVER: &[&str] = &[
    "node",
    "server",
    "peer",
    "replica",
    "shard",
    "vnode",
    "quorum",
    "leader",
    "follower",
    "coordinator",
    "rebalance",
    "migrate",
    "bootstrap",
    "traverse",
    "lookup",
    "util",
    "utils",
    "helper",
    "helpers",
    "manager",
];
/// Names that others gave and we must use.
const FOREIGN: &[&str] = &["HttpServer", "ServerHandle", "peer_addr", "NodeInfo", "futures_util"];

#[test]
fn one_thing_has_one_word() {
    complain_of_words("a word that the house's table replaces", |_, word| {
        !FOREIGN.contains(&word) && humps(word).iter().any(|hump| NEVER.contains(&&**hump))
    });
    let ill_named = |file: &File| {
        let name = file.path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        humps(name).iter().any(|hump| NEVER.contains(&&**hump) || hump == "common")
    };
    none(all().iter().filter(|file| ill_named(file)).map(|file| file.path.clone()).collect());
}

/// The words an identifier is made of, in lower case.
fn humps(identifier: &str) -> Vec<String> {
    let mut humps = vec![String::new()];
    for letter in identifier.chars() {
        if letter == '_' || letter.is_uppercase() {
            humps.push(String::new());
        }
        if letter != '_' {
            humps.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    humps.retain(|hump| !hump.is_empty());
    humps
}

#[test]
fn the_words_of_a_name_are_told_apart() {
    assert_eq!(humps("peer_addr"), ["peer", "addr"]);
    assert_eq!(humps("MyNodeId"), ["my", "node", "id"]);
    assert_eq!(humps("nodeinfo"), ["nodeinfo"]);
}

const LINES: usize = 450;
/// Longer files, each with its reason.
const LONGER: &[(&str, &str)] = &[(
    "storage/protocol/src/message.rs",
    "every request, reply and refusal, side by side: it is read as a table",
)];

#[test]
fn a_file_holds_one_idea_and_opens_with_it() {
    let mut complaints = vec![];
    for file in all() {
        let reason = LONGER.iter().find(|(path, _)| *path == file.path);
        let lines = file.text.lines().count();
        if lines > LINES && reason.is_none() {
            complaints.push(format!("{}: {lines} lines: name its second idea", file.path));
        }
        if lines <= LINES && reason.is_some() {
            complaints.push(format!("{}: no longer long; strike it from the list", file.path));
        }
        if !file.text.starts_with("//! ") {
            complaints.push(format!("{}:1: does not open with its idea (//! ...)", file.path));
        }
    }
    none(complaints);
}

#[test]
fn manifests_keep_the_walls_between_crates() {
    let walls = [
        ("storage/protocol", &["tokio", "actix", "sled", "log", "minor-storage", "sdht"][..]),
        ("storage/manners", &["minor-storage", "sdht", "sled", "awc"]),
        ("storage", &["sdht", "awc"]),
        ("router", &["minor-storage", "sled"]),
    ];
    let mut complaints = vec![];
    for (package, never) in walls {
        let Ok(manifest) = fs::read_to_string(source::root().join(package).join("Cargo.toml"))
        else {
            continue;
        };
        for (number, line) in manifest.lines().enumerate() {
            let named = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if never.iter().any(|name| named == *name || named.starts_with(&format!("{name}-"))) {
                complaints.push(format!("{package}/Cargo.toml:{}: {line}", number + 1));
            }
        }
    }
    none(complaints);
}

fn complain_of_words(why: &str, forbidden: impl Fn(&File, &str) -> bool) {
    let mut complaints = vec![];
    for file in all() {
        for (line, word) in file.words() {
            if forbidden(&file, &word) {
                complaints.push(format!("{}:{line}: `{word}`: {why}", file.path));
            }
        }
    }
    none(complaints);
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
