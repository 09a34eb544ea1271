//! From a timestamp to an offset (ListOffsets). Finds the batch by index and header walk and
//! the record by walking that one batch; makes file calls, so a [`LookUp`] is taken under the
//! partition's lock and run without it.
//! (Kafka: UnifiedLog.fetchOffsetByTimestamp, LogSegment.findOffsetByTimestamp.)

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::log::epochs::EpochCache;
use crate::log::read::View;
use crate::log::segment::Segment;
use crate::log::time_index::LargestTimestamp;
use crate::log::{Error, Log};
use crate::protocol::batch::{BatchHeader, for_each_record};
use crate::types::{LeaderEpoch, Millis, Offset};

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub timestamp: Millis,
    pub offset: Offset,
    /// The epoch the record was written in (R97).
    pub leader_epoch: Option<LeaderEpoch>,
}

/// A search by timestamp whose file calls are still to be made.
pub struct LookUp {
    view: View,
    wanted: Wanted,
    log_start_offset: Offset,
    visible_end: Offset,
    /// Of the active segment.
    largest: LargestTimestamp,
    epochs: EpochCache,
}

enum Wanted {
    FirstAtOrAfter(Millis),
    Largest,
}

impl Log {
    /// The first record with a timestamp at or above `timestamp` between the log start and
    /// `visible_end` (R95).
    pub fn offset_for_timestamp(
        &self,
        timestamp: Millis,
        visible_end: Offset,
    ) -> Result<LookUp, Error> {
        self.look_up(Wanted::FirstAtOrAfter(timestamp), visible_end)
    }

    /// The record with the largest timestamp below `visible_end`, the first of equals (R96).
    pub fn offset_of_max_timestamp(&self, visible_end: Offset) -> Result<LookUp, Error> {
        self.look_up(Wanted::Largest, visible_end)
    }

    fn look_up(&self, wanted: Wanted, visible_end: Offset) -> Result<LookUp, Error> {
        self.shared.check_undamaged()?;
        let active = self.active.as_ref();
        Ok(LookUp {
            view: self.view(),
            wanted,
            log_start_offset: self.log_start_offset,
            visible_end: visible_end.min(self.log_end_offset),
            largest: active.map_or(LargestTimestamp::NONE, |active| active.rule.largest()),
            epochs: self.epochs.clone(),
        })
    }
}

impl LookUp {
    /// Makes the file calls. Hold no lock. `None`: there is no such record.
    pub fn run(self) -> Result<Option<TimestampedOffset>, Error> {
        let found = match self.wanted {
            Wanted::FirstAtOrAfter(timestamp) => self.first_at_or_after(timestamp),
            Wanted::Largest => self.largest(),
        };
        let found = self.view.judge(found, None)?;
        Ok(found.map(|(offset, timestamp)| TimestampedOffset {
            timestamp,
            offset,
            leader_epoch: self.epochs.epoch_of(offset),
        }))
    }

    fn first_at_or_after(&self, timestamp: Millis) -> Result<Option<(Offset, Millis)>, Error> {
        for index in self.segments() {
            let (segment, size, _) = self.view.segment(index);
            // An empty time index means that all timestamps are negative: those are not in it.
            let largest = self.largest_of(index)?;
            if largest.timestamp < timestamp && timestamp >= 0 {
                continue;
            }
            let mut walk = segment.walk_to_time(timestamp, size)?;
            let start = segment.walk_to_offset(self.log_start_offset, size)?;
            if start.position() > walk.position() {
                walk = start;
            }
            while let Some((position, header)) = walk.next_batch()? {
                if header.base_offset >= self.visible_end {
                    return Ok(None);
                }
                let past = header.last_offset() < self.log_start_offset;
                if past || header.max_timestamp < timestamp {
                    continue;
                }
                let mut found = None;
                self.for_each_readable(segment, position, &header, |offset, time| {
                    if time < timestamp {
                        return ControlFlow::Continue(());
                    }
                    found = Some((offset, time));
                    ControlFlow::Break(())
                })?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    fn largest(&self) -> Result<Option<(Offset, Millis)>, Error> {
        let mut best: Option<(Millis, u64, usize, BatchHeader)> = None;
        for index in self.segments() {
            let known = match self.is_whole(index) {
                true => Some(self.largest_of(index)?),
                false => None,
            };
            let beaten = |time| best.as_ref().is_some_and(|best| time <= best.0);
            if known.is_some_and(|known| known.timestamp >= 0 && beaten(known.timestamp)) {
                continue;
            }
            if let Some((position, header)) = self.largest_batch(index, known)?
                && !beaten(header.max_timestamp)
            {
                best = Some((header.max_timestamp, position, index, header));
            }
        }
        let Some((_, position, index, header)) = best else {
            return Ok(None);
        };
        let (segment, _, _) = self.view.segment(index);
        let mut found: Option<(Offset, Millis)> = None;
        self.for_each_readable(segment, position, &header, |offset, time| {
            if found.is_none_or(|(_, largest)| time > largest) {
                found = Some((offset, time));
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Whether a segment lies between log start and visible end, so that its index alone says
    /// what its largest timestamp is.
    fn is_whole(&self, index: usize) -> bool {
        let (segment, _, end_offset) = self.view.segment(index);
        segment.base_offset() >= self.log_start_offset && end_offset <= self.visible_end
    }

    /// The first batch with the largest timestamp in the readable part of a segment; `known` if
    /// that is all of it.
    fn largest_batch(
        &self,
        index: usize,
        known: Option<LargestTimestamp>,
    ) -> Result<Option<(u64, BatchHeader)>, Error> {
        let (segment, size, _) = self.view.segment(index);
        let start = match known {
            Some(known) if known.timestamp >= 0 => known.offset,
            // Only the headers tell; the index covers what must be left out.
            _ => self.log_start_offset,
        };
        let mut walk = segment.walk_to_offset(start, size)?;
        let mut best: Option<(u64, BatchHeader)> = None;
        while let Some((position, header)) = walk.next_batch()? {
            if header.next_offset() > self.visible_end {
                break;
            }
            if header.last_offset() < self.log_start_offset {
                continue;
            }
            let best_time = best.as_ref().map(|(_, best)| best.max_timestamp);
            if best_time.is_none_or(|time| header.max_timestamp > time) {
                best = Some((position, header));
            }
            if known.is_some_and(|known| known.offset == header.last_offset()) {
                return Ok(Some((position, header)));
            }
        }
        Ok(best)
    }

    fn segments(&self) -> std::ops::Range<usize> {
        if self.view.len() == 0 {
            return 0..0;
        }
        self.view.segment_of(self.log_start_offset)..self.view.len()
    }

    fn largest_of(&self, index: usize) -> Result<LargestTimestamp, Error> {
        if index + 1 == self.view.len() && self.view.ends_with_active() {
            return Ok(self.largest);
        }
        self.view.segment(index).0.largest_timestamp()
    }

    /// Hands over offset and timestamp of the readable records of a batch, until `f` breaks.
    fn for_each_readable(
        &self,
        segment: &Arc<Segment>,
        position: u64,
        header: &BatchHeader,
        mut f: impl FnMut(Offset, Millis) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut bytes = vec![0; header.total_size()];
        let read = segment.log().read_at(&mut bytes, position)?;
        let walked = for_each_record(&bytes[..read], |record| {
            if (self.log_start_offset..self.visible_end).contains(&record.offset) {
                return f(record.offset, record.timestamp);
            }
            ControlFlow::Continue(())
        });
        walked.map_err(|error| Error::Corrupt {
            path: segment.log().path().to_path_buf(),
            position,
            offset: header.base_offset,
            detail: error.to_string(),
        })
    }
}
