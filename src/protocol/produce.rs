//! Produce (0): requests v0–13, with the records as slices of the frame, and responses v0–13.
//!
//! v0–2 are read only to be refused (R15). v3 brings the transactional id (KIP-98), v5 the log
//! start offset, v8 record errors (KIP-467), v9 the flexible encoding, v10 the current leader
//! (KIP-951), v13 topic ids (KIP-516). By hand because the crate copies payloads and reserves
//! memory for declared counts. Does not look into the records: see `batch`.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::leader_hint::write_endpoints;
pub use super::leader_hint::{CurrentLeader, NodeEndpoint};
pub use super::wire::DecodeError;
use super::wire::{Decoded, Reader, Writer};
use crate::error::ResponseError;
use crate::types::{Millis, Offset, TopicId};

const MAX_VERSION: i16 = 13;
const FLEXIBLE_SINCE: i16 = 9;
const CURRENT_LEADER_SINCE: i16 = 10;
const TOPIC_ID_SINCE: i16 = 13;

#[derive(Clone, Debug, PartialEq)]
pub struct ProduceRequest {
    pub transactional_id: Option<StrBytes>,
    /// 0 none, 1 the leader, −1 all in sync; others are refused (R59).
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Vec<TopicData>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicData {
    /// Empty from v13 on.
    pub name: StrBytes,
    /// Zero before v13.
    pub topic_id: TopicId,
    pub partitions: Vec<PartitionData>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionData {
    pub index: i32,
    /// A slice of the frame. Null is refused with 87 (R55).
    pub records: Option<Bytes>,
}

/// Reads the body of a Produce request; bytes behind it are ignored (R38).
///
/// # Errors
/// The body is not one of that version: the connection must end.
pub fn decode_request(version: i16, body: Bytes) -> Result<ProduceRequest, DecodeError> {
    if !(0..=MAX_VERSION).contains(&version) {
        return Err(DecodeError::Version(version));
    }
    let mut reader = Reader::new(body, version >= FLEXIBLE_SINCE);
    let transactional_id = match version {
        3.. => reader.nullable_string()?,
        _ => None,
    };
    let request = ProduceRequest {
        transactional_id,
        acks: reader.i16()?,
        timeout_ms: reader.i32()?,
        topics: reader.array(3, |reader| topic(version, reader))?,
    };
    reader.no_tags()?;
    Ok(request)
}

fn topic(version: i16, reader: &mut Reader) -> Decoded<TopicData> {
    let (name, topic_id) = match version {
        TOPIC_ID_SINCE.. => (StrBytes::new(), reader.topic_id()?),
        _ => (reader.string()?, TopicId::ZERO),
    };
    let partitions = reader.array(5, |reader| {
        let index = reader.i32()?;
        let records = reader.nullable_bytes()?;
        reader.no_tags()?;
        Ok(PartitionData { index, records })
    })?;
    reader.no_tags()?;
    Ok(TopicData {
        name,
        topic_id,
        partitions,
    })
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProduceResponse {
    pub topics: Vec<TopicResponse>,
    /// v1+.
    pub throttle_time_ms: i32,
    /// v10+; of the leaders named in the partitions.
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicResponse {
    /// Sent up to v12.
    pub name: StrBytes,
    /// Sent from v13 on.
    pub topic_id: TopicId,
    pub partitions: Vec<PartitionResponse>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionResponse {
    pub index: i32,
    pub error: Option<ResponseError>,
    /// −1 with an error.
    pub base_offset: Offset,
    /// v2+; −1 on CreateTime topics and with an error (R61).
    pub log_append_time: Millis,
    /// v5+; −1 where the error was found before the log (R61).
    pub log_start_offset: Offset,
    /// v8+; batch index and sentence of each bad record.
    pub record_errors: Vec<(i32, Option<String>)>,
    /// v8+.
    pub error_message: Option<String>,
    /// v10+; with NOT_LEADER_OR_FOLLOWER.
    pub current_leader: Option<CurrentLeader>,
}

impl PartitionResponse {
    /// A refusal in which nothing but the error is known: every offset −1.
    pub fn refused(index: i32, error: ResponseError) -> PartitionResponse {
        PartitionResponse {
            index,
            error: Some(error),
            base_offset: -1,
            log_append_time: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: None,
        }
    }
}

impl ProduceResponse {
    /// The first error of any partition: what closes a connection with acks=0 (R36).
    pub fn first_error(&self) -> Option<ResponseError> {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.filter_map(|partition| partition.error).next()
    }

    /// Appends the body in `version` (0–13); the response header is the caller's.
    pub fn encode(&self, version: i16, out: &mut BytesMut) {
        assert!(
            (0..=MAX_VERSION).contains(&version),
            "Produce response v{version}"
        );
        let out = &mut Writer::new(out, version >= FLEXIBLE_SINCE);
        out.array_len(self.topics.len());
        for topic in &self.topics {
            match version {
                TOPIC_ID_SINCE.. => out.uuid(topic.topic_id.0),
                _ => out.string(&topic.name),
            }
            out.array_len(topic.partitions.len());
            for partition in &topic.partitions {
                partition.encode(version, out);
            }
            out.no_tags();
        }
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        match version {
            CURRENT_LEADER_SINCE.. => write_endpoints(&self.node_endpoints, out),
            _ => out.no_tags(),
        }
    }
}

impl PartitionResponse {
    fn encode(&self, version: i16, out: &mut Writer<'_>) {
        out.i32(self.index);
        out.i16(self.error.map_or(0, |error| error.code()));
        out.i64(self.base_offset);
        if version >= 2 {
            out.i64(self.log_append_time);
        }
        if version >= 5 {
            out.i64(self.log_start_offset);
        }
        if version >= 8 {
            out.array_len(self.record_errors.len());
            for (batch_index, message) in &self.record_errors {
                out.i32(*batch_index);
                out.nullable_string(message.as_deref());
                out.no_tags();
            }
            out.nullable_string(self.error_message.as_deref());
        }
        match self.current_leader {
            Some(leader) if version >= CURRENT_LEADER_SINCE => {
                out.tag_count(1);
                leader.write(0, out);
            }
            _ => out.no_tags(),
        }
    }
}
