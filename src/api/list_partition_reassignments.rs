//! ListPartitionReassignments (46), v0. Partitions whose replicas are moving (KIP-455); those that
//! stay are left out, and so are unknown ones. kafka-topics asks on every describe (R160).

use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::metadata::nodes;
use super::{Outcome, RequestContext, answer};
use crate::metadata::image::TopicImage;

pub fn handle(cx: &RequestContext, request: ListPartitionReassignmentsRequest) -> Outcome {
    let image = cx.shared.image();
    let topics = match &request.topics {
        None => image
            .topics()
            .filter_map(|topic| ongoing(topic, 0..topic.partitions.len() as i32))
            .collect(),
        Some(asked) => asked
            .iter()
            .filter_map(|asked| {
                let topic = image.topic(&asked.name)?;
                ongoing(topic, asked.partition_indexes.iter().copied())
            })
            .collect(),
    };
    let response = ListPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_topics(topics);
    answer::now(cx, cx.version(), &response)
}

/// `None` if none of the partitions moves.
fn ongoing(
    topic: &TopicImage,
    indexes: impl Iterator<Item = i32>,
) -> Option<OngoingTopicReassignment> {
    let moving = indexes.filter_map(|index| {
        let partition = topic.partitions.get(usize::try_from(index).ok()?)?;
        let (adding, removing) = (&partition.adding_replicas, &partition.removing_replicas);
        (!adding.is_empty() || !removing.is_empty()).then(|| {
            OngoingPartitionReassignment::default()
                .with_partition_index(index)
                .with_replicas(nodes(&partition.replicas))
                .with_adding_replicas(nodes(adding))
                .with_removing_replicas(nodes(removing))
        })
    });
    let partitions: Vec<_> = moving.collect();
    (!partitions.is_empty()).then(|| {
        OngoingTopicReassignment::default()
            .with_name(TopicName(StrBytes::from_string(topic.name.to_string())))
            .with_partitions(partitions)
    })
}
