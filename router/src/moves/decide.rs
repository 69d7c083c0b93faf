//! Having one decree decided and spread: the votes of an arc's members, and the teaching before and after.

use super::{Progress, Taken};
use crate::{
    proposal::{Canvass, Poll},
    router::{Enough, Router},
    tally::{Tally, Verdict},
    transport::{Transport, lines::Heard},
    tries::said_no,
};
use futures_util::{StreamExt, future::join_all};
use minor_protocol::{Decree, Member, Refusal, Reply, Request, RingArc, StorageId, mutant};

impl<T: Transport> Router<T> {
    /// Rule 14: before a newcomer can come in at the next epoch, it knows the present arc as one it does not keep, and has
    /// cleared away whatever it held there.
    pub(super) async fn teach_outsider(
        &self,
        arc: &RingArc,
        member: &Member,
    ) -> Result<(), String> {
        let no = |why: String| format!("{}: {why}", member.address);
        let learn = Request::Learn { arcs: vec![arc.clone()] };
        match self.say(member, learn).await {
            Ok(Ok(Reply::Learned)) => {}
            Ok(other) => return Err(no(format!("{other:?}"))),
            Err(silence) => return Err(no(silence.to_string())),
        }
        let (hello, _) = self.hello(&member.address).await.map_err(|s| no(s.to_string()))?;
        if hello.wiping.iter().any(|span| span.overlaps(arc.span)) {
            return Err(no("it is still clearing what it kept there before".into()));
        }
        let knows = hello.left.iter().any(|left| left.is_same_slot(arc));
        // What it learned was chosen (rule 12), though whoever keeps it may not have heard: then it is heard of here.
        let newer = hello.left.iter().filter(|left| left.epoch > arc.epoch);
        newer.filter(|left| left.span.overlaps(arc.span)).for_each(|left| self.learn(left));
        if knows { Ok(()) } else { Err(no("it knows a newer arc there".into())) }
    }

    /// A member is let go only if most of those who stay answer: or what is served would stand still without it.
    pub(super) async fn heed_the_rest(
        &self,
        arc: &RingArc,
        leaver: StorageId,
    ) -> Result<(), String> {
        if mutant::is("M23") {
            return Ok(());
        }
        let rest = || arc.members.iter().filter(|member| member.storage != leaver);
        let asked = rest().map(|member| async {
            let heard = self.hello(&member.address).await;
            heard.is_ok_and(|(hello, _)| hello.member.storage == member.storage)
        });
        let answered = join_all(asked).await;
        let silent: Vec<&str> = rest()
            .zip(&answered)
            .filter(|(_, answers)| !**answers)
            .map(|(member, _)| member.address.as_str())
            .collect();
        let mut vote = Tally::of(answered.len());
        answered.iter().for_each(|answers| if *answers { vote.aye() } else { vote.no() });
        if vote.verdict() == Verdict::Reached {
            return Ok(());
        }
        Err(format!(
            "with one less it would not be served, as long as {} {} silent",
            silent.join(" and "),
            if silent.len() == 1 { "is" } else { "are" },
        ))
    }

    /// Has the slot of this arc decided: for the one that somebody put forward before, or else for one's own, if any.
    pub(super) async fn decide(
        &self,
        arc: &RingArc,
        own: Option<&Decree>,
        tell: &mut dyn FnMut(Progress),
    ) -> Taken {
        let ballot = self.ballot(arc.epoch);
        let mut canvass = Canvass::of(arc.members.len());
        let prepare = Request::PrepareDecree { arc: arc.clone(), ballot };
        let (verdict, last) = self.poll(arc, prepare, |heard| canvass.hear(heard)).await;
        if verdict != Verdict::Reached {
            return self.undecided(arc, canvass.newer, &last).await;
        }
        let Some(decree) = canvass.decree(own) else {
            return Taken::NotYet("nobody has put anything forward".into());
        };
        let mut poll = Poll::of(arc.members.len());
        let accept = Request::AcceptDecree { arc: arc.clone(), ballot, decree: decree.clone() };
        let (verdict, last) = self.poll(arc, accept, |heard| poll.hear(heard)).await;
        if verdict != Verdict::Reached {
            return self.undecided(arc, poll.newer, &last).await;
        }
        // It is chosen: from here on it is only spread.
        tell(Progress::Agreed(arc.clone(), decree.clone()));
        let next = match decree.next(arc) {
            Ok(next) => next,
            Err(unfit) => return Taken::NotYet(format!("an unfit decree was chosen: {unfit}")),
        };
        next.iter().for_each(|arc| self.learn(arc));
        self.teach(arc, &next).await
    }

    /// Asks every member of an arc the same, and hears until the count has come to a verdict. The words are the last no, or
    /// silence.
    async fn poll(
        &self,
        arc: &RingArc,
        request: Request,
        mut hear: impl FnMut(Option<Result<Reply, Refusal>>) -> Verdict,
    ) -> (Verdict, String) {
        let ask = |m: &Member| (m.clone(), request.clone());
        let mut answers = self.say_all(arc.members.iter().map(ask));
        let mut last = String::from("silence");
        while let Some((from, heard)) = answers.next().await {
            self.take_in(arc, from, &heard);
            note(&mut last, arc, from, &heard);
            match hear(heard.ok()) {
                Verdict::Pending => {}
                verdict => return (verdict, last),
            }
        }
        unreachable!("a vote has come to a verdict when all have answered")
    }

    /// Somebody may have decided the slot already: then the newer arc is spread, and it is decided.
    async fn undecided(&self, arc: &RingArc, newer: Option<RingArc>, last: &str) -> Taken {
        match newer {
            Some(newer) => self.teach(arc, &[newer]).await,
            None => Taken::NotYet(last.to_owned()),
        }
    }

    /// Rule 20: spreads arcs known to be chosen, until a majority of the members of each has adopted it.
    pub(super) async fn teach(&self, before: &RingArc, next: &[RingArc]) -> Taken {
        let mut learners: Vec<Member> = before.members.clone();
        for member in next.iter().flat_map(|arc| &arc.members) {
            if learners.iter().all(|l| l.storage != member.storage) {
                learners.push(member.clone());
            }
        }
        let learn = |m: &Member| (m.clone(), Request::Learn { arcs: next.to_vec() });
        let mut answers = self.say_all(learners.iter().map(learn));
        let mut missing = learners.clone();
        let mut counts: Vec<Tally> = next.iter().map(|arc| Tally::of(arc.members.len())).collect();
        let mut last = String::from("silence");
        loop {
            let all_adopted = counts.iter().all(|count| count.verdict() == Verdict::Reached);
            let enough = if all_adopted { Enough::Already } else { Enough::NotYet };
            let first = self.next_in_time(&mut answers, enough, missing.iter()).await;
            let Some((from, heard)) = first else { break };
            missing.retain(|learner| learner.storage != from);
            note(&mut last, before, from, &heard);
            for (arc, count) in next.iter().zip(&mut counts) {
                match heard {
                    Ok(Ok(_)) if arc.has(from) => count.aye(),
                    _ if arc.has(from) => count.no(),
                    _ => {}
                }
            }
        }
        if counts.iter().all(|count| count.verdict() == Verdict::Reached) {
            Taken::Decided
        } else {
            Taken::NotYet(format!("too few have adopted the new form; last: {last}"))
        }
    }
}

/// Keeps the last no, or silence, for what is said when a step does not succeed.
pub(crate) fn note(last: &mut String, arc: &RingArc, from: StorageId, heard: &Heard) {
    let address = arc.member(from).map_or("a newcomer", |m| m.address.as_str());
    match heard {
        Ok(Ok(_)) => {}
        Ok(Err(refusal)) => *last = said_no(address, from, refusal),
        Err(silence) => *last = format!("{address}: {silence}"),
    }
}
