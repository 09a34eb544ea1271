//! The broker is killed and started again while a program works.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};

use anyhow::{Result, ensure};
use rdkafka::topic_partition_list::Offset;

use crate::check::{PATIENCE, equal};
use crate::client::Client;
use crate::records::{check_values, numbered, read_all, value};

/// Asks for another broker process; the receiver gets a line when that serves.
fn restart() -> Receiver<String> {
    let (sender, receiver) = channel();
    println!("restart-broker");
    std::thread::spawn(move || {
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).is_ok() {
            let _ = sender.send(line); // a scenario that failed no longer listens
        }
    });
    receiver
}

pub fn produce(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let settings = [("enable.idempotence", "true"), ("max.in.flight", "1")];
    let producer = client.producer(&settings)?;
    let mut acknowledged = BTreeMap::new(); // values by offset
    let mut sent = 0;
    let mut send_some = || -> Result<usize> {
        let numbers: Vec<i64> = (sent..).take(20).collect();
        let records: Vec<_> = numbers.iter().map(|n| value(n.to_string())).collect();
        acknowledged.extend(producer.send(topic, &records)?.into_iter().zip(numbers));
        sent += 20;
        Ok(sent as usize)
    };
    while send_some()? < 500 {}
    let restarting = restart();
    let (mut restarted, mut after) = (false, 0);
    while after < 500 {
        if let Ok(line) = restarting.try_recv() {
            equal(line.as_str(), "restarted\n", "line")?;
            restarted = true;
        }
        send_some()?;
        if restarted {
            after += 20;
        }
    }
    let wanted: BTreeMap<i64, i64> = (0..sent).map(|n| (n, n)).collect();
    equal(&acknowledged, &wanted, "values by acknowledged offset")?;
    let read = read_all(client, topic, wanted.len())?;
    let texts: Vec<_> = (0..sent).map(|n| value(n.to_string())).collect();
    check_values(&read, 0, &texts)?;
    Ok("")
}

pub fn consume(client: &Client, topic: &str) -> Result<&'static str> {
    client.create_topic(topic, 1)?;
    let producer = client.producer(&[])?;
    let sent = numbered(200);
    producer.send(topic, &sent[..100])?;
    let reader = client.reader(topic, Offset::Beginning)?;
    check_values(&reader.read(100)?, 0, &sent[..100])?;
    let line = restart().recv_timeout(2 * PATIENCE)?;
    ensure!(line == "restarted\n", "instead of `restarted` came {line}");
    producer.send(topic, &sent[100..])?;
    check_values(&reader.read(100)?, 100, &sent[100..])?;
    equal(client.watermarks(topic)?, (0, 200), "first offset and end")?;
    Ok("")
}
