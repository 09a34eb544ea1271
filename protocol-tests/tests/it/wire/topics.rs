//! CreateTopics and DeleteTopics (R50, R156, R157, R159).

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, DeleteTopicsRequest};
use uuid::Uuid;

use super::batch::Batch;
use super::calls::{
    CREATE_TOPICS, DELETE_TOPICS, Topic, config, new_topic, text, topic_name, unused_name,
};
use super::{ottla_only, own_ottla, subject};

#[track_caller]
fn expect_refusal(got: &CreatableTopicResult, error: i16, message: &str) {
    assert_eq!(got.error_code, error, "{got:?}");
    assert_eq!(got.error_message.as_deref(), Some(message));
    assert_eq!(got.num_partitions, -1, "{got:?}");
    assert_eq!(got.replication_factor, -1, "{got:?}");
    assert!(got.configs.as_ref().is_some_and(Vec::is_empty), "{got:?}");
    assert!(got.topic_id.is_nil(), "{got:?}");
}

#[test]
fn r50_the_first_produce_after_create_topics_succeeds() {
    let Some(subject) = ottla_only("deliberate: Kafka's first Produces may be answered 6") else {
        return;
    };
    let mut client = subject.connect();
    for i in 0..30 {
        let name = unused_name("r50");
        let created = client.create_topic(new_topic(&name).with_num_partitions(3));
        let topic = Topic {
            name,
            id: created.topic_id,
        };
        assert_eq!(client.append(&topic, &Batch::numbered(1)), 0, "topic {i}");
        let partitions = client.metadata(&topic.name).partitions;
        assert!(partitions.iter().all(|p| p.leader_id.0 >= 0));
        assert_eq!(client.delete_topic(&topic.name).error_code, 0);
        assert_eq!(client.metadata(&topic.name).error_code, 3, "topic {i}");
        assert_eq!(client.produce(&topic, &Batch::numbered(1)).error_code, 3);
    }
}

#[test]
fn r156_minus_one_is_the_brokers_default_in_every_version() {
    let subject = subject();
    let mut client = subject.connect();
    for version in 4..=7 {
        let name = unused_name("r156");
        let request = CreateTopicsRequest::default()
            .with_topics(vec![new_topic(&name)])
            .with_timeout_ms(50_000);
        let answer = client.call(version, &request);
        assert_eq!(answer.topics[0].error_code, 0, "v{version}");
        let partitions = client.await_topic(&name).partitions;
        assert_eq!(partitions.len(), 1);
        assert_eq!(partitions[0].replica_nodes.len(), 1);
    }
    for version in 2..=3 {
        let name = unused_name("r156");
        let request = CreateTopicsRequest::default()
            .with_topics(vec![new_topic(&name)])
            .with_timeout_ms(50_000);
        let answer = client.call(version, &request);
        assert_eq!(answer.topics[0].error_code, 0, "v{version}");
    }
}

#[test]
fn r156_impossible_counts_are_refused_with_kafkas_sentences() {
    let mut client = subject().connect();
    let topic = || new_topic(&unused_name("r156"));
    let no_replicas = "Replication factor must be larger than 0, or -1 to use the default value.";
    let no_partitions = "Number of partitions was set to an invalid non-positive value.";
    for count in [0, -2] {
        let got = client.create_topic(topic().with_num_partitions(count));
        expect_refusal(&got, 37, no_partitions);
        let got = client.create_topic(topic().with_replication_factor(count as i16));
        expect_refusal(&got, 38, no_replicas);
    }
    let both = topic().with_num_partitions(0).with_replication_factor(0);
    expect_refusal(&client.create_topic(both), 38, no_replicas);
    let got = client.create_topic(topic().with_replication_factor(2));
    let message = "Unable to replicate the partition 2 time(s): The target replication factor of \
                   2 cannot be reached because only 1 broker(s) are registered.";
    expect_refusal(&got, 38, message);
    let got = client.create_topic(topic().with_num_partitions(10_001));
    let message = "Excessively large number of partitions per request.";
    expect_refusal(&got, 44, message);
}

#[test]
fn r156_a_topic_that_exists_or_is_named_twice_is_refused_alone() {
    let subject = subject();
    let exists = subject.topic("r156");
    let mut client = subject.connect();
    let (twice, fine) = (unused_name("r156"), unused_name("r156"));
    let topics = [&exists.name, &twice, &fine, &twice].map(|name| new_topic(name));
    let request = CreateTopicsRequest::default()
        .with_topics(topics.into())
        .with_timeout_ms(50_000);
    let answer = client.call(CREATE_TOPICS, &request);
    assert_eq!(answer.topics.len(), 3, "{answer:?}");
    let result = |name: &str| {
        let mut named = answer.topics.iter().filter(|t| *t.name == *name);
        named.next().expect("answered").clone()
    };
    let message = format!("Topic '{}' already exists.", exists.name);
    expect_refusal(&result(&exists.name), 36, &message);
    expect_refusal(&result(&twice), 42, "Duplicate topic name.");
    assert_eq!(result(&fine).error_code, 0);
    assert_eq!(client.metadata(&twice).error_code, 3);
}

fn assigned(name: &str, partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = partitions.iter().map(|(index, brokers)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(*index)
            .with_broker_ids(brokers.iter().map(|b| BrokerId(*b)).collect())
    });
    new_topic(name).with_assignments(assignments.collect())
}

#[test]
fn r156_manual_assignments_are_followed_or_refused_with_kafkas_sentences() {
    let subject = subject();
    let mut client = subject.connect();
    let other = subject.topic("r156");
    let broker = client.metadata(&other.name).partitions[0].leader_id.0;
    let name = || unused_name("r156");
    let absent = broker + 6;
    for (partitions, message) in [
        (
            vec![(0, vec![absent])],
            format!(
                "The manual partition assignment includes broker {absent}, but no such broker is \
                 registered."
            ),
        ),
        (
            vec![(0, vec![broker, broker])],
            format!("The manual partition assignment includes the broker {broker} more than once."),
        ),
        (
            vec![(0, vec![])],
            "The manual partition assignment includes an empty replica list.".to_owned(),
        ),
        (
            vec![(1, vec![broker])],
            "partitions should be a consecutive 0-based integer sequence".to_owned(),
        ),
    ] {
        let partitions: Vec<_> = partitions.iter().map(|(i, b)| (*i, &b[..])).collect();
        let got = client.create_topic(assigned(&name(), &partitions));
        expect_refusal(&got, 39, &message);
    }
    let own = [broker];
    let good = [(0, &own[..]), (1, &own[..])];
    let got = client.create_topic(assigned(&name(), &good).with_replication_factor(1));
    let message = |what: &str| {
        format!("A manual partition assignment was specified, but {what} was not set to -1.")
    };
    expect_refusal(&got, 42, &message("replication factor"));
    let got = client.create_topic(assigned(&name(), &good).with_num_partitions(2));
    expect_refusal(&got, 42, &message("numPartitions"));
    let got = client.create_topic(assigned(&name(), &good));
    assert_eq!((got.error_code, got.num_partitions), (0, 2));
}

#[test]
fn r156_configs_are_returned_or_refused_with_kafkas_sentences() {
    let subject = subject();
    let mut client = subject.connect();
    let topic = || new_topic(&unused_name("r156"));
    let got = client.create_topic(topic().with_configs(vec![config("no.such.key", "1")]));
    expect_refusal(&got, 40, "Unknown topic config name: no.such.key");
    let got = client.create_topic(topic().with_configs(vec![config("retention.ms", "abc")]));
    let message = "Invalid value abc for configuration retention.ms: Not a number of type LONG";
    expect_refusal(&got, 40, message);
    let null = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(None);
    let got = client.create_topic(topic().with_configs(vec![null]));
    expect_refusal(
        &got,
        40,
        "Null value not supported for topic configs: retention.ms",
    );

    let given = vec![
        config("retention.ms", "1000"),
        config("cleanup.policy", "compact,delete"),
    ];
    let got = client.create_topic(topic().with_configs(given));
    assert_eq!(got.error_code, 0, "{got:?}");
    let configs = got.configs.expect("v7 returns them");
    assert_eq!(configs.len(), 33);
    for (key, value, source) in [
        ("retention.ms", "1000", 1),
        ("cleanup.policy", "compact,delete", 1),
        ("max.message.bytes", "1048588", 5),
    ] {
        let entry = configs.iter().find(|c| &*c.name == key).expect("listed");
        assert_eq!(entry.value.as_deref(), Some(value), "{key}");
        assert_eq!(entry.config_source, source, "{key}");
        assert!(!entry.read_only && !entry.is_sensitive, "{key}");
    }
    let twice = vec![
        config("retention.ms", "1000"),
        config("retention.ms", "2000"),
    ];
    let got = client.create_topic(topic().with_configs(twice));
    assert_eq!(got.error_code, 0, "a key given twice is accepted");
}

#[test]
fn r156_validate_only_answers_in_full_and_creates_nothing() {
    let mut client = subject().connect();
    let name = unused_name("r156");
    let request = CreateTopicsRequest::default()
        .with_topics(vec![new_topic(&name).with_num_partitions(4)])
        .with_timeout_ms(50_000)
        .with_validate_only(true);
    let answer = client.call(CREATE_TOPICS, &request);
    assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    assert_eq!(answer.topics[0].num_partitions, 4);
    assert_eq!(answer.topics[0].replication_factor, 1);
    assert!(!answer.topics[0].topic_id.is_nil());
    assert_eq!(answer.topics[0].configs.as_ref().map(Vec::len), Some(33));
    assert_eq!(client.metadata(&name).error_code, 3);
}

#[test]
fn r156_a_timeout_of_zero_creates_nothing() {
    let mut client = subject().connect();
    for timeout_ms in [0, -1] {
        let name = unused_name("r156");
        let request = CreateTopicsRequest::default()
            .with_topics(vec![new_topic(&name)])
            .with_timeout_ms(timeout_ms);
        let answer = client.call(CREATE_TOPICS, &request);
        assert_eq!(answer.topics[0].error_code, 7, "{answer:?}");
        assert_eq!(client.metadata(&name).error_code, 3);
    }
}

fn deleted(name: Option<&str>, id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default()
        .with_name(name.map(topic_name))
        .with_topic_id(id)
}

#[test]
fn r157_each_topic_of_a_deletion_has_its_own_result() {
    let subject = subject();
    let [named, identified, both, twice] = [(); 4].map(|()| subject.topic("r157"));
    let absent = unused_name("r157");
    let unknown = Uuid::new_v4();
    let mut client = subject.connect();
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(50_000)
        .with_topics(vec![
            deleted(Some(&named.name), Uuid::nil()),
            deleted(None, identified.id),
            deleted(Some(&both.name), both.id),
            deleted(Some(&twice.name), Uuid::nil()),
            deleted(Some(&twice.name), Uuid::nil()),
            deleted(Some(&absent), Uuid::nil()),
            deleted(None, unknown),
        ]);
    let answer = client.call(DELETE_TOPICS, &request);
    let mut got: Vec<(i16, Option<String>)> = answer
        .responses
        .iter()
        .map(|t| {
            (
                t.error_code,
                t.error_message.as_ref().map(|m| m.to_string()),
            )
        })
        .collect();
    got.sort();
    let expected = [
        (0, None),
        (0, None),
        (3, Some("This server does not host this topic-partition.")),
        (42, Some("Duplicate topic name.")),
        (
            42,
            Some("You may not specify both topic name and topic id."),
        ),
        (100, Some("This server does not host this topic ID.")),
    ];
    let expected = expected.map(|(code, message)| (code, message.map(str::to_owned)));
    assert_eq!(got, expected);
    for topic in [&named, &identified] {
        client.await_absence(&topic.name);
    }
    assert_eq!(client.metadata(&both.name).error_code, 0);
}

#[test]
fn r157_neither_name_nor_id_is_invalid() {
    let mut client = subject().connect();
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(50_000)
        .with_topics(vec![deleted(None, Uuid::nil())]);
    let answer = client.call(DELETE_TOPICS, &request);
    assert_eq!(answer.responses.len(), 1);
    assert_eq!(answer.responses[0].error_code, 42, "{answer:?}");
}

#[test]
fn r157_switched_off_deletion_is_told_by_code_73_from_v3_on() {
    let reason = "the shared Kafka runs with delete.topic.enable";
    let Some(subject) = own_ottla(reason, &["delete.topic.enable=false"]) else {
        return;
    };
    let topic = subject.topic("r157");
    let mut client = subject.connect();
    for version in 1..=5 {
        let request = DeleteTopicsRequest::default()
            .with_timeout_ms(50_000)
            .with_topic_names(vec![topic_name(&topic.name)]);
        let answer = client.call(version, &request);
        let expected = if version >= 3 { 73 } else { 42 };
        assert_eq!(answer.responses[0].error_code, expected, "v{version}");
    }
    let refused = client.delete_topic(&topic.name);
    assert_eq!(refused.error_code, 73);
    assert_eq!(refused.error_message, None);
    assert_eq!(client.metadata(&topic.name).error_code, 0);
}

#[test]
fn r159_cluster_metadata_is_prohibited() {
    let mut client = subject().connect();
    let got = client.create_topic(new_topic("__cluster_metadata"));
    let message = "Creation of internal topic __cluster_metadata is prohibited.";
    expect_refusal(&got, 42, message);
}
