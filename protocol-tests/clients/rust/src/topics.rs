//! Topics come, go, come again and grow.

use anyhow::{Result, bail};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use crate::check::{equal, wait_until};
use crate::client::{Client, Record, code};
use crate::records::{check_values, read_all, send, value, values};

pub fn create_topic(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 3)?;
    wait_for_partitions(client, topic, 3)?;
    refused_as(
        RDKafkaErrorCode::TopicAlreadyExists,
        client.create_topic(topic, 3),
    )?;
    Ok("")
}

fn wait_for_partitions(client: &Client, topic: &str, count: i32) -> Result<()> {
    wait_until(&format!("{count} partitions in the metadata"), || {
        Ok(client.led_partitions(topic)?.into_iter().eq(0..count))
    })
}

/// The broker's code, or the library's.
pub fn refused_as<T>(wanted: RDKafkaErrorCode, result: Result<T>) -> Result<()> {
    match result {
        Ok(_) => bail!("accepted, wanted {wanted:?}"),
        Err(e) if code(&e) == Some(wanted) => Ok(()),
        Err(e) => Err(e),
    }
}

pub fn auto_create(client: &Client, topic: &str) -> Result<&'static str> {
    let sent = values(&["first try"]);
    equal(
        send(client, topic, &sent, &[])?,
        vec![0],
        "acknowledged offsets",
    )?;
    check_values(&read_all(client, topic, 1)?, 0, &sent)?;
    Ok("")
}

pub fn delete_and_recreate(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    send(client, topic, &values(&["old 0", "old 1", "old 2"]), &[])?;
    read_all(client, topic, 3)?;
    client.delete_topic(topic)?;
    wait_until("topic gone", || {
        Ok(!client.topics()?.iter().any(|t| t == topic))
    })?;
    client.create_topic(topic, 1)?;
    let sent = values(&["new 0"]);
    send(client, topic, &sent, &[])?;
    check_values(&read_all(client, topic, 1)?, 0, &sent)?;
    Ok("the crate does not tell topic ids")
}

pub fn create_partitions(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let producer = client.producer(&[])?;
    let reader = client.reader(topic, Offset::Beginning)?;
    producer.send(topic, &values(&["to partition 0"]))?;
    let mut records = reader.read(1)?;
    client.grow_topic(topic, 3)?;
    for partition in 1..=2 {
        let sent = Record {
            partition,
            ..value(format!("to partition {partition}"))
        };
        wait_until(
            &format!("the producer knows partition {partition}"),
            || match producer.send(topic, std::slice::from_ref(&sent)) {
                Ok(_) => Ok(true),
                Err(e) if code(&e) == Some(RDKafkaErrorCode::UnknownPartition) => Ok(false),
                Err(e) => Err(e),
            },
        )?;
    }
    wait_until("the consumer knows the new partitions", || reader.follow(3))?;
    records.extend(reader.read(2)?);
    records.sort_by_key(|r| r.partition);
    for (partition, record) in (0..).zip(&records) {
        let wanted = format!("to partition {partition}").into_bytes();
        equal(record.partition, partition, "partition")?;
        equal(record.offset, 0, "offset")?;
        equal(record.value.as_ref(), Some(&wanted), "value")?;
    }
    refused_as(
        RDKafkaErrorCode::InvalidPartitions,
        client.grow_topic(topic, 3),
    )?;
    Ok("")
}

pub fn many_partitions(client: &Client, topic: &str) -> Result<&'static str> {
    const PARTITIONS: i32 = 100;
    const EACH: i64 = 10;
    client.create_topic(topic, PARTITIONS)?;
    wait_for_partitions(client, topic, PARTITIONS)?;
    let text = |offset| format!("record {offset}").into_bytes();
    let mut sent = Vec::new();
    for offset in 0..EACH {
        for partition in 0..PARTITIONS {
            sent.push(Record {
                partition,
                ..value(text(offset))
            });
        }
    }
    send(client, topic, &sent, &[])?;
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let reader = client.reader_of(topic, Offset::Beginning, &all)?;
    let mut next = [0; PARTITIONS as usize];
    for record in reader.read(sent.len())? {
        let next = &mut next[record.partition as usize];
        equal(record.offset, *next, "offset")?;
        equal(record.value, Some(text(*next)), "value")?;
        *next += 1;
    }
    equal(next, [EACH; PARTITIONS as usize], "records by partition")?;
    Ok("")
}
