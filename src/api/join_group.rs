//! JoinGroup (11), v0–9. A member comes, or comes back, and hears who leads the next generation
//! (R106, R107, R109). v1 adds the rebalance timeout, v4 ids that are given before they count
//! (KIP-394), v5 static members (KIP-345), v7 the protocol type in the answer (KIP-559), v8 the
//! reason (KIP-800), v9 leaders that need not assign (KIP-814).

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use uuid::Uuid;

use super::coordinated::{client_host, client_id, owned, shared, text, when};
use super::{Outcome, RequestContext, answer};
use crate::group::command::{Join, Joined, Protocol};

const FIRST_VERSION_WITH_REBALANCE_TIMEOUT: i16 = 1;
const FIRST_VERSION_WITH_KNOWN_MEMBERS: i16 = 4;
const FIRST_VERSION_WITH_STATIC_MEMBERS: i16 = 5;
const FIRST_VERSION_WITH_PROTOCOL_TYPE: i16 = 7;
const FIRST_VERSION_WITH_SKIPPING: i16 = 9;

pub fn handle(cx: &RequestContext, request: JoinGroupRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let join = join(cx, request);
    if let Err(error) = cx.shared.groups.settings().check_join(&join) {
        let refused = Joined::refused(error, join.member_id);
        return answer::now(cx, version, &respond(version, refused));
    }
    when(cx.shared.groups.join(join), move |joined| {
        // Kafka's coordinator names nobody where it is not one.
        let joined = joined.unwrap_or_else(|error| Joined::refused(error, ""));
        answer::encode(correlation_id, version, &respond(version, joined))
    })
}

fn join(cx: &RequestContext, request: JoinGroupRequest) -> Join {
    let version = cx.version();
    let protocols = request.protocols.into_iter().map(|protocol| Protocol {
        name: protocol.name.to_string(),
        // Copied out of the frame, which would stay in memory as long as the member does.
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    });
    Join {
        group: shared(&request.group_id.0),
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
        client_id: client_id(cx.peer.client_id.as_deref()),
        client_host: client_host(&cx.peer.address),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: match version {
            FIRST_VERSION_WITH_REBALANCE_TIMEOUT.. => request.rebalance_timeout_ms,
            _ => request.session_timeout_ms,
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        requires_known_member_id: version >= FIRST_VERSION_WITH_KNOWN_MEMBERS,
        supports_skipping_assignment: version >= FIRST_VERSION_WITH_SKIPPING,
        new_id_suffix: Uuid::new_v4().to_string(),
        reason: owned(request.reason).unwrap_or_else(|| "not provided".to_owned()),
    }
}

fn respond(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        let instance_id = member
            .instance_id
            .filter(|_| version >= FIRST_VERSION_WITH_STATIC_MEMBERS);
        JoinGroupResponseMember::default()
            .with_member_id(text(&*member.id))
            .with_group_instance_id(instance_id.map(|id| text(&*id)))
            .with_metadata(member.metadata)
    });
    let nullable = version >= FIRST_VERSION_WITH_PROTOCOL_TYPE;
    let protocol_name = match joined.protocol_name {
        // R106: null only where it may be.
        None if !nullable => Some(String::new()),
        name => name,
    };
    JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |error| error.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.filter(|_| nullable).map(text))
        .with_protocol_name(protocol_name.map(text))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment && version >= FIRST_VERSION_WITH_SKIPPING)
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}
