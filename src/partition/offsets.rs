//! Offsets by time or special value, for ListOffsets (R95–R97).

use super::{Isolation, Partition};
use crate::error::ResponseError;
use crate::log::{self, LookUp, TimestampedOffset};
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
        loop {
            match self.plan_find(query, isolation, current_leader_epoch)? {
                Planned::Known(found) => return Ok(Some(found)),
                Planned::LookUp(look_up) => match look_up.run() {
                    Ok(found) => return Ok(found.map(FoundOffset::from)),
                    // Retention took a segment meanwhile: the answer may lie above it.
                    Err(log::Error::Overtaken { .. }) => {}
                    Err(error) => return Err(self.refusal(&error)),
                },
            }
        }
    }

    fn plan_find(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
        current_leader_epoch: LeaderEpoch,
    ) -> Result<Planned, ResponseError> {
        let mut state = self.lock();
        state.open(self)?;
        state.check_epoch(current_leader_epoch)?;
        let progress = state.progress()?;
        let visible_end = progress.visible_end(isolation);
        let log = state.log.get()?;
        let known = |offset| {
            let leader_epoch = log.epoch_of(offset).unwrap_or(progress.leader_epoch);
            Ok(Planned::Known(FoundOffset {
                timestamp: -1,
                offset,
                leader_epoch,
            }))
        };
        let look_up = match query {
            OffsetQuery::Earliest => return known(progress.log_start_offset),
            OffsetQuery::Latest => return known(visible_end),
            OffsetQuery::AtOrAfter(timestamp) => log.offset_for_timestamp(timestamp, visible_end),
            OffsetQuery::MaxTimestamp => log.offset_of_max_timestamp(visible_end),
        };
        let look_up = look_up.map_err(|error| self.refusal(&error))?;
        Ok(Planned::LookUp(look_up))
    }
}

enum Planned {
    Known(FoundOffset),
    LookUp(LookUp),
}

impl From<TimestampedOffset> for FoundOffset {
    fn from(found: TimestampedOffset) -> FoundOffset {
        FoundOffset {
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: found.leader_epoch.unwrap_or(-1),
        }
    }
}
