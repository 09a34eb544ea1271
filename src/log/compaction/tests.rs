//! Scenarios of compaction on real files. A batch is written as its records: `k=v`, `k` alone for
//! a tombstone, `=v` without a key.

mod files;
mod keeps;

use std::fmt::Write;

use bytes::Bytes;
use expect_test::Expect;

use super::*;
use crate::log::context::TryEnter;
use crate::log::testing::*;
use crate::protocol::batch::{
    BatchOptions, Codec, ProduceRules, Record, TimestampType, ValidBatch, crc_matches,
};

const DAY: i64 = 86_400_000;

fn rules() -> CompactionConfig {
    CompactionConfig {
        min_cleanable_dirty_ratio: 0.0,
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: i64::MAX,
        delete_retention_ms: DAY,
        segment_bytes: 1 << 30,
        segment_index_bytes: 10 << 20,
        max_message_bytes: 1 << 20,
    }
}

const LIMITS: Limits = Limits {
    map_bytes: 8 << 20,
    load_factor: 0.9,
    io_bytes: 16 << 10,
};

fn records(text: &str, options: BatchOptions) -> ValidBatch {
    let record = |(i, word): (usize, &'static str)| {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value.as_bytes())),
            None => (word, None),
        };
        Record {
            timestamp: NOW + i as i64,
            key: Some(key.as_bytes()).filter(|key| !key.is_empty()),
            value,
            ..Record::default()
        }
    };
    let text: &'static str = text.to_owned().leak();
    let records: Vec<_> = text.split_whitespace().enumerate().map(record).collect();
    ValidBatch::build(&records, &options)
}

fn keyed(text: &str) -> ValidBatch {
    records(text, BatchOptions::default())
}

fn compressed(text: &str, codec: Codec) -> ValidBatch {
    let produced = ProduceRules {
        max_message_bytes: i32::MAX,
        segment_bytes: i32::MAX,
        compacted: false,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compression: Some(codec),
        compression_level: None,
        strict: false,
        accept_zstd: true,
    };
    let plain: Bytes = keyed(text).to_bytes();
    ValidBatch::from_produce(Some(plain), &produced, "t", 0, NOW).unwrap()
}

fn transactional(producer_id: i64, base_sequence: i32, text: &str) -> ValidBatch {
    let options = BatchOptions {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        transactional: true,
        ..BatchOptions::default()
    };
    records(text, options)
}

fn marker(producer_id: i64, kind: u8) -> ValidBatch {
    let options = BatchOptions {
        producer_id,
        producer_epoch: 0,
        transactional: true,
        control: true,
        ..BatchOptions::default()
    };
    let record = Record {
        timestamp: NOW,
        key: Some(if kind == 0 {
            &[0, 0, 0, 0]
        } else {
            &[0, 0, 0, 1]
        }),
        value: Some(&[0, 0, 0, 0, 0, 0]),
        ..Record::default()
    };
    ValidBatch::build(&[record], &options)
}

/// Appends each, and begins a new segment behind those that are `None`.
fn fill(log: &mut Log, batches: impl IntoIterator<Item = Option<ValidBatch>>) {
    for batch in batches {
        match batch {
            Some(batch) => {
                log.append(batch, 0, NOW).unwrap();
            }
            None => log.roll(NOW).unwrap(),
        }
    }
    sync(log);
}

/// What is not synced is not compacted.
fn sync(log: &mut Log) {
    while let Some(work) = log.start_flush(NOW) {
        log.flushed(work.run()).unwrap();
    }
}

/// Lines are segments, `;` ends a batch. The last segment is the active one.
fn log_of(node: &Node, text: &str) -> Log {
    let mut log = node.open();
    write_to(&mut log, text);
    log
}

fn write_to(log: &mut Log, text: &str) {
    let segments: Vec<&str> = text.trim().lines().collect();
    for (index, segment) in segments.iter().enumerate() {
        let batches = segment.split(';').filter(|batch| !batch.trim().is_empty());
        fill(log, batches.map(|batch| Some(keyed(batch))));
        if index + 1 < segments.len() {
            fill(log, [None]);
        }
    }
}

/// A whole round; where it ended.
fn compact_with(
    log: &mut Log,
    config: CompactionConfig,
    cleaned_to: Option<Offset>,
    limits: Limits,
    now: Millis,
) -> Option<Offset> {
    let high_watermark = log.log_end_offset();
    let inspection = log.inspect(config, high_watermark, cleaned_to)?;
    let dirt = inspection.dirt(now).unwrap()?;
    let remembered = log.remembered_producers(now).unwrap();
    let mut round = inspection.begin(&dirt, remembered, limits, now);
    let mut pace = |_| ControlFlow::Continue(());
    for group in round.map_keys(&mut pace).unwrap().unwrap() {
        if let Copied::Changed(cleaned) = round.copy(group, &mut pace).unwrap() {
            swap(log, &cleaned);
        }
    }
    Some(round.end())
}

fn swap(log: &mut Log, cleaned: &Cleaned) {
    let TryEnter::Entered(gate) = cleaned.try_enter() else {
        panic!("nobody else is here");
    };
    assert!(log.replace(cleaned));
    cleaned.rename(gate).unwrap();
}

fn compact(log: &mut Log, now: Millis) -> Option<Offset> {
    compact_with(log, rules(), None, LIMITS, now)
}

/// What a reader from the start finds: a line for each batch.
fn story(log: &Log) -> String {
    log.forget_tail();
    let bytes = log.contents();
    let (mut rest, mut text) = (&bytes[..], String::new());
    while let Some(header) = BatchHeader::read(rest) {
        let batch = &rest[..header.total_size()];
        assert!(crc_matches(batch), "{header:?}");
        write!(text, "{}-{}", header.base_offset, header.last_offset()).unwrap();
        if let Some(horizon) = header.delete_horizon() {
            write!(text, " until +{}", horizon - NOW).unwrap();
        }
        if header.is_control() {
            text += " marker";
        }
        crate::protocol::batch::for_each_record(batch, |record| {
            let shown = |bytes: Option<&[u8]>| match bytes {
                Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                None => "null".to_owned(),
            };
            if header.is_control() {
                write!(text, " @{}", record.offset).unwrap();
            } else {
                let (key, value) = (shown(record.key), shown(record.value));
                write!(text, " {key}@{}={value}", record.offset).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        text += "\n";
        rest = &rest[header.total_size()..];
    }
    text
}

fn check(log: &Log, expected: Expect) {
    expected.assert_eq(&story(log));
}
