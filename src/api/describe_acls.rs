//! DescribeAcls (29), v0–3; v0 by `protocol::legacy` (R14). There is no authorizer: the answer is
//! SECURITY_DISABLED, which tools know (R162).

use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, RequestContext, answer};
use crate::error::ResponseError;
use crate::protocol::legacy;

pub fn handle(cx: &RequestContext, _request: DescribeAclsRequest) -> Outcome {
    let sentence = "No Authorizer is configured on the broker";
    let response = DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(StrBytes::from_static_str(sentence)));
    match cx.version() {
        0 => answer::now_legacy(cx, |out| legacy::encode_describe_acls(&response, out)),
        version => answer::now(cx, version, &response),
    }
}
