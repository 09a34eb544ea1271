//! DescribeProducers (61), v0. What each partition's log knows of its producers (KIP-664, R161):
//! epoch, last sequence, last timestamp, and where an open transaction began.

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};

use super::{Outcome, RequestContext, answer};
use crate::controller::names;
use crate::error::{Error, ResponseError};
use crate::log::producers::ActiveProducer;

pub fn handle(cx: &RequestContext, request: DescribeProducersRequest) -> Outcome {
    let topics = request.topics.iter().map(|topic| describe(cx, topic));
    let response = DescribeProducersResponse::default().with_topics(topics.collect());
    answer::now(cx, cx.version(), &response)
}

fn describe(cx: &RequestContext, topic: &TopicRequest) -> TopicResponse {
    let known = check_topic(cx, &topic.name);
    let partitions = topic.partition_indexes.iter().map(|&index| {
        let producers = known.clone().and_then(|()| {
            let partition = cx.shared.partitions.find(&topic.name, index)?;
            Ok(partition.active_producers()?)
        });
        respond(index, producers)
    });
    TopicResponse::default()
        .with_name(topic.name.clone())
        .with_partitions(partitions.collect())
}

/// An unknown topic has Kafka's sentence, an unknown partition has none (R161).
fn check_topic(cx: &RequestContext, name: &str) -> Result<(), Error> {
    names::validate(name)
        .map_err(|sentence| Error::new(ResponseError::InvalidTopicException, sentence))?;
    match cx.shared.image().topic(name) {
        Some(_) => Ok(()),
        None => Err(Error::new(
            ResponseError::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        )),
    }
}

fn respond(index: i32, producers: Result<Vec<ActiveProducer>, Error>) -> PartitionResponse {
    let (producers, error) = match producers {
        Ok(producers) => (producers, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let (code, message) = answer::code_and_sentence(error);
    PartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(code)
        .with_error_message(message)
        .with_active_producers(producers.into_iter().map(state).collect())
}

fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(producer.epoch.into())
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.current_txn_first_offset)
}
