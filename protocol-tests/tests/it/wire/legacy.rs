//! Versions that Kafka 4 has dropped and clients still send, by hand (R14, R15).

use bytes::{Buf, BufMut, Bytes};

use super::calls::{Topic, unused_name};
use super::client::Client;
use super::ottla_only;

const DROPPED: &str = "Kafka 4 no longer serves these versions";

fn header(key: i16, version: i16, correlation_id: i32) -> Vec<u8> {
    let mut bytes = vec![];
    bytes.put_i16(key);
    bytes.put_i16(version);
    bytes.put_i32(correlation_id);
    bytes.put_i16(-1); // client id
    bytes
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

#[track_caller]
fn string(bytes: &mut Bytes) -> String {
    let length = bytes.get_i16() as usize;
    String::from_utf8(bytes.split_to(length).to_vec()).expect("a name")
}

/// A message set of one v1 message, which is not looked at.
const OLD_MESSAGES: &[u8] = &[0; 40];

fn produce(version: i16, correlation_id: i32, topic: &str, acks: i16) -> Vec<u8> {
    let mut bytes = header(0, version, correlation_id);
    bytes.put_i16(acks);
    bytes.put_i32(1_000);
    bytes.put_i32(1);
    put_string(&mut bytes, topic);
    bytes.put_i32(2);
    for partition in 0..2 {
        bytes.put_i32(partition);
        bytes.put_i32(OLD_MESSAGES.len() as i32);
        bytes.put_slice(OLD_MESSAGES);
    }
    bytes
}

#[test]
fn r15_produce_0_to_2_answers_unsupported_version_per_partition_and_appends_nothing() {
    let Some(subject) = ottla_only("deliberate: Kafka closes the connection (KAFKA-18659)") else {
        return;
    };
    let topic = subject.topic_with("r15", 2, &[]);
    let mut client = subject.connect();
    for version in 0..=2 {
        client.send_frame(&produce(version, 77, &topic.name, 1));
        let mut answer = client.read_frame();
        assert_eq!(answer.get_i32(), 77, "v{version}");
        assert_eq!(answer.get_i32(), 1, "v{version}: topics");
        assert_eq!(string(&mut answer), topic.name);
        assert_eq!(answer.get_i32(), 2, "v{version}: partitions");
        let mut partitions = vec![];
        for _ in 0..2 {
            partitions.push(answer.get_i32());
            assert_eq!(answer.get_i16(), 35, "v{version}: the error");
            assert_eq!(answer.get_i64(), -1, "v{version}: the base offset");
            if version >= 2 {
                assert_eq!(answer.get_i64(), -1, "v{version}: the append time");
            }
        }
        partitions.sort();
        assert_eq!(partitions, [0, 1]);
        if version >= 1 {
            assert_eq!(answer.get_i32(), 0, "v{version}: the throttle time");
        }
        assert!(!answer.has_remaining(), "v{version}: {answer:02x?}");
    }
    assert_eq!(client.log_end_offset(&topic), 0);
}

#[test]
fn r15_produce_0_to_2_with_acks_0_closes() {
    let Some(subject) = ottla_only(DROPPED) else {
        return;
    };
    let topic = subject.topic_with("r15", 2, &[]);
    for version in 0..=2 {
        let mut client = subject.connect();
        client.send_frame(&produce(version, 1, &topic.name, 0));
        client.expect_close();
    }
    assert_eq!(subject.connect().log_end_offset(&topic), 0);
}

fn create_topics(version: i16, topic: &str, partitions: i32, validate_only: bool) -> Vec<u8> {
    let mut bytes = header(19, version, 5);
    bytes.put_i32(1);
    put_string(&mut bytes, topic);
    bytes.put_i32(partitions);
    bytes.put_i16(1); // replicas
    bytes.put_i32(0); // assignments
    bytes.put_i32(1);
    put_string(&mut bytes, "retention.ms");
    put_string(&mut bytes, "86400000");
    bytes.put_i32(50_000); // timeout
    if version >= 1 {
        bytes.put_u8(u8::from(validate_only));
    }
    bytes
}

#[track_caller]
fn expect_created(client: &mut Client, version: i16, topic: &str, error: i16) {
    let mut answer = client.read_frame();
    assert_eq!(answer.get_i32(), 5, "v{version}");
    assert_eq!(answer.get_i32(), 1, "v{version}");
    assert_eq!(string(&mut answer), topic);
    assert_eq!(answer.get_i16(), error, "v{version}");
    if version >= 1 {
        if error == 0 {
            assert_eq!(answer.get_i16(), -1, "v{version}: the message");
        } else {
            assert_eq!(
                string(&mut answer),
                format!("Topic '{topic}' already exists.")
            );
        }
    }
    assert!(!answer.has_remaining(), "v{version}: {answer:02x?}");
}

#[test]
fn r14_create_topics_0_and_1_create_topics() {
    let Some(subject) = ottla_only(DROPPED) else {
        return;
    };
    let mut client = subject.connect();
    for version in 0..=1 {
        let name = unused_name("r14");
        client.send_frame(&create_topics(version, &name, 3, false));
        expect_created(&mut client, version, &name, 0);
        assert_eq!(client.metadata(&name).partitions.len(), 3);
        client.send_frame(&create_topics(version, &name, 3, false));
        expect_created(&mut client, version, &name, 36);
    }
    let name = unused_name("r14");
    client.send_frame(&create_topics(1, &name, 3, true));
    expect_created(&mut client, 1, &name, 0);
    assert_eq!(client.metadata(&name).error_code, 3, "only validated");
}

#[test]
fn r14_delete_topics_0_deletes_topics() {
    let Some(subject) = ottla_only(DROPPED) else {
        return;
    };
    let Topic { name, .. } = subject.topic("r14");
    let mut client = subject.connect();
    for error in [0, 3] {
        let mut bytes = header(20, 0, 6);
        bytes.put_i32(1);
        put_string(&mut bytes, &name);
        bytes.put_i32(10_000);
        client.send_frame(&bytes);
        let mut answer = client.read_frame();
        assert_eq!(answer.get_i32(), 6);
        assert_eq!(answer.get_i32(), 1);
        assert_eq!(string(&mut answer), name);
        assert_eq!(answer.get_i16(), error);
        assert!(!answer.has_remaining(), "{answer:02x?}");
    }
    assert_eq!(client.metadata(&name).error_code, 3, "it is gone");
}

#[test]
fn r14_acl_calls_of_version_0_are_answered_in_its_layout() {
    let Some(subject) = ottla_only(DROPPED) else {
        return;
    };
    let mut client = subject.connect();
    let mut filter = vec![2]; // topics
    put_string(&mut filter, "t");
    filter.put_i16(-1); // any principal
    put_string(&mut filter, "*");
    filter.put_slice(&[3, 3]); // reading, allowed
    let mut acl = vec![2];
    for text in ["t", "User:a", "*"] {
        put_string(&mut acl, text);
    }
    acl.put_slice(&[3, 3]);

    client.send_frame(&[header(29, 0, 7), filter.clone()].concat());
    let mut answer = client.read_frame();
    assert_eq!((answer.get_i32(), answer.get_i32()), (7, 0), "id, throttle");
    assert_eq!(answer.get_i16(), 54);
    let sentence = "No Authorizer is configured on the broker";
    assert_eq!(string(&mut answer), sentence);
    assert_eq!(answer.get_i32(), 0, "resources");
    assert!(!answer.has_remaining(), "{answer:02x?}");

    for (key, entry) in [(30, acl), (31, filter)] {
        let mut bytes = header(key, 0, 8);
        bytes.put_i32(2);
        bytes.put_slice(&[&entry[..], &entry[..]].concat());
        client.send_frame(&bytes);
        let mut answer = client.read_frame();
        assert_eq!((answer.get_i32(), answer.get_i32()), (8, 0), "id, throttle");
        assert_eq!(answer.get_i32(), 2, "results");
        for _ in 0..2 {
            assert_eq!(answer.get_i16(), 54);
            assert_eq!(string(&mut answer), "No Authorizer is configured.");
            if key == 31 {
                assert_eq!(answer.get_i32(), 0, "matching ACLs");
            }
        }
        assert!(!answer.has_remaining(), "{answer:02x?}");
    }
}
