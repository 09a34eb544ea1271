//! DeleteRecords (R158) and what everything else answers afterwards (R61, R70, R83, R95).

use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};

use super::batch::{Batch, T0};
use super::calls::{EARLIEST, LATEST, Topic, new_topic, topic_name, unused_name};
use super::client::Client;
use super::{own_subject, subject};

const DELETE_RECORDS: i16 = 2;
const HIGH_WATERMARK: i64 = -1;

pub fn delete_records_request(name: &str, partitions: &[(i32, i64)]) -> DeleteRecordsRequest {
    let partitions = partitions.iter().map(|(index, offset)| {
        DeleteRecordsPartition::default()
            .with_partition_index(*index)
            .with_offset(*offset)
    });
    let topic = DeleteRecordsTopic::default()
        .with_name(topic_name(name))
        .with_partitions(partitions.collect());
    DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(50_000)
}

/// Error and low watermark of each partition, by index.
#[track_caller]
fn delete(client: &mut Client, name: &str, partitions: &[(i32, i64)]) -> Vec<(i32, i16, i64)> {
    let request = delete_records_request(name, partitions);
    let answer = client.call(DELETE_RECORDS, &request);
    assert_eq!(answer.throttle_time_ms, 0);
    let topics = answer.topics.iter().inspect(|topic| {
        assert_eq!(topic.name, topic_name(name));
    });
    let mut results: Vec<_> = topics
        .flat_map(|topic| &topic.partitions)
        .map(|p| (p.partition_index, p.error_code, p.low_watermark))
        .collect();
    results.sort();
    results
}

/// Ten batches of one record, at T0, T0 + 1, …
fn topic_of_ten(client: &mut Client, topic: &Topic) {
    for i in 0..10 {
        client.append(topic, &Batch::numbered(1).created_at(T0 + i));
    }
}

#[test]
fn r158_records_before_an_offset_are_gone_in_every_version() {
    let subject = subject();
    let mut client = subject.connect();
    for version in 0..=2 {
        let topic = subject.topic("r158");
        topic_of_ten(&mut client, &topic);
        let request = delete_records_request(&topic.name, &[(0, 4)]);
        let answer = client.call(version, &request);
        let got = &answer.topics[0].partitions[0];
        assert_eq!((got.error_code, got.low_watermark), (0, 4), "v{version}");
        assert_eq!(client.list_offset(&topic, EARLIEST).offset, 4);
        assert_eq!(client.list_offset(&topic, LATEST).offset, 10);
    }
}

#[test]
fn r158_every_later_answer_shows_the_new_start() {
    let subject = subject();
    let mut client = subject.connect();
    let topic = subject.topic("r158");
    topic_of_ten(&mut client, &topic);
    assert_eq!(delete(&mut client, &topic.name, &[(0, 4)]), [(0, 0, 4)]);
    let fetched = client.fetch(&topic, 4);
    assert_eq!((fetched.error_code, fetched.log_start_offset), (0, 4));
    assert_eq!(client.batches(&topic, 4)[0].base_offset, 4);
    for below in [0, 3] {
        let refused = client.fetch(&topic, below);
        assert_eq!(refused.error_code, 1, "R83: OFFSET_OUT_OF_RANGE");
        assert!(refused.records.is_none_or(|records| records.is_empty()));
    }
    let produced = client.produce(&topic, &Batch::numbered(1));
    assert_eq!((produced.base_offset, produced.log_start_offset), (10, 4));
    for (time, offset) in [(0, 4), (T0 + 2, 4), (T0 + 7, 7)] {
        let found = client.list_offset(&topic, time);
        assert_eq!((found.error_code, found.offset), (0, offset), "time {time}");
    }
}

#[test]
fn r158_a_start_inside_a_batch_leaves_the_batch_readable() {
    let subject = subject();
    let mut client = subject.connect();
    let topic = subject.topic("r158");
    client.append(&topic, &Batch::numbered(5));
    client.append(&topic, &Batch::numbered(5));
    assert_eq!(delete(&mut client, &topic.name, &[(0, 7)]), [(0, 0, 7)]);
    let batches = client.batches(&topic, 7);
    assert_eq!(batches[0].base_offset, 5, "whole batches (R75)");
    assert_eq!(client.fetch(&topic, 6).error_code, 1);
    let found = client.list_offset(&topic, 0);
    assert_eq!(found.offset, 7, "nothing below the start");
}

#[test]
fn r158_minus_one_is_the_high_watermark_and_the_log_goes_on() {
    let subject = subject();
    let mut client = subject.connect();
    let topic = subject.topic("r158");
    let empty = delete(&mut client, &topic.name, &[(0, HIGH_WATERMARK)]);
    assert_eq!(empty, [(0, 0, 0)], "nothing to delete");
    topic_of_ten(&mut client, &topic);
    let all = delete(&mut client, &topic.name, &[(0, HIGH_WATERMARK)]);
    assert_eq!(all, [(0, 0, 10)]);
    assert_eq!(client.list_offset(&topic, EARLIEST).offset, 10);
    assert_eq!(client.list_offset(&topic, 0).offset, -1);
    let at_the_end = client.fetch(&topic, 10);
    assert_eq!((at_the_end.error_code, at_the_end.high_watermark), (0, 10));
    assert_eq!(client.append(&topic, &Batch::numbered(1)), 10);
    assert_eq!(client.batches(&topic, 10).len(), 1);
}

#[test]
fn r158_what_cannot_be_deleted() {
    let subject = subject();
    let mut client = subject.connect();
    let topic = subject.topic_with("r158", 2, &[]);
    topic_of_ten(&mut client, &topic);
    let name = &topic.name;
    assert_eq!(delete(&mut client, name, &[(0, 11)]), [(0, 1, -1)]);
    assert_eq!(delete(&mut client, name, &[(0, -2)]), [(0, 1, -1)]);
    assert_eq!(delete(&mut client, name, &[(0, i64::MIN)]), [(0, 1, -1)]);
    let some = delete(&mut client, name, &[(0, 6), (1, 1), (2, 0), (-1, 0)]);
    let expected = [(-1, 3, -1), (0, 0, 6), (1, 1, -1), (2, 3, -1)];
    assert_eq!(some, expected, "each partition for itself");
    let below = delete(&mut client, name, &[(0, 2)]);
    assert_eq!(below, [(0, 0, 6)], "the start never goes back");
    let absent = unused_name("absent");
    assert_eq!(delete(&mut client, &absent, &[(0, 0)]), [(0, 3, -1)]);
}

#[test]
fn r158_the_timeout_does_not_matter_where_nobody_is_awaited() {
    let subject = subject();
    let mut client = subject.connect();
    let topic = subject.topic("r158");
    topic_of_ten(&mut client, &topic);
    for (timeout_ms, offset) in [(0, 1), (-1, 2)] {
        let request = delete_records_request(&topic.name, &[(0, offset)]);
        let answer = client.call(DELETE_RECORDS, &request.with_timeout_ms(timeout_ms));
        let got = &answer.topics[0].partitions[0];
        assert_eq!((got.error_code, got.low_watermark), (0, offset));
    }
}

#[test]
fn r158_a_partition_asked_for_twice_has_one_entry_and_the_last_offset_counts() {
    let subject = subject();
    let mut client = subject.connect();
    let topic = subject.topic("r158");
    topic_of_ten(&mut client, &topic);
    let name = &topic.name;
    assert_eq!(delete(&mut client, name, &[(0, 5), (0, 3)]), [(0, 0, 3)]);
}

#[test]
fn r158_compacted_topics_keep_their_records_unless_they_delete_as_well() {
    let subject = subject();
    let mut client = subject.connect();
    for (policy, expected) in [("compact", (0, 44, -1)), ("compact,delete", (0, 0, 1))] {
        let topic = subject.topic_with("r158", 1, &[("cleanup.policy", policy)]);
        client.append(&topic, &Batch::numbered(2));
        let got = delete(&mut client, &topic.name, &[(0, 1)]);
        assert_eq!(got, [expected], "{policy}");
    }
}

#[test]
fn r158_internal_topics_keep_their_records() {
    let subject = own_subject();
    let mut client = subject.connect();
    let name = "__consumer_offsets";
    let created = client.create_topic(new_topic(name).with_num_partitions(1));
    assert!(matches!(created.error_code, 0 | 36), "{created:?}");
    client.await_topic(name);
    assert_eq!(delete(&mut client, name, &[(0, 0)]), [(0, 17, -1)]);
}

#[test]
fn r70_the_window_of_a_producer_survives_deletion_to_the_end() {
    let subject = subject();
    let mut client = subject.connect();
    let topic = subject.topic("r70");
    let id = client.producer_id();
    let batch = |sequence| Batch::numbered(1).by_producer(id, 0, sequence);
    for sequence in 0..3 {
        client.append(&topic, &batch(sequence));
    }
    let all = delete(&mut client, &topic.name, &[(0, HIGH_WATERMARK)]);
    assert_eq!(all, [(0, 0, 3)]);
    let again = client.produce(&topic, &batch(2));
    assert_eq!((again.error_code, again.base_offset), (0, 2), "a duplicate");
    assert_eq!(again.log_start_offset, 3, "R61");
    assert_eq!(client.append(&topic, &batch(3)), 3);
}
