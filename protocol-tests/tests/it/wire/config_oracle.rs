//! Every config beside what Kafka 4.1.2 answered (R241, R243–R249). The dump comes from a broker
//! with a few settings; Ottla is started as near to it as it goes. What differs stands here with
//! its reason, and nothing else may.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use serde_json::Value;

use super::config_calls::*;
use super::{Subject, own_ottla};

const SETTINGS: &[&str] = &[
    "process.roles=broker,controller",
    "node.id=1",
    "controller.quorum.voters=1@127.0.0.1:49093",
    "controller.listener.names=CONTROLLER",
    "inter.broker.listener.name=PLAINTEXT",
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "advertised.listeners=PLAINTEXT://127.0.0.1:49092",
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
];
const ELR: &str =
    "Kafka finalises eligible.leader.replicas.version 1 and stores it; ours from milestone 4 (R30)";

/// Key, what differs, why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "advertised.listeners",
        "readOnly",
        "older testcontainers set it at run time (container-and-config.md section 10)",
    ),
    (
        "inter.broker.protocol.version",
        "only ours",
        "R248: old tools read the release from it",
    ),
    (
        "listener.security.protocol.map",
        "readOnly",
        "sockets are opened at the start only",
    ),
    (
        "listeners",
        "readOnly",
        "sockets are opened at the start only",
    ),
    ("listeners", "synonyms", "a free port"),
    ("listeners", "value", "a free port"),
    ("log.dirs", "synonyms", "a directory of the test"),
    ("log.dirs", "value", "a directory of the test"),
    ("min.insync.replicas", "source", ELR),
    ("min.insync.replicas", "synonyms", ELR),
];

#[test]
fn r249_every_config_is_what_the_imitated_release_says() {
    let reason = "the dump is Kafka's own answer";
    let Some(subject) = own_ottla(reason, SETTINGS) else {
        return;
    };
    let topic = super::calls::unused_name("oracle");
    let created = super::calls::new_topic(&topic);
    assert_eq!(subject.connect().create_topic(created).error_code, 0);
    let dumps = [
        (
            TOPIC,
            &*topic,
            include_str!("../../../oracle/describe-configs-4.1.2-topic.json"),
        ),
        (
            BROKER,
            "1",
            include_str!("../../../oracle/describe-configs-4.1.2-broker.json"),
        ),
        (
            GROUP,
            "g",
            include_str!("../../../oracle/describe-configs-4.1.2-group.json"),
        ),
        (
            CLIENT_METRICS,
            "c",
            include_str!("../../../oracle/describe-configs-4.1.2-client-metrics.json"),
        ),
    ];
    let mut found = BTreeSet::new();
    for (kind, name, dump) in dumps {
        differences(&subject, kind, name, dump, &mut found);
    }
    let expected: BTreeSet<(String, String)> = DIFFERENCES
        .iter()
        .map(|(key, what, _)| ((*key).to_owned(), (*what).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

/// Loggers have other names: what each says of itself is compared.
#[test]
fn r249_loggers_are_described_as_kafkas_are() {
    let Some(subject) = own_ottla("the dump is Kafka's own answer", &[]) else {
        return;
    };
    let dump = include_str!("../../../oracle/describe-configs-4.1.2-broker-logger.json");
    let theirs = entries(dump);
    let root = &theirs["root"];
    let described = subject.connect().describe(LOGGER, "1", &[]);
    assert!(described.configs.len() > 1);
    for config in described.configs {
        assert_eq!(config.read_only, root["readOnly"] == true);
        assert_eq!(config.is_sensitive, root["sensitive"] == true);
        assert_eq!(source(config.config_source), root["source"]);
        assert!(config.synonyms.is_empty());
        assert_eq!(config.value.as_deref(), Some("INFO"));
    }
}

fn differences(
    subject: &Subject,
    kind: i8,
    name: &str,
    dump: &str,
    found: &mut BTreeSet<(String, String)>,
) {
    let mut theirs = entries(dump);
    let described = subject.connect().describe(kind, name, &[]);
    assert_eq!(described.error_code, 0, "{described:?}");
    for config in &described.configs {
        let key = config.name.to_string();
        let Some(entry) = theirs.remove(&key) else {
            found.insert((key, "only ours".to_owned()));
            continue;
        };
        let ours = facts(config);
        for (what, value) in ours {
            if entry[what] != value {
                found.insert((key.clone(), what.to_owned()));
            }
        }
        assert!(
            config
                .documentation
                .as_ref()
                .is_some_and(|text| !text.is_empty()),
            "{key}"
        );
    }
    found.extend(
        theirs
            .into_keys()
            .map(|key| (key, "only Kafka's".to_owned())),
    );
}

/// As the dump words them.
fn facts(config: &DescribeConfigsResourceResult) -> [(&'static str, Value); 6] {
    const TYPES: [&str; 10] = [
        "UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS",
        "PASSWORD",
    ];
    let text = |value: Option<&str>| value.map_or(Value::Null, |value| value.into());
    let synonyms = config.synonyms.iter().map(|it| {
        let mut fields = serde_json::Map::new();
        fields.insert("name".to_owned(), it.name.as_str().into());
        fields.insert("value".to_owned(), text(it.value.as_deref()));
        fields.insert("source".to_owned(), source(it.source).into());
        Value::Object(fields)
    });
    [
        ("value", text(config.value.as_deref())),
        ("type", TYPES[config.config_type as usize].into()),
        ("readOnly", config.read_only.into()),
        ("sensitive", config.is_sensitive.into()),
        ("source", source(config.config_source).into()),
        ("synonyms", Value::Array(synonyms.collect())),
    ]
}

fn source(code: i8) -> &'static str {
    match code {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "DYNAMIC_GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}

fn entries(dump: &str) -> BTreeMap<String, Value> {
    // The dump hides the machine's temporary directory.
    let dump = dump.replace("\"TMP\"", "\"/tmp/kafka-logs\"");
    let dump: Value = serde_json::from_str(&dump).expect("JSON");
    let entries = dump["configs"].as_array().expect("entries").iter();
    entries
        .map(|entry| {
            (
                entry["name"].as_str().expect("a name").to_owned(),
                entry.clone(),
            )
        })
        .collect()
}
