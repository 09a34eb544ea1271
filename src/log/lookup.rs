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
        if let Some(known) = known.filter(|known| known.timestamp >= 0)
            && let Some(found) = self.batch_that_ends_with(index, known.offset)?
        {
            return Ok(Some(found));
        }
        // Only the headers tell; the index covers what must be left out.
        let (segment, size, _) = self.view.segment(index);
        let mut walk = segment.walk_to_offset(self.log_start_offset, size)?;
        let mut best: Option<(u64, BatchHeader)> = None;
        while let Some((position, header)) = walk.next_batch()? {
            if header.next_offset() > self.visible_end {
                break;
            }
            if header.last_offset() < self.log_start_offset || header.record_count == 0 {
                continue;
            }
            let best_time = best.as_ref().map(|(_, best)| best.max_timestamp);
            if best_time.is_none_or(|time| header.max_timestamp > time) {
                best = Some((position, header));
            }
        }
        Ok(best)
    }

    /// `None` if compaction has left nothing but its header.
    fn batch_that_ends_with(
        &self,
        index: usize,
        last_offset: Offset,
    ) -> Result<Option<(u64, BatchHeader)>, Error> {
        let (segment, size, _) = self.view.segment(index);
        let mut walk = segment.walk_to_offset(last_offset, size)?;
        while let Some((position, header)) = walk.next_batch()? {
            if header.last_offset() >= last_offset {
                let is_it = header.last_offset() == last_offset && header.record_count > 0;
                return Ok(is_it.then_some((position, header)));
            }
        }
        Ok(None)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::*;
    use crate::protocol::batch::TimestampType;

    fn at(log: &Log, timestamp: Millis) -> Option<(Offset, Millis)> {
        let found = log.offset_for_timestamp(timestamp, Offset::MAX).unwrap();
        let found = found.run().unwrap();
        found.map(|found| (found.offset, found.timestamp))
    }

    fn largest(log: &Log, visible_end: Offset) -> Option<(Offset, Millis)> {
        let found = log.offset_of_max_timestamp(visible_end).unwrap();
        let found = found.run().unwrap();
        found.map(|found| (found.offset, found.timestamp))
    }

    /// The timestamps of all records, one by one.
    fn timestamps(log: &Log) -> Vec<(Offset, Millis)> {
        let contents = log.contents();
        let (mut rest, mut found) = (&contents[..], Vec::new());
        while let Some(header) = BatchHeader::read(rest) {
            let (batch, behind) = rest.split_at(header.total_size());
            for_each_record(batch, |record| {
                found.push((record.offset, record.timestamp));
                ControlFlow::Continue(())
            })
            .unwrap();
            rest = behind;
        }
        found
    }

    #[test]
    fn r95_a_timestamp_finds_the_first_record_at_or_after_it_with_its_own_timestamp() {
        let mut node = Node::new();
        let mut log = node.open();
        for (timestamp, count) in [(1_000, 3), (5_000, 2), (3_000, 4)] {
            log.append(batch_at(timestamp, count, 10), 7, NOW).unwrap();
        }
        let check = |log: &Log| {
            assert_eq!(at(log, 0), Some((0, 1_000)));
            assert_eq!(at(log, 1_001), Some((1, 1_001)), "inside a batch");
            assert_eq!(at(log, 1_003), Some((3, 5_000)), "by record, not by batch");
            assert_eq!(
                at(log, 3_000),
                Some((3, 5_000)),
                "the first in the log, not the nearest"
            );
            assert_eq!(at(log, 5_001), Some((4, 5_001)));
            assert_eq!(at(log, 5_002), None);
            let found = log.offset_for_timestamp(0, Offset::MAX).unwrap().run();
            assert_eq!(found.unwrap().unwrap().leader_epoch, Some(7));
        };
        check(&log);
        node.stop(log);
        check(&node.open());
    }

    #[test]
    fn r95_a_record_at_or_beyond_the_visible_end_is_not_found() {
        let node = Node::new();
        let mut log = node.open();
        log.append(batch_at(1_000, 3, 10), 0, NOW).unwrap();
        log.append(batch_at(2_000, 3, 10), 0, NOW).unwrap();
        let at = |timestamp, end| {
            log.offset_for_timestamp(timestamp, end)
                .unwrap()
                .run()
                .unwrap()
        };
        assert_eq!(at(1_500, 3), None);
        assert_eq!(at(1_500, 6).unwrap().offset, 3);
        assert_eq!(largest(&log, 6), Some((5, 2_002)));
        assert_eq!(largest(&log, 3), Some((2, 1_002)));
        assert_eq!(largest(&log, 0), None);
    }

    #[test]
    fn r96_the_largest_timestamp_is_the_first_of_equals() {
        let mut node = Node::new();
        let mut log = node.open();
        assert_eq!(largest(&log, 0), None);
        for timestamp in [10, 50, 20, 50, 30] {
            log.append(batch_at(timestamp, 1, 10), 0, NOW).unwrap();
        }
        assert_eq!(largest(&log, 5), Some((1, 50)));
        node.config.timestamp_type = TimestampType::LogAppendTime;
        log.set_config(node.config.clone());
        log.append(batch_at(5, 3, 10), 0, NOW).unwrap();
        assert_eq!(
            largest(&log, 8),
            Some((5, NOW)),
            "every record of it has the stamp"
        );
    }

    #[test]
    fn r95_r96_many_segments_answer_as_a_walk_over_all_records_does() {
        let mut node = Node::new();
        node.config.segment_bytes = 100_000;
        let mut log = node.open();
        for i in 0..300 {
            // Rising, with late batches in between.
            let timestamp = i * 10 - (i % 13) * 47;
            log.append(batch_at(timestamp.max(0), 2, 700), 0, NOW)
                .unwrap();
        }
        let all = timestamps(&log);
        let check = |log: &Log| {
            for wanted in (0..3_050).step_by(7) {
                let expected = all.iter().find(|(_, timestamp)| *timestamp >= wanted);
                assert_eq!(at(log, wanted), expected.copied(), "{wanted}");
            }
            for end in [0, 1, 2, 77, 240, 431, 600] {
                let visible = all.iter().filter(|(offset, _)| *offset < end / 2 * 2);
                let expected = visible.max_by_key(|(offset, time)| (*time, -offset));
                assert_eq!(largest(log, end), expected.copied(), "{end}");
            }
        };
        check(&log);
        node.stop(log);
        let log = node.open();
        check(&log);
        drop(log);
        for (name, _) in node.files() {
            if name.ends_with(".timeindex") {
                node.damage(&name, |bytes| bytes[5] ^= 2);
            }
        }
        check(&node.open());
    }
}
