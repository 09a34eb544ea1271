//! A partition begins later: retention and DeleteRecords move its start, and what lies below it
//! goes. The three steps of [`crate::log::retention`], each with as little lock as it needs.

use super::volume::{CheckpointedOffsets, Remains};
use super::{LogState, Partition, State, settings};
use crate::error::ResponseError;
use crate::faults::crash_point;
use crate::log::retention::IdleLog;
use crate::types::{Millis, Offset};

/// Segments that leave a log under one lock.
const SEGMENTS_AT_ONCE: usize = 64;

/// What keeps deletion by time from a clock that was set: a jump of a year must not empty the
/// broker (storage.md section 8). Pure.
#[derive(Debug, Default)]
pub struct ClockGuard {
    last: Option<(Millis, Millis)>,
    /// Monotonic time.
    paused_until: Millis,
}

impl ClockGuard {
    const JUMP_MS: Millis = 10 * 60_000;
    const PAUSE_MAX_MS: Millis = 24 * 3_600_000;

    /// Whether a pass at these times may delete by time. How far the wall clock has run ahead of
    /// the monotonic one since the pass before, if that is a jump, is returned for the warning.
    pub fn pass(&mut self, wall: Millis, monotonic: Millis) -> (bool, Option<Millis>) {
        let ahead = self.last.map_or(0, |(last_wall, last_monotonic)| {
            (wall - last_wall) - (monotonic - last_monotonic)
        });
        self.last = Some((wall, monotonic));
        let jump = (ahead > Self::JUMP_MS).then_some(ahead);
        if let Some(ahead) = jump {
            let pause = ahead.min(Self::PAUSE_MAX_MS);
            self.paused_until = self.paused_until.max(monotonic.saturating_add(pause));
        }
        (monotonic >= self.paused_until, jump)
    }
}

impl Partition {
    /// Moves the start to where the topic's retention wants it; true if segments may go now. A
    /// partition that nobody has touched since the start is opened only if it has something to
    /// lose.
    pub(super) fn retain(&self, by_time: bool, now: Millis) -> bool {
        if !self.may_expire(by_time, now) {
            return false;
        }
        let plan = {
            let mut state = self.lock();
            if state.open(self).is_err() {
                return false;
            }
            let high_watermark = state.leader.high_watermark();
            let LogState::Open(log) = &state.log else {
                return false;
            };
            match log.plan_retention(high_watermark, by_time, now) {
                Some(plan) => plan,
                None => return log.has_detachable(),
            }
        };
        let expired = match plan.run() {
            Ok(expired) => expired,
            Err(error) => {
                self.refusal(&error);
                return false;
            }
        };
        let mut state = self.lock();
        let LogState::Open(log) = &mut state.log else {
            return false;
        };
        let moved = expired.map(|expired| (expired, log.apply_retention(expired, now)));
        let (detachable, start) = (log.has_detachable(), log.log_start_offset());
        match moved {
            Some((expired, Ok(true))) => {
                tracing::info!(partition = %self.name, log_start_offset = start,
                    bytes = expired.bytes, by = expired.by, "records expired");
                self.begins_later(&mut state);
            }
            Some((_, Err(error))) => {
                self.refusal(&error);
            }
            Some((_, Ok(false))) | None => {}
        }
        detachable
    }

    /// DeleteRecords (R158): the log begins at `before`, `None` for the high watermark. Returns
    /// the start from now on, which becomes durable with the next checkpoint round.
    pub fn delete_records(&self, before: Option<Offset>) -> Result<Offset, ResponseError> {
        let mut state = self.lock();
        state.open(self)?;
        let cleanup = state.config.cleanup;
        if cleanup.compact && !cleanup.delete {
            return Err(ResponseError::PolicyViolation);
        }
        let high_watermark = state.leader.high_watermark();
        let log = state.log.get()?;
        log.check_healthy().map_err(|error| self.refusal(&error))?;
        let before = before.unwrap_or(high_watermark);
        if before < 0 || before > high_watermark {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let moved = log.raise_start(before);
        crash_point("trim.moved");
        let start = log.log_start_offset();
        if moved {
            tracing::info!(partition = %self.name, log_start_offset = start, "records deleted");
            self.begins_later(&mut state);
        }
        Ok(start)
    }

    /// A checkpoint round of the partition's directory: true if [`Partition::delete_records`] is
    /// durable.
    pub fn write_checkpoint(&self) -> bool {
        let is_durable = self.volume().write_checkpoints();
        crash_point("trim.checkpointed");
        is_durable
    }

    /// Tells the next checkpoint round.
    fn begins_later(&self, state: &mut State) {
        let high_watermark = state.leader.high_watermark();
        if let LogState::Open(log) = &state.log {
            let offsets = CheckpointedOffsets {
                recovery_point: log.recovery_point(),
                log_start_offset: log.log_start_offset(),
                high_watermark,
            };
            state.volume.note(&self.name, offsets);
        }
    }

    /// Takes some of the segments below the start out of the log and their names away; they are
    /// unlinked later. True if there are more. Where the disk is full, the active segment goes as
    /// well if all of it is below. `wall` and `monotonic` are now.
    pub(super) fn remove_segments(&self, wall: Millis, monotonic: Millis) -> bool {
        let (volume, detached, delay_ms, more) = {
            let mut state = self.lock();
            let volume = state.volume.clone();
            let is_full = volume.log.directory.is_full();
            let delay_ms = state.config.file_delete_delay_ms;
            let LogState::Open(log) = &mut state.log else {
                return false;
            };
            if is_full
                && log.log_start_offset() == log.log_end_offset()
                && let Err(error) = log.roll(wall)
            {
                self.refusal(&error);
            }
            let Some(detached) = log.detach_segments(SEGMENTS_AT_ONCE) else {
                return false;
            };
            (volume, detached, delay_ms, log.has_detachable())
        };
        match detached.rename() {
            Ok(paths) => {
                crash_point("retention.renamed");
                let at = monotonic.saturating_add(delay_ms);
                let remains = paths.into_iter().map(Remains::File);
                volume.unlink_at(at, remains);
                more
            }
            Err(error) => {
                self.refusal(&error);
                false
            }
        }
    }

    /// Whether retention must look into the log: not if the files of an unopened one say that
    /// there is nothing to take yet.
    fn may_expire(&self, by_time: bool, now: Millis) -> bool {
        let (volume, retention, start, known) = {
            let state = self.lock();
            match &state.log {
                LogState::Open(_) => return true,
                LogState::Offline => return false,
                LogState::Unopened(_) if state.closed => return false,
                LogState::Unopened(at) => (
                    state.volume.clone(),
                    settings::log_config(&state.config).retention,
                    at.log_start_offset.unwrap_or(0),
                    state.idle,
                ),
            }
        };
        let idle = match known {
            Some(idle) => idle,
            None => match IdleLog::look(&volume.log, &self.name.to_string()) {
                Ok(idle) => *self.lock().idle.insert(idle),
                Err(error) => {
                    self.refusal(&error);
                    return false;
                }
            },
        };
        idle.may_lose(&retention, start, by_time, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    #[test]
    fn a_clock_that_was_set_ahead_pauses_deletion_by_time_for_as_long_as_it_jumped() {
        let mut guard = ClockGuard::default();
        assert_eq!(
            guard.pass(1_000 * MINUTE, 0),
            (true, None),
            "the first pass"
        );
        assert_eq!(
            guard.pass(1_014 * MINUTE, 5 * MINUTE),
            (true, None),
            "9 minutes"
        );
        let (allowed, jump) = guard.pass(1_050 * MINUTE, 10 * MINUTE);
        assert_eq!((allowed, jump), (false, Some(31 * MINUTE)));
        assert_eq!(guard.pass(1_080 * MINUTE, 40 * MINUTE), (false, None));
        assert_eq!(guard.pass(1_081 * MINUTE, 41 * MINUTE), (true, None));
        let year = 365 * 24 * 60 * MINUTE;
        assert!(!guard.pass(1_081 * MINUTE + year, 42 * MINUTE).0);
        let day = 24 * 60 * MINUTE;
        assert!(guard.pass(1_081 * MINUTE + year + day, 42 * MINUTE + day).0);
    }

    #[test]
    fn a_clock_that_was_set_back_pauses_nothing() {
        let mut guard = ClockGuard::default();
        guard.pass(1_000 * MINUTE, 0);
        assert_eq!(guard.pass(10 * MINUTE, MINUTE), (true, None));
    }
}
