//! For some rules, the shortest story in which their absence does harm. Chance comes to these too seldom.
//!
//! Storages are A, B, C, D; `(e,c)` is a ballot of epoch e and clock c. Each story ends well when every rule holds, and with
//! its mutant the key answers as no register could.

use super::script::{Fate, Script, play, set, set_absent};
use crate::history::{Kind, Outcome};
use minor_protocol::{Decree, Expect, Request};
use minor_storage::store::Room;
use sdht::{
    NotMoved,
    plan::{First, Goal},
};
use std::{cell::Cell, rc::Rc};
use tokio::task::spawn_local;

/// The story of a mutant, if it has one.
pub fn story_of(mutant: &str) -> Option<fn() -> Result<(), String>> {
    match mutant {
        "M1" => Some(|| play(4, a_fast_clock_of_an_older_epoch)),
        "M2" => Some(|| play(3, the_ring_changes_in_the_middle_of_a_round)),
        "M3" => Some(|| play(3, a_router_that_missed_two_changes)),
        "M6" => Some(|| play(3, an_old_accept_meets_a_forgotten_promise)),
        "M13" => Some(|| play(4, one_who_left_hears_late_that_it_came)),
        "M14" => Some(|| play(3, one_who_left_unawares_comes_back)),
        "M19" => Some(|| play(3, two_tries_straddle_a_sweep)),
        "M21" => Some(|| play(2, a_retry_comes_after_all_who_knew_of_it_have_left)),
        "M23" => Some(|| play(3, one_is_to_leave_while_another_is_silent)),
        _ => None,
    }
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;

/// Rule 1. An accept of a fast clock, (1,30 s), is taken by A alone: it was never chosen. A is unreachable while D comes and
/// C goes. B and D, who promised nothing to the fast clock, choose (3,0 s). Then A is back; and whoever reads A and B must
/// believe B.
async fn a_fast_clock_of_an_older_epoch(script: Rc<Script>) -> Result<(), String> {
    let operator = script.ring(3).await?;
    script.enter(D).await?;
    let fast = script.teller(30_000);
    fast.router.remember(&operator.router.arcs());
    fast.post.judged(taken_by_a_alone);
    script.ask(&fast, set_absent(1)).await;

    operator.post.without(&[A]);
    let grow = Decree::Grow { member: script.member(D), place: 3 };
    script.step(&operator, First::Teach, grow).await?;
    let gone = Decree::Shrink { storage: script.member(C).storage };
    script.step(&operator, First::Sync, gone).await?;

    let slow = script.teller(0);
    slow.router.remember(&operator.router.arcs());
    slow.post.without(&[A, C]);
    script.ask(&slow, set(2)).await.ok_or("the slow clock's set was refused")?;

    let reader = script.teller(0);
    reader.router.remember(&operator.router.arcs());
    reader.post.without(&[D]);
    script.ask(&reader, Kind::Get).await.ok_or("the reading was refused")?;
    Ok(())
}

/// Of A, B and C, C is silent: A and B go on. If B were let go, A would be half of two, and nothing would be served until C
/// is back.
async fn one_is_to_leave_while_another_is_silent(script: Rc<Script>) -> Result<(), String> {
    let operator = script.ring(3).await?;
    let leaver = script.member(B).storage;
    script.world.crash(C);
    let _ = operator.router.leave(leaver, &mut |_| {}).await;
    script.ask(&script.teller(0), set(1)).await.ok_or("the set was refused")?;
    Ok(())
}

/// A and C promise; A alone accepts; B hears nothing.
fn taken_by_a_alone(host: usize, request: &Request) -> Fate {
    let lost = host == B || host == C && matches!(request, Request::Accept { .. });
    if lost { Fate::Lost } else { Fate::Comes }
}

/// Rule 2. Everybody has promised (1,30 s) and shown that nothing is there, and the answers are still on their way when the
/// ring changes and another sets the key at (2,0 s). The first one hears of the change before it hears the promises. What
/// they say holds for epoch 1 alone.
async fn the_ring_changes_in_the_middle_of_a_round(script: Rc<Script>) -> Result<(), String> {
    let operator = script.ring(3).await?;
    let first = script.teller(30_000);
    first.router.remember(&operator.router.arcs());
    first.post.judged(|_, request| match request {
        Request::Prepare { .. } => Fate::AnswerComesLater,
        _ => Fate::Comes,
    });
    let (asking, its) = (Rc::clone(&script), first.clone());
    let asked = spawn_local(async move { asking.ask(&its, set_absent(1)).await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;

    script.step(&operator, First::Nothing, Decree::Copies { wanted: 2 }).await?;
    let second = script.teller(0);
    second.router.remember(&operator.router.arcs());
    script.ask(&second, set_absent(2)).await.ok_or("the second set was refused")?;

    script.ask(&first, Kind::Get).await.ok_or("the reading was refused")?;
    first.post.release();
    asked.await.map_err(|why| why.to_string())?.ok_or("the first set was refused")?;
    Ok(())
}

/// Rule 2, at the storage. A router remembers the arc as A kept it alone. B and C came in since, and have chosen a value that A does not
/// hold. Asked for the old epoch, A must not answer.
async fn a_router_that_missed_two_changes(script: Rc<Script>) -> Result<(), String> {
    let operator = script.founded(3).await?;
    let late = script.teller(0);
    late.router.remember(&operator.router.arcs());
    script.join(&operator, B).await?;
    script.join(&operator, C).await?;

    let writer = script.teller(0);
    writer.router.remember(&operator.router.arcs());
    writer.post.without(&[A]);
    script.ask(&writer, set(1)).await.ok_or("the set was refused")?;
    script.ask(&late, Kind::Get).await.ok_or("the reading was refused")?;
    Ok(())
}

/// Rule 7. An accept of a fast clock, (1,30 s), is taken by A alone. In the next epoch B and C promise (2,0 s), and B is
/// restarted: it refuses everything up to the ceiling it finds, 10 s, which is all that its forgotten promise stood against,
/// as nothing of epoch 1 can come any more. If a reader sent the old accept again, B would take it; and then the accept of
/// (2,0 s) comes, which C takes, and A too.
async fn an_old_accept_meets_a_forgotten_promise(script: Rc<Script>) -> Result<(), String> {
    let operator = script.ring(3).await?;
    let fast = script.teller(30_000);
    fast.router.remember(&operator.router.arcs());
    fast.post.judged(taken_by_a_alone);
    script.ask(&fast, set_absent(1)).await;

    script.step(&operator, First::Nothing, Decree::Copies { wanted: 2 }).await?;
    let slow = script.teller(0);
    slow.router.remember(&operator.router.arcs());
    slow.post.judged(|host, request| match request {
        _ if host == A && matches!(request, Request::Prepare { .. }) => Fate::Lost,
        Request::Accept { .. } => Fate::ComesLater,
        _ => Fate::Comes,
    });
    let (asking, its) = (Rc::clone(&script), slow.clone());
    let asked = spawn_local(async move { asking.ask(&its, set_absent(2)).await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    script.world.crash(B);
    script.world.start(B);

    let reader = script.teller(0);
    reader.router.remember(&operator.router.arcs());
    reader.post.without(&[C]);
    script.ask(&reader, Kind::Get).await.ok_or("the first reading was refused")?;
    slow.post.release();
    asked.await.map_err(|why| why.to_string())?;
    script.settle().await;
    reader.post.without(&[]);
    script.ask(&reader, Kind::Get).await.ok_or("the second reading was refused")?;
    Ok(())
}

/// Rule 14. C is dropped and does not hear of it. Then the key is deleted and its tombstone swept by A and B, who are all
/// there are. C comes back: what it still holds must be gone before.
async fn one_who_left_unawares_comes_back(script: Rc<Script>) -> Result<(), String> {
    let operator = script.ring(3).await?;
    script.ask(&operator, set(1)).await.ok_or("the set was refused")?;
    script.settle().await;

    operator.post.without(&[C]);
    let gone = Decree::Shrink { storage: script.member(C).storage };
    script.step(&operator, First::Sync, gone).await?;
    let delete = Kind::Delete { expect: Expect::Anything };
    script.ask(&operator, delete).await.ok_or("the deletion was refused")?;
    script.settle().await;
    let swept = operator.router.sweep(&script.arc(&operator)?).await;
    if swept.map_err(|why| why.to_string())? != 1 {
        return Err("the tombstone was not swept".into());
    }

    operator.post.without(&[]);
    let back = Decree::Grow { member: script.member(C), place: 2 };
    script.step(&operator, First::SyncAndTeach, back).await?;
    script.step(&operator, First::Sync, Decree::Filled).await?;
    let reader = script.teller(0);
    reader.router.remember(&operator.router.arcs());
    reader.post.without(&[B]);
    script.ask(&reader, Kind::Get).await.ok_or("the reading was refused")?;
    Ok(())
}

/// Rule 13. C came in at epoch 2, B has heard of nothing since, and by now A, B and D keep the arc. The message that C comes
/// in reaches C a second time. If C did not know that it left, it and B would be a majority of what was.
async fn one_who_left_hears_late_that_it_came(script: Rc<Script>) -> Result<(), String> {
    let operator = script.ring(2).await?;
    script.enter(C).await?;
    script.enter(D).await?;
    let grow = Decree::Grow { member: script.member(C), place: 2 };
    script.step(&operator, First::SyncAndTeach, grow).await?;
    let came = script.arc(&operator)?;
    let late = script.teller(0);
    late.router.remember(&operator.router.arcs());

    operator.post.judged(|host, request| match request {
        Request::Learn { .. } if host == B => Fate::Lost,
        _ => Fate::Comes,
    });
    script.step(&operator, First::Sync, Decree::Filled).await?;
    let grow = Decree::Grow { member: script.member(D), place: 3 };
    script.step(&operator, First::Teach, grow).await?;
    script.step(&operator, First::Sync, Decree::Filled).await?;
    let gone = Decree::Shrink { storage: script.member(C).storage };
    script.step(&operator, First::Sync, gone).await?;
    script.ask(&operator, set(1)).await.ok_or("the set was refused")?;
    script.settle().await;

    script.tell(C, Request::Learn { arcs: vec![came] }).await?;
    late.post.without(&[A]);
    script.ask(&late, Kind::Get).await.ok_or("the reading was refused")?;
    Ok(())
}

/// Rule 22. Everybody shows the same tombstone. One try to set the key was promised, then another, higher one, and the
/// accepts of both are still on their way when the tombstone is swept. The lower one must not be taken: the higher one has
/// seen that the key is absent.
async fn two_tries_straddle_a_sweep(script: Rc<Script>) -> Result<(), String> {
    let operator = script.ring(3).await?;
    script.ask(&operator, set(1)).await.ok_or("the set was refused")?;
    let delete = Kind::Delete { expect: Expect::Anything };
    script.ask(&operator, delete).await.ok_or("the deletion was refused")?;
    script.settle().await;

    let mut tries = vec![];
    for value in [2, 3] {
        let teller = script.teller(0);
        teller.router.remember(&operator.router.arcs());
        teller.post.judged(|_, request| match request {
            Request::Accept { .. } => Fate::ComesLater,
            _ => Fate::Comes,
        });
        let (asking, its) = (Rc::clone(&script), teller.clone());
        let asked = spawn_local(async move { asking.ask(&its, set_absent(value)).await });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        tries.push((teller, asked));
    }
    let swept = operator.router.sweep(&script.arc(&operator)?).await;
    if swept.map_err(|why| why.to_string())? != 1 {
        return Err("the tombstone was not swept".into());
    }
    for (teller, asked) in tries {
        teller.post.release();
        asked.await.map_err(|why| why.to_string())?.ok_or("a set was refused")?;
    }
    Ok(())
}

/// Rules 8 and 17. A keeps the arc alone and sets the key, but the answer is lost, and so is, for a while, the second try.
/// Meanwhile the value is seen, deleted and swept, B is filled, and A leaves. Nothing is left at B but what it was told of the
/// sweep: without that, the second try would set the key again.
async fn a_retry_comes_after_all_who_knew_of_it_have_left(
    script: Rc<Script>,
) -> Result<(), String> {
    let operator = script.founded(1).await?;
    script.enter(B).await?;
    let slow = script.teller(0);
    slow.router.remember(&operator.router.arcs());
    let first = Cell::new(true);
    slow.post.judged(move |_, _| if first.take() { Fate::AnswerLost } else { Fate::ComesLater });
    let (asking, its) = (Rc::clone(&script), slow.clone());
    let asked = spawn_local(async move { asking.ask(&its, set(1)).await });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;

    script.ask(&operator, Kind::Get).await.ok_or("the reading was refused")?;
    let delete = Kind::Delete { expect: Expect::Anything };
    script.ask(&operator, delete).await.ok_or("the deletion was refused")?;
    let swept = operator.router.sweep(&script.arc(&operator)?).await;
    if swept.map_err(|why| why.to_string())? != 1 {
        return Err("the tombstone was not swept".into());
    }
    let grow = Decree::Grow { member: script.member(B), place: 1 };
    script.step(&operator, First::Teach, grow).await?;
    let gone = Decree::Shrink { storage: script.member(A).storage };
    script.step(&operator, First::Sync, gone).await?;

    slow.post.release();
    asked.await.map_err(|why| why.to_string())?;
    script.ask(&operator, Kind::Get).await.ok_or("the last reading was refused")?;
    Ok(())
}

/// A key that never was is set. A alone takes it and falls silent; before the second try D comes, is filled, or not yet, and
/// knows nothing. A majority answers at every moment, nothing was ever dropped, and so the set must be done.
pub fn a_first_write_while_a_newcomer_comes(filled: bool) -> Result<(), String> {
    play(4, |script| async move {
        let operator = script.ring(3).await?;
        script.enter(D).await?;
        let writer = script.teller(0);
        writer.router.remember(&operator.router.arcs());
        let accepts = Cell::new(0);
        writer.post.judged(move |host, request| match request {
            Request::Accept { .. } if host == A && accepts.replace(1) == 0 => Fate::AnswerLost,
            Request::Accept { .. } if host != A => Fate::Lost,
            Request::Prepare { .. } if accepts.get() == 0 => Fate::Comes,
            Request::Prepare { .. } if host != A => Fate::ComesLater,
            _ => Fate::Lost,
        });
        let (asking, its) = (Rc::clone(&script), writer.clone());
        let asked = spawn_local(async move { asking.ask(&its, set(1)).await });
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;

        operator.post.without(&[A]);
        let grow = Decree::Grow { member: script.member(D), place: 3 };
        script.step(&operator, First::Teach, grow).await?;
        if filled {
            script.step(&operator, First::Sync, Decree::Filled).await?;
        }
        writer.post.without(&[A]);
        writer.post.released();
        match asked.await.map_err(|why| why.to_string())? {
            Some(Outcome::Answered { .. }) => Ok(()),
            other => Err(format!("a majority answered, and yet: {other:?}")),
        }
    })
}

/// All disks are full when the key is set. If all storages are heard, nothing was changed, now or ever; if the answer of one is
/// lost, nobody can tell.
pub fn a_set_finds_every_disk_full(unheard: &'static [usize]) -> Result<(), String> {
    play(3, |script| async move {
        let writer = script.ring(3).await?;
        let everywhere = |room| [A, B, C].map(|host| script.world.set_room(host, room));
        everywhere(Room::Low);
        writer.post.judged(|host, request| match request {
            Request::Accept { .. } if unheard.contains(&host) => Fate::AnswerLost,
            _ => Fate::Comes,
        });
        let outcome = script.ask(&writer, set(1)).await;
        everywhere(Room::Enough);
        writer.post.release();
        script.ask(&writer, Kind::Get).await.ok_or("the reading was refused")?;
        match (unheard, outcome) {
            ([], None) | ([_, ..], Some(Outcome::Unknown { .. })) => Ok(()),
            other => Err(format!("the set of which these were not heard: {other:?}")),
        }
    })
}

/// A router's clock jumps a day ahead, and is corrected. While it is wrong nothing can be written through it; afterwards it
/// writes as before, without a new start.
pub fn a_clock_is_set_right() -> Result<(), String> {
    play(3, |script| async move {
        let writer = script.ring(3).await?;
        script.ask(&writer, set(1)).await.ok_or("the first set was refused")?;
        writer.post.set_ahead(24 * 60 * 60 * 1_000);
        match script.ask(&writer, set(2)).await {
            Some(Outcome::Answered { .. }) => Err("a set of tomorrow was taken")?,
            None | Some(Outcome::Unknown { .. }) => {}
        }
        writer.post.set_ahead(0);
        match script.ask(&writer, set(3)).await {
            Some(Outcome::Answered { .. }) => {}
            other => Err(format!("after the clock was set right, a set ended as {other:?}"))?,
        }
        script.ask(&writer, Kind::Get).await.ok_or("the reading was refused")?;
        Ok(())
    })
}

/// B, C and D join at the same moment, each brought by a router of its own: all see the same heaviest arc, and its middle.
/// Where one waited too long for the others, it says so, and comes again.
pub fn three_come_at_the_same_time() -> Result<(), String> {
    play(4, |script| async move {
        script.founded(3).await?;
        let world = Rc::clone(&script.world);
        let tending = spawn_local(async move {
            loop {
                world.tend();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
        let come = [B, C, D].map(|host| {
            let script = Rc::clone(&script);
            spawn_local(async move {
                let mut came = script.join_once(host).await;
                for _ in 0..5 {
                    if came.as_ref().is_err_and(NotMoved::is_retryable) {
                        came = script.join_once(host).await;
                    }
                }
                came.map_err(|why| format!("joining storage {host}: {why}"))
            })
        });
        for came in come {
            came.await.map_err(|why| why.to_string())??;
        }
        tending.abort();
        let arcs = script.teller(0).router.walk().await.map_err(|why| why.to_string())?.arcs;
        match Goal::of(&arcs).places.len() {
            4 => Ok(()),
            places => Err(format!("{places} of 4 storages have a place: {arcs:?}")),
        }
    })
}
