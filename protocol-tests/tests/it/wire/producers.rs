//! Idempotent producers and their ids (R67–R69, R71, R74).

use std::collections::BTreeSet;

use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};

use super::batch::{Batch, Record};
use super::calls::{PRODUCE, produce_request};
use super::client::Client;
use super::{ottla_only, subject};

#[test]
fn r67_any_of_the_last_five_batches_may_be_sent_again() {
    let subject = subject();
    let topic = subject.topic("r67");
    let mut client = subject.connect();
    let id = client.producer_id();
    let batch = |i: i32| Batch::numbered(2).by_producer(id, 0, 2 * i);
    for i in 0..6 {
        assert_eq!(client.append(&topic, &batch(i)), i64::from(2 * i));
    }
    for i in (1..6).chain((1..6).rev()) {
        let again = client.produce(&topic, &batch(i));
        assert_eq!(again.error_code, 0, "batch {i}");
        assert_eq!(again.base_offset, i64::from(2 * i), "batch {i}");
        assert_eq!(again.log_start_offset, 0, "batch {i}");
    }
    let oldest = client.produce(&topic, &batch(0));
    assert_eq!(oldest.error_code, 45, "outside the window: {oldest:?}");
    assert_eq!(client.log_end_offset(&topic), 12);
}

#[test]
fn r67_content_is_not_compared_but_the_range_is() {
    let subject = subject();
    let topic = subject.topic("r67");
    let mut client = subject.connect();
    let id = client.producer_id();
    client.append(&topic, &Batch::numbered(2).by_producer(id, 0, 0));
    client.append(&topic, &Batch::numbered(2).by_producer(id, 0, 2));
    let others = [Record::new("x", "y"), Record::new("z", "")];
    let other_content = Batch::of(&others).by_producer(id, 0, 2);
    let got = client.produce(&topic, &other_content);
    assert_eq!((got.error_code, got.base_offset), (0, 2));
    for (count, sequence) in [(3, 2), (1, 2), (7, 0), (1, 3), (4, 0)] {
        let overlap = Batch::numbered(count).by_producer(id, 0, sequence);
        let got = client.produce(&topic, &overlap);
        assert_eq!(got.error_code, 45, "{count} records at {sequence}");
    }
    assert_eq!(client.log_end_offset(&topic), 4);
}

#[test]
fn r68_concurrent_copies_of_a_batch_are_one_append_and_equal_answers() {
    let subject = subject();
    let topic = subject.topic("r68");
    let mut clients: Vec<Client> = (0..8).map(|_| subject.connect()).collect();
    let id = clients[0].producer_id();
    for round in 0..20 {
        let batch = Batch::numbered(3).by_producer(id, 0, 3 * round);
        let request = produce_request(PRODUCE, &topic, &[(0, Some(batch.bytes().into()))]);
        let sent: Vec<i32> = clients
            .iter_mut()
            .map(|c| c.send(PRODUCE, &request))
            .collect();
        for (client, correlation_id) in clients.iter_mut().zip(sent) {
            let answer = client.receive::<ProduceRequest>(PRODUCE, correlation_id);
            let got = &answer.responses[0].partition_responses[0];
            assert_eq!(got.error_code, 0, "round {round}");
            assert_eq!(got.base_offset, i64::from(3 * round), "round {round}");
        }
    }
    assert_eq!(clients[0].log_end_offset(&topic), 60);
}

#[test]
fn r69_a_gap_and_a_fenced_epoch_are_refused() {
    let subject = subject();
    let topic = subject.topic("r69");
    let mut client = subject.connect();
    let id = client.producer_id();
    let batch = |epoch, sequence| Batch::numbered(1).by_producer(id, epoch, sequence);
    client.append(&topic, &batch(3, 0));
    for (epoch, sequence, error) in [
        (3, 2, 45),        // a gap
        (3, i32::MAX, 45), // a gap
        (2, 1, 47),        // an older epoch
        (4, 1, 45),        // a newer epoch begins at 0
        (3, 1, 0),         // none of these did harm
        (4, 0, 0),         // a newer epoch
        (3, 2, 47),        // fences the older
        (4, 1, 0),
    ] {
        let got = client.produce(&topic, &batch(epoch, sequence));
        assert_eq!(got.error_code, error, "epoch {epoch} sequence {sequence}");
    }
}

#[test]
fn r69_an_unknown_producer_may_begin_anywhere() {
    let subject = subject();
    let topic = subject.topic("r69");
    let mut client = subject.connect();
    for sequence in [0, 17, i32::MAX] {
        let id = client.producer_id();
        client.append(&topic, &Batch::numbered(1).by_producer(id, 9, sequence));
    }
}

#[test]
fn r69_the_highest_sequence_is_followed_by_zero() {
    let subject = subject();
    let topic = subject.topic("r69");
    let mut client = subject.connect();
    let id = client.producer_id();
    client.append(&topic, &Batch::numbered(2).by_producer(id, 0, i32::MAX - 1));
    client.append(&topic, &Batch::numbered(2).by_producer(id, 0, 0));
    let other = client.producer_id();
    let around = Batch::numbered(4).by_producer(other, 0, i32::MAX - 1);
    let first = client.append(&topic, &around);
    let again = client.produce(&topic, &around);
    assert_eq!((again.error_code, again.base_offset), (0, first));
    client.append(&topic, &Batch::numbered(1).by_producer(other, 0, 2));
}

#[test]
fn r71_every_call_gets_an_id_never_used_before() {
    let subject = subject();
    let mut clients = [subject.connect(), subject.connect()];
    let mut ids = BTreeSet::new();
    for i in 0..1_100 {
        let id = clients[i % 2].producer_id();
        assert!(ids.insert(id), "{id} was given twice");
    }
}

#[test]
fn r71_a_given_id_and_epoch_are_ignored_but_must_come_together() {
    let subject = subject();
    let mut client = subject.connect();
    let mine = client.producer_id();
    let request = |id: i64, epoch: i16| {
        InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(-1)
            .with_producer_id(id.into())
            .with_producer_epoch(epoch)
    };
    for version in 3..=5 {
        let answer = client.init_producer_id(version, &request(mine, 4));
        assert_eq!(answer.error_code, 0, "v{version}");
        assert_ne!(answer.producer_id.0, mine, "v{version}");
        assert_eq!(answer.producer_epoch, 0, "v{version}");
        for half in [request(mine, -1), request(-1, 4)] {
            let answer = client.init_producer_id(version, &half);
            assert_eq!(answer.error_code, 42, "v{version}");
            assert_eq!(answer.producer_id.0, -1, "v{version}");
            assert_eq!(answer.producer_epoch, -1, "v{version}");
        }
    }
}

#[test]
fn r74_ids_are_there_at_once() {
    let Some(subject) = ottla_only("it may answer 14 until a block of ids has arrived") else {
        return;
    };
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let answer = subject.connect().call(4, &request);
    assert!([0, 14].contains(&answer.error_code), "{answer:?}");
}
