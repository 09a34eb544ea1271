//! An image as the records that make it: what a snapshot holds and what the index stores
//! (Kafka: MetadataImage.write). Applied in this order to an empty image they give the same
//! one, but for `applied`.

use crate::metadata::image::{BrokerImage, Image, PartitionImage, TopicImage};
use crate::metadata::records::{
    BrokerEndpoint, MetadataRecord, Partition, RegisterBroker, TOPIC_RESOURCE,
};
use crate::types::BrokerId;

/// Features, brokers, producer ids and configs first, then each topic with its partitions.
pub fn records(image: &Image) -> impl Iterator<Item = MetadataRecord> {
    cluster_records(image).chain(image.topics().flat_map(topic_records))
}

/// Everything but topics.
pub fn cluster_records(image: &Image) -> impl Iterator<Item = MetadataRecord> {
    let features = image
        .features
        .iter()
        .map(|(name, level)| MetadataRecord::FeatureLevel {
            name: name.clone(),
            feature_level: *level,
        });
    let brokers = image.brokers.values().map(broker);
    let producer_ids = (image.next_producer_id > 0).then_some(MetadataRecord::ProducerIds {
        broker_id: BrokerId(-1),
        broker_epoch: -1,
        next_producer_id: image.next_producer_id,
    });
    let configs = image
        .configs
        .iter()
        .flat_map(|((resource_type, resource_name), configs)| {
            configs.iter().map(|(name, value)| MetadataRecord::Config {
                resource_type: *resource_type,
                resource_name: resource_name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            })
        });
    features.chain(brokers).chain(producer_ids).chain(configs)
}

/// One topic: itself, its configs, its partitions.
pub fn topic_records(topic: &TopicImage) -> impl Iterator<Item = MetadataRecord> {
    let itself = MetadataRecord::Topic {
        name: topic.name.to_string(),
        topic_id: topic.id,
    };
    let configs = topic
        .configs
        .iter()
        .map(|(name, value)| MetadataRecord::Config {
            resource_type: TOPIC_RESOURCE,
            resource_name: topic.name.to_string(),
            name: name.clone(),
            value: Some(value.clone()),
        });
    let partitions = topic.partitions.iter().enumerate();
    let partitions = partitions.map(|(index, image)| partition(topic, index as i32, image));
    std::iter::once(itself).chain(configs).chain(partitions)
}

fn broker(broker: &BrokerImage) -> MetadataRecord {
    let end_points = broker.endpoints.iter().map(|endpoint| BrokerEndpoint {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol.id(),
    });
    MetadataRecord::RegisterBroker(RegisterBroker {
        broker_id: broker.id,
        incarnation_id: broker.incarnation,
        broker_epoch: broker.epoch,
        end_points: end_points.collect(),
        features: broker.features.clone(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.log_dirs.clone(),
    })
}

fn partition(topic: &TopicImage, partition_id: i32, image: &PartitionImage) -> MetadataRecord {
    MetadataRecord::Partition(Partition {
        partition_id,
        topic_id: topic.id,
        replicas: image.replicas.clone(),
        isr: image.isr.clone(),
        removing_replicas: image.removing_replicas.clone(),
        adding_replicas: image.adding_replicas.clone(),
        leader: image.leader,
        recovering: image.recovering,
        leader_epoch: image.leader_epoch,
        partition_epoch: image.partition_epoch,
        directories: image.directories.clone(),
    })
}
