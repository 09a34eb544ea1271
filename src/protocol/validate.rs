//! Judges what a producer sent for one partition, in Kafka's order (ProduceRequest.java
//! validateRecords, UnifiedLog analyzeAndValidateRecords, LogValidator.java).
//!
//! An uncompressed batch is walked record by record; a compressed one is inflated only where a
//! rule needs it (R221). Does not know who leads the partition, nor sequences: the log checks
//! those with the append.

use bytes::Bytes;

use super::batch::{BatchHeader, LOG_OVERHEAD, TimestampType, ValidBatch, crc_matches};
use super::compression::{Codec, Compressor, Inflate, InflateError, max_inflated};
use super::record_errors::Judge;
use super::record_input::{Input, Slice, Stream};
use super::records::parse;
use crate::error::{Error, ResponseError};
use crate::types::Millis;

/// What the topic, and the request's version, demand of a produced batch.
#[derive(Clone, Copy, Debug)]
pub struct ProduceRules {
    /// `max.message.bytes`: the whole batch, its 12-byte prefix included.
    pub max_message_bytes: i32,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `cleanup.policy` contains compact: every record needs a key (R57).
    pub compacted: bool,
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; i64::MAX = unchecked.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`; `None` = `producer`: stored as sent.
    pub compression: Option<Codec>,
    /// `compression.<codec>.level` of that codec; `None` = the codec's default.
    pub compression_level: Option<i32>,
    /// `ottla.produce.validation=strict`: compressed batches are inflated and walked too (R221).
    pub strict: bool,
    /// Produce v7 and above; below, zstd is refused (R225).
    pub accept_zstd: bool,
}

impl ProduceRules {
    /// Whether a batch of `codec` is inflated to be judged (R221): work that a large batch
    /// should do off the data threads.
    pub fn inflates(&self, codec: Codec) -> bool {
        let lower_bound = self.timestamp_type == TimestampType::CreateTime
            && self.timestamp_before_max_ms != i64::MAX;
        codec != Codec::None
            && (self.compacted
                || lower_bound
                || self.strict
                || self.compression.is_some_and(|wanted| wanted != codec))
    }
}

/// Why a batch was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub error: Error,
    /// Batch index and sentence per bad record, for v8+ (R57, R58).
    pub record_errors: Vec<(i32, Option<String>)>,
    /// The answer carries the true log start offset, not −1 (R55, R61).
    pub found_by_log: bool,
}

impl Rejection {
    fn before_log(error: impl Into<Error>) -> Rejection {
        Rejection {
            error: error.into(),
            record_errors: Vec::new(),
            found_by_log: false,
        }
    }

    fn by_log(error: impl Into<Error>) -> Rejection {
        Rejection {
            found_by_log: true,
            ..Rejection::before_log(error)
        }
    }
}

impl ValidBatch {
    /// Judges the records field of one partition: exactly one v2 batch that `rules` allow
    /// (R55–R58, R221, R222, R225, R226, R228). `now` is wall time in ms.
    pub fn from_produce(
        records: Option<Bytes>,
        rules: &ProduceRules,
        topic: &str,
        partition: i32,
        now: Millis,
    ) -> Result<ValidBatch, Rejection> {
        let (batch, codec) = single_batch(records.unwrap_or_default(), rules)?;
        let header = check_header(&batch, rules)?;
        let judge = Judge::new(rules, &header, topic, partition, now);
        let batch = check_records(
            batch.slice(BatchHeader::SIZE..),
            header,
            codec,
            rules,
            judge,
        )?;
        if batch.size() > rules.max_message_bytes.max(0) as usize {
            // Compressed anew, it may have grown (R226).
            return Err(Rejection::before_log(ResponseError::MessageTooLarge));
        }
        if batch.size() > rules.segment_bytes.max(0) as usize {
            return Err(Rejection::before_log(ResponseError::RecordListTooLarge));
        }
        Ok(batch)
    }
}

/// Cuts out the one batch, as Kafka's request check does before any log sees it.
fn single_batch(records: Bytes, rules: &ProduceRules) -> Result<(Bytes, Codec), Rejection> {
    let invalid = || Rejection::before_log(ResponseError::InvalidRecord);
    let size = next_batch_size(&records)?.ok_or_else(invalid)?;
    let (batch, behind) = (records.slice(..size), &records[size..]);
    // 14 bytes behind the length are certain here: magic at 16, attributes at 21.
    if batch[16] != 2 {
        return Err(invalid());
    }
    let attributes = i16::from_be_bytes([batch[21], batch[22]]);
    let codec = Codec::from_id(attributes & 0x07)
        .filter(|&codec| codec != Codec::Zstd || rules.accept_zstd)
        .ok_or_else(|| Rejection::before_log(ResponseError::UnsupportedCompressionType))?;
    // Less than a whole second batch is cut off, as Kafka does.
    if next_batch_size(behind)?.is_some() {
        return Err(invalid());
    }
    Ok((batch, codec))
}

/// Size in bytes of the batch at the start of `bytes`; `None` if they hold no whole one
/// (Kafka: ByteBufferLogInputStream.nextBatchSize).
fn next_batch_size(bytes: &[u8]) -> Result<Option<usize>, Rejection> {
    /// Bytes behind the length field in the smallest record of format v0.
    const MIN_RECORD_SIZE: i32 = 14;
    let corrupt =
        |message: String| Rejection::before_log(Error::new(ResponseError::CorruptMessage, message));
    let Some(prefix) = bytes.first_chunk::<LOG_OVERHEAD>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes([prefix[8], prefix[9], prefix[10], prefix[11]]);
    if length < MIN_RECORD_SIZE {
        return Err(corrupt(format!(
            "Record size {length} is less than the minimum record overhead ({MIN_RECORD_SIZE})"
        )));
    }
    let Some(&magic) = bytes.get(16) else {
        return Ok(None);
    };
    if magic > 2 {
        let magic = magic as i8;
        return Err(corrupt(format!("Invalid magic found in record: {magic}")));
    }
    let size = LOG_OVERHEAD + length as usize;
    Ok((size <= bytes.len()).then_some(size))
}

/// What the header alone shows, in the log's order: base offset, size, CRC, counts.
fn check_header(batch: &[u8], rules: &ProduceRules) -> Result<BatchHeader, Rejection> {
    let invalid = || Rejection::by_log(ResponseError::InvalidRecord);
    if batch[..8] != [0; 8] {
        return Err(invalid());
    }
    if batch.len() > rules.max_message_bytes.max(0) as usize {
        return Err(Rejection::before_log(ResponseError::MessageTooLarge));
    }
    let header = BatchHeader::read(batch)
        .filter(|_| crc_matches(batch))
        .ok_or_else(|| Rejection::before_log(ResponseError::CorruptMessage))?;
    let count = header.record_count;
    if count <= 0 || i64::from(header.last_offset_delta) + 1 != i64::from(count) {
        return Err(invalid());
    }
    if header.is_control() || (header.producer_id >= 0 && header.base_sequence < 0) {
        return Err(invalid());
    }
    Ok(header)
}

/// Walks the records where R221 says so, and compresses them anew where the topic does.
fn check_records(
    body: Bytes,
    header: BatchHeader,
    codec: Codec,
    rules: &ProduceRules,
    mut judge: Judge<'_>,
) -> Result<ValidBatch, Rejection> {
    let wanted = rules.compression.unwrap_or(codec);
    let mut compressor = match wanted == codec {
        true => None,
        false => Some(start_compressor(wanted, rules)?),
    };
    let max_timestamp = if codec == Codec::None {
        if !walk(&mut Slice::new(&body), &header, &mut judge) {
            return Err(Rejection::by_log(ResponseError::InvalidRecord));
        }
        if let Some(compressor) = &mut compressor {
            compressor.write(&body).map_err(cannot_compress)?;
        }
        judge.verdict()?
    } else if rules.inflates(codec) {
        let limit = max_inflated(rules.max_message_bytes);
        let inflate = Inflate::new(codec, &body, limit).map_err(cannot_inflate)?;
        let mut stream = Stream::new(inflate, compressor.as_mut());
        let whole = walk(&mut stream, &header, &mut judge);
        if let Some(failure) = stream.failure() {
            return Err(cannot_inflate(failure));
        }
        if !whole {
            return Err(Rejection::by_log(ResponseError::InvalidRecord));
        }
        judge.verdict()?
    } else {
        judge.header_verdict()?
    };
    let mut batch = match compressor {
        None => ValidBatch::vouch(header, body),
        Some(compressor) => reseal(header, wanted, compressor)?,
    };
    // Kafka sets both to what it found; LogAppendTime is stamped by the log.
    if rules.timestamp_type == TimestampType::CreateTime
        && (header.is_log_append_time() || header.max_timestamp != max_timestamp)
    {
        batch.restamp(TimestampType::CreateTime, max_timestamp);
    }
    Ok(batch)
}

/// Whether the body holds exactly the declared records with consecutive offsets.
fn walk<I: Input>(input: &mut I, header: &BatchHeader, judge: &mut Judge<'_>) -> bool {
    for index in 0..header.record_count {
        let Some(record) = parse(input) else {
            return false;
        };
        // Kafka ignores deltas in uncompressed batches; nobody sends others (R55, deliberate).
        if record.offset_delta != index {
            return false;
        }
        judge.record(index, record.key.is_some(), record.timestamp_delta);
    }
    input.pop().is_none()
}

fn start_compressor(codec: Codec, rules: &ProduceRules) -> Result<Compressor, Rejection> {
    let cap = rules.max_message_bytes.max(0) as usize;
    Compressor::new(codec, rules.compression_level, cap).map_err(cannot_compress)
}

fn reseal(
    mut header: BatchHeader,
    codec: Codec,
    compressor: Compressor,
) -> Result<ValidBatch, Rejection> {
    let body = compressor
        .finish()
        .map_err(cannot_compress)?
        .ok_or_else(|| Rejection::before_log(ResponseError::MessageTooLarge))?;
    header.attributes = (header.attributes & !0x07) | codec.id();
    Ok(ValidBatch::seal(header, body.into()))
}

/// Garbage is corrupt (R222); a bomb is refused for good, as CORRUPT_MESSAGE is retried.
fn cannot_inflate(failure: InflateError) -> Rejection {
    match failure {
        InflateError::Undecodable(_) => Rejection::before_log(ResponseError::CorruptMessage),
        InflateError::TooLarge { .. } => Rejection::by_log(Error::new(
            ResponseError::InvalidRecord,
            failure.to_string(),
        )),
    }
}

/// The codec refused its own settings or memory: our fault, not the producer's.
fn cannot_compress(error: std::io::Error) -> Rejection {
    Rejection::before_log(Error::new(
        ResponseError::UnknownServerError,
        format!("cannot compress: {error}"),
    ))
}

#[cfg(test)]
mod tests;
