//! Order, replicas that are none, messages, and who may write where (R43, R72, R90, R188).

use std::collections::BTreeSet;

use kafka_protocol::messages::fetch_request::ReplicaState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest};

use super::batch::{Batch, Record};
use super::calls::{
    CREATE_TOPICS, FETCH, LATEST, LIST_OFFSETS, Topic, fetch_request, fetch_topic,
    list_offsets_request, metadata_request, new_topic, topic_name, unused_name,
};
use super::{ottla_only, subject};

#[test]
fn r43_a_fetch_keeps_the_order_of_its_request_and_puts_refused_partitions_last() {
    let subject = subject();
    let topic = subject.topic_with("r43", 3, &[]);
    let absent = Topic {
        name: unused_name("absent"),
        id: uuid::Uuid::new_v4(),
    };
    let mut request = fetch_request(FETCH, &topic, 0);
    request.topics = vec![
        fetch_topic(FETCH, &absent, &[(0, 0)]),
        fetch_topic(FETCH, &topic, &[(2, 0), (0, 0), (1, 0)]),
    ];
    let answer = subject.connect().call(FETCH, &request);
    let order: Vec<(String, i32)> = answer
        .responses
        .iter()
        .flat_map(|topic| {
            let name = topic.topic.to_string();
            topic
                .partitions
                .iter()
                .map(move |partition| (name.clone(), partition.partition_index))
        })
        .collect();
    let known = |index| (topic.name.clone(), index);
    assert_eq!(order, [known(2), known(0), known(1), (absent.name, 0)]);
}

#[test]
fn r43_metadata_lists_each_partition_once_in_any_order() {
    let subject = subject();
    let topic = subject.topic_with("r43", 7, &[]);
    let answer = subject
        .connect()
        .call(12, &metadata_request(&[&topic.name, "r43-absent"]));
    let of_topic = answer
        .topics
        .iter()
        .find(|entry| entry.name == Some(topic_name(&topic.name)))
        .expect("listed");
    let indexes: Vec<i32> = of_topic
        .partitions
        .iter()
        .map(|partition| partition.partition_index)
        .collect();
    assert_eq!(indexes.len(), 7);
    assert_eq!(indexes.into_iter().collect::<BTreeSet<_>>().len(), 7);
}

#[test]
fn r72_the_admin_client_may_append_to_the_offsets_topic() {
    // Kafka's coordinator would stop for good at a record it cannot decode.
    let reason = "its coordinator must not meet such a record";
    let Some(subject) = ottla_only(reason) else {
        return;
    };
    let mut client = subject.connect();
    let created = client.create_topic(new_topic("__consumer_offsets").with_num_partitions(1));
    assert!([0, 36].contains(&created.error_code), "{created:?}");
    let internal = Topic {
        name: "__consumer_offsets".to_owned(),
        id: client.await_topic("__consumer_offsets").topic_id,
    };
    let batch = Batch::of(&[Record::new("not a key of a group", "nor a value")]);
    assert_eq!(client.produce(&internal, &batch).error_code, 17);
    let mut admin = subject.connect().called(Some("__admin_client"));
    assert_eq!(admin.produce(&internal, &batch).error_code, 0);
}

#[test]
fn r90_a_fetch_of_a_broker_that_is_no_replica_is_refused() {
    let subject = subject();
    let topic = subject.topic("r90");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(1));
    let as_replica = fetch_request(FETCH, &topic, 0).with_replica_id(77.into());
    let answer = client.call(FETCH, &as_replica);
    assert_eq!(answer.responses[0].partitions[0].error_code, 6);
    let by_state = fetch_request(15, &topic, 0)
        .with_replica_state(ReplicaState::default().with_replica_id(77.into()));
    let answer = client.call(15, &by_state);
    assert_eq!(answer.responses[0].partitions[0].error_code, 6);
    // An offset is nobody's secret.
    let offsets = list_offsets_request(&topic, 0, LATEST).with_replica_id(77.into());
    let answer = client.call(LIST_OFFSETS, &offsets);
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.offset), (0, 1));
}

#[test]
fn r188_a_success_has_no_message_and_an_error_has_kafkas_sentence() {
    let subject = subject();
    let mut client = subject.connect();
    let name = unused_name("r188");
    let create = CreateTopicsRequest::default()
        .with_topics(vec![new_topic(&name)])
        .with_timeout_ms(50_000);
    let created = client.call(CREATE_TOPICS, &create);
    assert_eq!(created.topics[0].error_code, 0);
    assert_eq!(created.topics[0].error_message, None);
    let again = client.call(CREATE_TOPICS, &create);
    let message = again.topics[0].error_message.as_deref();
    assert_eq!(message, Some(&*format!("Topic '{name}' already exists.")));

    client.await_topic(&name);
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic_name(&name)])
        .with_timeout_ms(50_000);
    // v5 is the newest that names topics in a plain list.
    let deleted = client.call(5, &delete);
    assert_eq!(deleted.responses[0].error_code, 0);
    assert_eq!(deleted.responses[0].error_message, None);
    let gone = client.call(5, &delete);
    let message = gone.responses[0].error_message.as_deref();
    let sentence = "This server does not host this topic-partition.";
    assert_eq!((gone.responses[0].error_code, message), (3, Some(sentence)));
}
