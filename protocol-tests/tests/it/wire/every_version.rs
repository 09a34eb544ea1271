//! Every served API in every version that the kafka-protocol crate can speak: sent, answered, and
//! decoded without a byte left over. The older ones are in `legacy.rs`.

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    FindCoordinatorRequest, InitProducerIdRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};
use uuid::Uuid;

use super::batch::{Batch, stored};
use super::calls::{
    fetch_request, list_offsets_request, new_topic, produce_request, text, topic_name, unused_name,
};
use super::subject;

#[test]
fn produce_3_to_13() {
    let subject = subject();
    let topic = subject.topic("every");
    let mut client = subject.connect();
    for version in 3..=13 {
        let records = Some(Batch::numbered(2).bytes().into());
        let request = produce_request(version, &topic, &[(0, records)]);
        let answer = client.call(version, &request);
        let topic_answer = &answer.responses[0];
        if version >= 13 {
            assert_eq!(topic_answer.topic_id, topic.id);
        } else {
            assert_eq!(topic_answer.name, topic_name(&topic.name));
        }
        let partition = &topic_answer.partition_responses[0];
        assert_eq!(partition.error_code, 0, "v{version}");
        assert_eq!(partition.base_offset, i64::from(version - 3) * 2);
        assert_eq!(partition.log_append_time_ms, -1, "v{version}");
        assert_eq!(
            partition.log_start_offset,
            if version >= 5 { 0 } else { -1 }
        );
        assert_eq!(answer.throttle_time_ms, 0);
    }
}

#[test]
fn fetch_4_to_18() {
    let subject = subject();
    let topic = subject.topic("every");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(2));
    for version in 4..=18 {
        let answer = client.fetch_one(version, &fetch_request(version, &topic, 0));
        assert_eq!(answer.error_code, 0, "v{version}");
        assert_eq!(answer.high_watermark, 2, "v{version}");
        assert_eq!(answer.last_stable_offset, 2, "v{version}");
        assert_eq!(answer.log_start_offset, if version >= 5 { 0 } else { -1 });
        let batches = stored(answer.records.expect("records"));
        assert_eq!(batches.len(), 1, "v{version}");
        assert_eq!(batches[0].payload(), Batch::numbered(2).payload);
    }
}

#[test]
fn list_offsets_1_to_10() {
    let subject = subject();
    let topic = subject.topic("every");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(2));
    for version in 1..=10 {
        let answer = client.call(version, &list_offsets_request(&topic, 0, -1));
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0, "v{version}");
        assert_eq!(partition.offset, 2, "v{version}");
        assert_eq!(partition.timestamp, -1, "v{version}");
        assert_eq!(partition.leader_epoch >= 0, version >= 4, "v{version}");
    }
}

#[test]
fn metadata_0_to_13() {
    let subject = subject();
    let topic = subject.topic_with("every", 3, &[]);
    let mut client = subject.connect();
    for version in 0..=13 {
        let asked = MetadataRequestTopic::default().with_name(Some(topic_name(&topic.name)));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let answer = client.call(version, &request);
        let (host, port) = subject.bootstrap.rsplit_once(':').expect("host:port");
        assert_eq!(&*answer.brokers[0].host, host, "v{version}");
        assert_eq!(answer.brokers[0].port.to_string(), port, "v{version}");
        if version >= 1 {
            assert_eq!(answer.controller_id, answer.brokers[0].node_id);
        }
        assert_eq!(answer.cluster_id.is_some(), version >= 2, "v{version}");
        let described = &answer.topics[0];
        assert_eq!(described.error_code, 0, "v{version}");
        assert_eq!(described.name, Some(topic_name(&topic.name)));
        assert!(!described.is_internal);
        let id = if version >= 10 { topic.id } else { Uuid::nil() };
        assert_eq!(described.topic_id, id, "v{version}");
        assert_eq!(described.partitions.len(), 3, "v{version}");
        for partition in &described.partitions {
            assert_eq!(partition.error_code, 0);
            assert_eq!(partition.leader_id, answer.brokers[0].node_id);
            assert_eq!(partition.replica_nodes, [partition.leader_id]);
            assert_eq!(partition.isr_nodes, [partition.leader_id]);
            assert!(partition.offline_replicas.is_empty());
            assert_eq!(partition.leader_epoch >= 0, version >= 7, "v{version}");
        }
    }
}

#[test]
fn api_versions_0_to_4() {
    let mut client = subject().connect();
    for version in 0..=4 {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text("wire"))
            .with_client_software_version(text("1"));
        let answer = client.call(version, &request);
        assert_eq!(answer.error_code, 0, "v{version}");
        assert!(answer.api_keys.iter().any(|k| k.api_key == 18));
    }
}

#[test]
fn create_topics_2_to_7_and_delete_topics_1_to_6() {
    let mut client = subject().connect();
    for version in 2..=7 {
        let name = unused_name("every");
        let topic: CreatableTopic = new_topic(&name)
            .with_num_partitions(2)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(50_000);
        let answer = client.call(version, &request);
        let created = &answer.topics[0];
        assert_eq!(created.error_code, 0, "v{version}: {created:?}");
        assert_eq!(created.name, topic_name(&name));
        assert_eq!(created.error_message, None);
        if version >= 5 {
            assert_eq!(created.num_partitions, 2);
            assert_eq!(created.replication_factor, 1);
            let configs = created.configs.as_ref().expect("v5 has them");
            assert!(configs.iter().any(|c| &*c.name == "cleanup.policy"));
        }
        assert_eq!(!created.topic_id.is_nil(), version >= 7, "v{version}");

        let version = version - 1;
        let request = DeleteTopicsRequest::default().with_timeout_ms(50_000);
        let request = if version >= 6 {
            let topic = DeleteTopicState::default().with_name(Some(topic_name(&name)));
            request.with_topics(vec![topic])
        } else {
            request.with_topic_names(vec![topic_name(&name)])
        };
        let answer = client.call(version, &request);
        assert_eq!(answer.responses[0].error_code, 0, "v{version}");
        assert_eq!(answer.responses[0].name, Some(topic_name(&name)));
        assert_eq!(answer.responses[0].topic_id, created.topic_id);
    }
}

#[test]
fn init_producer_id_0_to_5() {
    let mut client = subject().connect();
    for version in 0..=5 {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000);
        let answer = client.init_producer_id(version, &request);
        assert_eq!(answer.error_code, 0, "v{version}");
        assert!(answer.producer_id.0 >= 0, "v{version}");
        assert_eq!(answer.producer_epoch, 0, "v{version}");
    }
}

#[test]
fn offset_for_leader_epoch_2_to_4() {
    let subject = subject();
    let topic = subject.topic("every");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(2));
    let epoch = client.metadata(&topic.name).partitions[0].leader_epoch;
    for version in 2..=4 {
        let partition = OffsetForLeaderPartition::default().with_leader_epoch(epoch);
        let asked = OffsetForLeaderTopic::default()
            .with_topic(topic_name(&topic.name))
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![asked]);
        let answer = client.call(version, &request);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0, "v{version}");
        assert_eq!((partition.leader_epoch, partition.end_offset), (epoch, 2));
    }
}

#[test]
fn describe_cluster_0_to_2() {
    let mut client = subject().connect();
    for version in 0..=2 {
        let answer = client.call(version, &DescribeClusterRequest::default());
        assert_eq!(answer.error_code, 0, "v{version}");
        assert_eq!(answer.brokers.len(), 1, "v{version}");
        assert_eq!(answer.controller_id, answer.brokers[0].broker_id);
        assert!(!answer.cluster_id.is_empty());
    }
}

#[test]
fn find_coordinator_0_to_6() {
    let mut client = subject().connect();
    for version in 0..=6 {
        let request = FindCoordinatorRequest::default();
        let request = if version >= 4 {
            request.with_coordinator_keys(vec![text("g")])
        } else {
            request.with_key(text("g"))
        };
        let answer = client.call(version, &request);
        let error = match answer.coordinators.first() {
            Some(coordinator) => coordinator.error_code,
            None => answer.error_code,
        };
        // 15 until there are groups, and in Kafka until their topic has been made.
        assert!([0, 15].contains(&error), "v{version}: {error}");
        assert_eq!(answer.coordinators.len(), usize::from(version >= 4));
    }
}
