//! Our bytes against those that Kafka 4.1.2 wrote for the same records
//! (MetadataRecordSerde), and damage of every kind.

use proptest::prelude::*;

use super::*;

const TOPIC: TopicId = TopicId(Uuid::from_u128(0x0102030405060708090a0b0c0d0e0f10));
const DIRECTORY: Uuid = Uuid::from_u128(9);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn registration() -> RegisterBroker {
    RegisterBroker {
        broker_id: BrokerId(1),
        incarnation_id: TOPIC.0,
        broker_epoch: 5,
        end_points: vec![BrokerEndpoint {
            name: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            security_protocol: 0,
        }],
        features: vec![BrokerFeature {
            name: "metadata.version".to_owned(),
            min_supported_version: 7,
            max_supported_version: 27,
        }],
        rack: Some("r1".to_owned()),
        fenced: false,
        in_controlled_shutdown: false,
        log_dirs: vec![DIRECTORY],
    }
}

fn partition() -> Partition {
    Partition {
        partition_id: 2,
        topic_id: TOPIC,
        replicas: brokers(&[1, 2]),
        isr: brokers(&[1]),
        removing_replicas: Vec::new(),
        adding_replicas: brokers(&[2]),
        leader: Some(BrokerId(1)),
        recovering: false,
        leader_epoch: 3,
        partition_epoch: 4,
        directories: vec![DIRECTORY, Uuid::nil()],
    }
}

/// A record and Kafka's bytes of it.
type Golden = (MetadataRecord, &'static str);

fn golden() -> Vec<Golden> {
    [golden_topics(), golden_brokers_and_marks()].concat()
}

fn config(resource_type: i8, resource: &str, name: &str, value: Option<&str>) -> MetadataRecord {
    MetadataRecord::Config {
        resource_type,
        resource_name: resource.to_owned(),
        name: name.to_owned(),
        value: value.map(str::to_owned),
    }
}

fn golden_topics() -> Vec<Golden> {
    use MetadataRecord::*;
    let changed = super::PartitionChange {
        isr: Some(brokers(&[1])),
        leader: Some(None),
        replicas: Some(brokers(&[1, 2])),
        removing_replicas: Some(Vec::new()),
        adding_replicas: Some(brokers(&[2])),
        recovering: Some(false),
        directories: Some(vec![DIRECTORY]),
        ..super::PartitionChange::of(TOPIC, 1)
    };
    vec![
        (
            Topic {
                name: "a".to_owned(),
                topic_id: TOPIC,
            },
            "01020002610102030405060708090a0b0c0d0e0f1000",
        ),
        (
            Partition(partition()),
            "010302000000020102030405060708090a0b0c0d0e0f100300000001000000020200000001010200000002\
             00000001000000030000000403000000000000000000000000000000090000000000000000000000000000\
             000000",
        ),
        (
            config(TOPIC_RESOURCE, "a", "retention.ms", Some("5")),
            "0104000202610d726574656e74696f6e2e6d73023500",
        ),
        (config(BROKER_RESOURCE, "", "k", None), "0104000401026b0000"),
        (
            PartitionChange(super::PartitionChange::of(TOPIC, 1)),
            "010502000000010102030405060708090a0b0c0d0e0f1000",
        ),
        (
            PartitionChange(changed),
            "010502000000010102030405060708090a0b0c0d0e0f1007000502000000010104ffffffff020903000000\
             01000000020301010405020000000205010008110200000000000000000000000000000009",
        ),
        (
            RemoveTopic { topic_id: TOPIC },
            "0109000102030405060708090a0b0c0d0e0f1000",
        ),
    ]
}

fn golden_brokers_and_marks() -> Vec<Golden> {
    use MetadataRecord::*;
    let unfenced = super::BrokerRegistrationChange {
        broker_id: BrokerId(1),
        broker_epoch: 5,
        fenced: Some(false),
        in_controlled_shutdown: true,
        log_dirs: vec![DIRECTORY],
    };
    let fenced = super::BrokerRegistrationChange {
        fenced: Some(true),
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
        ..unfenced.clone()
    };
    vec![
        (
            RegisterBroker(registration()),
            "01000300000001000102030405060708090a0b0c0d0e0f100000000000000005020a504c41494e54455854\
             0a6c6f63616c686f7374238400000002116d657461646174612e76657273696f6e0007001b000372310000\
             0100110200000000000000000000000000000009",
        ),
        (
            UnregisterBroker {
                broker_id: BrokerId(3),
                broker_epoch: 7,
            },
            "01010000000003000000000000000700",
        ),
        (
            FeatureLevel {
                name: "metadata.version".to_owned(),
                feature_level: 27,
            },
            "010c00116d657461646174612e76657273696f6e001b00",
        ),
        (
            ProducerIds {
                broker_id: BrokerId(1),
                broker_epoch: 5,
                next_producer_id: 1000,
            },
            "010f0000000001000000000000000500000000000003e800",
        ),
        (
            BrokerRegistrationChange(fenced),
            "01110200000001000000000000000501000101",
        ),
        (
            BrokerRegistrationChange(unfenced),
            "011102000000010000000000000005030001ff01010102110200000000000000000000000000000009",
        ),
        (NoOp, "01140000"),
        (
            BeginTransaction {
                name: Some("create topics".to_owned()),
            },
            "01170001000e0e63726561746520746f70696373",
        ),
        (BeginTransaction { name: None }, "01170000"),
        (EndTransaction, "01180000"),
        (
            AbortTransaction {
                reason: Some("why".to_owned()),
            },
            "01190001000404776879",
        ),
    ]
}

#[test]
fn every_record_is_byte_for_byte_kafkas() {
    for (record, bytes) in golden() {
        assert_eq!(hex(&record.encode()), bytes, "{record:?}");
        assert_eq!(MetadataRecord::decode(&unhex(bytes)), Ok(record));
    }
}

#[test]
fn older_versions_and_fields_we_do_not_use_are_read() {
    let read = |bytes| MetadataRecord::decode(&unhex(bytes)).unwrap();
    let v0 = read(
        "010000000000010102030405060708090a0b0c0d0e0f100000000000000005020a504c41494e544558540a6c6f\
         63616c686f7374238400000002116d657461646174612e76657273696f6e0007001b00000100",
    );
    let expected = RegisterBroker {
        rack: None,
        fenced: true,
        log_dirs: Vec::new(),
        ..registration()
    };
    assert_eq!(v0, MetadataRecord::RegisterBroker(expected.clone()));
    let v1 = read(
        "010001000000010102030405060708090a0b0c0d0e0f100000000000000005020a504c41494e544558540a6c6f\
         63616c686f7374238400000002116d657461646174612e76657273696f6e0007001b0000010100",
    );
    let shutting_down = RegisterBroker {
        in_controlled_shutdown: true,
        ..expected
    };
    assert_eq!(v1, MetadataRecord::RegisterBroker(shutting_down));
    // Unclean recovery, with eligible leader replicas in tags 1 and 2.
    let recovering = read(
        "010302000000000102030405060708090a0b0c0d0e0f10020000000102000000010101ffffffff000000000000\
         00000200000000000000000000000000000009030001010105020000000202050200000003",
    );
    let MetadataRecord::Partition(recovering) = recovering else {
        panic!("{recovering:?}")
    };
    assert_eq!((recovering.leader, recovering.recovering), (None, true));
    let v0 = read(
        "010300000000000102030405060708090a0b0c0d0e0f1002000000010200000001010100000001000000000000\
         000000",
    );
    let MetadataRecord::Partition(v0) = v0 else {
        panic!("{v0:?}")
    };
    assert!(v0.directories.is_empty());
}

#[test]
fn what_is_newer_unknown_or_longer_is_refused_by_name() {
    let refusal = |bytes| {
        MetadataRecord::decode(&unhex(bytes))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal("0214"),
        "metadata record has frame version 2, only 1 is known"
    );
    assert_eq!(refusal("016300"), "metadata record type 99 is unknown");
    assert_eq!(
        refusal("011401"),
        "metadata record type 20 has version 1, the newest known is 0"
    );
    assert_eq!(
        refusal("0114000000"),
        "metadata record has 1 byte(s) after its end"
    );
}

#[test]
fn every_cut_is_refused_and_no_flipped_byte_panics() {
    for (record, _) in golden() {
        let bytes = record.encode();
        for len in 0..bytes.len() {
            assert!(
                MetadataRecord::decode(&bytes[..len]).is_err(),
                "{record:?} cut at {len}"
            );
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let _ = MetadataRecord::decode(&bytes);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..64), key in 0u8..30, version in 0u8..4) {
        let _ = MetadataRecord::decode(&[&[1, key, version], &body[..]].concat());
        let _ = MetadataRecord::decode(&body);
    }

    #[test]
    fn any_partition_change_reads_back(
        partition_id in any::<i32>(),
        isr in prop::option::of(prop::collection::vec(0i32..9, 0..4)),
        leader in prop::option::of(prop::option::of(0i32..9)),
        replicas in prop::option::of(prop::collection::vec(0i32..9, 0..4)),
        recovering in any::<Option<bool>>(),
    ) {
        let record = MetadataRecord::PartitionChange(PartitionChange {
            isr: isr.map(|ids| brokers(&ids)),
            leader: leader.map(|leader| leader.map(BrokerId)),
            replicas: replicas.map(|ids| brokers(&ids)),
            recovering,
            ..PartitionChange::of(TOPIC, partition_id)
        });
        prop_assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
    }
}
