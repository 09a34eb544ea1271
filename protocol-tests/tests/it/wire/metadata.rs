//! Metadata (R44–R49, R51, R53).

use std::collections::BTreeSet;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{CreateTopicsRequest, MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::batch::Batch;
use super::calls::{
    CREATE_TOPICS, METADATA, Topic, fetch_request, list_offsets_request, metadata_request,
    new_topic, produce_request, topic_name, unused_name,
};
use super::client::Client;
use super::{own_ottla, own_ottla_on, subject};

const ALL_VERSIONS: std::ops::RangeInclusive<i16> = 0..=13;

fn names(answer: &MetadataResponse) -> Vec<String> {
    let name = |t: &_| -> String { name_of(t) };
    answer.topics.iter().map(name).collect()
}

fn name_of(topic: &kafka_protocol::messages::metadata_response::MetadataResponseTopic) -> String {
    topic.name.as_ref().map_or(String::new(), |n| n.to_string())
}

fn by_id(ids: &[Uuid]) -> MetadataRequest {
    let topic = |id: &Uuid| {
        MetadataRequestTopic::default()
            .with_topic_id(*id)
            .with_name(None)
    };
    MetadataRequest::default().with_topics(Some(ids.iter().map(topic).collect()))
}

#[test]
fn r44_v0_lists_all_topics_for_an_empty_list() {
    let subject = subject();
    let topic = subject.topic("r44");
    let mut client = subject.connect();
    let empty = MetadataRequest::default();
    assert!(names(&client.call(0, &empty)).contains(&topic.name));
    for version in 1..=13 {
        assert!(
            names(&client.call(version, &empty)).is_empty(),
            "v{version}"
        );
        let all = MetadataRequest::default().with_topics(None);
        assert!(names(&client.call(version, &all)).contains(&topic.name));
    }
}

#[test]
fn r45_a_named_topic_is_created_and_the_answer_does_not_wait() {
    let subject = subject();
    let mut client = subject.connect();
    for version in ALL_VERSIONS {
        let name = unused_name("r45");
        let asked = metadata_request(&[&name]).with_allow_auto_topic_creation(true);
        let first = client.call(version, &asked);
        let first = &first.topics[0];
        assert!([0, 3].contains(&first.error_code), "v{version}: {first:?}");
        if first.error_code == 3 {
            assert!(first.partitions.is_empty(), "v{version}: {first:?}");
        }
        let created = client.await_topic(&name);
        assert_eq!(created.partitions.len(), 1, "v{version}");
    }
}

#[test]
fn r45_without_the_flag_nothing_is_created() {
    let mut client = subject().connect();
    let name = unused_name("r45");
    for version in 4..=13 {
        let answer = client.call(version, &metadata_request(&[&name]));
        assert_eq!(answer.topics[0].error_code, 3, "v{version}");
    }
}

#[test]
fn r45_fifty_concurrent_requests_create_a_topic_once() {
    let subject = subject();
    let name = unused_name("r45");
    let asked = metadata_request(&[&name]).with_allow_auto_topic_creation(true);
    let mut clients: Vec<Client> = (0..50).map(|_| subject.connect()).collect();
    let sent: Vec<i32> = clients
        .iter_mut()
        .map(|c| c.send(METADATA, &asked))
        .collect();
    let mut ids = BTreeSet::new();
    for (client, correlation_id) in clients.iter_mut().zip(sent) {
        let answer = client.receive::<MetadataRequest>(METADATA, correlation_id);
        assert!([0, 3].contains(&answer.topics[0].error_code));
        ids.insert(answer.topics[0].topic_id);
    }
    ids.remove(&Uuid::nil());
    ids.insert(clients[0].await_topic(&name).topic_id);
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn r45_produce_fetch_and_list_offsets_never_create() {
    let subject = subject();
    let mut client = subject.connect();
    let absent = Topic {
        name: unused_name("r45"),
        id: Uuid::nil(),
    };
    assert_eq!(client.produce(&absent, &Batch::numbered(1)).error_code, 3);
    assert_eq!(client.fetch(&absent, 0).error_code, 3);
    assert_eq!(client.list_offset(&absent, -1).error_code, 3);
    assert_eq!(client.metadata(&absent.name).error_code, 3);
}

#[test]
fn r45_auto_creation_switched_off_answers_3() {
    let reason = "the shared Kafka runs with auto.create.topics.enable";
    let Some(subject) = own_ottla(reason, &["auto.create.topics.enable=false"]) else {
        return;
    };
    let mut client = subject.connect();
    let asked = metadata_request(&["r45"]).with_allow_auto_topic_creation(true);
    for version in ALL_VERSIONS {
        let answer = client.call(version, &asked);
        assert_eq!(answer.topics[0].error_code, 3, "v{version}");
    }
    assert_eq!(client.metadata("r45").error_code, 3);
}

#[test]
fn r46_bad_names_are_invalid_in_metadata_and_create_topics_and_unknown_to_produce() {
    let subject = subject();
    let mut client = subject.connect();
    let long = "x".repeat(250);
    let too_long = format!("the length of '{long}' is longer than the max allowed length 249");
    let not_ascii = "contains one or more characters other than ASCII alphanumerics, '.', '_' \
                     and '-'";
    for (name, problem) in [
        ("", "the empty string is not allowed".to_owned()),
        (".", "'.' is not allowed".to_owned()),
        ("..", "'..' is not allowed".to_owned()),
        (&long, too_long),
        ("a b", format!("'a b' {not_ascii}")),
        ("käse", format!("'käse' {not_ascii}")),
        ("a/b", format!("'a/b' {not_ascii}")),
    ] {
        let created = client.create_topic(new_topic(name));
        assert_eq!(created.error_code, 17, "{name:?}");
        let message = created.error_message.expect("a message").to_string();
        assert_eq!(message, format!("Topic name is invalid: {problem}"));

        let asked = metadata_request(&[name]).with_allow_auto_topic_creation(true);
        let answer = client.call(METADATA, &asked);
        assert_eq!(answer.topics[0].error_code, 17, "{name:?}");

        let topic = Topic {
            name: name.to_owned(),
            id: Uuid::nil(),
        };
        assert_eq!(client.produce(&topic, &Batch::numbered(1)).error_code, 3);
    }
    let longest = format!("{:x<249}", unused_name("r46"));
    assert_eq!(client.create_topic(new_topic(&longest)).error_code, 0);
}

#[test]
fn r46_names_that_differ_only_by_dot_and_underscore_collide() {
    let subject = subject();
    let mut client = subject.connect();
    let base = unused_name("r46");
    let (dotted, scored) = (format!("{base}.x"), format!("{base}_x"));
    assert_eq!(client.create_topic(new_topic(&dotted)).error_code, 0);
    let refused = client.create_topic(new_topic(&scored));
    assert_eq!(refused.error_code, 17);
    assert_eq!(
        refused.error_message.as_deref(),
        Some(&*format!(
            "Topic '{scored}' collides with existing topic: {dotted}"
        ))
    );
    let asked = metadata_request(&[&scored]).with_allow_auto_topic_creation(true);
    let answer = client.call(METADATA, &asked);
    assert_eq!(answer.topics[0].error_code, 3);
}

#[test]
fn r47_operations_are_unset_unless_asked_for() {
    let subject = subject();
    let topic = subject.topic("r47");
    let mut client = subject.connect();
    for version in 8..=13 {
        let quiet = client.call(version, &metadata_request(&[&topic.name]));
        assert_eq!(quiet.topics[0].topic_authorized_operations, i32::MIN);
        let asked = metadata_request(&[&topic.name]).with_include_topic_authorized_operations(true);
        let told = client.call(version, &asked);
        assert_eq!(told.topics[0].topic_authorized_operations, 3576);
        if version <= 10 {
            assert_eq!(quiet.cluster_authorized_operations, i32::MIN);
            let asked = metadata_request(&[]).with_include_cluster_authorized_operations(true);
            let told = client.call(version, &asked);
            assert_eq!(told.cluster_authorized_operations, 8096, "v{version}");
        }
    }
}

#[test]
fn r47_a_name_asked_twice_is_answered_once() {
    let subject = subject();
    let topic = subject.topic("r47");
    let mut client = subject.connect();
    let answer = client.call(METADATA, &metadata_request(&[&topic.name, &topic.name]));
    assert_eq!(names(&answer), [topic.name]);
}

#[test]
fn r48_endpoints_are_those_of_the_listener_that_was_asked() {
    let settings = |[inside, outside]: [u16; 2]| {
        vec![
            format!("listeners=IN://127.0.0.1:{inside},OUT://127.0.0.1:{outside}"),
            format!("advertised.listeners=IN://in.example:{inside},OUT://out.example:1234"),
            "listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT".into(),
            "inter.broker.listener.name=IN".into(),
        ]
    };
    let reason = "it has one listener for clients";
    let Some((_subject, [inside, outside])) = own_ottla_on(reason, settings) else {
        return;
    };
    for (port, host, advertised) in [
        (inside, "in.example", i32::from(inside)),
        (outside, "out.example", 1234),
    ] {
        let mut client = Client::connect(&format!("127.0.0.1:{port}"));
        let answer = client.call(METADATA, &MetadataRequest::default());
        assert_eq!(answer.brokers.len(), 1);
        assert_eq!(&*answer.brokers[0].host, host);
        assert_eq!(answer.brokers[0].port, advertised);
    }
}

#[test]
fn r49_topics_are_found_by_id() {
    let subject = subject();
    let topic = subject.topic("r49");
    let mut client = subject.connect();
    for version in 12..=13 {
        let answer = client.call(version, &by_id(&[topic.id]));
        assert_eq!(names(&answer), [&*topic.name]);
        assert_eq!(answer.topics[0].topic_id, topic.id);
        assert_eq!(answer.topics[0].partitions.len(), 1);

        let unknown = Uuid::new_v4();
        let answer = client.call(version, &by_id(&[unknown]));
        assert_eq!(answer.topics[0].error_code, 100, "v{version}");
        assert_eq!(answer.topics[0].topic_id, unknown);
        assert_eq!(answer.topics[0].name, None);
        assert!(answer.topics[0].partitions.is_empty());
    }
}

#[test]
fn r49_one_id_makes_it_a_request_by_ids() {
    let subject = subject();
    let (named, identified) = (subject.topic("r49"), subject.topic("r49"));
    let mut client = subject.connect();
    let request = MetadataRequest::default().with_topics(Some(vec![
        MetadataRequestTopic::default().with_name(Some(topic_name(&named.name))),
        MetadataRequestTopic::default()
            .with_name(Some(topic_name(&named.name)))
            .with_topic_id(identified.id),
    ]));
    let answer = client.call(METADATA, &request);
    assert_eq!(names(&answer), [identified.name]);
}

#[test]
fn r49_ids_before_v12_refuse_the_whole_request() {
    let subject = subject();
    let topic = subject.topic("r49");
    let mut client = subject.connect();
    for version in 10..=11 {
        let request = MetadataRequest::default().with_topics(Some(vec![
            MetadataRequestTopic::default().with_name(Some(topic_name(&topic.name))),
            MetadataRequestTopic::default()
                .with_name(None)
                .with_topic_id(topic.id),
        ]));
        let answer = client.call(version, &request);
        expect_refused(&answer, 42, 2);
        let asked: BTreeSet<_> = names(&answer).into_iter().collect();
        assert_eq!(asked, BTreeSet::from([String::new(), topic.name.clone()]));
    }
}

#[test]
fn r49_a_null_name_without_id_refuses_the_whole_request() {
    let subject = subject();
    let mut client = subject.connect();
    for version in 12..=13 {
        let answer = client.call(version, &by_id(&[Uuid::nil()]));
        expect_refused(&answer, subject.differs(42, -1), 1);
    }
}

#[track_caller]
fn expect_refused(answer: &MetadataResponse, error: i16, topics: usize) {
    assert!(answer.brokers.is_empty(), "{answer:?}");
    assert_eq!(answer.cluster_id, None);
    assert_eq!(answer.controller_id.0, -1);
    assert_eq!(answer.topics.len(), topics);
    for topic in &answer.topics {
        assert_eq!(topic.error_code, error);
    }
}

#[test]
fn r51_the_leader_epoch_is_not_negative_and_the_one_that_fetch_accepts() {
    let subject = subject();
    let topic = subject.topic("r51");
    let mut client = subject.connect();
    for version in 7..=13 {
        let answer = client.call(version, &metadata_request(&[&topic.name]));
        let epoch = answer.topics[0].partitions[0].leader_epoch;
        assert!(epoch >= 0, "v{version}: {epoch}");
        let mut request = fetch_request(12, &topic, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        assert_eq!(client.fetch_one(12, &request).error_code, 0);
    }
}

#[test]
fn r53_a_recreated_topic_has_another_id_and_nothing_of_the_old_one() {
    let subject = subject();
    let old = subject.topic("r53");
    let mut client = subject.connect();
    client.append(&old, &Batch::numbered(5));
    assert_eq!(client.delete_topic(&old.name).error_code, 0);
    client.await_absence(&old.name);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![new_topic(&old.name).with_num_partitions(1)])
        .with_timeout_ms(50_000);
    let created = client.call(CREATE_TOPICS, &request);
    assert_eq!(created.topics[0].error_code, 0, "{created:?}");
    let new = Topic {
        name: old.name.clone(),
        id: created.topics[0].topic_id,
    };
    assert_ne!(new.id, old.id);
    subject.await_leader(&new, 0);

    assert_eq!(client.log_end_offset(&new), 0, "nothing of the old topic");
    let fetched = client.fetch_one(13, &fetch_request(13, &old, 0));
    assert!([100, 103].contains(&fetched.error_code), "{fetched:?}");
    let records = Some(Batch::numbered(1).bytes().into());
    let produced = client.produce_one(13, &produce_request(13, &old, &[(0, records)]));
    assert_eq!(produced.error_code, 100, "{produced:?}");
    let answer = client.call(METADATA, &by_id(&[old.id]));
    assert_eq!(answer.topics[0].error_code, 100);
    let offsets = client.call(10, &list_offsets_request(&new, 0, -1));
    assert_eq!(offsets.topics[0].partitions[0].offset, 0);
}
