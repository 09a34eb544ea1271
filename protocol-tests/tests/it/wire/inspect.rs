//! What operators look at: the quorum, producers, transactions, ACLs, brokers (R139, R161, R162,
//! R164).

use anyhow::Result;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::PartitionResponse;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{
    CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeClusterRequest,
    DescribeProducersRequest, DescribeQuorumRequest, DescribeTransactionsRequest,
    FindCoordinatorRequest, ListTransactionsRequest, UnregisterBrokerRequest,
};
use protocol_tests::torture::{Site, newest_build};

use super::batch::{Batch, T0};
use super::calls::{Topic, new_topic, poll, text, topic_name, unused_name};
use super::client::Client;
use super::{Subject, ottla_only, subject};

const UNKNOWN: &str = "This server does not host this topic-partition.";

fn quorum_of(topic: &str, partitions: &[i32]) -> DescribeQuorumRequest {
    let partitions = partitions
        .iter()
        .map(|i| PartitionData::default().with_partition_index(*i));
    let topic = TopicData::default()
        .with_topic_name(topic_name(topic))
        .with_partitions(partitions.collect());
    DescribeQuorumRequest::default().with_topics(vec![topic])
}

#[test]
fn r160_the_quorum_of_one_describes_itself() {
    let subject = subject();
    let mut client = subject.connect();
    let cluster = client.call(2, &DescribeClusterRequest::default());
    let node = cluster.brokers[0].broker_id;
    let mut offset = 0;
    for version in 0..=2 {
        subject.topic("r160");
        let answer = client.call(version, &quorum_of("__cluster_metadata", &[0]));
        assert_eq!(answer.error_code, 0);
        assert_eq!(answer.error_message.as_deref(), Some(""));
        assert_eq!(answer.topics.len(), 1);
        assert_eq!(
            answer.topics[0].topic_name,
            topic_name("__cluster_metadata")
        );
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        assert_eq!(partition.leader_id, node);
        assert!(partition.leader_epoch >= 1);
        assert!(partition.high_watermark > offset, "a topic is records");
        offset = partition.high_watermark;
        assert!(partition.observers.is_empty());
        assert_eq!(partition.current_voters.len(), 1);
        let voter = &partition.current_voters[0];
        assert_eq!(voter.replica_id, node);
        assert!(voter.log_end_offset >= offset);
        let (fetched, caught_up) = (voter.last_fetch_timestamp, voter.last_caught_up_timestamp);
        assert_eq!((fetched > T0, caught_up > T0), (version >= 1, version >= 1));
        if version >= 2 {
            assert_eq!(answer.nodes.len(), 1);
            assert_eq!(answer.nodes[0].node_id, node);
        }
    }
}

#[test]
fn r164_any_other_quorum_is_unknown() {
    let mut client = subject().connect();
    let several = {
        let mut request = quorum_of("__cluster_metadata", &[0]);
        request.topics.extend(quorum_of("t", &[0]).topics);
        request
    };
    for request in [
        quorum_of("t", &[0]),
        quorum_of("__cluster_metadata", &[1]),
        quorum_of("__cluster_metadata", &[0, 1]),
        several,
    ] {
        for version in 0..=2 {
            let answer = client.call(version, &request);
            assert_eq!(answer.error_code, 0);
            assert_eq!(answer.topics.len(), request.topics.len());
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                assert_eq!(partition.error_code, 3);
                let sentence = if version >= 2 { UNKNOWN } else { "" };
                assert_eq!(partition.error_message.as_deref(), Some(sentence));
                assert!(partition.current_voters.is_empty());
            }
        }
    }
}

#[track_caller]
fn producers(client: &mut Client, topic: &str, partitions: &[i32]) -> Vec<PartitionResponse> {
    let topic = TopicRequest::default()
        .with_name(topic_name(topic))
        .with_partition_indexes(partitions.to_vec());
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    let mut answer = client.call(0, &request);
    assert_eq!(answer.topics.len(), 1);
    answer.topics.remove(0).partitions
}

#[test]
fn r161_a_partition_knows_its_producers() {
    let subject = subject();
    let topic = subject.topic("r161");
    let mut client = subject.connect();
    let (first, second) = (client.producer_id(), client.producer_id());
    let batch = || Batch::numbered(3);
    client.append(&topic, &batch());
    assert!(
        producers(&mut client, &topic.name, &[0])[0]
            .active_producers
            .is_empty()
    );
    client.append(&topic, &batch().by_producer(first, 0, 0));
    client.append(
        &topic,
        &batch().by_producer(first, 0, 3).created_at(T0 + 5_000),
    );
    client.append(&topic, &batch().by_producer(second, 4, 0));
    let partitions = producers(&mut client, &topic.name, &[0]);
    assert_eq!(partitions.len(), 1);
    assert_eq!(
        (partitions[0].error_code, &partitions[0].error_message),
        (0, &None)
    );
    let mut states = partitions[0].active_producers.clone();
    states.sort_by_key(|state| state.producer_id);
    let got: Vec<_> = states
        .iter()
        .map(|it| {
            (
                it.producer_id.0,
                it.producer_epoch,
                it.last_sequence,
                it.last_timestamp,
            )
        })
        .collect();
    let last = |at: i64| at + Batch::numbered(3).max_timestamp - T0;
    assert_eq!(
        got,
        [(first, 0, 5, last(T0 + 5_000)), (second, 4, 2, last(T0))]
    );
    for state in &states {
        assert_eq!(state.coordinator_epoch, -1);
        assert_eq!(state.current_txn_start_offset, -1);
    }
}

#[test]
fn r161_absent_partitions_and_topics_are_unknown_in_different_words() {
    let subject = subject();
    let topic = subject.topic("r161");
    let mut client = subject.connect();
    let partitions = producers(&mut client, &topic.name, &[0, 7, -1]);
    let codes: Vec<_> = partitions
        .iter()
        .map(|p| (p.partition_index, p.error_code))
        .collect();
    assert_eq!(codes, [(0, 0), (7, 3), (-1, 3)]);
    assert!(partitions.iter().all(|p| p.error_message.is_none()));
    let partitions = producers(&mut client, &unused_name("r161"), &[0]);
    assert_eq!(partitions[0].error_code, 3);
    assert_eq!(partitions[0].error_message.as_deref(), Some(UNKNOWN));
    let partitions = producers(&mut client, "not a name", &[0]);
    assert_eq!(partitions[0].error_code, 17);
    let sentence = "Topic name is invalid: 'not a name' contains one or more characters other than \
                    ASCII alphanumerics, '.', '_' and '-'";
    assert_eq!(partitions[0].error_message.as_deref(), Some(sentence));
}

/// Kafka knows transactions only once their topic has been made.
fn with_transactions(subject: &Subject) -> Client {
    let mut client = subject.connect();
    if subject.differs(false, true) {
        let find = FindCoordinatorRequest::default()
            .with_key_type(1)
            .with_coordinator_keys(vec![text("r139")]);
        poll("a transaction coordinator", || {
            (client.call(4, &find).coordinators[0].error_code == 0).then_some(())
        });
        let describe = DescribeTransactionsRequest::default()
            .with_transactional_ids(vec![text("r139").into()]);
        poll("its log", || {
            let code = client.call(0, &describe).transaction_states[0].error_code;
            (![14, 15, 16].contains(&code)).then_some(())
        });
    }
    client
}

#[test]
fn r139_an_unknown_transactional_id_is_not_found() {
    let subject = subject();
    let mut client = with_transactions(&subject);
    let ids = vec![text(&unused_name("r139")).into(), text("").into()];
    let request = DescribeTransactionsRequest::default().with_transactional_ids(ids.clone());
    let answer = client.call(0, &request);
    let got: Vec<_> = answer
        .transaction_states
        .iter()
        .map(|state| (state.transactional_id.clone(), state.error_code))
        .collect();
    assert_eq!(got, [(ids[0].clone(), 105), (ids[1].clone(), 42)]);
    for state in &answer.transaction_states {
        assert_eq!(&*state.transaction_state, "");
        assert!(state.topics.is_empty());
    }
}

#[test]
fn r139_list_transactions_judges_its_filters() {
    let subject = subject();
    let mut client = with_transactions(&subject);
    let states = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
        "ongoing",
        "Nonsense",
        "",
    ];
    for version in 0..=2 {
        let request = ListTransactionsRequest::default()
            .with_state_filters(states.map(text).into())
            .with_producer_id_filters(vec![i64::MAX.into()]);
        let answer = client.call(version, &request);
        assert_eq!(answer.error_code, 0);
        assert!(answer.transaction_states.is_empty());
        let mut unknown: Vec<_> = answer
            .unknown_state_filters
            .iter()
            .map(|s| s.as_str())
            .collect();
        unknown.sort();
        assert_eq!(unknown, ["", "Nonsense", "ongoing"], "v{version}");
    }
    for (pattern, code) in [
        (Some("^no-such-.*$"), 0),
        (Some(""), 0),
        (None, 0),
        (Some("a(b"), 128),
        (Some("*"), 128),
        (Some("(?=a)"), 128),
        (Some("a{2,1}"), 128),
        (Some("\\pL+[[:alpha:]]"), 0),
    ] {
        let request = ListTransactionsRequest::default()
            .with_producer_id_filters(vec![i64::MAX.into()])
            .with_transactional_id_pattern(pattern.map(text));
        let answer = client.call(2, &request);
        assert_eq!(answer.error_code, code, "{pattern:?}");
    }
}

#[test]
fn r162_without_an_authorizer_acls_are_disabled() {
    let mut client = subject().connect();
    for version in 1..=3 {
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(1)
            .with_pattern_type_filter(1)
            .with_operation(1)
            .with_permission_type(1);
        let answer = client.call(version, &request);
        assert_eq!(answer.error_code, 54);
        let sentence = "No Authorizer is configured on the broker";
        assert_eq!(answer.error_message.as_deref(), Some(sentence));
        assert!(answer.resources.is_empty());

        let acl = AclCreation::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_resource_pattern_type(3)
            .with_principal(text("User:a"))
            .with_host(text("*"))
            .with_operation(3)
            .with_permission_type(3);
        let answer = client.call(
            version,
            &CreateAclsRequest::default().with_creations(vec![acl.clone(), acl]),
        );
        let sentence = Some("No Authorizer is configured.");
        assert_eq!(answer.results.len(), 2);
        for result in &answer.results {
            assert_eq!(
                (result.error_code, result.error_message.as_deref()),
                (54, sentence)
            );
        }

        let filter = DeleteAclsFilter::default()
            .with_resource_type_filter(2)
            .with_resource_name_filter(Some(text("t")))
            .with_pattern_type_filter(3)
            .with_operation(1)
            .with_permission_type(1);
        let answer = client.call(
            version,
            &DeleteAclsRequest::default().with_filters(vec![filter.clone(), filter]),
        );
        assert_eq!(answer.filter_results.len(), 2);
        for result in &answer.filter_results {
            assert_eq!(
                (result.error_code, result.error_message.as_deref()),
                (54, sentence)
            );
            assert!(result.matching_acls.is_empty());
        }
    }
}

#[test]
fn r164_a_broker_that_is_not_registered_cannot_be_unregistered() {
    let mut client = subject().connect();
    for id in [99, -1] {
        let request = UnregisterBrokerRequest::default().with_broker_id(id.into());
        let answer = client.call(0, &request);
        assert_eq!(answer.error_code, 102);
        let sentence = format!("Broker ID {id} is not currently registered");
        assert_eq!(answer.error_message.as_deref(), Some(&*sentence));
    }
}

#[test]
fn r164_a_broker_that_forgets_itself_leads_nothing_until_it_starts_again() -> Result<()> {
    if ottla_only("the shared broker would be lost").is_none() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let mut site = Site::new(&newest_build()?, directory.path())?;
    let broker = site.start()?;
    let mut client = Client::connect(&site.bootstrap);
    let created = client.create_topic(new_topic("r164"));
    let topic = Topic {
        name: "r164".to_owned(),
        id: created.topic_id,
    };
    let producer = client.producer_id();
    client.append(&topic, &Batch::numbered(3).by_producer(producer, 0, 0));
    let described = client.call(2, &DescribeClusterRequest::default());
    let request = UnregisterBrokerRequest::default().with_broker_id(described.brokers[0].broker_id);
    assert_eq!(client.call(0, &request).error_code, 0);
    assert_eq!(client.call(0, &request).error_code, 102);

    let described = client.call(2, &DescribeClusterRequest::default());
    assert!(described.brokers.is_empty());
    assert_eq!(client.metadata(&topic.name).partitions[0].error_code, 5);
    assert_eq!(client.produce(&topic, &Batch::numbered(1)).error_code, 6);
    broker.stop()?;

    let broker = site.start()?;
    let mut client = Client::connect(&site.bootstrap);
    assert_eq!(client.append(&topic, &Batch::numbered(1)), 3);
    let retry = client.produce(&topic, &Batch::numbered(3).by_producer(producer, 0, 0));
    assert_eq!((retry.error_code, retry.base_offset), (0, 0), "still known");
    broker.stop()
}
