//! Batches that Produce refuses, and oddities that it takes (R55–R58).

use kafka_protocol::messages::produce_response::PartitionProduceResponse;

use super::batch::{
    Batch, CONTROL, CRC_AT, GZIP, LENGTH_AT, MAGIC_AT, Record, crc32c, put_varint, stored,
};
use super::calls::{PRODUCE, Topic, produce_request};
use super::client::Client;
use super::{ottla_only, subject};

/// Log start of an answer when the log has not been asked.
const BEFORE_THE_LOG: i64 = -1;
/// Log start of an answer when the log found the error: that of the test topic.
const BY_THE_LOG: i64 = 0;

#[track_caller]
fn expect_refused(got: &PartitionProduceResponse, error: i16, log_start: i64, what: &str) {
    assert_eq!(got.error_code, error, "{what}: {got:?}");
    assert_eq!(got.base_offset, -1, "{what}: {got:?}");
    assert_eq!(got.log_append_time_ms, -1, "{what}: {got:?}");
    assert_eq!(got.log_start_offset, log_start, "{what}: {got:?}");
    assert!(got.record_errors.is_empty(), "{what}: {got:?}");
}

/// Overwrites bytes in a finished batch, and lets the CRC stay true.
fn patched(batch: &Batch, at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = batch.bytes();
    bytes[at..at + with.len()].copy_from_slice(with);
    let crc = crc32c(&bytes[CRC_AT + 4..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn change(change: impl FnOnce(&mut Batch)) -> Vec<u8> {
    let mut batch = Batch::numbered(2);
    change(&mut batch);
    batch.bytes()
}

#[track_caller]
fn expect_nothing_stored(client: &mut Client, topic: &Topic) {
    assert_eq!(client.log_end_offset(topic), 0);
}

#[test]
fn r55_what_is_no_single_batch_is_refused_before_the_log() {
    let subject = subject();
    let topic = subject.topic("r55");
    let mut client = subject.connect();
    let good = Batch::numbered(2);
    let two = [good.bytes(), good.bytes()].concat();
    let mut longer_than_given = good.bytes();
    longer_than_given.pop();
    for (what, bytes) in [
        ("no bytes", vec![]),
        ("magic 0", patched(&good, MAGIC_AT, &[0])),
        ("magic 1", patched(&good, MAGIC_AT, &[1])),
        ("two batches", two),
        ("a batch that is cut", longer_than_given),
    ] {
        let got = client.produce_bytes(&topic, bytes);
        expect_refused(&got, 87, BEFORE_THE_LOG, what);
        assert_eq!(got.error_message, None, "{what}");
    }
    let too_short = "Record size 0 is less than the minimum record overhead (14)";
    for (what, bytes, message) in [
        (
            "magic 3",
            patched(&good, MAGIC_AT, &[3]),
            "Invalid magic found in record: 3",
        ),
        (
            "magic -1",
            patched(&good, MAGIC_AT, &[0xff]),
            "Invalid magic found in record: -1",
        ),
        ("length 0", patched(&good, LENGTH_AT, &[0; 4]), too_short),
    ] {
        let got = client.produce_bytes(&topic, bytes);
        expect_refused(&got, 2, BEFORE_THE_LOG, what);
        assert_eq!(got.error_message.as_deref(), Some(message), "{what}");
    }
    expect_nothing_stored(&mut client, &topic);
}

#[test]
fn r55_null_records_are_refused() {
    let Some(subject) = ottla_only("deliberate: Kafka's handler throws and never answers") else {
        return;
    };
    let topic = subject.topic("r55");
    let mut client = subject.connect();
    for version in 3..=13 {
        let request = produce_request(version, &topic, &[(0, None)]);
        let got = client.produce_one(version, &request);
        assert_eq!(got.error_code, 87, "v{version}: {got:?}");
    }
}

#[test]
fn r55_a_batch_that_contradicts_itself_is_refused_by_the_log() {
    let subject = subject();
    let topic = subject.topic("r55");
    let mut client = subject.connect();
    let null_header = Record {
        headers: vec![(None, Some(b"v"))],
        ..Record::new("k", "v")
    };
    let cut = |batch: &mut Batch| batch.payload.truncate(batch.payload.len() - 1);
    for (what, bytes) in [
        ("base offset 1", change(|b| b.base_offset = 1)),
        ("count 0", change(|b| b.count = 0)),
        ("count -1", change(|b| b.count = -1)),
        ("count above the last delta", change(|b| b.count = 3)),
        (
            "count below the last delta",
            change(|b| b.last_offset_delta = 2),
        ),
        (
            "a record missing",
            change(|b| (b.count, b.last_offset_delta) = (3, 2)),
        ),
        (
            "a record left over",
            change(|b| (b.count, b.last_offset_delta) = (1, 0)),
        ),
        ("the last record cut", change(cut)),
        ("a record length too long", change(|b| b.payload[0] += 2)),
        ("a record length too short", change(|b| b.payload[0] -= 2)),
        ("a negative record length", change(|b| b.payload[0] = 1)),
        ("a control batch", change(|b| b.attributes |= CONTROL)),
        (
            "a producer with a negative sequence",
            Batch::numbered(2).by_producer(4_000_000, 0, -1).bytes(),
        ),
        ("a null header key", Batch::of(&[null_header]).bytes()),
        ("a negative header count", negative_header_count()),
    ] {
        let got = client.produce_bytes(&topic, bytes);
        expect_refused(&got, 87, BY_THE_LOG, what);
        assert_eq!(got.error_message, None, "{what}");
    }
    expect_nothing_stored(&mut client, &topic);
}

fn negative_header_count() -> Vec<u8> {
    let mut batch = Batch::numbered(1);
    let last = batch.payload.len() - 1;
    batch.payload[last] = 1; // zigzag of −1
    batch.bytes()
}

#[test]
fn r55_odd_fields_that_nobody_relies_on_are_accepted_as_sent() {
    let subject = subject();
    let topic = subject.topic("r55");
    let mut client = subject.connect();
    let mut stray_byte = Batch::numbered(2).bytes();
    stray_byte.push(0xaa);
    for (what, bytes) in [
        ("a leader epoch", change(|b| b.leader_epoch = 77)),
        ("an unused attribute", change(|b| b.attributes |= 0x80)),
        ("high unused attributes", change(|b| b.attributes |= 0x7f00)),
        ("the delete horizon bit", change(|b| b.attributes |= 0x40)),
        ("record attributes", change(|b| b.payload[1] = 0x7f)),
        (
            "a producer id with epoch -1",
            Batch::numbered(2).by_producer(4_000_001, -1, 0).bytes(),
        ),
        (
            "a sequence without producer",
            change(|b| b.base_sequence = 9),
        ),
        (
            "an epoch without producer",
            change(|b| b.producer_epoch = 9),
        ),
        ("one stray byte behind", stray_byte),
    ] {
        let got = client.produce_bytes(&topic, bytes);
        assert_eq!(got.error_code, 0, "{what}: {got:?}");
        let batches = client.batches(&topic, got.base_offset);
        assert_eq!(batches.len(), 1, "{what}");
        assert!(batches[0].crc_is_right, "{what}");
        assert_ne!(batches[0].leader_epoch, 77, "{what}");
    }
    let mut zeros = Batch::numbered(2).bytes();
    zeros.extend([0; 20]);
    let got = client.produce_bytes(&topic, zeros);
    expect_refused(&got, 2, BEFORE_THE_LOG, "20 zero bytes behind");
}

#[test]
fn r55_offset_deltas_out_of_line_are_refused() {
    let subject = subject();
    let topic = subject.topic("r55");
    let mut client = subject.connect();
    let odd = || {
        let mut batch = Batch::numbered(2);
        let second = Record {
            offset_delta: 2,
            ..Record::new("k", "v")
        };
        batch.payload = [Record::new("k", "v").bytes(), second.bytes()].concat();
        batch
    };
    let got = client.produce(&topic, &odd());
    assert_eq!(got.error_code, subject.differs(87, 0), "{got:?}");
    // Kafka inflates every batch, Ottla those it must look into (R221).
    let compacted = subject.topic_with("r55", 1, &[("cleanup.policy", "compact")]);
    let got = client.produce(&compacted, &odd().compressed(GZIP));
    assert_eq!(got.error_code, subject.differs(87, -1), "{got:?}");
}

#[test]
fn r55_an_overlong_varint_is_refused() {
    let subject = subject();
    let topic = subject.topic("r55");
    let mut client = subject.connect();
    let mut batch = Batch::numbered(1);
    // attributes, then a timestamp delta of eleven bytes
    let mut record = vec![0];
    record.extend([0x80; 10]);
    record.extend([1, 0, 0, 0, 0]);
    batch.payload.clear();
    put_varint(&mut batch.payload, record.len() as i64);
    batch.payload.extend(record);
    let got = client.produce(&topic, &batch);
    assert_eq!(got.error_code, 87, "in a field: {got:?}");

    let mut batch = Batch::numbered(1);
    batch.payload.splice(..1, [0x80, 0x80, 0x80, 0x80, 0x80, 1]);
    let got = client.produce(&topic, &batch);
    assert_eq!(
        got.error_code,
        subject.differs(87, -1),
        "as length: {got:?}"
    );
}

#[test]
fn r56_a_batch_may_be_as_large_as_the_topic_allows_and_no_larger() {
    let subject = subject();
    let fits = Batch::sized(500);
    let limit = fits.bytes().len().to_string();
    let topic = subject.topic_with("r56", 1, &[("max.message.bytes", &limit)]);
    let mut client = subject.connect();
    assert_eq!(client.append(&topic, &fits), 0);
    let mut too_large = Batch::sized(501).bytes();
    let got = client.produce_bytes(&topic, too_large.clone());
    expect_refused(&got, 10, BEFORE_THE_LOG, "one byte more");
    assert_eq!(got.error_message, None);
    too_large[CRC_AT] ^= 1;
    let got = client.produce_bytes(&topic, too_large);
    expect_refused(&got, 10, BEFORE_THE_LOG, "judged before the CRC");
}

#[test]
fn r56_a_wrong_crc_is_a_corrupt_message() {
    let subject = subject();
    let topic = subject.topic("r56");
    let mut client = subject.connect();
    let mut bytes = Batch::numbered(2).bytes();
    *bytes.last_mut().expect("not empty") ^= 1;
    let got = client.produce_bytes(&topic, bytes);
    expect_refused(&got, 2, BEFORE_THE_LOG, "bad CRC");
    assert_eq!(got.error_message, None);
    expect_nothing_stored(&mut client, &topic);
}

#[test]
fn r56_a_batch_larger_than_a_segment_is_refused() {
    let subject = subject();
    let configs = [
        ("segment.bytes", "1048576"),
        ("max.message.bytes", "3000000"),
    ];
    let topic = subject.topic_with("r56", 1, &configs);
    let mut client = subject.connect();
    let got = client.produce(&topic, &Batch::sized(1_500_000));
    expect_refused(&got, 18, BEFORE_THE_LOG, "1.5 MB");
    assert_eq!(got.error_message, None);
}

#[test]
fn r57_a_compacted_topic_refuses_batches_with_null_keys_record_by_record() {
    let subject = subject();
    let topic = subject.topic_with("r57", 2, &[("cleanup.policy", "compact")]);
    let mut client = subject.connect();
    let keyless = Record {
        key: None,
        ..Record::new("", "v")
    };
    let records = [keyless.clone(), Record::new("k", "v"), keyless];
    for bad in [Batch::of(&records), Batch::of(&records).compressed(GZIP)] {
        let good = Batch::numbered(1).bytes().into();
        let partitions = [(0, Some(bad.bytes().into())), (1, Some(good))];
        let request = produce_request(PRODUCE, &topic, &partitions);
        let answer = client.call(PRODUCE, &request);
        let partitions = &answer.responses[0].partition_responses;
        let of = |index| partitions.iter().find(|p| p.index == index).expect("it");
        assert_eq!(of(1).error_code, 0, "the other partition");
        let got = of(0);
        assert_eq!(got.error_code, 87, "{got:?}");
        let told: Vec<_> = got
            .record_errors
            .iter()
            .map(|e| (e.batch_index, e.batch_index_error_message.as_deref()))
            .collect();
        let text = format!(
            "Compacted topic cannot accept message without key in topic partition {}-0",
            topic.name
        );
        assert_eq!(told, [(0, Some(&*text)), (2, Some(&*text))]);
        let message = format!(
            "One or more records have been rejected due to 2 record errors in total, and only \
             showing the first three errors at most: [RecordError(batchIndex=0, \
             message='{text}'), RecordError(batchIndex=2, message='{text}')]"
        );
        assert_eq!(got.error_message.as_deref(), Some(&*message));
    }
    expect_nothing_stored(&mut client, &topic);
}

#[test]
fn r58_create_times_outside_the_bounds_are_refused_record_by_record() {
    let subject = subject();
    let topic = subject.topic("r58");
    let mut client = subject.connect();
    let far = 1 << 50; // as a delta, tens of thousands of years
    let late = Record {
        timestamp_delta: far,
        ..Record::new("k", "v")
    };
    let batch = Batch::of(&[Record::new("k", "v"), late]);
    let got = client.produce(&topic, &batch);
    assert_eq!(got.error_code, 32, "{got:?}");
    assert_eq!(got.base_offset, -1);
    assert_eq!(
        got.error_message.as_deref(),
        Some("One or more records have been rejected due to invalid timestamp")
    );
    assert_eq!(got.record_errors.len(), 1, "{got:?}");
    assert_eq!(got.record_errors[0].batch_index, 1);
    let text = got.record_errors[0].batch_index_error_message.as_deref();
    let text = text.expect("a message");
    let start = format!(
        "Timestamp {} of message with offset 1 is out of range. The timestamp should be within [",
        batch.max_timestamp
    );
    assert!(text.starts_with(&start) && text.ends_with(']'), "{text}");
    expect_nothing_stored(&mut client, &topic);
}

#[test]
fn r58_the_topic_sets_how_old_a_record_may_be() {
    let subject = subject();
    let configs = [("message.timestamp.before.max.ms", "60000")];
    let topic = subject.topic_with("r58", 1, &configs);
    let mut client = subject.connect();
    let got = client.produce(&topic, &Batch::numbered(1));
    assert_eq!(got.error_code, 32, "{got:?}");
    let got = client.produce(&topic, &Batch::numbered(1).compressed(GZIP));
    assert_eq!(
        got.error_code, 32,
        "compressed ones are looked into: {got:?}"
    );
}

#[test]
fn r58_negative_timestamps_pass() {
    let subject = subject();
    let topic = subject.topic("r58");
    let mut client = subject.connect();
    for timestamp in [-1, -5_000] {
        let batch = Batch::numbered(1).created_at(timestamp);
        let offset = client.append(&topic, &batch);
        let records = client.fetch(&topic, offset).records.expect("records");
        // Kafka corrects the header, Ottla believes it (R221).
        let expected = subject.differs(timestamp, -1);
        assert_eq!(stored(records)[0].max_timestamp, expected);
    }
}
