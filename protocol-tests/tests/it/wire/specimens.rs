//! One good request of every served API in every version, as material to damage.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_topic_partitions_request::Cursor;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiVersionsRequest, BrokerId, CreateAclsRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteAclsRequest, DeleteTopicsRequest, DescribeAclsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeProducersRequest,
    DescribeQuorumRequest, DescribeTopicPartitionsRequest, DescribeTransactionsRequest,
    ElectLeadersRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, ListConfigResourcesRequest, ListPartitionReassignmentsRequest,
    ListTransactionsRequest, OffsetForLeaderEpochRequest, UnregisterBrokerRequest,
    describe_producers_request, describe_topic_partitions_request,
};
use kafka_protocol::protocol::Request;

use super::batch::Batch;
use super::calls::{
    Topic, config, fetch_request, list_offsets_request, metadata_request, new_topic,
    produce_request, text, topic_name,
};
use super::client::{CLIENT_ID, message};
use super::config_calls::{self, resource};
use super::delete_records::delete_records_request;
use super::groups::requests;
use super::log_dirs::{alter_log_dirs_request, describe_log_dirs_request};

pub struct Specimen {
    /// API and version.
    pub name: String,
    /// Header and body.
    pub message: Vec<u8>,
}

/// None of them changes anything but the log of `topic`.
pub fn specimens(topic: &Topic) -> Vec<Specimen> {
    let mut all = vec![];
    all.extend((3..=13).map(|version| {
        let records = Some(Batch::numbered(2).bytes().into());
        let request = produce_request(version, topic, &[(0, records)]);
        specimen("Produce", version, &request)
    }));
    all.extend((4..=18).map(|v| specimen("Fetch", v, &fetch_request(v, topic, 0))));
    let offsets = list_offsets_request(topic, 0, -1);
    all.extend((1..=10).map(|v| specimen("ListOffsets", v, &offsets)));
    let metadata = metadata_request(&[&topic.name, "a"]);
    all.extend((4..=13).map(|v| specimen("Metadata", v, &metadata)));
    let creating = metadata_request(&[&topic.name]).with_allow_auto_topic_creation(true);
    all.extend((0..=3).map(|v| specimen("Metadata", v, &creating)));
    let versions = ApiVersionsRequest::default()
        .with_client_software_name(text("wire"))
        .with_client_software_version(text("1"));
    all.extend((0..=4).map(|v| specimen("ApiVersions", v, &versions)));
    let created = new_topic(&topic.name).with_configs(vec![config("retention.ms", "1")]);
    let create = CreateTopicsRequest::default()
        .with_topics(vec![created])
        .with_timeout_ms(1_000)
        .with_validate_only(true);
    all.extend((2..=7).map(|v| specimen("CreateTopics", v, &create)));
    let absent = topic_name("no-such-topic");
    let delete = DeleteTopicsRequest::default().with_timeout_ms(1_000);
    let named = delete.clone().with_topic_names(vec![absent.clone()]);
    all.extend((1..=5).map(|v| specimen("DeleteTopics", v, &named)));
    let state = DeleteTopicState::default().with_name(Some(absent));
    all.push(specimen(
        "DeleteTopics",
        6,
        &delete.with_topics(vec![state]),
    ));
    let init = InitProducerIdRequest::default().with_transactional_id(None);
    all.extend((0..=5).map(|v| specimen("InitProducerId", v, &init)));
    all.extend((2..=4).map(|v| specimen("OffsetForLeaderEpoch", v, &epoch_request(topic))));
    let describe = DescribeClusterRequest::default();
    all.extend((0..=2).map(|v| specimen("DescribeCluster", v, &describe)));
    let deletion = delete_records_request(&topic.name, &[(0, 0)]);
    all.extend((0..=2).map(|v| specimen("DeleteRecords", v, &deletion)));
    let directories = describe_log_dirs_request(&[(&topic.name, &[0])]);
    all.extend((1..=4).map(|v| specimen("DescribeLogDirs", v, &directories)));
    let moves = alter_log_dirs_request("/no/such/directory", &[(&topic.name, &[0])]);
    all.extend((1..=2).map(|v| specimen("AlterReplicaLogDirs", v, &moves)));
    let asked = vec![resource(config_calls::TOPIC, &topic.name, None)];
    let configs = DescribeConfigsRequest::default().with_resources(asked);
    all.extend((1..=4).map(|v| specimen("DescribeConfigs", v, &configs)));
    let set = config_calls::set("retention.ms", "-1");
    let alteration = config_calls::altered(config_calls::TOPIC, &topic.name, &[set]);
    let incremental = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![alteration])
        .with_validate_only(true);
    all.extend((0..=1).map(|v| specimen("IncrementalAlterConfigs", v, &incremental)));
    let replaced = AlterConfigsResource::default()
        .with_resource_type(config_calls::TOPIC)
        .with_resource_name(text(&topic.name));
    let replace = AlterConfigsRequest::default()
        .with_resources(vec![replaced])
        .with_validate_only(true);
    all.extend((0..=2).map(|v| specimen("AlterConfigs", v, &replace)));
    let list = ListConfigResourcesRequest::default();
    all.extend((0..=1).map(|v| specimen("ListConfigResources", v, &list)));
    let find = FindCoordinatorRequest::default();
    let one = find.clone().with_key(text("group"));
    all.extend((0..=3).map(|v| specimen("FindCoordinator", v, &one)));
    let many = find.with_coordinator_keys(vec![text("group"), text("other")]);
    all.extend((4..=6).map(|v| specimen("FindCoordinator", v, &many)));
    all.extend(admin(topic));
    all.extend(group_specimens(topic));
    all
}

fn admin(topic: &Topic) -> Vec<Specimen> {
    let name = || topic_name(&topic.name);
    let mut all = vec![];
    let acls = DescribeAclsRequest::default().with_resource_name_filter(Some(text("t")));
    all.extend((1..=3).map(|v| specimen("DescribeAcls", v, &acls)));
    let acls = vec![AclCreation::default().with_principal(text("User:a")); 2];
    let acls = CreateAclsRequest::default().with_creations(acls);
    all.extend((1..=3).map(|v| specimen("CreateAcls", v, &acls)));
    let acls = vec![DeleteAclsFilter::default().with_host_filter(Some(text("*"))); 2];
    let acls = DeleteAclsRequest::default().with_filters(acls);
    all.extend((1..=3).map(|v| specimen("DeleteAcls", v, &acls)));
    let placed = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    let more = CreatePartitionsTopic::default()
        .with_name(name())
        .with_count(2)
        .with_assignments(Some(vec![placed]));
    let more = CreatePartitionsRequest::default()
        .with_topics(vec![more])
        .with_timeout_ms(1_000)
        .with_validate_only(true);
    all.extend((0..=3).map(|v| specimen("CreatePartitions", v, &more)));
    let elected = TopicPartitions::default()
        .with_topic(name())
        .with_partitions(vec![0, 1]);
    let elect = ElectLeadersRequest::default().with_topic_partitions(Some(vec![elected]));
    all.extend((0..=2).map(|v| specimen("ElectLeaders", v, &elect)));
    let moving = ListPartitionReassignmentsTopics::default()
        .with_name(name())
        .with_partition_indexes(vec![0]);
    let moving = ListPartitionReassignmentsRequest::default().with_topics(Some(vec![moving]));
    all.push(specimen("ListPartitionReassignments", 0, &moving));
    let quorum = TopicData::default()
        .with_topic_name(topic_name("__cluster_metadata"))
        .with_partitions(vec![PartitionData::default()]);
    let quorum = DescribeQuorumRequest::default().with_topics(vec![quorum]);
    all.extend((0..=2).map(|v| specimen("DescribeQuorum", v, &quorum)));
    let producers = describe_producers_request::TopicRequest::default()
        .with_name(name())
        .with_partition_indexes(vec![0]);
    let producers = DescribeProducersRequest::default().with_topics(vec![producers]);
    all.push(specimen("DescribeProducers", 0, &producers));
    let broker = UnregisterBrokerRequest::default().with_broker_id(BrokerId(99));
    all.push(specimen("UnregisterBroker", 0, &broker));
    let ids = vec![text("a").into(), text("b").into()];
    let transactions = DescribeTransactionsRequest::default().with_transactional_ids(ids);
    all.push(specimen("DescribeTransactions", 0, &transactions));
    let list = ListTransactionsRequest::default()
        .with_state_filters(vec![text("Ongoing")])
        .with_producer_id_filters(vec![7.into()]);
    all.extend((0..=2).map(|v| specimen("ListTransactions", v, &list)));
    let page = describe_topic_partitions_request::TopicRequest::default().with_name(name());
    let cursor = Cursor::default().with_topic_name(name());
    let page = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![page])
        .with_response_partition_limit(5)
        .with_cursor(Some(cursor));
    all.push(specimen("DescribeTopicPartitions", 0, &page));
    all
}

fn specimen<R: Request>(api: &str, version: i16, request: &R) -> Specimen {
    Specimen {
        name: format!("{api} v{version}"),
        message: message(version, 7, Some(CLIENT_ID), request),
    }
}

/// About a group that there is not, and members of it: nothing comes of them.
fn group_specimens(topic: &Topic) -> Vec<Specimen> {
    const GROUP: &str = "no-such-group";
    const MEMBER: &str = "no-such-member";
    let asked: [(&str, &[i32]); 1] = [(&topic.name, &[0])];
    let mut all = vec![];
    all.extend((0..=9).map(|v| {
        let join = requests::plain_join(v, GROUP, MEMBER);
        specimen("JoinGroup", v, &join)
    }));
    all.extend((0..=5).map(|v| {
        let sync = requests::sync(v, GROUP, MEMBER, 1, &[(MEMBER, b"share"), ("m", b"")]);
        specimen("SyncGroup", v, &sync)
    }));
    let heartbeat = requests::heartbeat(GROUP, MEMBER, 1);
    all.extend((0..=4).map(|v| specimen("Heartbeat", v, &heartbeat)));
    all.extend((0..=5).map(|v| {
        let leave = requests::leave(v, GROUP, &[(MEMBER, None), ("", None)]);
        specimen("LeaveGroup", v, &leave)
    }));
    all.extend((2..=9).map(|v| {
        let commit = requests::commit(v, GROUP, &topic.name, &[requests::at(0, 5)]);
        let commit = commit
            .with_member_id(text(MEMBER))
            .with_generation_id_or_member_epoch(1);
        specimen("OffsetCommit", v, &commit)
    }));
    all.extend((1..=9).map(|v| {
        let fetch = requests::fetch(v, GROUP, Some(&asked));
        specimen("OffsetFetch", v, &fetch)
    }));
    let delete = requests::offset_delete(GROUP, &asked);
    all.push(specimen("OffsetDelete", 0, &delete));
    let describe = requests::describe(&[GROUP, "other"]);
    all.extend((0..=6).map(|v| specimen("DescribeGroups", v, &describe)));
    let delete = requests::delete(&[GROUP]);
    all.extend((0..=2).map(|v| specimen("DeleteGroups", v, &delete)));
    let list = requests::list(&[], &[]);
    all.extend((0..=5).map(|v| specimen("ListGroups", v, &list)));
    all
}

fn epoch_request(topic: &Topic) -> OffsetForLeaderEpochRequest {
    let asked = OffsetForLeaderTopic::default()
        .with_topic(topic_name(&topic.name))
        .with_partitions(vec![OffsetForLeaderPartition::default()]);
    OffsetForLeaderEpochRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![asked])
}
