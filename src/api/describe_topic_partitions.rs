//! DescribeTopicPartitions (75), v0. Topics in pages of partitions (KIP-966; Kafka:
//! DescribeTopicPartitionsRequestHandler). Topics come sorted, from the cursor on; authorized
//! operations are always told (R160). Eligible leader replicas are empty: the feature is not
//! finalised before there are several brokers.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::metadata::{ALL_TOPIC_OPERATIONS, OPERATIONS_NOT_ASKED, nodes, offline};
use super::{Outcome, RequestContext, answer};
use crate::controller::names;
use crate::error::ResponseError;
use crate::metadata::image::{Image, PartitionImage, TopicImage, is_internal};

pub fn handle(cx: &RequestContext, request: DescribeTopicPartitionsRequest) -> Outcome {
    let response = if has_bad_cursor(&request) {
        refuse(&request)
    } else {
        let limit = cx.shared.config.max_request_partition_size_limit;
        let mut page = Page {
            image: &cx.shared.image(),
            listener: &cx.peer.listener,
            room: request.response_partition_limit.clamp(1, limit) as usize,
            answer: DescribeTopicPartitionsResponse::default(),
        };
        page.fill(&request);
        page.answer
    };
    answer::now(cx, cx.version(), &response)
}

/// A cursor has to name a partition, and one of the topics where these are listed.
fn has_bad_cursor(request: &DescribeTopicPartitionsRequest) -> bool {
    request.cursor.as_ref().is_some_and(|cursor| {
        let mut listed = request.topics.iter().map(|topic| &topic.name);
        let is_listed = request.topics.is_empty() || listed.any(|it| *it == cursor.topic_name);
        cursor.partition_index < 0 || !is_listed
    })
}

fn refuse(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter().map(|topic| {
        unknown_topic(topic.name.clone(), ResponseError::InvalidRequest)
            .with_topic_authorized_operations(OPERATIONS_NOT_ASKED)
    });
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

/// An answer that is being filled.
struct Page<'a> {
    image: &'a Image,
    listener: &'a str,
    /// How many more partitions it takes.
    room: usize,
    answer: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    fn fill(&mut self, request: &DescribeTopicPartitionsRequest) {
        let (from, first) = match &request.cursor {
            Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index as usize),
            None => ("", 0),
        };
        let wants_all = request.topics.is_empty();
        let image = self.image;
        let names: BTreeSet<&str> = match wants_all {
            true => image.topics().map(|topic| &*topic.name).collect(),
            false => request.topics.iter().map(|t| t.name.as_str()).collect(),
        };
        for name in names.range(from..) {
            if self.room == 0 {
                self.end_before(name, 0);
                return;
            }
            let first = if *name == from { first } else { 0 };
            match image.topic(name) {
                Some(topic) if !self.add(topic, first) => return,
                Some(_) => {}
                None => self.add_unknown(name),
            }
        }
    }

    /// The next page begins there.
    fn end_before(&mut self, topic: &str, partition: usize) {
        let cursor = Cursor::default()
            .with_topic_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partition_index(partition as i32);
        self.answer.next_cursor = Some(cursor);
    }

    /// Adds partitions from `first` on; whether the last of them had room.
    fn add(&mut self, topic: &TopicImage, first: usize) -> bool {
        let count = topic.partitions.len();
        let end = count.min(first.saturating_add(self.room));
        let partitions: Vec<_> = (first..end)
            .map(|index| self.partition(index as i32, &topic.partitions[index]))
            .collect();
        self.room -= partitions.len();
        let name = TopicName(StrBytes::from_string(topic.name.to_string()));
        let described = DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(name))
            .with_topic_id(topic.id.0)
            .with_is_internal(is_internal(&topic.name))
            .with_partitions(partitions)
            .with_topic_authorized_operations(ALL_TOPIC_OPERATIONS);
        self.answer.topics.push(described);
        if end < count {
            self.end_before(&topic.name, end);
        }
        end == count
    }

    fn add_unknown(&mut self, name: &str) {
        let error = match names::validate(name) {
            Ok(()) => ResponseError::UnknownTopicOrPartition,
            Err(_) => ResponseError::InvalidTopicException,
        };
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        self.answer.topics.push(unknown_topic(name, error));
    }

    fn partition(
        &self,
        index: i32,
        partition: &PartitionImage,
    ) -> DescribeTopicPartitionsResponsePartition {
        let leader = partition.leader.and_then(|id| self.image.brokers.get(&id));
        let leader = leader.filter(|it| !it.fenced && it.endpoint(self.listener).is_some());
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(leader.map_or(-1, |leader| leader.id.0).into())
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(nodes(&partition.replicas))
            .with_isr_nodes(nodes(&partition.isr))
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
            .with_offline_replicas(nodes(&offline(self.image, &partition.replicas)))
    }
}

fn unknown_topic(name: TopicName, error: ResponseError) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_is_internal(is_internal(&name))
        .with_name(Some(name))
        .with_topic_authorized_operations(ALL_TOPIC_OPERATIONS)
}
