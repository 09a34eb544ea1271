//! Stories of decisions: each line is a command, followed by what it was answered and, indented,
//! the records it became. Records are applied before the next line.

use expect_test::expect;
use uuid::Uuid;

use super::brokers::Registration;
use super::*;
use crate::types::BrokerId;

mod partitions;
mod play;

use play::{play, short};

#[test]
fn a_new_cluster_finalises_metadata_version_once() {
    expect![[r#"
        bootstrap -> ok
            FeatureLevel { name: "metadata.version", feature_level: 27 }
        bootstrap -> ok
        register 1 inc=1 live -> 1
            RegisterBroker 1 epoch=1 fenced=false
        ids -> 0..1000
            ProducerIds { broker_id: BrokerId(1), broker_epoch: 1, next_producer_id: 1000 }
        ids -> 1000..2000
            ProducerIds { broker_id: BrokerId(1), broker_epoch: 1, next_producer_id: 2000 }
    "#]]
    .assert_eq(&play(
        "
        bootstrap
        bootstrap
        register 1 inc=1 live
        ids
        ids",
    ));
}

#[test]
fn r156_a_topic_is_created_with_counts_configs_and_the_only_directory_of_its_broker() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        create a -> a p=2 rf=1 {}
            Topic a id=1
            Partition 1-0 leader=1 replicas=[1] isr=[1] dirs=[101]
            Partition 1-1 leader=1 replicas=[1] isr=[1] dirs=[101]
        create b p=1 retention.ms=5 segment.ms=7 retention.ms=6 -> b p=1 rf=1 {"retention.ms": "6", "segment.ms": "7"}
            Topic b id=2
            Config b retention.ms=Some("6")
            Config b segment.ms=Some("7")
            Partition 2-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        create c p=3 validate -> c p=3 rf=1 {}
        create c p=1 rf=1 -> c p=1 rf=1 {}
            Topic c id=4
            Partition 4-0 leader=1 replicas=[1] isr=[1] dirs=[101]
    "#]].assert_eq(&play(
        "
        register 1 inc=1 live
        create a
        create b p=1 retention.ms=5 segment.ms=7 retention.ms=6
        create c p=3 validate
        create c p=1 rf=1",
    ));
}

#[test]
fn r156_refusals_are_kafkas_and_one_bad_item_does_not_fail_the_others() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        create a.b p=1 -> a.b p=1 rf=1 {}
            Topic a.b id=1
            Partition 1-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        create a.b p=1 -> 36 TopicAlreadyExists: Topic 'a.b' already exists.
        create a_b p=1 -> 17 InvalidTopicException: Topic 'a_b' collides with existing topic: a.b
        create x,x,y p=1 -> 42 InvalidRequest: Duplicate topic name. | 42 InvalidRequest: Duplicate topic name. | y p=1 rf=1 {}
            Topic y id=2
            Partition 2-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        create __cluster_metadata,__consumer_offsets p=1 -> 42 InvalidRequest: Creation of internal topic __cluster_metadata is prohibited. | __consumer_offsets p=1 rf=1 {}
            Topic __consumer_offsets id=3
            Partition 3-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        create x p=0 -> 37 InvalidPartitions: Number of partitions was set to an invalid non-positive value.
        create x rf=0 p=0 -> 38 InvalidReplicationFactor: Replication factor must be larger than 0, or -1 to use the default value.
        create x p=-2 -> 37 InvalidPartitions: Number of partitions was set to an invalid non-positive value.
        create x rf=2 -> 38 InvalidReplicationFactor: Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because only 1 broker(s) are registered.
        create x p=10001 -> 44 PolicyViolation: Excessively large number of partitions per request.
        create x retention.ms -> 40 InvalidConfig: Null value not supported for topic configs: retention.ms
        create x nope=1 -> 40 InvalidConfig: Unknown topic config name: nope
        create x at=0:7 -> 39 InvalidReplicaAssignment: The manual partition assignment includes broker 7, but no such broker is registered.
        create x at=0:1+1 -> 39 InvalidReplicaAssignment: The manual partition assignment includes the broker 1 more than once.
        create x at=0: -> 39 InvalidReplicaAssignment: The manual partition assignment includes an empty replica list.
        create x at=0:1;2:1 -> 39 InvalidReplicaAssignment: partitions should be a consecutive 0-based integer sequence
        create x at=0:1;0:1 -> 39 InvalidReplicaAssignment: Found multiple manual partition assignments for partition 0
        create x at=0:1 p=1 -> 42 InvalidRequest: A manual partition assignment was specified, but numPartitions was not set to -1.
        create x at=0:1 rf=1 -> 42 InvalidRequest: A manual partition assignment was specified, but replication factor was not set to -1.
        create x at=1:1;0:1 -> x p=2 rf=1 {}
            Topic x id=15
            Partition 15-0 leader=1 replicas=[1] isr=[1] dirs=[101]
            Partition 15-1 leader=1 replicas=[1] isr=[1] dirs=[101]
    "#]].assert_eq(&play(
        "
        register 1 inc=1 live
        create a.b p=1
        create a.b p=1
        create a_b p=1
        create x,x,y p=1
        create __cluster_metadata,__consumer_offsets p=1
        create x p=0
        create x rf=0 p=0
        create x p=-2
        create x rf=2
        create x p=10001
        create x retention.ms
        create x nope=1
        create x at=0:7
        create x at=0:1+1
        create x at=0:
        create x at=0:1;2:1
        create x at=0:1;0:1
        create x at=0:1 p=1
        create x at=0:1 rf=1
        create x at=1:1;0:1",
    ));
}

#[test]
fn r157_deletion_names_each_topic_once() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        create a,b,c p=1 -> a p=1 rf=1 {} | b p=1 rf=1 {} | c p=1 rf=1 {}
            Topic a id=1
            Partition 1-0 leader=1 replicas=[1] isr=[1] dirs=[101]
            Topic b id=2
            Partition 2-0 leader=1 replicas=[1] isr=[1] dirs=[101]
            Topic c id=3
            Partition 3-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        delete nope,#99,a -> 3 UnknownTopicOrPartition: This server does not host this topic-partition. | 100 UnknownTopicId: This server does not host this topic ID. | a 1
            RemoveTopic 1
        delete b,b,#3,#3 -> 42 InvalidRequest: Duplicate topic name. | 42 InvalidRequest: Duplicate topic name. | 42 InvalidRequest: Duplicate topic id. | 42 InvalidRequest: Duplicate topic id.
        delete b,#2 -> 42 InvalidRequest: The provided topic name maps to an ID that was already supplied. | 42 InvalidRequest: The provided topic name maps to an ID that was already supplied.
        delete b,c -> b 2 | c 3
            RemoveTopic 2
            RemoveTopic 3
        create a p=1 -> a p=1 rf=1 {}
            Topic a id=4
            Partition 4-0 leader=1 replicas=[1] isr=[1] dirs=[101]
    "#]].assert_eq(&play(
        "
        register 1 inc=1 live
        create a,b,c p=1
        delete nope,#99,a
        delete b,b,#3,#3
        delete b,#2
        delete b,c
        create a p=1",
    ));
}

#[test]
fn replicas_are_striped_over_live_brokers_and_fenced_ones_only_follow() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        register 2 inc=2 live -> 1
            RegisterBroker 2 epoch=1 fenced=false
        register 3 inc=3 live -> 2
            RegisterBroker 3 epoch=2 fenced=false
        register 4 inc=4 -> 3
            RegisterBroker 4 epoch=3 fenced=true
        create a p=7 rf=3 -> a p=7 rf=3 {}
            Topic a id=1
            Partition 1-0 leader=2 replicas=[2 3 1] isr=[2 3 1] dirs=[102, 103, 101]
            Partition 1-1 leader=3 replicas=[3 1 2] isr=[3 1 2] dirs=[103, 101, 102]
            Partition 1-2 leader=1 replicas=[1 2 3] isr=[1 2 3] dirs=[101, 102, 103]
            Partition 1-3 leader=2 replicas=[2 1 3] isr=[2 1 3] dirs=[102, 101, 103]
            Partition 1-4 leader=3 replicas=[3 2 1] isr=[3 2 1] dirs=[103, 102, 101]
            Partition 1-5 leader=1 replicas=[1 3 2] isr=[1 3 2] dirs=[101, 103, 102]
            Partition 1-6 leader=2 replicas=[2 3 1] isr=[2 3 1] dirs=[102, 103, 101]
        create b p=2 rf=4 -> b p=2 rf=4 {}
            Topic b id=2
            Partition 2-0 leader=3 replicas=[3 1 2 4] isr=[3 1 2] dirs=[103, 101, 102, 104]
            Partition 2-1 leader=1 replicas=[1 2 3 4] isr=[1 2 3] dirs=[101, 102, 103, 104]
        create c p=1 rf=5 -> 38 InvalidReplicationFactor: Unable to replicate the partition 5 time(s): The target replication factor of 5 cannot be reached because only 4 broker(s) are registered.
        create d at=0:4 -> 39 InvalidReplicaAssignment: All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled shutdown.
        create e at=0:4+2 -> e p=1 rf=2 {}
            Topic e id=5
            Partition 5-0 leader=2 replicas=[4 2] isr=[2] dirs=[104, 102]
    "#]].assert_eq(&play(
        "
        register 1 inc=1 live
        register 2 inc=2 live
        register 3 inc=3 live
        register 4 inc=4
        create a p=7 rf=3
        create b p=2 rf=4
        create c p=1 rf=5
        create d at=0:4
        create e at=0:4+2",
    ));
}

#[test]
fn r54_a_clean_restart_keeps_the_leader_epoch_and_an_unclean_one_begins_a_new_one() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        create a p=2 -> a p=2 rf=1 {}
            Topic a id=1
            Partition 1-0 leader=1 replicas=[1] isr=[1] dirs=[101]
            Partition 1-1 leader=1 replicas=[1] isr=[1] dirs=[101]
        register 1 inc=1 live -> 0
        register 1 inc=2 prev=0 live -> 6
            RegisterBroker 1 epoch=6 fenced=false
        register 1 inc=3 live -> 8
            RegisterBroker 1 epoch=8 fenced=false
            PartitionChange 1-0 leader=1
            PartitionChange 1-1 leader=1
        register 1 inc=4 prev=0 live -> 13
            RegisterBroker 1 epoch=13 fenced=false
            PartitionChange 1-0 leader=1
            PartitionChange 1-1 leader=1
        ids -> 0..1000
            ProducerIds { broker_id: BrokerId(1), broker_epoch: 13, next_producer_id: 1000 }
    "#]]
    .assert_eq(&play(
        "
        register 1 inc=1 live
        create a p=2
        register 1 inc=1 live
        register 1 inc=2 prev=0 live
        register 1 inc=3 live
        register 1 inc=4 prev=0 live
        ids",
    ));
}

#[test]
fn an_unclean_restart_leaves_isrs_that_have_other_members() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        register 2 inc=2 live -> 1
            RegisterBroker 2 epoch=1 fenced=false
        create a at=0:1+2;1:2+1 -> a p=2 rf=2 {}
            Topic a id=1
            Partition 1-0 leader=1 replicas=[1 2] isr=[1 2] dirs=[101, 102]
            Partition 1-1 leader=2 replicas=[2 1] isr=[2 1] dirs=[102, 101]
        register 1 inc=3 -> 8
            RegisterBroker 1 epoch=8 fenced=true
            PartitionChange 1-0 isr=[2] leader=2
            PartitionChange 1-1 isr=[2]
        unfence 1 -> ()
            BrokerRegistrationChange 1 fenced=Some(false)
    "#]]
    .assert_eq(&play(
        "
        register 1 inc=1 live
        register 2 inc=2 live
        create a at=0:1+2;1:2+1
        register 1 inc=3
        unfence 1",
    ));
}

#[test]
fn fencing_moves_leaders_and_unfencing_brings_back_what_has_none() {
    expect![[r#"
        register 1 inc=1 -> 0
            RegisterBroker 1 epoch=0 fenced=true
        create a -> 38 InvalidReplicationFactor: Unable to replicate the partition 1 time(s): All brokers are currently fenced.
        unfence 1 -> ()
            BrokerRegistrationChange 1 fenced=Some(false)
        unfence 1 -> ()
        register 2 inc=2 live -> 2
            RegisterBroker 2 epoch=2 fenced=false
        create a at=0:1+2;1:2+1 -> a p=2 rf=2 {}
            Topic a id=2
            Partition 2-0 leader=1 replicas=[1 2] isr=[1 2] dirs=[101, 102]
            Partition 2-1 leader=2 replicas=[2 1] isr=[2 1] dirs=[102, 101]
        create b at=0:1 -> b p=1 rf=1 {}
            Topic b id=3
            Partition 3-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        create c at=0:1;1:1+2 -> 39 InvalidReplicaAssignment: The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with previous partitions, which have 1 replica(s).
        fence 1 -> ()
            BrokerRegistrationChange 1 fenced=Some(true)
            PartitionChange 2-0 isr=[2] leader=2
            PartitionChange 2-1 isr=[2]
            PartitionChange 3-0 leader=none
        fence 2 -> ()
            BrokerRegistrationChange 2 fenced=Some(true)
            PartitionChange 2-0 leader=none
            PartitionChange 2-1 leader=none
        fence 2 -> ()
        unfence 1 -> ()
            BrokerRegistrationChange 1 fenced=Some(false)
            PartitionChange 3-0 leader=1
        unfence 2 epoch=999 -> 77 StaleBrokerEpoch: Expected broker epoch 2, but got broker epoch 999
        unfence 2 -> ()
            BrokerRegistrationChange 2 fenced=Some(false)
            PartitionChange 2-0 leader=2
            PartitionChange 2-1 leader=2
        unfence 9 -> 77 StaleBrokerEpoch: No broker registration found for broker id 9
    "#]].assert_eq(&play(
        "
        register 1 inc=1
        create a
        unfence 1
        unfence 1
        register 2 inc=2 live
        create a at=0:1+2;1:2+1
        create b at=0:1
        create c at=0:1;1:1+2
        fence 1
        fence 2
        fence 2
        unfence 1
        unfence 2 epoch=999
        unfence 2
        unfence 9",
    ));
}

#[test]
fn a_directory_belongs_to_one_broker() {
    let image = Image::empty("cluster");
    let registration = Registration {
        broker_id: BrokerId(1),
        incarnation: Uuid::from_u128(1),
        endpoints: Vec::new(),
        rack: None,
        features: Vec::new(),
        log_dirs: Vec::new(),
        previous_epoch: None,
        unfenced: true,
    };
    let register = |image: &Image, registration: Registration| {
        brokers::register(image, registration, MetadataOffset(0))
    };
    let said = |log_dirs: &[u128], id: i32, image: &Image| {
        let log_dirs = log_dirs.iter().map(|dir| Uuid::from_u128(*dir)).collect();
        let broker_id = BrokerId(id);
        let answer = register(
            image,
            Registration {
                broker_id,
                log_dirs,
                ..registration.clone()
            },
        );
        short(answer.reply.map(|epoch| epoch.to_string()))
    };
    let first = Registration {
        log_dirs: vec![Uuid::from_u128(5)],
        ..registration.clone()
    };
    let records = register(&image, first).records;
    let taken = image.apply([(MetadataOffset(0), &records[0])]).unwrap();
    let answers = [
        said(&[], 1, &image),
        said(&[4, 4], 1, &image),
        said(&[5], 2, &taken),
    ];
    expect![[r#"
        119 InvalidRegistration: No directories specified in request
        119 InvalidRegistration: Duplicate directory ID in request
        119 InvalidRegistration: Broker 1 is already registered with directory AAAAAAAAAAAAAAAAAAAABQ"#]].assert_eq(&answers.join("\n"));
}
