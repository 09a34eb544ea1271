//! What consumers read of a partition, planned under its lock and read without it.

use super::{Isolation, Partition, Progress};
use crate::error::ResponseError;
use crate::log::{self, Log, ReadPlan, Records};
use crate::types::{LeaderEpoch, Offset};

/// A position a consumer reads from.
#[derive(Clone, Copy, Debug)]
pub struct ReadAt {
    pub offset: Offset,
    /// −1: not checked (R86).
    pub current_leader_epoch: LeaderEpoch,
    /// −1: not checked (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
    pub isolation: Isolation,
    /// Bytes.
    pub max_bytes: usize,
    /// Whether a first batch larger than `max_bytes` is returned whole (R76).
    pub at_least_one: bool,
}

/// What a read found.
pub struct ReadResult {
    pub progress: Progress,
    pub records: Records,
    /// The reader's log has diverged: the largest epoch known here at or below its own, and
    /// where that epoch ended. Then there are no records.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

enum Planned {
    Read(Progress, ReadPlan),
    Diverged(Progress, (LeaderEpoch, Offset)),
}

impl Partition {
    /// Reads whole batches below what the reader may see (R75, R76, R83, R86). Only the plan is
    /// made under the lock; file calls follow without it.
    pub fn read(&self, at: &ReadAt) -> Result<ReadResult, ResponseError> {
        let mut planned = self.plan_read(at)?;
        loop {
            let (progress, plan) = match planned {
                Planned::Read(progress, plan) => (progress, plan),
                Planned::Diverged(progress, epoch_end) => {
                    let records = Records::empty(at.offset);
                    return Ok(ReadResult {
                        progress,
                        records,
                        diverging: Some(epoch_end),
                    });
                }
            };
            match plan.run() {
                Ok(records) => {
                    return Ok(ReadResult {
                        progress,
                        records,
                        diverging: None,
                    });
                }
                // Now the log begins later, perhaps above what is asked for.
                Err(log::Error::Overtaken { .. }) => planned = self.plan_read(at)?,
                Err(error) => return Err(self.refusal(&error)),
            }
        }
    }

    fn plan_read(&self, at: &ReadAt) -> Result<Planned, ResponseError> {
        let mut state = self.lock();
        state.open(self)?;
        state.check_epoch(at.current_leader_epoch)?;
        let progress = state.progress()?;
        let log = state.log.get()?;
        if at.last_fetched_epoch >= 0
            && let Some(epoch_end) = diverging_epoch(log, &progress, at)?
        {
            return Ok(Planned::Diverged(progress, epoch_end));
        }
        let visible_end = progress.visible_end(at.isolation);
        let plan = log.plan_read(at.offset, visible_end, at.max_bytes, at.at_least_one);
        Ok(Planned::Read(
            progress,
            plan.map_err(|error| self.refusal(&error))?,
        ))
    }
}

/// Whether a reader's last fetched epoch proves that its log is not a prefix of this one (R86).
fn diverging_epoch(
    log: &Log,
    progress: &Progress,
    at: &ReadAt,
) -> Result<Option<(LeaderEpoch, Offset)>, ResponseError> {
    let (epoch, end) = log.epoch_end_offset(at.last_fetched_epoch);
    if epoch < 0 || at.offset < progress.log_start_offset {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let diverges = epoch < at.last_fetched_epoch || end < at.offset;
    Ok(diverges.then_some((epoch, end)))
}
