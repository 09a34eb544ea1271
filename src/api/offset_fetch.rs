//! OffsetFetch (9), v1–9. What groups have committed (R100–R102). v2 asks for all topics by null and
//! has an error of its own, v5 the leader epoch, v7 asks for stable offsets (KIP-447), v8 takes many
//! groups (KIP-709), v9 members of consumer groups (KIP-848), which are not served: member id and
//! epoch are ignored, as Kafka does for classic groups. There are no transactional commits yet:
//! every offset is stable.

use std::sync::Arc;

use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::coordinated::{code_of, shared, text, when, when_all};
use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::group::command::{FetchOffsets, FetchedTopic};
use crate::group::records::Committed;

const FIRST_VERSION_WITH_ERROR: i16 = 2;
const FIRST_VERSION_WITH_LEADER_EPOCH: i16 = 5;
const FIRST_VERSION_WITH_MANY_GROUPS: i16 = 8;

/// Topics with the partitions asked for.
type AskedTopics = Vec<(Arc<str>, Vec<i32>)>;

pub fn handle(cx: &RequestContext, request: OffsetFetchRequest) -> Outcome {
    match cx.version() {
        FIRST_VERSION_WITH_MANY_GROUPS.. => many(cx, request.groups),
        _ => one(cx, request),
    }
}

fn one(cx: &RequestContext, request: OffsetFetchRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let topics = request.topics.map(|topics| -> AskedTopics {
        let topics = topics.into_iter();
        topics
            .map(|topic| (shared(&topic.name.0), topic.partition_indexes))
            .collect()
    });
    let fetch = FetchOffsets {
        group: shared(&request.group_id.0),
        topics: topics.clone(),
    };
    when(cx.shared.groups.fetch(fetch), move |fetched| {
        let mut response = OffsetFetchResponse::default();
        let fetched = fetched.and_then(|topics| check_size(topics, &mut 0));
        let error = fetched.as_ref().err().copied();
        let topics = match (fetched, version) {
            (Ok(topics), _) => topics,
            (Err(error), FIRST_VERSION_WITH_ERROR..) => {
                response.error_code = error.code();
                Vec::new()
            }
            // R101: there is no other place for it, and "none committed" would reset consumers.
            (Err(_), _) => nothing(topics.unwrap_or_default()),
        };
        let in_partitions = error.filter(|_| version < FIRST_VERSION_WITH_ERROR);
        let topics = topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter();
            let partitions = partitions
                .map(|(index, committed)| old_partition(version, index, committed, in_partitions));
            OffsetFetchResponseTopic::default()
                .with_name(TopicName(text(&*topic.topic)))
                .with_partitions(partitions.collect())
        });
        response.topics = topics.collect();
        answer::encode(correlation_id, version, &response)
    })
}

/// Partitions may be asked for as often as one likes, and their metadata be long: what is larger is
/// refused, in bytes. No group has that much.
const ANSWER_MAX: usize = 64 << 20;

/// What is to be said of the topics, about; refused if it is too much.
fn check_size(
    topics: Vec<FetchedTopic>,
    so_far: &mut usize,
) -> Result<Vec<FetchedTopic>, ResponseError> {
    const PARTITION: usize = 24;
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    let metadata =
        |committed: &Option<Committed>| committed.as_ref().map_or(0, |c| c.metadata.len());
    *so_far += partitions
        .map(|(_, c)| PARTITION + metadata(c))
        .sum::<usize>();
    match *so_far <= ANSWER_MAX {
        true => Ok(topics),
        false => Err(ResponseError::UnknownServerError),
    }
}

fn nothing(asked: AskedTopics) -> Vec<FetchedTopic> {
    let topics = asked.into_iter().map(|(topic, partitions)| FetchedTopic {
        topic,
        partitions: partitions.into_iter().map(|index| (index, None)).collect(),
    });
    topics.collect()
}

fn old_partition(
    version: i16,
    index: i32,
    committed: Option<Committed>,
    error: Option<ResponseError>,
) -> OffsetFetchResponsePartition {
    let epoch = committed
        .as_ref()
        .map_or(-1, |committed| committed.leader_epoch);
    let answered = OffsetFetchResponsePartition::default()
        .with_partition_index(index)
        .with_committed_offset(committed.as_ref().map_or(-1, |committed| committed.offset))
        .with_metadata(Some(text(
            committed.map_or("".into(), |c| c.metadata).as_ref(),
        )))
        .with_error_code(error.map_or(0, |error| error.code()));
    match version {
        FIRST_VERSION_WITH_LEADER_EPOCH.. => answered.with_committed_leader_epoch(epoch),
        _ => answered,
    }
}

fn many(cx: &RequestContext, groups: Vec<OffsetFetchRequestGroup>) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let (mut ids, mut asked) = (Vec::new(), Vec::new());
    for group in groups {
        let topics = group.topics.map(|topics| {
            let topics = topics.into_iter();
            topics
                .map(|topic| (shared(&topic.name.0), topic.partition_indexes))
                .collect()
        });
        asked.push(cx.shared.groups.fetch(FetchOffsets {
            group: shared(&group.group_id.0),
            topics,
        }));
        ids.push(group.group_id);
    }
    when_all(asked, move |fetched| {
        let mut size = 0;
        let groups = ids.into_iter().zip(fetched).map(|(id, fetched)| {
            let fetched = fetched.and_then(|topics| check_size(topics, &mut size));
            respond(id, fetched)
        });
        let response = OffsetFetchResponse::default().with_groups(groups.collect());
        answer::encode(correlation_id, version, &response)
    })
}

fn respond(
    id: GroupId,
    fetched: Result<Vec<FetchedTopic>, ResponseError>,
) -> OffsetFetchResponseGroup {
    let error_code = code_of(&fetched);
    let topics = fetched.unwrap_or_default().into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|(index, committed)| {
            let answered = OffsetFetchResponsePartitions::default().with_partition_index(index);
            match committed {
                Some(committed) => answered
                    .with_committed_offset(committed.offset)
                    .with_committed_leader_epoch(committed.leader_epoch)
                    .with_metadata(Some(text(&*committed.metadata))),
                None => answered
                    .with_committed_offset(-1)
                    .with_metadata(Some(text(""))),
            }
        });
        OffsetFetchResponseTopics::default()
            .with_name(TopicName(text(&*topic.topic)))
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(id)
        .with_topics(topics.collect())
        .with_error_code(error_code)
}
