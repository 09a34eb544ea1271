//! What was produced comes back byte for byte, at the promised offset.

use std::time::Duration;

use anyhow::Result;
use rdkafka::error::RDKafkaErrorCode;

use crate::check::equal;
use crate::client::{Client, Record};
use crate::formats::{self, table};
use crate::records::{ago, check_values, consecutive, numbered, read_all, send, value, values};
use crate::topics::refused_as;

/// A lone record with a value of this size makes a batch of 1048588 bytes: max.message.bytes.
const LARGEST_VALUE: usize = 1_048_516;
const LARGE_REQUESTS: (&str, &str) = ("message.max.bytes", "2000000");

pub fn produce_consume(client: &Client, topic: &str) -> Result<&'static str> {
    formats::send_and_read_back(client, topic, table(ago(Duration::from_secs(60))), &[])?;
    Ok("")
}

pub fn codec(client: &Client, topic: &str, codec: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let sent = numbered(200);
    let offsets = send(client, topic, &sent, &[("compression.type", codec)])?;
    equal(offsets, consecutive(sent.len()), "acknowledged offsets")?;
    check_values(&read_all(client, topic, sent.len())?, 0, &sent)?;
    Ok("")
}

pub fn idempotent_produce(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let sent = numbered(5000);
    // Small batches: several requests in flight, a few hundred sequences.
    let settings = [
        ("enable.idempotence", "true"),
        ("batch.size", "2000"),
        ("linger.ms", "1"),
    ];
    let offsets = send(client, topic, &sent, &settings)?;
    equal(offsets, consecutive(sent.len()), "acknowledged offsets")?;
    check_values(&read_all(client, topic, sent.len())?, 0, &sent)?;
    Ok("")
}

pub fn record_at_limit(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let bytes: Vec<u8> = b"0123456789abcdef"
        .iter()
        .copied()
        .cycle()
        .take(LARGEST_VALUE)
        .collect();
    let sent = [value(bytes)];
    send(client, topic, &sent, &[LARGE_REQUESTS])?;
    check_values(&read_all(client, topic, 1)?, 0, &sent)?;
    Ok("")
}

pub fn record_too_large(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let producer = client.producer(&[LARGE_REQUESTS])?;
    // The library's own check would fail at the limit it is given, with the same code.
    let too_large = [value(vec![0; LARGEST_VALUE + 1])];
    refused_as(
        RDKafkaErrorCode::MessageSizeTooLarge,
        producer.send(topic, &too_large),
    )?;
    let fits = values(&["fits"]);
    producer.send(topic, &fits)?;
    check_values(&read_all(client, topic, 1)?, 0, &fits)?;
    Ok("")
}

pub fn large_batches(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic_with(topic, 1, &[("max.message.bytes", "10485760")])?;
    let mut noise = Noise(1);
    let mut sent: Vec<Record> = (0..5).map(|_| value(noise.bytes(1_000_000))).collect();
    sent.push(value(noise.bytes(6_000_000)));
    // The library must have all five before it sends the first.
    let settings = [
        ("message.max.bytes", "10000000"),
        ("batch.size", "10000000"),
        ("linger.ms", "500"),
    ];
    let producer = client.producer(&settings)?;
    let offsets = producer.send(topic, &sent[..5])?;
    equal(offsets, consecutive(5), "acknowledged offsets")?;
    equal(
        producer.send(topic, &sent[5..])?,
        vec![5],
        "acknowledged offset",
    )?;
    check_values(&read_all(client, topic, 6)?, 0, &sent)?;
    Ok("")
}

/// The same bytes every time, which no codec makes smaller (xorshift64).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.to_le_bytes()
        });
        words.flatten().take(count).collect()
    }
}
