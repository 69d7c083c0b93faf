//! A storage over a simulated disk, told as stories. Every rule of the protocol that a storage keeps has one here that goes
//! red when the rule is removed; what the pure acceptors decide has its own stories beside them.

mod coming_in;
mod crashes;
mod damage;
mod plain;
mod rows;
mod tending;
mod votes;
mod world;
