//! A partition's part in compaction: how dirty its log is, and a round over it, with the lock held
//! for a look at the list of segments and for their exchange. When and how fast is decided in
//! [`super::cleaner`].

use std::sync::Arc;

use super::volume::Remains;
use super::{LogState, Partition, State, settings};
use crate::clock::Clock;
use crate::log::compaction::{Cleaned, Copied, Dirt, Inspection, Limits, Pace, Round, Stats};
use crate::log::context::TryEnter;
use crate::log::retention::IdleLog;
use crate::log::{Error, FlushNeed};
use crate::types::{Millis, Offset};

/// A partition for which the disk had no room is left alone for so long.
const NO_ROOM_MS: Millis = 600_000;

/// What compaction knows of a partition beside its log and its checkpoint.
#[derive(Debug, Default)]
pub(super) struct Cleaning {
    /// A cleaner is at work on it.
    is_under_way: bool,
    /// Monotonic time: what went wrong will go wrong again until then (Kafka: uncleanable
    /// partitions, which stay so until the next start).
    not_before: Millis,
}

/// A look at a log, and what it told.
type Worth = (Inspection, Dirt);

impl Partition {
    /// How dirty the log is, if it is worth a round. One that nobody has touched since the start is
    /// opened only if it has a completed segment that was not compacted. Hold no lock.
    pub(super) fn dirt(self: &Arc<Self>, wall: Millis, monotonic: Millis) -> Option<Dirt> {
        if !self.may_be_dirty(monotonic) {
            return None;
        }
        match self.inspect(wall) {
            Ok(worth) => Some(worth?.1),
            Err(error) => {
                self.give_up(&error, monotonic);
                None
            }
        }
    }

    /// A round over the log; false if there was nothing to do, or it went wrong, which has been
    /// logged. `pace` may end it.
    pub(super) fn compact(self: &Arc<Self>, limits: Limits, clock: &Clock, pace: Pace<'_>) -> bool {
        {
            let mut state = self.lock();
            if std::mem::replace(&mut state.cleaning.is_under_way, true) {
                return false;
            }
        }
        let done = self.compact_with(limits, clock, pace);
        self.lock().cleaning.is_under_way = false;
        match done {
            Ok(done) => done,
            Err(error) => {
                self.give_up(&error, clock.monotonic_ms());
                false
            }
        }
    }

    /// Whether a round that is under way may go on: its topic is still to be compacted, and the
    /// last room on the disk is not for copies.
    pub(super) fn may_go_on(&self) -> bool {
        let state = self.lock();
        let is_full = state.volume.log.directory.is_full();
        state.config.cleanup.compact && !state.closed && state.moving.is_none() && !is_full
    }

    fn may_be_dirty(&self, monotonic: Millis) -> bool {
        let (volume, cleaned_to) = {
            let state = self.lock();
            let directory = &state.volume.log.directory;
            let is_able =
                state.is_cleanable(monotonic) && !directory.is_offline() && !directory.is_full();
            match &state.log {
                LogState::Open(_) => return is_able,
                LogState::Unopened(_) if is_able => {}
                LogState::Unopened(_) | LogState::Offline => return false,
            }
            let cleaned_to = state.volume.cleaned_to(&self.name);
            if let Some(idle) = &state.idle {
                return idle.may_be_dirty(cleaned_to);
            }
            (state.volume.clone(), cleaned_to)
        };
        match IdleLog::look(&volume.log, &self.name.to_string()) {
            Ok(idle) => {
                self.lock().idle = Some(idle);
                idle.may_be_dirty(cleaned_to)
            }
            Err(error) => {
                self.refusal(&error);
                false
            }
        }
    }

    fn inspect(self: &Arc<Self>, wall: Millis) -> Result<Option<Worth>, Error> {
        let inspection = {
            let mut state = self.lock();
            if state.open(self).is_err() || state.moving.is_some() {
                return Ok(None);
            }
            let config = settings::compaction_config(&state.config);
            let cleaned_to = state.volume.cleaned_to(&self.name);
            let high_watermark = state.leader.high_watermark();
            match &state.log {
                LogState::Open(log) => {
                    if log.has_unsynced_segments() {
                        // After a recovery nobody else asks, if nothing is appended any more.
                        let soon = FlushNeed {
                            before_ack: false,
                            checkpoint_within_ms: Some(0),
                        };
                        state.volume.request_flush(self, soon);
                    }
                    log.inspect(config, high_watermark, cleaned_to)
                }
                LogState::Unopened(_) | LogState::Offline => None,
            }
        };
        let Some(inspection) = inspection else {
            return Ok(None);
        };
        match inspection.dirt(wall) {
            Ok(dirt) => Ok(dirt.map(|dirt| (inspection, dirt))),
            Err(_) if inspection.is_outdated() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn compact_with(
        self: &Arc<Self>,
        limits: Limits,
        clock: &Clock,
        pace: Pace<'_>,
    ) -> Result<bool, Error> {
        let now = clock.wall_ms();
        let Some((inspection, dirt)) = self.inspect(now)? else {
            return Ok(false);
        };
        let remembered = match self.lock().log.get() {
            Ok(log) => log.remembered_producers(now)?,
            Err(_) => return Ok(false),
        };
        let began = clock.monotonic_ms();
        let mut round = inspection.begin(&dirt, remembered, limits, now);
        match self.run_round(&mut round, clock, pace) {
            Ok(false) => Ok(false),
            Ok(true) => {
                let took_ms = clock.monotonic_ms() - began;
                self.compacted(dirt.range.start, &round, took_ms);
                Ok(true)
            }
            Err(error) => match round.judge(error) {
                Some(error) => Err(error),
                None => Ok(false),
            },
        }
    }

    fn run_round(&self, round: &mut Round, clock: &Clock, pace: Pace<'_>) -> Result<bool, Error> {
        let Some(groups) = round.map_keys(pace)? else {
            return Ok(false);
        };
        for group in groups {
            match round.copy(group, pace)? {
                Copied::Changed(cleaned) if !self.exchange(&cleaned, clock)? => return Ok(false),
                Copied::Changed(_) | Copied::Unchanged => {}
                Copied::Ended => return Ok(false),
            }
        }
        Ok(true)
    }

    /// False if the log has changed so that the copy is worth nothing.
    fn exchange(&self, cleaned: &Cleaned, clock: &Clock) -> Result<bool, Error> {
        loop {
            let mut state = self.lock();
            let gate = match cleaned.try_enter() {
                TryEnter::Entered(gate) => gate,
                TryEnter::Shut => return Ok(false),
                TryEnter::Busy => {
                    drop(state);
                    cleaned.wait();
                    continue;
                }
            };
            let is_moving = state.moving.is_some();
            let replaced = match &mut state.log {
                LogState::Open(log) => !is_moving && log.replace(cleaned),
                LogState::Unopened(_) | LogState::Offline => false,
            };
            let (volume, delay_ms) = (state.volume.clone(), state.config.file_delete_delay_ms);
            drop(state);
            if !replaced {
                cleaned.discard();
                return Ok(false);
            }
            let old = cleaned.rename(gate)?;
            let at = clock.monotonic_ms().saturating_add(delay_ms);
            volume.unlink_at(at, old.into_iter().map(Remains::File));
            return Ok(true);
        }
    }

    /// Tells the next checkpoint round.
    fn compacted(&self, from: Offset, round: &Round, took_ms: Millis) {
        let to = round.end();
        let Stats {
            read_bytes,
            written_bytes,
            read_records,
            kept_records,
            keys,
        } = round.stats();
        tracing::info!(partition = %self.name, from, to, keys, read_records, kept_records,
            read_bytes, written_bytes, took_ms, "log compacted");
        let state = self.lock();
        if !state.closed {
            state.volume.note_cleaned(&self.name, to);
        }
    }

    /// What cannot be compacted is left as it is, so that the others are.
    fn give_up(&self, error: &Error, monotonic: Millis) {
        let not_before = match error {
            error if error.may_pass() => monotonic.saturating_add(NO_ROOM_MS),
            _ => Millis::MAX,
        };
        self.lock().cleaning.not_before = not_before;
        tracing::warn!(partition = %self.name, %error, "the log is not compacted and stays as it is");
    }
}

impl State {
    fn is_cleanable(&self, monotonic: Millis) -> bool {
        self.config.cleanup.compact
            && !self.closed
            && self.moving.is_none()
            && !self.cleaning.is_under_way
            && monotonic >= self.cleaning.not_before
    }
}
