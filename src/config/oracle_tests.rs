//! The key tables beside what Kafka 4.1.2 answers to DescribeConfigs (R249).

use std::collections::BTreeMap;

use serde_json::Value;

use super::key::{Key, Update};
use super::{broker_keys, topic_keys};

/// What differs on purpose, with the reason.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "advertised.listeners: Dynamic",
        "container-and-config.md section 10: older testcontainers set it on a running broker",
    ),
    (
        "auto.include.jmx.reporter: only ours",
        "removed in 4.0, ignored with a warning",
    ),
    (
        "cluster.id: only ours",
        "Kafka takes the id from the formatted directory alone",
    ),
    (
        "inter.broker.protocol.version: only ours",
        "R248: old tools read the release from it",
    ),
    (
        "jmx.port: only ours",
        "images set it; ignored with a warning",
    ),
    (
        "listener.security.protocol.map: ReadOnly",
        "sockets are opened at the start only",
    ),
    (
        "listeners: ReadOnly",
        "sockets are opened at the start only; Kafka opens and closes them at run time",
    ),
    (
        "log.message.format.version: only ours",
        "removed in 4.0, ignored with a warning",
    ),
];

#[test]
fn r249_names_types_and_defaults_are_those_of_the_imitated_release() {
    let broker = include_str!("../../protocol-tests/oracle/describe-configs-4.1.2-broker.json");
    let topic = include_str!("../../protocol-tests/oracle/describe-configs-4.1.2-topic.json");
    let mut found = differences(broker_keys::all(), broker);
    found.extend(differences(topic_keys::KEYS.iter(), topic));
    found.sort();
    let expected: Vec<&str> = DIFFERENCES
        .iter()
        .map(|(difference, _)| *difference)
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_topic_key_follows_the_broker_key_that_kafka_names_as_its_synonym() {
    let topic = include_str!("../../protocol-tests/oracle/describe-configs-4.1.2-topic.json");
    for (name, entry) in entries(topic) {
        let last = entry["synonyms"]
            .as_array()
            .and_then(|all| all.last().cloned());
        let Some(synonym) = last else { continue };
        let key = topic_keys::find(&name).expect("a topic key");
        assert_eq!(
            key.synonyms.first().copied(),
            synonym["name"].as_str(),
            "{name}"
        );
        assert!(broker_keys::find(key.synonyms[0]).is_some(), "{name}");
    }
}

#[test]
fn every_default_and_synonym_stands_the_tests_of_its_own_entry() {
    for key in broker_keys::all()
        .chain(topic_keys::KEYS)
        .chain(super::own_keys::KEYS)
    {
        if let Some(default) = key.default {
            let canonical = key.canonical(default, super::Minima::Strict);
            // -1 says that nobody chose a node id.
            assert!(
                canonical.as_deref() == Ok(default) || key.name == "broker.id",
                "{}",
                key.name
            );
        }
        for synonym in key.synonyms {
            let broker = broker_keys::find(synonym).expect("a broker key");
            assert!(
                broker.kind == key.kind || synonym.contains("hours") || synonym.contains("minutes")
            );
        }
        assert!(key.doc.ends_with('.'), "{}", key.name);
    }
}

fn entries(dump: &str) -> BTreeMap<String, Value> {
    let dump: Value = serde_json::from_str(dump).expect("JSON");
    let entries = dump["configs"].as_array().expect("entries").iter();
    let named = |entry: &Value| {
        (
            entry["name"].as_str().expect("a name").to_owned(),
            entry.clone(),
        )
    };
    entries.map(named).collect()
}

fn differences(keys: impl Iterator<Item = &'static Key>, dump: &str) -> Vec<String> {
    let mut theirs = entries(dump);
    let mut found = Vec::new();
    for key in keys {
        let Some(entry) = theirs.remove(key.name) else {
            found.push(format!("{}: only ours", key.name));
            continue;
        };
        if entry["type"].as_str() != Some(key.kind.name()) {
            found.push(format!("{}: type {}", key.name, key.kind.name()));
        }
        if default(&entry) != key.default.map(str::to_owned) {
            found.push(format!(
                "{}: default {:?}, theirs {:?}",
                key.name,
                key.default,
                default(&entry)
            ));
        }
        if entry["readOnly"].as_bool() != Some(key.update == Update::ReadOnly) {
            found.push(format!("{}: {:?}", key.name, key.update));
        }
        if entry["sensitive"].as_bool() != Some(key.is_sensitive()) {
            found.push(format!("{}: sensitive", key.name));
        }
    }
    found.extend(theirs.keys().map(|name| format!("{name}: only Kafka's")));
    found
}

/// The dump was taken from a broker with a few settings: the default is then the last synonym.
fn default(entry: &Value) -> Option<String> {
    let value = match entry["source"].as_str() {
        Some("DEFAULT_CONFIG") => entry["value"].as_str(),
        _ => {
            let last = entry["synonyms"].as_array().and_then(|all| all.last());
            last.filter(|last| last["source"] == "DEFAULT_CONFIG")
                .and_then(|last| last["value"].as_str())
        }
    };
    // The dump hides the machine's temporary directory.
    value.map(|value| value.replace("TMP", "/tmp/kafka-logs"))
}
