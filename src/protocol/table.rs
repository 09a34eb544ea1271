//! The one table of APIs (R10): what ApiVersions lists, what dispatch answers, what is still to
//! come. It follows Kafka 4.1 (R11). A row is advertised in the commit that serves its whole range
//! and not before: a missing key makes clients fall back, a hollow one breaks them (R12).

use kafka_protocol::protocol::VersionRange;

use Codec::{Hand, LegacyUpTo};
use Listener::Controller;

/// One API.
#[derive(Debug)]
pub struct Api {
    pub key: i16,
    pub name: &'static str,
    /// What ApiVersions says once the row is served.
    pub advertised: VersionRange,
    /// The versions that do what they say; `None` until then. Advertised versions outside are
    /// answered with an error: only Produce 0–2 (R15).
    pub served: Option<VersionRange>,
    pub listener: Listener,
    /// The milestone of `compatibility.md` that serves the row.
    pub milestone: u8,
    pub codec: Codec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Client listeners, where the other brokers come in too.
    Broker,
    /// The CONTROLLER listener only; neither advertised nor answered on a client listener (R17).
    Controller,
}

/// Who reads requests and writes responses (R14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Crate,
    /// Hand-written for every version: Produce and Fetch.
    Hand,
    /// kafka-protocol, but for versions up to this one, which Kafka 4 dropped (`legacy`).
    LegacyUpTo(i16),
}

/// The row of `key` if it is served on client listeners.
pub fn served(key: i16) -> Option<&'static Api> {
    advertised().find(|api| api.key == key)
}

/// What ApiVersions lists on client listeners, by key.
pub fn advertised() -> impl Iterator<Item = &'static Api> {
    let here = |api: &&Api| api.served.is_some() && api.listener == Listener::Broker;
    TABLE.iter().filter(here)
}

impl Api {
    /// Whether a request of this version gets an answer rather than the end of its connection.
    pub fn answers(&self, version: i16) -> bool {
        (self.advertised.min..=self.advertised.max).contains(&version)
    }

    const fn serves(mut self) -> Api {
        self.served = Some(self.advertised);
        self
    }

    const fn serves_from(mut self, min: i16) -> Api {
        let max = self.advertised.max;
        self.served = Some(VersionRange { min, max });
        self
    }

    const fn with(mut self, codec: Codec) -> Api {
        self.codec = codec;
        self
    }

    const fn on(mut self, listener: Listener) -> Api {
        self.listener = listener;
        self
    }
}

const fn api(key: i16, name: &'static str, min: i16, max: i16, milestone: u8) -> Api {
    Api {
        key,
        name,
        advertised: VersionRange { min, max },
        served: None,
        listener: Listener::Broker,
        milestone,
        codec: Codec::Crate,
    }
}

/// Sorted by key. The streams groups (88, 89) join with the profile of Kafka 4.3 (R11).
#[rustfmt::skip]
pub static TABLE: &[Api] = &[
    api(0, "Produce", 0, 13, 1).with(Hand).serves_from(3),
    api(1, "Fetch", 4, 18, 1).with(Hand).serves(),
    api(2, "ListOffsets", 1, 10, 1).serves(),
    api(3, "Metadata", 0, 13, 1).serves(),
    api(8, "OffsetCommit", 2, 9, 2).serves(),
    api(9, "OffsetFetch", 1, 9, 2).serves(),
    api(10, "FindCoordinator", 0, 6, 2).serves(),
    api(11, "JoinGroup", 0, 9, 2).serves(),
    api(12, "Heartbeat", 0, 4, 2).serves(),
    api(13, "LeaveGroup", 0, 5, 2).serves(),
    api(14, "SyncGroup", 0, 5, 2).serves(),
    api(15, "DescribeGroups", 0, 6, 2).serves(),
    api(16, "ListGroups", 0, 5, 2).serves(),
    api(17, "SaslHandshake", 0, 1, 5),
    api(18, "ApiVersions", 0, 4, 1).serves(),
    api(19, "CreateTopics", 0, 7, 1).with(LegacyUpTo(1)).serves(),
    api(20, "DeleteTopics", 0, 6, 1).with(LegacyUpTo(0)).serves(),
    api(21, "DeleteRecords", 0, 2, 2).serves(),
    api(22, "InitProducerId", 0, 5, 1).serves(),
    api(23, "OffsetForLeaderEpoch", 2, 4, 1).serves(),
    api(24, "AddPartitionsToTxn", 0, 5, 3),
    api(25, "AddOffsetsToTxn", 0, 4, 3),
    api(26, "EndTxn", 0, 5, 3),
    api(27, "WriteTxnMarkers", 1, 1, 3),
    api(28, "TxnOffsetCommit", 0, 5, 3),
    api(29, "DescribeAcls", 0, 3, 2).with(LegacyUpTo(0)).serves(),
    api(30, "CreateAcls", 0, 3, 2).with(LegacyUpTo(0)).serves(),
    api(31, "DeleteAcls", 0, 3, 2).with(LegacyUpTo(0)).serves(),
    api(32, "DescribeConfigs", 0, 4, 2).with(LegacyUpTo(0)).serves(),
    api(33, "AlterConfigs", 0, 2, 2).serves(),
    api(34, "AlterReplicaLogDirs", 1, 2, 4).serves(),
    api(35, "DescribeLogDirs", 1, 4, 2).serves(),
    api(36, "SaslAuthenticate", 0, 2, 5),
    api(37, "CreatePartitions", 0, 3, 2).serves(),
    api(38, "CreateDelegationToken", 1, 3, 5),
    api(39, "RenewDelegationToken", 1, 2, 5),
    api(40, "ExpireDelegationToken", 1, 2, 5),
    api(41, "DescribeDelegationToken", 1, 3, 5),
    api(42, "DeleteGroups", 0, 2, 2).serves(),
    api(43, "ElectLeaders", 0, 2, 4).serves(),
    api(44, "IncrementalAlterConfigs", 0, 1, 2).serves(),
    api(45, "AlterPartitionReassignments", 0, 1, 4),
    api(46, "ListPartitionReassignments", 0, 0, 2).serves(),
    api(47, "OffsetDelete", 0, 0, 2).serves(),
    api(48, "DescribeClientQuotas", 0, 1, 5),
    api(49, "AlterClientQuotas", 0, 1, 5),
    api(50, "DescribeUserScramCredentials", 0, 0, 5),
    api(51, "AlterUserScramCredentials", 0, 0, 5),
    api(55, "DescribeQuorum", 0, 2, 2).serves(),
    api(56, "AlterPartition", 2, 3, 4).on(Controller),
    api(57, "UpdateFeatures", 0, 2, 4),
    api(58, "Envelope", 0, 0, 4).on(Controller),
    api(60, "DescribeCluster", 0, 2, 2).serves(),
    api(61, "DescribeProducers", 0, 0, 3).serves(),
    api(62, "BrokerRegistration", 0, 4, 4).on(Controller),
    api(63, "BrokerHeartbeat", 0, 1, 4).on(Controller),
    api(64, "UnregisterBroker", 0, 0, 4).serves(),
    api(65, "DescribeTransactions", 0, 0, 3).serves(),
    api(66, "ListTransactions", 0, 2, 3).serves(),
    api(67, "AllocateProducerIds", 0, 0, 4).on(Controller),
    api(68, "ConsumerGroupHeartbeat", 0, 1, 6),
    api(69, "ConsumerGroupDescribe", 0, 1, 6),
    api(70, "ControllerRegistration", 0, 0, 4).on(Controller),
    api(71, "GetTelemetrySubscriptions", 0, 0, 6),
    api(72, "PushTelemetry", 0, 0, 6),
    api(73, "AssignReplicasToDirs", 0, 0, 4).on(Controller),
    api(74, "ListConfigResources", 0, 1, 2).serves(),
    api(75, "DescribeTopicPartitions", 0, 0, 2).serves(),
    api(76, "ShareGroupHeartbeat", 1, 1, 6),
    api(77, "ShareGroupDescribe", 1, 1, 6),
    api(78, "ShareFetch", 1, 1, 6),
    api(79, "ShareAcknowledge", 1, 1, 6),
    api(80, "AddRaftVoter", 0, 0, 4),
    api(81, "RemoveRaftVoter", 0, 0, 4),
    api(83, "InitializeShareGroupState", 0, 0, 6),
    api(84, "ReadShareGroupState", 0, 0, 6),
    api(85, "WriteShareGroupState", 0, 0, 6),
    api(86, "DeleteShareGroupState", 0, 0, 6),
    api(87, "ReadShareGroupStateSummary", 0, 0, 6),
    api(90, "DescribeShareGroupOffsets", 0, 0, 6),
    api(91, "AlterShareGroupOffsets", 0, 0, 6),
    api(92, "DeleteShareGroupOffsets", 0, 0, 6),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write;

    use expect_test::expect;
    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::Message;

    use super::*;
    use crate::protocol::shape;

    fn find(key: i16) -> &'static Api {
        TABLE.iter().find(|api| api.key == key).expect("a row")
    }

    /// R13: what the crate can carry both ways.
    fn crate_versions(key: i16) -> VersionRange {
        fn both<Request: Message, Response: Message>() -> VersionRange {
            Request::VERSIONS.intersect(&Response::VERSIONS)
        }
        match key {
            0 => both::<ProduceRequest, ProduceResponse>(),
            1 => both::<FetchRequest, FetchResponse>(),
            2 => both::<ListOffsetsRequest, ListOffsetsResponse>(),
            3 => both::<MetadataRequest, MetadataResponse>(),
            8 => both::<OffsetCommitRequest, OffsetCommitResponse>(),
            9 => both::<OffsetFetchRequest, OffsetFetchResponse>(),
            10 => both::<FindCoordinatorRequest, FindCoordinatorResponse>(),
            11 => both::<JoinGroupRequest, JoinGroupResponse>(),
            12 => both::<HeartbeatRequest, HeartbeatResponse>(),
            13 => both::<LeaveGroupRequest, LeaveGroupResponse>(),
            14 => both::<SyncGroupRequest, SyncGroupResponse>(),
            15 => both::<DescribeGroupsRequest, DescribeGroupsResponse>(),
            16 => both::<ListGroupsRequest, ListGroupsResponse>(),
            18 => both::<ApiVersionsRequest, ApiVersionsResponse>(),
            19 => both::<CreateTopicsRequest, CreateTopicsResponse>(),
            20 => both::<DeleteTopicsRequest, DeleteTopicsResponse>(),
            21 => both::<DeleteRecordsRequest, DeleteRecordsResponse>(),
            22 => both::<InitProducerIdRequest, InitProducerIdResponse>(),
            23 => both::<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse>(),
            29 => both::<DescribeAclsRequest, DescribeAclsResponse>(),
            30 => both::<CreateAclsRequest, CreateAclsResponse>(),
            31 => both::<DeleteAclsRequest, DeleteAclsResponse>(),
            32 => both::<DescribeConfigsRequest, DescribeConfigsResponse>(),
            33 => both::<AlterConfigsRequest, AlterConfigsResponse>(),
            34 => both::<AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse>(),
            35 => both::<DescribeLogDirsRequest, DescribeLogDirsResponse>(),
            37 => both::<CreatePartitionsRequest, CreatePartitionsResponse>(),
            42 => both::<DeleteGroupsRequest, DeleteGroupsResponse>(),
            43 => both::<ElectLeadersRequest, ElectLeadersResponse>(),
            44 => both::<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse>(),
            46 => both::<ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse>(),
            47 => both::<OffsetDeleteRequest, OffsetDeleteResponse>(),
            55 => both::<DescribeQuorumRequest, DescribeQuorumResponse>(),
            60 => both::<DescribeClusterRequest, DescribeClusterResponse>(),
            61 => both::<DescribeProducersRequest, DescribeProducersResponse>(),
            64 => both::<UnregisterBrokerRequest, UnregisterBrokerResponse>(),
            65 => both::<DescribeTransactionsRequest, DescribeTransactionsResponse>(),
            66 => both::<ListTransactionsRequest, ListTransactionsResponse>(),
            74 => both::<ListConfigResourcesRequest, ListConfigResourcesResponse>(),
            75 => both::<DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse>(),
            _ => panic!("name the request type of newly served key {key} here"),
        }
    }

    #[test]
    fn r10_the_served_rows_are_these() {
        let mut got = String::new();
        for api in advertised() {
            let Api {
                key,
                name,
                advertised,
                ..
            } = api;
            let _ = writeln!(got, "{key} {name} {advertised}");
        }
        expect![[r#"
            0 Produce 0..13
            1 Fetch 4..18
            2 ListOffsets 1..10
            3 Metadata 0..13
            8 OffsetCommit 2..9
            9 OffsetFetch 1..9
            10 FindCoordinator 0..6
            11 JoinGroup 0..9
            12 Heartbeat 0..4
            13 LeaveGroup 0..5
            14 SyncGroup 0..5
            15 DescribeGroups 0..6
            16 ListGroups 0..5
            18 ApiVersions 0..4
            19 CreateTopics 0..7
            20 DeleteTopics 0..6
            21 DeleteRecords 0..2
            22 InitProducerId 0..5
            23 OffsetForLeaderEpoch 2..4
            29 DescribeAcls 0..3
            30 CreateAcls 0..3
            31 DeleteAcls 0..3
            32 DescribeConfigs 0..4
            33 AlterConfigs 0..2
            34 AlterReplicaLogDirs 1..2
            35 DescribeLogDirs 1..4
            37 CreatePartitions 0..3
            42 DeleteGroups 0..2
            43 ElectLeaders 0..2
            44 IncrementalAlterConfigs 0..1
            46 ListPartitionReassignments 0..0
            47 OffsetDelete 0..0
            55 DescribeQuorum 0..2
            60 DescribeCluster 0..2
            61 DescribeProducers 0..0
            64 UnregisterBroker 0..0
            65 DescribeTransactions 0..0
            66 ListTransactions 0..2
            74 ListConfigResources 0..1
            75 DescribeTopicPartitions 0..0
        "#]]
        .assert_eq(&got);
        assert!(TABLE.is_sorted_by(|a, b| a.key < b.key));
    }

    #[test]
    fn r12_only_produce_0_to_2_are_advertised_without_being_served() {
        for api in advertised().filter(|api| api.served != Some(api.advertised)) {
            assert_eq!(
                (api.key, api.served),
                (0, Some(VersionRange { min: 3, max: 13 }))
            );
        }
    }

    #[test]
    fn r13_every_served_version_has_a_codec() {
        for api in advertised() {
            let by_crate = crate_versions(api.key);
            let ours = match api.codec {
                Codec::Hand => api.advertised,
                Codec::LegacyUpTo(max) => VersionRange {
                    min: api.advertised.min,
                    max,
                },
                Codec::Crate => VersionRange { min: 0, max: -1 },
            };
            for version in api.advertised.min..=api.advertised.max {
                let covered = [by_crate, ours]
                    .iter()
                    .any(|r| (r.min..=r.max).contains(&version));
                assert!(covered, "{} v{version}", api.name);
            }
        }
    }

    #[test]
    fn every_row_has_a_shape_for_each_of_its_versions() {
        for api in TABLE {
            for version in api.advertised.min..=api.advertised.max {
                let shape = shape::Message::find(api.key, version);
                assert_eq!(shape.map(|s| s.name), Some(api.name), "v{version}");
            }
        }
    }

    /// librdkafka 1.x to 2.11.0 looks for single versions, not ranges.
    #[test]
    fn r28_the_versions_that_old_librdkafka_looks_for() {
        let wanted = [
            (0, &[0, 3, 7][..]),
            (1, &[4, 10]),
            (2, &[1]),
            (8, &[2]),
            (9, &[1]),
            (10, &[0]),
            (11, &[0]),
            (12, &[0]),
            (13, &[0]),
            (14, &[0]),
            (17, &[0, 1]),
            (18, &[0]),
            (22, &[0]),
            (36, &[0]),
        ];
        let mut missing = String::new();
        for (key, versions) in wanted {
            let api = find(key);
            assert!(versions.iter().all(|&v| api.answers(v)), "{}", api.name);
            if served(key).is_none() {
                let _ = writeln!(missing, "{} until milestone {}", api.name, api.milestone);
            }
        }
        expect![[r#"
            SaslHandshake until milestone 5
            SaslAuthenticate until milestone 5
        "#]]
        .assert_eq(&missing);
    }

    #[test]
    fn r10_the_table_differs_from_kafka_4_1_2_only_where_a_rule_says_so() {
        let dump = include_str!("../../protocol-tests/oracle/api-versions-4.1.2.json");
        let dump: serde_json::Value = serde_json::from_str(dump).expect("JSON");
        let number = |row: &serde_json::Value, name| row[name].as_i64().expect("a number") as i16;
        let keys = |list: &serde_json::Value| -> BTreeMap<i16, VersionRange> {
            let range = |row| VersionRange {
                min: number(row, "min"),
                max: number(row, "max"),
            };
            let rows = list.as_array().expect("rows").iter();
            rows.map(|row| (number(row, "key"), range(row))).collect()
        };
        let kafka = keys(&dump["apiKeys"]);
        let kafkas_controller = keys(&dump["controllerListener"]["apiKeys"]);

        let mut differences = String::new();
        for api in TABLE {
            let listed = match api.listener {
                Listener::Broker => kafka.get(&api.key),
                Listener::Controller => kafkas_controller.get(&api.key),
            };
            if listed != Some(&api.advertised) {
                let kafkas = listed.map_or("absent".to_owned(), |r| r.to_string());
                let _ = writeln!(
                    differences,
                    "{} {}, Kafka {kafkas}",
                    api.name, api.advertised
                );
            }
        }
        // Legacy minima are R14; telemetry needs a sink, which the dumped broker has not (R32).
        // Rows that are not served yet are missing by their milestone (R12).
        expect![[r#"
            CreateTopics 0..7, Kafka 2..7
            DeleteTopics 0..6, Kafka 1..6
            DescribeAcls 0..3, Kafka 1..3
            CreateAcls 0..3, Kafka 1..3
            DeleteAcls 0..3, Kafka 1..3
            DescribeConfigs 0..4, Kafka 1..4
            GetTelemetrySubscriptions 0..0, Kafka absent
            PushTelemetry 0..0, Kafka absent
        "#]]
        .assert_eq(&differences);
        let unknown: Vec<_> = kafka
            .keys()
            .filter(|&&k| !TABLE.iter().any(|a| a.key == k))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        for api in TABLE.iter().filter(|api| api.served.is_none()) {
            assert!(api.milestone > 1, "{} belongs to milestone 1", api.name);
        }
    }

    #[test]
    fn r17_controller_rows_are_not_served_to_clients() {
        for api in TABLE
            .iter()
            .filter(|api| api.listener == Listener::Controller)
        {
            assert!(served(api.key).is_none(), "{}", api.name);
        }
    }
}
