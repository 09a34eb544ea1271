//! Where a consumer without a group may begin.

use std::time::Duration;

use anyhow::{Result, anyhow};
use rdkafka::topic_partition_list::Offset;

use crate::check::equal;
use crate::client::{Client, Record};
use crate::records::{ago, check_values, read_from, send, value, values};

pub fn earliest(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let sent = values(&["a", "b", "c"]);
    send(client, topic, &sent[..2], &[])?;
    send(client, topic, &sent[2..], &[])?;
    let read = read_from(client, topic, Offset::Beginning, 3)?;
    check_values(&read, 0, &sent)?;
    Ok("")
}

pub fn latest(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    send(client, topic, &values(&["before 0", "before 1"]), &[])?;
    let reader = client.reader(topic, Offset::End)?;
    let after = values(&["after 2", "after 3"]);
    send(client, topic, &after, &[])?;
    check_values(&reader.read(2)?, 2, &after)?;
    Ok("")
}

pub fn from_offset(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let sent = values(&["0", "1", "2", "3", "4"]);
    send(client, topic, &sent, &[])?;
    let read = read_from(client, topic, Offset::Offset(3), 2)?;
    check_values(&read, 3, &sent[3..])?;
    Ok("")
}

/// One batch for each timestamp, base + it.
fn send_at(client: &Client, topic: &str, base: i64, timestamps: &[i64]) -> Result<Vec<Record>> {
    client.create_topic(topic, 1)?;
    let producer = client.producer(&[])?;
    let mut sent = Vec::new();
    for at in timestamps {
        let record = Record {
            timestamp: base + at,
            ..value(format!("at {at}"))
        };
        producer.send(topic, std::slice::from_ref(&record))?;
        sent.push(record);
    }
    Ok(sent)
}

/// The answer is the first offset whose timestamp is not below the one asked for.
pub fn from_timestamp(client: &Client, topic: &str) -> Result<&'static str> {
    let base = ago(Duration::from_secs(60));
    let sent = send_at(client, topic, base, &[1000, 3000, 2000, 4000])?;
    let looks = [
        (0, Some(0)),
        (1000, Some(0)),
        (1001, Some(1)),
        (3001, Some(3)),
        (4001, None),
    ];
    for (at, offset) in looks {
        let found = client.offset_at(topic, base + at)?;
        equal(found, offset, &format!("first offset at or after {at}"))?;
    }
    let from = client
        .offset_at(topic, base + 2500)?
        .ok_or_else(|| anyhow!("nothing at or after 2500"))?;
    let read = read_from(client, topic, Offset::Offset(from), 3)?;
    check_values(&read, 1, &sent[1..])?;
    Ok("")
}

pub fn list_offsets(client: &Client, topic: &str) -> Result<&'static str> {
    let base = ago(Duration::from_secs(60));
    send_at(client, topic, base, &[1000, 3000, 2000])?;
    equal(client.watermarks(topic)?, (0, 3), "earliest and latest")?;
    let found = client.offset_at(topic, base + 1500)?;
    equal(found, Some(1), "first at or after 1500")?;
    Ok("the crate does not list the offset of the largest timestamp")
}
