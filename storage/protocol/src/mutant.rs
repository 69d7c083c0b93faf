//! Rules switched off, one at a time, to see that the tests notice. Builds for release do not hold this.
//!
//! A mutant is a name of the list in the protocol. Which one is on is said per thread, so tests run side by side.

#[cfg(debug_assertions)]
mod on {
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Switches one rule off on this thread, or none.
    pub fn switch(mutant: Option<&'static str>) {
        ON.set(mutant);
    }

    /// Whether this rule is off.
    pub fn is(mutant: &str) -> bool {
        ON.get() == Some(mutant)
    }
}

#[cfg(not(debug_assertions))]
mod on {
    /// In a release every rule holds.
    #[inline(always)]
    pub fn is(_: &str) -> bool {
        false
    }
}

pub use on::*;
