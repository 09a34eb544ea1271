//! Heartbeat (12), v0–4. A member says it is alive and learns whether to rejoin (R111). v3 adds the
//! static member's instance id (KIP-345); v4 is the flexible encoding.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::coordinated::{code_of, owned, shared, when};
use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::group::command::Heartbeat;

pub fn handle(cx: &RequestContext, request: HeartbeatRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    if request.group_id.is_empty() {
        let error = ResponseError::InvalidGroupId;
        let response = HeartbeatResponse::default().with_error_code(error.code());
        return answer::now(cx, version, &response);
    }
    let beat = Heartbeat {
        group: shared(&request.group_id.0),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
    };
    when(cx.shared.groups.heartbeat(beat), move |alive| {
        let alive = match alive {
            // Whoever it is need not rejoin for that (Kafka: GroupCoordinatorService.heartbeat).
            Err(ResponseError::CoordinatorLoadInProgress) => Ok(()),
            alive => alive.and_then(|alive| alive),
        };
        let response = HeartbeatResponse::default().with_error_code(code_of(&alive));
        answer::encode(correlation_id, version, &response)
    })
}
