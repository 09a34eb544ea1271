//! The records of the internal topic, byte for byte (R118).

use std::collections::BTreeMap;

use super::super::calls::{Topic, poll, unused_name};
use super::super::client::{CLIENT_ID, Client};
use super::member::{Member, stabilise};
use super::requests::{Position, at, commit, delete, offset_delete};
use super::{EXPIRING, subject, subject_with};
use crate::wire::batch::{Stored, stored};
use crate::wire::calls::fetch_request;

/// Key and value as they follow each other in the log.
type Log = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn offsets_topic() -> Topic {
    Topic {
        name: "__consumer_offsets".to_owned(),
        id: uuid::Uuid::nil(),
    }
}

/// Everything with `name` in its key, from the beginning to the end of the only partition.
#[track_caller]
fn records_of(client: &mut Client, name: &str) -> (Vec<Stored>, Log) {
    let mut offset = 0;
    let (mut batches, mut log) = (Vec::new(), Log::new());
    let end = client.log_end_offset(&offsets_topic());
    while offset < end {
        let answer = client.fetch_one(12, &fetch_request(12, &offsets_topic(), offset));
        assert_eq!(answer.error_code, 0, "{answer:?}");
        for batch in stored(answer.records.expect("records")) {
            offset = batch.next_offset();
            let records = walk(batch.payload());
            let mine = |key: &[u8]| key.windows(name.len()).any(|it| it == name.as_bytes());
            let count = log.len();
            log.extend(records.into_iter().filter(|(key, _)| mine(key)));
            if log.len() > count {
                batches.push(batch);
            }
        }
    }
    (batches, log)
}

/// The records of an uncompressed batch without headers.
fn walk(mut payload: &[u8]) -> Log {
    let mut records = Log::new();
    while !payload.is_empty() {
        let length = varint(&mut payload);
        let (mut record, rest) = payload.split_at(length as usize);
        payload = rest;
        record = &record[1..];
        varint(&mut record); // timestamp
        varint(&mut record); // offset
        let key = sized(&mut record).expect("keys are never null");
        let value = sized(&mut record);
        assert_eq!(varint(&mut record), 0, "headers");
        assert!(record.is_empty());
        records.push((key, value));
    }
    records
}

fn sized(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(varint(bytes)).ok()?;
    let (head, rest) = bytes.split_at(length);
    *bytes = rest;
    Some(head.to_vec())
}

fn varint(bytes: &mut &[u8]) -> i64 {
    let mut zigzag = 0u64;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a whole varint");
        *bytes = rest;
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
}

/// What a record is made of, as bytes follow each other.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn i16(mut self, value: i16) -> Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }
    fn i32(mut self, value: i32) -> Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }
    fn i64(mut self, value: i64) -> Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }
    fn text(self, text: &str) -> Bytes {
        let mut bytes = self.i16(text.len() as i16);
        bytes.0.extend(text.as_bytes());
        bytes
    }
    /// With a length of one byte, as flexible versions have it.
    fn compact(mut self, text: &str) -> Bytes {
        self.0.push(text.len() as u8 + 1);
        self.0.extend(text.as_bytes());
        self
    }
    fn sized(self, content: &[u8]) -> Bytes {
        let mut bytes = self.i32(content.len() as i32);
        bytes.0.extend(content);
        bytes
    }
    fn tags(mut self) -> Bytes {
        self.0.push(0);
        self
    }
}

fn commit_key(group: &str, topic: &str, partition: i32) -> Vec<u8> {
    Bytes::default()
        .i16(1)
        .text(group)
        .text(topic)
        .i32(partition)
        .0
}

fn group_key(group: &str) -> Vec<u8> {
    Bytes::default().i16(2).text(group).0
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

/// A time of this year or so, in ms.
#[track_caller]
fn assert_recent(timestamp: i64) {
    assert!(
        (1_700_000_000_000..4_000_000_000_000).contains(&timestamp),
        "{timestamp}"
    );
}

#[test]
fn r118_a_commit_is_key_1_and_value_4() {
    let subject = subject();
    let topic = subject.topic("r118");
    let mut client = subject.connect();
    for version in [2, 5, 6, 9] {
        let group = unused_name("r118");
        let position = Position {
            partition: 0,
            offset: 77,
            leader_epoch: 3,
            metadata: Some("said"),
        };
        client.call(version, &commit(version, &group, &topic.name, &[position]));
        let (batches, log) = records_of(&mut client, &group);
        assert_eq!(log.len(), 1, "{log:02x?}");
        let (key, value) = &log[0];
        assert_eq!(*key, commit_key(&group, &topic.name, 0));
        let value = value.as_ref().expect("no tombstone");
        let time = i64_at(value, value.len() - 9);
        assert_recent(time);
        let epoch = if version >= 6 { 3 } else { -1 };
        let expected = Bytes::default()
            .i16(4)
            .i64(77)
            .i32(epoch)
            .compact("said")
            .i64(time)
            .tags();
        assert_eq!(*value, expected.0, "v{version}");
        let batch = &batches[0];
        assert_eq!((batch.attributes, batch.producer_id), (0, -1));
        assert!(batch.crc_is_right);
        let apart = (batch.max_timestamp - time).abs();
        assert!(
            apart < 10_000,
            "{apart} ms between the commit and its batch"
        );
    }
}

#[test]
fn r118_a_commit_with_a_retention_is_value_1() {
    let subject = subject();
    let topic = subject.topic("r118");
    let mut client = subject.connect();
    for version in 2..=4 {
        let group = unused_name("r118");
        let request =
            commit(version, &group, &topic.name, &[at(0, 77)]).with_retention_time_ms(86_400_000);
        client.call(version, &request);
        let (_, log) = records_of(&mut client, &group);
        assert_eq!(log.len(), 1, "{log:02x?}");
        let value = log[0].1.as_ref().expect("no tombstone");
        let time = i64_at(value, value.len() - 16);
        assert_recent(time);
        let expected = Bytes::default()
            .i16(1)
            .i64(77)
            .text("")
            .i64(time)
            .i64(time + 86_400_000);
        assert_eq!(*value, expected.0, "v{version}");
    }
}

#[test]
fn r118_the_partitions_of_a_commit_are_one_batch_in_their_order() {
    let subject = subject();
    let topic = subject.topic_with("r118", 3, &[]);
    let group = unused_name("r118");
    let mut client = subject.connect();
    let request = commit(9, &group, &topic.name, &[at(2, 20), at(0, 0), at(1, 10)]);
    client.call(9, &request);
    let (batches, log) = records_of(&mut client, &group);
    assert_eq!(batches.len(), 1);
    let keys: Vec<Vec<u8>> = log.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [2, 0, 1].map(|p| commit_key(&group, &topic.name, p)));
}

/// GroupMetadataValue v3: `members` are their fields after the protocol.
fn group_value(kind: &str, generation: i32, protocol: Option<(&str, &str)>, time: i64) -> Bytes {
    let bytes = Bytes::default().i16(3).text(kind).i32(generation);
    let bytes = match protocol {
        Some((name, leader)) => bytes.text(name).text(leader),
        None => bytes.i16(-1).i16(-1),
    };
    bytes.i64(time)
}

fn time_of_empty(value: &[u8]) -> i64 {
    i64_at(value, value.len() - 12)
}

#[test]
fn r118_a_group_is_key_2_and_value_3_whenever_it_changed() {
    let subject = subject();
    let group = unused_name("r118");
    let mut client = subject.connect();
    let mut member = Member::new(&subject, &group);
    member.be_named();
    // Named only: the group is there, without a type.
    let log = poll("the record of the group", || {
        let (_, log) = records_of(&mut client, &group);
        (!log.is_empty()).then_some(log)
    });
    assert_eq!(log.len(), 1, "{log:02x?}");
    assert_eq!(log[0].0, group_key(&group));
    let value = log[0].1.as_ref().expect("no tombstone");
    let expected = group_value("", 0, None, time_of_empty(value)).i32(0);
    assert_eq!(*value, expected.0);

    // The join is not written, the assignment is.
    member.join();
    assert_eq!(records_of(&mut client, &group).1.len(), 1);
    let id = member.id.clone();
    member.sync(&[(&id, b"mine")]);
    let (_, log) = records_of(&mut client, &group);
    assert_eq!(log.len(), 2, "{log:02x?}");
    let value = log[1].1.as_ref().expect("no tombstone");
    let head = group_value("consumer", 1, Some(("range", &id)), 0).0.len();
    let time = i64_at(value, head - 8);
    assert_recent(time);
    let expected = group_value("consumer", 1, Some(("range", &id)), time)
        .i32(1)
        .text(&id)
        .i16(-1)
        .text(CLIENT_ID)
        .text("/127.0.0.1")
        .i32(member.rebalance_timeout_ms)
        .i32(member.session_timeout_ms)
        .sized(b"meta")
        .sized(b"mine");
    assert_eq!(*value, expected.0);

    // The last one leaves: an empty group of the next generation.
    member.leave();
    let (_, log) = records_of(&mut client, &group);
    assert_eq!(log.len(), 3, "{log:02x?}");
    let value = log[2].1.as_ref().expect("no tombstone");
    assert_recent(time_of_empty(value));
    let expected = group_value("consumer", 2, None, time_of_empty(value)).i32(0);
    assert_eq!(*value, expected.0);

    // Deleted: a tombstone.
    client.call(2, &delete(&[&group]));
    let (_, log) = records_of(&mut client, &group);
    assert_eq!(log.len(), 4, "{log:02x?}");
    assert_eq!(log[3], (group_key(&group), None));
}

#[test]
fn r118_a_static_member_has_its_instance_id_and_a_return_is_written() {
    let subject = subject();
    let group = unused_name("r118");
    let mut client = subject.connect();
    let mut members = vec![Member::new(&subject, &group).instance("inst")];
    stabilise(&mut members);
    let (_, log) = records_of(&mut client, &group);
    let before = log.len();
    let value = log[before - 1].1.clone().expect("no tombstone");
    let instance = Bytes::default().text("inst").text(CLIENT_ID).0;
    assert!(value.windows(instance.len()).any(|it| it == instance));
    let mut again = Member::new(&subject, &group).instance("inst");
    again.join();
    let (_, log) = records_of(&mut client, &group);
    assert_eq!(log.len(), before + 1);
    let value = log[before].1.clone().expect("no tombstone");
    let named = Bytes::default().text(&again.id).text("inst").0;
    assert!(
        value.windows(named.len()).any(|it| it == named),
        "the new member id"
    );
}

#[test]
fn r118_deleted_offsets_and_groups_leave_tombstones() {
    let subject = subject();
    let topic = subject.topic_with("r118", 2, &[]);
    let group = unused_name("r118");
    let mut client = subject.connect();
    client.call(9, &commit(9, &group, &topic.name, &[at(0, 1), at(1, 2)]));
    client.call(0, &offset_delete(&group, &[(&topic.name, &[0])]));
    let (_, log) = records_of(&mut client, &group);
    assert_eq!(log[2..], [(commit_key(&group, &topic.name, 0), None)]);
    client.call(2, &delete(&[&group]));
    let (batches, log) = records_of(&mut client, &group);
    let expected = [
        (commit_key(&group, &topic.name, 1), None),
        (group_key(&group), None),
    ];
    assert_eq!(log[3..], expected);
    assert_eq!(batches.len(), 3, "a deletion is one batch");
}

#[test]
fn r118_the_offsets_of_a_deleted_topic_leave_tombstones() {
    let subject = subject();
    let topic = subject.topic("r118");
    let group = unused_name("r118");
    let mut client = subject.connect();
    client.call(9, &commit(9, &group, &topic.name, &[at(0, 1)]));
    client.delete_topic(&topic.name);
    poll("the tombstone", || {
        let (_, log) = records_of(&mut client, &group);
        (log.last() == Some(&(commit_key(&group, &topic.name, 0), None))).then_some(())
    });
}

#[test]
fn r118_expired_offsets_leave_tombstones_and_so_does_their_group() {
    let Some(subject) = subject_with(EXPIRING) else {
        return;
    };
    let topic = subject.topic("r118");
    let group = unused_name("r118");
    let mut client = subject.connect();
    client.call(
        4,
        &commit(4, &group, &topic.name, &[at(0, 1)]).with_retention_time_ms(1),
    );
    let last = poll("the tombstones", || {
        let (_, log) = records_of(&mut client, &group);
        let last: BTreeMap<_, _> = log.into_iter().collect();
        (last.len() == 2).then_some(last)
    });
    assert_eq!(last[&commit_key(&group, &topic.name, 0)], None);
    assert_eq!(last[&group_key(&group)], None);
}

#[test]
fn r118_members_of_a_group_are_written_with_their_own_share() {
    let subject = subject();
    let group = unused_name("r118");
    let mut client = subject.connect();
    let mut members: Vec<Member> = (0..3).map(|_| Member::new(&subject, &group)).collect();
    stabilise(&mut members);
    let (_, log) = records_of(&mut client, &group);
    let value = log.last().and_then(|it| it.1.clone()).expect("the group");
    for (n, member) in members.iter().enumerate() {
        let written = Bytes::default()
            .text(&member.id)
            .i16(-1)
            .text(CLIENT_ID)
            .text("/127.0.0.1")
            .i32(member.rebalance_timeout_ms)
            .i32(member.session_timeout_ms)
            .sized(b"meta")
            .sized(&super::member::share_of(n))
            .0;
        assert!(
            value.windows(written.len()).any(|it| it == written),
            "member {n}"
        );
    }
}
