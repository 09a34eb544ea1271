//! The requests of a member, for one group and one topic.

use anyhow::{Context, Result};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

pub const FIND: i16 = 6;
pub const JOIN: i16 = 9;
pub const SYNC: i16 = 5;
pub const HEARTBEAT: i16 = 4;
pub const LEAVE: i16 = 5;
pub const COMMIT: i16 = 9;
pub const OFFSETS: i16 = 9;

pub const GROUP: &str = "churned";
pub const TOPIC: &str = "fed";
/// Not `consumer`: assignments are bytes of our own.
const PROTOCOL_TYPE: &str = "torture";
const PROTOCOL: &str = "shares";

/// Who speaks.
pub struct Identity<'a> {
    pub id: &'a str,
    pub instance: Option<&'a str>,
    pub generation: i32,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group() -> GroupId {
    GroupId(text(GROUP))
}

fn topic() -> TopicName {
    TopicName(text(TOPIC))
}

pub fn find() -> FindCoordinatorRequest {
    FindCoordinatorRequest::default().with_coordinator_keys(vec![text(GROUP)])
}

pub fn join(who: &Identity, session_ms: i32, rebalance_ms: i32, word: u64) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text(PROTOCOL))
        .with_metadata(Bytes::copy_from_slice(&word.to_be_bytes()));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_member_id(text(who.id))
        .with_group_instance_id(who.instance.map(text))
        .with_session_timeout_ms(session_ms)
        .with_rebalance_timeout_ms(rebalance_ms)
        .with_protocol_type(text(PROTOCOL_TYPE))
        .with_protocols(vec![protocol])
}

/// Shares by member id: one byte for each partition.
pub fn sync(who: &Identity, shares: &[(StrBytes, Vec<u8>)]) -> SyncGroupRequest {
    let assignments = shares.iter().map(|(member, share)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(member.clone())
            .with_assignment(Bytes::copy_from_slice(share))
    });
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(who.generation)
        .with_member_id(text(who.id))
        .with_group_instance_id(who.instance.map(text))
        .with_protocol_type(Some(text(PROTOCOL_TYPE)))
        .with_protocol_name(Some(text(PROTOCOL)))
        .with_assignments(assignments.collect())
}

pub fn heartbeat(who: &Identity) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(who.generation)
        .with_member_id(text(who.id))
        .with_group_instance_id(who.instance.map(text))
}

pub fn leave(who: &Identity) -> LeaveGroupRequest {
    let member = MemberIdentity::default()
        .with_member_id(text(who.id))
        .with_group_instance_id(who.instance.map(text));
    LeaveGroupRequest::default()
        .with_group_id(group())
        .with_members(vec![member])
}

/// Offsets by partition.
pub fn commit(who: &Identity, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
    let partitions = offsets.iter().map(|&(partition, offset)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("")))
    });
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic())
        .with_partitions(partitions.collect());
    OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(who.generation)
        .with_member_id(text(who.id))
        .with_group_instance_id(who.instance.map(text))
        .with_topics(vec![topic])
}

pub fn offsets(partitions: &[i32]) -> OffsetFetchRequest {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic())
        .with_partition_indexes(partitions.to_vec());
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(group())
        .with_topics(Some(vec![topic]));
    OffsetFetchRequest::default()
        .with_groups(vec![group])
        .with_require_stable(true)
}

/// Partition and committed offset, 0 for none; or a code.
pub fn committed(
    response: &OffsetFetchResponse,
) -> Result<std::result::Result<Vec<(i32, i64)>, i16>> {
    let group = response.groups.first().context("no group in the answer")?;
    if group.error_code != 0 {
        return Ok(Err(group.error_code));
    }
    let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
    let offsets = partitions.map(|it| match it.error_code {
        0 => Ok((it.partition_index, it.committed_offset.max(0))),
        code => Err(code),
    });
    Ok(offsets.collect())
}
