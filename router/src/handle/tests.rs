//! What the compiler can say of the handle, and what needs no storage.

use super::*;
use crate::{NotGot, NotSet, PutOptions};
use futures_util::{FutureExt, stream};
use minor_protocol::Expect;
use std::{io, net::TcpListener};

fn is_send<T: Send>(_: T) {}
fn is_shared<T: Send + Sync + Clone + 'static>() {}

#[test]
fn every_future_can_be_sent_to_another_thread() {
    // It is enough that this compiles.
    fn all(ring: &Ring, key: Key, operation: Operation) {
        let (options, source) = (PutOptions::new(), stream::empty::<io::Result<Vec<u8>>>());
        is_send(Ring::connect(["a:1"]));
        is_send(Ring::builder().found("a:1"));
        is_send(ring.set("k", &1));
        is_send(ring.set_if("k", &1, Expect::Absent));
        is_send(ring.get::<u32>("k"));
        is_send(ring.get::<std::marker::PhantomData<std::rc::Rc<str>>>("k").map(drop));
        is_send(ring.delete("k"));
        is_send(ring.put_bytes("k", "", vec![]));
        is_send(ring.get_bytes("k"));
        is_send(ring.set_with("k", &1, &options));
        is_send(ring.put_with("k", vec![], &options));
        is_send(ring.put_stream("k", source, &options));
        is_send(ring.get_stream("k", ..));
        is_send(ring.get_stream("k", 1..).map(|object| is_send(object.unwrap().unwrap().next())));
        is_send(ring.sweep_orphans(Duration::ZERO));
        is_send(ring.read(key.clone()));
        is_send(ring.change(key, operation));
        is_send(ring.set_many([("k", 1)]));
        is_send(ring.get_many::<_, u32>(["k"]));
        is_send(ring.keys(""));
        is_send(ring.keys("").next());
        is_send(ring.join("a:1"));
        is_send(ring.join("a:1").next());
        is_send(ring.leave("a:1"));
        is_send(ring.set_copies(3));
        is_send(ring.repair());
        is_send(ring.walk());
        is_send(ring.survey());
        is_send(ring.arcs());
    }
    let _ = all;
    is_shared::<Ring>();
    is_shared::<crate::blocking::Ring>();
}

/// A handle of a ring that nobody is in.
fn nowhere() -> Ring {
    let builder = Ring::builder().timeout(Duration::from_millis(100));
    pollster::block_on(builder.start(vec![])).unwrap()
}

#[test]
fn what_cannot_be_kept_is_refused_before_anybody_is_asked() {
    let ring = nowhere();
    let long = "x".repeat(minor_protocol::limits::CONTENT_TYPE_BYTES + 1);
    let refused = pollster::block_on(ring.put_bytes("k", &long, vec![]));
    assert!(matches!(refused, Err(NotSet::TooLong { .. })), "{refused:?}");
    let refused = pollster::block_on(ring.put_bytes("k", crate::object::OBJECT, vec![]));
    assert!(matches!(refused, Err(NotSet::Reserved { .. })), "{refused:?}");
    let refused = pollster::block_on(ring.set("\0k", &1));
    assert!(matches!(refused, Err(NotSet::NoKey(_))), "{refused:?}");
    let refused = pollster::block_on(ring.set("", &1));
    assert!(matches!(refused, Err(NotSet::NoKey(_))), "{refused:?}");
    let refused = pollster::block_on(ring.set_many([("", 1)]));
    assert!(matches!(refused[..], [Err(NotSet::NoKey(_))]), "{refused:?}");
}

#[test]
fn an_error_says_that_nothing_was_changed_and_whether_to_try_again() {
    let ring = nowhere();
    let not_set = pollster::block_on(ring.set("k", &1)).unwrap_err();
    assert!(not_set.changed_nothing() && !not_set.is_retryable(), "{not_set}");
    let not_got = pollster::block_on(ring.get::<u32>("k")).unwrap_err();
    assert!(matches!(not_got, NotGot::NotRead { .. }), "{not_got}");
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let not_connected = pollster::block_on(Ring::connect([unused.to_string()])).unwrap_err();
    assert!(not_connected.is_retryable(), "{not_connected}");
}

#[test]
fn a_listing_without_a_ring_ends_with_an_error() {
    let mut keys = nowhere().keys("");
    assert!(matches!(pollster::block_on(keys.next()), Some(Err(NotGot::NotListed { .. }))));
    assert!(pollster::block_on(keys.next()).is_none());
}
