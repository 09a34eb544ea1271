//! Rows about partitions and segments: what a clean stop knew of them, so that the next start
//! opens and lists nothing. They change on create, seal, truncate, delete and stop, never per
//! append, and are true only under [`Store::catalogue_is_true`].

use uuid::Uuid;

use super::{Row, Store, StoreError, put, remove, rows, unreadable};
use crate::types::{LeaderEpoch, Millis, Offset, TopicId};

/// A replica on one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionKey {
    pub directory_id: Uuid,
    pub topic_id: TopicId,
    pub partition: i32,
}

/// What is known of a replica's log. Offsets are half-open ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    pub log_end_offset: Offset,
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    pub recovery_point: Offset,
    /// −1 for an empty log.
    pub last_epoch: LeaderEpoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentKey {
    pub partition: PartitionKey,
    pub base_offset: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// Bytes.
    pub size: i64,
    pub next_offset: Offset,
    /// −1 for none.
    pub max_timestamp: Millis,
    /// Bits, given a meaning by the log.
    pub flags: i64,
    /// Offset of the newest producer snapshot at or below the end; −1 for none.
    pub snapshot_offset: Offset,
}

impl Store {
    /// All partitions of the catalogue, in key order.
    pub fn partitions(&self) -> Result<Vec<(PartitionKey, PartitionRow)>, StoreError> {
        let rows = rows(&self.partition, &[])?;
        let read = |(key, value): Row| {
            let row = PartitionKey::read(&key).zip(PartitionRow::read(&value));
            row.ok_or_else(unreadable)
        };
        rows.into_iter().map(read).collect()
    }

    pub fn put_partition(&self, key: PartitionKey, row: PartitionRow) -> Result<(), StoreError> {
        put(&self.partition, key.bytes(), row.bytes())
    }

    /// Removes a partition and its segments.
    pub fn remove_partition(&self, key: PartitionKey) -> Result<(), StoreError> {
        for (segment, _) in rows(&self.segment, &key.bytes())? {
            remove(&self.segment, &segment)?;
        }
        remove(&self.partition, &key.bytes())
    }

    /// The segments of a partition, by base offset.
    pub fn segments(&self, key: PartitionKey) -> Result<Vec<(Offset, SegmentRow)>, StoreError> {
        let prefix = key.bytes();
        let read = |(key, value): Row| {
            let base = key
                .get(prefix.len()..)
                .and_then(|base| base.try_into().ok());
            let base = base.map(Offset::from_be_bytes);
            base.zip(SegmentRow::read(&value)).ok_or_else(unreadable)
        };
        rows(&self.segment, &prefix)?
            .into_iter()
            .map(read)
            .collect()
    }

    pub fn put_segment(&self, key: SegmentKey, row: SegmentRow) -> Result<(), StoreError> {
        put(&self.segment, key.bytes(), row.bytes())
    }

    pub fn remove_segment(&self, key: SegmentKey) -> Result<(), StoreError> {
        remove(&self.segment, &key.bytes())
    }
}

impl PartitionKey {
    fn bytes(&self) -> Vec<u8> {
        let (directory, topic) = (self.directory_id.as_bytes(), self.topic_id.0.as_bytes());
        [&directory[..], &topic[..], &self.partition.to_be_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Option<PartitionKey> {
        let (directory, rest) = bytes.split_first_chunk()?;
        let (topic, partition) = rest.split_first_chunk()?;
        Some(PartitionKey {
            directory_id: Uuid::from_bytes(*directory),
            topic_id: TopicId(Uuid::from_bytes(*topic)),
            partition: i32::from_be_bytes(partition.try_into().ok()?),
        })
    }
}

impl SegmentKey {
    fn bytes(&self) -> Vec<u8> {
        // Offsets are not negative, so big-endian order is theirs.
        [&self.partition.bytes()[..], &self.base_offset.to_be_bytes()].concat()
    }
}

impl PartitionRow {
    fn bytes(&self) -> Vec<u8> {
        numbers([
            self.log_end_offset,
            self.high_watermark,
            self.log_start_offset,
            self.recovery_point,
            i64::from(self.last_epoch),
        ])
    }

    fn read(bytes: &[u8]) -> Option<PartitionRow> {
        let [leo, high_watermark, log_start_offset, recovery_point, epoch] = read_numbers(bytes)?;
        Some(PartitionRow {
            log_end_offset: leo,
            high_watermark,
            log_start_offset,
            recovery_point,
            last_epoch: LeaderEpoch::try_from(epoch).ok()?,
        })
    }
}

impl SegmentRow {
    fn bytes(&self) -> Vec<u8> {
        numbers([
            self.size,
            self.next_offset,
            self.max_timestamp,
            self.flags,
            self.snapshot_offset,
        ])
    }

    fn read(bytes: &[u8]) -> Option<SegmentRow> {
        let [size, next_offset, max_timestamp, flags, snapshot_offset] = read_numbers(bytes)?;
        Some(SegmentRow {
            size,
            next_offset,
            max_timestamp,
            flags,
            snapshot_offset,
        })
    }
}

fn numbers(numbers: [i64; 5]) -> Vec<u8> {
    numbers.map(i64::to_be_bytes).concat()
}

fn read_numbers(bytes: &[u8]) -> Option<[i64; 5]> {
    let mut numbers = [0; 5];
    if bytes.len() != 40 {
        return None;
    }
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = i64::from_be_bytes(bytes.try_into().ok()?);
    }
    Some(numbers)
}
