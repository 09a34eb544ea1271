//! Compaction (R227) as clients see it: which records stay, at which offsets, and what a topic's
//! changing `cleanup.policy` does. The same histories on Ottla and on Kafka.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use ottla::protocol::batch::for_each_record;
use protocol_tests::random::Random;

use super::batch::{Batch, GZIP, LZ4, Record, SNAPPY, T0, ZSTD};
use super::calls::{EARLIEST, FETCH, Topic, fetch_request, poll};
use super::client::Client;
use super::config_calls::*;
use super::{Subject, real_kafka, start_ottla};

/// Every batch is so much younger than the one before that it begins a segment.
const SEGMENT_MS: i64 = 1_000;
/// Far more than a test takes.
const LONG: &str = "86400000";

/// Offset, key, value.
type Kept = (i64, String, Option<String>);

/// Its cleaner looks for work five times a second, and retention too; `scripts/oracle` sees to it on
/// Kafka.
fn subject() -> Subject {
    let settings = [
        "log.cleaner.backoff.ms=200",
        "log.retention.check.interval.ms=200",
    ];
    real_kafka().unwrap_or_else(|| Subject::ottla(start_ottla(&settings)))
}

fn topic(subject: &Subject, configs: &[(&str, &str)]) -> Topic {
    let ms = SEGMENT_MS.to_string();
    let common = [
        ("segment.ms", ms.as_str()),
        ("min.cleanable.dirty.ratio", "0.0"),
        ("delete.retention.ms", LONG),
    ];
    let configs: Vec<_> = common.into_iter().chain(configs.iter().copied()).collect();
    subject.topic_with("compaction", 1, &configs)
}

/// `k=v`, `k` for a tombstone, `=v` without a key.
fn batch(text: &str, number: i64) -> Batch {
    let record = |word: &str| {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        Record {
            key: Some(key.as_bytes().to_vec()).filter(|key| !key.is_empty()),
            value: value.map(|value| value.as_bytes().to_vec()),
            ..Record::default()
        }
    };
    let records: Vec<Record> = text.split_whitespace().map(record).collect();
    Batch::of(&records).created_at(T0 + number * 10 * SEGMENT_MS)
}

/// Batches one after the other, each in a segment of its own.
struct Writer {
    client: Client,
    topic: Topic,
    batches: i64,
}

impl Writer {
    fn new(subject: &Subject, topic: &Topic) -> Writer {
        Writer {
            client: subject.connect(),
            topic: topic.clone(),
            batches: 0,
        }
    }

    #[track_caller]
    fn write(&mut self, texts: &[&str]) {
        for text in texts {
            let batch = batch(text, self.batches);
            self.client.append(&self.topic, &batch);
            self.batches += 1;
        }
    }

    /// What a reader from the start finds, control and empty batches passed over.
    #[track_caller]
    fn read(&mut self) -> Vec<Kept> {
        let (mut kept, mut at) = (Vec::new(), 0);
        loop {
            let request = fetch_request(FETCH, &self.topic, at);
            let answer = self.client.fetch_one(FETCH, &request);
            assert_eq!(answer.error_code, 0, "at {at}: {answer:?}");
            let batches = super::batch::stored(answer.records.expect("never null"));
            let Some(last) = batches.last() else {
                assert_eq!(at, answer.high_watermark, "nothing at {at}");
                return kept;
            };
            at = last.next_offset();
            for batch in &batches {
                assert!(batch.crc_is_right, "{batch:?}");
                collect(&batch.bytes, &mut kept);
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, wanted: &[(i64, &str)]) {
        let shown = |kept: &[Kept]| -> Vec<(i64, String)> {
            let shown = kept.iter().map(|(offset, key, value)| match value {
                Some(value) => (*offset, format!("{key}={value}")),
                None => (*offset, key.clone()),
            });
            shown.collect()
        };
        let wanted: Vec<_> = wanted.iter().map(|(o, t)| (*o, (*t).to_owned())).collect();
        let mut found = Vec::new();
        let what = format!("{wanted:?}");
        let arrived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            poll(&what, || {
                found = shown(&self.read());
                (found == wanted).then_some(())
            })
        }));
        assert!(arrived.is_ok(), "{found:?} instead of {wanted:?}");
    }
}

fn collect(batch: &Bytes, kept: &mut Vec<Kept>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let walked = for_each_record(batch, |record| {
        let key = record.key.map(text).unwrap_or_default();
        kept.push((record.offset, key, record.value.map(text)));
        ControlFlow::Continue(())
    });
    walked.expect("a batch that can be read");
}

#[test]
fn r227_the_last_record_of_each_key_stays_at_its_offset() {
    let subject = subject();
    let topic = topic(&subject, &[("cleanup.policy", "compact")]);
    let mut writer = Writer::new(&subject, &topic);
    writer.write(&["a=1 b=1 c=1", "a=2", "b=2 d=1 a=3", "c d=2", "x=1"]);
    let mut client = subject.connect();
    writer.expect(&[(4, "b=2"), (6, "a=3"), (7, "c"), (8, "d=2"), (9, "x=1")]);
    assert_eq!(client.list_offset(&topic, EARLIEST).offset, 0);
    assert_eq!(client.log_end_offset(&topic), 10);
    // The first record that is left at or after a time.
    for (number, offset) in [(0, 4), (2, 4), (3, 7), (4, 9)] {
        let found = client.list_offset(&topic, T0 + number * 10 * SEGMENT_MS);
        assert_eq!((found.error_code, found.offset), (0, offset), "{number}");
    }
    // Every offset can be asked for, also one that is gone.
    for offset in 0..10 {
        let batches = client.batches(&topic, offset);
        assert!(batches[0].next_offset() > offset, "{offset}: {batches:?}");
    }
}

#[test]
fn r227_a_tombstone_goes_once_its_time_is_up() {
    let subject = subject();
    let configs = [("cleanup.policy", "compact"), ("delete.retention.ms", "0")];
    let topic = topic(&subject, &configs);
    let mut writer = Writer::new(&subject, &topic);
    writer.write(&["a=1 b=1", "a", "x=1"]);
    poll("the first pass", || {
        (writer.read().len() == 3).then_some(())
    });
    // The next one finds the horizon past.
    writer.write(&["x=2", "x=3"]);
    writer.expect(&[(1, "b=1"), (4, "x=2"), (5, "x=3")]);
}

/// What must be left of records in completed segments: the last of each key.
fn survivors(history: &[Kept], active_from: i64) -> Vec<Kept> {
    let completed = || history.iter().filter(|(offset, ..)| *offset < active_from);
    let last: BTreeMap<&String, i64> = completed().map(|(o, key, _)| (key, *o)).collect();
    let stays = |kept: &&Kept| kept.0 >= active_from || last[&kept.1] == kept.0;
    history.iter().filter(stays).cloned().collect()
}

#[test]
fn r227_the_same_offsets_survive_of_a_long_history_in_every_codec() {
    let subject = subject();
    let configs = [("cleanup.policy", "compact"), ("segment.ms", "35000")];
    let topic = topic(&subject, &configs);
    let mut writer = Writer::new(&subject, &topic);
    let id = writer.client.producer_id();
    let (mut random, mut history) = (Random::new(7), Vec::new());
    let (mut next, mut sequence, mut last_of_segment) = (0, 0, 0);
    for number in 0..200 {
        let count = 1 + random.below(20);
        let records: Vec<String> = (0..count)
            .map(|i| match random.below(8) {
                0 => format!("k{}", random.below(60)),
                _ => format!("k{}={number}.{i}", random.below(60)),
            })
            .collect();
        let plain = batch(&records.join(" "), number);
        let sent = match number % 7 {
            1 => plain.compressed(GZIP),
            2 => plain.compressed(SNAPPY),
            3 => plain.compressed(LZ4),
            4 => plain.compressed(ZSTD),
            5 => {
                sequence += count as i32;
                plain.by_producer(id, 0, sequence - count as i32)
            }
            _ => plain,
        };
        // Batches are 10 s apart: the fifth is more than 35 s younger than the first.
        if number % 4 == 0 {
            last_of_segment = next;
        }
        writer.client.append(&topic, &sent);
        for text in &records {
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (text.as_str(), None),
            };
            history.push((next, key.to_owned(), value));
            next += 1;
        }
    }
    let wanted = survivors(&history, last_of_segment);
    assert!(wanted.len() < 120, "{} records", wanted.len());
    poll("the survivors", || (writer.read() == wanted).then_some(()));
    assert_eq!(writer.client.log_end_offset(&topic), next);
    // What the producer sent last is remembered (R67).
    let retry = batch("k=v", 0).by_producer(id, 0, sequence);
    assert_eq!(writer.client.produce(&topic, &retry).error_code, 0);
}

#[test]
fn r57_r178_cleanup_policy_changes_on_a_live_topic_in_both_directions() {
    let subject = subject();
    let topic = topic(&subject, &[("cleanup.policy", "delete")]);
    let mut writer = Writer::new(&subject, &topic);
    writer.write(&["a=1 =null b=1", "a=2 =null", "b=2"]);
    let mut client = subject.connect();
    let mut policy = |policy: &str| {
        let change = [set("cleanup.policy", policy)];
        assert_eq!(client.alter(TOPIC, &topic.name, &change), OK);
    };
    policy("compact");
    // What was there without a key goes, and no more of it is taken.
    writer.expect(&[(2, "b=1"), (3, "a=2"), (5, "b=2")]);
    let refused = writer.client.produce(&topic, &batch("a=3 =null", 3));
    let message = refused.error_message.map(|message| message.to_string());
    let name = &topic.name;
    let told =
        format!("Compacted topic cannot accept message without key in topic partition {name}-0");
    assert_eq!(refused.error_code, 87);
    assert_eq!(refused.record_errors.len(), 1);
    assert_eq!(refused.record_errors[0].batch_index, 1);
    let of_record = refused.record_errors[0].batch_index_error_message.as_ref();
    assert_eq!(of_record.map(|m| m.to_string()), Some(told.clone()));
    assert!(message.is_some_and(|message| message.contains(&told)));

    policy("delete");
    writer.write(&["a=3", "=null a=4", "c=1"]);
    writer.write(&["c=2"]);
    let all = writer.read();
    assert_eq!(all.len(), 8, "{all:?}");

    policy("compact,delete");
    writer.expect(&[(5, "b=2"), (8, "a=4"), (9, "c=1"), (10, "c=2")]);
    // Everything is much older than this.
    let change = [set("retention.ms", "60000")];
    assert_eq!(writer.client.alter(TOPIC, name, &change), OK);
    let end = writer.client.log_end_offset(&topic);
    poll("what is too old to go", || {
        let start = writer.client.list_offset(&topic, EARLIEST).offset;
        (start == end).then_some(())
    });
}

#[test]
fn r227_log_append_time_and_headers_survive() {
    let subject = subject();
    let configs = [
        ("cleanup.policy", "compact"),
        ("message.timestamp.type", "LogAppendTime"),
        ("segment.ms", "1"),
    ];
    let topic = topic(&subject, &configs);
    let mut client = subject.connect();
    let with_headers = |key: &str, value: &str| Record {
        headers: vec![
            (Some("h"), Some(b"1")),
            (Some("h"), None),
            (Some(""), Some(b"")),
        ],
        ..Record::new(key, value)
    };
    let two = Batch::of(&[with_headers("a", "1"), with_headers("b", "1")]);
    let first = client.produce(&topic, &two.clone().compressed(ZSTD));
    let stamp = first.log_append_time_ms;
    assert!(stamp > T0, "{first:?}");
    let mut before = stamp;
    for _ in 0..2 {
        // More than a millisecond later, or it would not begin a segment.
        before = poll("a later time", || {
            let produced = client.produce(&topic, &Batch::of(&[Record::new("a", "2")]));
            let stamp = produced.log_append_time_ms;
            (stamp > before + 1).then_some(stamp)
        });
    }
    let left = poll("the second record of the first batch alone", || {
        let batches = client.batches(&topic, 0);
        let mut kept = Vec::new();
        collect(&batches[0].bytes, &mut kept);
        (kept == [(1, "b".to_owned(), Some("1".to_owned()))]).then(|| batches[0].clone())
    });
    assert_eq!(
        (left.base_offset, left.last_offset_delta, left.codec()),
        (0, 1, ZSTD)
    );
    assert_eq!(left.max_timestamp, stamp);
    let walked = for_each_record(&left.bytes, |record| {
        assert_eq!(record.timestamp, stamp);
        let headers: Vec<_> = record.headers.collect();
        let wanted: [(&[u8], Option<&[u8]>); 3] =
            [(b"h", Some(b"1")), (b"h", None), (b"", Some(b""))];
        assert_eq!(headers, wanted);
        ControlFlow::Continue(())
    });
    walked.expect("a batch that can be read");
}

#[test]
fn r177_the_lags_hold_records_back_and_force_them() {
    let subject = subject();
    let held = topic(
        &subject,
        &[
            ("cleanup.policy", "compact"),
            ("min.compaction.lag.ms", LONG),
        ],
    );
    let forced = topic(
        &subject,
        &[
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "1.0"),
            ("max.compaction.lag.ms", "1000"),
        ],
    );
    let now = now(&subject);
    let mut client = subject.connect();
    for topic in [&held, &forced] {
        for i in 0..3 {
            // As old as the lag of the second topic, and no older.
            let batch = Batch::of(&[Record::new("a", "1")]).created_at(now - 60_000 + i * 10_000);
            client.append(topic, &batch);
        }
    }
    let mut of_forced = Writer::new(&subject, &forced);
    poll("the forced one", || {
        (of_forced.read().len() == 2).then_some(())
    });
    assert_eq!(Writer::new(&subject, &held).read().len(), 3);
    let change = [set("min.compaction.lag.ms", "0")];
    assert_eq!(client.alter(TOPIC, &held.name, &change), OK);
    let mut of_held = Writer::new(&subject, &held);
    poll("the one that was held", || {
        (of_held.read().len() == 2).then_some(())
    });
}

/// The broker's clock.
#[track_caller]
fn now(subject: &Subject) -> i64 {
    let topic = subject.topic_with("clock", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let appended = subject.connect().produce(&topic, &Batch::numbered(1));
    appended.log_append_time_ms
}
