//! DeleteGroups (42), v0–2. Groups without members go with their offsets (KIP-229, R115).

use std::collections::BTreeSet;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::coordinated::{code_of, shared, when_all};
use super::{Outcome, RequestContext, answer};

pub fn handle(cx: &RequestContext, request: DeleteGroupsRequest) -> Outcome {
    let (version, correlation_id) = (cx.version(), cx.header.correlation_id);
    let mut seen = BTreeSet::new();
    let ids = request.groups_names.into_iter();
    let ids: Vec<GroupId> = ids.filter(|id| seen.insert(id.to_string())).collect();
    let asked = ids
        .iter()
        .map(|id| cx.shared.groups.delete_group(shared(&id.0)));
    when_all(asked.collect(), move |deleted| {
        let results = ids.into_iter().zip(deleted).map(|(id, deleted)| {
            let deleted = deleted.and_then(|deleted| deleted);
            DeletableGroupResult::default()
                .with_group_id(id)
                .with_error_code(code_of(&deleted))
        });
        let response = DeleteGroupsResponse::default().with_results(results.collect());
        answer::encode(correlation_id, version, &response)
    })
}
