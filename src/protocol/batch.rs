//! The v2 record batch: its 61-byte header, its checksum, and [`ValidBatch`], the only form in
//! which a batch reaches a log.
//!
//! A batch passes from socket to file unchanged but for base offset and partition leader epoch,
//! which lie outside the CRC, and, on LogAppendTime topics, the type bit and the max timestamp
//! (R220; Kafka: DefaultRecordBatch.java, KIP-98). Records are looked at in [`records`], a
//! producer's batches are judged in [`validate`]. Knows nothing of topics or logs.
//!
//! [`records`]: super::records
//! [`validate`]: super::validate

use std::io;

use bytes::{Buf, BufMut, Bytes};
use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

pub use super::compression::Codec;
use super::compression::Compressor;
pub use super::records::{BatchError, Headers, Record, RecordView, for_each_record};
pub use super::validate::{ProduceRules, Rejection};
use crate::types::{LeaderEpoch, Millis, Offset};

/// Bytes before the batch length counts: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// What the protocol writes for "no timestamp".
pub const NO_TIMESTAMP: Millis = -1;

pub(super) const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
/// The base timestamp is the time from which tombstones and markers may be dropped (KIP-534).
pub(super) const DELETE_HORIZON: i16 = 0x40;
/// The CRC covers everything from the attributes on.
pub(super) const CRC_START: usize = 21;

/// Which clock a record's timestamp comes from: `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// The fields of a v2 batch header as they stand in the bytes, judged or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes that follow the length field itself.
    pub batch_length: i32,
    pub partition_leader_epoch: LeaderEpoch,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: Millis,
    pub max_timestamp: Millis,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Size of the header in bytes, up to the first record.
    pub const SIZE: usize = 61;

    /// Reads the header at the start of `bytes`; `None` if they are fewer than [`Self::SIZE`].
    /// Judges nothing: see [`Self::is_plausible`].
    pub fn read(bytes: &[u8]) -> Option<BatchHeader> {
        let mut bytes = bytes.get(..Self::SIZE)?;
        Some(BatchHeader {
            base_offset: bytes.get_i64(),
            batch_length: bytes.get_i32(),
            partition_leader_epoch: bytes.get_i32(),
            magic: bytes.get_i8(),
            crc: bytes.get_u32(),
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            record_count: bytes.get_i32(),
        })
    }

    /// Writes all 61 bytes, the CRC as it stands in the field.
    pub fn write(&self, out: &mut [u8; BatchHeader::SIZE]) {
        let mut out = out.as_mut_slice();
        out.put_i64(self.base_offset);
        out.put_i32(self.batch_length);
        out.put_i32(self.partition_leader_epoch);
        out.put_i8(self.magic);
        out.put_u32(self.crc);
        out.put_i16(self.attributes);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp);
        out.put_i64(self.max_timestamp);
        out.put_i64(self.producer_id);
        out.put_i16(self.producer_epoch);
        out.put_i32(self.base_sequence);
        out.put_i32(self.record_count);
    }

    /// Whether length, magic, offsets and count can belong to a batch at all: what recovery
    /// asks before it reads [`Self::total_size`] bytes and checks the CRC.
    pub fn is_plausible(&self) -> bool {
        self.magic == 2
            && self.batch_length >= (Self::SIZE - LOG_OVERHEAD) as i32
            && self.base_offset >= 0
            && self.last_offset_delta >= 0
            && self
                .base_offset
                .checked_add(i64::from(self.last_offset_delta) + 1)
                .is_some()
            && self.record_count >= 0
            // Compaction removes records and leaves their offsets (R227).
            && self.record_count.saturating_sub(1) <= self.last_offset_delta
    }

    /// Size of the whole batch in bytes; [`LOG_OVERHEAD`] for a negative length.
    pub fn total_size(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// Offset of the last record, present or compacted away.
    pub fn last_offset(&self) -> Offset {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset behind the last record.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().saturating_add(1)
    }

    /// Sequence of the last record: 0 follows 2147483647 (R69); −1 without sequence.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        last.rem_euclid(1 << 31) as i32
    }

    /// `None` for the unassigned codec ids 5–7.
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_id(self.attributes & CODEC_MASK)
    }

    /// Part of a transaction (KIP-98).
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Holds a transaction marker, not data.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// From when on tombstones and markers of the batch may be dropped, once compaction has set it
    /// (KIP-534).
    pub fn delete_horizon(&self) -> Option<Millis> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Every record's timestamp is the header's max timestamp.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }
}

/// CRC-32C over the concatenation of `parts`: for a batch, its bytes from offset 21 to the end.
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    digest.finalize() as u32
}

/// Whether the stored CRC of a whole batch (header included, exactly its bytes) is right.
pub fn crc_matches(batch: &[u8]) -> bool {
    match (BatchHeader::read(batch), batch.get(CRC_START..)) {
        (Some(header), Some(covered)) => header.crc == crc32c(&[covered]),
        _ => false,
    }
}

/// What the builder of our own batches may choose; the default is plain, without producer.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub transactional: bool,
    pub control: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        BatchOptions {
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            transactional: false,
            control: false,
        }
    }
}

/// One batch whose length, magic, CRC, attributes, counts and (where R221 walks them) records
/// have been checked, or which we built. The type is the proof: a log takes nothing else.
///
/// The head is owned and patched in place; the body is a slice of the frame it came in.
#[derive(Clone, Debug)]
pub struct ValidBatch {
    head: [u8; BatchHeader::SIZE],
    header: BatchHeader,
    body: Bytes,
}

impl ValidBatch {
    /// The header, always equal to what [`Self::head`] encodes.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The first 61 bytes of the batch as stored.
    pub fn head(&self) -> &[u8; BatchHeader::SIZE] {
        &self.head
    }

    /// All bytes behind the header.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Size of the whole batch in bytes.
    pub fn size(&self) -> usize {
        BatchHeader::SIZE + self.body.len()
    }

    /// Copies the body out of the frame it came in, so that whoever keeps the batch does not keep
    /// the frame.
    pub fn detach(&mut self) {
        self.body = Bytes::copy_from_slice(&self.body);
    }

    /// Head and body in one buffer, for what needs the batch in one piece.
    pub fn to_bytes(&self) -> Bytes {
        [&self.head[..], &self.body[..]].concat().into()
    }

    /// Sets the two fields outside the CRC.
    pub fn assign(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        self.header.base_offset = base_offset;
        self.header.partition_leader_epoch = leader_epoch;
        self.header.write(&mut self.head);
    }

    /// Marks the batch LogAppendTime with `now` (ms) as the time of every record (R220).
    pub fn stamp_log_append_time(&mut self, now: Millis) {
        self.restamp(TimestampType::LogAppendTime, now);
    }

    /// Sets type bit and max timestamp; the CRC follows without a pass over the records.
    pub(super) fn restamp(&mut self, timestamp_type: TimestampType, max_timestamp: Millis) {
        let before = crc32c(&[&self.head[CRC_START..]]);
        match timestamp_type {
            TimestampType::CreateTime => self.header.attributes &= !LOG_APPEND_TIME,
            TimestampType::LogAppendTime => self.header.attributes |= LOG_APPEND_TIME,
        }
        self.header.max_timestamp = max_timestamp;
        self.header.write(&mut self.head);
        let after = crc32c(&[&self.head[CRC_START..]]);
        // CRC is linear: crc(AB) = shift(crc(A), |B|) ^ crc(B), so exchanging A changes it by
        // the shifted difference of the two heads. An empty body needs no shift.
        let body_len = self.body.len() as u64;
        let shift = |crc: u32| -> u32 {
            match body_len {
                0 => crc,
                len => checksum_combine(CrcAlgorithm::Crc32Iscsi, u64::from(crc), 0, len) as u32,
            }
        };
        self.header.crc ^= shift(before) ^ shift(after);
        self.header.write(&mut self.head);
    }

    /// Builds an uncompressed CreateTime batch with base offset 0 out of at least one record.
    ///
    /// For coordinator logs, the metadata log and tests. Panics on an empty list or a batch
    /// above 2 GiB: both are our own mistakes.
    pub fn build(records: &[Record<'_>], options: &BatchOptions) -> ValidBatch {
        assert!(!records.is_empty(), "a batch without records");
        let base_timestamp = records[0].timestamp;
        let mut body = Vec::new();
        for (delta, record) in records.iter().enumerate() {
            record.encode(delta as i32, base_timestamp, &mut body);
        }
        let mut attributes = 0;
        if options.transactional {
            attributes |= TRANSACTIONAL;
        }
        if options.control {
            attributes |= CONTROL;
        }
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes,
            last_offset_delta: records.len() as i32 - 1,
            base_timestamp,
            max_timestamp: records
                .iter()
                .map(|record| record.timestamp)
                .fold(NO_TIMESTAMP, Millis::max),
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            record_count: records.len() as i32,
        };
        ValidBatch::seal(header, body.into())
    }

    /// The same records behind a codec, at its own level; for batches we built.
    ///
    /// # Errors
    /// The codec's.
    pub fn compressed(self, codec: Codec) -> io::Result<ValidBatch> {
        let mut compressor = Compressor::new(codec, None, usize::MAX)?;
        compressor.write(&self.body)?;
        let Some(body) = compressor.finish()? else {
            return Ok(self);
        };
        let mut header = self.header;
        header.attributes |= codec.id();
        Ok(ValidBatch::seal(header, body.into()))
    }

    /// A batch of `header` and `body` with length and CRC filled in; the caller vouches for
    /// the rest.
    pub(super) fn seal(mut header: BatchHeader, body: Bytes) -> ValidBatch {
        let length = BatchHeader::SIZE - LOG_OVERHEAD + body.len();
        assert!(length <= i32::MAX as usize, "a batch of {length} bytes");
        header.batch_length = length as i32;
        let mut head = [0; BatchHeader::SIZE];
        header.write(&mut head);
        header.crc = crc32c(&[&head[CRC_START..], &body]);
        header.write(&mut head);
        ValidBatch { head, header, body }
    }

    /// A batch as received; the caller has checked what R221 demands.
    pub(super) fn vouch(header: BatchHeader, body: Bytes) -> ValidBatch {
        let mut head = [0; BatchHeader::SIZE];
        header.write(&mut head);
        ValidBatch { head, header, body }
    }
}

#[cfg(test)]
mod tests;
