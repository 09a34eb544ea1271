//! A member of a group that stands still: what the tools tell of groups with members, without a
//! client whose moves one would have to wait for.

use anyhow::{Context, Result, ensure};
use bytes::BufMut;
use kafka_protocol::protocol::StrBytes;
use protocol_tests::client::Connection;
use protocol_tests::stopwatch::Stopwatch;

use crate::wire::groups::member::subscription;
use crate::wire::groups::requests::{self, COMMIT, FETCH, FIND, JOIN, LEAVE, PATIENCE_MS, SYNC};

const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(20);
/// Longer than all calls take.
const SESSION_MS: i32 = 1_800_000;
/// By which it joins, static: an id of its own choice, and none that a join has to be repeated for.
const INSTANCE: &str = "standing-still";

/// `member join GROUP TOPIC PARTITIONS` or `member leave GROUP`, as a call of a script.
pub fn call(bootstrap: &str, words: &[&str]) -> Result<()> {
    let mut connection = Connection::open(bootstrap)?;
    match words {
        ["join", group, topic, partitions] => {
            join(&mut connection, group, topic, partitions.parse()?)
        }
        ["leave", group] => {
            let request = requests::leave(LEAVE, group, &[("", Some(INSTANCE))]);
            let answer = connection.call(&request, LEAVE)?;
            ensure!(answer.error_code == 0, "LeaveGroup: {}", answer.error_code);
            Ok(())
        }
        _ => anyhow::bail!("no such call: {words:?}"),
    }
}

fn join(connection: &mut Connection, group: &str, topic: &str, partitions: i32) -> Result<()> {
    await_coordinator(connection, group)?;
    let metadata = subscription(&[topic]);
    let instance = Some(StrBytes::from_static_str(INSTANCE));
    let request = requests::join(
        JOIN,
        group,
        "",
        "consumer",
        &[("range", metadata.as_slice())],
    )
    .with_session_timeout_ms(SESSION_MS)
    .with_group_instance_id(instance.clone());
    let joined = connection.call(&request, JOIN)?;
    ensure!(joined.error_code == 0, "JoinGroup: {}", joined.error_code);
    let id = joined.member_id.as_str();
    let owned = assignment(topic, partitions);
    let request = requests::sync(
        SYNC,
        group,
        id,
        joined.generation_id,
        &[(id, owned.as_slice())],
    )
    .with_group_instance_id(instance);
    let synced = connection.call(&request, SYNC)?;
    ensure!(synced.error_code == 0, "SyncGroup: {}", synced.error_code);
    Ok(())
}

/// Waits until the group's coordinator is there and has loaded what it knows.
pub fn await_coordinator(connection: &mut Connection, group: &str) -> Result<()> {
    let waiting = Stopwatch::start();
    let find = requests::find(FIND, &[group]);
    let fetch = requests::fetch(FETCH, group, None);
    loop {
        let found = connection.call(&find, FIND)?;
        let found = found.coordinators.first().map(|found| found.error_code);
        let loaded = connection.call(&fetch, FETCH)?;
        let loaded = loaded.groups.first().map(|group| group.error_code);
        if found == Some(0) && loaded == Some(0) {
            return Ok(());
        }
        let waited = waiting.elapsed().as_millis();
        let late = waited > PATIENCE_MS as u128;
        ensure!(!late, "no coordinator: {found:?}, {loaded:?}");
        std::thread::sleep(BETWEEN_LOOKS); // between two looks at the coordinator
    }
}

/// Commits for a group without members.
pub fn commit(bootstrap: &str, group: &str, topic: &str, offset: i64) -> Result<()> {
    let request = requests::commit(COMMIT, group, topic, &[requests::at(0, offset)]);
    let answer = Connection::open(bootstrap)?.call(&request, COMMIT)?;
    let partition = answer
        .topics
        .first()
        .and_then(|topic| topic.partitions.first());
    let code = partition.context("no partition in the answer")?.error_code;
    ensure!(code == 0, "OffsetCommit: {code}");
    Ok(())
}

/// ConsumerProtocolAssignment v0 of all partitions of a topic.
fn assignment(topic: &str, partitions: i32) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.put_i32(1);
    bytes.put_i16(topic.len() as i16);
    bytes.put_slice(topic.as_bytes());
    bytes.put_i32(partitions);
    for partition in 0..partitions {
        bytes.put_i32(partition);
    }
    bytes.put_i32(-1); // user data
    bytes
}
