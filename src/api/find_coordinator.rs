//! FindCoordinator (10), v0–6. There are no coordinators before groups exist: every well-formed
//! key is answered COORDINATOR_NOT_AVAILABLE, which clients retry (R28 needs the key, R105 gives
//! texts and shapes). v1 adds key types and messages, v4 batches (KIP-699), v6 share groups.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;

const KEY_TYPE_TRANSACTION: i8 = 1;
const KEY_TYPE_SHARE: i8 = 2;

pub fn handle(cx: &RequestContext, request: FindCoordinatorRequest) -> Outcome {
    let version = cx.version();
    let (error, message) = match request.key_type {
        0..=KEY_TYPE_TRANSACTION => {
            (ResponseError::CoordinatorNotAvailable, "The coordinator is not available.")
        }
        KEY_TYPE_SHARE if version >= 6 => {
            (ResponseError::CoordinatorNotAvailable, "The coordinator is not available.")
        }
        KEY_TYPE_SHARE => (ResponseError::InvalidRequest, ""),
        _ => (ResponseError::InvalidRequest, INVALID_REQUEST_TEXT),
    };
    let response = if version >= 4 {
        let coordinators = request.coordinator_keys.iter().map(|key| {
            Coordinator::default()
                .with_key(key.clone())
                .with_node_id((-1).into())
                .with_port(-1)
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_static_str("")))
        });
        FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
    } else {
        let message = (version >= 1).then(|| StrBytes::from_static_str(message));
        FindCoordinatorResponse::default()
            .with_node_id((-1).into())
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(message)
    };
    answer::now(cx, version, &response)
}

const INVALID_REQUEST_TEXT: &str = "This most likely occurs because of a request being malformed \
    by the client library or the message was sent to an incompatible broker. \
    See the broker logs for more details.";
