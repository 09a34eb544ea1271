//! OffsetDelete (47), v0. Committed offsets of topics that the group no longer reads (KIP-496, R115).

use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};

use super::coordinated::{shared, text, when};
use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::group::command::{DeleteOffsets, DeletedTopic};
use crate::metadata::image::Image;

pub fn handle(cx: &RequestContext, request: OffsetDeleteRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let image = cx.shared.image();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for topic in &request.topics {
        let (exist, others) = split(&image, topic);
        let name = shared(&topic.name.0);
        if !exist.is_empty() {
            known.push((name.clone(), exist));
        }
        if !others.is_empty() {
            let error = Some(ResponseError::UnknownTopicOrPartition);
            unknown.push(DeletedTopic {
                topic: name,
                partitions: others.into_iter().map(|index| (index, error)).collect(),
            });
        }
    }
    // A group that does not exist is told of whatever the topics are: `known` may be empty.
    if request.group_id.is_empty() {
        let error = ResponseError::InvalidGroupId;
        let response = OffsetDeleteResponse::default().with_error_code(error.code());
        return answer::now(cx, version, &response);
    }
    let delete = DeleteOffsets {
        group: shared(&request.group_id.0),
        topics: known,
    };
    when(cx.shared.groups.delete_offsets(delete), move |deleted| {
        let response = match deleted.and_then(|deleted| deleted) {
            Ok(deleted) => respond(unknown.into_iter().chain(deleted).collect()),
            Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        };
        answer::encode(correlation_id, version, &response)
    })
}

/// The partitions that exist, and the others.
fn split(image: &Image, topic: &OffsetDeleteRequestTopic) -> (Vec<i32>, Vec<i32>) {
    let count = image.topic(&topic.name).map_or(0, |t| t.partitions.len());
    let indexes = topic.partitions.iter().map(|asked| asked.partition_index);
    indexes.partition(|index| usize::try_from(*index).is_ok_and(|index| index < count))
}

/// Two entries of one topic become one.
fn respond(topics: Vec<DeletedTopic>) -> OffsetDeleteResponse {
    let mut answered: Vec<OffsetDeleteResponseTopic> = Vec::new();
    for topic in topics {
        let partitions = topic.partitions.into_iter().map(|(index, error)| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        match answered
            .iter_mut()
            .find(|known| *known.name.0 == *topic.topic)
        {
            Some(known) => known.partitions.extend(partitions),
            None => answered.push(
                OffsetDeleteResponseTopic::default()
                    .with_name(TopicName(text(&*topic.topic)))
                    .with_partitions(partitions.collect()),
            ),
        }
    }
    OffsetDeleteResponse::default().with_topics(answered)
}
