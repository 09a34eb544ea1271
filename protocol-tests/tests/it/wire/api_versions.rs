//! ApiVersions and the handling of versions in general (R20–R25, R28).

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, MetadataRequest};

use super::calls::text;
use super::client::{Client, decode, framed, message};
use super::{ottla_only, subject};

/// Key and versions of what is served now, as in the API table.
const SERVED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 0, 13),
    (ApiKey::Fetch, 4, 18),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 0, 7),
    (ApiKey::DeleteTopics, 0, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeAcls, 0, 3),
    (ApiKey::CreateAcls, 0, 3),
    (ApiKey::DeleteAcls, 0, 3),
    (ApiKey::DescribeConfigs, 0, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::AlterReplicaLogDirs, 1, 2),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::ElectLeaders, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::ListPartitionReassignments, 0, 0),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeQuorum, 0, 2),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::UnregisterBroker, 0, 0),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 0, 2),
    (ApiKey::ListConfigResources, 0, 1),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

/// What librdkafka 1.x to 2.11.0 looks for, of the APIs served now.
const PROBED_BY_LIBRDKAFKA: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 0),
    (ApiKey::Produce, 3),
    (ApiKey::Produce, 7),
    (ApiKey::Fetch, 4),
    (ApiKey::Fetch, 10),
    (ApiKey::OffsetCommit, 2),
    (ApiKey::OffsetFetch, 1),
    (ApiKey::FindCoordinator, 0),
    (ApiKey::JoinGroup, 0),
    (ApiKey::Heartbeat, 0),
    (ApiKey::LeaveGroup, 0),
    (ApiKey::SyncGroup, 0),
    (ApiKey::InitProducerId, 0),
    (ApiKey::ListOffsets, 1),
    (ApiKey::ApiVersions, 0),
];

fn named_request() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(text("wire-test"))
        .with_client_software_version(text("1.0"))
}

#[track_caller]
fn still_serves(client: &mut Client) {
    let answer = client.call(3, &named_request());
    assert_eq!(answer.error_code, 0);
    assert!(!answer.api_keys.is_empty());
}

fn range(answer: &ApiVersionsResponse, key: ApiKey) -> Option<(i16, i16)> {
    let found = answer.api_keys.iter().find(|k| k.api_key == key as i16)?;
    Some((found.min_version, found.max_version))
}

#[test]
fn r20_the_response_header_has_no_tag_buffer_in_any_version() {
    let mut client = subject().connect();
    for version in 0..=4 {
        let correlation_id = client.send(version, &named_request());
        let frame = client.read_frame();
        assert_eq!(&frame[..4], correlation_id.to_be_bytes(), "v{version}");
        assert_eq!(&frame[4..6], [0, 0], "v{version}: the error code");
        decode::<ApiVersionsRequest>(version, correlation_id, frame);
    }
}

#[test]
fn r21_an_unknown_version_is_told_the_known_ones_and_the_connection_stays() {
    let mut client = subject().connect();
    for version in [99i16, 5, -1] {
        let correlation_id = client.correlation_id();
        let mut bytes = vec![];
        bytes.put_i16(18);
        bytes.put_i16(version);
        bytes.put_i32(correlation_id);
        bytes.put_i16(-1); // client id
        if version >= 0 {
            bytes.put_u8(0); // tag buffer
        }
        client.send_frame(&bytes);

        let mut expected = BytesMut::new();
        expected.put_i32(correlation_id);
        expected.put_i16(35);
        expected.put_i32(1);
        expected.put_slice(&[0, 18, 0, 0, 0, 4]);
        assert_eq!(client.read_frame(), expected, "v{version}");
        still_serves(&mut client);
    }
}

#[test]
fn r21_the_body_of_an_unknown_version_is_not_read() {
    let mut client = subject().connect();
    let mut bytes = vec![0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0];
    bytes.extend([0xff; 50]);
    client.send_frame(&bytes);
    assert_eq!(&client.read_frame()[..6], [0, 0, 0, 1, 0, 35]);
    still_serves(&mut client);
}

#[test]
fn r21_an_unknown_version_without_tag_buffer_closes() {
    let mut client = subject().connect();
    client.send_frame(&[0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff]);
    client.expect_close();
}

#[test]
fn r22_a_client_without_a_proper_name_is_refused_and_may_try_again() {
    let mut client = subject().connect();
    for (name, version) in [
        ("", "1.0"),
        ("wire test", "1.0"),
        ("-wire", "1.0"),
        ("wire.", "1.0"),
        ("wire", ""),
        ("wire", "1_0"),
    ] {
        for api_version in [3, 4] {
            let request = ApiVersionsRequest::default()
                .with_client_software_name(text(name))
                .with_client_software_version(text(version));
            let answer = client.call(api_version, &request);
            assert_eq!(answer.error_code, 42, "{name:?} {version:?}");
            assert_eq!(answer.api_keys, [], "{name:?} {version:?}");
            assert_eq!(answer.throttle_time_ms, 0);
        }
        still_serves(&mut client);
    }
}

#[test]
fn r22_names_of_one_letter_and_with_inner_dots_and_hyphens_are_accepted() {
    let mut client = subject().connect();
    for name in ["a", "a-b.c", "1"] {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text(name))
            .with_client_software_version(text(name));
        assert_eq!(client.call(3, &request).error_code, 0, "{name}");
    }
}

#[test]
fn r22_a_null_client_id_is_as_good_as_an_empty_one() {
    for client_id in [None, Some("")] {
        let mut client = subject().connect().called(client_id);
        for version in 0..=4 {
            assert_eq!(client.call(version, &named_request()).error_code, 0);
        }
    }
}

#[test]
fn r22_a_truncated_body_closes() {
    let mut client = subject().connect();
    let whole = message(3, 1, Some("c"), &named_request());
    client.send_frame(&whole[..whole.len() - 2]);
    client.expect_close();
}

#[test]
fn r22_trailing_bytes_and_unknown_tags_are_ignored() {
    let mut client = subject().connect();
    let mut trailing = message(3, 1, Some("c"), &named_request());
    trailing.extend([1, 2, 3]);
    client.send_frame(&trailing);
    let answer = decode::<ApiVersionsRequest>(3, 1, client.read_frame());
    assert_eq!(answer.error_code, 0);

    let tags = [(77, bytes::Bytes::from_static(b"unknown"))].into();
    let tagged = named_request().with_unknown_tagged_fields(tags);
    assert_eq!(client.call(3, &tagged).error_code, 0);
    still_serves(&mut client);
}

#[test]
fn r23_r24_unknown_keys_and_versions_close_without_a_byte() {
    let subject = subject();
    let with_tags = [0xff, 0xff, 0];
    for (key, version) in [
        (0, 14),
        (1, 19),
        (2, 11),
        (3, 14),
        (3, -1),
        (10, 7),
        (19, 8),
        (1, 3),
        (2, 0),
        (4, 0),
        (7, 0),
        (93, 0),
        (999, 0),
        (-1, 0),
    ] {
        for header_tail in [&with_tags[..2], &with_tags[..]] {
            let mut bytes = vec![];
            bytes.put_i16(key);
            bytes.put_i16(version);
            bytes.put_i32(7);
            bytes.put_slice(header_tail);
            bytes.put_slice(&[0; 16]);
            let mut client = subject.connect();
            client.send_frame(&bytes);
            let got = client.read_until_close();
            assert!(got.is_empty(), "key {key} v{version}: {got:02x?}");
        }
    }
}

#[test]
fn r25_metadata_v0_pipelined_behind_api_versions_v0_is_answered_in_order() {
    let mut client = subject().connect();
    let first = message(0, 1, Some("kafka-python"), &ApiVersionsRequest::default());
    let second = message(0, 2, Some("kafka-python"), &MetadataRequest::default());
    client.send_bytes(&[framed(&first), framed(&second)].concat());
    let versions = decode::<ApiVersionsRequest>(0, 1, client.read_frame());
    assert_eq!(versions.error_code, 0);
    let metadata = decode::<MetadataRequest>(0, 2, client.read_frame());
    assert!(!metadata.brokers.is_empty());
}

#[test]
fn r28_single_versions_that_librdkafka_looks_for_are_inside_the_ranges() {
    let mut client = subject().connect();
    let answer = client.call(3, &named_request());
    for &(key, version) in PROBED_BY_LIBRDKAFKA {
        let (min, max) = range(&answer, key).expect("advertised");
        assert!((min..=max).contains(&version), "{key:?} {version}");
    }
}

#[test]
fn r28_the_advertised_list_is_what_is_served() {
    let Some(subject) = ottla_only("it serves more than Ottla does now") else {
        return;
    };
    let mut client = subject.connect();
    for version in 0..=4 {
        let answer = client.call(version, &named_request());
        let mut advertised: Vec<_> = answer.api_keys.iter().collect();
        advertised.sort_by_key(|k| k.api_key);
        let advertised: Vec<_> = advertised
            .iter()
            .map(|k| (k.api_key, k.min_version, k.max_version))
            .collect();
        let served: Vec<_> = SERVED.iter().map(|(k, a, b)| (*k as i16, *a, *b)).collect();
        assert_eq!(advertised, served, "v{version}");
    }
}

#[test]
fn r29_the_feature_epoch_is_never_negative_and_never_decreases() {
    let subject = subject();
    let mut client = subject.connect();
    let before = client.call(3, &named_request()).finalized_features_epoch;
    assert!(before >= 0, "{before}");
    subject.topic("r29");
    let after = client.call(4, &named_request()).finalized_features_epoch;
    assert!(after >= before, "{before} then {after}");
}

#[test]
fn r30_metadata_version_27_is_finalised() {
    let mut client = subject().connect();
    for version in [3, 4] {
        let answer = client.call(version, &named_request());
        let finalized = answer
            .finalized_features
            .iter()
            .find(|f| &*f.name == "metadata.version")
            .expect("metadata.version is finalised");
        assert_eq!(finalized.max_version_level, 27);
        let supported = answer
            .supported_features
            .iter()
            .find(|f| &*f.name == "metadata.version")
            .expect("metadata.version is supported");
        assert_eq!((supported.min_version, supported.max_version), (7, 27));
    }
}
