//! Fetch sessions (R77, R87, R88; KIP-227).

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use super::batch::Batch;
use super::calls::{FETCH, Topic, fetch_topic, produce_request, topic_name};
use super::client::Client;
use super::{Subject, own_ottla, subject};

/// A client with a session over some partitions of a topic.
struct Session {
    client: Client,
    topic: Topic,
    version: i16,
    id: i32,
    epoch: i32,
}

impl Session {
    /// Opens it with the partitions (index, offset).
    #[track_caller]
    fn open(
        subject: &Subject,
        version: i16,
        topic: &Topic,
        partitions: &[(i32, i64)],
    ) -> (Session, FetchResponse) {
        let mut session = Session {
            client: subject.connect(),
            topic: topic.clone(),
            version,
            id: 0,
            epoch: 0,
        };
        let answer = session.next(partitions);
        assert_eq!(answer.error_code, 0);
        assert_ne!(answer.session_id, 0, "a session was opened");
        session.id = answer.session_id;
        (session, answer)
    }

    fn request(&self, id: i32, epoch: i32, changed: &[(i32, i64)]) -> FetchRequest {
        let topics = if changed.is_empty() {
            vec![]
        } else {
            vec![fetch_topic(self.version, &self.topic, changed)]
        };
        FetchRequest::default()
            .with_max_bytes(64 << 20)
            .with_session_id(id)
            .with_session_epoch(epoch)
            .with_topics(topics)
    }

    /// The next fetch of the session, which moves or adds the given partitions.
    #[track_caller]
    fn next(&mut self, changed: &[(i32, i64)]) -> FetchResponse {
        let request = self.request(self.id, self.epoch, changed);
        self.epoch += 1;
        self.client.call(self.version, &request)
    }
}

#[track_caller]
fn expect_refused(answer: &FetchResponse, error: i16) {
    assert_eq!(answer.error_code, error);
    assert_eq!(answer.session_id, 0);
    assert!(answer.responses.is_empty(), "{answer:?}");
}

fn indexes(answer: &FetchResponse) -> Vec<i32> {
    let partitions = answer.responses.iter().flat_map(|t| &t.partitions);
    partitions.map(|p| p.partition_index).collect()
}

fn with_records(answer: &FetchResponse) -> Vec<i32> {
    let partitions = answer.responses.iter().flat_map(|t| &t.partitions);
    let with = partitions.filter(|p| p.records.as_ref().is_some_and(|r| !r.is_empty()));
    with.map(|p| p.partition_index).collect()
}

#[track_caller]
fn append(subject: &Subject, topic: &Topic, partition: i32, batch: &Batch) {
    let records: Option<Bytes> = Some(batch.bytes().into());
    let request = produce_request(9, topic, &[(partition, records)]);
    let got = subject.connect().produce_one(9, &request);
    assert_eq!(got.error_code, 0);
}

#[test]
fn r87_incremental_answers_list_only_what_changed() {
    let subject = subject();
    for version in [7, FETCH, 13, 18] {
        let topic = subject.topic_with("r87", 3, &[]);
        let all = [(0, 0), (1, 0), (2, 0)];
        let (mut session, first) = Session::open(&subject, version, &topic, &all);
        assert_eq!(indexes(&first), [0, 1, 2], "v{version}: the first is full");
        let id = session.id;
        let quiet = session.next(&[]);
        assert_eq!((quiet.error_code, quiet.session_id), (0, id));
        assert!(quiet.responses.is_empty(), "v{version}: {quiet:?}");

        append(&subject, &topic, 1, &Batch::numbered(1));
        let told = session.next(&[]);
        assert_eq!(with_records(&told), [1], "v{version}");
        assert_eq!(indexes(&told), [1], "v{version}");
        let again = session.next(&[]);
        assert_eq!(with_records(&again), [1], "v{version}: it has not moved");
        let moved = session.next(&[(1, 1)]);
        assert!(with_records(&moved).is_empty(), "v{version}: {moved:?}");
        assert!(session.next(&[]).responses.is_empty(), "v{version}");
    }
}

#[test]
fn r87_errors_are_repeated_in_every_answer() {
    let subject = subject();
    let topic = subject.topic_with("r87", 2, &[]);
    let all = [(0, 0), (1, 99)];
    let (mut session, first) = Session::open(&subject, FETCH, &topic, &all);
    assert_eq!(indexes(&first).len(), 2);
    for _ in 0..3 {
        let answer = session.next(&[]);
        assert_eq!(indexes(&answer), [1]);
        assert_eq!(answer.responses[0].partitions[0].error_code, 1);
    }
    session.next(&[(1, 0)]);
    assert!(session.next(&[]).responses.is_empty());
}

#[test]
fn r87_partitions_may_be_added_and_forgotten() {
    let subject = subject();
    let topic = subject.topic_with("r87", 2, &[]);
    append(&subject, &topic, 0, &Batch::numbered(1));
    append(&subject, &topic, 1, &Batch::numbered(1));
    let (mut session, first) = Session::open(&subject, FETCH, &topic, &[(0, 0)]);
    assert_eq!(with_records(&first), [0]);
    let mut both = with_records(&session.next(&[(1, 0)]));
    both.sort();
    assert_eq!(both, [0, 1]);
    let forgotten = ForgottenTopic::default()
        .with_topic(topic_name(&topic.name))
        .with_partitions(vec![0]);
    let request = session
        .request(session.id, session.epoch, &[])
        .with_forgotten_topics_data(vec![forgotten]);
    session.epoch += 1;
    let answer = session.client.call(FETCH, &request);
    assert_eq!(with_records(&answer), [1]);
}

#[test]
fn r87_unknown_sessions_and_wrong_epochs_are_refused() {
    let subject = subject();
    let topic = subject.topic("r87");
    let (mut session, _) = Session::open(&subject, FETCH, &topic, &[(0, 0)]);
    let nowhere = session.request(session.id ^ 0x0f0f_0f0f, 1, &[]);
    expect_refused(&session.client.call(FETCH, &nowhere), 70);
    let no_id = session.request(0, 1, &[]);
    expect_refused(&session.client.call(FETCH, &no_id), 70);
    let wrong = session.request(session.id, 5, &[]);
    expect_refused(&session.client.call(FETCH, &wrong), 71);
    let answer = session.next(&[]);
    assert_eq!((answer.error_code, answer.session_id), (0, session.id));
}

#[test]
fn r87_r88_a_switch_between_names_and_ids_is_refused_and_the_session_lives_on() {
    let subject = subject();
    let topic = subject.topic("r88");
    for (version, other) in [(FETCH, 13), (13, FETCH)] {
        let (mut session, _) = Session::open(&subject, version, &topic, &[(0, 0)]);
        let request = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_session_id(session.id)
            .with_session_epoch(session.epoch)
            .with_topics(vec![fetch_topic(other, &topic, &[(0, 0)])]);
        expect_refused(&session.client.call(other, &request), 106);
        let answer = session.next(&[]);
        assert_eq!((answer.error_code, answer.session_id), (0, session.id));
    }
}

#[test]
fn r88_the_same_epoch_sent_twice_is_refused_and_the_next_one_works() {
    let subject = subject();
    let topic = subject.topic("r88");
    let (mut session, _) = Session::open(&subject, FETCH, &topic, &[(0, 0)]);
    assert_eq!(session.next(&[]).error_code, 0);
    let repeated = session.request(session.id, session.epoch - 1, &[]);
    expect_refused(&session.client.call(FETCH, &repeated), 71);
    let answer = session.next(&[]);
    assert_eq!((answer.error_code, answer.session_id), (0, session.id));
}

#[test]
fn r87_epoch_zero_opens_a_new_session_whatever_the_id() {
    let subject = subject();
    let topic = subject.topic("r87");
    let (mut session, _) = Session::open(&subject, FETCH, &topic, &[(0, 0)]);
    let replacing = session.request(session.id, 0, &[(0, 0)]);
    let answer = session.client.call(FETCH, &replacing);
    assert_eq!(answer.error_code, 0);
    assert_eq!(indexes(&answer), [0], "a full answer");
    assert!(answer.session_id != 0 && answer.session_id != session.id);
    let old = session.request(session.id, 1, &[]);
    expect_refused(&session.client.call(FETCH, &old), 70);
    let stray = session.request(123, 0, &[(0, 0)]);
    assert_ne!(session.client.call(FETCH, &stray).session_id, 0);
}

#[test]
fn r87_epoch_minus_one_closes_the_session_and_answers_in_full() {
    let subject = subject();
    let topic = subject.topic("r87");
    let (mut session, _) = Session::open(&subject, FETCH, &topic, &[(0, 0)]);
    let closing = session.request(session.id, -1, &[(0, 0)]);
    let answer = session.client.call(FETCH, &closing);
    assert_eq!((answer.error_code, answer.session_id), (0, 0));
    assert_eq!(indexes(&answer), [0]);
    let closed = session.request(session.id, 1, &[]);
    expect_refused(&session.client.call(FETCH, &closed), 70);
}

#[test]
fn r87_without_a_free_slot_the_answer_is_full_and_without_session() {
    let reason = "the shared Kafka has 1000 slots";
    let settings = ["max.incremental.fetch.session.cache.slots=0"];
    let Some(subject) = own_ottla(reason, &settings) else {
        return;
    };
    let topic = subject.topic("r87");
    let request = FetchRequest::default()
        .with_session_epoch(0)
        .with_max_bytes(1 << 20)
        .with_topics(vec![fetch_topic(FETCH, &topic, &[(0, 0)])]);
    let answer = subject.connect().call(FETCH, &request);
    assert_eq!((answer.error_code, answer.session_id), (0, 0));
    assert_eq!(indexes(&answer), [0]);
}

#[test]
fn r77_partitions_that_returned_data_move_to_the_end() {
    let subject = subject();
    let topic = subject.topic_with("r77", 3, &[]);
    for partition in 0..3 {
        append(&subject, &topic, partition, &Batch::sized(1_000));
    }
    let all = [(0, 0), (1, 0), (2, 0)];
    let (mut session, _) = Session::open(&subject, FETCH, &topic, &all);
    let mut served = vec![];
    for _ in 0..3 {
        let small = session
            .request(session.id, session.epoch, &[])
            .with_max_bytes(1);
        session.epoch += 1;
        served.extend(with_records(&session.client.call(FETCH, &small)));
    }
    served.sort();
    assert_eq!(served, [0, 1, 2], "none starves");
}
