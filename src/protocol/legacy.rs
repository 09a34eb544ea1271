//! Versions that Kafka 4 dropped and clients still send (R14): CreateTopics 0–1, DeleteTopics 0,
//! DescribeConfigs 0, and in `acls` version 0 of the ACL calls. kafka-go up to 0.4.47, sarama
//! configured below 1.1 and the Terraform providers send them. The layouts are those of Kafka 3.9's
//! message definitions (CreateTopicsRequest.json and so on).

mod acls;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse,
};
use kafka_protocol::protocol::Decodable;

pub use acls::{
    decode_create_acls, decode_delete_acls, decode_describe_acls, encode_create_acls,
    encode_delete_acls, encode_describe_acls,
};

use super::bounds;

/// CreateTopics v0 or v1; `None` if the body is malformed. Version 1 has the layout of version 2,
/// version 0 ends before its last field, `validate_only`.
pub fn decode_create_topics(body: &Bytes, version: i16) -> Option<CreateTopicsRequest> {
    let mut body = without_trailing(19, version, body)?;
    if version == 0 {
        let mut with_validate_only = BytesMut::from(&body[..]);
        with_validate_only.put_u8(0);
        body = with_validate_only.freeze();
    }
    CreateTopicsRequest::decode(&mut body, 2).ok()
}

/// DeleteTopics v0; `None` if the body is malformed. It has the layout of version 1.
pub fn decode_delete_topics(body: &Bytes, version: i16) -> Option<DeleteTopicsRequest> {
    let mut body = without_trailing(20, version, body)?;
    DeleteTopicsRequest::decode(&mut body, 1).ok()
}

/// DescribeConfigs v0; `None` if the body is malformed. Version 1 adds `include_synonyms`.
pub fn decode_describe_configs(body: &Bytes, version: i16) -> Option<DescribeConfigsRequest> {
    let body = without_trailing(32, version, body)?;
    let mut with_synonyms = BytesMut::from(&body[..]);
    with_synonyms.put_u8(0);
    DescribeConfigsRequest::decode(&mut with_synonyms.freeze(), 1).ok()
}

/// DescribeConfigs v0: instead of a source it says whether a value is the default.
pub fn encode_describe_configs(response: &DescribeConfigsResponse, out: &mut BytesMut) {
    const DEFAULT_SOURCE: i8 = 5;
    out.put_i32(response.throttle_time_ms);
    out.put_i32(response.results.len() as i32);
    for result in &response.results {
        out.put_i16(result.error_code);
        put_nullable_string(out, result.error_message.as_deref());
        out.put_i8(result.resource_type);
        put_string(out, &result.resource_name);
        out.put_i32(result.configs.len() as i32);
        for config in &result.configs {
            put_string(out, &config.name);
            put_nullable_string(out, config.value.as_deref());
            out.put_u8(config.read_only.into());
            out.put_u8((config.config_source == DEFAULT_SOURCE).into());
            out.put_u8(config.is_sensitive.into());
        }
    }
}

/// CreateTopics v0 or v1: neither has the throttle time, v1 has the message.
pub fn encode_create_topics(response: &CreateTopicsResponse, version: i16, out: &mut BytesMut) {
    out.put_i32(response.topics.len() as i32);
    for topic in &response.topics {
        put_string(out, &topic.name);
        out.put_i16(topic.error_code);
        if version >= 1 {
            put_nullable_string(out, topic.error_message.as_deref());
        }
    }
}

/// DeleteTopics v0: no throttle time.
pub fn encode_delete_topics(response: &DeleteTopicsResponse, out: &mut BytesMut) {
    out.put_i32(response.responses.len() as i32);
    for topic in &response.responses {
        put_string(out, topic.name.as_deref().map_or("", |name| name));
        out.put_i16(topic.error_code);
    }
}

/// The part of `body` that the bounds check walked.
fn without_trailing(api_key: i16, version: i16, body: &Bytes) -> Option<Bytes> {
    let walked = bounds::check(api_key, version, body).ok()?;
    Some(body.slice(..body.len() - walked.trailing))
}

fn put_nullable_string(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

/// Text beyond what an i16 counts is cut: a message that quotes a name of 32767 bytes.
fn put_string(out: &mut BytesMut, text: &str) {
    let mut end = text.len().min(i16::MAX as usize);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.put_i16(end as i16);
    out.put_slice(&text.as_bytes()[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
    use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
    use kafka_protocol::messages::describe_configs_response::{
        DescribeConfigsResourceResult, DescribeConfigsResult,
    };
    use kafka_protocol::messages::{BrokerId, TopicName};
    use kafka_protocol::protocol::StrBytes;

    /// Topic "t": 2 partitions, 1 replica; partition 0 on brokers 1, 2; one config; timeout 5000.
    const CREATE_V0: &[u8] = b"\0\0\0\x01\
        \0\x01t\0\0\0\x02\0\x01\
        \0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x02\
        \0\0\0\x01\0\x0ecleanup.policy\0\x07compact\
        \0\0\x13\x88";

    fn name(text: &'static str) -> TopicName {
        TopicName(StrBytes::from_static_str(text))
    }

    #[test]
    fn r14_create_topics_v0_reads_by_kafkas_old_schema() {
        let got = decode_create_topics(&Bytes::from_static(CREATE_V0), 0).expect("v0");
        assert_eq!((got.timeout_ms, got.validate_only), (5000, false));
        let topic = &got.topics[0];
        assert_eq!((topic.num_partitions, topic.replication_factor), (2, 1));
        assert_eq!(topic.name, name("t"));
        assert_eq!(topic.assignments[0].broker_ids, [BrokerId(1), BrokerId(2)]);
        assert_eq!(topic.configs[0].name, StrBytes::from("cleanup.policy"));
        assert_eq!(topic.configs[0].value, Some(StrBytes::from("compact")));
    }

    #[test]
    fn r14_create_topics_v0_does_not_take_trailing_bytes_for_validate_only() {
        let mut body = CREATE_V0.to_vec();
        body.push(1);
        let got = decode_create_topics(&body.into(), 0).expect("trailing bytes are tolerated");
        assert!(!got.validate_only);
    }

    #[test]
    fn r14_create_topics_v1_adds_validate_only() {
        let mut body = CREATE_V0.to_vec();
        assert_eq!(decode_create_topics(&body.clone().into(), 1), None);
        body.push(1);
        let got = decode_create_topics(&body.into(), 1).expect("v1");
        assert!(got.validate_only);
    }

    #[test]
    fn r14_create_topics_answers_v0_and_v1() {
        let refused = CreatableTopicResult::default()
            .with_name(name("t"))
            .with_error_code(36)
            .with_error_message(Some("exists".into()));
        let created = CreatableTopicResult::default()
            .with_name(name("u"))
            .with_error_message(None)
            .with_num_partitions(3);
        let response = CreateTopicsResponse::default()
            .with_throttle_time_ms(7)
            .with_topics(vec![refused, created]);
        let mut v0 = BytesMut::new();
        encode_create_topics(&response, 0, &mut v0);
        assert_eq!(&v0[..], b"\0\0\0\x02\0\x01t\0\x24\0\x01u\0\0");
        let mut v1 = BytesMut::new();
        encode_create_topics(&response, 1, &mut v1);
        assert_eq!(
            &v1[..],
            b"\0\0\0\x02\0\x01t\0\x24\0\x06exists\0\x01u\0\0\xff\xff"
        );
    }

    #[test]
    fn r14_delete_topics_v0_reads_and_answers() {
        let body = Bytes::from_static(b"\0\0\0\x02\0\x01t\0\x01u\0\0\x13\x88");
        let got = decode_delete_topics(&body, 0).expect("v0");
        assert_eq!(got.topic_names, [name("t"), name("u")]);
        assert_eq!(got.timeout_ms, 5000);

        let deleted = DeletableTopicResult::default()
            .with_name(Some(name("t")))
            .with_error_code(3);
        let response = DeleteTopicsResponse::default().with_responses(vec![deleted]);
        let mut v0 = BytesMut::new();
        encode_delete_topics(&response, &mut v0);
        assert_eq!(&v0[..], b"\0\0\0\x01\0\x01t\0\x03");
    }

    #[test]
    fn r14_describe_configs_v0_reads_and_answers() {
        let body = b"\0\0\0\x02\x02\0\x01t\xff\xff\xff\xff\x04\0\x011\0\0\0\x01\0\x07node.id";
        let got = decode_describe_configs(&Bytes::from_static(body), 0).expect("v0");
        assert!(!got.include_synonyms);
        assert_eq!(got.resources[0].resource_name, StrBytes::from("t"));
        assert_eq!(got.resources[0].configuration_keys, None);
        let keys = got.resources[1].configuration_keys.as_ref();
        assert_eq!(keys.expect("keys")[0], StrBytes::from("node.id"));

        let config = |name: &'static str, value: Option<&'static str>, source| {
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(value.map(StrBytes::from_static_str))
                .with_config_source(source)
        };
        let result = DescribeConfigsResult::default()
            .with_error_message(Some(StrBytes::from_static_str("")))
            .with_resource_type(2)
            .with_resource_name(StrBytes::from_static_str("t"))
            .with_configs(vec![
                config("a", Some("1"), 1),
                config("b", None, 5)
                    .with_read_only(true)
                    .with_is_sensitive(true),
            ]);
        let response = DescribeConfigsResponse::default().with_results(vec![result]);
        let mut v0 = BytesMut::new();
        encode_describe_configs(&response, &mut v0);
        assert_eq!(
            &v0[..],
            b"\0\0\0\0\0\0\0\x01\0\0\0\0\x02\0\x01t\0\0\0\x02\
              \0\x01a\0\x011\0\0\0\0\x01b\xff\xff\x01\x01\x01"
        );
    }

    #[test]
    fn a_malformed_body_is_refused() {
        let body = Bytes::from_static(CREATE_V0);
        for end in 0..body.len() {
            assert_eq!(
                decode_create_topics(&body.slice(..end), 0),
                None,
                "{end} bytes"
            );
        }
        let huge = Bytes::from_static(b"\x7f\xff\xff\xff\0\0\0\0");
        assert_eq!(decode_delete_topics(&huge, 0), None);
    }

    #[test]
    fn an_overlong_text_is_cut_at_a_character() {
        let mut out = BytesMut::new();
        put_string(&mut out, &"ü".repeat(20_000));
        assert_eq!((out.len(), &out[..2]), (2 + 32766, &b"\x7f\xfe"[..]));
    }
}
