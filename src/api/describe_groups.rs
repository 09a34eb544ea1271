//! DescribeGroups (15), v0–6. State, protocol and members of classic groups (R115). v3 adds authorized
//! operations (KIP-430), v4 static members (KIP-345), v6 an error for groups that do not exist
//! (KIP-1043). All operations are authorized while there is no authorizer.

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::coordinated::{shared, text, when_all};
use super::metadata::OPERATIONS_NOT_ASKED;
use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::group::command::{DescribedMember, Description};

/// All operations on a group, as a bit field (KIP-430).
const ALL_GROUP_OPERATIONS: i32 = 3400;
const FIRST_VERSION_WITH_OPERATIONS: i16 = 3;
const FIRST_VERSION_WITH_STATIC_MEMBERS: i16 = 4;
const FIRST_VERSION_WITH_NOT_FOUND: i16 = 6;

pub fn handle(cx: &RequestContext, request: DescribeGroupsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let operations = match request.include_authorized_operations {
        true => ALL_GROUP_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    let ids = request.groups;
    let asked = ids
        .iter()
        .map(|id| cx.shared.groups.describe(shared(&id.0)));
    when_all(asked.collect(), move |described| {
        let mut size = 0;
        let groups = ids.into_iter().zip(described).map(|(id, described)| {
            let described = described.and_then(|described| check_size(described, &mut size));
            let mut group = respond(version, id, described);
            if version >= FIRST_VERSION_WITH_OPERATIONS {
                group.authorized_operations = operations;
            }
            group
        });
        let response = DescribeGroupsResponse::default().with_groups(groups.collect());
        answer::encode(correlation_id, version, &response)
    })
}

/// A group may be asked for as often as one likes: what is larger is refused, in bytes.
const ANSWER_MAX: usize = 256 << 20;

fn check_size(
    described: Option<Description>,
    so_far: &mut usize,
) -> Result<Option<Description>, ResponseError> {
    let members = described.iter().flat_map(|group| &group.members);
    let size = members.map(|m| m.id.len() + m.metadata.len() + m.assignment.len());
    *so_far += size.sum::<usize>();
    match *so_far <= ANSWER_MAX {
        true => Ok(described),
        false => Err(ResponseError::UnknownServerError),
    }
}

fn respond(
    version: i16,
    id: GroupId,
    described: Result<Option<Description>, ResponseError>,
) -> DescribedGroup {
    match described {
        Err(error) => DescribedGroup::default()
            .with_group_id(id)
            .with_error_code(error.code()),
        Ok(None) => dead(version, id),
        Ok(Some(description)) => {
            let members = description.members.into_iter();
            let members = members.map(|described| member(version, described));
            DescribedGroup::default()
                .with_group_id(id)
                .with_group_state(text(description.state))
                .with_protocol_type(text(description.protocol_type))
                .with_protocol_data(text(description.protocol_name))
                .with_members(members.collect())
        }
    }
}

fn dead(version: i16, id: GroupId) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(text("Dead"));
    let dead = match version {
        FIRST_VERSION_WITH_NOT_FOUND.. => dead
            .with_error_code(ResponseError::GroupIdNotFound.code())
            .with_error_message(Some(answer::sentence(format!("Group {} not found.", *id)))),
        _ => dead,
    };
    dead.with_group_id(id)
}

fn member(version: i16, member: DescribedMember) -> DescribedGroupMember {
    let instance_id = member.instance_id;
    let instance_id = instance_id.filter(|_| version >= FIRST_VERSION_WITH_STATIC_MEMBERS);
    DescribedGroupMember::default()
        .with_member_id(text(&*member.id))
        .with_group_instance_id(instance_id.map(|id| text(&*id)))
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}
