//! FindCoordinator (R105).

use kafka_protocol::messages::find_coordinator_response::Coordinator;

use super::super::calls::{poll, unused_name};
use super::super::client::Client;
use super::requests::{FIND, at, commit, find, find_type};
use super::{subject, subject_with};
use crate::wire::batch::stored;
use crate::wire::calls::Topic;

const SHARE: i8 = 2;

/// The answer once the internal topic has been made; until then it is 15 and nothing else.
#[track_caller]
fn found(client: &mut Client, version: i16, keys: &[&str]) -> Vec<Coordinator> {
    poll("the internal topic", || {
        let answer = client.call(version, &find(version, keys));
        let coordinators = if version >= 4 {
            answer.coordinators
        } else {
            vec![
                Coordinator::default()
                    .with_node_id(answer.node_id)
                    .with_host(answer.host)
                    .with_port(answer.port)
                    .with_error_code(answer.error_code)
                    .with_error_message(answer.error_message),
            ]
        };
        let (known, unknown): (Vec<_>, Vec<_>) =
            coordinators.into_iter().partition(|it| it.error_code == 0);
        for coordinator in &unknown {
            assert_eq!(coordinator.error_code, 15, "{coordinator:?}");
            assert_nowhere(coordinator);
            let message = "The coordinator is not available.";
            let message = if (1..=3).contains(&version) {
                message
            } else {
                ""
            };
            assert_eq!(
                coordinator.error_message.as_deref(),
                Some(message),
                "v{version}"
            );
        }
        unknown.is_empty().then_some(known)
    })
}

#[track_caller]
fn assert_nowhere(coordinator: &Coordinator) {
    assert_eq!(coordinator.node_id.0, -1, "{coordinator:?}");
    assert_eq!(&*coordinator.host, "", "{coordinator:?}");
    assert_eq!(coordinator.port, -1, "{coordinator:?}");
}

#[test]
fn r105_every_version_names_the_broker() {
    let subject = subject();
    let mut client = subject.connect();
    for version in 0..=6 {
        let coordinator = &found(&mut client, version, &["r105"])[0];
        let address = format!("{}:{}", coordinator.host, coordinator.port);
        assert_eq!(address, subject.bootstrap, "v{version}");
        assert!(coordinator.node_id.0 >= 0);
        let message = if (1..=3).contains(&version) {
            "NONE"
        } else {
            ""
        };
        assert_eq!(
            coordinator.error_message.as_deref(),
            Some(message),
            "v{version}"
        );
    }
}

#[test]
fn r105_many_keys_are_answered_in_order_the_same_twice_and_the_empty_one() {
    let mut client = subject().connect();
    let keys = ["r105-b", "", "r105-a", "r105-b"];
    for version in 4..=6 {
        let coordinators = found(&mut client, version, &keys);
        let answered: Vec<&str> = coordinators.iter().map(|it| &*it.key).collect();
        assert_eq!(answered, keys, "v{version}");
    }
    let none = client.call(FIND, &find(FIND, &[]));
    assert!(none.coordinators.is_empty());
    assert_eq!(none.error_code, 0);
    found(&mut client, 3, &[""]);
}

#[test]
fn r105_key_types_that_there_are_not_are_invalid() {
    let mut client = subject().connect();
    let text = "This most likely occurs because of a request being malformed by the client library \
                or the message was sent to an incompatible broker. See the broker logs for more \
                details.";
    for version in 1..=6 {
        for key_type in [-1, 3, 99] {
            let answer = client.call(version, &find_type(version, key_type, &["k", "l"]));
            if version >= 4 {
                let keys: Vec<&str> = answer.coordinators.iter().map(|it| &*it.key).collect();
                assert_eq!(keys, ["k", "l"]);
                for coordinator in &answer.coordinators {
                    assert_eq!(coordinator.error_code, 42, "v{version} type {key_type}");
                    assert_nowhere(coordinator);
                    assert_eq!(coordinator.error_message.as_deref(), Some(text));
                }
            } else {
                assert_eq!(answer.error_code, 42, "v{version} type {key_type}");
                assert_eq!(answer.node_id.0, -1);
                assert_eq!(answer.error_message.as_deref(), Some(text));
            }
        }
    }
}

#[test]
fn r105_share_keys_are_invalid_below_v6_and_where_they_are_malformed() {
    let mut client = subject().connect();
    for version in 1..=6 {
        let answer = client.call(version, &find_type(version, SHARE, &["no share key"]));
        if version >= 4 {
            let coordinator = &answer.coordinators[0];
            assert_eq!(coordinator.error_code, 42, "v{version}");
            assert_eq!(coordinator.error_message.as_deref(), Some(""), "v{version}");
            assert_nowhere(coordinator);
        } else {
            assert_eq!(answer.error_code, 42, "v{version}");
            assert_eq!((answer.node_id.0, answer.port), (-1, -1));
        }
    }
}

#[test]
fn r105_a_group_lives_where_the_hash_of_its_name_points_to() {
    let Some(subject) = subject_with(&["offsets.topic.num.partitions=50"]) else {
        return;
    };
    let mut client = subject.connect();
    let topic = subject.topic("r105");
    // Java: Math.abs("…".hashCode()) % 50; the hash of the last one is i32::MIN, whose absolute
    // value Kafka takes to be 0.
    for (group, partition) in [
        ("", 0),
        ("g", 3),
        ("my-group", 12),
        ("grüße", 23),
        ("polygenelubricants", 0),
    ] {
        found(&mut client, FIND, &[group]);
        poll("the coordinator", || {
            let request = commit(8, group, &topic.name, &[at(0, 5)]);
            let answer = client.call(8, &request);
            (answer.topics[0].partitions[0].error_code == 0).then_some(())
        });
        let offsets = Topic {
            name: "__consumer_offsets".to_owned(),
            id: uuid::Uuid::nil(),
        };
        let mut request = crate::wire::calls::fetch_request(12, &offsets, 0);
        request.topics[0].partitions[0].partition = partition;
        let answer = client.fetch_one(12, &request);
        assert_eq!(answer.error_code, 0, "{group:?}");
        let batches = stored(answer.records.expect("records"));
        let mine = batches
            .iter()
            .flat_map(|batch| batch.payload().to_vec())
            .collect::<Vec<u8>>();
        assert!(
            mine.windows(topic.name.len())
                .any(|window| window == topic.name.as_bytes()),
            "the commit of {group:?} is not in partition {partition}"
        );
    }
}

#[test]
fn r105_the_internal_topic_is_made_as_it_is_to_be() {
    let unused = unused_name("r105");
    let subject = subject();
    let mut client = subject.connect();
    found(&mut client, FIND, &[&unused]);
    let topic = client.await_topic("__consumer_offsets");
    assert!(topic.is_internal);
    assert_eq!(topic.partitions.len(), 1);
    assert_eq!(topic.partitions[0].replica_nodes.len(), 1);
}
