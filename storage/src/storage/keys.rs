//! Votes on records: find what stands at the key, let the acceptor decide, keep what it says.

use super::{Due, Durability, Storage, failed, row_of};
use crate::{
    acceptors::{
        chart::Seat,
        register::{Changed, Standing, Vote},
    },
    cells::{self, Cell, PROMISES},
    store::{Room, Tree},
};
use minor_protocol::{
    Answer, Ballot, Key, Moment, Operation, Position, Record, Refusal, Reply, limits,
    message::{Held, Outcome, Proposed, Show, Shown, ShownContent},
    mutant,
    record::{Header, State},
};

/// Everything that stands at one key, while its cell is held.
pub(super) struct Spot<'a> {
    pub(super) key: &'a Key,
    pub(super) place: Position,
    pub(super) cell: &'a mut Cell,
    pub(super) seat: &'a Seat,
    /// The ballot and the bytes of the record.
    pub(super) held: Option<(Ballot, Vec<u8>)>,
}

impl Spot<'_> {
    /// What stands in a ballot's way.
    fn standing(&self, past: Moment, ahead: Moment) -> Standing {
        let accepted = self.held.as_ref().map_or(Ballot::ZERO, |(ballot, _)| *ballot);
        Standing {
            floor: self.seat.floor,
            past,
            ahead,
            promised: self.cell.promised(self.key),
            accepted,
        }
    }

    fn name(&self) -> &[u8] {
        self.key.as_str().as_bytes()
    }

    /// The header of what is held; of nothing, if nothing is.
    pub(super) fn header(&self) -> Result<Header, Refusal> {
        let Some((_, bytes)) = &self.held else { return Ok(Header::absent(self.seat.swept)) };
        let read = Record::header_in(self.name(), bytes);
        read.map(|(_, header, _)| header).map_err(|_| Refusal::Damaged { span: self.seat.span })
    }

    /// All that is held, if there is room for it in the answers.
    fn state(&self, room: &mut usize) -> Result<Option<State>, Refusal> {
        Ok(match self.show(Show::Whole, room)?.map(|shown| shown.content) {
            Some(ShownContent::Whole(state)) => Some(state),
            _ => None,
        })
    }

    /// As much of what is held as was asked for, if there is room for it in the answers.
    pub(super) fn show(&self, show: Show, room: &mut usize) -> Result<Option<Shown>, Refusal> {
        let Some((ballot, bytes)) = &self.held else { return Ok(None) };
        let shown = match show {
            Show::Header => Record::header_in(self.name(), bytes)
                .map(|(_, header, length)| ShownContent::Header(header, length as u32)),
            Show::Whole => {
                *room = room.checked_sub(bytes.len()).ok_or(Refusal::TooMuch)?;
                Record::from_bytes(self.name(), bytes).map(|r| ShownContent::Whole(r.state))
            }
        };
        let content = shown.map_err(|_| Refusal::Damaged { span: self.seat.span })?;
        Ok(Some(Shown { ballot: *ballot, content }))
    }
}

impl Storage {
    /// Holds the cell of a key in exactly this epoch, and lets `act` see and change what stands there. Whatever it shows of
    /// it is due to be durable first.
    fn at<T>(
        &self,
        key: &Key,
        epoch: u64,
        due: &mut Due,
        act: impl FnOnce(&mut Spot<'_>, &mut Due) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let place = key.position();
        let board = self.board();
        // A refusal shows the chart as much as a reply does.
        due.on(board.written);
        let seat = &board.chart.seats()[board.chart.admits(place, epoch)?];
        self.spot(key, place, seat, due, act)
    }

    /// The same, where the seat is known.
    pub(super) fn spot<T>(
        &self,
        key: &Key,
        place: Position,
        seat: &Seat,
        due: &mut Due,
        act: impl FnOnce(&mut Spot<'_>, &mut Due) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut cell = self.cells.at(place);
        let bytes =
            self.store.get(Tree::Records, &row_of(place, key.as_str())).map_err(|f| failed(&f))?;
        let held = match bytes {
            None => None,
            Some(bytes) => match Record::ballot_in(key.as_str().as_bytes(), &bytes) {
                Ok(ballot) => Some((ballot, bytes)),
                Err(why) => {
                    log::error!("the record of key '{key}' is damaged: {why}");
                    self.meet_damage(place);
                    return Err(Refusal::Damaged { span: seat.span });
                }
            },
        };
        if self.durability == Durability::Always {
            due.on(cell.written);
        }
        let mut spot = Spot { key, place, cell: &mut cell, seat, held };
        let done = act(&mut spot, due);
        if matches!(done, Err(Refusal::Damaged { .. })) {
            self.meet_damage(place);
        }
        done
    }

    pub(super) fn prepare(
        &self,
        key: Key,
        ballot: Ballot,
        show: Show,
        now_ms: u64,
        due: &mut Due,
        room: &mut usize,
    ) -> Answer {
        self.at(&key, ballot.epoch, due, |spot, due| {
            self.standing(spot, now_ms).prepare(ballot)?;
            let shown = spot.show(show, room)?;
            self.promise(spot, ballot, due)?;
            Ok(Reply::Promised { shown, swept: spot.seat.swept })
        })
    }

    pub(super) fn accept(
        &self,
        key: &Key,
        ballot: Ballot,
        proposed: Proposed,
        now_ms: u64,
        due: &mut Due,
    ) -> Answer {
        let any_epoch = mutant::is("M6");
        let own = any_epoch.then(|| self.board().chart.epoch_of(key.position())).flatten();
        self.at(key, ballot.epoch.max(own.unwrap_or(0)), due, |spot, due| {
            if self.standing(spot, now_ms).accept(ballot)? == Vote::Keep {
                let state = match proposed {
                    Proposed::State(state) => state,
                    Proposed::Held(at) => match &spot.held {
                        Some((held, bytes)) if *held == at => {
                            Record::from_bytes(spot.name(), bytes)
                                .map_err(|_| Refusal::Damaged { span: spot.seat.span })?
                                .state
                        }
                        _ => return Err(Refusal::NotHeld),
                    },
                };
                self.cover(ballot, due)?;
                let kept = self.keep(spot, Record { ballot, state }, due);
                if kept == Err(Refusal::Full) {
                    // No is no: nor is it taken should it come a second time, when there is room again.
                    self.promise(
                        spot,
                        Ballot { seq: ballot.seq.saturating_add(1), ..ballot },
                        due,
                    )?;
                }
                kept?;
            }
            Ok(Reply::Accepted)
        })
    }

    pub(super) fn read(
        &self,
        key: &Key,
        epoch: u64,
        show: Show,
        due: &mut Due,
        room: &mut usize,
    ) -> Answer {
        self.at(key, epoch, due, |spot, _| Ok(Reply::Found { shown: spot.show(show, room)? }))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one request's fields, and what every request is given"
    )]
    pub(super) fn change(
        &self,
        key: Key,
        ballot: Ballot,
        id: Ballot,
        operation: Operation,
        now_ms: u64,
        asked_ms: u64,
        due: &mut Due,
        room: &mut usize,
    ) -> Answer {
        self.at(&key, ballot.epoch, due, |spot, due| {
            if spot.seat.arc.members.len() != 1 {
                return Err(Refusal::NotAlone);
            }
            let standing = self.standing(spot, now_ms);
            let reply = self.change_at(spot, standing, ballot, id, operation, asked_ms, due, room);
            match &reply {
                Ok(Reply::Changed { outcome: Outcome::Done, .. }) => {}
                // An earlier try that is still on its way must not be granted after this answer; nor this one, should it
                // come a second time when there is room again.
                Ok(_) | Err(Refusal::Full) => self.promise(spot, ballot, due)?,
                Err(_) => {}
            }
            reply
        })
    }

    /// The one-step change, wherever it comes from.
    #[expect(
        clippy::too_many_arguments,
        reason = "one request's fields, and what every request is given"
    )]
    pub(super) fn change_at(
        &self,
        spot: &mut Spot<'_>,
        standing: Standing,
        ballot: Ballot,
        id: Ballot,
        operation: Operation,
        asked_ms: u64,
        due: &mut Due,
        room: &mut usize,
    ) -> Answer {
        let found = spot.header()?;
        // What identity reads is wanted whole; all else is answered by the stamp.
        let show = if operation == Operation::IDENTITY { Show::Whole } else { Show::Header };
        let mut object = None;
        let outcome = match standing.change(&found, ballot, id, operation, asked_ms)? {
            Changed::Keep(state) => {
                // Whoever asked is to remove what it names.
                if found.is_object() {
                    object = spot.state(room)?;
                }
                self.cover(ballot, due)?;
                self.keep(spot, Record { ballot, state }, due)?;
                Outcome::Done
            }
            Changed::Unchanged(outcome) => outcome,
        };
        let alive = found.is_alive(asked_ms);
        let before = found.stamp().filter(|_| alive);
        Ok(Reply::Changed { outcome, shown: spot.show(show, room)?, before, object })
    }

    pub(super) fn copy(&self, key: &Key, epoch: u64, record: Record, due: &mut Due) -> Answer {
        self.at(key, epoch, due, |spot, due| {
            let standing = spot.standing(Moment::default(), Moment::default());
            if standing.copy(record.ballot, self.me.storage, spot.seat.arc.filling)? == Vote::Keep {
                self.keep(spot, record, due)?;
            }
            Ok(Reply::Copied)
        })
    }

    /// Many copies; the first that is refused ends it, and those before it are kept.
    pub(super) fn fill(&self, epoch: u64, records: Vec<Held>, due: &mut Due) -> Answer {
        for Held { key, record } in records {
            self.copy(&key, epoch, record, due)?;
        }
        Ok(Reply::Filled)
    }

    /// Keeps a record: on the disk, in the tally, and as what stands for every promise up to its ballot.
    pub(super) fn keep(
        &self,
        spot: &mut Spot<'_>,
        record: Record,
        due: &mut Due,
    ) -> Result<(), Refusal> {
        // A tombstone frees more than it takes, as soon as it is swept.
        if record.state.header.content.is_some() && self.store.room() == Room::Low {
            return Err(Refusal::Full);
        }
        let bytes = record.to_bytes(spot.key);
        let row = row_of(spot.place, spot.key.as_str());
        let mark = self.store.put(Tree::Records, &row, Some(&bytes)).map_err(|f| failed(&f))?;
        if let Some((ballot, old)) = &spot.held {
            debug_assert!(*ballot < record.ballot, "a ballot fell at '{}'", spot.key);
            cells::take(
                &mut spot.cell.tally,
                cells::count(spot.key.as_str().as_bytes(), *ballot, old),
            );
        }
        cells::add(
            &mut spot.cell.tally,
            cells::count(spot.key.as_str().as_bytes(), record.ballot, &bytes),
        );
        spot.cell.accepted(spot.key, record.ballot);
        spot.held = Some((record.ballot, bytes));
        spot.cell.written = mark;
        if self.durability == Durability::Always {
            due.on(mark);
        }
        Ok(())
    }

    /// Remembers a promise, under the ceiling.
    fn promise(&self, spot: &mut Spot<'_>, ballot: Ballot, due: &mut Due) -> Result<(), Refusal> {
        if spot.cell.promises() >= 4 * PROMISES {
            // Room is made in the background; whoever meets this comes back a moment later.
            return Err(Refusal::TooMuch);
        }
        self.cover(ballot, due)?;
        spot.cell.promise(spot.key.clone(), ballot);
        if spot.cell.promises() == PROMISES {
            self.crowded(cells::number(spot.place));
        }
        Ok(())
    }

    fn cover(&self, ballot: Ballot, due: &mut Due) -> Result<(), Refusal> {
        let mark = self.ceiling.cover(&*self.store, ballot.clock).map_err(|f| failed(&f))?;
        mark.into_iter().for_each(|mark| due.on(mark));
        Ok(())
    }

    fn standing(&self, spot: &Spot<'_>, now_ms: u64) -> Standing {
        spot.standing(self.ceiling.past, Moment::at_ms(now_ms + limits::AHEAD_MS))
    }

    /// The standing of a change of this storage's own, which is never ahead of itself.
    pub(super) fn own_standing(&self, spot: &Spot<'_>) -> Standing {
        spot.standing(self.ceiling.past, Moment(u64::MAX))
    }

    fn meet_damage(&self, place: Position) {
        let mut met = self.met_damage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A bad record is met again and again until it is declared; the first sight is enough.
        if !met.contains(&place) && met.len() < 1_000 {
            met.push(place);
        }
    }
}
