//! ListOffsets (2), v1–10. Offsets by time or by special value (R95–R97): −1 latest, −2 earliest,
//! −3 largest timestamp (v7, KIP-734), −4 earliest local (v8, KIP-405), −5 last tiered (v9). v2
//! adds the isolation level, v4 leader epochs, v10 a timeout that only tiered storage needs.

use std::collections::BTreeSet;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::off_runtime::off_runtime;
use super::{Outcome, Parked, RequestContext, answer};
use crate::broker::Shared;
use crate::error::ResponseError;
use crate::partition::{FoundOffset, Isolation, OffsetQuery};

pub fn handle(cx: &RequestContext, request: ListOffsetsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    if !needs_files(cx.shared, version, &request) {
        return answer::now(cx, version, &list(cx.shared, version, &request));
    }
    let shared = cx.shared.clone();
    Parked::shared(async move {
        let response = off_runtime(move || list(&shared, version, &request)).await;
        answer::encode(correlation_id, version, &response)
    })
}

/// Whether the answer may take file calls: a search by time, or a log that is not open.
fn needs_files(shared: &Shared, version: i16, request: &ListOffsetsRequest) -> bool {
    request.topics.iter().any(|topic| {
        topic.partitions.iter().any(|asked| {
            let searches = matches!(
                query(version, asked.timestamp),
                Ok(Some(OffsetQuery::AtOrAfter(_) | OffsetQuery::MaxTimestamp))
            );
            let partitions = &shared.partitions;
            searches || partitions.is_unopened(&topic.name, asked.partition_index)
        })
    })
}

fn list(shared: &Shared, version: i16, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = match request.isolation_level {
        1 => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let duplicates = duplicates(&request.topics);
    let topics = request.topics.iter().map(|topic| {
        let mut answered = BTreeSet::new();
        let partitions = topic.partitions.iter().filter_map(|asked| {
            let key = (topic.name.as_str(), asked.partition_index);
            if duplicates.contains(&key) {
                // R96: one entry for all of them.
                let first = answered.insert(asked.partition_index);
                return first.then(|| respond(version, asked, Err(ResponseError::InvalidRequest)));
            }
            let found = find(shared, version, &topic.name, asked, isolation);
            Some(respond(version, asked, found))
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn duplicates(topics: &[ListOffsetsTopic]) -> BTreeSet<(&str, i32)> {
    let mut seen = BTreeSet::new();
    let all = topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|p| (topic.name.as_str(), p.partition_index))
    });
    all.filter(|key| !seen.insert(*key)).collect()
}

fn find(
    shared: &Shared,
    version: i16,
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<FoundOffset>, ResponseError> {
    let query = query(version, asked.timestamp)?;
    let partition = shared.partitions.find(topic, asked.partition_index)?;
    let epoch = if version >= 4 {
        asked.current_leader_epoch
    } else {
        -1
    };
    match query {
        Some(query) => partition.find_offset(query, isolation, epoch),
        None => Ok(None),
    }
}

/// `None` for what only tiered storage could answer. A special value that the version does not
/// know is an error and never taken for a time (R96).
fn query(version: i16, timestamp: i64) -> Result<Option<OffsetQuery>, ResponseError> {
    match timestamp {
        0.. => Ok(Some(OffsetQuery::AtOrAfter(timestamp))),
        -1 => Ok(Some(OffsetQuery::Latest)),
        -2 => Ok(Some(OffsetQuery::Earliest)),
        -3 if version >= 7 => Ok(Some(OffsetQuery::MaxTimestamp)),
        -4 if version >= 8 => Ok(Some(OffsetQuery::Earliest)),
        -5 if version >= 9 => Ok(None),
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

fn respond(
    version: i16,
    asked: &ListOffsetsPartition,
    found: Result<Option<FoundOffset>, ResponseError>,
) -> ListOffsetsPartitionResponse {
    let (error, found) = match found {
        Ok(found) => (0, found),
        Err(error) => (error.code(), None),
    };
    let found = found.unwrap_or(FoundOffset {
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
    });
    let leader_epoch = if version >= 4 { found.leader_epoch } else { -1 };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(asked.partition_index)
        .with_error_code(error)
        .with_timestamp(found.timestamp)
        .with_offset(found.offset)
        .with_leader_epoch(leader_epoch)
}
