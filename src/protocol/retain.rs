//! A stored batch without some of its records: what compaction writes back (Kafka:
//! MemoryRecords.filterTo, DefaultRecordBatch.writeEmptyHeader; KIP-534).
//!
//! Offsets never change: base offset, last offset and sequence stay, the records in between get
//! gaps. What stays keeps its bytes, but for timestamps that have to be told from another base. A
//! compressed batch is inflated one record at a time and compressed anew with its own codec.
//! Which records stay is for the caller to say.

use super::batch::{BatchHeader, CRC_START, DELETE_HORIZON, LOG_OVERHEAD, crc32c};
use super::compression::{Codec, Compressor, Inflate};
use super::record_input::{Slice, Stream};
use super::records::{BatchError, RecordView, parse_body, view};
use super::varint;
use crate::types::Millis;

/// Which records of a batch stay.
#[derive(Debug)]
pub struct Retained {
    /// One for each record.
    stays: Vec<bool>,
    count: i32,
    /// Largest timestamp among those that stay.
    max_timestamp: Millis,
    /// One of those that stay has no value.
    pub tombstones: bool,
}

impl Retained {
    /// How many.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Every record of the batch stays.
    pub fn is_whole(&self) -> bool {
        self.count as usize == self.stays.len()
    }
}

/// Asks about each record of a batch (exactly its bytes, header included). A compressed one may
/// inflate to `max_inflated` bytes.
pub fn retain(
    batch: &[u8],
    max_inflated: u64,
    mut stays: impl FnMut(&RecordView<'_>) -> bool,
) -> Result<Retained, BatchError> {
    let mut retained = Retained {
        stays: Vec::new(),
        count: 0,
        max_timestamp: Millis::MIN,
        tombstones: false,
    };
    for_each_raw(batch, max_inflated, |header, raw| {
        let record = record_of(header, raw)?;
        let this = stays(&record);
        retained.stays.push(this);
        if this {
            retained.count += 1;
            retained.max_timestamp = retained.max_timestamp.max(record.timestamp);
            retained.tombstones |= record.value.is_none();
        }
        Some(())
    })?;
    Ok(retained)
}

/// Appends the batch with what stays of it to `out`. A `delete_horizon` takes the place of the base
/// timestamp: what may be dropped from then on says so itself (KIP-534). At least one record
/// stays.
pub fn rewrite(
    batch: &[u8],
    retained: &Retained,
    delete_horizon: Option<Millis>,
    max_inflated: u64,
    out: &mut Vec<u8>,
) -> Result<BatchHeader, BatchError> {
    assert!(retained.count > 0, "a batch of which no record stays");
    let mut header = BatchHeader::read(batch).ok_or(BatchError::Short)?;
    let codec = header.codec().ok_or(BatchError::UnknownCodec {
        attributes: header.attributes,
    })?;
    let cap = i32::MAX as usize - BatchHeader::SIZE;
    let mut body = Compressor::new(codec, None, cap).map_err(BatchError::Compress)?;
    let mut stays = retained.stays.iter();
    let (mut length, mut restamped) = (Vec::with_capacity(5), Vec::new());
    let mut failure = None;
    for_each_raw(batch, max_inflated, |header, raw| {
        if !*stays.next()? {
            return Some(());
        }
        let raw = match delete_horizon {
            None => raw,
            Some(horizon) => {
                restamped.clear();
                restamp(
                    raw,
                    header.base_timestamp.wrapping_sub(horizon),
                    &mut restamped,
                )?;
                &restamped
            }
        };
        length.clear();
        varint::put_signed(&mut length, raw.len() as i32);
        let written = body.write(&length).and_then(|()| body.write(raw));
        failure = failure.take().or(written.err());
        Some(())
    })?;
    if let Some(failure) = failure {
        return Err(BatchError::Compress(failure));
    }
    let body = body.finish().map_err(BatchError::Compress)?;
    let body = body.ok_or(BatchError::TooLong)?;
    if let Some(horizon) = delete_horizon {
        header.attributes |= DELETE_HORIZON;
        header.base_timestamp = horizon;
    }
    if !header.is_log_append_time() {
        header.max_timestamp = retained.max_timestamp;
    }
    header.record_count = retained.count;
    put(&mut header, &body, out);
    Ok(header)
}

/// Appends the batch without any record to `out`: what remains of its producer's last sequence,
/// or of the last offset of a segment.
pub fn empty(mut header: BatchHeader, out: &mut Vec<u8>) -> BatchHeader {
    header.attributes &= !(DELETE_HORIZON | super::batch::CODEC_MASK);
    header.base_timestamp = super::batch::NO_TIMESTAMP;
    header.record_count = 0;
    put(&mut header, &[], out);
    header
}

/// Length and CRC follow from the body.
fn put(header: &mut BatchHeader, body: &[u8], out: &mut Vec<u8>) {
    header.batch_length = (BatchHeader::SIZE - LOG_OVERHEAD + body.len()) as i32;
    let mut head = [0; BatchHeader::SIZE];
    header.write(&mut head);
    header.crc = crc32c(&[&head[CRC_START..], body]);
    header.write(&mut head);
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
}

/// A record whose timestamp is told from a base that is `less` ms lower.
fn restamp(raw: &[u8], less: i64, out: &mut Vec<u8>) -> Option<()> {
    let (attributes, mut rest) = raw.split_first()?;
    let delta = varint::signed_long(|| varint::pop(&mut rest))?;
    out.push(*attributes);
    varint::put_signed_long(out, delta.wrapping_add(less));
    out.extend_from_slice(rest);
    Some(())
}

fn record_of<'a>(header: &BatchHeader, raw: &'a [u8]) -> Option<RecordView<'a>> {
    let parsed = parse_body(&mut Slice::new(raw), raw.len() as u64)?;
    Some(view(header, parsed))
}

/// Shows the bytes of each record behind its length; `f` answers `None` where they are malformed.
fn for_each_raw(
    batch: &[u8],
    max_inflated: u64,
    mut f: impl FnMut(&BatchHeader, &[u8]) -> Option<()>,
) -> Result<(), BatchError> {
    let header = BatchHeader::read(batch).ok_or(BatchError::Short)?;
    let body = batch.get(BatchHeader::SIZE..).ok_or(BatchError::Short)?;
    let codec = header.codec().ok_or(BatchError::UnknownCodec {
        attributes: header.attributes,
    })?;
    let count = header.record_count;
    if codec == Codec::None || count == 0 {
        let mut rest = body;
        for index in 0..count {
            let length = varint::signed(|| varint::pop(&mut rest));
            let length = length.and_then(|length| usize::try_from(length).ok());
            let shown = length.and_then(|length| rest.split_at_checked(length));
            let shown = shown.and_then(|(raw, behind)| {
                rest = behind;
                f(&header, raw)
            });
            shown.ok_or(BatchError::Malformed { index, count })?;
        }
        return match rest {
            [] => Ok(()),
            _ => Err(BatchError::Trailing { count }),
        };
    }
    let mut stream = Stream::new(Inflate::new(codec, body, max_inflated)?, None);
    let mut raw = Vec::new();
    for index in 0..count {
        raw.clear();
        let whole = stream.record(&mut raw).and_then(|()| f(&header, &raw));
        if whole.is_none() {
            return Err(match stream.failure() {
                Some(failure) => failure.into(),
                None => BatchError::Malformed { index, count },
            });
        }
    }
    stream.end(count)
}
