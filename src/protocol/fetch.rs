//! Fetch (1): requests v4–18, and the response as a plan of what to send.
//!
//! A response is runs of encoded bytes between regions of records that stay where they are,
//! in memory or in a file; its length is known before the first byte leaves. v5 brings the log
//! start offset, v7 sessions (KIP-227), v9 the leader epoch (KIP-320), v11 the preferred replica
//! (KIP-392), v12 the flexible encoding and truncation by Fetch (KIP-595), v13 topic ids
//! (KIP-516), v15 the replica state (KIP-903), v16 endpoints of leaders (KIP-951), v17 the
//! replica's directory (KIP-853), v18 its high watermark (KIP-1166).

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

pub use super::fetch_response::{
    AbortedTransaction, Chunk, EpochEndOffset, FetchResponse, PartitionResponse, Plan,
    TopicResponse,
};
pub use super::leader_hint::{CurrentLeader, NodeEndpoint};
pub use super::wire::DecodeError;
use super::wire::{Decoded, Reader};
use crate::types::{LeaderEpoch, Offset, TopicId};

/// v4: message sets of older formats are not served (R16).
pub const MIN_VERSION: i16 = 4;
pub const MAX_VERSION: i16 = 18;
pub(super) const FLEXIBLE_SINCE: i16 = 12;
pub(super) const TOPIC_ID_SINCE: i16 = 13;
const REPLICA_STATE_SINCE: i16 = 15;

#[derive(Clone, Debug, PartialEq)]
pub struct FetchRequest {
    /// v12+.
    pub cluster_id: Option<StrBytes>,
    /// −1 for consumers.
    pub replica_id: i32,
    /// v15+: the broker epoch of the replica; −1 if unknown.
    pub replica_epoch: i64,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    /// 0 read_uncommitted, 1 read_committed; others are refused (R84).
    pub isolation_level: i8,
    /// v7+; 0 without session.
    pub session_id: i32,
    /// v7+; −1 without session.
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    /// v7+.
    pub forgotten: Vec<ForgottenTopic>,
    /// v11+; empty if unset.
    pub rack_id: StrBytes,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchTopic {
    /// Empty from v13 on.
    pub name: StrBytes,
    /// Zero before v13.
    pub topic_id: TopicId,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchPartition {
    pub index: i32,
    /// v9+; −1 unchecked.
    pub current_leader_epoch: LeaderEpoch,
    pub fetch_offset: Offset,
    /// v12+; −1 unchecked.
    pub last_fetched_epoch: LeaderEpoch,
    /// v5+: of the follower; −1 for consumers.
    pub log_start_offset: Offset,
    pub partition_max_bytes: i32,
    /// v17+: the follower's directory.
    pub replica_directory_id: uuid::Uuid,
    /// v18+: what the replica knows; i64::MAX where it does not say.
    pub high_watermark: Offset,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ForgottenTopic {
    /// Empty from v13 on.
    pub name: StrBytes,
    /// Zero before v13.
    pub topic_id: TopicId,
    pub partitions: Vec<i32>,
}

/// Reads the body of a Fetch request; bytes behind it are ignored (R38).
///
/// # Errors
/// The body is not one of that version: the connection must end.
pub fn decode_request(version: i16, body: Bytes) -> Result<FetchRequest, DecodeError> {
    if !(MIN_VERSION..=MAX_VERSION).contains(&version) {
        return Err(DecodeError::Version(version));
    }
    let reader = &mut Reader::new(body, version >= FLEXIBLE_SINCE);
    let mut request = FetchRequest {
        cluster_id: None,
        replica_id: match version {
            REPLICA_STATE_SINCE.. => -1,
            _ => reader.i32()?,
        },
        replica_epoch: -1,
        max_wait_ms: reader.i32()?,
        min_bytes: reader.i32()?,
        max_bytes: reader.i32()?,
        isolation_level: reader.i8()?,
        session_id: since(version, 7, 0, || reader.i32())?,
        session_epoch: since(version, 7, -1, || reader.i32())?,
        topics: reader.array(3, |reader| topic(version, reader))?,
        forgotten: match version {
            7.. => reader.array(3, |reader| forgotten_topic(version, reader))?,
            _ => Vec::new(),
        },
        rack_id: since(version, 11, StrBytes::new(), || reader.string())?,
    };
    reader.tags(|tag, field| {
        match tag {
            0 => request.cluster_id = field.nullable_string()?,
            1 if version >= REPLICA_STATE_SINCE => {
                request.replica_id = field.i32()?;
                request.replica_epoch = field.i64()?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(request)
}

/// A field that versions before `first` do not have.
fn since<T>(version: i16, first: i16, default: T, read: impl FnOnce() -> Decoded<T>) -> Decoded<T> {
    match version >= first {
        true => read(),
        false => Ok(default),
    }
}

fn topic_name_or_id(version: i16, reader: &mut Reader) -> Decoded<(StrBytes, TopicId)> {
    Ok(match version {
        TOPIC_ID_SINCE.. => (StrBytes::new(), reader.topic_id()?),
        _ => (reader.string()?, TopicId::ZERO),
    })
}

fn topic(version: i16, reader: &mut Reader) -> Decoded<FetchTopic> {
    let (name, topic_id) = topic_name_or_id(version, reader)?;
    let partitions = reader.array(16, |reader| partition(version, reader))?;
    reader.no_tags()?;
    Ok(FetchTopic {
        name,
        topic_id,
        partitions,
    })
}

fn partition(version: i16, reader: &mut Reader) -> Decoded<FetchPartition> {
    let mut partition = FetchPartition {
        index: reader.i32()?,
        current_leader_epoch: since(version, 9, -1, || reader.i32())?,
        fetch_offset: reader.i64()?,
        last_fetched_epoch: since(version, 12, -1, || reader.i32())?,
        log_start_offset: since(version, 5, -1, || reader.i64())?,
        partition_max_bytes: reader.i32()?,
        replica_directory_id: uuid::Uuid::nil(),
        high_watermark: i64::MAX,
    };
    reader.tags(|tag, field| {
        match tag {
            0 if version >= 17 => partition.replica_directory_id = field.uuid()?,
            1 if version >= 18 => partition.high_watermark = field.i64()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(partition)
}

fn forgotten_topic(version: i16, reader: &mut Reader) -> Decoded<ForgottenTopic> {
    let (name, topic_id) = topic_name_or_id(version, reader)?;
    let partitions = reader.array(4, Reader::i32)?;
    reader.no_tags()?;
    Ok(ForgottenTopic {
        name,
        topic_id,
        partitions,
    })
}
