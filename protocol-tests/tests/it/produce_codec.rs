//! The hand-written Produce codec against kafka-protocol's: what the crate writes ours reads,
//! and both write the same bytes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint as CrateEndpoint,
    PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{self, BrokerId as CrateBrokerId, TopicName, TransactionalId};
use kafka_protocol::protocol::{Encodable, StrBytes};
use ottla::error::ResponseError;
use ottla::protocol::produce::{
    CurrentLeader, DecodeError, NodeEndpoint, PartitionData, PartitionResponse, ProduceRequest,
    ProduceResponse, TopicData, TopicResponse, decode_request,
};
use ottla::types::{BrokerId, TopicId};
use protocol_tests::random::Random;

/// The versions the crate has a codec for.
const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

/// A topic as `version` names it.
fn topic_identity(random: &mut Random, version: i16) -> (StrBytes, TopicId) {
    match version {
        13.. => (StrBytes::new(), TopicId(random.uuid())),
        _ => (random.text(), TopicId::ZERO),
    }
}

fn random_request(random: &mut Random, version: i16) -> ProduceRequest {
    ProduceRequest {
        transactional_id: random.maybe(Random::text),
        acks: random.i32() as i16,
        timeout_ms: random.i32(),
        topics: random.some(|random| {
            let (name, topic_id) = topic_identity(random, version);
            let partitions = random.some(|random| PartitionData {
                index: random.i32(),
                records: random.maybe(Random::bytes),
            });
            TopicData {
                name,
                topic_id,
                partitions,
            }
        }),
    }
}

fn crate_encoded(request: &ProduceRequest, version: i16) -> Bytes {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionProduceData::default()
                .with_index(partition.index)
                .with_records(partition.records.clone())
        });
        TopicProduceData::default()
            .with_name(TopicName(topic.name.clone()))
            .with_topic_id(topic.topic_id.0)
            .with_partition_data(partitions.collect())
    });
    let request = messages::ProduceRequest::default()
        .with_transactional_id(request.transactional_id.clone().map(TransactionalId))
        .with_acks(request.acks)
        .with_timeout_ms(request.timeout_ms)
        .with_topic_data(topics.collect());
    let mut out = BytesMut::new();
    request.encode(&mut out, version).expect("encodes");
    out.freeze()
}

#[test]
fn every_request_of_the_crate_is_read_and_every_truncation_refused() {
    for version in VERSIONS {
        for seed in 0..200 {
            let request = random_request(&mut Random::new(seed), version);
            let body = crate_encoded(&request, version);
            assert_eq!(
                decode_request(version, body.clone()).as_ref(),
                Ok(&request),
                "v{version} seed {seed}"
            );
            let longer: Bytes = [&body[..], b"ignored"].concat().into();
            assert_eq!(decode_request(version, longer).as_ref(), Ok(&request));
            for end in 0..body.len() {
                let cut = decode_request(version, body.slice(..end));
                assert!(cut.is_err(), "v{version} seed {seed} cut at {end}");
            }
        }
    }
}

#[test]
fn records_are_slices_of_the_frame() {
    let request = ProduceRequest {
        transactional_id: None,
        acks: 1,
        timeout_ms: 1000,
        topics: vec![TopicData {
            name: StrBytes::from_static_str("t"),
            topic_id: TopicId::ZERO,
            partitions: vec![PartitionData {
                index: 0,
                records: Some(Bytes::from_static(b"records")),
            }],
        }],
    };
    let frame = crate_encoded(&request, 9);
    let decoded = decode_request(9, frame.clone()).expect("decodes");
    let records = decoded.topics[0].partitions[0]
        .records
        .as_ref()
        .expect("present");
    assert!(frame.as_ptr_range().contains(&records.as_ptr()));
}

#[test]
fn r15_versions_0_to_2_are_version_3_without_its_transactional_id() {
    for seed in 0..100 {
        let mut request = random_request(&mut Random::new(seed), 3);
        request.transactional_id = None;
        let body = crate_encoded(&request, 3).slice(2..);
        for version in 0..3 {
            assert_eq!(decode_request(version, body.clone()).as_ref(), Ok(&request));
        }
    }
    assert_eq!(
        decode_request(14, Bytes::new()),
        Err(DecodeError::Version(14))
    );
}

#[test]
fn a_raised_count_is_refused_before_anything_is_reserved() {
    // acks, timeout, then a count of topics that the frame cannot hold.
    for count in [1i32, 1000, i32::MAX, -1, i32::MIN] {
        let mut body = vec![0xff, 0xff, 0, 1, 0, 0, 0, 0];
        body.extend(count.to_be_bytes());
        let got = decode_request(3, body.into());
        assert_eq!(got, Err(DecodeError::Length(i64::from(count))));
    }
}

#[test]
fn noise_meets_no_panic() {
    let mut random = Random::new(7);
    for _ in 0..100_000 {
        let noise = random.bytes();
        let version = random.below(14) as i16;
        let _ = decode_request(version, noise);
    }
}

fn random_response(random: &mut Random, version: i16) -> ProduceResponse {
    let since = |first: i16| version >= first;
    ProduceResponse {
        topics: random.some(|random| {
            let (name, topic_id) = topic_identity(random, version);
            let partitions = random.some(|random| PartitionResponse {
                index: random.i32(),
                error: random.maybe(|_| ResponseError::NotLeaderOrFollower),
                base_offset: random.i64(),
                log_append_time: random.i64(),
                log_start_offset: match since(5) {
                    true => random.i64(),
                    false => -1,
                },
                record_errors: match since(8) {
                    true => random.some(|random| {
                        let message = random.maybe(|random| random.text().to_string());
                        (random.i32(), message)
                    }),
                    false => Vec::new(),
                },
                error_message: random
                    .maybe(|random| random.text().to_string())
                    .filter(|_| since(8)),
                current_leader: random
                    .maybe(|random| CurrentLeader {
                        leader_id: random.i32(),
                        leader_epoch: random.i32(),
                    })
                    .filter(|_| since(10)),
            });
            TopicResponse {
                name,
                topic_id,
                partitions,
            }
        }),
        throttle_time_ms: random.i32(),
        node_endpoints: match since(10) {
            true => random.some(|random| NodeEndpoint {
                node_id: BrokerId(random.i32()),
                host: random.text().to_string(),
                port: random.i32(),
                rack: random.maybe(|random| random.text().to_string()),
            }),
            false => Vec::new(),
        },
    }
}

fn crate_response(response: &ProduceResponse) -> messages::ProduceResponse {
    let text = |text: &String| StrBytes::from_string(text.clone());
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let record_errors = partition.record_errors.iter().map(|(index, message)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(*index)
                    .with_batch_index_error_message(message.as_ref().map(text))
            });
            let leader =
                partition
                    .current_leader
                    .map_or_else(LeaderIdAndEpoch::default, |leader| {
                        LeaderIdAndEpoch::default()
                            .with_leader_id(CrateBrokerId(leader.leader_id))
                            .with_leader_epoch(leader.leader_epoch)
                    });
            PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_error_code(partition.error.map_or(0, |error| error.code()))
                .with_base_offset(partition.base_offset)
                .with_log_append_time_ms(partition.log_append_time)
                .with_log_start_offset(partition.log_start_offset)
                .with_record_errors(record_errors.collect())
                .with_error_message(partition.error_message.as_ref().map(text))
                .with_current_leader(leader)
        });
        TopicProduceResponse::default()
            .with_name(TopicName(topic.name.clone()))
            .with_topic_id(topic.topic_id.0)
            .with_partition_responses(partitions.collect())
    });
    let endpoints = response.node_endpoints.iter().map(|endpoint| {
        CrateEndpoint::default()
            .with_node_id(CrateBrokerId(endpoint.node_id.0))
            .with_host(text(&endpoint.host))
            .with_port(endpoint.port)
            .with_rack(endpoint.rack.as_ref().map(text))
    });
    messages::ProduceResponse::default()
        .with_responses(topics.collect())
        .with_throttle_time_ms(response.throttle_time_ms)
        .with_node_endpoints(endpoints.collect())
}

#[test]
fn responses_are_written_byte_for_byte_as_the_crate_writes_them() {
    for version in VERSIONS {
        for seed in 0..300 {
            let response = random_response(&mut Random::new(seed), version);
            let mut theirs = BytesMut::new();
            crate_response(&response)
                .encode(&mut theirs, version)
                .expect("encodes");
            let mut ours = BytesMut::new();
            response.encode(version, &mut ours);
            assert_eq!(ours, theirs, "v{version} seed {seed}");
        }
    }
}

#[test]
fn fields_younger_than_the_version_are_left_out() {
    let response = random_response(&mut Random::new(3), 12);
    let shapes = [
        (0, "topics: index error base_offset"),
        (1, "+ throttle"),
        (2, "+ log_append_time"),
        (5, "+ log_start_offset"),
    ];
    let mut sizes = Vec::new();
    for (version, _) in shapes {
        let mut out = BytesMut::new();
        response.encode(version, &mut out);
        sizes.push(out.len());
    }
    let partitions: usize = response.topics.iter().map(|t| t.partitions.len()).sum();
    assert!(partitions > 0);
    let grown: Vec<usize> = sizes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(grown, [4, 8 * partitions, 8 * partitions]);
}
