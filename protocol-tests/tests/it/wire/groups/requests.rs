//! The requests of groups and committed offsets in every version: a field that a version lacks is
//! left out.

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest,
};

use super::super::calls::{text, topic_name};

pub const FIND: i16 = 6;
pub const JOIN: i16 = 9;
pub const SYNC: i16 = 5;
pub const HEARTBEAT: i16 = 4;
pub const LEAVE: i16 = 5;
pub const COMMIT: i16 = 9;
pub const FETCH: i16 = 9;
pub const DESCRIBE: i16 = 6;
pub const LIST: i16 = 5;
pub const DELETE: i16 = 2;

/// Long enough for a member never to expire within a test, also on a busy machine.
pub const PATIENCE_MS: i32 = 120_000;
/// A timeout that is to pass within a test, and not between two steps of it: a busy machine lets
/// threads stand still for seconds.
pub const SOON_MS: i32 = 6_000;
/// How long something is waited for that would have come at [`SOON_MS`].
pub const PAST_SOON: std::time::Duration = std::time::Duration::from_millis(7_000);

pub fn group_id(name: &str) -> GroupId {
    GroupId(text(name))
}

/// Asks for coordinators of groups; before v4 for that of the first key.
pub fn find(version: i16, keys: &[&str]) -> FindCoordinatorRequest {
    find_type(version, 0, keys)
}

pub fn find_type(version: i16, key_type: i8, keys: &[&str]) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default();
    let request = if version >= 1 {
        request.with_key_type(key_type)
    } else {
        request
    };
    if version >= 4 {
        request.with_coordinator_keys(keys.iter().map(|key| text(key)).collect())
    } else {
        request.with_key(text(keys[0]))
    }
}

/// A join without patience to spare: `protocols` are names and metadata.
pub fn join(
    version: i16,
    group: &str,
    member: &str,
    protocol_type: &str,
    protocols: &[(&str, &[u8])],
) -> JoinGroupRequest {
    let protocols = protocols.iter().map(|(name, metadata)| {
        JoinGroupRequestProtocol::default()
            .with_name(text(name))
            .with_metadata(Bytes::copy_from_slice(metadata))
    });
    let request = JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(PATIENCE_MS)
        .with_member_id(text(member))
        .with_protocol_type(text(protocol_type))
        .with_protocols(protocols.collect());
    if version >= 1 {
        request.with_rebalance_timeout_ms(PATIENCE_MS)
    } else {
        request.with_rebalance_timeout_ms(-1) // the schema's default
    }
}

/// Of a member that speaks `consumer`, whose only protocol is `range`.
pub fn plain_join(version: i16, group: &str, member: &str) -> JoinGroupRequest {
    join(version, group, member, "consumer", &[("range", b"meta")])
}

pub fn sync(
    version: i16,
    group: &str,
    member: &str,
    generation: i32,
    assignments: &[(&str, &[u8])],
) -> SyncGroupRequest {
    let assignments = assignments.iter().map(|(member, assignment)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(Bytes::copy_from_slice(assignment))
    });
    let request = SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_member_id(text(member))
        .with_generation_id(generation)
        .with_assignments(assignments.collect());
    if version >= 5 {
        request
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
    } else {
        request
    }
}

pub fn heartbeat(group: &str, member: &str, generation: i32) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group_id(group))
        .with_member_id(text(member))
        .with_generation_id(generation)
}

/// Of members by their id (or none) and their instance id; before v3 of the first one.
pub fn leave(version: i16, group: &str, members: &[(&str, Option<&str>)]) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(group_id(group));
    if version < 3 {
        return request.with_member_id(text(members[0].0));
    }
    let members = members.iter().map(|(member, instance)| {
        MemberIdentity::default()
            .with_member_id(text(member))
            .with_group_instance_id(instance.map(text))
    });
    request.with_members(members.collect())
}

/// One partition of an OffsetCommit.
#[derive(Clone, Copy)]
pub struct Position<'a> {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<&'a str>,
}

/// Partition, offset, no epoch, no metadata.
pub fn at(partition: i32, offset: i64) -> Position<'static> {
    Position {
        partition,
        offset,
        leader_epoch: -1,
        metadata: Some(""),
    }
}

/// From outside: generation −1, no member.
pub fn commit(
    version: i16,
    group: &str,
    topic: &str,
    positions: &[Position<'_>],
) -> OffsetCommitRequest {
    commit_topics(version, group, &[(topic, positions)])
}

pub fn commit_topics(
    version: i16,
    group: &str,
    topics: &[(&str, &[Position<'_>])],
) -> OffsetCommitRequest {
    let topics = topics.iter().map(|(topic, positions)| {
        let partitions = positions.iter().map(|position| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(position.partition)
                .with_committed_offset(position.offset)
                .with_committed_metadata(position.metadata.map(text));
            if version >= 6 {
                partition.with_committed_leader_epoch(position.leader_epoch)
            } else {
                partition
            }
        });
        OffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions.collect())
    });
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect())
}

/// The committed offsets of one group; `None` asks for all (v2+).
pub fn fetch(version: i16, group: &str, topics: Option<Partitions<'_>>) -> OffsetFetchRequest {
    if version >= 8 {
        return fetch_groups(&[(group, topics)]);
    }
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(topic, partitions)| {
            OffsetFetchRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partition_indexes(partitions.to_vec())
        });
        topics.collect()
    });
    OffsetFetchRequest::default()
        .with_group_id(group_id(group))
        .with_topics(topics)
}

/// Topics and their partitions.
type Partitions<'a> = &'a [(&'a str, &'a [i32])];

/// v8 and newer.
pub fn fetch_groups(groups: &[(&str, Option<Partitions<'_>>)]) -> OffsetFetchRequest {
    let groups = groups.iter().map(|(group, topics)| {
        let topics = topics.map(|topics| {
            let topics = topics.iter().map(|(topic, partitions)| {
                OffsetFetchRequestTopics::default()
                    .with_name(topic_name(topic))
                    .with_partition_indexes(partitions.to_vec())
            });
            topics.collect()
        });
        OffsetFetchRequestGroup::default()
            .with_group_id(group_id(group))
            .with_topics(topics)
    });
    OffsetFetchRequest::default().with_groups(groups.collect())
}

pub fn describe(groups: &[&str]) -> DescribeGroupsRequest {
    let groups = groups.iter().map(|group| group_id(group));
    DescribeGroupsRequest::default().with_groups(groups.collect())
}

/// With filters (v4 states, v5 types).
pub fn list(states: &[&str], types: &[&str]) -> ListGroupsRequest {
    ListGroupsRequest::default()
        .with_states_filter(states.iter().map(|state| text(state)).collect())
        .with_types_filter(types.iter().map(|kind| text(kind)).collect())
}

pub fn delete(groups: &[&str]) -> DeleteGroupsRequest {
    let groups = groups.iter().map(|group| group_id(group));
    DeleteGroupsRequest::default().with_groups_names(groups.collect())
}

pub fn offset_delete(group: &str, topics: Partitions<'_>) -> OffsetDeleteRequest {
    let topics = topics.iter().map(|(topic, partitions)| {
        let partitions = partitions.iter().map(|partition| {
            OffsetDeleteRequestPartition::default().with_partition_index(*partition)
        });
        OffsetDeleteRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions.collect())
    });
    OffsetDeleteRequest::default()
        .with_group_id(group_id(group))
        .with_topics(topics.collect())
}
