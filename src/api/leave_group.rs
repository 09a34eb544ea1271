//! LeaveGroup (13), v0–5. Members go; the rest rebalances at once (R112). v3 takes many, static ones
//! by their instance ids (KIP-345), v5 the reason (KIP-800).

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::coordinated::{owned, shared, text, when};
use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::group::command::{Leave, Leaver, Left};

const FIRST_VERSION_WITH_MANY: i16 = 3;

pub fn handle(cx: &RequestContext, request: LeaveGroupRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    if request.group_id.is_empty() {
        let refused = respond(version, Err(ResponseError::InvalidGroupId));
        return answer::now(cx, version, &refused);
    }
    let members = match version {
        FIRST_VERSION_WITH_MANY.. => {
            let members = request.members.into_iter().map(|member| Leaver {
                member_id: member.member_id.to_string(),
                instance_id: owned(member.group_instance_id),
                reason: owned(member.reason),
            });
            members.collect()
        }
        _ => vec![Leaver {
            member_id: request.member_id.to_string(),
            instance_id: None,
            reason: None,
        }],
    };
    let leave = Leave {
        group: shared(&request.group_id.0),
        members,
    };
    when(cx.shared.groups.leave(leave), move |left| {
        answer::encode(correlation_id, version, &respond(version, left))
    })
}

/// Before v3 the one member's error is that of the request.
fn respond(version: i16, left: Result<Vec<Left>, ResponseError>) -> LeaveGroupResponse {
    let code = |error: Option<ResponseError>| error.map_or(0, |error| error.code());
    match left {
        Err(error) => LeaveGroupResponse::default().with_error_code(error.code()),
        Ok(left) if version < FIRST_VERSION_WITH_MANY => {
            let error = left.into_iter().find_map(|left| left.error);
            LeaveGroupResponse::default().with_error_code(code(error))
        }
        Ok(left) => {
            let members = left.into_iter().map(|left| {
                MemberResponse::default()
                    .with_member_id(text(left.member_id))
                    .with_group_instance_id(left.instance_id.map(text))
                    .with_error_code(code(left.error))
            });
            LeaveGroupResponse::default().with_members(members.collect())
        }
    }
}
