//! OffsetFetch (9), v1–9. What groups have committed (R100–R102). v2 asks for all topics by null and
//! has an error of its own, v5 the leader epoch, v7 asks for stable offsets (KIP-447), v8 takes many
//! groups (KIP-709), v9 members of consumer groups (KIP-848), which are not served: member id and
//! epoch are ignored, as Kafka does for classic groups. There are no transactional commits yet:
//! every offset is stable.

use std::collections::HashSet;
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
        once(topics.map(|topic| (shared(&topic.name.0), topic.partition_indexes)))
    });
    let fetch = FetchOffsets {
        group: shared(&request.group_id.0),
        topics: topics.clone(),
    };
    when(cx.shared.groups.fetch(fetch), move |fetched| {
        let mut response = OffsetFetchResponse::default();
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

/// A partition asked for again is not answered again: its metadata may be long, and an answer must
/// not be larger than what has been committed.
fn once(topics: impl Iterator<Item = (Arc<str>, Vec<i32>)>) -> AskedTopics {
    let mut seen: HashSet<(Arc<str>, i32)> = HashSet::new();
    let once = topics.map(|(topic, mut partitions)| {
        partitions.retain(|index| seen.insert((topic.clone(), *index)));
        (topic, partitions)
    });
    once.collect()
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
    let (mut ids, mut asked, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for group in groups {
        if !seen.insert(group.group_id.to_string()) {
            continue;
        }
        let topics = group.topics.map(|topics| {
            let topics = topics.into_iter();
            once(topics.map(|topic| (shared(&topic.name.0), topic.partition_indexes)))
        });
        asked.push(cx.shared.groups.fetch(FetchOffsets {
            group: shared(&group.group_id.0),
            topics,
        }));
        ids.push(group.group_id);
    }
    when_all(asked, move |fetched| {
        let groups = ids
            .into_iter()
            .zip(fetched)
            .map(|(id, fetched)| respond(id, fetched));
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
