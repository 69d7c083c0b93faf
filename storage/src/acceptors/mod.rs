//! The acceptors: how a storage votes.
//!
//! Everything here is decided over plain values and returned as a value. No disk, no clock, no lock: whoever calls says what
//! is held and what time it is, and does what the answer says, durably, before anybody hears of it.
//!
//! * [`register`]: votes on keys.
//! * [`chart`]: which arcs the storage keeps, which it left, and its votes on decrees.

pub mod chart;
pub mod register;
