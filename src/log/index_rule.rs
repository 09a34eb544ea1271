//! When an appended batch gets index entries, and which. Live appends, recovery and rebuilding
//! follow this one rule, so an index is a function of its log.
//!
//! Kafka's rule (LogSegment.append): a batch that begins more than `index.interval.bytes` behind
//! the last indexed one gets an entry that maps its last offset to its position, and the time
//! index one for the largest timestamp so far, if that is larger than in the entry before.

use crate::log::index::OffsetEntry;
use crate::log::time_index::{LargestTimestamp, NO_TIMESTAMP, TimeEntry, relative};
use crate::protocol::batch::BatchHeader;
use crate::types::{Millis, Offset};

/// At most one index entry per this many bytes, whatever `index.interval.bytes` says: a lookup
/// that reads 16 KiB costs no more than one that reads 4 (performance.md, rule 18).
pub const MIN_INDEX_INTERVAL: u32 = 16 << 10;

/// The state of the rule in one segment.
#[derive(Clone, Debug)]
pub struct IndexRule {
    base_offset: Offset,
    interval: u64,
    since_entry: u64,
    largest: LargestTimestamp,
    indexed_timestamp: Millis,
}

impl IndexRule {
    /// `index_interval_bytes` as configured; the effective interval is at least 16 KiB.
    pub fn new(base_offset: Offset, index_interval_bytes: u32) -> IndexRule {
        IndexRule {
            base_offset,
            interval: u64::from(index_interval_bytes.max(MIN_INDEX_INTERVAL)),
            since_entry: 0,
            largest: LargestTimestamp::NONE,
            indexed_timestamp: NO_TIMESTAMP,
        }
    }

    /// Goes on behind entries that exist, the last time entry being `last_time`. The batches
    /// from the last indexed one on must be given to [`IndexRule::resume_batch`].
    pub fn resume(&mut self, last_time: Option<&TimeEntry>) {
        self.since_entry = 0;
        if let Some(entry) = last_time {
            self.indexed_timestamp = entry.timestamp;
            self.largest.include(
                entry.timestamp,
                self.base_offset + i64::from(entry.relative_offset),
            );
        }
    }

    /// A batch that was appended before and got its entry then, or none.
    pub fn resume_batch(&mut self, header: &BatchHeader) {
        self.largest
            .include(header.max_timestamp, header.last_offset());
        self.since_entry += header.total_size() as u64;
    }

    /// The entries for a batch appended at `position`.
    pub fn batch(
        &mut self,
        header: &BatchHeader,
        position: u64,
    ) -> Option<(OffsetEntry, Option<TimeEntry>)> {
        self.largest
            .include(header.max_timestamp, header.last_offset());
        let entries = (self.since_entry > self.interval).then(|| {
            self.since_entry = 0;
            let entry = OffsetEntry {
                relative_offset: relative(header.last_offset(), self.base_offset),
                position: position as u32,
            };
            (entry, self.close())
        });
        self.since_entry += header.total_size() as u64;
        entries
    }

    /// The time entry that makes the index end with the largest timestamp; `None` if it does.
    pub fn close(&mut self) -> Option<TimeEntry> {
        (self.largest.timestamp > self.indexed_timestamp).then(|| {
            self.indexed_timestamp = self.largest.timestamp;
            TimeEntry {
                timestamp: self.largest.timestamp,
                relative_offset: relative(self.largest.offset, self.base_offset),
            }
        })
    }

    /// The largest timestamp of the segment so far.
    pub fn largest(&self) -> LargestTimestamp {
        self.largest
    }
}
