//! OffsetForLeaderEpoch (23), v2–4. Where an epoch ended, so that clients and followers find out
//! that a log was truncated behind their back (KIP-101, KIP-320; R98). v3 adds the replica id.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::types::{LeaderEpoch, Offset};

pub fn handle(cx: &RequestContext, request: OffsetForLeaderEpochRequest) -> Outcome {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let found = end_of_epoch(cx, &topic.topic, asked);
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
    let response = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
    answer::now(cx, cx.version(), &response)
}

fn end_of_epoch(
    cx: &RequestContext,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(LeaderEpoch, Offset), ResponseError> {
    let partition = cx.shared.partitions.find(topic, asked.partition)?;
    partition.end_of_epoch(asked.current_leader_epoch, asked.leader_epoch)
}
