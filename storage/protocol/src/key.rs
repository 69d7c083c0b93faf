//! A user's name for a value: UTF-8, 1 to 1,024 bytes, anything else about it is the user's business.
//!
//! Names that begin with a NUL are the router's own: it keeps the pieces of large objects under them. To a storage they are
//! names as any other, only that people are neither given them in listings nor let to write them.

use crate::{limits::KEY_BYTES, position::Position};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A key that is known to be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Box<str>);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// It has no bytes.
    #[error("a key must have at least one byte")]
    Empty,
    /// It has too many.
    #[error("a key has at most {KEY_BYTES} bytes; this one has {0}")]
    TooLong(usize),
    /// Its bytes are no text.
    #[error("a key must be UTF-8")]
    NotText,
    /// It begins with a NUL.
    #[error("keys that begin with a NUL are kept for the pieces of large objects")]
    Reserved,
}

impl Key {
    /// What the router's own keys begin with.
    pub const RESERVED: char = '\0';

    /// The key of this name, if it can be one.
    pub fn new(name: impl Into<Box<str>>) -> Result<Self, NoKey> {
        let name = name.into();
        match name.len() {
            0 => Err(NoKey::Empty),
            1..=KEY_BYTES => Ok(Self(name)),
            bytes => Err(NoKey::TooLong(bytes)),
        }
    }

    /// The key of this name, if a user may give it.
    pub fn of_user(name: impl Into<Box<str>>) -> Result<Self, NoKey> {
        let key = Self::new(name)?;
        if key.is_reserved() { Err(NoKey::Reserved) } else { Ok(key) }
    }

    /// The key of these bytes, if they can be one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoKey> {
        if bytes.len() > KEY_BYTES {
            return Err(NoKey::TooLong(bytes.len()));
        }
        Self::new(std::str::from_utf8(bytes).map_err(|_| NoKey::NotText)?)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of the router's own, which users do not give.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(Self::RESERVED)
    }

    /// Its place on the ring.
    pub fn position(&self) -> Position {
        Position::of(&self.0)
    }
}

impl TryFrom<String> for Key {
    type Error = NoKey;

    fn try_from(name: String) -> Result<Self, NoKey> {
        Self::new(name)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.into()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_between_one_byte_and_the_limit() {
        assert_eq!(Key::new(""), Err(NoKey::Empty));
        assert!(Key::new("x".repeat(KEY_BYTES)).is_ok());
        assert_eq!(Key::new("x".repeat(KEY_BYTES + 1)), Err(NoKey::TooLong(KEY_BYTES + 1)));
        assert_eq!(Key::from_bytes(&[0xff]), Err(NoKey::NotText));
    }

    #[test]
    fn a_user_s_key_does_not_begin_with_a_nul() {
        assert_eq!(Key::of_user("\0a"), Err(NoKey::Reserved));
        assert!(Key::of_user("a\0").is_ok() && Key::new("\0a").unwrap().is_reserved());
    }
}
