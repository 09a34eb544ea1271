//! Judges single records of a produced batch and finds Kafka's words for the bad ones
//! (R57, R58; Kafka: LogValidator.validateRecord, processRecordErrors).

use super::batch::{BatchHeader, NO_TIMESTAMP, TimestampType};
use super::validate::{ProduceRules, Rejection};
use crate::error::{Error, ResponseError};
use crate::types::Millis;

/// How many bad records are listed by name: a batch of millions must not become an answer of
/// gigabytes. The sentence still counts them all.
const MAX_LISTED: usize = 10_000;

/// Collects what is wrong with the records of one batch, and their largest timestamp.
pub(super) struct Judge<'a> {
    rules: &'a ProduceRules,
    header: &'a BatchHeader,
    topic: &'a str,
    partition: i32,
    now: Millis,
    listed: Vec<(i32, Option<String>)>,
    bad_records: usize,
    bad_timestamp: bool,
    max_timestamp: Millis,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        rules: &'a ProduceRules,
        header: &'a BatchHeader,
        topic: &'a str,
        partition: i32,
        now: Millis,
    ) -> Judge<'a> {
        Judge {
            rules,
            header,
            topic,
            partition,
            now,
            listed: Vec::new(),
            bad_records: 0,
            bad_timestamp: false,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    /// Judges the record at `index`.
    #[inline]
    pub(super) fn record(&mut self, index: i32, has_key: bool, timestamp_delta: i64) {
        let timestamp = match self.header.is_log_append_time() {
            true => self.header.max_timestamp,
            false => self.header.base_timestamp.wrapping_add(timestamp_delta),
        };
        self.max_timestamp = self.max_timestamp.max(timestamp);
        if self.rules.compacted && !has_key {
            self.refuse_key(index);
        } else if let Some(fault) = self.timestamp_fault(timestamp) {
            self.refuse_timestamp(index, timestamp, fault);
        }
    }

    /// The largest timestamp of the records, or the refusal of the batch.
    pub(super) fn verdict(self) -> Result<Millis, Rejection> {
        if self.bad_records == 0 {
            return Ok(self.max_timestamp);
        }
        let error = match self.bad_timestamp {
            true => Error::new(
                ResponseError::InvalidTimestamp,
                "One or more records have been rejected due to invalid timestamp",
            ),
            false => Error::new(ResponseError::InvalidRecord, self.summary()),
        };
        Err(Rejection {
            error,
            record_errors: self.listed,
            found_by_log: true,
        })
    }

    /// For a batch whose records were not walked: the header's max timestamp decides (R221).
    pub(super) fn header_verdict(self) -> Result<Millis, Rejection> {
        let max_timestamp = self.header.max_timestamp;
        match self.timestamp_fault(max_timestamp) {
            None => Ok(max_timestamp),
            Some(_) => Err(Rejection {
                error: ResponseError::InvalidTimestamp.into(),
                record_errors: Vec::new(),
                found_by_log: true,
            }),
        }
    }

    fn timestamp_fault(&self, timestamp: Millis) -> Option<TimestampFault> {
        let rules = self.rules;
        if rules.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP {
            // Wrapping as Kafka's arithmetic does: extreme timestamps pass the default bounds.
            let age = self.now.wrapping_sub(timestamp);
            let outside = age > rules.timestamp_before_max_ms
                || age.wrapping_neg() > rules.timestamp_after_max_ms;
            outside.then_some(TimestampFault::OutOfRange)
        } else {
            self.header
                .is_log_append_time()
                .then_some(TimestampFault::WrongType)
        }
    }

    fn refuse_key(&mut self, index: i32) {
        let (topic, partition) = (self.topic, self.partition);
        self.refuse(index, || {
            format!(
                "Compacted topic cannot accept message without key in topic partition {topic}-{partition}"
            )
        });
    }

    fn refuse_timestamp(&mut self, index: i32, timestamp: Millis, fault: TimestampFault) {
        self.bad_timestamp = true;
        let low = self.now.wrapping_sub(self.rules.timestamp_before_max_ms);
        let high = self.now.wrapping_add(self.rules.timestamp_after_max_ms);
        self.refuse(index, || match fault {
            TimestampFault::OutOfRange => format!(
                "Timestamp {timestamp} of message with offset {index} is out of range. \
                 The timestamp should be within [{low}, {high}]"
            ),
            TimestampFault::WrongType => format!(
                "Invalid timestamp type in message with offset {index}. \
                 Producer should not set timestamp type to LogAppendTime."
            ),
        });
    }

    fn refuse(&mut self, index: i32, message: impl FnOnce() -> String) {
        self.bad_records += 1;
        if self.listed.len() < MAX_LISTED {
            self.listed.push((index, Some(message())));
        }
    }

    fn summary(&self) -> String {
        let shown: Vec<String> = self
            .listed
            .iter()
            .take(3)
            .map(|(index, message)| {
                let message = message.as_deref().unwrap_or_default();
                format!("RecordError(batchIndex={index}, message='{message}')")
            })
            .collect();
        format!(
            "One or more records have been rejected due to {} record errors in total, \
             and only showing the first three errors at most: [{}]",
            self.bad_records,
            shown.join(", ")
        )
    }
}

/// What is wrong with a timestamp.
enum TimestampFault {
    OutOfRange,
    WrongType,
}
