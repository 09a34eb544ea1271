//! Fetches that wait (R79, R81, R82). Those asked for minutes are answered long before, or the
//! client's deadline fails the test.

use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use protocol_tests::stopwatch::Stopwatch;

use super::batch::Batch;
use super::calls::{FETCH, Topic, fetch_request, fetch_topic};
use super::client::{Client, LONG_WAIT_MS};
use super::subject;

fn waiting_for(topic: &Topic, offset: i64, min_bytes: i32) -> FetchRequest {
    fetch_request(FETCH, topic, offset)
        .with_max_wait_ms(LONG_WAIT_MS)
        .with_min_bytes(min_bytes)
}

#[track_caller]
fn size_of_answer(client: &mut Client, correlation_id: i32) -> usize {
    let answer = client.receive::<FetchRequest>(FETCH, correlation_id);
    assert_eq!(answer.error_code, 0);
    let partitions = answer.responses.iter().flat_map(|t| &t.partitions);
    partitions
        .map(|p| p.records.as_ref().map_or(0, |r| r.len()))
        .sum()
}

#[test]
fn r79_a_fetch_waits_for_as_many_bytes_as_it_asked() {
    let subject = subject();
    let topic = subject.topic("r79");
    let (mut reader, mut writer) = (subject.connect(), subject.connect());
    let batch = Batch::sized(1_000);
    let size = batch.bytes().len();
    let waiting = waiting_for(&topic, 0, 3 * size as i32);
    let correlation_id = reader.send(FETCH, &waiting);
    for _ in 0..2 {
        writer.append(&topic, &batch);
        reader.expect_silence();
    }
    writer.append(&topic, &batch);
    assert_eq!(size_of_answer(&mut reader, correlation_id), 3 * size);
}

#[test]
fn r79_at_max_wait_a_fetch_returns_what_there_is() {
    let subject = subject();
    let topic = subject.topic("r79");
    let mut client = subject.connect();
    let batch = Batch::sized(1_000);
    client.append(&topic, &batch);
    let all = batch.bytes().len();
    for (offset, min_bytes, there_is) in [(0, 1 << 20, all), (1, 1, 0)] {
        let waiting = waiting_for(&topic, offset, min_bytes).with_max_wait_ms(600);
        let since = Stopwatch::start();
        let correlation_id = client.send(FETCH, &waiting);
        assert_eq!(size_of_answer(&mut client, correlation_id), there_is);
        assert!(since.elapsed() >= Duration::from_millis(590), "not at once");
    }
}

#[test]
fn r81_no_append_is_missed_between_read_and_wait() {
    let subject = subject();
    let topic = subject.topic("r81");
    let (mut reader, mut writer) = (subject.connect(), subject.connect());
    for offset in 0..500 {
        let correlation_id = reader.send(FETCH, &waiting_for(&topic, offset, 1));
        assert_eq!(writer.append(&topic, &Batch::numbered(1)), offset);
        assert!(
            size_of_answer(&mut reader, correlation_id) > 0,
            "offset {offset}"
        );
    }
}

#[test]
fn r82_an_append_to_any_partition_wakes_all_that_wait_for_it() {
    let subject = subject();
    let topic = subject.topic_with("r82", 3, &[]);
    let request = FetchRequest::default()
        .with_topics(vec![fetch_topic(FETCH, &topic, &[(0, 0), (1, 0), (2, 0)])])
        .with_max_bytes(1 << 20)
        .with_max_wait_ms(LONG_WAIT_MS)
        .with_min_bytes(1);
    let mut readers: Vec<Client> = (0..20).map(|_| subject.connect()).collect();
    let sent: Vec<i32> = readers
        .iter_mut()
        .map(|c| c.send(FETCH, &request))
        .collect();
    readers[19].expect_silence();
    let records = Some(Batch::numbered(1).bytes().into());
    let produce = super::calls::produce_request(9, &topic, &[(2, records)]);
    assert_eq!(subject.connect().produce_one(9, &produce).error_code, 0);
    for (reader, correlation_id) in readers.iter_mut().zip(sent) {
        assert!(size_of_answer(reader, correlation_id) > 0);
    }
}

#[test]
fn r82_an_append_elsewhere_wakes_nobody() {
    let subject = subject();
    let (topic, other) = (subject.topic("r82"), subject.topic("r82"));
    let (mut reader, mut writer) = (subject.connect(), subject.connect());
    let correlation_id = reader.send(FETCH, &waiting_for(&topic, 0, 1));
    writer.append(&other, &Batch::numbered(1));
    reader.expect_silence();
    writer.append(&topic, &Batch::numbered(1));
    assert!(size_of_answer(&mut reader, correlation_id) > 0);
}

#[test]
fn r82_the_deletion_of_the_topic_ends_the_wait() {
    let subject = subject();
    for version in [FETCH, 13] {
        let topic = subject.topic("r82");
        let mut reader = subject.connect();
        let waiting = fetch_request(version, &topic, 0)
            .with_max_wait_ms(LONG_WAIT_MS)
            .with_min_bytes(1);
        let correlation_id = reader.send(version, &waiting);
        reader.expect_silence();
        assert_eq!(subject.connect().delete_topic(&topic.name).error_code, 0);
        let answer = reader.receive::<FetchRequest>(version, correlation_id);
        let error = answer.responses[0].partitions[0].error_code;
        assert!([3, 100, 103].contains(&error), "v{version}: {error}");
    }
}
