//! The records inside a batch: written, walked and shown as slices.
//!
//! The walker allocates nothing, takes nothing from a declared length but a bound to check, and
//! is the same code over a slice and over an inflating stream (Kafka: DefaultRecord.java).

use std::ops::ControlFlow;

use bytes::BufMut;

use super::batch::BatchHeader;
use super::compression::{Codec, Inflate, InflateError, max_inflated};
use super::record_input::{Input, Slice, Stream};
use super::varint;
use crate::types::{Millis, Offset};

/// A record to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    pub timestamp: Millis,
    /// Null and empty stay distinct (R228).
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// In order, duplicates kept.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

impl Record<'_> {
    /// What a record without headers takes beside key and value, at most: three lengths, the
    /// attributes, two deltas and the count of headers.
    pub const OVERHEAD_MAX: usize = 3 * 5 + 1 + 10 + 5 + 1;

    /// Appends the record's bytes, its length first.
    pub(super) fn encode(&self, offset_delta: i32, base_timestamp: Millis, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        body.put_u8(0); // attributes, unused
        varint::put_signed_long(&mut body, self.timestamp.wrapping_sub(base_timestamp));
        varint::put_signed(&mut body, offset_delta);
        put_bytes(&mut body, self.key);
        put_bytes(&mut body, self.value);
        varint::put_signed(&mut body, self.headers.len() as i32);
        for (key, value) in self.headers {
            put_bytes(&mut body, Some(key));
            put_bytes(&mut body, *value);
        }
        varint::put_signed(out, body.len() as i32);
        out.extend_from_slice(&body);
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put_signed(out, -1),
        Some(bytes) => {
            varint::put_signed(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}

/// A record as it stands in a batch; the slices live as long as the call that shows it.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    pub offset: Offset,
    /// The record's own, or the header's max timestamp in a LogAppendTime batch.
    pub timestamp: Millis,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// The headers of one record, in order, duplicates kept.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    count: i32,
    bytes: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1).filter(|&left| left >= 0)?;
        let mut input = Slice::new(self.bytes);
        let key = bytes(&mut input)??;
        let value = bytes(&mut input)?;
        self.bytes = input.rest();
        Some((key, value))
    }
}

/// Why the records of a batch cannot be walked.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("the batch is shorter than its header says")]
    Short,
    #[error("unknown compression codec in attributes {attributes:#06x}")]
    UnknownCodec { attributes: i16 },
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error("record {index} of {count} is malformed")]
    Malformed { index: i32, count: i32 },
    #[error("bytes are left behind the last of {count} records")]
    Trailing { count: i32 },
    #[error("cannot compress: {0}")]
    Compress(#[source] std::io::Error),
    #[error("compressed anew, it would be longer than 2 GiB")]
    TooLong,
}

/// Shows the records of one batch (header included) in order until `f` breaks, inflating if
/// need be within [`max_inflated`] of the batch's own size.
///
/// For lookups by timestamp, replays of our own logs, and tests.
pub fn for_each_record(
    batch: &[u8],
    mut f: impl FnMut(RecordView<'_>) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    let header = BatchHeader::read(batch).ok_or(BatchError::Short)?;
    let body = batch
        .get(BatchHeader::SIZE..header.total_size())
        .ok_or(BatchError::Short)?;
    match header.codec() {
        Some(Codec::None) => show_plain(&header, body, &mut f),
        Some(codec) => {
            let limit = max_inflated(header.batch_length);
            let stream = Stream::new(Inflate::new(codec, body, limit)?, None);
            show_inflated(&header, stream, &mut f)
        }
        None => Err(BatchError::UnknownCodec {
            attributes: header.attributes,
        }),
    }
}

fn show_plain(
    header: &BatchHeader,
    body: &[u8],
    f: &mut impl FnMut(RecordView<'_>) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    let mut input = Slice::new(body);
    let count = header.record_count;
    for index in 0..count {
        let record = parse(&mut input).ok_or(BatchError::Malformed { index, count })?;
        if f(view(header, record)).is_break() {
            return Ok(());
        }
    }
    match input.rest() {
        [] => Ok(()),
        _ => Err(BatchError::Trailing { count }),
    }
}

/// Holds one record at a time.
fn show_inflated(
    header: &BatchHeader,
    mut stream: Stream<'_>,
    f: &mut impl FnMut(RecordView<'_>) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    let count = header.record_count;
    let mut bytes = Vec::new();
    for index in 0..count {
        bytes.clear();
        let whole = stream.record(&mut bytes);
        let record = whole.and_then(|()| parse_body(&mut Slice::new(&bytes), bytes.len() as u64));
        let Some(record) = record else {
            return Err(match stream.failure() {
                Some(failure) => failure.into(),
                None => BatchError::Malformed { index, count },
            });
        };
        if f(view(header, record)).is_break() {
            return Ok(());
        }
    }
    stream.end(count)
}

pub(super) fn view<'a>(header: &BatchHeader, parsed: Parsed<&'a [u8]>) -> RecordView<'a> {
    RecordView {
        offset: header
            .base_offset
            .wrapping_add(i64::from(parsed.offset_delta)),
        timestamp: match header.is_log_append_time() {
            true => header.max_timestamp,
            false => header.base_timestamp.wrapping_add(parsed.timestamp_delta),
        },
        key: parsed.key,
        value: parsed.value,
        headers: Headers {
            count: parsed.header_count,
            bytes: parsed.headers,
        },
    }
}

/// The fields of one record.
pub(super) struct Parsed<S> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<S>,
    pub value: Option<S>,
    pub header_count: i32,
    pub headers: S,
}

/// Reads one record, its length first; `None` if it is cut short, its length does not fit its
/// fields, or a header has no key (R55, R228).
#[inline]
pub(super) fn parse<I: Input>(input: &mut I) -> Option<Parsed<I::Slice>> {
    let length = u64::try_from(varint::signed(|| input.pop())?).ok()?;
    parse_body(input, length)
}

pub(super) fn parse_body<I: Input>(input: &mut I, length: u64) -> Option<Parsed<I::Slice>> {
    let start = input.position();
    input.pop()?; // attributes: unused bits, any value (R55)
    let timestamp_delta = varint::signed_long(|| input.pop())?;
    let offset_delta = varint::signed(|| input.pop())?;
    let key = bytes(input)?;
    let value = bytes(input)?;
    let header_count = varint::signed(|| input.pop())?;
    if header_count < 0 {
        return None;
    }
    let headers_start = input.position();
    for _ in 0..header_count {
        bytes(input)??;
        bytes(input)?;
    }
    (input.position() - start == length).then(|| Parsed {
        timestamp_delta,
        offset_delta,
        key,
        value,
        header_count,
        headers: input.since(headers_start),
    })
}

/// Nullable bytes: any negative length is null, as Kafka reads it.
#[inline]
fn bytes<I: Input>(input: &mut I) -> Option<Option<I::Slice>> {
    match usize::try_from(varint::signed(|| input.pop())?) {
        Ok(len) => input.take(len).map(Some),
        Err(_) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::batch::{BatchOptions, ValidBatch, crc_matches};

    /// What kafka-clients 4.1.2 writes for two records, once per codec.
    const KAFKAS: [&str; 5] = [
        "000000000000000000000045ffffffff0202edd0fb00000000000100000000000003e800000000000003ed00000000000000070001000000030000000218000000026b027602026802310c000a02010000",
        "000000000000000000000059ffffffff02ed6c025000010000000100000000000003e800000000000003ed0000000000000007000100000003000000021f8b08000000000000ff9360606060ca662a6362ca6032e461e0626264600000468ff0a514000000",
        "00000000000000000000005bffffffff0273ef352b00020000000100000000000003e800000000000003ed00000000000000070001000000030000000282534e4150505900000000010000000100000016144c18000000026b027602026802310c000a02010000",
        "000000000000000000000054ffffffff02bdd8ecae00030000000100000000000003e800000000000003ed00000000000000070001000000030000000204224d186040821400008018000000026b027602026802310c000a0201000000000000",
        "000000000000000000000051ffffffff02c7d3b91d00040000000100000000000003e800000000000003ed00000000000000070001000000030000000228b52ffd0058a0000018000000026b027602026802310c000a02010000010000",
    ];

    fn unhex(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    fn story(batch: &[u8]) -> Result<Vec<String>, BatchError> {
        let mut lines = Vec::new();
        for_each_record(batch, |record| {
            let headers: Vec<_> = record.headers.collect();
            lines.push(format!(
                "{} at {}: {:?} = {:?} {headers:?}",
                record.offset, record.timestamp, record.key, record.value
            ));
            ControlFlow::Continue(())
        })?;
        Ok(lines)
    }

    #[test]
    fn kafkas_batches_of_every_codec_are_read() {
        for hex in KAFKAS {
            let batch = unhex(hex);
            assert!(crc_matches(&batch));
            assert_eq!(
                story(&batch).unwrap(),
                [
                    "0 at 1000: Some([107]) = Some([118]) [([104], Some([49]))]",
                    "1 at 1005: None = Some([]) []"
                ]
            );
        }
    }

    #[test]
    fn log_append_time_is_the_time_of_every_record() {
        let record = Record {
            timestamp: 5,
            ..Record::default()
        };
        let mut batch = ValidBatch::build(&[record; 2], &BatchOptions::default());
        batch.assign(40, 3);
        batch.stamp_log_append_time(77);
        assert_eq!(
            story(&batch.to_bytes()).unwrap(),
            ["40 at 77: None = None []", "41 at 77: None = None []"]
        );
    }

    #[test]
    fn r228_duplicate_headers_keep_their_order() {
        let headers: [(&[u8], Option<&[u8]>); 3] = [(b"b", Some(b"")), (b"a", None), (b"b", None)];
        let record = Record {
            headers: &headers,
            ..Record::default()
        };
        let batch = ValidBatch::build(&[record], &BatchOptions::default()).to_bytes();
        let mut seen = 0;
        for_each_record(&batch, |record| {
            assert!(record.headers.eq(headers));
            seen += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(seen, 1);
    }

    #[test]
    fn the_walk_stops_where_it_is_told_to() {
        for hex in KAFKAS {
            let mut seen = 0;
            for_each_record(&unhex(hex), |_| {
                seen += 1;
                ControlFlow::Break(())
            })
            .unwrap();
            assert_eq!(seen, 1);
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        for hex in KAFKAS {
            let batch = unhex(hex);
            for cut in 0..batch.len() {
                assert!(matches!(story(&batch[..cut]), Err(BatchError::Short)));
            }
            for at in 57..batch.len() {
                for byte in [0x00, 0x7f, 0x80, 0xff] {
                    let mut damaged = batch.clone();
                    damaged[at] = byte;
                    let _ = story(&damaged);
                }
            }
        }
    }
}
