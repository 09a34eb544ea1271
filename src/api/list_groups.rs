//! ListGroups (16), v0–5. All groups whose coordinator is here, those of committed offsets alone
//! included (R115). v4 adds states and a filter by them (KIP-518), v5 types (KIP-848): all groups
//! here are classic.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use super::coordinated::{text, when_all};
use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::group::command::Listed;

const FIRST_VERSION_WITH_STATES: i16 = 4;
const FIRST_VERSION_WITH_TYPES: i16 = 5;
const CLASSIC: &str = "classic";

pub fn handle(cx: &RequestContext, request: ListGroupsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    when_all(cx.shared.groups.list(), move |answers| {
        let mut response = ListGroupsResponse::default();
        for listed in answers {
            match listed {
                Ok(groups) => {
                    let wanted = groups
                        .into_iter()
                        .filter(|group| is_wanted(&request, group));
                    response
                        .groups
                        .extend(wanted.map(|group| respond(version, group)));
                }
                // Its groups are elsewhere, or nowhere.
                Err(ResponseError::NotCoordinator) => {}
                Err(error) => {
                    let refused = ListGroupsResponse::default().with_error_code(error.code());
                    return answer::encode(correlation_id, version, &refused);
                }
            }
        }
        answer::encode(correlation_id, version, &response)
    })
}

/// Filters ignore case; what nobody knows matches nothing.
fn is_wanted(request: &ListGroupsRequest, group: &Listed) -> bool {
    let matches = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|f| f.trim().eq_ignore_ascii_case(value))
    };
    matches(&request.states_filter, group.state) && matches(&request.types_filter, CLASSIC)
}

fn respond(version: i16, group: Listed) -> ListedGroup {
    let mut listed = ListedGroup::default()
        .with_group_id(GroupId(text(&*group.group)))
        .with_protocol_type(text(group.protocol_type));
    if version >= FIRST_VERSION_WITH_STATES {
        listed.group_state = text(group.state);
    }
    if version >= FIRST_VERSION_WITH_TYPES {
        listed.group_type = text(CLASSIC);
    }
    listed
}
