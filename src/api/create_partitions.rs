//! CreatePartitions (37), v0–3. Adds partitions to topics (KIP-195). v2 is the flexible encoding,
//! v3 has a throttling error that only quotas give (KIP-599). Every topic succeeds or fails by
//! itself (R155, R157), and the partitions are there when the answer leaves (R50).

use std::collections::BTreeSet;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};

use super::{Outcome, Parked, RequestContext, answer};
use crate::controller::partitions::MorePartitions;
use crate::error::{Error, ResponseError};
use crate::types::BrokerId;

pub fn handle(cx: &RequestContext, request: CreatePartitionsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let results = if request.timeout_ms <= 0 {
            // Kafka gives up before it begins (R156).
            vec![Err(ResponseError::RequestTimedOut.into()); request.topics.len()]
        } else {
            let wanted = request.topics.iter().map(more_partitions).collect();
            let validate_only = request.validate_only;
            shared
                .controller
                .create_partitions(wanted, validate_only)
                .await
        };
        let mut answered = BTreeSet::new();
        let entries = request
            .topics
            .iter()
            .zip(results)
            .filter(|(topic, _)| answered.insert(topic.name.to_string()))
            .map(|(topic, result)| entry(&topic.name, result));
        let response = CreatePartitionsResponse::default().with_results(entries.collect());
        answer::encode(correlation_id, version, &response)
    })
}

fn more_partitions(topic: &CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let replicas = assignments.iter().map(|assignment| {
            let ids = assignment.broker_ids.iter();
            ids.map(|id| BrokerId(id.0)).collect()
        });
        replicas.collect()
    });
    MorePartitions {
        topic: topic.name.to_string(),
        count: topic.count,
        assignments,
    }
}

fn entry(name: &TopicName, result: Result<(), Error>) -> CreatePartitionsTopicResult {
    let (code, message) = answer::code_and_sentence(result.err());
    CreatePartitionsTopicResult::default()
        .with_name(name.clone())
        .with_error_code(code)
        .with_error_message(message)
}
