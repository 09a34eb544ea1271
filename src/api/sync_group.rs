//! SyncGroup (14), v0–5. The leader hands in what each member gets, and each member hears its
//! share (R110). v3 adds static members (KIP-345), v5 the protocol, which has to be the group's
//! (KIP-559).

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::coordinated::{owned, shared, text, when};
use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::group::command::{Sync, Synced};

const FIRST_VERSION_WITH_PROTOCOL: i16 = 5;

pub fn handle(cx: &RequestContext, request: SyncGroupRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    if let Err(error) = check(version, &request) {
        return answer::now(cx, version, &respond(version, Err(error)));
    }
    let assignments = request.assignments.into_iter();
    let sync = Sync {
        group: shared(&request.group_id.0),
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
        protocol_type: owned(request.protocol_type),
        protocol_name: owned(request.protocol_name),
        assignments: assignments
            .map(|share| (share.member_id.to_string(), share.assignment))
            .collect(),
    };
    when(cx.shared.groups.sync(sync), move |synced| {
        let response = respond(version, synced.and_then(|synced| synced));
        answer::encode(correlation_id, version, &response)
    })
}

fn check(version: i16, request: &SyncGroupRequest) -> Result<(), ResponseError> {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= FIRST_VERSION_WITH_PROTOCOL && !names_protocol {
        return Err(ResponseError::InconsistentGroupProtocol);
    }
    match request.group_id.is_empty() {
        true => Err(ResponseError::InvalidGroupId),
        false => Ok(()),
    }
}

fn respond(version: i16, synced: Result<Synced, ResponseError>) -> SyncGroupResponse {
    match synced {
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
        Ok(synced) => {
            let named = version >= FIRST_VERSION_WITH_PROTOCOL;
            SyncGroupResponse::default()
                .with_protocol_type(synced.protocol_type.filter(|_| named).map(text))
                .with_protocol_name(synced.protocol_name.filter(|_| named).map(text))
                .with_assignment(synced.assignment)
        }
    }
}
