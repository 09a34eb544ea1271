//! Stories of partitions that are added, of elections, and of a broker that is forgotten.

use expect_test::expect;

use super::play::play;

#[test]
fn r157_partitions_are_added_behind_those_a_topic_has() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        register 2 inc=2 live -> 1
            RegisterBroker 2 epoch=1 fenced=false
        register 3 inc=3 -> 2
            RegisterBroker 3 epoch=2 fenced=true
        create a p=2 rf=2 -> a p=2 rf=2 {}
            Topic a id=1
            Partition 1-0 leader=2 replicas=[2 1] isr=[2 1] dirs=[102, 101]
            Partition 1-1 leader=1 replicas=[1 2] isr=[1 2] dirs=[101, 102]
        enlarge a 5 -> ok
            Partition 1-2 leader=2 replicas=[2 1] isr=[2 1] dirs=[102, 101]
            Partition 1-3 leader=1 replicas=[1 2] isr=[1 2] dirs=[101, 102]
            Partition 1-4 leader=2 replicas=[2 1] isr=[2 1] dirs=[102, 101]
        enlarge a 6 validate -> ok
        enlarge a 6 at=2+1 -> ok
            Partition 1-5 leader=2 replicas=[2 1] isr=[2 1] dirs=[102, 101]
        enlarge nope 3 -> 3 UnknownTopicOrPartition
        enlarge a 6 -> 37 InvalidPartitions: Topic already has 6 partition(s).
        enlarge a 3 -> 37 InvalidPartitions: The topic a currently has 6 partition(s); 3 would not be an increase.
        enlarge a,a 9 -> 42 InvalidRequest: Duplicate topic name. | 42 InvalidRequest: Duplicate topic name.
        enlarge a 8 at=1+2 -> 39 InvalidReplicaAssignment: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.
        enlarge a 7 at=1 -> 39 InvalidReplicaAssignment: The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).
        enlarge a 7 at=1+9 -> 39 InvalidReplicaAssignment: The manual partition assignment includes broker 9, but no such broker is registered.
        enlarge a 7 at= -> 39 InvalidReplicaAssignment: The manual partition assignment includes an empty replica list.
        create b p=1 -> b p=1 rf=1 {}
            Topic b id=2
            Partition 2-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        enlarge b 2 at=3 -> 39 InvalidReplicaAssignment: All brokers specified in the manual partition assignment for partition 1 are fenced or in controlled shutdown.
        enlarge b 10002 -> 44 PolicyViolation: Excessively large number of partitions per request.
    "#]].assert_eq(&play(
        "
        register 1 inc=1 live
        register 2 inc=2 live
        register 3 inc=3
        create a p=2 rf=2
        enlarge a 5
        enlarge a 6 validate
        enlarge a 6 at=2+1
        enlarge nope 3
        enlarge a 6
        enlarge a 3
        enlarge a,a 9
        enlarge a 8 at=1+2
        enlarge a 7 at=1
        enlarge a 7 at=1+9
        enlarge a 7 at=
        create b p=1
        enlarge b 2 at=3
        enlarge b 10002",
    ));
}

#[test]
fn no_partition_is_added_where_nobody_could_lead_it() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        create b p=1 -> b p=1 rf=1 {}
            Topic b id=1
            Partition 1-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        fence 1 -> ()
            BrokerRegistrationChange 1 fenced=Some(true)
            PartitionChange 1-0 leader=none
        enlarge b 2 -> 38 InvalidReplicationFactor: All brokers are currently fenced.
    "#]]
    .assert_eq(&play(
        "
        register 1 inc=1 live
        create b p=1
        fence 1
        enlarge b 2",
    ));
}

#[test]
fn r160_elections_restore_the_preferred_leader_or_take_whoever_is_left() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        register 2 inc=2 live -> 1
            RegisterBroker 2 epoch=1 fenced=false
        create a at=0:1+2;1:2+1 -> a p=2 rf=2 {}
            Topic a id=1
            Partition 1-0 leader=1 replicas=[1 2] isr=[1 2] dirs=[101, 102]
            Partition 1-1 leader=2 replicas=[2 1] isr=[2 1] dirs=[102, 101]
        create b at=0:1+2 -> b p=1 rf=2 {}
            Topic b id=2
            Partition 2-0 leader=1 replicas=[1 2] isr=[1 2] dirs=[101, 102]
        elect preferred a:0+1+2 -> a-0 84 ElectionNotNeeded: Leader election not needed for topic partition. | a-1 84 ElectionNotNeeded: Leader election not needed for topic partition. | a-2 3 UnknownTopicOrPartition: No such partition as a-2
        elect preferred nope:0 -> nope-0 3 UnknownTopicOrPartition: No such topic as nope
        fence 1 -> ()
            BrokerRegistrationChange 1 fenced=Some(true)
            PartitionChange 1-0 isr=[2] leader=2
            PartitionChange 1-1 isr=[2]
            PartitionChange 2-0 isr=[2] leader=2
        unfence 1 -> ()
            BrokerRegistrationChange 1 fenced=Some(false)
        elect preferred a:0 -> a-0 80 PreferredLeaderNotAvailable: The preferred leader was not available.
        elect preferred -> a-0 80 PreferredLeaderNotAvailable: The preferred leader was not available. | b-0 80 PreferredLeaderNotAvailable: The preferred leader was not available.
        elect unclean a:0 -> a-0 84 ElectionNotNeeded: Leader election not needed for topic partition.
        fence 2 -> ()
            BrokerRegistrationChange 2 fenced=Some(true)
            PartitionChange 1-0 leader=none
            PartitionChange 1-1 leader=none
            PartitionChange 2-0 leader=none
        elect unclean -> a-0 ok | a-1 ok | b-0 ok
            PartitionChange 1-0 isr=[1] leader=1 recovering
            PartitionChange 1-1 isr=[1] leader=1 recovering
            PartitionChange 2-0 isr=[1] leader=1 recovering
        unfence 1 -> ()
        elect unclean a:0+1 -> a-0 84 ElectionNotNeeded: Leader election not needed for topic partition. | a-1 84 ElectionNotNeeded: Leader election not needed for topic partition.
        elect unclean b:0 -> b-0 84 ElectionNotNeeded: Leader election not needed for topic partition.
        elect preferred a:0 -> a-0 84 ElectionNotNeeded: Leader election not needed for topic partition.
    "#]].assert_eq(&play(
        "
        register 1 inc=1 live
        register 2 inc=2 live
        create a at=0:1+2;1:2+1
        create b at=0:1+2
        elect preferred a:0+1+2
        elect preferred nope:0
        fence 1
        unfence 1
        elect preferred a:0
        elect preferred
        elect unclean a:0
        fence 2
        elect unclean
        unfence 1
        elect unclean a:0+1
        elect unclean b:0
        elect preferred a:0",
    ));
}

#[test]
fn r164_a_broker_that_is_unregistered_leads_nothing_until_it_comes_back() {
    expect![[r#"
        register 1 inc=1 live -> 0
            RegisterBroker 1 epoch=0 fenced=false
        register 2 inc=2 live -> 1
            RegisterBroker 2 epoch=1 fenced=false
        create a at=0:1+2;1:2+1 -> a p=2 rf=2 {}
            Topic a id=1
            Partition 1-0 leader=1 replicas=[1 2] isr=[1 2] dirs=[101, 102]
            Partition 1-1 leader=2 replicas=[2 1] isr=[2 1] dirs=[102, 101]
        create b at=0:1 -> b p=1 rf=1 {}
            Topic b id=2
            Partition 2-0 leader=1 replicas=[1] isr=[1] dirs=[101]
        unregister 99 -> 102 BrokerIdNotRegistered: Broker ID 99 is not currently registered
        unregister 1 -> ()
            PartitionChange 1-0 isr=[2] leader=2
            PartitionChange 1-1 isr=[2]
            PartitionChange 2-0 leader=none
            UnregisterBroker { broker_id: BrokerId(1), broker_epoch: 0 }
        unregister 1 -> 102 BrokerIdNotRegistered: Broker ID 1 is not currently registered
        register 1 inc=3 prev=0 live -> 18
            RegisterBroker 1 epoch=18 fenced=false
            PartitionChange 2-0 leader=1
    "#]]
    .assert_eq(&play(
        "
        register 1 inc=1 live
        register 2 inc=2 live
        create a at=0:1+2;1:2+1
        create b at=0:1
        unregister 99
        unregister 1
        unregister 1
        register 1 inc=3 prev=0 live",
    ));
}
