//! Where the tools say something else of Ottla than of Kafka, and why.

use super::Difference;

const NONE: Difference = Difference {
    call: "",
    reason: "",
    ottla: &[],
    kafka: &[],
    rewritten: &[],
};

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        call: "topics --bootstrap-server @ --describe",
        reason: "Kafka's format finalises eligible.leader.replicas.version, which sets \
                 min.insync.replicas for the cluster; Ottla does so from milestone 4 on (R30)",
        rewritten: &[
            ("Configs: min.insync.replicas=1,", "Configs: "),
            ("Configs: min.insync.replicas=1", "Configs:"),
            (",min.insync.replicas=1,", ","),
        ],
        ..NONE
    },
    Difference {
        call: "topics --bootstrap-server @ --describe --topics-with-overrides",
        reason: "and so Kafka counts it as an override of every topic",
        kafka: &[
            "Topic: one",
            "Topic: placed",
            "Topic: dotted.name",
            "Topic: under_score",
        ],
        ..NONE
    },
    Difference {
        call: "configs --bootstrap-server @ --describe",
        reason: "the same for configs",
        rewritten: &[(
            "synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:min.insync.replicas=1, DEFAULT_CONFIG",
            "synonyms={DEFAULT_CONFIG",
        )],
        kafka: &["  min.insync.replicas=1 sensitive=false \
                  synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:min.insync.replicas=1}"],
        ..NONE
    },
    Difference {
        call: "configs --bootstrap-server @ --describe --broker 1 --all",
        reason: "the listeners of the two are their own; Ottla's controller needs none (R17)",
        ottla: &[
            "  advertised.listeners=null",
            "  controller.listener.names=null",
            "  controller.quorum.voters= ",
            "  listener.security.protocol.map=SASL_SSL",
            "  listeners=PLAINTEXT://127.0.0.1:",
        ],
        kafka: &[
            "  advertised.listeners=PLAINTEXT://127.0.0.1:",
            "  controller.listener.names=CONTROLLER",
            "  controller.quorum.voters=1@127.0.0.1:",
            "  listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER",
            "  listeners=PLAINTEXT://127.0.0.1:",
        ],
        ..NONE
    },
    Difference {
        call: "configs --bootstrap-server @ --describe --broker 1 --all",
        reason: "scripts/oracle sets an internal key, which Ottla does not have",
        kafka: &["  log.initial.task.delay.ms=500"],
        ..NONE
    },
    Difference {
        call: "configs --bootstrap-server @ --describe --broker 1 --all",
        reason: "old consoles read the release from a key that Kafka 4 has dropped (R248)",
        ottla: &["  inter.broker.protocol.version=4.1-IV1"],
        ..NONE
    },
    Difference {
        call: "configs --bootstrap-server @ --alter --broker-defaults --add-config listeners",
        reason: "listeners do not change in a running Ottla, for one broker or for all",
        ottla: &["Cannot update these configs dynamically: Set(listeners)"],
        kafka: &["Cannot update these configs at default cluster level"],
        ..NONE
    },
    Difference {
        call: "configs --bootstrap-server @ --describe --broker-logger 1",
        reason: "loggers are named after the parts of the program; root is common",
        ottla: &["  ottla"],
        kafka: &[
            "  kafka.",
            "  org.apache.kafka.",
            "  com.yammer.",
            "  state.change.logger",
            "  LogFutureTimestampLogger",
        ],
        ..NONE
    },
    Difference {
        call: "features",
        reason: "features of what is not built are absent (R30)",
        kafka: &[
            "Feature: eligible.leader.replicas.version",
            "Feature: group.version",
            "Feature: kraft.version",
            "Feature: share.version",
            "Feature: transaction.version",
        ],
        ..NONE
    },
    Difference {
        call: "broker-api-versions",
        reason: "minima that Kafka dropped and clients still send (R14)",
        ottla: &[
            "CreateTopics(19): 0 to 7",
            "DeleteTopics(20): 0 to 6",
            "DescribeAcls(29): 0 to 3",
            "CreateAcls(30): 0 to 3",
            "DeleteAcls(31): 0 to 3",
            "DescribeConfigs(32): 0 to 4",
        ],
        kafka: &[
            "CreateTopics(19): 2 to 7",
            "DeleteTopics(20): 1 to 6",
            "DescribeAcls(29): 1 to 3",
            "CreateAcls(30): 1 to 3",
            "DeleteAcls(31): 1 to 3",
            "DescribeConfigs(32): 1 to 4",
        ],
        ..NONE
    },
    Difference {
        call: "broker-api-versions",
        reason: "what is not served is not advertised (R12)",
        ottla: &["AlterReplicaLogDirs(34)", ": UNSUPPORTED"],
        kafka: &[
            "AlterReplicaLogDirs(34)",
            ": UNSUPPORTED",
            "SaslHandshake(17)",
            "AddPartitionsToTxn(24)",
            "AddOffsetsToTxn(25)",
            "EndTxn(26)",
            "WriteTxnMarkers(27)",
            "TxnOffsetCommit(28)",
            "SaslAuthenticate(36)",
            "CreateDelegationToken(38)",
            "RenewDelegationToken(39)",
            "ExpireDelegationToken(40)",
            "DescribeDelegationToken(41)",
            "AlterPartitionReassignments(45)",
            "DescribeClientQuotas(48)",
            "AlterClientQuotas(49)",
            "DescribeUserScramCredentials(50)",
            "AlterUserScramCredentials(51)",
            "UpdateFeatures(57)",
            "ConsumerGroupHeartbeat(68)",
            "ConsumerGroupDescribe(69)",
            "ShareGroupHeartbeat(76)",
            "ShareGroupDescribe(77)",
            "ShareFetch(78)",
            "ShareAcknowledge(79)",
            "AddRaftVoter(80)",
            "RemoveRaftVoter(81)",
            "InitializeShareGroupState(83)",
            "ReadShareGroupState(84)",
            "WriteShareGroupState(85)",
            "DeleteShareGroupState(86)",
            "ReadShareGroupStateSummary(87)",
            "DescribeShareGroupOffsets(90)",
            "AlterShareGroupOffsets(91)",
            "DeleteShareGroupOffsets(92)",
        ],
        ..NONE
    },
    Difference {
        call: "metadata-quorum --bootstrap-server @ describe --status",
        reason: "the quorum has no listener that speaks Kafka's protocol (R17), and a voter is known \
                 by its directory from the start",
        ottla: &["CurrentVoters:          [{\"id\": 1, \"directoryId\": "],
        kafka: &["CurrentVoters:          [{\"id\": 1, \"endpoints\": [\"CONTROLLER://"],
        ..NONE
    },
    Difference {
        call: "metadata-quorum --bootstrap-server @ describe --replication",
        reason: "directory and position are the broker's own",
        ottla: &["Leader"],
        kafka: &["Leader"],
        ..NONE
    },
];
