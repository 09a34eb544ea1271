//! A broker's start and stop as a client sees them, and connections that do nothing.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ottla::protocol::batch::Codec;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Target;
use super::frames::Content;
use crate::client::Connection;
use crate::measure::now_ns;

/// Between two attempts to connect: far below what is measured.
const BETWEEN_ATTEMPTS: Duration = Duration::from_micros(200);
const GIVE_UP_NS: u64 = 60_000_000_000;

/// Starts `command` and produces one record to a topic that is created by asking for it.
///
/// # Errors
/// The command does not start, or does not serve within a minute.
pub fn first_acknowledged(target: &Target, command: &[String]) -> Result<Value> {
    let batch = Content::default().batch(100, 100, Codec::None)?;
    let (program, arguments) = command.split_first().context("no command")?;
    let start = now_ns();
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let outcome = until_acknowledged(target, start, batch.bytes);
    let first_ns = now_ns() - start;
    let stop = now_ns();
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    let status = child.wait()?;
    let stop_ns = now_ns() - stop;
    let attempts = outcome?;
    Ok(json!({
        "first_acknowledged_ns": first_ns,
        "stop_ns": stop_ns,
        "clean": status.success(),
        "attempts": attempts,
    }))
}

fn until_acknowledged(target: &Target, start: u64, batch: bytes::Bytes) -> Result<u32> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        if let Ok(mut connection) = Connection::open(&target.bootstrap)
            && produce(&mut connection, target, batch.clone())?
        {
            return Ok(attempts);
        }
        if now_ns() - start > GIVE_UP_NS {
            bail!("nothing was acknowledged within a minute");
        }
        std::thread::sleep(BETWEEN_ATTEMPTS);
    }
}

/// As clients do: Metadata that creates the topic, then Produce, again while it is not ready.
fn produce(connection: &mut Connection, target: &Target, batch: bytes::Bytes) -> Result<bool> {
    let name = TopicName(StrBytes::from_string(target.topic.clone()));
    let topic = MetadataRequestTopic::default().with_name(Some(name));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true);
    let metadata = connection.call(&request, 12)?;
    let known = metadata
        .topics
        .first()
        .is_some_and(|topic| topic.error_code == 0);
    if !known {
        return Ok(false);
    }
    connection.send_produce(&target.topic, 0, 1, batch)?;
    match connection.receive_produced()? {
        Ok(_) => Ok(true),
        Err(ResponseError::UnknownTopicOrPartition | ResponseError::NotLeaderOrFollower) => {
            Ok(false)
        }
        Err(code) => bail!("the first record was refused: {code:?}"),
    }
}

/// Opens `connections`, each of which has asked for the served versions once, and keeps them
/// until standard input ends.
///
/// # Errors
/// The broker refuses a connection.
pub fn hold(target: &Target) -> Result<Value> {
    let start = now_ns();
    let mut held = Vec::new();
    for _ in 0..target.connections {
        let mut connection = Connection::open(&target.bootstrap)?;
        connection.api_versions()?;
        held.push(connection);
    }
    println!("{}", json!({ "connected_ns": now_ns() - start }));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(json!({ "held": held.len() }))
}
