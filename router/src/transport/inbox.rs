//! Where the answers to one question come in: one place for as many storages as were asked.
//!
//! Everything happens on one thread, so an answer is put down and whoever waits is woken; no channel is made for each.

use super::lines::Heard;
use crate::transport::Silence;
use futures_util::Stream;
use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Answers as they come, each with the number of what was asked; it ends when all have come.
#[derive(Default)]
pub struct Inbox {
    place: Rc<RefCell<Place>>,
}

#[derive(Default)]
struct Place {
    heard: VecDeque<(usize, Heard)>,
    /// Answers that are still to come.
    due: usize,
    waits: Option<Waker>,
}

/// One answer that is to come.
pub(super) struct Tell {
    place: Rc<RefCell<Place>>,
    number: usize,
    told: bool,
}

impl Inbox {
    /// One more answer is expected, to what has this number.
    pub(super) fn expect(&self, number: usize) -> Tell {
        self.place.borrow_mut().due += 1;
        Tell { place: Rc::clone(&self.place), number, told: false }
    }

    /// The one answer, where one was asked for.
    pub(super) async fn only(mut self) -> Heard {
        use futures_util::StreamExt;
        self.next().await.map_or_else(|| Err(nobody()), |(_, heard)| heard)
    }
}

impl Stream for Inbox {
    type Item = (usize, Heard);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut place = self.place.borrow_mut();
        match place.heard.pop_front() {
            Some(heard) => Poll::Ready(Some(heard)),
            None if place.due == 0 => Poll::Ready(None),
            None => {
                match &mut place.waits {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl Tell {
    /// This is the answer.
    pub(super) fn tell(mut self, heard: Heard) {
        self.put(heard);
    }

    fn put(&mut self, heard: Heard) {
        self.told = true;
        let waits = {
            let mut place = self.place.borrow_mut();
            place.due -= 1;
            place.heard.push_back((self.number, heard));
            place.waits.take()
        };
        if let Some(waits) = waits {
            waits.wake();
        }
    }
}

/// Whoever waits is told in any case.
impl Drop for Tell {
    fn drop(&mut self) {
        if !self.told {
            self.put(Err(nobody()));
        }
    }
}

fn nobody() -> Silence {
    Silence::Unreachable("nobody asks any more".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};
    use minor_protocol::Reply;

    #[test]
    fn answers_come_in_the_order_they_are_given_and_end_with_the_last() {
        let mut inbox = Inbox::default();
        let (one, two) = (inbox.expect(1), inbox.expect(2));
        assert!(inbox.next().now_or_never().is_none(), "nobody has answered");
        two.tell(Ok(Ok(Reply::Accepted)));
        assert_eq!(inbox.next().now_or_never(), Some(Some((2, Ok(Ok(Reply::Accepted))))));
        assert!(inbox.next().now_or_never().is_none(), "one has not answered");
        drop(one);
        let last = inbox.next().now_or_never().flatten();
        assert!(matches!(last, Some((1, Err(Silence::Unreachable(_))))));
        assert_eq!(inbox.next().now_or_never(), Some(None));
    }
}
