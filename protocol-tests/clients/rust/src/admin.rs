//! The cluster, its configs at work, and records deleted.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use rdkafka::admin::{ConfigEntry, ConfigSource, ResourceSpecifier};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use crate::check::{NotApplicable, PATIENCE, equal, wait_until};
use crate::client::{Client, Record};
use crate::records::{ago, check_values, now, numbered, read_all, read_from, send, value, values};
use crate::topics::refused_as;

const HOUR: Duration = Duration::from_secs(3600);

pub fn describe_cluster(client: &Client, _: &str) -> Result<&'static str> {
    let inner = client.admin.inner();
    let metadata = inner.fetch_metadata(None, PATIENCE)?;
    let brokers = metadata.brokers().iter();
    let addresses: Vec<String> = brokers
        .map(|b| format!("{}:{}", b.host(), b.port()))
        .collect();
    equal(addresses, vec![client.bootstrap.clone()], "addresses")?;
    let id = inner.fetch_cluster_id(PATIENCE);
    ensure!(
        id.as_ref().is_some_and(|id| !id.is_empty()),
        "no cluster id"
    );
    equal(
        inner.fetch_cluster_id(PATIENCE),
        id,
        "cluster id, asked again",
    )?;
    Ok("the crate does not tell the controller")
}

pub fn describe_configs(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic_with(topic, 1, &[("retention.ms", "86400000")])?;
    let configs = client.configs(ResourceSpecifier::Topic(topic))?;
    check_config(
        &configs,
        "retention.ms",
        "86400000",
        ConfigSource::DynamicTopic,
        false,
    )?;
    check_config(
        &configs,
        "segment.bytes",
        "1073741824",
        ConfigSource::Default,
        false,
    )?;
    let metadata = client.admin.inner().fetch_metadata(None, PATIENCE)?;
    let id = metadata.orig_broker_id();
    let of_broker = client.configs(ResourceSpecifier::Broker(id))?;
    let source = ConfigSource::StaticBroker;
    check_config(&of_broker, "node.id", &id.to_string(), source, true)?;
    let absent = format!("{topic}-absent");
    let of_absent = client.configs(ResourceSpecifier::Topic(&absent))?;
    equal(of_absent.len(), 0, "configs of an absent topic")?;
    Ok("the crate drops the error of an absent topic")
}

fn check_config(
    all: &[ConfigEntry],
    name: &str,
    value: &str,
    source: ConfigSource,
    is_read_only: bool,
) -> Result<()> {
    let entry = find(all, name)?;
    equal(entry.value.as_deref(), Some(value), name)?;
    equal(&entry.source, &source, name)?;
    equal(entry.is_read_only, is_read_only, name)
}

fn find<'a>(all: &'a [ConfigEntry], name: &str) -> Result<&'a ConfigEntry> {
    let mut entries = all.iter();
    entries
        .find(|e| e.name == name)
        .ok_or_else(|| anyhow!("{name} is not described"))
}

/// `configs` are all of the topic's own. Returns when they are shown: a real Kafka applies them after
/// the answer.
fn alter(client: &Client, topic: &str, configs: &[(&str, &str)]) -> Result<()> {
    client.alter_configs(topic, configs)?;
    wait_until(&format!("{configs:?} are shown"), || {
        let shown = client.configs(ResourceSpecifier::Topic(topic))?;
        for (key, value) in configs {
            if find(&shown, key)?.value.as_deref() != Some(*value) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

pub fn alter_retention(client: &Client, topic: &str) -> Result<&'static str> {
    let segment = ("segment.ms", "3600000");
    client.create_topic_with(topic, 1, &[segment])?;
    let mut old = values(&["old 0", "old 1", "old 2"]);
    for record in &mut old {
        record.timestamp = ago(2 * HOUR);
    }
    send(client, topic, &old, &[])?;
    let new = values(&["new 3", "new 4"]);
    send(client, topic, &new, &[])?;
    alter(client, topic, &[segment, ("retention.ms", "3600000")])?;
    wait_until("the old records are gone", || {
        Ok(client.watermarks(topic)? == (3, 5))
    })?;
    let read = read_from(client, topic, Offset::Beginning, 2)?;
    check_values(&read, 3, &new)?;
    Ok("")
}

pub fn alter_timestamp_type(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let (began, timestamp) = (now(), ago(HOUR));
    let old = |text: &str| Record {
        timestamp,
        ..value(text)
    };
    send(client, topic, &[old("create time")], &[])?;
    alter(
        client,
        topic,
        &[("message.timestamp.type", "LogAppendTime")],
    )?;
    send(client, topic, &[old("append time")], &[])?;
    let read = read_all(client, topic, 2)?;
    equal(read[0].timestamp, timestamp, "timestamp of the producer")?;
    let at = read[1].timestamp;
    ensure!(
        began <= at && at <= now(),
        "timestamp of the broker: {at} is not between {began} and now"
    );
    let types = [read[0].is_append_time, read[1].is_append_time];
    equal(types, [false, true], "is append time")?;
    Ok("")
}

pub fn alter_compression(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let sent = numbered(200);
    send(client, topic, &sent[..100], &[])?;
    alter(client, topic, &[("compression.type", "gzip")])?;
    send(client, topic, &sent[100..], &[])?;
    check_values(&read_all(client, topic, sent.len())?, 0, &sent)?;
    Ok("")
}

pub fn alter_max_message_bytes(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let sent = [value(vec![b'x'; 5000])];
    let producer = client.producer(&[])?;
    alter(client, topic, &[("max.message.bytes", "2000")])?;
    refused_as(
        RDKafkaErrorCode::MessageSizeTooLarge,
        producer.send(topic, &sent),
    )?;
    alter(client, topic, &[("max.message.bytes", "1048588")])?;
    equal(producer.send(topic, &sent)?, vec![0], "acknowledged offset")?;
    check_values(&read_all(client, topic, 1)?, 0, &sent)?;
    Ok("")
}

pub fn delete_records(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let sent = values(&["0", "1", "2", "3", "4"]);
    send(client, topic, &sent, &[])?;
    let low = client.delete_records(topic, Offset::Offset(3))?;
    equal(low, 3, "low watermark")?;
    equal(client.watermarks(topic)?, (3, 5), "first offset and end")?;
    let read = read_from(client, topic, Offset::Beginning, 2)?;
    check_values(&read, 3, &sent[3..])?;
    // The broker's OFFSET_OUT_OF_RANGE, where the position may not be reset.
    refused_as(
        RDKafkaErrorCode::AutoOffsetReset,
        read_from(client, topic, Offset::Offset(0), 1),
    )?;
    client.delete_records(topic, Offset::End)?;
    equal(client.watermarks(topic)?, (5, 5), "after all were deleted")?;
    Ok("")
}

pub fn describe_log_dirs(_: &Client, _: &str) -> Result<&'static str> {
    Err(NotApplicable("has no call to describe log directories").into())
}
