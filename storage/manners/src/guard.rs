//! Who may ask at all: closed unless opened.
//!
//! * On a loopback address anybody on this machine may ask, but no web page may: a page whose name was made to point here says
//!   that name as `Host`, and one that posts from elsewhere says so as `Origin`. Nothing is opened to other origins.
//! * With a token file, only who shows one of its tokens; whether the process lives is no secret, nor is the program.
//!
//! Host names are compared without their ports: a page cannot choose the name in `Host`, and a forwarded port is another
//! one than ours.

use crate::problem::Problem;
use actix_web::{
    HttpRequest,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
};
use std::{
    fmt, fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use subtle::ConstantTimeEq;

/// What a request is about, as far as a guard cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Whether the process lives.
    BeingAlive,
    /// What is the same for everybody, and in the program for all to read.
    Program,
    /// Anything else.
    Content,
}

/// What is required of whoever asks.
#[derive(Debug)]
pub struct Guard {
    /// The names a `Host` may have beside those of loopback; none if any will do.
    names: Option<Vec<String>>,
    tokens: Option<Tokens>,
}

impl Guard {
    /// The guard of what listens at `address`, is known to others as `advertised`, and has these tokens, if any.
    pub fn new(address: SocketAddr, advertised: &str, tokens: Option<Tokens>) -> Self {
        let names = address.ip().is_loopback().then(|| vec![name_in(advertised).to_owned()]);
        Self { names, tokens }
    }

    /// Whether this request may be made.
    pub fn admit(&self, call: &HttpRequest, about: About) -> Result<(), Problem> {
        let headers = call.headers();
        // An absolute target takes the place of `Host`.
        let host = match call.uri().authority() {
            Some(authority) => Some(authority.as_str()),
            None => headers.get(header::HOST).map(text).transpose()?,
        };
        let host = host.ok_or_else(|| Problem::malformed("a request must name its Host"))?;
        self.check_name(host)?;
        if about == About::Content {
            self.check_token(headers)?;
        }
        match headers.get(header::ORIGIN) {
            Some(origin) if call.method() != Method::GET && call.method() != Method::HEAD => {
                check_origin(origin, host)
            }
            _ => Ok(()),
        }
    }

    fn check_name(&self, host: &str) -> Result<(), Problem> {
        let Some(names) = &self.names else { return Ok(()) };
        let name = name_in(host);
        let is_ours = name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || names.iter().any(|own| own.eq_ignore_ascii_case(name));
        if is_ours {
            return Ok(());
        }
        let detail = format!(
            "this is not '{}': ask it as localhost, by the address it listens on, or by the name it was given",
            name.escape_debug()
        );
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let shown = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        if shown.and_then(bearer_in).is_some_and(|shown| tokens.has(shown)) {
            return Ok(());
        }
        let detail = "show a token of the token file: `Authorization: Bearer TOKEN`";
        Err(Problem::new(StatusCode::UNAUTHORIZED, detail)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sdht\"")))
    }
}

fn check_origin(origin: &HeaderValue, host: &str) -> Result<(), Problem> {
    let from = text(origin)?;
    let site = from.split_once("://").map(|(_, site)| site);
    if site.is_some_and(|site| site.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    let detail = format!("no page of '{}' may change anything here", from.escape_debug());
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn text(value: &HeaderValue) -> Result<&str, Problem> {
    value.to_str().map_err(|_| Problem::malformed("Host and Origin must be ASCII"))
}

/// `host:port`, `[v6]:port`, or either without a port: the host.
fn name_in(host: &str) -> &str {
    if let Some(v6) = host.strip_prefix('[') {
        return v6.split_once(']').map_or(host, |(v6, _)| v6);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn bearer_in(shown: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = shown.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The tokens that open a storage: one, or two while one takes the other's place. They are never shown.
#[derive(Clone)]
pub struct Tokens(Vec<Vec<u8>>);

/// Shorter ones can be guessed.
const TOKEN_BYTES: usize = 16;
/// The old one and the new one.
const TOKENS: usize = 2;

/// Why a token file cannot be used. What is in it is not told.
#[derive(Debug, thiserror::Error)]
pub enum NoTokens {
    /// It cannot be read.
    #[error("the token file {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        why: io::Error,
    },
    /// Anybody may read it.
    #[error("the token file {} is open to everybody on this machine: `chmod 600` it, and change its tokens", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// There is none in it, or more than two.
    #[error("the token file {} holds {found} tokens: it must hold one or two, each on a line of its own", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// One could be guessed, or not be sent.
    #[error("line {line} of the token file {} is no token: it takes {TOKEN_BYTES} letters, digits or signs at least, and no spaces; `openssl rand -hex 32` makes a good one", path.display())]
    Weak {
        /// The file.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
}

impl Tokens {
    /// The tokens in a file: one or two lines.
    pub fn read(path: &Path) -> Result<Self, NoTokens> {
        let unreadable = |why| NoTokens::Unreadable { path: path.into(), why };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(NoTokens::Open { path: path.into() });
        }
        let bytes = fs::read(path).map_err(unreadable)?;
        let mut tokens = vec![];
        for (line, token) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let token = token.trim_ascii();
            if token.is_empty() {
                continue;
            }
            if token.len() < TOKEN_BYTES || !token.iter().all(u8::is_ascii_graphic) {
                return Err(NoTokens::Weak { path: path.into(), line });
            }
            tokens.push(token.to_vec());
        }
        match tokens.len() {
            1..=TOKENS => Ok(Self(tokens)),
            found => Err(NoTokens::Count { path: path.into(), found }),
        }
    }

    /// Whether this is one of them; how long that takes does not tell how nearly it is.
    fn has(&self, shown: &[u8]) -> bool {
        self.0.iter().fold(false, |found, token| found | bool::from(token.as_slice().ct_eq(shown)))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_stands_before_the_port() {
        for (host, name) in [
            ("localhost:8000", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:8000", "::1"),
            ("[::1]", "::1"),
            ("127.0.0.1.evil:1", "127.0.0.1.evil"),
        ] {
            assert_eq!(name_in(host), name);
        }
    }

    #[test]
    fn tokens_are_told_apart_and_never_shown() {
        let tokens = Tokens(vec![b"one-long-secret-word".into(), b"another-secret-word".into()]);
        assert!(tokens.has(b"one-long-secret-word") && tokens.has(b"another-secret-word"));
        assert!(!tokens.has(b"one-long-secret-wor") && !tokens.has(b""));
        assert_eq!(format!("{tokens:?}"), "2 tokens");
        assert_eq!(bearer_in(b"bearer  x "), Some(&b"x"[..]));
        assert_eq!(bearer_in(b"Basic abc"), None);
    }
}
