//! The keys of a whole ring as a stream, of which only a few pages are in memory at a time.

use super::Ring;
use crate::{
    error::{NotGot, Trouble},
    listing::Cursor,
};
use futures_util::{Stream, StreamExt};
use minor_protocol::{Key, Span};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};
use tokio::sync::mpsc;

/// Pages that are fetched before somebody wants them.
const AHEAD: usize = 2;

type Page = Result<Option<Vec<Key>>, NotGot>;

/// A listing under way. It ends after the last key, or after the first error.
#[derive(Debug)]
pub struct Keys {
    pages: mpsc::Receiver<Page>,
    page: vec::IntoIter<Key>,
    is_over: bool,
    /// The router lives as long as somebody listens to it.
    _ring: Ring,
}

impl Ring {
    /// All keys that begin so, in the order of their places on the ring. One that stays all the while is never missed; one
    /// that comes or goes meanwhile may be shown or not; and while the ring itself changes, one may be shown twice.
    pub fn keys(&self, prefix: &str) -> Keys {
        let (send, pages) = mpsc::channel(AHEAD);
        let prefix = prefix.to_owned();
        let listing = self.begin(move |router| async move {
            let mut cursor = Cursor::default();
            loop {
                let mut page = router.list(&mut cursor).await;
                if let Ok(Some(keys)) = &mut page {
                    keys.retain(|key| !key.is_reserved() && key.as_str().starts_with(&prefix));
                }
                let goes_on = matches!(page, Ok(Some(_)));
                if send.send(page).await.is_err() || !goes_on {
                    return;
                }
            }
        });
        // If the router has ended, so have the pages.
        let _ = listing;
        Keys { pages, page: vec![].into_iter(), is_over: false, _ring: self.clone() }
    }
}

impl Keys {
    /// The next key.
    pub async fn next(&mut self) -> Option<Result<Key, NotGot>> {
        StreamExt::next(self).await
    }
}

impl Stream for Keys {
    type Item = Result<Key, NotGot>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(key) = self.page.next() {
                return Poll::Ready(Some(Ok(key)));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let lost = || Err(NotGot::NotListed { span: Span::WHOLE, why: Trouble::Ended });
            match ready!(self.pages.poll_recv(cx)).unwrap_or_else(lost) {
                Ok(Some(keys)) => self.page = keys.into_iter(),
                Ok(None) => self.is_over = true,
                Err(why) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(why)));
                }
            }
        }
    }
}
