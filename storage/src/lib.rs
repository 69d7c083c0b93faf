//! A storage: keeps records, votes when asked, and never opens a connection to anybody.

pub mod acceptors;
pub mod archive;
mod ceiling;
mod cells;
pub mod check;
pub mod http;
pub mod nodeinfo;
mod notebook;
pub mod page;
pub mod storage;
pub mod store;
