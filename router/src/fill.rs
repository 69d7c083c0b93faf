//! Moving data: fills a newcomer, levels what differs, sweeps what is dead. What is to be done for a page of keys is decided
//! by [`crate::sync`]; here it is done, many keys at once.

use crate::{
    moves::{NotMoved, Progress, note},
    router::Router,
    sync::{Chore, Listing, dead_everywhere, enough, settle},
    transport::Transport,
    tries::Again,
};
use futures_util::{StreamExt, stream};
use minor_protocol::{Key, Member, Reply, Request, RingArc, limits::LIST_ROWS, record::Record};

/// Keys that are copied at the same time.
const AT_ONCE: usize = 256;

impl<T: Transport> Router<T> {
    /// Rule 17: makes sure that whatever a majority of the full members settled on is held by the filling one too, and that
    /// nothing is unsettled. All of it in the arc's present epoch.
    pub(crate) async fn sync(
        &self,
        arc: &RingArc,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), String> {
        let mut after: Option<Key> = None;
        loop {
            let listings = self.listings(arc, after.clone()).await?;
            let work = settle(arc, &listings);
            let copied =
                work.chores.iter().filter(|chores| matches!(chores, Chore::Copy { .. })).count();
            tell(Progress::Synced(arc.span, work.keys, copied));
            let mut done =
                stream::iter(work.chores.into_iter().map(|chores| self.settle_one(arc, chores)))
                    .buffer_unordered(AT_ONCE);
            while let Some(end) = done.next().await {
                end?;
            }
            match work.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn settle_one(&self, arc: &RingArc, chores: Chore) -> Result<(), String> {
        let (key, ballot, from) = match chores {
            Chore::Renew { key } => return self.renewed(&key, arc).await,
            Chore::Copy { key, ballot, from } => (key, ballot, from),
        };
        let Some(filling) = arc.filling.and_then(|f| arc.member(f)) else { return Ok(()) };
        let Ok(state) = self.fetch(&key, arc, ballot, &from).await else {
            // It was changed since it was listed: then only identity can tell.
            return self.renewed(&key, arc).await;
        };
        let record = Record { ballot, state };
        match self.say(filling, Request::Copy { key: key.clone(), epoch: arc.epoch, record }).await
        {
            Ok(Ok(Reply::Copied)) => Ok(()),
            other => Err(format!("{} did not take key '{key}': {other:?}", filling.address)),
        }
    }

    async fn renewed(&self, key: &Key, arc: &RingArc) -> Result<(), String> {
        self.renew(key, arc).await.map_err(|again| match again {
            Again::Wiser | Again::Untouched => "the arc has changed meanwhile".into(),
            Again::Later(trouble) => trouble.to_string(),
        })
    }

    /// One page of the listings of a majority of the full members, and of the filling one.
    async fn listings(&self, arc: &RingArc, after: Option<Key>) -> Result<Vec<Listing>, String> {
        let (span, epoch) = (arc.span, arc.epoch);
        let list = |m: &Member| {
            (m.clone(), Request::List { span, epoch, after: after.clone(), limit: LIST_ROWS })
        };
        let mut answers = self.say_all(arc.members.iter().map(list));
        let (mut listings, mut last) = (vec![], String::from("silence"));
        while let Some((from, heard)) = answers.next().await {
            self.take_in(arc, from, &heard);
            note(&mut last, arc, from, &heard);
            if let Ok(Ok(Reply::Listed { rows, more })) = heard {
                listings.push(Listing { from, rows, more });
            }
        }
        let full = |l: &&Listing| Some(l.from) != arc.filling;
        let heard = listings.iter().filter(full).count();
        let majority = enough(arc.full().count());
        let filling_heard = arc.filling.is_none_or(|f| listings.iter().any(|l| l.from == f));
        if heard >= majority && filling_heard {
            // All in one order, whoever answered first.
            listings.sort_by_key(|l| l.from);
            Ok(listings)
        } else {
            Err(format!(
                "{heard} of {} full members listed {span}; last: {last}",
                arc.full().count()
            ))
        }
    }

    /// Levels an arc that nobody is filling: renews every key its members do not show alike.
    pub async fn level(
        &self,
        arc: &RingArc,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let stuck = |why| NotMoved::Stuck { arc: Box::new(arc.clone()), why };
        let mut after = None;
        loop {
            let listings = self.listings(arc, after).await.map_err(stuck)?;
            let mut uneven: Vec<Key> = vec![];
            for row in listings.iter().flat_map(|l| &l.rows) {
                let alike =
                    |l: &Listing| l.rows.iter().any(|r| r.key == row.key && r.ballot == row.ballot);
                if !uneven.contains(&row.key) && !listings.iter().all(alike) {
                    uneven.push(row.key.clone());
                }
            }
            let work = settle(arc, &listings);
            tell(Progress::Synced(arc.span, work.keys, uneven.len()));
            for key in uneven {
                self.renewed(&key, arc).await.map_err(stuck)?;
            }
            match work.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Rules 19 and 21: drops what every member of the arc shows dead at one same ballot. Says how many records went.
    pub async fn sweep(&self, arc: &RingArc) -> Result<usize, NotMoved> {
        if arc.filling.is_some() {
            return Ok(0);
        }
        let stuck = |why| NotMoved::Stuck { arc: Box::new(arc.clone()), why };
        let now_ms = self.now_ms();
        let (mut after, mut swept) = (None, 0);
        loop {
            let listings = self.listings(arc, after).await.map_err(stuck)?;
            let Some(dead) = dead_everywhere(arc, &listings, now_ms) else { return Ok(swept) };
            let next = settle(arc, &listings).next;
            if !dead.is_empty() {
                let drop_all = |m: &Member| {
                    (m.clone(), Request::Drop { epoch: arc.epoch, dead: dead.clone() })
                };
                let mut answers = self.say_all(arc.members.iter().map(drop_all));
                while let Some((from, heard)) = answers.next().await {
                    self.take_in(arc, from, &heard);
                }
                swept += dead.len();
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(swept),
            }
        }
    }
}
