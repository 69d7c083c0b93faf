//! One change of a key at a time: a router never gets in its own way.
//!
//! Two changes of one key that run side by side refuse each other's ballots, and with many of them hardly any gets through.
//! Within one router they need not: they stand in line. (Those of other routers are met by ballots, as ever.)

use minor_protocol::Key;
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    rc::Rc,
};
use tokio::sync::oneshot;

/// The lines before all keys that are being changed. A key with nobody in line has none.
#[derive(Default)]
pub(crate) struct Turns {
    lines: RefCell<BTreeMap<Key, VecDeque<oneshot::Sender<Turn>>>>,
}

/// Somebody's turn at a key, until it is dropped: then it is the next one's.
pub(crate) struct Turn {
    /// None once it was passed on.
    of: Option<Rc<Turns>>,
    key: Key,
}

impl Turns {
    /// Waits for one's turn at a key. Whoever stops waiting leaves the line.
    pub(crate) async fn take(self: &Rc<Self>, key: &Key) -> Turn {
        let told = match self.lines.borrow_mut().entry(key.clone()) {
            Entry::Vacant(line) => {
                line.insert(VecDeque::new());
                None
            }
            Entry::Occupied(mut line) => {
                let (tell, told) = oneshot::channel();
                line.get_mut().push_back(tell);
                Some(told)
            }
        };
        match told {
            Some(told) => told.await.expect("a turn is passed on as long as somebody waits"),
            None => Turn { of: Some(Rc::clone(self)), key: key.clone() },
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.of.take() else { return };
        loop {
            let next = {
                let mut lines = turns.lines.borrow_mut();
                let line = lines.get_mut(&self.key).expect("whoever has a turn has a line");
                let next = line.pop_front();
                if next.is_none() {
                    lines.remove(&self.key);
                }
                next
            };
            let Some(next) = next else { return };
            let turn = Self { of: Some(Rc::clone(&turns)), key: self.key.clone() };
            match next.send(turn) {
                Ok(()) => return,
                // That one waits no more; its turn is nobody's.
                Err(mut unwanted) => unwanted.of = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn key() -> Key {
        Key::new("k").unwrap()
    }

    #[test]
    fn turns_come_in_the_order_in_which_they_were_asked_for() {
        let turns = Rc::<Turns>::default();
        let key = key();
        let first = turns.take(&key).now_or_never().expect("nobody was before it");
        let (mut second, mut third) = (Box::pin(turns.take(&key)), Box::pin(turns.take(&key)));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the second is before it");
        drop(second.now_or_never().expect("it is its turn"));
        drop(third.now_or_never().expect("it is its turn"));
        assert!(turns.lines.borrow().is_empty(), "nothing is left behind");
    }

    #[test]
    fn whoever_stops_waiting_holds_nobody_up() {
        let turns = Rc::<Turns>::default();
        let key = key();
        let first = turns.take(&key).now_or_never().unwrap();
        let (mut gone, mut told) = (Box::pin(turns.take(&key)), Box::pin(turns.take(&key)));
        let mut last = Box::pin(turns.take(&key));
        for waiting in [&mut gone, &mut told, &mut last] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(gone);
        drop(first);
        // It has been told that it is its turn, and goes without having looked.
        drop(told);
        drop(last.now_or_never().expect("those before it are gone"));
        assert!(turns.lines.borrow().is_empty());
    }
}
