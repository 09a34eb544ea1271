//! The time index of a segment (Kafka: TimeIndex). An entry `(timestamp, offset)` says: no batch
//! up to the point where the entry was written has a larger timestamp, and the batch that ends
//! with `offset` is the first that has this one. The last entry of a sealed segment is the
//! segment's maximum.
//!
//! Knows entries and their file format; knows neither files nor batches.

use crate::log::index::{Entry, be_u32};
use crate::types::{Millis, Offset};

/// What an empty segment has instead of a largest timestamp.
pub const NO_TIMESTAMP: Millis = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// Largest record timestamp so far, ms.
    pub timestamp: Millis,
    /// Last offset of the first batch that holds it, minus the segment's base offset.
    pub relative_offset: u32,
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> TimeEntry {
        let high = i64::from(be_u32(&bytes[0..4]) as i32);
        TimeEntry {
            timestamp: high << 32 | i64::from(be_u32(&bytes[4..8])),
            relative_offset: be_u32(&bytes[8..12]),
        }
    }

    fn may_follow(&self, previous: Option<&TimeEntry>) -> bool {
        let signed = self.relative_offset <= i32::MAX as u32;
        signed
            && match previous {
                None => self.timestamp > NO_TIMESTAMP,
                Some(p) => self.timestamp > p.timestamp && self.relative_offset > p.relative_offset,
            }
    }
}

/// The largest timestamp seen in a segment and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargestTimestamp {
    /// [`NO_TIMESTAMP`] if there was none above it.
    pub timestamp: Millis,
    /// Last offset of the first batch that has it.
    pub offset: Offset,
}

impl LargestTimestamp {
    pub const NONE: LargestTimestamp = LargestTimestamp {
        timestamp: NO_TIMESTAMP,
        offset: -1,
    };

    /// Takes a batch into account. Only a larger timestamp counts, so ties stay with the first.
    pub fn include(&mut self, timestamp: Millis, last_offset: Offset) {
        if timestamp > self.timestamp {
            *self = LargestTimestamp {
                timestamp,
                offset: last_offset,
            };
        }
    }
}

/// `offset` relative to the base of its segment.
pub fn relative(offset: Offset, base_offset: Offset) -> u32 {
    let relative = offset - base_offset;
    assert!(
        (0..=i64::from(i32::MAX)).contains(&relative),
        "offset {offset} does not fit the segment at {base_offset}"
    );
    relative as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::index::{encode, parse};

    #[test]
    fn a_time_index_file_of_kafka_reads_back() {
        // disktx-0/00000000000000000000.timeindex as Kafka 4.1.2 left it.
        let bytes = [
            0, 0, 1, 0xa1, 0xfd, 0x80, 0x0c, 0x1b, 0, 0, 0, 3, 0, 0, 1, 0xa1, 0xfd, 0x80, 0x78,
            0x0f, 0, 0, 0, 7,
        ];
        let (entries, whole) = parse::<TimeEntry>(Some(&bytes));
        assert!(whole);
        assert_eq!(entries[1].timestamp, 0x01a1_fd80_780f);
        assert_eq!(entries[1].relative_offset, 7);
        assert_eq!(encode(&entries), bytes);
    }

    #[test]
    fn ties_and_older_timestamps_do_not_move_the_largest() {
        let mut largest = LargestTimestamp::NONE;
        largest.include(-5, 3);
        assert_eq!(
            largest,
            LargestTimestamp::NONE,
            "Kafka indexes no negative time"
        );
        largest.include(50, 14);
        largest.include(50, 15);
        largest.include(40, 16);
        assert_eq!((largest.timestamp, largest.offset), (50, 14));
    }
}
