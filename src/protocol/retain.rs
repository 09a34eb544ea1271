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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::protocol::batch::{BatchOptions, Record, ValidBatch, crc_matches, for_each_record};

    const LIMIT: u64 = 64 << 20;

    fn batch(options: BatchOptions) -> ValidBatch {
        let headers: [(&[u8], Option<&[u8]>); 3] = [(b"h", Some(b"")), (b"g", None), (b"h", None)];
        let keys: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
        let record = |(i, key): (usize, &&'static [u8])| Record {
            timestamp: 1_000 + [30, -7, 5, 20][i],
            key: Some(*key),
            value: Some(b"v").filter(|_| i != 2).map(|v| &v[..]),
            headers: &headers,
        };
        let records: Vec<Record> = keys.iter().enumerate().map(record).collect();
        let mut batch = ValidBatch::build(&records, &options);
        batch.assign(40, 3);
        batch
    }

    /// Offset, time, key and value of each record.
    fn shown(batch: &[u8]) -> String {
        let mut shown = Vec::new();
        for_each_record(batch, |record| {
            let key = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
            let (offset, time) = (record.offset, record.timestamp);
            assert_eq!(record.headers.count(), 3);
            shown.push(format!("{key}@{offset} {time} {}", record.value.is_some()));
            ControlFlow::Continue(())
        })
        .unwrap();
        shown.join(", ")
    }

    fn kept(batch: &[u8], keys: &str, horizon: Option<Millis>) -> (BatchHeader, Vec<u8>) {
        let stays = |record: &RecordView<'_>| keys.as_bytes().contains(&record.key.unwrap()[0]);
        let retained = retain(batch, LIMIT, stays).unwrap();
        let mut out = b"before".to_vec();
        let header = rewrite(batch, &retained, horizon, LIMIT, &mut out).unwrap();
        let out = out.split_off(6);
        assert!(crc_matches(&out));
        assert_eq!(BatchHeader::read(&out), Some(header));
        assert_eq!(header.total_size(), out.len());
        (header, out)
    }

    #[test]
    fn what_stays_keeps_its_offset_its_time_and_its_headers() {
        let batch = batch(BatchOptions {
            producer_id: 9,
            producer_epoch: 2,
            base_sequence: 70,
            ..BatchOptions::default()
        });
        let bytes = batch.to_bytes();
        let (header, out) = kept(&bytes, "bd", None);
        assert_eq!(shown(&out), "b@41 993 true, d@43 1020 true");
        let expected = BatchHeader {
            batch_length: header.batch_length,
            crc: header.crc,
            record_count: 2,
            max_timestamp: 1_020,
            ..*batch.header()
        };
        assert_eq!(header, expected);
        assert_eq!((header.last_offset(), header.last_sequence()), (43, 73));
    }

    #[test]
    fn a_horizon_changes_no_records_time() {
        let bytes = batch(BatchOptions::default()).to_bytes();
        let (header, out) = kept(&bytes, "abcd", Some(5_000_000_000_000));
        assert_eq!(header.delete_horizon(), Some(5_000_000_000_000));
        assert_eq!(shown(&out), shown(&bytes));
        // The next pass takes records out and lets the horizon stand.
        let (header, out) = kept(&out, "ac", None);
        assert_eq!(header.delete_horizon(), Some(5_000_000_000_000));
        assert_eq!(shown(&out), "a@40 1030 true, c@42 1005 false");
    }

    #[test]
    fn log_append_time_is_the_time_of_what_stays() {
        let mut batch = batch(BatchOptions::default());
        batch.stamp_log_append_time(7_777);
        let (header, out) = kept(&batch.to_bytes(), "b", Some(9_999));
        assert!(header.is_log_append_time());
        assert_eq!(shown(&out), "b@41 7777 true");
    }

    #[test]
    fn an_emptied_batch_is_its_header() {
        let options = BatchOptions {
            producer_id: 9,
            producer_epoch: 2,
            base_sequence: 70,
            transactional: true,
            ..BatchOptions::default()
        };
        let batch = batch(options);
        let (_, with_horizon) = kept(&batch.to_bytes(), "c", Some(5));
        let mut out = Vec::new();
        let header = empty(BatchHeader::read(&with_horizon).unwrap(), &mut out);
        assert_eq!(out.len(), BatchHeader::SIZE);
        assert!(crc_matches(&out) && header.is_plausible() && header.is_transactional());
        assert_eq!((header.base_offset, header.last_offset()), (40, 43));
        assert_eq!((header.last_sequence(), header.record_count), (73, 0));
        assert_eq!(header.delete_horizon(), None);
        assert_eq!(shown(&out), "");
        let again = retain(&out, LIMIT, |_| true).unwrap();
        assert_eq!((again.count(), again.is_whole()), (0, true));
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let bytes = batch(BatchOptions::default()).to_bytes();
        for at in 57..bytes.len() {
            for byte in [0x00, 0x7f, 0x80, 0xff] {
                let mut damaged = bytes.to_vec();
                damaged[at] = byte;
                if let Ok(retained) = retain(&damaged, LIMIT, |record| record.offset % 2 == 0)
                    && retained.count() > 0
                {
                    let _ = rewrite(&damaged, &retained, Some(1), LIMIT, &mut Vec::new());
                }
            }
        }
        assert!(retain(&bytes[..60], LIMIT, |_| true).is_err());
    }
}
