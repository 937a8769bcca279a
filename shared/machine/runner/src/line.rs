//! The waiting builds: whose turn it is, and which give way when too many wait.

use std::sync::{MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::Transaction;
use towline_domain::names::BuildId;
use towline_domain::run::{BuildStatus, Crowded, GaveWay};
use towline_domain::turns::{self, Crowd, Line, Room, Turns, Waiting};
use towline_ports::PortError;
use towline_wire::codebuild;

use crate::database::{self, DatabaseError, InLine};
use crate::event::{Place, state_change};
use crate::inner::Inner;
use crate::record::{Context, PhaseStatus, Record, State};

impl Inner {
    /// The build whose turn it is.
    pub(crate) async fn next_in_line(&self) -> Result<Option<InLine>, PortError> {
        let (running, mut waiting) = self.lines("looking for a queued build").await?;
        let (running, lines) = (lines_of(&running), lines_of(&waiting));
        let next = {
            let mut turns = self.turns();
            turns.keep(&running, &lines);
            turns.next(running.iter(), &lines)
        };
        Ok(next.map(|index| waiting.swap_remove(index)))
    }

    /// The waiting builds in the order in which they start.
    pub(crate) async fn in_order(&self) -> Result<Vec<BuildId>, PortError> {
        let (running, waiting) = self.lines("reading the queue of builds").await?;
        let order = self.turns().order(&lines_of(&running), &lines_of(&waiting));
        let ordered = order.into_iter().filter_map(|index| waiting.get(index));
        Ok(ordered.map(|build| build.id.clone()).collect())
    }

    /// The turns since the process started.
    pub(crate) fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The running and the waiting builds.
    async fn lines(&self, doing: &'static str) -> Result<(Vec<InLine>, Vec<InLine>), PortError> {
        let work = |transaction: &Transaction<'_>| {
            let running = database::in_line(transaction, State::Running)?;
            Ok((running, database::in_line(transaction, State::Queued)?))
        };
        self.database.call(doing, work).await
    }
}

fn lines_of(builds: &[InLine]) -> Vec<Line> {
    let lines = builds.iter().map(|build| build.waiting.line.clone());
    lines.collect()
}

/// Makes room for a build that was just queued: ends older builds of its repository and ref until the
/// limits are met.
pub(crate) fn make_room(
    transaction: &Transaction<'_>,
    new: &Record,
    room: Room,
    place: &Place,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    // Only builds of a run can say what they gave way to.
    let Some(to) = new.request.run() else {
        return Ok(());
    };
    let mut queued = database::in_line(transaction, State::Queued)?;
    loop {
        let waiting: Vec<Waiting> = queued.iter().map(|build| build.waiting.clone()).collect();
        let Some((index, of)) = turns::gives_way(&waiting, room) else {
            return Ok(());
        };
        let older = queued.remove(index);
        if let Some(mut record) = database::get(transaction, &older.id)? {
            let most = match of {
                Crowd::Repository => room.per_repository,
                Crowd::Ref => room.per_ref,
            };
            let why = GaveWay {
                to: to.clone(),
                why: Crowded { of, most },
            };
            let context = Context::new(codebuild::GAVE_WAY, codebuild::gave_way(&why));
            record.gave_way = Some(why);
            record.leave(PhaseStatus::Stopped, Some(context), now);
            record.end(BuildStatus::Stopped, now);
            let event = state_change(&record, place, now);
            database::update(transaction, &record, Some(&event))?;
        }
    }
}
