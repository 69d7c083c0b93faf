//! What is wished for the ring at the door: five changes, each told in one JSON object, in which nothing is passed over that
//! nobody understands.

use crate::{serve::json, transport::http::place_of};
use minor_manners::Problem;
use minor_protocol::limits::COPIES;
use serde::{Deserialize, de::DeserializeOwned};

/// Which change; each has a place of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum What {
    Join,
    Remove,
    Copies,
    Balance,
    Repair,
}

/// A change that is wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Wish {
    /// The storage at this address comes in.
    Join { address: String },
    /// It goes; or it is gone for good already.
    Remove { address: String, dead: bool },
    /// So many copies are kept.
    Copies(u8),
    /// Nobody keeps more than 1.2 times its share.
    Balance,
    /// What is half done is finished, all copies are made alike, and what is dead goes.
    Repair,
}

/// A wish, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Wished {
    pub(in crate::serve) wish: Wish,
    /// Only what would move is to be told.
    pub(in crate::serve) plan: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Joining {
    /// `HOST:PORT`.
    address: String,
    #[serde(default)]
    plan: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removing {
    address: String,
    #[serde(default)]
    plan: bool,
    /// It never comes back.
    #[serde(default)]
    dead: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Copying {
    copies: u8,
    #[serde(default)]
    plan: bool,
}

/// What needs no more words than its place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    #[serde(default)]
    plan: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl What {
    /// What it is called.
    pub(in crate::serve) fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Remove => "remove",
            Self::Copies => "copies",
            Self::Balance => "balance",
            Self::Repair => "repair",
        }
    }
}

impl Wish {
    /// The same as the command does it.
    pub(in crate::serve) fn command(&self) -> String {
        let word = self.what().word();
        match self {
            Self::Join { address } | Self::Remove { address, dead: false } => {
                format!("sdht {word} {address}")
            }
            Self::Remove { address, dead: true } => format!("sdht {word} {address} --dead"),
            Self::Copies(copies) => format!("sdht {word} {copies}"),
            Self::Balance | Self::Repair => format!("sdht {word}"),
        }
    }

    /// Which change it is.
    pub(in crate::serve) fn what(&self) -> What {
        match self {
            Self::Join { .. } => What::Join,
            Self::Remove { .. } => What::Remove,
            Self::Copies(_) => What::Copies,
            Self::Balance => What::Balance,
            Self::Repair => What::Repair,
        }
    }

    /// Of which storage it is; none if it is of the whole ring.
    pub(in crate::serve) fn address(&self) -> Option<&str> {
        match self {
            Self::Join { address } | Self::Remove { address, .. } => Some(address),
            Self::Copies(_) | Self::Balance | Self::Repair => None,
        }
    }

    /// How many copies it is about.
    pub(in crate::serve) fn copies(&self) -> Option<u8> {
        match self {
            Self::Copies(copies) => Some(*copies),
            _ => None,
        }
    }
}

impl Wished {
    /// Reads what was sent to the place of a change.
    pub(in crate::serve) fn read(what: What, body: &[u8]) -> Result<Self, Problem> {
        Ok(match what {
            What::Join => {
                let Joining { address, plan } = read(body)?;
                Self { wish: Wish::Join { address: place(address)? }, plan }
            }
            What::Remove => {
                let Removing { address, plan, dead } = read(body)?;
                Self { wish: Wish::Remove { address: place(address)?, dead }, plan }
            }
            What::Copies => {
                let Copying { copies, plan } = read(body)?;
                if !(1..=COPIES).contains(&copies) {
                    let why = format!("a ring keeps 1 to {COPIES} copies, not {copies}");
                    return Err(Problem::malformed(why));
                }
                Self { wish: Wish::Copies(copies), plan }
            }
            What::Balance => Self { wish: Wish::Balance, plan: read::<Plain>(body)?.plan },
            What::Repair => Self { wish: Wish::Repair, plan: read::<Plain>(body)?.plan },
        })
    }
}

/// Where a place says all: an object with nothing in it.
pub(in crate::serve) fn nothing_more(body: &[u8]) -> Result<(), Problem> {
    read::<Nothing>(body).map(|Nothing {}| ())
}

/// An address to which something can be sent.
fn place(address: String) -> Result<String, Problem> {
    match place_of(&address) {
        Some(_) => Ok(address),
        None => {
            let no = address.escape_debug();
            Err(Problem::malformed(format!("an address reads HOST:PORT, which '{no}' does not")))
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    json::object(body).map_err(Problem::malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_takes_what_it_understands_and_nothing_else() {
        let read = |what, text: &str| Wished::read(what, text.as_bytes()).ok();
        let plan = |wish| Some(Wished { wish, plan: true });
        let address = || "h:1".to_owned();
        let join = r#"{"address":"h:1","plan":true}"#;
        assert_eq!(read(What::Join, join), plan(Wish::Join { address: address() }));
        let dead = r#"{"address":"h:1","dead":true,"plan":true}"#;
        let gone = Wish::Remove { address: address(), dead: true };
        assert_eq!(read(What::Remove, dead), plan(gone));
        assert_eq!(read(What::Join, dead), None, "nobody joins as a dead one");
        for wrong in ["", "h", "h:", "h:0", "h:1/", "a h:1", "\\u001b[2J:1"] {
            let join = format!(r#"{{"address":"{wrong}"}}"#);
            assert_eq!(read(What::Join, &join), None, "{wrong:?}");
            assert_eq!(read(What::Remove, &join), None, "{wrong:?}");
        }
        assert_eq!(read(What::Copies, r#"{"copies":5,"plan":true}"#), plan(Wish::Copies(5)));
        for wrong in ["{}", r#"{"copies":0}"#, r#"{"copies":8}"#, r#"{"copies":-1}"#, "5", "[5]"] {
            assert_eq!(read(What::Copies, wrong), None, "{wrong}");
        }
        for what in [What::Balance, What::Repair] {
            let wished = read(what, "{}").unwrap();
            assert_eq!((wished.plan, wished.wish.what()), (false, what));
            assert_eq!(read(what, r#"{"address":"h:1"}"#), None);
            assert_eq!(read(what, ""), None);
        }
    }
}
