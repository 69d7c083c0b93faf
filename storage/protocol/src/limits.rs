//! Every limit on what comes from outside, in one place, with its reason.

/// Bytes of a key. Long enough for a path, short enough to be a file name of a log line.
pub const KEY_BYTES: usize = 1_024;
/// Bytes of one record's value: longer ones leave sled's pages for files it never syncs. Larger objects are cut by the router.
pub const VALUE_BYTES: usize = 64 << 10;
/// Bytes of a content type.
pub const CONTENT_TYPE_BYTES: usize = 255;
/// Bytes of an address (`host:port`; a host name has at most 253).
pub const ADDRESS_BYTES: usize = 259;
/// Bytes of a zone's name.
pub const ZONE_BYTES: usize = 64;
/// Members of one arc: seven copies survive three losses, and one more for the member on its way in.
pub const MEMBERS: usize = 8;
/// Copies one may wish for: a member on its way in must still fit.
pub const COPIES: u8 = 7;
/// Ids of the last operations a record remembers, so that a retry is not applied twice.
pub const RECENT: usize = 8;
/// Requests in one ask.
pub const ASK_REQUESTS: usize = 1_000;
/// Requests in one ask that read or rewrite much: those beyond are answered "too much".
pub const ASK_LONG: usize = 16;
/// Arcs a storage remembers: far more than a ring of a thousand storages has.
pub const CHART_ARCS: usize = 4_096;
/// Bytes a router gathers into one ask.
pub const ASK_BYTES: usize = 1 << 20;
/// Bytes of an ask that a storage reads: one gathered ask and one more operation of the largest size, with room to spare.
pub const ASK_BYTES_READ: usize = 2 << 20;
/// Bytes of values in one set of answers; requests beyond are answered "too much" and may be asked again.
pub const ANSWER_BYTES: usize = 4 << 20;
/// Bytes of a set of answers that a router reads before it calls the storage damaged.
pub const ANSWER_BYTES_READ: usize = 8 << 20;
/// Rows of one page of a listing.
pub const LIST_ROWS: u32 = 1_000;
/// Bytes of records on one page: enough for one disk flush to be worth it, and small enough for a dozen pages on their way.
pub const PAGE_BYTES: usize = 256 << 10;
/// Records dropped by one request.
pub const DROP_KEYS: usize = 1_000;
/// Arcs taught at once.
pub const LEARN_ARCS: usize = 64;
/// Neighbours a storage remembers for the walk.
pub const SUCCESSORS: usize = 8;
/// Depth of nesting in a message.
pub const DEPTH: usize = 16;
/// How far ahead of its own clock a storage promises: enough for clocks that nobody tends, too little to use up the future.
pub const AHEAD_MS: u64 = 60_000;
