//! What Produce answers when it accepts, and what it does with whole requests (R59–R66).

use bytes::Bytes;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TransactionalId};

use super::batch::{Batch, Record, T0};
use super::calls::{PRODUCE, Topic, new_topic, produce_request, text, topic_name, unused_name};
use super::{Subject, subject};

fn to_partition_0(topic: &Topic) -> ProduceRequest {
    produce_request(PRODUCE, topic, &[(0, Some(some_bytes()))])
}

fn some_bytes() -> Bytes {
    Batch::numbered(1).bytes().into()
}

fn absent() -> Topic {
    Topic {
        name: unused_name("absent"),
        id: uuid::Uuid::new_v4(),
    }
}

/// (topic, partition, error), sorted: answers are in no order (R43).
fn errors(answer: &ProduceResponse) -> Vec<(String, i32, i16)> {
    let mut errors: Vec<_> = answer
        .responses
        .iter()
        .flat_map(|topic| {
            let name = topic.name.to_string();
            let partitions = topic.partition_responses.iter();
            partitions.map(move |p| (name.clone(), p.index, p.error_code))
        })
        .collect();
    errors.sort();
    errors
}

fn log_ends(subject: &Subject, topic: &Topic) -> Vec<i64> {
    let mut client = subject.connect();
    let mut end = |partition| {
        let request = super::calls::list_offsets_request(topic, partition, -1);
        client.call(10, &request).topics[0].partitions[0].offset
    };
    (0..2).map(&mut end).collect()
}

#[test]
fn r59_unknown_acks_are_refused_on_every_partition_that_exists() {
    let subject = subject();
    let topic = subject.topic_with("r59", 2, &[]);
    let mut client = subject.connect();
    let gone = absent();
    for acks in [2, -2, i16::MAX] {
        let partitions = [(0, Some(some_bytes())), (1, Some(some_bytes()))];
        let mut request = produce_request(PRODUCE, &topic, &partitions).with_acks(acks);
        request.topic_data.extend(to_partition_0(&gone).topic_data);
        let answer = client.call(PRODUCE, &request);
        let mut expected = vec![
            (topic.name.clone(), 0, 21),
            (topic.name.clone(), 1, 21),
            (gone.name.clone(), 0, 3),
        ];
        expected.sort();
        assert_eq!(errors(&answer), expected);
    }
    assert_eq!(log_ends(&subject, &topic), [0, 0]);
}

#[test]
fn r59_one_replica_takes_acks_all_whatever_the_minimum() {
    let subject = subject();
    let topic = subject.topic_with("r59", 1, &[("min.insync.replicas", "2")]);
    assert_eq!(subject.connect().append(&topic, &Batch::numbered(1)), 0);
}

#[test]
fn r59_a_timeout_that_is_not_positive_changes_nothing() {
    let subject = subject();
    let topic = subject.topic("r59");
    let mut client = subject.connect();
    for timeout_ms in [0, -1, i32::MIN] {
        for acks in [1, -1] {
            let request = to_partition_0(&topic)
                .with_timeout_ms(timeout_ms)
                .with_acks(acks);
            let got = client.produce_one(PRODUCE, &request);
            assert_eq!(got.error_code, 0, "timeout {timeout_ms} acks {acks}");
        }
    }
}

#[test]
fn r60_a_partition_that_is_refused_holds_back_no_other() {
    let subject = subject();
    let topic = subject.topic_with("r60", 2, &[]);
    let mut bad_crc = Batch::numbered(1).bytes();
    *bad_crc.last_mut().expect("not empty") ^= 1;
    let partitions = [(0, Some(bad_crc.into())), (1, Some(some_bytes()))];
    let request = produce_request(PRODUCE, &topic, &partitions);
    let answer = subject.connect().call(PRODUCE, &request);
    let name = topic.name.clone();
    assert_eq!(errors(&answer), [(name.clone(), 0, 2), (name, 1, 0)]);
    assert_eq!(log_ends(&subject, &topic), [0, 1]);
}

#[test]
fn r61_success_carries_base_offset_log_start_and_time() {
    let subject = subject();
    let topic = subject.topic("r61");
    let mut client = subject.connect();
    for version in 3..=13 {
        let expected = i64::from(version - 3) * 3;
        let records = Some(Batch::numbered(3).bytes().into());
        let request = produce_request(version, &topic, &[(0, records)]);
        let got = client.produce_one(version, &request);
        assert_eq!(got.error_code, 0, "v{version}");
        assert_eq!(got.base_offset, expected, "v{version}");
        assert_eq!(got.log_append_time_ms, -1, "v{version}");
        let log_start = if version >= 5 { 0 } else { -1 };
        assert_eq!(got.log_start_offset, log_start, "v{version}");
        assert_eq!(got.error_message, None, "v{version}");
        assert!(got.record_errors.is_empty(), "v{version}");
    }
}

#[test]
fn r61_log_append_time_is_told_and_stored() {
    let subject = subject();
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let topic = subject.topic_with("r61", 1, &configs);
    let mut client = subject.connect();
    let got = client.produce(&topic, &Batch::numbered(2));
    assert_eq!(got.error_code, 0);
    assert!(got.log_append_time_ms > T0, "{got:?}");
    let batches = client.batches(&topic, 0);
    assert_eq!(batches[0].max_timestamp, got.log_append_time_ms);
}

#[test]
fn r61_a_duplicate_is_answered_with_the_first_time() {
    let subject = subject();
    let topic = subject.topic("r61");
    let mut client = subject.connect();
    let batch = Batch::numbered(2).by_producer(client.producer_id(), 0, 0);
    assert_eq!(client.produce(&topic, &batch).log_append_time_ms, -1);
    let again = client.produce(&topic, &batch);
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    assert_eq!(again.log_append_time_ms, batch.max_timestamp);
}

#[test]
fn r61_errors_found_by_the_log_carry_its_start_and_others_do_not() {
    let subject = subject();
    let topic = subject.topic("r61");
    let mut client = subject.connect();
    let id = client.producer_id();
    client.append(&topic, &Batch::numbered(1).by_producer(id, 1, 0));
    for (what, batch, error) in [
        ("gap", Batch::numbered(1).by_producer(id, 1, 5), 45),
        ("epoch", Batch::numbered(1).by_producer(id, 0, 1), 47),
    ] {
        let got = client.produce(&topic, &batch);
        assert_eq!(got.error_code, error, "{what}");
        assert_eq!(got.log_start_offset, 0, "{what}");
        assert_eq!((got.base_offset, got.log_append_time_ms), (-1, -1));
    }
    let got = client.produce_one(PRODUCE, &to_partition_0(&absent()));
    assert_eq!((got.error_code, got.log_start_offset), (3, -1));
    let got = client.produce_one(
        13,
        &produce_request(13, &absent(), &[(0, Some(some_bytes()))]),
    );
    assert_eq!((got.error_code, got.log_start_offset), (100, -1));
}

#[test]
fn r62_a_partition_that_does_not_exist_is_unknown() {
    let subject = subject();
    let topic = subject.topic("r62");
    let mut client = subject.connect();
    for partition in [1, -1, i32::MAX] {
        let request = produce_request(PRODUCE, &topic, &[(partition, Some(some_bytes()))]);
        let got = client.produce_one(PRODUCE, &request);
        assert_eq!(got.error_code, 3, "partition {partition}");
        assert_eq!(got.index, partition);
    }
}

#[test]
fn r63_a_partition_named_twice_is_refused() {
    let subject = subject();
    let topic = subject.topic("r63");
    let mut client = subject.connect();
    let one = |value| -> Bytes { Batch::of(&[Record::new("k", value)]).bytes().into() };
    let partitions = [(0, Some(one("first"))), (0, Some(one("second")))];
    let request = produce_request(PRODUCE, &topic, &partitions);
    let got = client.produce_one(PRODUCE, &request);
    // Kafka loses the first one without a word.
    assert_eq!(got.error_code, subject.differs(42, 0));
    assert_eq!(client.log_end_offset(&topic), subject.differs(0, 1));
}

#[test]
fn r64_internal_topics_are_closed_to_all_but_the_admin_client() {
    let subject = subject();
    let mut client = subject.connect();
    let created = client.create_topic(new_topic("__consumer_offsets").with_num_partitions(1));
    assert!([0, 36].contains(&created.error_code), "{created:?}");
    let internal = Topic {
        name: "__consumer_offsets".to_owned(),
        id: client.await_topic("__consumer_offsets").topic_id,
    };
    subject.await_leader(&internal, 0);
    assert!(client.metadata(&internal.name).is_internal);
    let got = client.produce(&internal, &Batch::numbered(1));
    assert_eq!(got.error_code, 17, "{got:?}");
    let by_id = produce_request(13, &internal, &[(0, Some(some_bytes()))]);
    assert_eq!(client.produce_one(13, &by_id).error_code, 17);

    // Damaged on purpose: a strange record would stop Kafka's coordinator (R72).
    let mut bad_crc = Batch::numbered(1).bytes();
    *bad_crc.last_mut().expect("not empty") ^= 1;
    let mut admin = subject.connect().called(Some("__admin_client"));
    assert_eq!(admin.produce_bytes(&internal, bad_crc).error_code, 2);

    for name in ["__cluster_metadata", "__share_group_state"] {
        let topic = Topic {
            name: name.to_owned(),
            id: uuid::Uuid::nil(),
        };
        let got = client.produce(&topic, &Batch::numbered(1));
        assert_eq!(got.error_code, 3, "{name} does not exist");
    }
}

#[test]
fn r65_a_topic_named_twice_is_one_entry() {
    let subject = subject();
    let topic = subject.topic_with("r65", 2, &[]);
    let mut request = to_partition_0(&topic);
    let other = produce_request(PRODUCE, &topic, &[(1, Some(some_bytes()))]);
    request.topic_data.extend(other.topic_data);
    let answer = subject.connect().call(PRODUCE, &request);
    assert_eq!(answer.responses.len(), 1, "{answer:?}");
    assert_eq!(answer.responses[0].name, topic_name(&topic.name));
    let name = topic.name.clone();
    assert_eq!(errors(&answer), [(name.clone(), 0, 0), (name, 1, 0)]);
    assert_eq!(log_ends(&subject, &topic), [1, 1]);
}

#[test]
fn r66_a_transactional_id_without_a_transactional_batch_is_a_plain_append() {
    let subject = subject();
    let topic = subject.topic("r66");
    let mut client = subject.connect();
    let id = TransactionalId(text("r66"));
    let request = to_partition_0(&topic).with_transactional_id(Some(id));
    assert_eq!(client.produce_one(PRODUCE, &request).error_code, 0);
}
