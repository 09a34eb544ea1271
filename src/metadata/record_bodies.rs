//! The bodies of the larger metadata records, field by field in the order of Kafka's schemas.
//! Which versions exist and how a body is framed is in `records`.

use uuid::Uuid;

use crate::metadata::records::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChange, Partition, PartitionChange,
    RegisterBroker,
};
use crate::protocol::record_wire::{Reader, WireError, Writer};
use crate::types::{BrokerId, TopicId};

const NO_LEADER: i32 = -1;
const NO_LEADER_CHANGE: i32 = -2;

impl RegisterBroker {
    pub(super) fn write(&self, out: &mut Writer) {
        out.i32(self.broker_id.0);
        out.bool(false); // is_migrating_zk_broker
        out.uuid(self.incarnation_id);
        out.i64(self.broker_epoch);
        out.array(&self.end_points, |out, end_point| {
            out.string(&end_point.name);
            out.string(&end_point.host);
            out.u16(end_point.port);
            out.i16(end_point.security_protocol);
            out.no_tagged();
        });
        out.array(&self.features, |out, feature| {
            out.string(&feature.name);
            out.i16(feature.min_supported_version);
            out.i16(feature.max_supported_version);
            out.no_tagged();
        });
        out.nullable_string(self.rack.as_deref());
        out.bool(self.fenced);
        out.bool(self.in_controlled_shutdown);
        out.tagged(uuids_unless_empty(0, &self.log_dirs));
    }

    pub(super) fn read(input: &mut Reader<'_>, version: u32) -> Result<RegisterBroker, WireError> {
        let broker_id = BrokerId(input.i32()?);
        if version >= 2 {
            input.bool()?; // is_migrating_zk_broker
        }
        let mut record = RegisterBroker {
            broker_id,
            incarnation_id: input.uuid()?,
            broker_epoch: input.i64()?,
            end_points: input.array(|input| {
                let end_point = BrokerEndpoint {
                    name: input.string()?,
                    host: input.string()?,
                    port: input.u16()?,
                    security_protocol: input.i16()?,
                };
                input.no_tagged()?;
                Ok(end_point)
            })?,
            features: input.array(|input| {
                let feature = BrokerFeature {
                    name: input.string()?,
                    min_supported_version: input.i16()?,
                    max_supported_version: input.i16()?,
                };
                input.no_tagged()?;
                Ok(feature)
            })?,
            rack: input.nullable_string()?,
            fenced: input.bool()?,
            in_controlled_shutdown: version >= 1 && input.bool()?,
            log_dirs: Vec::new(),
        };
        input.tagged(|tag, value| {
            if tag == 0 {
                record.log_dirs = value.array(Reader::uuid)?;
            }
            Ok(tag == 0)
        })?;
        Ok(record)
    }
}

impl Partition {
    pub(super) fn write(&self, out: &mut Writer) {
        out.i32(self.partition_id);
        out.uuid(self.topic_id.0);
        write_brokers(out, &self.replicas);
        write_brokers(out, &self.isr);
        write_brokers(out, &self.removing_replicas);
        write_brokers(out, &self.adding_replicas);
        out.i32(self.leader.map_or(NO_LEADER, |leader| leader.0));
        out.i32(self.leader_epoch);
        out.i32(self.partition_epoch);
        out.array(&self.directories, |out, directory| out.uuid(*directory));
        let recovering = self.recovering.then(|| (0, tag(|out| out.i8(1))));
        out.tagged(recovering.into_iter().collect());
    }

    pub(super) fn read(input: &mut Reader<'_>, version: u32) -> Result<Partition, WireError> {
        let mut record = Partition {
            partition_id: input.i32()?,
            topic_id: TopicId(input.uuid()?),
            replicas: read_brokers(input)?,
            isr: read_brokers(input)?,
            removing_replicas: read_brokers(input)?,
            adding_replicas: read_brokers(input)?,
            leader: read_leader(input)?,
            recovering: false,
            leader_epoch: input.i32()?,
            partition_epoch: input.i32()?,
            directories: match version {
                0 => Vec::new(),
                _ => input.array(Reader::uuid)?,
            },
        };
        input.tagged(|tag, value| {
            if tag == 0 {
                record.recovering = value.i8()? == 1;
            }
            Ok(tag == 0)
        })?;
        Ok(record)
    }
}

impl PartitionChange {
    pub(super) fn write(&self, out: &mut Writer) {
        out.i32(self.partition_id);
        out.uuid(self.topic_id.0);
        let mut fields = Vec::new();
        let mut brokers = |number, brokers: &Option<Vec<BrokerId>>| {
            if let Some(brokers) = brokers {
                fields.push((number, tag(|out| write_brokers(out, brokers))));
            }
        };
        brokers(0, &self.isr);
        brokers(2, &self.replicas);
        brokers(3, &self.removing_replicas);
        brokers(4, &self.adding_replicas);
        if let Some(leader) = self.leader {
            let leader = leader.map_or(NO_LEADER, |leader| leader.0);
            fields.push((1, tag(|out| out.i32(leader))));
        }
        if let Some(recovering) = self.recovering {
            fields.push((5, tag(|out| out.bool(recovering))));
        }
        if let Some(directories) = &self.directories {
            let uuids = |out: &mut Writer| out.array(directories, |out, each| out.uuid(*each));
            fields.push((8, tag(uuids)));
        }
        fields.sort_by_key(|(number, _)| *number);
        out.tagged(fields);
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<PartitionChange, WireError> {
        let partition_id = input.i32()?;
        let mut record = PartitionChange::of(TopicId(input.uuid()?), partition_id);
        input.tagged(|tag, value| {
            match tag {
                0 => record.isr = read_nullable_brokers(value)?,
                1 => {
                    let leader = value.i32()?;
                    record.leader = (leader != NO_LEADER_CHANGE)
                        .then(|| (leader != NO_LEADER).then_some(BrokerId(leader)));
                }
                2 => record.replicas = read_nullable_brokers(value)?,
                3 => record.removing_replicas = read_nullable_brokers(value)?,
                4 => record.adding_replicas = read_nullable_brokers(value)?,
                5 => {
                    let state = value.i8()?;
                    record.recovering = (state != -1).then_some(state == 1);
                }
                8 => record.directories = value.nullable_array(Reader::uuid)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(record)
    }
}

impl BrokerRegistrationChange {
    pub(super) fn write(&self, out: &mut Writer) {
        out.i32(self.broker_id.0);
        out.i64(self.broker_epoch);
        let mut fields = Vec::new();
        if let Some(fenced) = self.fenced {
            fields.push((0, tag(|out| out.i8(if fenced { 1 } else { -1 }))));
        }
        if self.in_controlled_shutdown {
            fields.push((1, tag(|out| out.i8(1))));
        }
        fields.extend(uuids_unless_empty(2, &self.log_dirs));
        out.tagged(fields);
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<BrokerRegistrationChange, WireError> {
        let mut record = BrokerRegistrationChange {
            broker_id: BrokerId(input.i32()?),
            broker_epoch: input.i64()?,
            fenced: None,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
        };
        input.tagged(|tag, value| {
            match tag {
                0 => {
                    let fenced = value.i8()?;
                    record.fenced = (fenced != 0).then_some(fenced > 0);
                }
                1 => record.in_controlled_shutdown = value.i8()? == 1,
                2 => record.log_dirs = value.array(Reader::uuid)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(record)
    }
}

fn tag(write: impl FnOnce(&mut Writer)) -> Writer {
    let mut out = Writer::default();
    write(&mut out);
    out
}

fn uuids_unless_empty(number: u32, uuids: &[Uuid]) -> Vec<(u32, Writer)> {
    if uuids.is_empty() {
        return Vec::new();
    }
    let value = tag(|out| out.array(uuids, |out, each| out.uuid(*each)));
    vec![(number, value)]
}

fn write_brokers(out: &mut Writer, brokers: &[BrokerId]) {
    out.array(brokers, |out, broker| out.i32(broker.0));
}

fn read_broker(input: &mut Reader<'_>) -> Result<BrokerId, WireError> {
    input.i32().map(BrokerId)
}

fn read_brokers(input: &mut Reader<'_>) -> Result<Vec<BrokerId>, WireError> {
    input.array(read_broker)
}

fn read_nullable_brokers(input: &mut Reader<'_>) -> Result<Option<Vec<BrokerId>>, WireError> {
    input.nullable_array(read_broker)
}

fn read_leader(input: &mut Reader<'_>) -> Result<Option<BrokerId>, WireError> {
    let leader = input.i32()?;
    Ok((leader != NO_LEADER).then_some(BrokerId(leader)))
}

/// The text of a transaction record as its tagged fields: tag 0, absent when null.
pub(super) fn text_tag(text: Option<&str>) -> Vec<(u32, Writer)> {
    text.map(|text| (0, tag(|out| out.string(text))))
        .into_iter()
        .collect()
}

pub(super) fn read_text_tag(input: &mut Reader<'_>) -> Result<Option<String>, WireError> {
    let mut text = None;
    input.tagged(|tag, value| {
        if tag == 0 {
            text = value.nullable_string()?;
        }
        Ok(tag == 0)
    })?;
    Ok(text)
}
