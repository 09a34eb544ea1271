//! What metadata records mean: an image and records make the next image.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    ADVERTISED_LISTENERS, BrokerImage, Endpoint, Image, MetadataOffset, PartitionImage, TopicImage,
};
use crate::config::SecurityProtocol;
use crate::metadata::records::{self, BROKER_RESOURCE, MetadataRecord, TOPIC_RESOURCE};
use crate::types::{BrokerId, TopicId};

/// A record that does not fit the image it is applied to. Our own log never holds one, so the
/// log or its order is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata record at offset {offset} {problem}")]
pub struct ApplyError {
    pub offset: i64,
    pub problem: String,
}

impl Image {
    /// The image after `records`, each with its offset, in log order.
    pub fn apply<'a>(
        &self,
        records: impl IntoIterator<Item = (MetadataOffset, &'a MetadataRecord)>,
    ) -> Result<Image, ApplyError> {
        let mut image = self.clone();
        for (offset, record) in records {
            image.apply_one(record).map_err(|problem| ApplyError {
                offset: offset.0,
                problem,
            })?;
            image.applied = offset;
        }
        Ok(image)
    }

    fn apply_one(&mut self, record: &MetadataRecord) -> Result<(), String> {
        match record {
            MetadataRecord::RegisterBroker(record) => self.register(record),
            MetadataRecord::UnregisterBroker { broker_id, .. } => {
                self.brokers.remove(broker_id);
                Ok(())
            }
            MetadataRecord::Topic { name, topic_id } => self.add_topic(name, *topic_id),
            MetadataRecord::Partition(record) => self.add_partition(record),
            MetadataRecord::Config {
                resource_type,
                resource_name,
                name,
                value,
            } => self.configure(*resource_type, resource_name, name, value.as_deref()),
            MetadataRecord::PartitionChange(record) => self.change_partition(record),
            MetadataRecord::RemoveTopic { topic_id } => self.remove_topic(*topic_id),
            MetadataRecord::FeatureLevel {
                name,
                feature_level,
            } => {
                match feature_level {
                    0 => self.features.remove(name),
                    level => self.features.insert(name.clone(), *level),
                };
                Ok(())
            }
            MetadataRecord::ProducerIds {
                next_producer_id, ..
            } => {
                self.next_producer_id = *next_producer_id;
                Ok(())
            }
            MetadataRecord::BrokerRegistrationChange(record) => self.change_broker(record),
            MetadataRecord::NoOp
            | MetadataRecord::BeginTransaction { .. }
            | MetadataRecord::EndTransaction
            | MetadataRecord::AbortTransaction { .. } => Ok(()),
        }
    }

    fn register(&mut self, record: &records::RegisterBroker) -> Result<(), String> {
        let endpoints = record.end_points.iter().map(|end_point| {
            Ok(Endpoint {
                listener: end_point.name.clone(),
                host: end_point.host.clone(),
                port: end_point.port,
                security_protocol: security_protocol(end_point.security_protocol)?,
            })
        });
        let broker = BrokerImage {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation: record.incarnation_id,
            endpoints: endpoints.collect::<Result<_, String>>()?,
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            features: record.features.clone(),
            advertised: Vec::new(),
            log_dirs: record.log_dirs.clone(),
        };
        let mut broker = broker;
        let configs = self.configs_of(BROKER_RESOURCE, &broker.id.to_string());
        let advertised = configs.and_then(|configs| configs.get(ADVERTISED_LISTENERS));
        broker.advertise(advertised.map(String::as_str));
        self.brokers.insert(broker.id, broker);
        Ok(())
    }

    fn change_broker(&mut self, record: &records::BrokerRegistrationChange) -> Result<(), String> {
        let id = record.broker_id;
        let broker = self.brokers.get_mut(&id);
        let broker =
            broker.ok_or_else(|| format!("changes broker {id}, which is not registered"))?;
        if broker.epoch != record.broker_epoch {
            let (stored, named) = (broker.epoch, record.broker_epoch);
            return Err(format!(
                "changes broker {id} of epoch {named}, but it has {stored}"
            ));
        }
        broker.fenced = record.fenced.unwrap_or(broker.fenced);
        broker.in_controlled_shutdown |= record.in_controlled_shutdown;
        if !record.log_dirs.is_empty() {
            broker.log_dirs = record.log_dirs.clone();
        }
        Ok(())
    }

    fn add_topic(&mut self, name: &str, id: TopicId) -> Result<(), String> {
        let name: Arc<str> = name.into();
        let topic = TopicImage {
            name: name.clone(),
            id,
            partitions: Vec::new(),
            configs: BTreeMap::new(),
        };
        if self.topics.insert(name.clone(), Arc::new(topic)).is_some() {
            return Err(format!("creates topic '{name}', which exists"));
        }
        if self.names.insert(id, name).is_some() {
            return Err(format!("creates a topic with id {id}, which exists"));
        }
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), String> {
        let name = self.names.remove(&id);
        let name = name.ok_or_else(|| format!("removes topic id {id}, which does not exist"))?;
        self.topics.remove(&*name);
        Ok(())
    }

    fn add_partition(&mut self, record: &records::Partition) -> Result<(), String> {
        let topic = self.topic_mut(record.topic_id)?;
        let (expected, got) = (topic.partitions.len(), record.partition_id);
        if usize::try_from(got) != Ok(expected) {
            let name = &topic.name;
            return Err(format!(
                "adds partition {got} to topic '{name}' of {expected}"
            ));
        }
        topic.partitions.push(PartitionImage {
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            directories: record.directories.clone(),
            recovering: record.recovering,
        });
        Ok(())
    }

    fn change_partition(&mut self, record: &records::PartitionChange) -> Result<(), String> {
        let topic = self.topic_mut(record.topic_id)?;
        let name = topic.name.clone();
        let index = record.partition_id;
        let partition = usize::try_from(index).ok();
        let partition = partition.and_then(|index| topic.partitions.get_mut(index));
        let partition =
            partition.ok_or_else(|| format!("changes {name}-{index}, which does not exist"))?;
        partition.merge(record);
        Ok(())
    }

    fn configure(
        &mut self,
        resource_type: i8,
        resource: &str,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), String> {
        let configs = if resource_type == TOPIC_RESOURCE {
            let topic = self.topics.get_mut(resource);
            let topic = topic
                .ok_or_else(|| format!("configures topic '{resource}', which does not exist"))?;
            &mut Arc::make_mut(topic).configs
        } else {
            let key = (resource_type, resource.to_owned());
            self.configs.entry(key).or_default()
        };
        match value {
            Some(value) => configs.insert(name.to_owned(), value.to_owned()),
            None => configs.remove(name),
        };
        if resource_type == BROKER_RESOURCE
            && name == ADVERTISED_LISTENERS
            && let Some(broker) = resource
                .parse()
                .ok()
                .and_then(|id| self.brokers.get_mut(&BrokerId(id)))
        {
            broker.advertise(value);
        }
        // A resource without configs is none (R163).
        if configs.is_empty() && resource_type != TOPIC_RESOURCE {
            self.configs.remove(&(resource_type, resource.to_owned()));
        }
        Ok(())
    }

    fn topic_mut(&mut self, id: TopicId) -> Result<&mut TopicImage, String> {
        let topic = match self.names.get(&id) {
            Some(name) => self.topics.get_mut(&**name),
            None => None,
        };
        let topic = topic.ok_or_else(|| format!("names topic id {id}, which does not exist"))?;
        Ok(Arc::make_mut(topic))
    }
}

impl PartitionImage {
    /// Kafka: PartitionRegistration.merge. Naming a leader, even the same, begins a new epoch.
    fn merge(&mut self, change: &records::PartitionChange) {
        let set = |field: &mut Vec<BrokerId>, new: &Option<Vec<BrokerId>>| {
            if let Some(new) = new {
                field.clone_from(new);
            }
        };
        set(&mut self.isr, &change.isr);
        set(&mut self.replicas, &change.replicas);
        set(&mut self.removing_replicas, &change.removing_replicas);
        set(&mut self.adding_replicas, &change.adding_replicas);
        if let Some(leader) = change.leader {
            self.leader = leader;
            self.leader_epoch += 1;
        }
        if let Some(directories) = &change.directories {
            self.directories.clone_from(directories);
        }
        self.recovering = change.recovering.unwrap_or(self.recovering);
        self.partition_epoch += 1;
    }
}

/// The security protocol of a number in a registration record.
fn security_protocol(id: i16) -> Result<SecurityProtocol, String> {
    let all = [
        SecurityProtocol::Plaintext,
        SecurityProtocol::Ssl,
        SecurityProtocol::SaslPlaintext,
        SecurityProtocol::SaslSsl,
    ];
    let named = all.into_iter().find(|protocol| protocol.id() == id);
    named.ok_or_else(|| format!("names security protocol {id}, which does not exist"))
}
