//! DescribeQuorum (55), v0–2. Who leads the quorum of controllers and how far its voters are
//! (KIP-595, KIP-836). v1 adds timestamps, v2 directory ids and nodes (KIP-853). The quorum is the
//! one of `__cluster_metadata-0`; anything else is unknown (R164). It has one voter, which has
//! always just caught up with itself, no observers, and no listener of its own (R17). Where all is
//! well the messages are empty, not null, as in Kafka.

use kafka_protocol::messages::describe_quorum_request;
use kafka_protocol::messages::describe_quorum_response::{
    Node, PartitionData, ReplicaState, TopicData,
};
use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, Parked, RequestContext, answer};
use crate::controller::names::CLUSTER_METADATA_TOPIC;
use crate::error::{Error, ResponseError};
use crate::quorum::QuorumStatus;
use crate::types::Millis;

const FIRST_VERSION_WITH_NODES: i16 = 2;

pub fn handle(cx: &RequestContext, request: DescribeQuorumRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    if !asks_for_the_quorum(&request) {
        return answer::now(cx, version, &refuse(version, &request));
    }
    let shared = cx.shared.clone();
    Parked::shared(async move {
        let described = shared.controller.describe_quorum().await;
        let response = match described {
            Ok(status) => describe(version, &status, shared.clock.wall_ms()),
            Err(error) => fail(version, error),
        };
        answer::encode(correlation_id, version, &response)
    })
}

/// Exactly one topic with exactly one partition, the one there is (Kafka:
/// KafkaRaftClient.hasValidTopicPartition).
fn asks_for_the_quorum(request: &DescribeQuorumRequest) -> bool {
    let [topic] = &request.topics[..] else {
        return false;
    };
    let partitions: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).collect();
    topic.topic_name.as_str() == CLUSTER_METADATA_TOPIC && partitions == [0]
}

fn refuse(version: i16, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let sentence = match version {
        FIRST_VERSION_WITH_NODES.. => "This server does not host this topic-partition.",
        _ => "",
    };
    let refused = |partition: &describe_quorum_request::PartitionData| {
        PartitionData::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(ResponseError::UnknownTopicOrPartition.code())
            .with_error_message(Some(StrBytes::from_static_str(sentence)))
    };
    let topics = request.topics.iter().map(|topic| {
        TopicData::default()
            .with_topic_name(topic.topic_name.clone())
            .with_partitions(topic.partitions.iter().map(refused).collect())
    });
    DescribeQuorumResponse::default().with_topics(topics.collect())
}

fn describe(version: i16, status: &QuorumStatus, now: Millis) -> DescribeQuorumResponse {
    let voters = status.voters.iter().map(|voter| {
        let mut state = ReplicaState::default()
            .with_replica_id(voter.id.0.into())
            .with_log_end_offset(voter.log_end_offset);
        if version >= 1 {
            state.last_fetch_timestamp = now;
            state.last_caught_up_timestamp = now;
        }
        if version >= FIRST_VERSION_WITH_NODES {
            state.replica_directory_id = voter.directory_id;
        }
        state
    });
    let partition = PartitionData::default()
        .with_leader_id(status.leader_id.0.into())
        .with_leader_epoch(status.leader_epoch)
        .with_high_watermark(status.high_watermark)
        .with_current_voters(voters.collect());
    let topic = TopicData::default()
        .with_topic_name(TopicName(StrBytes::from_static_str(CLUSTER_METADATA_TOPIC)))
        .with_partitions(vec![partition]);
    let mut response = DescribeQuorumResponse::default().with_topics(vec![topic]);
    if version >= FIRST_VERSION_WITH_NODES {
        let nodes = status.voters.iter();
        response.nodes = nodes
            .map(|voter| Node::default().with_node_id(voter.id.0.into()))
            .collect();
    }
    response
}

fn fail(version: i16, error: Error) -> DescribeQuorumResponse {
    let (code, message) = answer::code_and_sentence(Some(error));
    let mut response = DescribeQuorumResponse::default().with_error_code(code);
    if version >= FIRST_VERSION_WITH_NODES {
        response.error_message = message;
    }
    response
}
