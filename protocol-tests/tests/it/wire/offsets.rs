//! ListOffsets and OffsetForLeaderEpoch (R86, R95, R96, R98).

use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;

use super::batch::{Batch, GZIP, Record, T0};
use super::calls::{
    EARLIEST, LATEST, LIST_OFFSETS, Topic, list_offsets_request, topic_name, unused_name,
};
use super::client::Client;
use super::{Subject, subject};

const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// Records at T0 + 0, 20, 10 (offsets 0–2), 30, 30 (3, 4, compressed), 5 (5).
fn topic_with_times(subject: &Subject) -> Topic {
    let topic = subject.topic("times");
    let mut client = subject.connect();
    let at = |delta| Record {
        timestamp_delta: delta,
        ..Record::new("k", "v")
    };
    client.append(&topic, &Batch::of(&[at(0), at(20), at(10)]));
    client.append(&topic, &Batch::of(&[at(30), at(30)]).compressed(GZIP));
    client.append(&topic, &Batch::of(&[at(5)]));
    topic
}

#[track_caller]
fn list(
    client: &mut Client,
    version: i16,
    topic: &Topic,
    timestamp: i64,
) -> ListOffsetsPartitionResponse {
    let request = list_offsets_request(topic, 0, timestamp);
    let mut answer = client.call(version, &request);
    answer.topics.remove(0).partitions.remove(0)
}

#[test]
fn r95_latest_and_earliest_are_the_ends_of_the_log() {
    let subject = subject();
    let topic = topic_with_times(&subject);
    let mut client = subject.connect();
    for version in 1..=10 {
        for isolation in 0..=1 {
            for (timestamp, offset) in [(LATEST, 6), (EARLIEST, 0)] {
                let mut request = list_offsets_request(&topic, 0, timestamp);
                if version >= 2 {
                    request.isolation_level = isolation;
                }
                let answer = client.call(version, &request);
                let got = &answer.topics[0].partitions[0];
                assert_eq!(got.error_code, 0, "v{version}");
                assert_eq!((got.offset, got.timestamp), (offset, -1), "v{version}");
            }
        }
    }
}

#[test]
fn r95_a_time_finds_the_first_record_that_is_not_older() {
    let subject = subject();
    let topic = topic_with_times(&subject);
    let mut client = subject.connect();
    for version in 1..=10 {
        for (asked, offset, timestamp) in [
            (0, 0, T0),
            (T0, 0, T0),
            (T0 + 1, 1, T0 + 20),
            (T0 + 20, 1, T0 + 20),
            (T0 + 21, 3, T0 + 30),
            (T0 + 30, 3, T0 + 30),
            (T0 + 31, -1, -1),
            (i64::MAX, -1, -1),
        ] {
            let got = list(&mut client, version, &topic, asked);
            assert_eq!(got.error_code, 0, "v{version} time {asked}");
            assert_eq!(
                (got.offset, got.timestamp),
                (offset, timestamp),
                "v{version}"
            );
            let epoch_known = version >= 4 && offset >= 0;
            assert_eq!(
                got.leader_epoch >= 0,
                epoch_known,
                "v{version} time {asked}"
            );
        }
    }
}

#[test]
fn r95_an_empty_log_has_ends_and_no_record_at_any_time() {
    let subject = subject();
    let topic = subject.topic("r95");
    let mut client = subject.connect();
    for (asked, offset) in [(LATEST, 0), (EARLIEST, 0), (0, -1), (MAX_TIMESTAMP, -1)] {
        let got = client.list_offset(&topic, asked);
        assert_eq!((got.error_code, got.offset, got.timestamp), (0, offset, -1));
    }
}

#[test]
fn r96_special_times_by_version() {
    let subject = subject();
    let topic = topic_with_times(&subject);
    let mut client = subject.connect();
    for version in 1..=10 {
        for (asked, since, offset, timestamp) in [
            (MAX_TIMESTAMP, 7, 3, T0 + 30), // the first of equal ones
            (EARLIEST_LOCAL, 8, 0, -1),
            (LATEST_TIERED, 9, -1, -1),
            (-6, 11, 0, 0),
            (-7, 99, 0, 0),
            (i64::MIN, 99, 0, 0),
        ] {
            let got = list(&mut client, version, &topic, asked);
            if version >= since {
                assert_eq!(got.error_code, 0, "v{version} time {asked}");
                assert_eq!((got.offset, got.timestamp), (offset, timestamp));
            } else {
                assert_eq!(got.error_code, 35, "v{version} time {asked}");
                assert_eq!((got.offset, got.timestamp), (-1, -1));
                assert_eq!(got.leader_epoch, -1);
            }
        }
    }
}

#[test]
fn r96_a_partition_named_twice_is_one_refused_entry() {
    let subject = subject();
    let topic = subject.topic_with("r96", 2, &[]);
    let mut request = list_offsets_request(&topic, 0, LATEST);
    let partition = request.topics[0].partitions[0].clone();
    let other = partition.clone().with_partition_index(1);
    request.topics[0].partitions.extend([partition, other]);
    let answer = subject.connect().call(LIST_OFFSETS, &request);
    let mut got: Vec<_> = answer
        .topics
        .iter()
        .flat_map(|t| &t.partitions)
        .map(|p| (p.partition_index, p.error_code, p.offset, p.timestamp))
        .collect();
    got.sort();
    assert_eq!(got, [(0, 42, -1, -1), (1, 0, 0, -1)]);
}

#[test]
fn r186_list_offsets_of_what_does_not_exist_is_unknown() {
    let subject = subject();
    let topic = subject.topic("r186");
    let mut client = subject.connect();
    let absent = Topic {
        name: unused_name("absent"),
        id: uuid::Uuid::nil(),
    };
    for (topic, partition) in [(&absent, 0), (&topic, 1), (&topic, -1)] {
        for timestamp in [LATEST, EARLIEST, T0] {
            let request = list_offsets_request(topic, partition, timestamp);
            let answer = client.call(LIST_OFFSETS, &request);
            let got = &answer.topics[0].partitions[0];
            assert_eq!((got.error_code, got.offset, got.timestamp), (3, -1, -1));
        }
    }
}

#[test]
fn r86_list_offsets_checks_the_leader_epoch() {
    let subject = subject();
    let topic = subject.topic("r86");
    let mut client = subject.connect();
    let epoch = client.metadata(&topic.name).partitions[0].leader_epoch;
    for version in 4..=10 {
        for (asked, error) in [(epoch, 0), (-1, 0), (epoch + 1, 75)] {
            let mut request = list_offsets_request(&topic, 0, LATEST);
            request.topics[0].partitions[0].current_leader_epoch = asked;
            let answer = client.call(version, &request);
            assert_eq!(answer.topics[0].partitions[0].error_code, error);
        }
    }
}

#[track_caller]
fn end_offset(client: &mut Client, topic: &Topic, current: i32, asked: i32) -> EpochEndOffset {
    let partition = OffsetForLeaderPartition::default()
        .with_current_leader_epoch(current)
        .with_leader_epoch(asked);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(topic_name(&topic.name))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic]);
    let mut answers: Vec<EpochEndOffset> = (2..=4)
        .map(|version| {
            let mut answer = client.call(version, &request);
            answer.topics.remove(0).partitions.remove(0)
        })
        .collect();
    let last = answers.pop().expect("three versions");
    assert!(answers.iter().all(|a| *a == last), "{answers:?} {last:?}");
    last
}

#[test]
fn r98_an_epoch_ends_where_the_next_begins_or_the_log_does() {
    let subject = subject();
    let topic = subject.topic("r98");
    let mut client = subject.connect();
    let epoch = client.metadata(&topic.name).partitions[0].leader_epoch;
    let mut ask = |client: &mut Client, asked| {
        let got = end_offset(client, &topic, -1, asked);
        (got.error_code, got.leader_epoch, got.end_offset)
    };
    assert_eq!(ask(&mut client, epoch), (0, epoch, 0), "an empty log");
    client.append(&topic, &Batch::numbered(14));
    assert_eq!(ask(&mut client, epoch), (0, epoch, 14));
    assert_eq!(ask(&mut client, epoch + 1), (0, -1, -1), "above the newest");
    assert_eq!(ask(&mut client, -1), (0, -1, -1));
}

#[test]
fn r86_r98_offset_for_leader_epoch_checks_topic_and_leader_epoch() {
    let subject = subject();
    let topic = subject.topic("r98");
    let mut client = subject.connect();
    let epoch = client.metadata(&topic.name).partitions[0].leader_epoch;
    assert_eq!(end_offset(&mut client, &topic, epoch, epoch).error_code, 0);
    let got = end_offset(&mut client, &topic, epoch + 1, epoch);
    assert_eq!(got.error_code, 75);
    assert_eq!((got.leader_epoch, got.end_offset), (-1, -1));
    let absent = Topic {
        name: unused_name("absent"),
        id: uuid::Uuid::nil(),
    };
    let got = end_offset(&mut client, &absent, -1, 0);
    assert_eq!(got.error_code, 3);
    assert_eq!((got.leader_epoch, got.end_offset), (-1, -1));
}
