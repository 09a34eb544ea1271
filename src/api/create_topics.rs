//! CreateTopics (19), v0–7; v0–1 by `protocol::legacy` (R14). v1 adds validate_only and messages,
//! v4 broker defaults by −1, v5 the configs of what was created (KIP-525), v7 its topic id. Every
//! topic succeeds or fails by itself (R155, R156). Creation policies are not supported.

use std::collections::BTreeSet;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, Parked, RequestContext, answer};
use crate::config::TopicDefaults;
use crate::controller::topics::{CreatedTopic, NewTopic};
use crate::error::{Error, ResponseError};
use crate::metadata::topic_config;
use crate::types::BrokerId;

const FIRST_VERSION_WITH_CONFIGS: i16 = 5;
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 7;
const LAST_LEGACY_VERSION: i16 = 1;

pub fn handle(cx: &RequestContext, request: CreateTopicsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let names: Vec<TopicName> = request
        .topics
        .iter()
        .map(|topic| topic.name.clone())
        .collect();
    let topics: Vec<NewTopic> = request.topics.iter().map(new_topic).collect();
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let results = if request.timeout_ms <= 0 {
            // Kafka gives up before it begins (R156).
            vec![Err(ResponseError::RequestTimedOut.into()); topics.len()]
        } else {
            shared
                .controller
                .create_topics(topics, request.validate_only)
                .await
        };
        let defaults = &shared.dynamic().topic_defaults;
        let mut answered = BTreeSet::new();
        let entries = names
            .iter()
            .zip(results)
            .filter(|(name, _)| answered.insert(name.to_string()));
        let entries = entries.map(|(name, result)| match result {
            Ok(created) => created_entry(version, name, &created, defaults),
            Err(error) => failed_entry(version, name, error),
        });
        let response = CreateTopicsResponse::default().with_topics(entries.collect());
        match version {
            0..=LAST_LEGACY_VERSION => answer::encode_legacy(correlation_id, |out| {
                crate::protocol::legacy::encode_create_topics(&response, version, out);
            }),
            _ => answer::encode(correlation_id, version, &response),
        }
    })
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| {
        let brokers = assignment.broker_ids.iter().map(|id| BrokerId(id.0));
        (assignment.partition_index, brokers.collect())
    });
    let configs = topic.configs.iter().map(|config| {
        (
            config.name.to_string(),
            config.value.as_ref().map(|value| value.to_string()),
        )
    });
    NewTopic {
        name: topic.name.to_string(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn created_entry(
    version: i16,
    name: &TopicName,
    created: &CreatedTopic,
    defaults: &TopicDefaults,
) -> CreatableTopicResult {
    // The crate's default is an empty message; success has none (R188).
    let mut entry = CreatableTopicResult::default()
        .with_name(name.clone())
        .with_error_message(None);
    if version >= FIRST_VERSION_WITH_CONFIGS {
        let described = topic_config::describe(&created.configs, defaults);
        let configs = described.into_iter().map(|config| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_string(config.name))
                .with_read_only(config.is_read_only)
                .with_config_source(config.source.code())
                .with_is_sensitive(config.is_sensitive)
                .with_value(config.value.map(StrBytes::from_string))
        });
        entry.configs = Some(configs.collect());
        entry.num_partitions = created.num_partitions;
        entry.replication_factor = created.replication_factor;
    }
    if version >= FIRST_VERSION_WITH_TOPIC_IDS {
        entry.topic_id = created.id.0;
    }
    entry
}

fn failed_entry(version: i16, name: &TopicName, error: Error) -> CreatableTopicResult {
    let mut entry = CreatableTopicResult::default()
        .with_name(name.clone())
        .with_error_code(error.code.code());
    if version >= 1 {
        entry.error_message = error.message.map(answer::sentence);
    }
    if version >= FIRST_VERSION_WITH_CONFIGS {
        entry.num_partitions = -1;
        entry.replication_factor = -1;
        entry.configs = Some(Vec::new());
    }
    entry
}
