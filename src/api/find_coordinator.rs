//! FindCoordinator (10), v0–6. Which broker coordinates a group (R105). The internal topic is made on
//! the first question, and the answer waits until the coordinator there has loaded, so that clients
//! need not ask twice. There are no transaction and share coordinators yet: every well-formed key of
//! theirs is answered COORDINATOR_NOT_AVAILABLE, which clients retry (R28 needs the key). v1 adds key
//! types and messages, v4 batches (KIP-699), v6 share groups.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::coordinated::text;
use super::{Answer, Outcome, Parked, RequestContext, answer, internal_topics};
use crate::broker::Shared;
use crate::coordinator::partition_of;
use crate::error::ResponseError;
use crate::metadata::image::{CONSUMER_OFFSETS, Endpoint, Image};
use crate::types::{BrokerId, TopicId};

const KEY_TYPE_GROUP: i8 = 0;
const KEY_TYPE_TRANSACTION: i8 = 1;
const KEY_TYPE_SHARE: i8 = 2;
const FIRST_VERSION_WITH_MESSAGES: i16 = 1;
const FIRST_VERSION_WITH_MANY: i16 = 4;
const FIRST_VERSION_WITH_SHARE: i16 = 6;
/// How long an answer waits for a topic to be made or a log to be loaded; then it says 15, as Kafka
/// does at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// One key's answer: a broker, or why there is none.
type Found = Result<(BrokerId, Endpoint), ResponseError>;

pub fn handle(cx: &RequestContext, request: FindCoordinatorRequest) -> Outcome {
    let asked = Asked {
        version: cx.version(),
        correlation_id: cx.header.correlation_id,
        listener: cx.peer.listener.clone(),
        key_type: request.key_type,
        keys: match cx.version() {
            FIRST_VERSION_WITH_MANY.. => request.coordinator_keys,
            _ => vec![request.key],
        },
    };
    let groups = || match asked.key_type {
        KEY_TYPE_GROUP => asked.keys.as_slice(),
        _ => &[],
    };
    if groups()
        .iter()
        .all(|group| cx.shared.groups.is_ready(group))
    {
        return Outcome::Answer(asked.answer(cx.shared));
    }
    let shared = cx.shared.clone();
    Parked::shared(async move {
        let prepared = asked.prepare(&shared);
        // What did not come in time shows in the answer.
        let _ = tokio::time::timeout(PATIENCE, prepared).await;
        asked.answer(&shared)
    })
}

struct Asked {
    version: i16,
    correlation_id: i32,
    listener: Arc<str>,
    key_type: i8,
    keys: Vec<StrBytes>,
}

impl Asked {
    /// The topic is there and the coordinators asked for have loaded.
    async fn prepare(&self, shared: &Shared) {
        if internal_topics::ensure(shared, CONSUMER_OFFSETS)
            .await
            .is_err()
        {
            return;
        }
        for group in &self.keys {
            // Why it does not answer is found again with the answer.
            let _ = shared.groups.ready(group).await;
        }
    }

    fn answer(&self, shared: &Shared) -> Answer {
        let image = shared.image();
        let found = self.keys.iter().map(|key| self.find(shared, &image, key));
        let response = if self.version >= FIRST_VERSION_WITH_MANY {
            let coordinators = self.keys.iter().zip(found);
            let coordinators = coordinators.map(|(key, found)| self.one_of_many(key, found));
            FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
        } else {
            let found = found.into_iter().next();
            self.sole(found.unwrap_or(Err(ResponseError::InvalidRequest)))
        };
        answer::encode(self.correlation_id, self.version, &response)
    }

    fn find(&self, shared: &Shared, image: &Image, key: &str) -> Found {
        match self.key_type {
            KEY_TYPE_GROUP => group_coordinator(shared, image, &self.listener, key),
            KEY_TYPE_TRANSACTION => Err(ResponseError::CoordinatorNotAvailable),
            KEY_TYPE_SHARE if self.version >= FIRST_VERSION_WITH_SHARE && is_share_key(key) => {
                Err(ResponseError::CoordinatorNotAvailable)
            }
            _ => Err(ResponseError::InvalidRequest),
        }
    }

    fn sole(&self, found: Found) -> FindCoordinatorResponse {
        let message = match &found {
            Ok(_) => "NONE",
            Err(ResponseError::InvalidRequest) => self.invalid_request_text(),
            Err(_) => "The coordinator is not available.",
        };
        let has_message = self.version >= FIRST_VERSION_WITH_MESSAGES;
        let response = FindCoordinatorResponse::default()
            .with_error_message(has_message.then(|| StrBytes::from_static_str(message)));
        match found {
            Ok((id, endpoint)) => response
                .with_node_id(id.0.into())
                .with_host(text(endpoint.host))
                .with_port(endpoint.port.into()),
            Err(error) => response
                .with_node_id((-1).into())
                .with_port(-1)
                .with_error_code(error.code()),
        }
    }

    fn one_of_many(&self, key: &StrBytes, found: Found) -> Coordinator {
        let message = match &found {
            Err(ResponseError::InvalidRequest) => self.invalid_request_text(),
            _ => "",
        };
        let entry = Coordinator::default()
            .with_key(key.clone())
            .with_error_message(Some(StrBytes::from_static_str(message)));
        match found {
            Ok((id, endpoint)) => entry
                .with_node_id(id.0.into())
                .with_host(text(endpoint.host))
                .with_port(endpoint.port.into()),
            Err(error) => entry
                .with_node_id((-1).into())
                .with_port(-1)
                .with_error_code(error.code()),
        }
    }

    /// An unknown key type is an error of the whole request in Kafka, which gets the text of the
    /// error.
    fn invalid_request_text(&self) -> &'static str {
        match self.key_type {
            KEY_TYPE_SHARE => "",
            _ => INVALID_REQUEST_TEXT,
        }
    }
}

/// The leader of the group's partition, as clients of this listener reach it.
fn group_coordinator(shared: &Shared, image: &Image, listener: &str, group: &str) -> Found {
    let leader = || {
        let topic = image.topic(CONSUMER_OFFSETS)?;
        let index = partition_of(group, topic.partitions.len() as i32);
        let leader = topic.partitions.get(index as usize)?.leader?;
        let broker = image.brokers.get(&leader).filter(|broker| !broker.fenced)?;
        Some((leader, broker.endpoint(listener)?.clone()))
    };
    let found = leader().ok_or(ResponseError::CoordinatorNotAvailable)?;
    // One that cannot read its log would send clients round in circles.
    match found.0 == shared.config.node_id && shared.groups.has_failed(group) {
        true => Err(ResponseError::CoordinatorNotAvailable),
        false => Ok(found),
    }
}

/// `group:topic id:partition` (Kafka: SharePartitionKey.validate).
fn is_share_key(key: &str) -> bool {
    let mut parts = key.split(':');
    let (group, topic_id, partition) = (parts.next(), parts.next(), parts.next());
    parts.next().is_none()
        && group.is_some_and(|group| !group.trim().is_empty())
        && topic_id.and_then(TopicId::parse).is_some()
        && partition.is_some_and(|partition| partition.parse::<i32>().is_ok())
}

const INVALID_REQUEST_TEXT: &str = "This most likely occurs because of a request being malformed \
    by the client library or the message was sent to an incompatible broker. \
    See the broker logs for more details.";
