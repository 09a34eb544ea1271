//! The calls of command-line tools, consoles and exporters, in the versions and the order in which
//! they make them (R155, R200, R201, R203, R210–R213). Calls for groups, quotas and passwords are
//! not advertised yet, so that these programs leave them out.

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_producers_request;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
    DescribeQuorumRequest, DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest, ListPartitionReassignmentsRequest, UnregisterBrokerRequest,
    incremental_alter_configs_request,
};

use super::batch::{Batch, T0};
use super::calls::{
    config, list_offsets_request, metadata_request, new_topic, poll, text, topic_name, unused_name,
};
use super::client::Client;
use super::{Subject, subject};

/// kafka:ConfigResource.Type.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;

/// kafka:ConfigSource.
const DYNAMIC_TOPIC: i8 = 1;

type Configs = BTreeMap<String, DescribeConfigsResourceResult>;

/// Everything about one resource, as consoles ask for it.
#[track_caller]
fn configs(client: &mut Client, version: i16, kind: i8, name: &str) -> Configs {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let mut request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    if version >= 3 {
        request.include_documentation = true;
    }
    let mut answer = client.call(version, &request);
    let result = answer.results.remove(0);
    assert_eq!(
        result.error_code, 0,
        "{kind} {name}: {:?}",
        result.error_message
    );
    let configs = result.configs.into_iter();
    configs.map(|it| (it.name.to_string(), it)).collect()
}

#[track_caller]
fn value(configs: &Configs, key: &str) -> Option<String> {
    let config = configs.get(key).unwrap_or_else(|| panic!("no {key}"));
    config.value.as_ref().map(|value| value.to_string())
}

/// Operation 0 sets, 1 deletes.
#[track_caller]
fn alter(client: &mut Client, kind: i8, name: &str, key: &str, set: Option<&str>) -> i16 {
    let change = incremental_alter_configs_request::AlterableConfig::default()
        .with_name(text(key))
        .with_config_operation(i8::from(set.is_none()))
        .with_value(set.map(text));
    let resource = incremental_alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(vec![change]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.call(1, &request).responses[0].error_code
}

fn broker_id(client: &mut Client) -> i32 {
    client.call(2, &DescribeClusterRequest::default()).brokers[0]
        .broker_id
        .0
}

fn any_acl() -> DescribeAclsRequest {
    DescribeAclsRequest::default()
        .with_resource_type_filter(1)
        .with_pattern_type_filter(1)
        .with_operation(1)
        .with_permission_type(1)
}

#[test]
fn r155_one_bad_item_does_not_fail_the_others() {
    let subject = subject();
    let mut client = subject.connect();
    let (good, absent) = (unused_name("r155"), unused_name("r155"));
    let request = CreateTopicsRequest::default()
        .with_topics(vec![new_topic("not a name"), new_topic(&good)])
        .with_timeout_ms(50_000);
    let answer = client.call(7, &request);
    let mut codes: Vec<_> = answer.topics.iter().map(|it| it.error_code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 17]);
    client.await_topic(&good);

    let more = |name: &str| {
        CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(2)
            .with_assignments(None)
    };
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![more(&absent), more(&good)])
        .with_timeout_ms(50_000);
    let answer = client.call(3, &request);
    let mut codes: Vec<_> = answer.results.iter().map(|it| it.error_code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 3]);

    let named = |name: &str| DeleteTopicState::default().with_name(Some(topic_name(name)));
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![named(&absent), named(&good)])
        .with_timeout_ms(50_000);
    let answer = client.call(6, &request);
    let mut codes: Vec<_> = answer.responses.iter().map(|it| it.error_code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 3]);
    client.await_absence(&good);
}

#[test]
fn r200_kafka_topics_creates_describes_enlarges_and_deletes() {
    let subject = subject();
    let mut client = subject.connect();
    let name = unused_name("r200");
    let topic = new_topic(&name).with_configs(vec![config("segment.ms", "600000")]);
    assert_eq!(client.create_topic(topic).error_code, 0);
    client.await_topic(&name);

    // Describing: topics, reassignments even where nothing runs, configs with their sources.
    let page = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![TopicRequest::default().with_name(topic_name(&name))])
        .with_response_partition_limit(2000);
    assert_eq!(client.call(0, &page).topics[0].error_code, 0);
    let all = ListPartitionReassignmentsRequest::default()
        .with_timeout_ms(50_000)
        .with_topics(None);
    assert_eq!(client.call(0, &all).error_code, 0);
    let overrides = |configs: Configs| -> Vec<String> {
        let set = configs
            .into_values()
            .filter(|it| it.config_source == DYNAMIC_TOPIC);
        set.map(|it| it.name.to_string()).collect()
    };
    // A tool of Kafka 2.8 reads version 4 too, one of 2.0 version 1.
    for version in [1, 2, 4] {
        let described = configs(&mut client, version, TOPIC, &name);
        assert_eq!(overrides(described), ["segment.ms"], "v{version}");
    }

    let more = CreatePartitionsTopic::default()
        .with_name(topic_name(&name))
        .with_count(3)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![more])
        .with_timeout_ms(50_000);
    assert_eq!(client.call(3, &request).results[0].error_code, 0);
    assert_eq!(client.delete_topic(&name).error_code, 0);
    client.await_absence(&name);
}

#[test]
fn r201_kafka_configs_describes_and_alters_topics_brokers_and_loggers() {
    let subject = subject();
    let topic = subject.topic("r201");
    let mut client = subject.connect();
    let broker = broker_id(&mut client).to_string();

    let key = "retention.ms";
    let mut set = |key: &str, to: Option<&str>| alter(&mut client, TOPIC, &topic.name, key, to);
    assert_eq!(set(key, Some("7200000")), 0);
    assert_eq!(set("no.such.key", Some("1")), 40);
    poll("the new value", || {
        let described = configs(&mut client, 4, TOPIC, &topic.name);
        (value(&described, key)? == "7200000").then_some(())
    });
    assert_eq!(alter(&mut client, TOPIC, &topic.name, key, None), 0);

    for name in [broker.as_str(), ""] {
        configs(&mut client, 4, BROKER, name);
    }
    let loggers = configs(&mut client, 4, BROKER_LOGGER, &broker);
    assert!(loggers.contains_key("root"), "{loggers:?}");

    let list = ListConfigResourcesRequest::default();
    let listed = client.call(1, &list);
    assert_eq!(listed.error_code, 0);
    let has = |kind: i8, name: &str| {
        let mut all = listed.config_resources.iter();
        all.any(|it| it.resource_type == kind && *it.resource_name == *name)
    };
    assert!(has(TOPIC, &topic.name) && has(BROKER, &broker));
}

/// Sizes by partition of a topic in all directories.
fn sizes(client: &mut Client, version: i16, topics: Option<Vec<&str>>) -> Vec<(String, i64)> {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|name| {
            DescribableLogDirTopic::default()
                .with_topic(topic_name(name))
                .with_partitions(vec![0])
        });
        topics.collect()
    });
    let answer = client.call(
        version,
        &DescribeLogDirsRequest::default().with_topics(topics),
    );
    assert!(!answer.results.is_empty());
    let mut sizes = Vec::new();
    for directory in answer.results {
        assert_eq!(directory.error_code, 0);
        assert!(
            directory.log_dir.starts_with('/'),
            "{:?}",
            directory.log_dir
        );
        assert_eq!(directory.total_bytes > 0, version >= 4);
        for topic in directory.topics {
            let name = topic.name.to_string();
            let partitions = topic.partitions.into_iter();
            sizes.extend(partitions.map(|it| (name.clone(), it.partition_size)));
        }
    }
    sizes
}

#[test]
fn r203_offsets_records_directories_and_the_cluster_are_told() {
    let subject = subject();
    let topic = subject.topic("r203");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(5));
    for (timestamp, offset) in [(-1, 5), (-2, 0), (-4, 0), (T0, 0), (i64::MAX, -1)] {
        let answer = client.call(10, &list_offsets_request(&topic, 0, timestamp));
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(
            (partition.error_code, partition.offset),
            (0, offset),
            "{timestamp}"
        );
    }
    let deleted = DeleteRecordsTopic::default()
        .with_name(topic_name(&topic.name))
        .with_partitions(vec![DeleteRecordsPartition::default().with_offset(3)]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![deleted])
        .with_timeout_ms(50_000);
    let partition = client.call(2, &request).topics[0].partitions[0].clone();
    assert_eq!((partition.error_code, partition.low_watermark), (0, 3));
    for version in 1..=4 {
        let sizes = sizes(&mut client, version, Some(vec![&topic.name]));
        assert!(matches!(&sizes[..], [(name, size)] if *name == topic.name && *size > 0));
    }
    assert_eq!(
        client
            .call(2, &DescribeClusterRequest::default())
            .error_code,
        0
    );
    let request = UnregisterBrokerRequest::default().with_broker_id(99.into());
    assert_eq!(client.call(0, &request).error_code, 102);
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("apache-kafka-java"))
        .with_client_software_version(text("4.1.2"));
    assert_eq!(client.call(4, &request).error_code, 0);
}

fn advertised(subject: &Subject) -> BTreeMap<i16, (i16, i16)> {
    let answer = subject.connect().call(0, &ApiVersionsRequest::default());
    let keys = answer.api_keys.iter();
    keys.map(|it| (it.api_key, (it.min_version, it.max_version)))
        .collect()
}

#[test]
fn r210_kafbat_ui_finds_what_it_shows() {
    let subject = subject();
    let topic = subject.topic("r210");
    let mut client = subject.connect();
    let producer = client.producer_id();
    client.append(&topic, &Batch::numbered(4).by_producer(producer, 0, 0));

    // Without a finalised metadata.version most of its features are off.
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("apache-kafka-java"))
        .with_client_software_version(text("3.9.0"));
    let versions = client.call(3, &request);
    let mut features = versions.finalized_features.iter();
    let metadata = features.find(|it| &*it.name == "metadata.version");
    assert_eq!(metadata.map(|it| it.max_version_level), Some(27));

    let request =
        DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    let cluster = client.call(1, &request);
    assert_eq!(
        (cluster.error_code, cluster.cluster_authorized_operations),
        (0, 8096)
    );
    let broker = cluster.brokers[0].broker_id.0.to_string();

    let described = configs(&mut client, 4, BROKER, &broker);
    assert_eq!(
        value(&described, "delete.topic.enable").as_deref(),
        Some("true")
    );
    for config in configs(&mut client, 4, TOPIC, &topic.name).values() {
        assert!(
            config
                .documentation
                .as_ref()
                .is_some_and(|it| !it.is_empty()),
            "{config:?}"
        );
        assert!(config.config_type > 0, "{config:?}");
    }
    assert_eq!(client.call(3, &any_acl()).error_code, 54);
    let sizes = sizes(&mut client, 4, None);
    assert!(
        sizes
            .iter()
            .any(|(name, size)| *name == topic.name && *size > 0)
    );

    let quorum = TopicData::default()
        .with_topic_name(topic_name("__cluster_metadata"))
        .with_partitions(vec![PartitionData::default()]);
    let quorum = client.call(
        2,
        &DescribeQuorumRequest::default().with_topics(vec![quorum]),
    );
    assert_eq!(
        quorum.topics[0].partitions[0].leader_id,
        cluster.brokers[0].broker_id
    );
    let producers = describe_producers_request::TopicRequest::default()
        .with_name(topic_name(&topic.name))
        .with_partition_indexes(vec![0]);
    let request = DescribeProducersRequest::default().with_topics(vec![producers]);
    let producers = client
        .call(0, &request)
        .topics
        .remove(0)
        .partitions
        .remove(0);
    assert_eq!(producers.active_producers[0].producer_id.0, producer);

    let listed = advertised(&subject);
    for key in [21, 37, 44] {
        assert!(listed.contains_key(&key), "{key}");
    }
}

#[test]
fn r211_akhq_and_kafdrop_alter_configs_the_old_way_and_search_by_time() {
    let subject = subject();
    let topic = subject.topic("r211");
    let mut client = subject.connect();
    client.append(&topic, &Batch::numbered(2));
    client.append(&topic, &Batch::numbered(2).created_at(T0 + 60_000));
    let broker = broker_id(&mut client).to_string();
    // The frozen kafka-ui reads the release from a key that Kafka 4 has dropped, and without it
    // takes the way of old brokers (R248).
    let described = configs(&mut client, 4, BROKER, &broker);
    let release = described.get("inter.broker.protocol.version");
    assert_eq!(release.is_some(), subject.differs(true, false));
    assert!(release.is_none_or(|it| it.read_only && it.value.as_deref() == Some("4.1-IV1")));

    // The old call replaces all overrides of a topic.
    for version in 0..=2 {
        let set = AlterableConfig::default()
            .with_name(text("segment.ms"))
            .with_value(Some(text("700000")));
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(&topic.name))
            .with_configs(vec![set]);
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        assert_eq!(client.call(version, &request).responses[0].error_code, 0);
        poll("what replaces all overrides", || {
            let described = configs(&mut client, 4, TOPIC, &topic.name);
            let replaced = described["retention.ms"].config_source != DYNAMIC_TOPIC;
            (replaced && value(&described, "segment.ms")? == "700000").then_some(())
        });
    }

    let found = client.list_offset(&topic, T0 + 1_000);
    assert_eq!((found.error_code, found.offset), (0, 2));
    assert_eq!(client.list_offset(&topic, i64::MAX).offset, -1);
    assert!(!sizes(&mut client, 1, None).is_empty());
    assert_eq!(client.call(1, &any_acl()).error_code, 54);
}

#[test]
fn r212_no_console_guesses_another_release() {
    let dump = include_str!("../../../oracle/api-versions-4.1.2.json");
    let dump: serde_json::Value = serde_json::from_str(dump).expect("JSON");
    let keys = dump["apiKeys"].as_array().expect("rows").iter();
    let maxima: BTreeMap<i64, i64> = keys
        .filter_map(|row| Some((row["key"].as_i64()?, row["max"].as_i64()?)))
        .collect();
    for (key, (_, max)) in advertised(&subject()) {
        let expected = maxima.get(&i64::from(key));
        assert_eq!(expected, Some(&i64::from(max)), "key {key}");
    }
}

#[test]
fn r213_exporters_speak_old_versions_without_asking() {
    let subject = subject();
    let topic = subject.topic("r213");
    subject.connect().append(&topic, &Batch::numbered(3));
    // sarama configured for Kafka 2.0.0 sends these as its first requests.
    let mut client = subject.connect().called(Some("kafka_exporter"));
    let mut all = metadata_request(&[]);
    all.topics = None;
    let answer = client.call(5, &all);
    let mut topics = answer.topics.iter();
    assert!(topics.any(|it| it.name == Some(topic_name(&topic.name))));
    for (timestamp, offset) in [(-1, 3), (-2, 0)] {
        let answer = client.call(1, &list_offsets_request(&topic, 0, timestamp));
        assert_eq!(answer.topics[0].partitions[0].offset, offset);
    }
}
