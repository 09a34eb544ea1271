//! The hand-written Fetch codec against kafka-protocol's: what the crate writes ours reads, and
//! a plan, once its regions are read, is what the crate writes.

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{
    FetchPartition as CratePartition, FetchTopic as CrateTopic, ForgottenTopic as CrateForgotten,
    ReplicaState,
};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction as CrateAborted, EpochEndOffset as CrateEnd, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint as CrateEndpoint, PartitionData, SnapshotId,
};
use kafka_protocol::messages::{self, BrokerId as CrateBrokerId, ProducerId, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use ottla::error::ResponseError;
use ottla::protocol::fetch::{
    AbortedTransaction, Chunk, CurrentLeader, DecodeError, EpochEndOffset, FetchPartition,
    FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, MAX_VERSION, MIN_VERSION,
    NodeEndpoint, PartitionResponse, TopicResponse, decode_request,
};
use ottla::types::{BrokerId, TopicId};
use protocol_tests::random::Random;

fn topic_identity(random: &mut Random, version: i16) -> (StrBytes, TopicId) {
    match version {
        13.. => (StrBytes::new(), TopicId(random.uuid())),
        _ => (random.text(), TopicId::ZERO),
    }
}

/// A value that versions before `first` carry as `default`.
fn since<T>(version: i16, first: i16, value: T, default: T) -> T {
    match version >= first {
        true => value,
        false => default,
    }
}

fn random_request(random: &mut Random, version: i16) -> FetchRequest {
    let partition = |random: &mut Random| FetchPartition {
        index: random.i32(),
        current_leader_epoch: since(version, 9, random.i32(), -1),
        fetch_offset: random.i64(),
        last_fetched_epoch: since(version, 12, random.i32(), -1),
        log_start_offset: since(version, 5, random.i64(), -1),
        partition_max_bytes: random.i32(),
        replica_directory_id: since(version, 17, random.uuid(), uuid::Uuid::nil()),
        high_watermark: match random.flip() {
            true => since(version, 18, random.i64(), i64::MAX),
            false => i64::MAX,
        },
    };
    let has_replica_state = random.flip() || version < 15;
    FetchRequest {
        cluster_id: random.maybe(Random::text).filter(|_| version >= 12),
        replica_id: match has_replica_state {
            true => random.i32(),
            false => -1,
        },
        replica_epoch: match has_replica_state {
            true => since(version, 15, random.i64(), -1),
            false => -1,
        },
        max_wait_ms: random.i32(),
        min_bytes: random.i32(),
        max_bytes: random.i32(),
        isolation_level: random.i32() as i8,
        session_id: since(version, 7, random.i32(), 0),
        session_epoch: since(version, 7, random.i32(), -1),
        topics: random.some(|random| {
            let (name, topic_id) = topic_identity(random, version);
            let partitions = random.some(partition);
            FetchTopic {
                name,
                topic_id,
                partitions,
            }
        }),
        forgotten: match version {
            7.. => random.some(|random| {
                let (name, topic_id) = topic_identity(random, version);
                let partitions = random.some(Random::i32);
                ForgottenTopic {
                    name,
                    topic_id,
                    partitions,
                }
            }),
            _ => Vec::new(),
        },
        rack_id: since(version, 11, random.text(), StrBytes::new()),
    }
}

fn crate_encoded(request: &FetchRequest, version: i16) -> Bytes {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            CratePartition::default()
                .with_partition(partition.index)
                .with_current_leader_epoch(partition.current_leader_epoch)
                .with_fetch_offset(partition.fetch_offset)
                .with_last_fetched_epoch(partition.last_fetched_epoch)
                .with_log_start_offset(partition.log_start_offset)
                .with_partition_max_bytes(partition.partition_max_bytes)
                .with_replica_directory_id(partition.replica_directory_id)
                .with_high_watermark(partition.high_watermark)
        });
        CrateTopic::default()
            .with_topic(TopicName(topic.name.clone()))
            .with_topic_id(topic.topic_id.0)
            .with_partitions(partitions.collect())
    });
    let forgotten = request.forgotten.iter().map(|topic| {
        CrateForgotten::default()
            .with_topic(TopicName(topic.name.clone()))
            .with_topic_id(topic.topic_id.0)
            .with_partitions(topic.partitions.clone())
    });
    let encoded = messages::FetchRequest::default()
        .with_cluster_id(request.cluster_id.clone())
        .with_max_wait_ms(request.max_wait_ms)
        .with_min_bytes(request.min_bytes)
        .with_max_bytes(request.max_bytes)
        .with_isolation_level(request.isolation_level)
        .with_session_id(request.session_id)
        .with_session_epoch(request.session_epoch)
        .with_topics(topics.collect())
        .with_forgotten_topics_data(forgotten.collect())
        .with_rack_id(request.rack_id.clone());
    let replica = CrateBrokerId(request.replica_id);
    let encoded = match version {
        15.. => encoded.with_replica_state(
            ReplicaState::default()
                .with_replica_id(replica)
                .with_replica_epoch(request.replica_epoch),
        ),
        _ => encoded.with_replica_id(replica),
    };
    let mut out = BytesMut::new();
    encoded.encode(&mut out, version).expect("encodes");
    out.freeze()
}

#[test]
fn every_request_of_the_crate_is_read_and_every_truncation_refused() {
    for version in MIN_VERSION..=MAX_VERSION {
        for seed in 0..200 {
            let request = random_request(&mut Random::new(seed), version);
            let body = crate_encoded(&request, version);
            assert_eq!(
                decode_request(version, body.clone()).as_ref(),
                Ok(&request),
                "v{version} seed {seed}"
            );
            for end in 0..body.len() {
                let cut = decode_request(version, body.slice(..end));
                assert!(cut.is_err(), "v{version} seed {seed} cut at {end}");
            }
        }
    }
    assert_eq!(
        decode_request(3, Bytes::new()),
        Err(DecodeError::Version(3))
    );
}

#[test]
fn noise_meets_no_panic() {
    let mut random = Random::new(8);
    for _ in 0..100_000 {
        let noise = random.bytes();
        let version = 4 + random.below(15) as i16;
        let _ = decode_request(version, noise);
    }
}

#[test]
fn a_frame_of_many_small_partitions_stays_within_the_memory_limit() {
    // 8 MiB of forgotten topics with empty names: 7 bytes each on the wire, more in memory.
    let mut body = crate_encoded(&random_request(&mut Random::new(1), 12), 12).to_vec();
    body.truncate(4 + 4 + 4 + 4 + 1 + 4 + 4);
    body.push(1); // no topics
    let count = 2_500_000u32;
    let mut varint = Vec::new();
    ottla::protocol::varint::put_unsigned(&mut varint, count + 1);
    body.extend(varint);
    body.extend([1, 1, 0].repeat(count as usize));
    body.extend([1, 0]);
    assert_eq!(decode_request(12, body.into()), Err(DecodeError::TooLarge));
}

/// Records as one region in memory, one in the file, or both; what they hold.
fn random_records(random: &mut Random, file: &Arc<std::fs::File>) -> (Vec<Chunk>, Bytes) {
    let (memory, stored) = (random.bytes(), random.bytes());
    let position = (&**file).seek(SeekFrom::End(0)).expect("seeks");
    (&**file).write_all(&stored).expect("writes");
    let region = Chunk::File {
        file: file.clone(),
        position,
        len: stored.len(),
    };
    match random.below(4) {
        0 => (Vec::new(), Bytes::new()),
        1 => (vec![Chunk::Memory(memory.clone())], memory),
        2 => (vec![region], stored),
        _ => {
            let both = [&stored[..], &memory[..]].concat();
            (vec![region, Chunk::Memory(memory)], both.into())
        }
    }
}

fn end(random: &mut Random) -> EpochEndOffset {
    EpochEndOffset {
        epoch: random.i32(),
        end_offset: random.i64(),
    }
}

/// The same partition in both vocabularies.
fn random_partition(
    random: &mut Random,
    version: i16,
    file: &Arc<std::fs::File>,
) -> (PartitionResponse, PartitionData) {
    let (records, content) = random_records(random, file);
    let partition = PartitionResponse {
        index: random.i32(),
        error: random.maybe(|_| ResponseError::OffsetOutOfRange),
        high_watermark: random.i64(),
        last_stable_offset: random.i64(),
        log_start_offset: since(version, 5, random.i64(), -1),
        diverging_epoch: random.maybe(end).filter(|_| version >= 12),
        current_leader: random
            .maybe(|random| CurrentLeader {
                leader_id: random.i32(),
                leader_epoch: random.i32(),
            })
            .filter(|_| version >= 12),
        snapshot_id: random.maybe(end).filter(|_| version >= 12),
        aborted_transactions: random.maybe(|random| {
            random.some(|random| AbortedTransaction {
                producer_id: random.i64(),
                first_offset: random.i64(),
            })
        }),
        preferred_read_replica: random
            .maybe(|random| BrokerId(random.i32()))
            .filter(|_| version >= 11),
        records,
    };
    let theirs = crate_partition(&partition, content);
    (partition, theirs)
}

fn crate_partition(partition: &PartitionResponse, content: Bytes) -> PartitionData {
    let aborted = partition.aborted_transactions.as_ref().map(|aborted| {
        let aborted = aborted.iter().map(|transaction| {
            CrateAborted::default()
                .with_producer_id(ProducerId(transaction.producer_id))
                .with_first_offset(transaction.first_offset)
        });
        aborted.collect()
    });
    let mut theirs = PartitionData::default()
        .with_partition_index(partition.index)
        .with_error_code(partition.error.map_or(0, |error| error.code()))
        .with_high_watermark(partition.high_watermark)
        .with_last_stable_offset(partition.last_stable_offset)
        .with_log_start_offset(partition.log_start_offset)
        .with_aborted_transactions(aborted)
        .with_preferred_read_replica(CrateBrokerId(
            partition.preferred_read_replica.map_or(-1, |id| id.0),
        ))
        .with_records(Some(content));
    if let Some(end) = partition.diverging_epoch {
        theirs.diverging_epoch = CrateEnd::default()
            .with_epoch(end.epoch)
            .with_end_offset(end.end_offset);
    }
    if let Some(leader) = partition.current_leader {
        theirs.current_leader = LeaderIdAndEpoch::default()
            .with_leader_id(CrateBrokerId(leader.leader_id))
            .with_leader_epoch(leader.leader_epoch);
    }
    if let Some(end) = partition.snapshot_id {
        theirs.snapshot_id = SnapshotId::default()
            .with_epoch(end.epoch)
            .with_end_offset(end.end_offset);
    }
    theirs
}

/// The same response in both vocabularies.
fn random_response(
    random: &mut Random,
    version: i16,
    file: &Arc<std::fs::File>,
) -> (FetchResponse, messages::FetchResponse) {
    let topics = random.some(|random| {
        let (name, topic_id) = topic_identity(random, version);
        let partitions = random.some(|random| random_partition(random, version, file));
        let (ours, theirs) = partitions.into_iter().unzip();
        let ours = TopicResponse {
            name: name.clone(),
            topic_id,
            partitions: ours,
        };
        let theirs = FetchableTopicResponse::default()
            .with_topic(TopicName(name))
            .with_topic_id(topic_id.0)
            .with_partitions(theirs);
        (ours, theirs)
    });
    let (topics, their_topics) = topics.into_iter().unzip();
    let endpoint = |random: &mut Random| {
        let ours = NodeEndpoint {
            node_id: BrokerId(random.i32()),
            host: random.text().to_string(),
            port: random.i32(),
            rack: random.maybe(|random| random.text().to_string()),
        };
        let theirs = CrateEndpoint::default()
            .with_node_id(CrateBrokerId(ours.node_id.0))
            .with_host(StrBytes::from_string(ours.host.clone()))
            .with_port(ours.port)
            .with_rack(ours.rack.clone().map(StrBytes::from_string));
        (ours, theirs)
    };
    let endpoints = since(version, 16, random.some(endpoint), Vec::new());
    let (node_endpoints, their_endpoints) = endpoints.into_iter().unzip();
    let ours = FetchResponse {
        throttle_time_ms: random.i32(),
        error: random
            .maybe(|_| ResponseError::FetchSessionIdNotFound)
            .filter(|_| version >= 7),
        session_id: since(version, 7, random.i32(), 0),
        topics,
        node_endpoints,
    };
    let theirs = messages::FetchResponse::default()
        .with_throttle_time_ms(ours.throttle_time_ms)
        .with_error_code(ours.error.map_or(0, |error| error.code()))
        .with_session_id(ours.session_id)
        .with_responses(their_topics)
        .with_node_endpoints(their_endpoints);
    (ours, theirs)
}

fn materialised(chunks: &[Chunk]) -> Bytes {
    let mut out = Vec::new();
    for chunk in chunks {
        match chunk {
            Chunk::Inline(bytes) | Chunk::Memory(bytes) => out.extend_from_slice(bytes),
            Chunk::File {
                file,
                position,
                len,
            } => {
                let start = out.len();
                out.resize(start + len, 0);
                file.read_exact_at(&mut out[start..], *position)
                    .expect("reads");
            }
        }
    }
    out.into()
}

#[test]
fn a_plan_is_byte_for_byte_what_the_crate_writes() {
    for version in MIN_VERSION..=MAX_VERSION {
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        for seed in 0..200 {
            let (ours, theirs) = random_response(&mut Random::new(seed), version, &file);
            let plan = ours.plan(version);
            let bytes = materialised(&plan.chunks);
            assert_eq!(bytes.len(), plan.len);
            assert!(plan.chunks.iter().all(|chunk| !chunk.is_empty()));
            let mut expected = BytesMut::new();
            theirs.encode(&mut expected, version).expect("encodes");
            assert_eq!(bytes, expected, "v{version} seed {seed}");
            let decoded = messages::FetchResponse::decode(&mut bytes.clone(), version);
            assert_eq!(decoded.expect("decodes"), theirs);
        }
    }
}

#[test]
fn r78_empty_records_are_zero_bytes_long_and_never_null() {
    for version in MIN_VERSION..=MAX_VERSION {
        let partition = PartitionResponse::refused(3, ResponseError::UnknownTopicOrPartition, None);
        let response = FetchResponse {
            topics: vec![TopicResponse {
                name: StrBytes::from_static_str("t"),
                topic_id: TopicId::ZERO,
                partitions: vec![partition],
            }],
            ..FetchResponse::default()
        };
        let mut bytes = materialised(&response.plan(version).chunks);
        let decoded = messages::FetchResponse::decode(&mut bytes, version).expect("decodes");
        let partition = &decoded.responses[0].partitions[0];
        assert_eq!(partition.records, Some(Bytes::new()), "v{version}");
        assert_eq!(partition.aborted_transactions, None);
        assert_eq!(partition.high_watermark, -1);
    }
}
