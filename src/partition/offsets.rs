//! Offsets by time or special value, for ListOffsets (R95–R97).

use super::{Isolation, Partition};
use crate::error::ResponseError;
use crate::types::{LeaderEpoch, Millis, Offset};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    Earliest,
    /// The first offset that the isolation level does not see.
    Latest,
    /// The first record with this timestamp or a later one, in ms.
    AtOrAfter(Millis),
    /// The first record with the largest timestamp (KIP-734).
    MaxTimestamp,
}

/// A position; timestamp −1 where the query was not about time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub timestamp: Millis,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

impl Partition {
    /// `None` if no visible record is late enough.
    pub fn find_offset(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
        current_leader_epoch: LeaderEpoch,
    ) -> Result<Option<FoundOffset>, ResponseError> {
        let mut state = self.lock();
        state.open(self)?;
        state.check_epoch(current_leader_epoch)?;
        let progress = state.progress()?;
        let visible_end = progress.visible_end(isolation);
        let log = state.log.get()?;
        let found = match query {
            OffsetQuery::Earliest => Some((-1, progress.log_start_offset)),
            OffsetQuery::Latest => Some((-1, visible_end)),
            OffsetQuery::AtOrAfter(timestamp) => log
                .offset_for_timestamp(timestamp, visible_end)
                .map_err(|error| self.refusal(&error))?
                .map(|found| (found.timestamp, found.offset)),
            OffsetQuery::MaxTimestamp => log
                .offset_of_max_timestamp(visible_end)
                .map_err(|error| self.refusal(&error))?
                .map(|found| (found.timestamp, found.offset)),
        };
        let leader_epoch = progress.leader_epoch;
        Ok(found.map(|(timestamp, offset)| FoundOffset {
            timestamp,
            offset,
            leader_epoch: log.epoch_of(offset).unwrap_or(leader_epoch),
        }))
    }
}
