//! Votes on decrees, adoptions, and coming into a ring. Each changes the chart, which is written down as a whole.

use super::{Due, HINTS, Hints, Storage, declare, failed};
use crate::{
    acceptors::chart::Chart,
    cells, notebook,
    store::{Room, Tree},
};
use minor_protocol::{
    Answer, Ballot, Decree, Moment, Refusal, Reply, Restart, RingArc, RingId, Span, limits,
    message::{Hello, Kept, Neighbour, PlainRecords},
};

impl Storage {
    pub(super) fn prepare_decree(
        &self,
        arc: &RingArc,
        ballot: Ballot,
        now_ms: u64,
        due: &mut Due,
    ) -> Answer {
        not_ahead(ballot, now_ms)?;
        self.with_chart(due, |chart| {
            let accepted = chart.prepare_decree(arc, ballot)?;
            Ok(Reply::DecreePromised { accepted })
        })
    }

    pub(super) fn accept_decree(
        &self,
        arc: &RingArc,
        ballot: Ballot,
        decree: &Decree,
        now_ms: u64,
        due: &mut Due,
    ) -> Answer {
        not_ahead(ballot, now_ms)?;
        self.with_chart(due, |chart| {
            chart.accept_decree(arc, ballot, decree)?;
            Ok(Reply::DecreeAccepted)
        })
    }

    pub(super) fn learn(&self, arcs: &[RingArc], due: &mut Due) -> Answer {
        self.with_chart(due, |chart| {
            if let Some(foreign) = arcs.iter().find(|arc| Some(arc.ring) != chart.ring()) {
                let why = format!("the arc {foreign} is of ring {}", foreign.ring);
                return Err(Refusal::Malformed(why));
            }
            chart.learn(arcs)?;
            if chart.seats().len() + chart.notes().len() > limits::CHART_ARCS {
                return Err(Refusal::TooMuch);
            }
            Ok(Reply::Learned)
        })
    }

    pub(super) fn inherit(&self, span: Span, epoch: u64, swept: Ballot, due: &mut Due) -> Answer {
        self.with_chart(due, |chart| {
            chart.inherit(span, epoch, swept)?;
            Ok(Reply::Copied)
        })
    }

    /// Begins an arc again without those who never come back.
    pub(super) fn restart(&self, restart: &Restart, due: &mut Due) -> Answer {
        self.with_chart(due, |chart| {
            if Some(restart.arc.ring) != chart.ring() {
                return Err(self.stranger(chart));
            }
            if chart.restart(restart)? {
                log::warn!("began {} again without {:?}, as asked", restart.arc, restart.lost);
            }
            Ok(Reply::Restarted)
        })
    }

    /// Founds a ring on this storage: what it kept alone is the ring's first content.
    pub(super) fn found(&self, ring: RingId, copies: u8, due: &mut Due) -> Answer {
        self.with_chart(due, |chart| {
            match chart.ring() {
                Some(own) if own == ring => return Ok(Reply::Entered),
                Some(_) => return Err(self.stranger(chart)),
                None => {}
            }
            if let Some(seat) = chart.seats().iter().find(|seat| seat.damaged) {
                return Err(Refusal::Damaged { span: seat.span });
            }
            *chart = Chart::founding(ring, self.me.clone(), copies);
            Ok(Reply::Entered)
        })
    }

    /// Comes into a ring, as yet without an arc.
    pub(super) fn enter(&self, ring: RingId, plain: PlainRecords, due: &mut Due) -> Answer {
        self.with_chart(due, |chart| {
            match chart.ring() {
                Some(own) if own == ring => return Ok(Reply::Entered),
                Some(_) => return Err(self.stranger(chart)),
                None => {}
            }
            let tally = self.total();
            let values = tally.records - tally.tombstones;
            if values > 0 && plain == PlainRecords::Refuse {
                return Err(Refusal::HoldsPlain { records: values });
            }
            // Not by the count alone: what is bad is not counted.
            let rows = self.store.scan(Tree::Records, &[], 1).map_err(|f| failed(&f))?;
            let wiping = if rows.is_empty() { vec![] } else { vec![Span::WHOLE] };
            *chart = Chart::entering(ring, self.me.storage, wiping);
            Ok(Reply::Entered)
        })
    }

    pub(super) fn rewire(
        &self,
        predecessor: Option<Neighbour>,
        successors: Vec<Neighbour>,
        due: &mut Due,
    ) -> Answer {
        let (mut board, hints) = (self.board_mut(), Hints { predecessor, successors });
        if board.hints != hints {
            due.on(notebook::write(&*self.store, HINTS, &hints).map_err(|f| failed(&f))?);
            board.hints = hints;
        }
        Ok(Reply::Rewired)
    }

    /// Who this storage is and what it knows of the ring.
    pub(super) fn hello(&self, due: &mut Due) -> Hello {
        let board = self.board();
        due.on(board.written);
        let kept = board.chart.seats().iter().map(|seat| {
            let [records, tombstones, bytes] = self.cells.about(seat.span);
            let (arc, floor, damaged) = (seat.arc.clone(), seat.floor, seat.damaged);
            Kept { arc, floor, records, tombstones, bytes, damaged }
        });
        Hello {
            ring: board.chart.ring(),
            member: self.me.clone(),
            kept: kept.collect(),
            left: board.chart.notes().iter().map(|note| note.arc.clone()).collect(),
            wiping: board.chart.wiping().to_vec(),
            predecessor: board.hints.predecessor.clone(),
            successors: board.hints.successors.clone(),
            full: self.store.room() == Room::Low,
        }
    }

    /// Somebody has seen this storage started more often than it knows: it was restored from an old copy, and everything it
    /// was told since is missing.
    pub(super) fn restored(&self, seen: u64) {
        let mut board = self.board_mut();
        if board.chart.ring().is_none() {
            // A store of its own has nobody who could know better, and nobody to fill it again.
            return;
        }
        let mut chart = board.chart.clone();
        let all: Vec<usize> = (0..cells::CELLS).collect();
        if declare(&mut chart, &all) > 0 {
            log::error!(
                "this data directory is an old copy: it counts {} starts, others saw {seen}; it answers for no arc until \
                 it was filled again",
                self.starts
            );
            // A fault here sticks to the store and ends the process; until then the asker is refused in any case.
            let _ = self.replace_chart(&mut board, chart);
        }
    }

    fn stranger(&self, chart: &Chart) -> Refusal {
        Refusal::Stranger { storage: self.me.storage, ring: chart.ring() }
    }

    /// Lets `act` change the chart, and writes it down if it did. What it refuses changes nothing.
    fn with_chart(&self, due: &mut Due, act: impl FnOnce(&mut Chart) -> Answer) -> Answer {
        let mut board = self.board_mut();
        // A refusal shows the chart as much as a reply does.
        due.on(board.written);
        let mut chart = board.chart.clone();
        let reply = act(&mut chart)?;
        due.on(self.replace_chart(&mut board, chart)?);
        Ok(reply)
    }
}

fn not_ahead(ballot: Ballot, now_ms: u64) -> Result<(), Refusal> {
    let limit_ms = now_ms + limits::AHEAD_MS;
    if ballot.clock > Moment::at_ms(limit_ms) { Err(Refusal::Ahead { limit_ms }) } else { Ok(()) }
}
