//! ElectLeaders (43), v0–2. Brings preferred leaders back (KIP-183); v1 adds unclean elections and
//! a top-level error (KIP-460), v2 is the flexible encoding. Without a list of partitions all are
//! looked at, and only those that needed an election are told (R160).

use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, Parked, RequestContext, answer};
use crate::controller::elections::{Elected, Election, Electorate};
use crate::error::{Error, ResponseError};

pub fn handle(cx: &RequestContext, request: ElectLeadersRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let election = match request.election_type {
        0 => Election::Preferred,
        1 => Election::Unclean,
        other => {
            let sentence = format!("Unknown election type {other}");
            let error = Error::new(ResponseError::InvalidRequest, sentence);
            return answer::now(cx, version, &fail(version, &request, &error));
        }
    };
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let electorate = electorate(&request);
        let elected = shared.controller.elect_leaders(election, electorate).await;
        let response = match elected {
            Ok(elected) => ElectLeadersResponse::default()
                .with_replica_election_results(elected.into_iter().map(result).collect()),
            Err(error) => fail(version, &request, &error),
        };
        answer::encode(correlation_id, version, &response)
    })
}

fn electorate(request: &ElectLeadersRequest) -> Option<Vec<Electorate>> {
    let topics = request.topic_partitions.as_ref()?.iter();
    let electorate = topics.map(|asked| Electorate {
        topic: asked.topic.to_string(),
        partitions: asked.partitions.clone(),
    });
    Some(electorate.collect())
}

/// Nothing was elected: said for the request, which version 0 cannot, and at each partition.
fn fail(version: i16, request: &ElectLeadersRequest, error: &Error) -> ElectLeadersResponse {
    let failed = electorate(request).unwrap_or_default().into_iter();
    let failed = failed.map(|Electorate { topic, partitions }| {
        let outcomes = partitions.into_iter();
        result(Elected {
            topic,
            partitions: outcomes.map(|it| (it, Err(error.clone()))).collect(),
        })
    });
    ElectLeadersResponse::default()
        .with_error_code(if version >= 1 { error.code.code() } else { 0 })
        .with_replica_election_results(failed.collect())
}

fn result(elected: Elected) -> ReplicaElectionResult {
    let partitions = elected.partitions.into_iter().map(|(index, outcome)| {
        let (code, message) = answer::code_and_sentence(outcome.err());
        PartitionResult::default()
            .with_partition_id(index)
            .with_error_code(code)
            .with_error_message(message)
    });
    ReplicaElectionResult::default()
        .with_topic(TopicName(StrBytes::from_string(elected.topic)))
        .with_partition_result(partitions.collect())
}
