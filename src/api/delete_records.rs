//! DeleteRecords (21), v0–2; v2 is the flexible encoding (KIP-107). The answer leaves once the new
//! start is in the checkpoint on the device; its segments go later (R158). The timeout is for
//! followers, who must follow the start: there are none to wait for.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};

use super::off_runtime::off_runtime;
use super::{Outcome, Parked, RequestContext, answer};
use crate::broker::Shared;
use crate::error::ResponseError;
use crate::metadata::image::is_internal;
use crate::partition::Partition;
use crate::types::Offset;

/// In the request: everything that is committed.
const HIGH_WATERMARK: Offset = -1;

/// Where a partition begins now.
type Deleted = Result<(Arc<Partition>, Offset), ResponseError>;

pub fn handle(cx: &RequestContext, request: DeleteRecordsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let response = off_runtime(move || delete_all(&shared, request)).await;
        answer::encode(correlation_id, version, &response)
    })
}

fn delete_all(shared: &Shared, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    // A partition asked for twice has one entry, and the last offset counts.
    let mut asked: BTreeMap<TopicName, BTreeMap<i32, Offset>> = BTreeMap::new();
    for topic in request.topics {
        let partitions = topic.partitions.iter();
        let offsets = partitions.map(|partition| (partition.partition_index, partition.offset));
        asked.entry(topic.name).or_default().extend(offsets);
    }
    let topics = asked.into_iter().map(|(name, partitions)| {
        let deleted = partitions.into_iter().map(|(index, offset)| {
            let deleted = delete(shared, &name, index, offset);
            (index, deleted)
        });
        (name.clone(), deleted.collect::<Vec<_>>())
    });
    let topics: Vec<(TopicName, Vec<(i32, Deleted)>)> = topics.collect();
    // Only now, so that one round serves all of them.
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, deleted)| {
            let low_watermark = deleted.and_then(|(partition, start)| {
                shared.partitions.remove_soon(&partition);
                match partition.write_checkpoint() {
                    true => Ok(start),
                    false => Err(ResponseError::KafkaStorageError),
                }
            });
            result(index, low_watermark)
        });
        DeleteRecordsTopicResult::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

fn delete(shared: &Shared, topic: &str, index: i32, offset: Offset) -> Deleted {
    let partition = shared.partitions.find(topic, index)?;
    if is_internal(topic) {
        return Err(ResponseError::InvalidTopicException);
    }
    let before = (offset != HIGH_WATERMARK).then_some(offset);
    let start = partition.delete_records(before)?;
    Ok((partition, start))
}

fn result(
    index: i32,
    low_watermark: Result<Offset, ResponseError>,
) -> DeleteRecordsPartitionResult {
    let (low_watermark, error) = match low_watermark {
        Ok(low_watermark) => (low_watermark, 0),
        Err(error) => (-1, error.code()),
    };
    DeleteRecordsPartitionResult::default()
        .with_partition_index(index)
        .with_low_watermark(low_watermark)
        .with_error_code(error)
}
