//! OffsetCommit (8), v2–9. How far a group has read, per partition, from its members or from outside
//! of it (R99, R108, R114). v2–4 carry a retention of their own, v6 adds the leader epoch, v7 static
//! members, v9 is for members of consumer groups (KIP-848) too, which are not served. Topics by id
//! (v10) come with Kafka 4.2's profile.

use std::sync::Arc;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};

use super::coordinated::{owned, shared, text, when};
use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::group::command::{Commit, CommitPartition, CommitTopic, CommittedTopic};
use crate::metadata::image::Image;

const LAST_VERSION_WITH_RETENTION: i16 = 4;
const FIRST_VERSION_WITH_GROUP_ID_NOT_FOUND: i16 = 9;

pub fn handle(cx: &RequestContext, request: OffsetCommitRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let image = cx.shared.image();
    let mut response = OffsetCommitResponse::default();
    let mut topics = Vec::new();
    for topic in request.topics {
        let (known, unknown) = split(&image, topic);
        if let Some(unknown) = unknown {
            response.topics.push(unknown);
        }
        topics.extend(known);
    }
    if topics.is_empty() {
        return answer::now(cx, version, &response);
    }
    let asked: Vec<(Arc<str>, Vec<i32>)> = topics
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|asked| asked.partition);
            (topic.topic.clone(), partitions.collect())
        })
        .collect();
    let retention_ms = match version {
        ..=LAST_VERSION_WITH_RETENTION => Some(request.retention_time_ms).filter(|ms| *ms >= 0),
        _ => None,
    };
    let commit = Commit {
        group: shared(&request.group_id.0),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
        retention_ms,
        knows_group_id_not_found: version >= FIRST_VERSION_WITH_GROUP_ID_NOT_FOUND,
        topics,
    };
    when(cx.shared.groups.commit(commit), move |committed| {
        let topics = match committed.and_then(|committed| committed) {
            Ok(topics) => topics,
            Err(error) => refused(asked, error),
        };
        topics
            .into_iter()
            .for_each(|topic| merge(&mut response, topic));
        answer::encode(correlation_id, version, &response)
    })
}

/// What exists, and the answer about what does not (R99).
fn split(
    image: &Image,
    topic: OffsetCommitRequestTopic,
) -> (Option<CommitTopic>, Option<OffsetCommitResponseTopic>) {
    let count = image.topic(&topic.name).map_or(0, |t| t.partitions.len());
    let exists = |asked: &OffsetCommitRequestPartition| {
        usize::try_from(asked.partition_index).is_ok_and(|index| index < count)
    };
    let (known, unknown): (Vec<_>, Vec<_>) = topic.partitions.into_iter().partition(exists);
    let unknown = unknown.into_iter().map(|asked| {
        let error = ResponseError::UnknownTopicOrPartition;
        respond_partition(asked.partition_index, Some(error))
    });
    let unknown: Vec<_> = unknown.collect();
    let known = known.into_iter().map(|asked| CommitPartition {
        partition: asked.partition_index,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: owned(asked.committed_metadata).unwrap_or_default(),
    });
    let known = CommitTopic {
        topic: shared(&topic.name.0),
        partitions: known.collect(),
    };
    let unknown = OffsetCommitResponseTopic::default()
        .with_name(topic.name)
        .with_partitions(unknown);
    (
        (!known.partitions.is_empty()).then_some(known),
        (!unknown.partitions.is_empty()).then_some(unknown),
    )
}

fn refused(asked: Vec<(Arc<str>, Vec<i32>)>, error: ResponseError) -> Vec<CommittedTopic> {
    let topics = asked.into_iter().map(|(topic, partitions)| CommittedTopic {
        topic,
        partitions: partitions.into_iter().map(|p| (p, Some(error))).collect(),
    });
    topics.collect()
}

/// Partitions that do not exist come first in their topic, as in Kafka.
fn merge(response: &mut OffsetCommitResponse, topic: CommittedTopic) {
    let partitions = topic.partitions.into_iter();
    let partitions = partitions.map(|(index, error)| respond_partition(index, error));
    let known = response
        .topics
        .iter_mut()
        .find(|known| *known.name.0 == *topic.topic);
    match known {
        Some(known) => known.partitions.extend(partitions),
        None => {
            let answered = OffsetCommitResponseTopic::default()
                .with_name(TopicName(text(&*topic.topic)))
                .with_partitions(partitions.collect());
            response.topics.push(answered);
        }
    }
}

fn respond_partition(index: i32, error: Option<ResponseError>) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition::default()
        .with_partition_index(index)
        .with_error_code(error.map_or(0, |error| error.code()))
}
