//! How a command fails: with an exit code that means something, what happened, and what to do next.

use clap::error::ErrorKind;
use minor_protocol::Refusal;
use sdht::{
    NoRing, NotConnected, NotGot, NotMoved, NotSet, Trouble, plan::NoGoal, transport::Silence,
};
use std::{
    fmt::Display,
    io::{self, Write},
    path::Path,
};

/// What the shell is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Ok = 0,
    Other = 1,
    Usage = 2,
    NotFound = 3,
    NotMet = 4,
    NoMajority = 5,
    Unknown = 6,
    NotAllowed = 7,
    Degraded = 8,
    Interrupted = 130,
}

impl From<Code> for i32 {
    fn from(code: Code) -> Self {
        code as Self
    }
}

/// A line on standard error. Whoever has closed it, or has no room for it, does not want to know; the exit code tells all the
/// same.
pub(super) fn said(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A command's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fail {
    pub(crate) code: Code,
    /// What happened, to whom; empty where there is nothing to say.
    pub(crate) what: String,
    /// What to do next.
    pub(crate) next: Option<String>,
    /// Whoever waits may see it pass: others come back, or finish what they began.
    pub(crate) passes: bool,
}

impl Fail {
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), next: None, passes: false }
    }

    /// It may pass if one waits.
    pub(crate) fn passing(self) -> Self {
        Self { passes: true, ..self }
    }

    pub(crate) fn other(what: impl Into<String>) -> Self {
        Self::new(Code::Other, what)
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }

    /// A file or directory that cannot be used.
    pub(crate) fn file(path: &Path, why: impl Display) -> Self {
        Self::other(format!("{}: {why}", path.display()))
    }

    /// A file or a pipe that could not be written to. Whoever has stopped reading knows why, as with standard output.
    pub(crate) fn written(path: &Path, why: io::Error) -> Self {
        match why.kind() {
            io::ErrorKind::BrokenPipe => why.into(),
            _ => Self::file(path, why),
        }
    }

    /// Only an exit code: what there is to say was said.
    pub(crate) fn silent(code: Code) -> Self {
        Self::new(code, "")
    }

    pub(crate) fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// It ended when a part of it was done.
    pub(crate) fn after(self, done: impl Display) -> Self {
        let what = format!("{} ({done} before that)", self.what);
        let next = self.next.or(Some("The same again does no harm.".into()));
        Self { what, next, ..self }
    }

    /// Says it on standard error.
    pub(crate) fn tell(self, json: bool) -> Code {
        if self.what.is_empty() {
            return self.code;
        }
        if json {
            let told = serde_json::json!({ "error": self.what, "code": self.code as u8, "next": self.next });
            said(&told.to_string());
        } else {
            said(&format!("sdht: {}", self.what));
            self.next.iter().for_each(|next| said(next));
        }
        self.code
    }
}

/// Standard output failed: whoever has stopped reading knows why.
impl From<io::Error> for Fail {
    fn from(why: io::Error) -> Self {
        match why.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(Code::Ok),
            _ => Self::other(format!("standard output: {why}")),
        }
    }
}

/// What was typed cannot be read: what is wrong with it first, and behind that how it is typed.
impl From<clap::Error> for Fail {
    fn from(why: clap::Error) -> Self {
        let told = why.render().to_string();
        if why.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Self::usage("what to do was not said").next(told.trim());
        }
        let (what, next) = told.split_once("\n\n").unwrap_or((&told, ""));
        let what: Vec<&str> = what.split_whitespace().collect();
        Self::usage(what.join(" ").trim_start_matches("error: ")).next(next.trim())
    }
}

impl From<&NoRing> for Code {
    fn from(no_ring: &NoRing) -> Self {
        match no_ring {
            NoRing::NobodyAnswers { .. } | NoRing::Gap { .. } => Self::NoMajority,
            NoRing::NotAllowed { .. } => Self::NotAllowed,
            _ => Self::Other,
        }
    }
}

impl From<&Trouble> for Code {
    fn from(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::NoRing(no_ring) => no_ring.into(),
            Trouble::NoMajority { .. } | Trouble::Contention { .. } | Trouble::Full(_) => {
                Self::NoMajority
            }
            Trouble::NotAllowed { .. } => Self::NotAllowed,
            Trouble::Forgotten => Self::Unknown,
            _ => Self::Other,
        }
    }
}

const START_OR_NAME: &str =
    "Start a storage ('minor-storage -p 8000'), or name one of the ring: --ring HOST:PORT.";
const GIVE_TOKEN: &str = "Give its token: --token-file FILE, or SDHT_TOKEN_FILE.";
const MAKE_ROOM: &str = "Nothing is lost, and reading and deleting go on. Make room on that disk, or 'sdht join' another \
                         storage; then say it again.";
const SEE_STATUS: &str = "'sdht status' shows who is missing; say it again when they are back.";

fn next_after(trouble: &Trouble) -> Option<String> {
    match trouble {
        Trouble::NoRing(no_ring) => next_without(no_ring),
        Trouble::NotAllowed { .. } => Some(GIVE_TOKEN.into()),
        Trouble::NoMajority { .. } => Some(SEE_STATUS.into()),
        Trouble::Contention { .. } => Some("Say it again, or give it longer: --timeout.".into()),
        Trouble::Full(_) => Some(MAKE_ROOM.into()),
        _ => None,
    }
}

/// How to see what a key holds now.
fn look(key: &minor_protocol::Key) -> String {
    format!("See what is there: sdht get {}.", super::quoted(key.to_string()))
}

fn next_without(no_ring: &NoRing) -> Option<String> {
    match no_ring {
        NoRing::NobodyAnswers { is_no_storage: true, .. } => Some(
            "What listens there is no storage ('sdht serve' is none): name one of the ring, --ring HOST:PORT, or start one \
             ('minor-storage -p 8000')."
                .into(),
        ),
        NoRing::NobodyAnswers { .. } | NoRing::NobodyKnown => Some(START_OR_NAME.into()),
        NoRing::NotAllowed { .. } => Some(GIVE_TOKEN.into()),
        NoRing::Gap { .. } => Some(SEE_STATUS.into()),
        _ => None,
    }
}

impl From<NoRing> for Fail {
    fn from(why: NoRing) -> Self {
        Self {
            code: Code::from(&why),
            what: why.to_string(),
            next: next_without(&why),
            passes: why.is_retryable() || matches!(why, NoRing::NotFounded(_)),
        }
    }
}

impl From<NotConnected> for Fail {
    fn from(why: NotConnected) -> Self {
        match why {
            NotConnected::NoRing(why) => why.into(),
            NotConnected::NotMoved(why) => why.into(),
            other => Self::other(other.to_string()),
        }
    }
}

impl From<NotSet> for Fail {
    fn from(why: NotSet) -> Self {
        let (code, next) = match &why {
            NotSet::NoKey(_) => (Code::Usage, None),
            NotSet::NotMet { .. } => (Code::NotMet, None),
            NotSet::Reserved { .. } => (Code::Usage, None),
            NotSet::NotDone { key, why: why @ Trouble::Contention { .. } } => (
                Code::from(why),
                Some(format!(
                    "{}; then say it again, or give it longer: --timeout.",
                    look(key).trim_end_matches('.')
                )),
            ),
            NotSet::NotDone { why, .. } => (Code::from(why), next_after(why)),
            NotSet::Unknown { key, why: Trouble::Full(_) } => {
                (Code::Unknown, Some(format!("{MAKE_ROOM} {}", look(key))))
            }
            NotSet::Unknown { key, .. } => (Code::Unknown, Some(look(key))),
            _ => (Code::Other, None),
        };
        Self { code, what: why.to_string(), next, passes: false }
    }
}

impl From<NotGot> for Fail {
    fn from(why: NotGot) -> Self {
        let (code, next) = match &why {
            NotGot::NoKey(_) => (Code::Usage, None),
            NotGot::TooLong { .. } => {
                (Code::Other, Some("Write it to a file: -o FILE, without --json.".into()))
            }
            NotGot::NotRead { why, .. } | NotGot::NotListed { why, .. } => {
                (Code::from(why), next_after(why))
            }
            _ => (Code::Other, None),
        };
        Self { code, what: why.to_string(), next, passes: false }
    }
}

impl From<NotMoved> for Fail {
    fn from(why: NotMoved) -> Self {
        let (passes, what) = (passes(&why), why.to_string());
        let fail = match why {
            NotMoved::NoRing(why) => return why.into(),
            NotMoved::NoGoal(NoGoal::LastStorage) => Self::new(Code::NotMet, what),
            NotMoved::Refused { refusal: Refusal::HoldsPlain { .. }, .. } => Self::new(Code::NotMet, what)
                .next("Bring them into the ring: --import; or drop them: --discard."),
            NotMoved::Differs { ref key, ref address, .. } => {
                let next = format!(
                    "See what the ring has ('sdht get {}') and what {address} has (curl {address}/v1/kv/...); keep the \
                     ring's with 'sdht join {address} --discard', or delete it there and say --import again.",
                    super::quoted(key.to_string())
                );
                Self::new(Code::NotMet, what).next(next)
            }
            NotMoved::NotBrought { .. } => {
                Self::other(what).next("Say the same again: what was brought is found to be there.")
            }
            NotMoved::Silent { silence: Silence::NotAllowed(_), .. } => {
                Self::new(Code::NotAllowed, what).next(GIVE_TOKEN)
            }
            NotMoved::Silent { .. } => Self::other(what).next("Start it, and say the same again."),
            NotMoved::NoMajority(_) => Self::new(Code::NoMajority, what).next(
                "With all of those that never come back as ADDR: sdht remove ADDR ... --dead --accept-loss",
            ),
            NotMoved::Beside(ref silent) => Self::new(Code::NotMet, &*what).next(format!(
                "Start it again first; or, if it never comes back: sdht remove {} --dead",
                silent.join(" ")
            )),
            NotMoved::Alive { ref address } => {
                let next = format!("Let it hand over what it keeps: sdht remove {address}");
                Self::new(Code::NotMet, what).next(next)
            }
            NotMoved::Replaced { ref address } => {
                let next = format!(
                    "Let the old one go, then bring in the new one: sdht remove {address} --dead, then sdht join {address}"
                );
                Self::new(Code::NotMet, what).next(next)
            }
            NotMoved::Apart { .. } => Self::new(Code::NotMet, what).next(
                "Start it on an address that the others reach (--bind ADDR), or let it say where they reach it: 'minor-storage \
                 --advertise HOST:PORT', or MINOR_STORAGE_ADVERTISE for the one beside a door.",
            ),
            NotMoved::Unknown { .. } => {
                Self::new(Code::NotFound, what).next("'sdht status' shows who is in the ring.")
            }
            NotMoved::NotSeen { .. } => Self::new(Code::NoMajority, what).next(SEE_STATUS),
            NotMoved::Uneven(_) => Self::other(what)
                .next("All is served as before; with more keys it evens out. 'sdht status' shows the shares."),
            NotMoved::Stuck { .. } => Self::other(what).next(format!(
                "'sdht status' shows who is missing; when they are back, this goes on from here: sdht {}",
                super::as_typed()
            )),
            _ => Self::other(what),
        };
        Self { passes, ..fail }
    }
}

/// Whether the same change, said again and again, may come to its end without anybody's help: a keeper lets go whom another
/// storage has taken the place of.
fn passes(why: &NotMoved) -> bool {
    match why {
        NotMoved::Silent { silence: Silence::NotAllowed(_), .. } => false,
        NotMoved::Refused { refusal, .. } => {
            !matches!(refusal, Refusal::HoldsPlain { .. } | Refusal::Stranger { .. })
        }
        NotMoved::Replaced { .. } => true,
        other => other.is_retryable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Key, Span};

    #[test]
    fn each_end_of_a_change_has_its_own_code() {
        let key = || Key::new("k").unwrap();
        let of = |why: NotSet| Fail::from(why).code as u8;
        let few = || Trouble::NoMajority {
            span: Span::WHOLE,
            heard: 1,
            of: 3,
            tried_ms: 10,
            last: String::new(),
        };
        assert_eq!(of(NotSet::NotMet { key: key(), found: None }), 4);
        assert_eq!(of(NotSet::NotDone { key: key(), why: few() }), 5);
        assert_eq!(of(NotSet::NotDone { key: key(), why: Trouble::Full("a:1".into()) }), 5);
        assert_eq!(of(NotSet::Unknown { key: key(), why: few() }), 6);
        let closed = Trouble::NotAllowed { last: "401".into() };
        assert_eq!(of(NotSet::NotDone { key: key(), why: closed }), 7);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let fail = Fail::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((fail.code, fail.what.as_str()), (Code::Ok, ""));
        assert_eq!(Fail::from(io::Error::other("full")).code, Code::Other);
    }
}
