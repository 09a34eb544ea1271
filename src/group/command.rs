//! What a group is asked and what it answers. Plain values: handlers make them out of requests and
//! responses out of them, and no version of a request shows in here but where behaviour hangs on it.

use std::sync::Arc;

use bytes::Bytes;

use super::records::Committed;
use crate::error::ResponseError;
use crate::types::Millis;

/// What one group, or the shard that holds it, is asked.
#[derive(Debug)]
pub enum Command {
    Join(Join),
    Sync(Sync),
    Heartbeat(Heartbeat),
    Leave(Leave),
    Commit(Commit),
    Fetch(FetchOffsets),
    DeleteOffsets(DeleteOffsets),
    DeleteGroup(Arc<str>),
    Describe(Arc<str>),
    List,
    /// These topics are gone, and their offsets with them.
    TopicsDeleted(Arc<[Arc<str>]>),
}

/// The answers to them, in the same order.
#[derive(Debug)]
pub enum Reply {
    Join(Joined),
    Sync(Result<Synced, ResponseError>),
    Heartbeat(Result<(), ResponseError>),
    Leave(Vec<Left>),
    Commit(Result<Vec<CommittedTopic>, ResponseError>),
    Fetch(Vec<FetchedTopic>),
    DeleteOffsets(Result<Vec<DeletedTopic>, ResponseError>),
    DeleteGroup(Result<(), ResponseError>),
    Describe(Option<Description>),
    List(Vec<Listed>),
    TopicsDeleted,
}

/// JoinGroup.
#[derive(Clone, Debug)]
pub struct Join {
    pub group: Arc<str>,
    /// Empty: a newcomer.
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
    /// v4 and above: a newcomer comes back with the id it is given (KIP-394).
    pub requires_known_member_id: bool,
    /// v9: a static leader that returns may be told to skip the assignment (KIP-814).
    pub supports_skipping_assignment: bool,
    /// What an id of this member ends in: random, never used before.
    pub new_id_suffix: String,
    /// For the log.
    pub reason: String,
}

/// A way to share out the work, with what the member wants to say to whoever shares it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

/// The answer to a JoinGroup, errors included: they carry some of the fields too (R106).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub error: Option<ResponseError>,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// For the leader alone (R107).
    pub members: Vec<JoinedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub metadata: Bytes,
}

impl Joined {
    pub fn refused(error: ResponseError, member_id: impl Into<String>) -> Joined {
        Joined {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}

/// SyncGroup.
#[derive(Clone, Debug)]
pub struct Sync {
    pub group: Arc<str>,
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
    /// v5: has to agree with the group's.
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    /// From the leader: what each member gets.
    pub assignments: Vec<(String, Bytes)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

/// Heartbeat.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub group: Arc<str>,
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
}

/// LeaveGroup.
#[derive(Clone, Debug)]
pub struct Leave {
    pub group: Arc<str>,
    pub members: Vec<Leaver>,
}

#[derive(Clone, Debug)]
pub struct Leaver {
    /// Empty where a static member is removed by its instance id.
    pub member_id: String,
    pub instance_id: Option<String>,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub error: Option<ResponseError>,
}

/// OffsetCommit, of topics and partitions that exist.
#[derive(Clone, Debug)]
pub struct Commit {
    pub group: Arc<str>,
    /// −1: from outside the group.
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
    /// v2–4: the offsets expire so many ms after the commit; `None` leaves it to the broker.
    pub retention_ms: Option<Millis>,
    /// v9 and above: an unknown group is 69, below it is 22 (R114).
    pub knows_group_id_not_found: bool,
    pub topics: Vec<CommitTopic>,
}

#[derive(Clone, Debug)]
pub struct CommitTopic {
    pub topic: Arc<str>,
    pub partitions: Vec<CommitPartition>,
}

#[derive(Clone, Debug)]
pub struct CommitPartition {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedTopic {
    pub topic: Arc<str>,
    pub partitions: Vec<(i32, Option<ResponseError>)>,
}

/// OffsetFetch of one group; without topics all that it has committed.
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    pub group: Arc<str>,
    pub topics: Option<Vec<(Arc<str>, Vec<i32>)>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchedTopic {
    pub topic: Arc<str>,
    /// `None`: nothing is committed there.
    pub partitions: Vec<(i32, Option<Committed>)>,
}

/// OffsetDelete, of topics and partitions that exist.
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    pub group: Arc<str>,
    pub topics: Vec<(Arc<str>, Vec<i32>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub topic: Arc<str>,
    pub partitions: Vec<(i32, Option<ResponseError>)>,
}

/// DescribeGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub state: &'static str,
    pub protocol_type: String,
    /// Of a stable group.
    pub protocol_name: String,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: String,
    pub client_host: String,
    /// Of a stable group.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub group: Arc<str>,
    pub protocol_type: String,
    pub state: &'static str,
}
