//! Group coordinators under load: heartbeats and offset commits in a closed loop, a rebalance of
//! many members, and many committed offsets to be loaded by the next start.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use serde_json::{Value, json};

use super::link::{Link, Poller};
use super::{Histogram, Run, Target, Work, answers, frames};
use crate::client::Connection;
use crate::measure::now_ns;

const HEARTBEAT: i16 = 4;
const COMMIT: i16 = 8;
/// Joins at once, without an id given first.
const JOIN: i16 = 3;
const SYNC: i16 = 3;
const FETCH: i16 = 8;
const SESSION_MS: i32 = 60_000;
const NOT_READY: [i16; 3] = [14, 15, 16];
const GIVE_UP_NS: u64 = 120_000_000_000;

/// Each connection is the one member of a group and sends heartbeats.
///
/// # Errors
/// The broker refuses, hangs up or is silent.
pub fn heartbeat(target: &Target) -> Result<Value> {
    let mut setup = Connection::open(&target.bootstrap)?;
    let frames: Result<Vec<Rc<Vec<u8>>>> = (0..target.connections)
        .map(|index| {
            let group = format!("{}-members-{index}", target.topic);
            await_coordinator(&mut setup, &group)?;
            let joined = join(&mut setup, &group, "")?;
            sync(&mut setup, &group, &joined, &[])?;
            let request = HeartbeatRequest::default()
                .with_group_id(group_id(&group))
                .with_generation_id(joined.generation_id)
                .with_member_id(joined.member_id);
            Ok(Rc::new(frames::request(HEARTBEAT, &request)?))
        })
        .collect();
    closed_loop(target, &frames?, answers::beaten)
}

/// Each connection commits an offset of a group of its own.
///
/// # Errors
/// The broker refuses, hangs up or is silent.
pub fn commit(target: &Target) -> Result<Value> {
    let mut setup = Connection::open(&target.bootstrap)?;
    let frames: Result<Vec<Rc<Vec<u8>>>> = (0..target.connections)
        .map(|index| {
            let group = format!("{}-{index}", target.topic);
            await_coordinator(&mut setup, &group)?;
            await_loaded(&mut setup, &group)?;
            let request = commit_request(&group, &target.topic, 0..1);
            Ok(Rc::new(frames::request(COMMIT, &request)?))
        })
        .collect();
    closed_loop(target, &frames?, answers::committed)
}

/// One request in flight on each connection, the same again and again.
fn closed_loop(
    target: &Target,
    frames: &[Rc<Vec<u8>>],
    check: fn(&[u8]) -> Result<()>,
) -> Result<Value> {
    let links: Result<Vec<Link>> = (0..target.connections)
        .map(|_| Link::open(&target.bootstrap, false))
        .collect();
    let mut links = links?;
    let mut poller = Poller::new(&links)?;
    let mut due: Vec<VecDeque<u64>> = links.iter().map(|_| VecDeque::new()).collect();
    let (mut run, mut work) = (Run::new(target), Work::default());
    let (mut latency, mut dropped) = (Histogram::default(), Vec::new());
    let mut ready: Vec<usize> = (0..links.len()).collect();
    while !run.is_over(&work)? {
        for index in ready {
            let mut answered = 0;
            links[index].receive(&mut dropped, |answer| {
                answered += 1;
                check(answer)
            })?;
            for _ in 0..answered {
                let since = due[index].pop_front().context("an answer to nothing")?;
                work.requests += 1;
                work.bytes += frames[index].len() as u64;
                if run.counts() {
                    latency.record(now_ns().saturating_sub(since));
                }
            }
            if due[index].is_empty() {
                links[index].enqueue(&frames[index], work.requests as i32);
                due[index].push_back(now_ns());
            }
            poller.flush(index, &mut links[index])?;
        }
        ready = poller.wait(run.patience())?;
    }
    run.report(&work, &latency)
}

/// `--connections` members form a group, and rebalance once more when all of them join again.
///
/// # Errors
/// The broker refuses, hangs up or is silent.
pub fn rebalance(target: &Target) -> Result<Value> {
    let group = &target.topic;
    let connections: Result<Vec<Connection>> = (0..target.connections)
        .map(|_| Connection::open(&target.bootstrap))
        .collect();
    let mut connections = connections?;
    await_coordinator(&mut connections[0], group)?;
    await_loaded(&mut connections[0], group)?;
    // All come within the broker's initial delay, which is waited out.
    let first_ns = now_ns();
    let nobody = vec![String::new(); target.connections];
    let joined = round(&mut connections, group, &nobody, 0)?;
    let first_ns = now_ns() - first_ns;
    let mut ids: Vec<String> = joined.iter().map(|one| one.member_id.to_string()).collect();
    // The leader comes first: who rejoins a stable group before it is sent back at once.
    let leader = joined.iter().position(|one| one.leader == one.member_id);
    let leader = leader.context("nobody leads")?;
    ids.swap(0, leader);
    connections.swap(0, leader);
    let before = crate::measure::Sample::take(target.pid)?;
    let again_ns = now_ns();
    round(&mut connections, group, &ids, joined[0].generation_id)?;
    let again_ns = now_ns() - again_ns;
    let cost = crate::measure::Sample::take(target.pid)?.since(&before);
    Ok(json!({ "members": ids.len(), "first_ns": first_ns, "again_ns": again_ns, "cost": cost }))
}

/// All join, then all sync.
fn round(
    connections: &mut [Connection],
    group: &str,
    ids: &[String],
    generation: i32,
) -> Result<Vec<JoinGroupResponse>> {
    for (index, (connection, id)) in connections.iter_mut().zip(ids).enumerate() {
        if index == 1 && generation > 0 {
            await_rebalance(connection, group, id, generation)?;
        }
        connection.send(&join_request(group, id), JOIN)?;
    }
    let joined = connections.iter_mut().map(|connection| {
        let joined = connection.receive::<JoinGroupRequest>(JOIN)?;
        ensure!(
            joined.error_code == 0,
            "a join was refused with {}",
            joined.error_code
        );
        Ok(joined)
    });
    let joined = joined.collect::<Result<Vec<_>>>()?;
    let generation = joined[0].generation_id;
    let all: Vec<StrBytes> = joined.iter().map(|one| one.member_id.clone()).collect();
    for (connection, joined) in connections.iter_mut().zip(&joined) {
        ensure!(
            joined.generation_id == generation,
            "two generations at once"
        );
        let shares = if joined.leader == joined.member_id {
            &all[..]
        } else {
            &[]
        };
        connection.send(&sync_request(group, joined, shares), SYNC)?;
    }
    for connection in connections {
        let synced = connection.receive::<SyncGroupRequest>(SYNC)?;
        ensure!(
            synced.error_code == 0,
            "a sync was refused with {}",
            synced.error_code
        );
        ensure!(!synced.assignment.is_empty(), "a member without its share");
    }
    Ok(joined)
}

/// Until heartbeats tell of it.
fn await_rebalance(
    connection: &mut Connection,
    group: &str,
    id: &str,
    generation: i32,
) -> Result<()> {
    const REBALANCE_IN_PROGRESS: i16 = 27;
    let began = now_ns();
    let request = HeartbeatRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(generation)
        .with_member_id(text(id));
    while connection.call(&request, HEARTBEAT)?.error_code != REBALANCE_IN_PROGRESS {
        let waited_ns = now_ns() - began;
        ensure!(
            waited_ns < GIVE_UP_NS,
            "the leader's return changes nothing"
        );
    }
    Ok(())
}

/// `--connections` groups commit an offset for each of the partitions.
///
/// # Errors
/// The broker refuses, hangs up or is silent.
pub fn fill(target: &Target) -> Result<Value> {
    let mut connection = Connection::open(&target.bootstrap)?;
    for index in 0..target.connections {
        let group = format!("{}-{index}", target.topic);
        await_coordinator(&mut connection, &group)?;
        let request = commit_request(&group, &target.topic, 0..target.partitions);
        let began = now_ns();
        loop {
            let answer = connection.call(&request, COMMIT)?;
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            match partitions.find(|partition| partition.error_code != 0) {
                None => break,
                // Kafka names a coordinator that has not begun to load.
                Some(refused) if NOT_READY.contains(&refused.error_code) => {
                    ensure!(
                        now_ns() - began < GIVE_UP_NS,
                        "a commit was refused: {refused:?}"
                    );
                    std::thread::sleep(Duration::from_millis(1));
                }
                refused => bail!("a commit was refused: {refused:?}"),
            }
        }
    }
    Ok(json!({ "offsets": target.connections as i64 * i64::from(target.partitions) }))
}

/// How long it takes until what [`fill`] has committed can be fetched, from now on. The broker may
/// not listen yet.
///
/// # Errors
/// An offset is missing, or the broker does not answer within two minutes.
pub fn loaded(target: &Target) -> Result<Value> {
    let began = now_ns();
    let mut connection = loop {
        match Connection::open(&target.bootstrap) {
            Ok(connection) => break connection,
            Err(error) if now_ns() - began > GIVE_UP_NS => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let connected_ns = now_ns() - began;
    for index in 0..target.connections {
        let group = format!("{}-{index}", target.topic);
        await_coordinator(&mut connection, &group)?;
        let asked = OffsetFetchRequestGroup::default()
            .with_group_id(group_id(&group))
            .with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![asked]);
        loop {
            let answer = connection.call(&request, FETCH)?;
            let answered = answer.groups.first().context("no group in the answer")?;
            if NOT_READY.contains(&answered.error_code) && now_ns() - began < GIVE_UP_NS {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let found = answered.topics.iter().map(|topic| topic.partitions.len());
            let found: usize = found.sum();
            ensure!(
                found == target.partitions as usize,
                "{group} has {found} offsets"
            );
            break;
        }
    }
    Ok(json!({ "connected_ns": connected_ns, "loaded_ns": now_ns() - began }))
}

fn await_coordinator(connection: &mut Connection, group: &str) -> Result<()> {
    let began = now_ns();
    let request = FindCoordinatorRequest::default().with_key(text(group));
    loop {
        let answer = connection.call(&request, 3)?;
        match answer.error_code {
            0 => return Ok(()),
            code if NOT_READY.contains(&code) && now_ns() - began < GIVE_UP_NS => {
                std::thread::sleep(Duration::from_millis(1));
            }
            code => bail!("no coordinator for {group}: {code}"),
        }
    }
}

/// Kafka names a coordinator that has not begun to load.
fn await_loaded(connection: &mut Connection, group: &str) -> Result<()> {
    let began = now_ns();
    let request = HeartbeatRequest::default().with_group_id(group_id(group));
    while NOT_READY.contains(&connection.call(&request, HEARTBEAT)?.error_code) {
        ensure!(now_ns() - began < GIVE_UP_NS, "{group} is never loaded");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// As a member of one; again while the coordinator is not ready.
fn join(connection: &mut Connection, group: &str, id: &str) -> Result<JoinGroupResponse> {
    let began = now_ns();
    loop {
        let joined = connection.call(&join_request(group, id), JOIN)?;
        match joined.error_code {
            0 => return Ok(joined),
            code if NOT_READY.contains(&code) && now_ns() - began < GIVE_UP_NS => {
                std::thread::sleep(Duration::from_millis(1));
            }
            code => bail!("a join of {group} was refused with {code}"),
        }
    }
}

fn sync(
    connection: &mut Connection,
    group: &str,
    joined: &JoinGroupResponse,
    shares: &[StrBytes],
) -> Result<()> {
    let synced = connection.call(&sync_request(group, joined, shares), SYNC)?;
    ensure!(
        synced.error_code == 0,
        "a sync was refused with {}",
        synced.error_code
    );
    Ok(())
}

fn join_request(group: &str, id: &str) -> JoinGroupRequest {
    // ConsumerProtocolSubscription v1 to one topic, owning nothing.
    let metadata = b"\0\x01\0\0\0\x01\0\x04load\xff\xff\xff\xff\0\0\0\0";
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(metadata));
    JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(SESSION_MS)
        .with_member_id(text(id))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

fn sync_request(group: &str, joined: &JoinGroupResponse, shares: &[StrBytes]) -> SyncGroupRequest {
    let share = Bytes::from_static(b"\0\x01\0\0\0\x01\0\x04load\0\0\0\x01\0\0\0\0\xff\xff\xff\xff");
    let shares = shares.iter().map(|id| {
        SyncGroupRequestAssignment::default()
            .with_member_id(id.clone())
            .with_assignment(share.clone())
    });
    SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(shares.collect())
}

fn commit_request(
    group: &str,
    topic: &str,
    partitions: std::ops::Range<i32>,
) -> OffsetCommitRequest {
    let partitions = partitions.map(|index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(i64::from(index) + 1)
            .with_committed_metadata(Some(text("")))
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(partitions.collect());
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_topics(vec![topic])
}

fn group_id(group: &str) -> GroupId {
    GroupId(text(group))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
