//! DeleteAcls (31), v0–3; v0 by `protocol::legacy` (R14). There is no authorizer: each filter is
//! answered SECURITY_DISABLED (R162).

use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::create_acls::NO_AUTHORIZER;
use super::{Outcome, RequestContext, answer};
use crate::error::{Error, ResponseError};
use crate::protocol::legacy;

pub fn handle(cx: &RequestContext, request: DeleteAclsRequest) -> Outcome {
    let refusal = Error::new(ResponseError::SecurityDisabled, NO_AUTHORIZER);
    let (code, message) = answer::code_and_sentence(Some(refusal));
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(code)
        .with_error_message(message);
    let results = vec![refused; request.filters.len()];
    let response = DeleteAclsResponse::default().with_filter_results(results);
    match cx.version() {
        0 => answer::now_legacy(cx, |out| legacy::encode_delete_acls(&response, out)),
        version => answer::now(cx, version, &response),
    }
}
