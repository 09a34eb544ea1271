//! Version 0 of the ACL calls: no pattern types, every name is literal. The layouts are those of
//! Kafka 3.9's DescribeAcls, CreateAcls and DeleteAcls schemas.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsRequest, DescribeAclsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{put_string, without_trailing};
use crate::protocol::wire::{Decoded, Reader};

/// kafka:PatternType.LITERAL.
const LITERAL: i8 = 3;
/// Three kinds and three strings at their shortest.
const FILTER_SIZE_MIN: usize = 3 + 3 * 2;

/// DescribeAcls v0; `None` if the body is malformed.
pub fn decode_describe_acls(body: &Bytes) -> Option<DescribeAclsRequest> {
    let filter = Filter::read(&mut reader(29, body)?).ok()?;
    Some(
        DescribeAclsRequest::default()
            .with_resource_type_filter(filter.resource_type)
            .with_resource_name_filter(filter.resource_name)
            .with_pattern_type_filter(LITERAL)
            .with_principal_filter(filter.principal)
            .with_host_filter(filter.host)
            .with_operation(filter.operation)
            .with_permission_type(filter.permission_type),
    )
}

/// CreateAcls v0; `None` if the body is malformed.
pub fn decode_create_acls(body: &Bytes) -> Option<CreateAclsRequest> {
    let creations = reader(30, body)?.array(FILTER_SIZE_MIN, |input| {
        Ok(AclCreation::default()
            .with_resource_type(input.i8()?)
            .with_resource_name(input.string()?)
            .with_resource_pattern_type(LITERAL)
            .with_principal(input.string()?)
            .with_host(input.string()?)
            .with_operation(input.i8()?)
            .with_permission_type(input.i8()?))
    });
    Some(CreateAclsRequest::default().with_creations(creations.ok()?))
}

/// DeleteAcls v0; `None` if the body is malformed.
pub fn decode_delete_acls(body: &Bytes) -> Option<DeleteAclsRequest> {
    let filters = reader(31, body)?.array(FILTER_SIZE_MIN, |input| {
        let filter = Filter::read(input)?;
        Ok(DeleteAclsFilter::default()
            .with_resource_type_filter(filter.resource_type)
            .with_resource_name_filter(filter.resource_name)
            .with_pattern_type_filter(LITERAL)
            .with_principal_filter(filter.principal)
            .with_host_filter(filter.host)
            .with_operation(filter.operation)
            .with_permission_type(filter.permission_type))
    });
    Some(DeleteAclsRequest::default().with_filters(filters.ok()?))
}

/// DescribeAcls v0.
pub fn encode_describe_acls(response: &DescribeAclsResponse, out: &mut BytesMut) {
    out.put_i32(response.throttle_time_ms);
    out.put_i16(response.error_code);
    put_nullable_string(out, response.error_message.as_deref());
    out.put_i32(response.resources.len() as i32);
    for resource in &response.resources {
        out.put_i8(resource.resource_type);
        put_string(out, &resource.resource_name);
        out.put_i32(resource.acls.len() as i32);
        for acl in &resource.acls {
            put_string(out, &acl.principal);
            put_string(out, &acl.host);
            out.put_i8(acl.operation);
            out.put_i8(acl.permission_type);
        }
    }
}

/// CreateAcls v0.
pub fn encode_create_acls(response: &CreateAclsResponse, out: &mut BytesMut) {
    out.put_i32(response.throttle_time_ms);
    out.put_i32(response.results.len() as i32);
    for result in &response.results {
        out.put_i16(result.error_code);
        put_nullable_string(out, result.error_message.as_deref());
    }
}

/// DeleteAcls v0.
pub fn encode_delete_acls(response: &DeleteAclsResponse, out: &mut BytesMut) {
    out.put_i32(response.throttle_time_ms);
    out.put_i32(response.filter_results.len() as i32);
    for result in &response.filter_results {
        out.put_i16(result.error_code);
        put_nullable_string(out, result.error_message.as_deref());
        out.put_i32(result.matching_acls.len() as i32);
        for acl in &result.matching_acls {
            out.put_i16(acl.error_code);
            put_nullable_string(out, acl.error_message.as_deref());
            out.put_i8(acl.resource_type);
            put_string(out, &acl.resource_name);
            put_string(out, &acl.principal);
            put_string(out, &acl.host);
            out.put_i8(acl.operation);
            out.put_i8(acl.permission_type);
        }
    }
}

/// What DescribeAcls and DeleteAcls look for; a null is "any".
struct Filter {
    resource_type: i8,
    resource_name: Option<StrBytes>,
    principal: Option<StrBytes>,
    host: Option<StrBytes>,
    operation: i8,
    permission_type: i8,
}

impl Filter {
    fn read(input: &mut Reader) -> Decoded<Filter> {
        Ok(Filter {
            resource_type: input.i8()?,
            resource_name: input.nullable_string()?,
            principal: input.nullable_string()?,
            host: input.nullable_string()?,
            operation: input.i8()?,
            permission_type: input.i8()?,
        })
    }
}

fn reader(api_key: i16, body: &Bytes) -> Option<Reader> {
    Some(Reader::new(without_trailing(api_key, 0, body)?, false))
}

fn put_nullable_string(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::create_acls_response::AclCreationResult;
    use kafka_protocol::messages::delete_acls_response::{
        DeleteAclsFilterResult, DeleteAclsMatchingAcl,
    };
    use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};

    /// Topic "t", any principal, host "*", read, allow.
    const FILTER: &[u8] = b"\x02\0\x01t\xff\xff\0\x01*\x03\x03";
    const ACL: &[u8] = b"\x02\0\x01t\0\x06User:a\0\x01*\x03\x03";

    fn list(items: &[&[u8]]) -> Bytes {
        let mut body = BytesMut::new();
        body.put_i32(items.len() as i32);
        items.iter().for_each(|item| body.put_slice(item));
        body.freeze()
    }

    #[test]
    fn r14_describe_acls_v0_reads_by_kafkas_old_schema() {
        let got = decode_describe_acls(&Bytes::from_static(FILTER)).expect("v0");
        assert_eq!(got.resource_type_filter, 2);
        assert_eq!(got.resource_name_filter, Some("t".into()));
        assert_eq!(got.pattern_type_filter, LITERAL);
        assert_eq!(got.principal_filter, None);
        assert_eq!(got.host_filter, Some("*".into()));
        assert_eq!((got.operation, got.permission_type), (3, 3));
    }

    #[test]
    fn r14_create_and_delete_acls_v0_read_by_kafkas_old_schema() {
        let got = decode_create_acls(&list(&[ACL, ACL])).expect("v0");
        assert_eq!(got.creations.len(), 2);
        assert_eq!(&*got.creations[1].principal, "User:a");
        assert_eq!(got.creations[1].resource_pattern_type, LITERAL);
        let got = decode_delete_acls(&list(&[FILTER])).expect("v0");
        assert_eq!(got.filters.len(), 1);
        assert_eq!(got.filters[0].principal_filter, None);
        assert_eq!(got.filters[0].pattern_type_filter, LITERAL);
    }

    #[test]
    fn r14_the_answers_of_v0_have_no_pattern_type() {
        let acl = AclDescription::default()
            .with_principal("User:a".into())
            .with_host("*".into())
            .with_operation(3)
            .with_permission_type(3);
        let resource = DescribeAclsResource::default()
            .with_resource_type(2)
            .with_resource_name("t".into())
            .with_acls(vec![acl]);
        let response = DescribeAclsResponse::default()
            .with_error_code(54)
            .with_error_message(None)
            .with_resources(vec![resource]);
        let mut out = BytesMut::new();
        encode_describe_acls(&response, &mut out);
        let wanted = b"\0\0\0\0\0\x36\xff\xff\0\0\0\x01\x02\0\x01t\
            \0\0\0\x01\0\x06User:a\0\x01*\x03\x03";
        assert_eq!(&out[..], wanted);

        let result = AclCreationResult::default()
            .with_error_code(54)
            .with_error_message(Some("no".into()));
        let response = CreateAclsResponse::default().with_results(vec![result]);
        let mut out = BytesMut::new();
        encode_create_acls(&response, &mut out);
        assert_eq!(&out[..], b"\0\0\0\0\0\0\0\x01\0\x36\0\x02no");

        let acl = DeleteAclsMatchingAcl::default()
            .with_error_message(None)
            .with_resource_type(2)
            .with_resource_name("t".into())
            .with_principal("User:a".into())
            .with_host("*".into())
            .with_operation(3)
            .with_permission_type(3);
        let result = DeleteAclsFilterResult::default()
            .with_error_message(None)
            .with_matching_acls(vec![acl]);
        let response = DeleteAclsResponse::default().with_filter_results(vec![result]);
        let mut out = BytesMut::new();
        encode_delete_acls(&response, &mut out);
        let wanted = [b"\0\0\0\0\0\0\0\x01\0\0\xff\xff\0\0\0\x01\0\0\xff\xff", ACL].concat();
        assert_eq!(&out[..], wanted);
    }

    #[test]
    fn a_malformed_body_is_refused() {
        let bodies = [Bytes::from_static(FILTER), list(&[ACL]), list(&[FILTER])];
        for end in 0..FILTER.len() {
            assert_eq!(decode_describe_acls(&bodies[0].slice(..end)), None);
        }
        for end in 0..bodies[1].len() {
            assert_eq!(decode_create_acls(&bodies[1].slice(..end)), None);
        }
        for end in 0..bodies[2].len() {
            assert_eq!(decode_delete_acls(&bodies[2].slice(..end)), None);
        }
    }
}
