//! The records inside a batch: written, walked and shown as slices.
//!
//! The walker allocates nothing, takes nothing from a declared length but a bound to check, and
//! is the same code over a slice and over an inflating stream (Kafka: DefaultRecord.java).

use std::ops::ControlFlow;

use bytes::BufMut;

use super::batch::BatchHeader;
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
        self.bytes = &self.bytes[input.at..];
        Some((key, value))
    }
}

/// Why the records of a batch cannot be walked.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("the batch is shorter than its header says")]
    Short,
    #[error("record {index} of {count} is malformed")]
    Malformed { index: i32, count: i32 },
    #[error("bytes are left behind the last of {count} records")]
    Trailing { count: i32 },
}

/// Shows the records of one batch (header included) in order until `f` breaks.
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
    let mut input = Slice::new(body);
    let count = header.record_count;
    for index in 0..count {
        let parsed = parse(&mut input).ok_or(BatchError::Malformed { index, count })?;
        if f(view(&header, parsed)).is_break() {
            return Ok(());
        }
    }
    if input.at < body.len() {
        return Err(BatchError::Trailing { count });
    }
    Ok(())
}

fn view<'a>(header: &BatchHeader, parsed: Parsed<&'a [u8]>) -> RecordView<'a> {
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

/// Where record bytes come from: a slice, or an inflating stream that keeps nothing.
pub(super) trait Input {
    /// What `take` can show of the bytes it passed.
    type Slice;
    fn pop(&mut self) -> Option<u8>;
    fn take(&mut self, len: usize) -> Option<Self::Slice>;
    /// Bytes consumed so far.
    fn position(&self) -> u64;
    /// What was consumed since `position` stood at `start`.
    fn since(&self, start: u64) -> Self::Slice;
}

/// Records in memory.
pub(super) struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Slice<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Slice<'a> {
        Slice { bytes, at: 0 }
    }
}

impl<'a> Input for Slice<'a> {
    type Slice = &'a [u8];

    #[inline]
    fn pop(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn position(&self) -> u64 {
        self.at as u64
    }

    fn since(&self, start: u64) -> &'a [u8] {
        &self.bytes[start as usize..self.at]
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
pub(super) fn parse<I: Input>(input: &mut I) -> Option<Parsed<I::Slice>> {
    let length = u64::try_from(varint::signed(|| input.pop())?).ok()?;
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
