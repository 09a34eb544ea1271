//! FindCoordinator (10), v0–6. There are no coordinators before groups exist: every well-formed
//! key is answered COORDINATOR_NOT_AVAILABLE, which clients retry (R28 needs the key, R105 gives
//! texts and shapes). v1 adds key types and messages, v4 batches (KIP-699), v6 share groups.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::types::TopicId;

const KEY_TYPE_TRANSACTION: i8 = 1;
const KEY_TYPE_SHARE: i8 = 2;
const FIRST_VERSION_WITH_SHARE: i16 = 6;

pub fn handle(cx: &RequestContext, request: FindCoordinatorRequest) -> Outcome {
    let version = cx.version();
    let response = if version >= 4 {
        let coordinators = request.coordinator_keys.iter().map(|key| {
            let (error, _) = find(version, request.key_type, key);
            Coordinator::default()
                .with_key(key.clone())
                .with_node_id((-1).into())
                .with_port(-1)
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_static_str("")))
        });
        FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
    } else {
        let (error, message) = find(version, request.key_type, &request.key);
        let message = (version >= 1).then(|| StrBytes::from_static_str(message));
        FindCoordinatorResponse::default()
            .with_node_id((-1).into())
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(message)
    };
    answer::now(cx, version, &response)
}

/// Why there is no coordinator for this key, with the message of v1–3.
fn find(version: i16, key_type: i8, key: &str) -> (ResponseError, &'static str) {
    let not_available = (
        ResponseError::CoordinatorNotAvailable,
        "The coordinator is not available.",
    );
    match key_type {
        0..=KEY_TYPE_TRANSACTION => not_available,
        KEY_TYPE_SHARE if version >= FIRST_VERSION_WITH_SHARE && is_share_key(key) => not_available,
        KEY_TYPE_SHARE => (ResponseError::InvalidRequest, ""),
        _ => (ResponseError::InvalidRequest, INVALID_REQUEST_TEXT),
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
