//! Metadata records in Kafka's own schemas and framing, so that Kafka's
//! `DumpLogSegments --cluster-metadata-decoder` reads our metadata log
//! (kafka:metadata/src/main/resources/common/metadata/*.json, MetadataRecordSerde.java).
//!
//! A record's value is: frame version (unsigned varint, 1), api key, version (unsigned varints),
//! then the body in flexible encoding. We write the versions of metadata.version 27 (Kafka
//! 4.1) and read every older one. What a record means is the business of `image`.

use uuid::Uuid;

use crate::metadata::record_bodies::{read_text_tag, text_tag};
use crate::protocol::record_wire::{Reader, WireError, Writer};
use crate::types::{BrokerId, LeaderEpoch, TopicId};

/// One record of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord {
    RegisterBroker(RegisterBroker),
    UnregisterBroker {
        broker_id: BrokerId,
        broker_epoch: i64,
    },
    Topic {
        name: String,
        topic_id: TopicId,
    },
    Partition(Partition),
    /// `value: None` removes the key.
    Config {
        resource_type: i8,
        resource_name: String,
        name: String,
        value: Option<String>,
    },
    PartitionChange(PartitionChange),
    RemoveTopic {
        topic_id: TopicId,
    },
    /// Level 0 removes the feature.
    FeatureLevel {
        name: String,
        feature_level: i16,
    },
    /// `next_producer_id` is the first id of the block after the one given out.
    ProducerIds {
        broker_id: BrokerId,
        broker_epoch: i64,
        next_producer_id: i64,
    },
    BrokerRegistrationChange(BrokerRegistrationChange),
    NoOp,
    /// Until the end or abort that follows, an image shows nothing of what comes (KIP-868).
    BeginTransaction {
        name: Option<String>,
    },
    EndTransaction,
    AbortTransaction {
        reason: Option<String>,
    },
}

/// `ConfigRecord.resource_type` of a topic (Kafka: ConfigResource.Type).
pub const TOPIC_RESOURCE: i8 = 2;
/// Of a broker; the empty name is the cluster-wide default.
pub const BROKER_RESOURCE: i8 = 4;

/// A broker process came up. `broker_epoch` is the metadata offset of this record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    pub broker_id: BrokerId,
    pub incarnation_id: Uuid,
    pub broker_epoch: i64,
    pub end_points: Vec<BrokerEndpoint>,
    pub features: Vec<BrokerFeature>,
    pub rack: Option<String>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    pub log_dirs: Vec<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// The listener's name.
    pub name: String,
    pub host: String,
    pub port: u16,
    /// Kafka's number of the security protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The levels of a feature that a broker can work with, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerFeature {
    pub name: String,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}

/// A partition as it is created. Eligible leader replicas (tags 1 and 2) are read over and not
/// written: the feature is not finalised before milestone 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub partition_id: i32,
    pub topic_id: TopicId,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub removing_replicas: Vec<BrokerId>,
    pub adding_replicas: Vec<BrokerId>,
    pub leader: Option<BrokerId>,
    /// Whether the leader was elected uncleanly and still has to be recovered from.
    pub recovering: bool,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    /// One per replica; the zero id is "not assigned yet" (KIP-858).
    pub directories: Vec<Uuid>,
}

#[cfg(test)]
impl Partition {
    /// The only one of its topic, on one broker that leads it.
    pub fn of_one(topic_id: TopicId, broker: BrokerId) -> Partition {
        Partition {
            partition_id: 0,
            topic_id,
            replicas: vec![broker],
            isr: vec![broker],
            removing_replicas: vec![],
            adding_replicas: vec![],
            leader: Some(broker),
            recovering: false,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![Uuid::nil()],
        }
    }
}

/// What changed in a partition: `None` is "as before". Each such record raises the partition
/// epoch by one, and one that names a leader, even the same, raises the leader epoch by one
/// (kafka:PartitionRegistration.merge).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChange {
    pub partition_id: i32,
    pub topic_id: TopicId,
    pub isr: Option<Vec<BrokerId>>,
    /// `Some(None)`: there is no leader now.
    pub leader: Option<Option<BrokerId>>,
    pub replicas: Option<Vec<BrokerId>>,
    pub removing_replicas: Option<Vec<BrokerId>>,
    pub adding_replicas: Option<Vec<BrokerId>>,
    pub recovering: Option<bool>,
    pub directories: Option<Vec<Uuid>>,
}

impl PartitionChange {
    /// A change of nothing yet.
    pub fn of(topic_id: TopicId, partition_id: i32) -> PartitionChange {
        PartitionChange {
            partition_id,
            topic_id,
            isr: None,
            leader: None,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            recovering: None,
            directories: None,
        }
    }
}

/// A broker was fenced, unfenced, or began its controlled shutdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationChange {
    pub broker_id: BrokerId,
    pub broker_epoch: i64,
    pub fenced: Option<bool>,
    pub in_controlled_shutdown: bool,
    /// Empty: as before.
    pub log_dirs: Vec<Uuid>,
}

/// Why a value is not a metadata record we can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("metadata record has frame version {0}, only 1 is known")]
    FrameVersion(u32),
    #[error("metadata record type {0} is unknown")]
    UnknownType(u32),
    #[error("metadata record type {api_key} has version {version}, the newest known is {newest}")]
    UnknownVersion {
        api_key: u32,
        version: u32,
        newest: u32,
    },
    #[error("metadata record {0}")]
    Malformed(#[from] WireError),
}

const FRAME_VERSION: u32 = 1;

impl MetadataRecord {
    /// The framed value. Never fails: what we decided can be written.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let (api_key, version) = self.api_key();
        out.unsigned_varint(FRAME_VERSION);
        out.unsigned_varint(api_key);
        out.unsigned_varint(version);
        self.write_body(&mut out);
        out.into_bytes()
    }

    /// Reads a framed value; nothing may follow it.
    pub fn decode(bytes: &[u8]) -> Result<MetadataRecord, RecordError> {
        let mut input = Reader::new(bytes);
        let frame_version = input.unsigned_varint()?;
        if frame_version != FRAME_VERSION {
            return Err(RecordError::FrameVersion(frame_version));
        }
        let api_key = input.unsigned_varint()?;
        let version = input.unsigned_varint()?;
        let newest = newest_version(api_key).ok_or(RecordError::UnknownType(api_key))?;
        if version > newest {
            return Err(RecordError::UnknownVersion {
                api_key,
                version,
                newest,
            });
        }
        let record = read_body(&mut input, api_key, version)?;
        input.finish()?;
        Ok(record)
    }

    /// The api key and the version we write.
    fn api_key(&self) -> (u32, u32) {
        match self {
            MetadataRecord::RegisterBroker(_) => (0, 3),
            MetadataRecord::UnregisterBroker { .. } => (1, 0),
            MetadataRecord::Topic { .. } => (2, 0),
            MetadataRecord::Partition(_) => (3, 2),
            MetadataRecord::Config { .. } => (4, 0),
            MetadataRecord::PartitionChange(_) => (5, 2),
            MetadataRecord::RemoveTopic { .. } => (9, 0),
            MetadataRecord::FeatureLevel { .. } => (12, 0),
            MetadataRecord::ProducerIds { .. } => (15, 0),
            MetadataRecord::BrokerRegistrationChange(_) => (17, 2),
            MetadataRecord::NoOp => (20, 0),
            MetadataRecord::BeginTransaction { .. } => (23, 0),
            MetadataRecord::EndTransaction => (24, 0),
            MetadataRecord::AbortTransaction { .. } => (25, 0),
        }
    }

    fn write_body(&self, out: &mut Writer) {
        match self {
            MetadataRecord::RegisterBroker(record) => return record.write(out),
            MetadataRecord::Partition(record) => return record.write(out),
            MetadataRecord::PartitionChange(record) => return record.write(out),
            MetadataRecord::BrokerRegistrationChange(record) => return record.write(out),
            MetadataRecord::BeginTransaction { name: text }
            | MetadataRecord::AbortTransaction { reason: text } => {
                return out.tagged(text_tag(text.as_deref()));
            }
            MetadataRecord::UnregisterBroker {
                broker_id,
                broker_epoch,
            } => {
                out.i32(broker_id.0);
                out.i64(*broker_epoch);
            }
            MetadataRecord::Topic { name, topic_id } => {
                out.string(name);
                out.uuid(topic_id.0);
            }
            MetadataRecord::Config {
                resource_type,
                resource_name,
                name,
                value,
            } => {
                out.i8(*resource_type);
                out.string(resource_name);
                out.string(name);
                out.nullable_string(value.as_deref());
            }
            MetadataRecord::RemoveTopic { topic_id } => out.uuid(topic_id.0),
            MetadataRecord::FeatureLevel {
                name,
                feature_level,
            } => {
                out.string(name);
                out.i16(*feature_level);
            }
            MetadataRecord::ProducerIds {
                broker_id,
                broker_epoch,
                next_producer_id,
            } => {
                out.i32(broker_id.0);
                out.i64(*broker_epoch);
                out.i64(*next_producer_id);
            }
            MetadataRecord::NoOp | MetadataRecord::EndTransaction => {}
        }
        out.no_tagged();
    }
}

/// The newest version we read; `None` for a type we do not know.
fn newest_version(api_key: u32) -> Option<u32> {
    match api_key {
        0 => Some(3),
        3 | 5 | 17 => Some(2),
        1 | 2 | 4 | 9 | 12 | 15 | 20 | 23 | 24 | 25 => Some(0),
        _ => None,
    }
}

fn read_body(
    input: &mut Reader<'_>,
    api_key: u32,
    version: u32,
) -> Result<MetadataRecord, RecordError> {
    let record = match api_key {
        0 => {
            return Ok(MetadataRecord::RegisterBroker(RegisterBroker::read(
                input, version,
            )?));
        }
        3 => return Ok(MetadataRecord::Partition(Partition::read(input, version)?)),
        5 => {
            return Ok(MetadataRecord::PartitionChange(PartitionChange::read(
                input,
            )?));
        }
        17 => {
            let change = BrokerRegistrationChange::read(input)?;
            return Ok(MetadataRecord::BrokerRegistrationChange(change));
        }
        23 => {
            let name = read_text_tag(input)?;
            return Ok(MetadataRecord::BeginTransaction { name });
        }
        25 => {
            let reason = read_text_tag(input)?;
            return Ok(MetadataRecord::AbortTransaction { reason });
        }
        1 => MetadataRecord::UnregisterBroker {
            broker_id: BrokerId(input.i32()?),
            broker_epoch: input.i64()?,
        },
        2 => MetadataRecord::Topic {
            name: input.string()?,
            topic_id: TopicId(input.uuid()?),
        },
        4 => MetadataRecord::Config {
            resource_type: input.i8()?,
            resource_name: input.string()?,
            name: input.string()?,
            value: input.nullable_string()?,
        },
        9 => MetadataRecord::RemoveTopic {
            topic_id: TopicId(input.uuid()?),
        },
        12 => MetadataRecord::FeatureLevel {
            name: input.string()?,
            feature_level: input.i16()?,
        },
        15 => MetadataRecord::ProducerIds {
            broker_id: BrokerId(input.i32()?),
            broker_epoch: input.i64()?,
            next_producer_id: input.i64()?,
        },
        20 => MetadataRecord::NoOp,
        24 => MetadataRecord::EndTransaction,
        _ => return Err(RecordError::UnknownType(api_key)),
    };
    input.no_tagged()?;
    Ok(record)
}

#[cfg(test)]
mod tests;
