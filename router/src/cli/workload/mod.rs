//! Work for a ring, and what comes of it: the parts that `load` and `bench` are made of.
//!
//! ```text
//!   letters   which operation ─┐                       ┌─▶ checker   was the ring's word kept?
//!   keys      on which key    ─┼─▶ run: many tasks ────┤
//!   arrivals  when            ─┘   over one handle     └─▶ summary   how long did it take?
//! ```
//!
//! Only `run` waits for anything. What is measured is the ring with its handle as programs use it, on a machine that runs this
//! command too.

pub(crate) mod arrivals;
pub(crate) mod chance;
pub(crate) mod checker;
pub(crate) mod keys;
pub(crate) mod letters;
pub(crate) mod run;
pub(crate) mod spread;
pub(crate) mod summary;
pub(crate) mod value;
