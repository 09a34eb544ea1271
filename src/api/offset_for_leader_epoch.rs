//! OffsetForLeaderEpoch (23), v2–4. Where an epoch ended, so that clients and followers find out
//! that a log was truncated behind their back (KIP-101, KIP-320; R98). v3 adds the replica id.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::off_runtime::off_runtime;
use super::{Outcome, Parked, RequestContext, answer};
use crate::broker::Shared;
use crate::error::ResponseError;
use crate::types::{LeaderEpoch, Offset};

pub fn handle(cx: &RequestContext, request: OffsetForLeaderEpochRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    if !opens_logs(cx.shared, &request) {
        return answer::now(cx, version, &find_all(cx.shared, &request));
    }
    let shared = cx.shared.clone();
    Parked::shared(async move {
        let response = off_runtime(move || find_all(&shared, &request)).await;
        answer::encode(correlation_id, version, &response)
    })
}

fn opens_logs(shared: &Shared, request: &OffsetForLeaderEpochRequest) -> bool {
    request.topics.iter().any(|topic| {
        let mut asked = topic.partitions.iter().map(|asked| asked.partition);
        asked.any(|partition| shared.partitions.is_unopened(&topic.topic, partition))
    })
}

fn find_all(
    shared: &Shared,
    request: &OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let found = end_of_epoch(shared, &topic.topic, asked);
            let (epoch, end_offset) = *found.as_ref().unwrap_or(&(-1, -1));
            EpochEndOffset::default()
                .with_error_code(found.err().map_or(0, |error| error.code()))
                .with_partition(asked.partition)
                .with_leader_epoch(epoch)
                .with_end_offset(end_offset)
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn end_of_epoch(
    shared: &Shared,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(LeaderEpoch, Offset), ResponseError> {
    let partition = shared.partitions.find(topic, asked.partition)?;
    partition.end_of_epoch(asked.current_leader_epoch, asked.leader_epoch)
}
