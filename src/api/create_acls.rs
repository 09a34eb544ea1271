//! CreateAcls (30), v0–3; v0 by `protocol::legacy` (R14). There is no authorizer that could store
//! and enforce them: each is answered SECURITY_DISABLED (R162).

use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

use super::{Outcome, RequestContext, answer};
use crate::error::{Error, ResponseError};
use crate::protocol::legacy;

/// For each entry of a request that wants to change ACLs.
pub(super) const NO_AUTHORIZER: &str = "No Authorizer is configured.";

pub fn handle(cx: &RequestContext, request: CreateAclsRequest) -> Outcome {
    let refusal = Error::new(ResponseError::SecurityDisabled, NO_AUTHORIZER);
    let (code, message) = answer::code_and_sentence(Some(refusal));
    let refused = AclCreationResult::default()
        .with_error_code(code)
        .with_error_message(message);
    let results = vec![refused; request.creations.len()];
    let response = CreateAclsResponse::default().with_results(results);
    match cx.version() {
        0 => answer::now_legacy(cx, |out| legacy::encode_create_acls(&response, out)),
        version => answer::now(cx, version, &response),
    }
}
