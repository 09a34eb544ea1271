//! What one Fetch returns (R75–R78, R80, R83–R86, R91).

use bytes::Bytes;
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use super::batch::{Batch, GZIP, stored};
use super::calls::{FETCH, Topic, fetch_request, fetch_topic, unused_name};
use super::client::{Client, LONG_WAIT_MS};
use super::subject;

/// A fetch that only an early answer ends.
fn patient(request: FetchRequest) -> FetchRequest {
    request.with_max_wait_ms(LONG_WAIT_MS).with_min_bytes(1)
}

fn absent() -> Topic {
    Topic {
        name: unused_name("absent"),
        id: uuid::Uuid::new_v4(),
    }
}

/// Partition, error and bytes of records, in the order of the answer.
fn outline(answer: &FetchResponse) -> Vec<(i32, i16, usize)> {
    let partitions = answer.responses.iter().flat_map(|t| &t.partitions);
    partitions
        .map(|p| {
            let size = p.records.as_ref().map_or(0, Bytes::len);
            (p.partition_index, p.error_code, size)
        })
        .collect()
}

#[track_caller]
fn append_to(client: &mut Client, topic: &Topic, partition: i32, batch: &Batch) {
    let records = Some(batch.bytes().into());
    let request = super::calls::produce_request(9, topic, &[(partition, records)]);
    assert_eq!(client.produce_one(9, &request).error_code, 0);
}

#[test]
fn r75_fetch_inside_a_batch_returns_the_whole_batch() {
    let subject = subject();
    let topic = subject.topic("r75");
    let mut client = subject.connect();
    for codec in [0, GZIP, GZIP] {
        let batch = Batch::numbered(10);
        let batch = if codec == 0 {
            batch
        } else {
            batch.compressed(codec)
        };
        client.append(&topic, &batch);
    }
    for offset in 0..30 {
        let batches = client.batches(&topic, offset);
        assert_eq!(batches[0].base_offset, offset / 10 * 10, "from {offset}");
        assert_eq!(batches.len() as i64, 3 - offset / 10, "from {offset}");
    }
}

#[test]
fn r76_the_first_batch_is_returned_whole_above_every_limit() {
    let subject = subject();
    let topic = subject.topic_with("r76", 3, &[]);
    let mut client = subject.connect();
    let batch = Batch::sized(5_000);
    append_to(&mut client, &topic, 1, &batch);
    append_to(&mut client, &topic, 2, &batch);
    let size = batch.bytes().len();
    for (partition_max_bytes, max_bytes) in [(0, 1 << 20), (1 << 20, 0), (0, 0), (100, 100)] {
        let asked = [(0, 0), (1, 0), (2, 0)];
        let mut request = FetchRequest::default()
            .with_topics(vec![fetch_topic(FETCH, &topic, &asked)])
            .with_max_bytes(max_bytes);
        for partition in &mut request.topics[0].partitions {
            partition.partition_max_bytes = partition_max_bytes;
        }
        let answer = client.call(FETCH, &request);
        let expected = [(0, 0, 0), (1, 0, size), (2, 0, 0)];
        assert_eq!(
            outline(&answer),
            expected,
            "{partition_max_bytes} {max_bytes}"
        );
    }
}

#[test]
fn r76_only_whole_batches_are_sent() {
    let subject = subject();
    let topic = subject.topic("r76");
    let mut client = subject.connect();
    let batch = Batch::sized(1_000);
    let size = batch.bytes().len();
    for _ in 0..3 {
        client.append(&topic, &batch);
    }
    for (limit, expected) in [
        (2 * size, 2 * size),
        (2 * size + 1, subject.differs(2 * size, 2 * size + 1)),
        (3 * size - 1, subject.differs(2 * size, 3 * size - 1)),
    ] {
        let mut request = fetch_request(FETCH, &topic, 0);
        request.topics[0].partitions[0].partition_max_bytes = limit as i32;
        let answer = client.call(FETCH, &request);
        assert_eq!(outline(&answer), [(0, 0, expected)], "limit {limit}");
    }
}

#[test]
fn r76_negative_sizes_are_invalid() {
    let subject = subject();
    let topic = subject.topic("r76");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(1));
    let negative = fetch_request(FETCH, &topic, 0).with_max_bytes(-1);
    let error = |answer: FetchResponse| match answer.error_code {
        0 => answer.responses[0].partitions[0].error_code,
        error => error,
    };
    let got = error(client.call(FETCH, &negative));
    assert_eq!(got, subject.differs(42, -1));
    let mut negative = fetch_request(FETCH, &topic, 0);
    negative.topics[0].partitions[0].partition_max_bytes = -1;
    let got = error(client.call(FETCH, &negative));
    assert_eq!(got, subject.differs(42, -1));
}

#[test]
fn r77_max_bytes_bounds_the_sum_in_the_order_of_the_request() {
    let subject = subject();
    let topic = subject.topic_with("r77", 4, &[]);
    let mut client = subject.connect();
    let batch = Batch::sized(1_000);
    let size = batch.bytes().len();
    for partition in 0..4 {
        append_to(&mut client, &topic, partition, &batch);
    }
    for order in [[0, 1, 2, 3], [2, 0, 3, 1]] {
        let asked = order.map(|partition| (partition, 0));
        let request = FetchRequest::default()
            .with_topics(vec![fetch_topic(FETCH, &topic, &asked)])
            .with_max_bytes(2 * size as i32);
        let answer = client.call(FETCH, &request);
        let [a, b, c, d] = order;
        let expected = [(a, 0, size), (b, 0, size), (c, 0, 0), (d, 0, 0)];
        assert_eq!(outline(&answer), expected);
    }
}

#[test]
fn r78_empty_records_are_never_null() {
    let subject = subject();
    let topic = subject.topic("r78");
    let absent = absent();
    let mut client = subject.connect();
    for version in 4..=18 {
        for (topic, offset) in [(&topic, 0), (&topic, 5), (&absent, 0)] {
            let got = client.fetch_one(version, &fetch_request(version, topic, offset));
            let error = match offset {
                5 => 1,
                _ if topic.name == absent.name && version >= 13 => 100,
                _ if topic.name == absent.name => 3,
                _ => 0,
            };
            assert_eq!(got.error_code, error, "v{version}");
            assert_eq!(got.records, Some(Bytes::new()), "v{version} error {error}");
        }
    }
}

#[test]
fn r80_a_fetch_that_cannot_gain_by_waiting_is_answered_at_once() {
    let subject = subject();
    let topic = subject.topic("r80");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(1));
    let at_end = || fetch_request(FETCH, &topic, 1);
    for (what, request) in [
        ("no wait", patient(at_end()).with_max_wait_ms(0)),
        ("a negative wait", patient(at_end()).with_max_wait_ms(-1)),
        ("no minimum", patient(at_end()).with_min_bytes(0)),
        ("a negative minimum", patient(at_end()).with_min_bytes(-1)),
        ("no partition", patient(at_end()).with_topics(vec![])),
        ("all refused", patient(fetch_request(FETCH, &absent(), 0))),
        ("out of range", patient(fetch_request(FETCH, &topic, 9))),
        ("enough data", patient(fetch_request(FETCH, &topic, 0))),
    ] {
        let answer = client.call(FETCH, &request); // comes within the deadline
        assert_eq!(answer.error_code, 0, "{what}");
    }
    let mut fenced = patient(at_end());
    fenced.topics[0].partitions[0].current_leader_epoch = 1_000;
    assert_eq!(client.fetch_one(FETCH, &fenced).error_code, 75);
}

#[test]
fn r80_refused_partitions_come_last_and_do_not_end_the_wait_of_others() {
    let subject = subject();
    let topic = subject.topic("r80");
    let absent = absent();
    let mut client = subject.connect();
    let mut request = patient(fetch_request(FETCH, &absent, 0));
    request.topics.push(fetch_topic(FETCH, &topic, &[(0, 0)]));
    let correlation_id = client.send(FETCH, &request);
    client.expect_silence();
    subject.connect().append(&topic, &Batch::numbered(1));
    let answer = client.receive::<FetchRequest>(FETCH, correlation_id);
    let names: Vec<String> = answer
        .responses
        .iter()
        .map(|t| t.topic.to_string())
        .collect();
    assert_eq!(names, [topic.name, absent.name]);
    let size = Batch::numbered(1).bytes().len();
    assert_eq!(outline(&answer), [(0, 0, size), (0, 3, 0)]);
}

#[test]
fn r83_offsets_up_to_the_end_are_in_range() {
    let subject = subject();
    let topic = subject.topic("r83");
    let mut client = subject.connect();
    assert_eq!(client.fetch(&topic, 0).error_code, 0);
    client.append(&topic, &Batch::numbered(3));
    for (offset, error) in [
        (0, 0),
        (3, 0),
        (4, 1),
        (-1, 1),
        (i64::MAX, 1),
        (i64::MIN, 1),
    ] {
        let got = client.fetch(&topic, offset);
        assert_eq!(got.error_code, error, "offset {offset}");
    }
}

#[test]
fn r84_aborted_transactions_are_null_or_empty_as_the_isolation_asks() {
    let subject = subject();
    let topic = subject.topic("r84");
    let absent = absent();
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(3));
    for version in 4..=18 {
        let mut aborted = |topic, offset, isolation| {
            let request = fetch_request(version, topic, offset).with_isolation_level(isolation);
            let got = client.fetch_one(version, &request);
            got.aborted_transactions.map(|list| list.len())
        };
        assert_eq!(aborted(&topic, 0, 0), None, "v{version}: data");
        assert_eq!(aborted(&topic, 9, 0), None, "v{version}: read error");
        assert_eq!(aborted(&topic, 0, 1), Some(0), "v{version}: committed");
        assert_eq!(aborted(&absent, 0, 0), Some(0), "v{version}: refused");
        assert_eq!(aborted(&absent, 0, 1), Some(0), "v{version}: refused");
    }
}

#[test]
fn r84_unknown_isolation_is_invalid() {
    let subject = subject();
    let topic = subject.topic("r84");
    let mut client = subject.connect();
    for isolation in [2, -1] {
        let request = fetch_request(FETCH, &topic, 0).with_isolation_level(isolation);
        let answer = client.call(FETCH, &request);
        let error = match answer.error_code {
            0 => answer.responses[0].partitions[0].error_code,
            error => error,
        };
        assert_eq!(error, subject.differs(42, -1), "isolation {isolation}");
    }
}

#[test]
fn r85_marks_are_filled_and_errors_have_none() {
    let subject = subject();
    let topic = subject.topic("r85");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(3));
    for version in 4..=18 {
        for offset in [0, 3] {
            let got = client.fetch_one(version, &fetch_request(version, &topic, offset));
            assert_eq!((got.high_watermark, got.last_stable_offset), (3, 3));
            let log_start = if version >= 5 { 0 } else { -1 };
            assert_eq!(got.log_start_offset, log_start, "v{version}");
        }
        let got = client.fetch_one(version, &fetch_request(version, &topic, 4));
        assert_eq!(got.error_code, 1);
        assert_eq!((got.high_watermark, got.last_stable_offset), (-1, -1));
        assert_eq!(got.log_start_offset, -1, "v{version}");
    }
}

#[test]
fn r86_a_leader_epoch_from_the_future_is_unknown() {
    let subject = subject();
    let topic = subject.topic("r86");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(3));
    let epoch = client.metadata(&topic.name).partitions[0].leader_epoch;
    for version in 9..=18 {
        for (asked, error) in [(epoch, 0), (-1, 0), (epoch + 1, 75)] {
            let mut request = fetch_request(version, &topic, 0);
            request.topics[0].partitions[0].current_leader_epoch = asked;
            let got = client.fetch_one(version, &request);
            assert_eq!(got.error_code, error, "v{version} epoch {asked}");
        }
    }
}

#[test]
fn r86_the_last_fetched_epoch_is_checked_against_the_log() {
    let subject = subject();
    let topic = subject.topic("r86");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(3));
    let epoch = client.metadata(&topic.name).partitions[0].leader_epoch;
    for version in 12..=18 {
        let mut fetch = |last_fetched_epoch| {
            let mut request = fetch_request(version, &topic, 3);
            request.topics[0].partitions[0].last_fetched_epoch = last_fetched_epoch;
            client.fetch_one(version, &request)
        };
        for known in [epoch, -1, -7] {
            let got = fetch(known);
            assert_eq!(got.error_code, 0, "v{version} epoch {known}");
            assert_eq!(got.diverging_epoch.epoch, -1, "v{version}");
        }
        assert_eq!(
            fetch(epoch + 3).error_code,
            1,
            "v{version}: above the newest"
        );
    }
}

#[test]
fn r91_a_partition_named_twice_is_one_entry_at_the_last_position() {
    let subject = subject();
    let topic = subject.topic("r91");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(1));
    client.append(&topic, &Batch::numbered(1));
    let request = FetchRequest::default()
        .with_topics(vec![fetch_topic(FETCH, &topic, &[(0, 0), (0, 1)])])
        .with_max_bytes(1 << 20);
    let got = client.fetch_one(FETCH, &request);
    let batches = stored(got.records.expect("records"));
    let bases: Vec<i64> = batches.iter().map(|b| b.base_offset).collect();
    assert_eq!(bases, [1]);
}
