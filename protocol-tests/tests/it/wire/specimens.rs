//! One good request of every served API in every version, as material to damage.

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    FindCoordinatorRequest, InitProducerIdRequest, OffsetForLeaderEpochRequest,
};
use kafka_protocol::protocol::Request;

use super::batch::Batch;
use super::calls::{
    Topic, config, fetch_request, list_offsets_request, metadata_request, new_topic,
    produce_request, text, topic_name,
};
use super::client::{CLIENT_ID, message};

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
    let find = FindCoordinatorRequest::default();
    let one = find.clone().with_key(text("group"));
    all.extend((0..=3).map(|v| specimen("FindCoordinator", v, &one)));
    let many = find.with_coordinator_keys(vec![text("group"), text("other")]);
    all.extend((4..=6).map(|v| specimen("FindCoordinator", v, &many)));
    all
}

fn specimen<R: Request>(api: &str, version: i16, request: &R) -> Specimen {
    Specimen {
        name: format!("{api} v{version}"),
        message: message(version, 7, Some(CLIENT_ID), request),
    }
}

fn epoch_request(topic: &Topic) -> OffsetForLeaderEpochRequest {
    let asked = OffsetForLeaderTopic::default()
        .with_topic(topic_name(&topic.name))
        .with_partitions(vec![OffsetForLeaderPartition::default()]);
    OffsetForLeaderEpochRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![asked])
}
