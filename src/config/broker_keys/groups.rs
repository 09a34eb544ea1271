//! Consumer, share and streams groups, their offsets and their state topics. See [`super`].

use crate::config::key::keys;

keys! { pub(super) const KEYS:
    NotYet List "group.coordinator.rebalance.protocols"
        = "classic,consumer,streams", OneOf(&["consumer", "classic", "share", "streams"]), ReadOnly:
        "The group protocols that are served.";
    NoEffect Int "group.coordinator.threads" = "4", AtLeast(1), ReadOnly:
        "Threads of the group coordinator.";
    NoEffect Int "group.coordinator.append.linger.ms" = "5", AtLeast(0), ReadOnly:
        "How long the group coordinator waits for more records before it writes.";
    Honoured Int "group.initial.rebalance.delay.ms" = "3000", Any, ReadOnly:
        "How long a new group waits for more members.";
    Honoured Int "group.min.session.timeout.ms" = "6000", Any, ReadOnly:
        "The shortest session timeout a classic member may ask for.";
    Honoured Int "group.max.session.timeout.ms" = "1800000", Any, ReadOnly:
        "The longest session timeout a classic member may ask for.";
    Honoured Int "group.max.size" = "2147483647", AtLeast(1), ReadOnly:
        "The most members of a classic group.";
    NotYet List "group.consumer.assignors" = "uniform,range", Any, ReadOnly:
        "The assignors of consumer groups; the first is the default.";
    NotYet Int "group.consumer.heartbeat.interval.ms" = "5000", AtLeast(1), ReadOnly:
        "How often members of consumer groups send heartbeats.";
    NotYet Int "group.consumer.min.heartbeat.interval.ms" = "5000", AtLeast(1), ReadOnly:
        "The shortest heartbeat interval a consumer group may ask for.";
    NotYet Int "group.consumer.max.heartbeat.interval.ms" = "15000", AtLeast(1), ReadOnly:
        "The longest heartbeat interval a consumer group may ask for.";
    NotYet Int "group.consumer.session.timeout.ms" = "45000", AtLeast(1), ReadOnly:
        "After how long a silent member of a consumer group is removed.";
    NotYet Int "group.consumer.min.session.timeout.ms" = "45000", AtLeast(1), ReadOnly:
        "The shortest session timeout a consumer group may ask for.";
    NotYet Int "group.consumer.max.session.timeout.ms" = "60000", AtLeast(1), ReadOnly:
        "The longest session timeout a consumer group may ask for.";
    NotYet Int "group.consumer.max.size" = "2147483647", AtLeast(1), ReadOnly:
        "The most members of a consumer group.";
    NotYet String "group.consumer.migration.policy"
        = "bidirectional", OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), ReadOnly:
        "Which way groups may change between the classic and the consumer protocol.";
    NotYet List "group.share.assignors" = "simple", Any, ReadOnly:
        "The assignors of share groups.";
    NotYet Int "group.share.delivery.count.limit" = "5", Between(2, 10), ReadOnly:
        "How often a record is delivered to a share group at most.";
    NotYet Int "group.share.heartbeat.interval.ms" = "5000", AtLeast(1), ReadOnly:
        "How often members of share groups send heartbeats.";
    NotYet Int "group.share.min.heartbeat.interval.ms" = "5000", AtLeast(1), ReadOnly:
        "The shortest heartbeat interval a share group may ask for.";
    NotYet Int "group.share.max.heartbeat.interval.ms" = "15000", AtLeast(1), ReadOnly:
        "The longest heartbeat interval a share group may ask for.";
    NotYet Int "group.share.session.timeout.ms" = "45000", AtLeast(1), ReadOnly:
        "After how long a silent member of a share group is removed.";
    NotYet Int "group.share.min.session.timeout.ms" = "45000", AtLeast(1), ReadOnly:
        "The shortest session timeout a share group may ask for.";
    NotYet Int "group.share.max.session.timeout.ms" = "60000", AtLeast(1), ReadOnly:
        "The longest session timeout a share group may ask for.";
    NotYet Int "group.share.record.lock.duration.ms" = "30000", Between(1000, 3600000), ReadOnly:
        "How long a member of a share group holds a record.";
    NotYet Int "group.share.min.record.lock.duration.ms" = "15000", Between(1000, 30000), ReadOnly:
        "The shortest record lock a share group may ask for.";
    NotYet Int "group.share.max.record.lock.duration.ms"
        = "60000", Between(30000, 3600000), ReadOnly:
        "The longest record lock a share group may ask for.";
    NotYet Int "group.share.partition.max.record.locks" = "2000", Between(100, 10000), ReadOnly:
        "The most records of one partition held at once.";
    NotYet Int "group.share.max.share.sessions" = "2000", AtLeast(1), ReadOnly:
        "How many share sessions are kept.";
    NotYet Int "group.share.max.size" = "200", Between(1, 1000), ReadOnly:
        "The most members of a share group.";
    NotYet Int "group.streams.heartbeat.interval.ms" = "5000", AtLeast(1), ReadOnly:
        "How often members of streams groups send heartbeats.";
    NotYet Int "group.streams.min.heartbeat.interval.ms" = "5000", AtLeast(1), ReadOnly:
        "The shortest heartbeat interval a streams group may ask for.";
    NotYet Int "group.streams.max.heartbeat.interval.ms" = "15000", AtLeast(1), ReadOnly:
        "The longest heartbeat interval a streams group may ask for.";
    NotYet Int "group.streams.session.timeout.ms" = "45000", AtLeast(1), ReadOnly:
        "After how long a silent member of a streams group is removed.";
    NotYet Int "group.streams.min.session.timeout.ms" = "45000", AtLeast(1), ReadOnly:
        "The shortest session timeout a streams group may ask for.";
    NotYet Int "group.streams.max.session.timeout.ms" = "60000", AtLeast(1), ReadOnly:
        "The longest session timeout a streams group may ask for.";
    NotYet Int "group.streams.num.standby.replicas" = "0", AtLeast(0), ReadOnly:
        "How many standby copies of a streams task are kept.";
    NotYet Int "group.streams.max.standby.replicas" = "2", AtLeast(0), ReadOnly:
        "The most standby copies a streams group may ask for.";
    NotYet Int "group.streams.max.size" = "2147483647", AtLeast(1), ReadOnly:
        "The most members of a streams group.";
    Honoured Int "offset.metadata.max.bytes" = "4096", Any, ReadOnly:
        "The longest text a consumer may store beside an offset.";
    NotYet Int "offsets.commit.timeout.ms" = "5000", AtLeast(1), ReadOnly:
        "How long a commit waits for its replicas.";
    NoEffect Int "offsets.load.buffer.size" = "5242880", AtLeast(1), ReadOnly:
        "The read buffer for loading committed offsets.";
    Honoured Int "offsets.retention.minutes" = "10080", AtLeast(1), ReadOnly:
        "How long offsets of an empty group are kept.";
    Honoured Long "offsets.retention.check.interval.ms" = "600000", AtLeast(1), ReadOnly:
        "How often offsets are checked for that.";
    Honoured Int "offsets.topic.compression.codec" = "0", Any, ReadOnly:
        "The codec of the offsets topic, as Kafka's number.";
    Honoured Int "offsets.topic.num.partitions" = "50", AtLeast(1), ReadOnly:
        "The partitions of the offsets topic.";
    Honoured Short "offsets.topic.replication.factor" = "3", AtLeast(1), ReadOnly:
        "The replicas of the offsets topic.";
    Honoured Int "offsets.topic.segment.bytes" = "104857600", AtLeast(1), ReadOnly:
        "The segment size of the offsets topic.";
    NotYet Int "share.coordinator.append.linger.ms" = "5", AtLeast(0), ReadOnly:
        "How long the share coordinator waits for more records before it writes.";
    NoEffect Int "share.coordinator.load.buffer.size" = "5242880", AtLeast(1), ReadOnly:
        "The read buffer for loading share group state.";
    NotYet Int "share.coordinator.snapshot.update.records.per.snapshot"
        = "500", AtLeast(0), ReadOnly:
        "How many updates of share state follow one full record.";
    NotYet Int "share.coordinator.state.topic.compression.codec" = "0", Any, ReadOnly:
        "The codec of the share state topic, as Kafka's number.";
    NotYet Short "share.coordinator.state.topic.min.isr" = "2", AtLeast(1), ReadOnly:
        "How many replicas of the share state topic must be in sync.";
    NotYet Int "share.coordinator.state.topic.num.partitions" = "50", AtLeast(1), ReadOnly:
        "The partitions of the share state topic.";
    NotYet Short "share.coordinator.state.topic.replication.factor" = "3", AtLeast(1), ReadOnly:
        "The replicas of the share state topic.";
    NotYet Int "share.coordinator.state.topic.segment.bytes" = "104857600", AtLeast(1), ReadOnly:
        "The segment size of the share state topic.";
    NoEffect Int "share.coordinator.threads" = "1", AtLeast(1), ReadOnly:
        "Threads of the share coordinator.";
    NotYet Int "share.coordinator.write.timeout.ms" = "5000", AtLeast(1), ReadOnly:
        "How long a write of share state waits for its replicas.";
}
