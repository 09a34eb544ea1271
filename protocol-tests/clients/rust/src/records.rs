//! What several scenarios do with records.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rdkafka::topic_partition_list::Offset;

use crate::check::equal;
use crate::client::{Client, Record};

/// Sends `records` with a producer of their own and returns the offsets.
pub fn send(
    client: &Client,
    topic: &str,
    records: &[Record],
    settings: &[(&str, &str)],
) -> Result<Vec<i64>> {
    client.producer(settings)?.send(topic, records)
}

pub fn read_from(client: &Client, topic: &str, start: Offset, count: usize) -> Result<Vec<Record>> {
    client.reader(topic, start)?.read(count)
}

/// Partition 0, which must hold exactly `count` records.
pub fn read_all(client: &Client, topic: &str, count: usize) -> Result<Vec<Record>> {
    equal(client.watermarks(topic)?.1, count as i64, "end offset")?;
    read_from(client, topic, Offset::Beginning, count)
}

pub fn value(bytes: impl Into<Vec<u8>>) -> Record {
    Record {
        value: Some(bytes.into()),
        ..Record::default()
    }
}

pub fn values(texts: &[&str]) -> Vec<Record> {
    texts.iter().map(|text| value(*text)).collect()
}

/// Each value alone shrinks under every codec: librdkafka keeps what does not as it is.
pub fn numbered(count: usize) -> Vec<Record> {
    let text = |i| format!("record {i} {}", "abcdefgh".repeat(20));
    (0..count).map(|i| value(text(i))).collect()
}

/// The values of `sent` in order, at consecutive offsets from `first`.
pub fn check_values(got: &[Record], first: i64, sent: &[Record]) -> Result<()> {
    equal(got.len(), sent.len(), "number of records")?;
    for (offset, (got, sent)) in (first..).zip(got.iter().zip(sent)) {
        equal(got.offset, offset, "offset")?;
        equal(&got.value, &sent.value, &format!("value at {offset}"))?;
    }
    Ok(())
}

pub fn consecutive(count: usize) -> Vec<i64> {
    (0..).take(count).collect()
}

/// In ms.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as i64
}

pub fn ago(duration: Duration) -> i64 {
    now() - duration.as_millis() as i64
}
