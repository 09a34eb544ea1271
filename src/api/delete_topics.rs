//! DeleteTopics (20), v0–6; v0 by `protocol::legacy` (R14). v5 adds messages, v6 topics by id
//! (KIP-516). Every topic succeeds or fails by itself (R157).

use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Outcome, Parked, RequestContext, answer};
use crate::controller::topics::{DeletedTopic, TopicSelector};
use crate::error::{Error, ResponseError};
use crate::protocol::legacy;
use crate::types::TopicId;

const FIRST_VERSION_WITH_MESSAGES: i16 = 5;
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 6;
const FIRST_VERSION_THAT_KNOWS_DISABLED: i16 = 3;

pub fn handle(cx: &RequestContext, request: DeleteTopicsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let shared = cx.shared.clone();
    Parked::exclusive(async move {
        let asked = asked(version, request);
        // A topic asked for twice has one entry (R157).
        let mut entries: IndexMap<(Option<TopicName>, Uuid), DeletableTopicResult> =
            IndexMap::new();
        let mut push = |entry: DeletableTopicResult| {
            entries
                .entry((entry.name.clone(), entry.topic_id))
                .or_insert(entry);
        };
        let mut selectors = Vec::new();
        for topic in asked {
            match selector(&topic, shared.config.delete_topic_enable, version) {
                Ok(selector) => selectors.push((topic, selector)),
                Err(error) => push(entry(version, &topic, Err(error))),
            }
        }
        let wanted = selectors
            .iter()
            .map(|(_, selector)| selector.clone())
            .collect();
        let results = shared.controller.delete_topics(wanted).await;
        for ((topic, _), result) in selectors.iter().zip(results) {
            push(entry(version, topic, result));
        }
        let response =
            DeleteTopicsResponse::default().with_responses(entries.into_values().collect());
        match version {
            0 => answer::encode_legacy(correlation_id, |out| {
                legacy::encode_delete_topics(&response, out);
            }),
            _ => answer::encode(correlation_id, version, &response),
        }
    })
}

struct Asked {
    name: Option<TopicName>,
    id: Uuid,
}

fn asked(version: i16, request: DeleteTopicsRequest) -> Vec<Asked> {
    if version >= FIRST_VERSION_WITH_TOPIC_IDS {
        let topics = request.topics.into_iter();
        return topics
            .map(|topic| Asked {
                name: topic.name,
                id: topic.topic_id,
            })
            .collect();
    }
    let names = request.topic_names.into_iter();
    names
        .map(|name| Asked {
            name: Some(name),
            id: Uuid::nil(),
        })
        .collect()
}

fn selector(asked: &Asked, delete_enabled: bool, version: i16) -> Result<TopicSelector, Error> {
    if !delete_enabled {
        return Err(match version {
            FIRST_VERSION_THAT_KNOWS_DISABLED.. => ResponseError::TopicDeletionDisabled.into(),
            _ => ResponseError::InvalidRequest.into(),
        });
    }
    match (&asked.name, asked.id.is_nil()) {
        (Some(name), true) => Ok(TopicSelector::Name(name.to_string())),
        (None, false) => Ok(TopicSelector::Id(TopicId(asked.id))),
        (Some(_), false) => Err(Error::new(
            ResponseError::InvalidRequest,
            "You may not specify both topic name and topic id.",
        )),
        (None, true) => Err(Error::new(
            ResponseError::InvalidRequest,
            "Neither topic name nor id were specified.",
        )),
    }
}

fn entry(version: i16, asked: &Asked, result: Result<DeletedTopic, Error>) -> DeletableTopicResult {
    let mut entry = DeletableTopicResult::default()
        .with_name(asked.name.clone())
        .with_topic_id(asked.id);
    match result {
        Ok(deleted) => {
            entry.name = Some(TopicName(StrBytes::from_string(deleted.name)));
            entry.topic_id = deleted.id.0;
        }
        Err(error) => {
            entry.error_code = error.code.code();
            if version >= FIRST_VERSION_WITH_MESSAGES {
                entry.error_message = error.message.map(answer::sentence);
            }
        }
    }
    if version < FIRST_VERSION_WITH_TOPIC_IDS {
        entry.topic_id = Uuid::nil();
    }
    entry
}
