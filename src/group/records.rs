//! The records of `__consumer_offsets` in Kafka's schemas, byte for byte (R118): other programs
//! read them (Burrow, kminion, the console formatters). A key begins with its version, which names
//! the kind: 0 and 1 are a committed offset, 2 is a classic group. Values are written in the
//! version Kafka 4.1 writes and read in all versions. Other kinds (KIP-848, KIP-932) are skipped.
//! (Kafka: OffsetCommitKey/Value.json, GroupMetadataKey/Value.json, GroupCoordinatorRecordHelpers.)

use std::sync::Arc;

use bytes::Bytes;

use crate::coordinator::machine::LogRecord;
use crate::protocol::record_wire::{Reader, WireError, Writer};
use crate::types::Millis;

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
/// Written where the commit has no expiry of its own.
const OFFSET_VALUE: i16 = 4;
/// Written where the commit of an old client has one.
const OFFSET_VALUE_WITH_EXPIRY: i16 = 1;
const FIRST_FLEXIBLE_VALUE: i16 = 4;
const GROUP_VALUE: i16 = 3;

/// What changes a group.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRecord {
    Offset {
        group: Arc<str>,
        topic: Arc<str>,
        partition: i32,
        /// `None` removes it.
        committed: Option<Committed>,
    },
    Group {
        group: Arc<str>,
        /// `None` removes it.
        value: Option<GroupValue>,
    },
}

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub offset: i64,
    /// −1: not known.
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
    /// Wall time in ms.
    pub committed_at: Millis,
    /// Wall time in ms; `None` leaves it to `offsets.retention.minutes`.
    pub expires_at: Option<Millis>,
}

/// A classic group at rest: between rebalances, or empty.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupValue {
    pub protocol_type: String,
    pub generation: i32,
    pub protocol_name: Option<String>,
    pub leader: Option<Arc<str>>,
    /// Since when it has been in its state; −1 in records of old Kafkas.
    pub state_since: Millis,
    pub members: Vec<MemberValue>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MemberValue {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The metadata of the chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl GroupRecord {
    /// No less than the bytes of key and value; found without encoding them.
    pub fn size(&self) -> usize {
        match self {
            GroupRecord::Offset {
                group,
                topic,
                committed,
                ..
            } => {
                let metadata = committed.as_ref().map_or(0, |c| c.metadata.len());
                const NUMBERS: usize = 2 + 2 + 2 + 4 + 2 + 8 + 8 + 5 + 8 + 1;
                NUMBERS + group.len() + topic.len() + metadata
            }
            GroupRecord::Group { group, value } => {
                const NUMBERS: usize = 2 + 2 + 2 + 2 + 4 + 2 + 2 + 8 + 4;
                let value = value.as_ref().map_or(0, GroupValue::texts);
                NUMBERS + group.len() + value
            }
        }
    }
}

impl GroupValue {
    /// Bytes of everything but numbers of its own.
    fn texts(&self) -> usize {
        const NUMBERS: usize = 2 + 2 + 2 + 2 + 4 + 4 + 4 + 4;
        let members = self.members.iter().map(|member| {
            let instance_id = member.instance_id.as_ref().map_or(0, |id| id.len());
            let texts = member.id.len() + member.client_id.len() + member.client_host.len();
            let blobs = member.subscription.len() + member.assignment.len();
            NUMBERS + instance_id + texts + blobs
        });
        self.protocol_type.len()
            + self.protocol_name.as_ref().map_or(0, String::len)
            + self.leader.as_ref().map_or(0, |leader| leader.len())
            + members.sum::<usize>()
    }
}

impl LogRecord for GroupRecord {
    fn encode(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            GroupRecord::Offset {
                group,
                topic,
                partition,
                committed,
            } => {
                let mut key = Writer::default();
                key.i16(OFFSET_KEY);
                key.short_string(group);
                key.short_string(topic);
                key.i32(*partition);
                (key.into_bytes(), committed.as_ref().map(write_offset))
            }
            GroupRecord::Group { group, value } => {
                let mut key = Writer::default();
                key.i16(GROUP_KEY);
                key.short_string(group);
                (key.into_bytes(), value.as_ref().map(write_group))
            }
        }
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<GroupRecord>, String> {
        let mut key = Reader::new(key);
        let read = |what: &'static str| move |error: WireError| format!("{what} {error}");
        match key.i16().map_err(read("the key"))? {
            0..=OFFSET_KEY => {
                let mut parts = || Ok((key.short_string()?, key.short_string()?, key.i32()?));
                let (group, topic, partition) = parts().map_err(read("an offset's key"))?;
                let committed = value.map(read_offset).transpose();
                Ok(Some(GroupRecord::Offset {
                    group: group.into(),
                    topic: topic.into(),
                    partition,
                    committed: committed.map_err(read("a committed offset"))?,
                }))
            }
            GROUP_KEY => {
                let group = key.short_string().map_err(read("a group's key"))?;
                let value = value.map(read_group).transpose();
                Ok(Some(GroupRecord::Group {
                    group: group.into(),
                    value: value.map_err(read("a group"))?,
                }))
            }
            _ => Ok(None),
        }
    }
}

fn write_offset(committed: &Committed) -> Vec<u8> {
    let mut out = Writer::default();
    match committed.expires_at {
        Some(expires_at) => {
            out.i16(OFFSET_VALUE_WITH_EXPIRY);
            out.i64(committed.offset);
            out.short_string(&committed.metadata);
            out.i64(committed.committed_at);
            out.i64(expires_at);
        }
        None => {
            out.i16(OFFSET_VALUE);
            out.i64(committed.offset);
            out.i32(committed.leader_epoch);
            out.string(&committed.metadata);
            out.i64(committed.committed_at);
            out.no_tagged();
        }
    }
    out.into_bytes()
}

fn read_offset(bytes: &[u8]) -> Result<Committed, WireError> {
    let mut value = Reader::new(bytes);
    let version = value.i16()?;
    let offset = value.i64()?;
    let leader_epoch = if version >= 3 { value.i32()? } else { -1 };
    let metadata = match version {
        ..FIRST_FLEXIBLE_VALUE => value.short_string()?,
        _ => value.string()?,
    };
    let committed_at = value.i64()?;
    let expires_at = match version {
        OFFSET_VALUE_WITH_EXPIRY => Some(value.i64()?).filter(|at| *at >= 0),
        _ => None,
    };
    // Later versions add tagged fields only (KIP-915).
    Ok(Committed {
        offset,
        leader_epoch,
        metadata: metadata.into(),
        committed_at,
        expires_at,
    })
}

fn write_group(group: &GroupValue) -> Vec<u8> {
    let mut out = Writer::default();
    out.i16(GROUP_VALUE);
    out.short_string(&group.protocol_type);
    out.i32(group.generation);
    out.nullable_short_string(group.protocol_name.as_deref());
    out.nullable_short_string(group.leader.as_deref());
    out.i64(group.state_since);
    out.i32(group.members.len() as i32);
    for member in &group.members {
        out.short_string(&member.id);
        out.nullable_short_string(member.instance_id.as_deref());
        out.short_string(&member.client_id);
        out.short_string(&member.client_host);
        out.i32(member.rebalance_timeout_ms);
        out.i32(member.session_timeout_ms);
        out.long_bytes(&member.subscription);
        out.long_bytes(&member.assignment);
    }
    out.into_bytes()
}

fn read_group(bytes: &[u8]) -> Result<GroupValue, WireError> {
    let mut value = Reader::new(bytes);
    let version = value.i16()?;
    if version >= FIRST_FLEXIBLE_VALUE {
        return read_flexible_group(value);
    }
    Ok(GroupValue {
        protocol_type: value.short_string()?,
        generation: value.i32()?,
        protocol_name: value.nullable_short_string()?,
        leader: value.nullable_short_string()?.map(Arc::from),
        state_since: if version >= 2 { value.i64()? } else { -1 },
        members: value.long_array(|member| {
            let id = member.short_string()?.into();
            let instance_id = match version {
                3.. => member.nullable_short_string()?.map(Arc::from),
                _ => None,
            };
            let client_id = member.short_string()?;
            let client_host = member.short_string()?;
            let rebalance_timeout_ms = if version >= 1 { member.i32()? } else { -1 };
            Ok(MemberValue {
                id,
                instance_id,
                client_id,
                client_host,
                rebalance_timeout_ms,
                session_timeout_ms: member.i32()?,
                subscription: Bytes::copy_from_slice(member.long_bytes()?),
                assignment: Bytes::copy_from_slice(member.long_bytes()?),
            })
        })?,
    })
}

/// Version 4, which Kafka reads and does not write yet.
fn read_flexible_group(mut value: Reader) -> Result<GroupValue, WireError> {
    Ok(GroupValue {
        protocol_type: value.string()?,
        generation: value.i32()?,
        protocol_name: value.nullable_string()?,
        leader: value.nullable_string()?.map(Arc::from),
        state_since: value.i64()?,
        members: value.array(|member| {
            let read = MemberValue {
                id: member.string()?.into(),
                instance_id: member.nullable_string()?.map(Arc::from),
                client_id: member.string()?,
                client_host: member.string()?,
                rebalance_timeout_ms: member.i32()?,
                session_timeout_ms: member.i32()?,
                subscription: Bytes::copy_from_slice(member.compact_bytes()?),
                assignment: Bytes::copy_from_slice(member.compact_bytes()?),
            };
            member.no_tagged()?;
            Ok(read)
        })?,
    })
}

#[cfg(test)]
mod tests;
