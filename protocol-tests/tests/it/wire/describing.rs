//! DescribeConfigs (R240–R249).

use kafka_protocol::messages::{CreateTopicsRequest, DescribeConfigsRequest};

use super::calls::{config, new_topic, text, unused_name};
use super::config_calls::*;
use super::{own_ottla, own_subject, subject};

#[test]
fn r240_every_resource_has_its_own_error_in_kafkas_words() {
    let subject = subject();
    let topic = subject.topic("r240").name;
    let invalid = "Topic name is invalid: 'a b' contains one or more characters other than ASCII \
                   alphanumerics, '.', '_' and '-'";
    let cases: &[(i8, &str, i16, &str)] = &[
        (TOPIC, &topic, 0, ""),
        (TOPIC, "no-such-topic", 3, ""),
        (TOPIC, "a b", 17, invalid),
        (
            TOPIC,
            "",
            17,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (
            BROKER,
            "2",
            42,
            "Unexpected broker id, expected 1 or empty string, but received 2",
        ),
        (
            BROKER,
            "abc",
            42,
            "Broker id must be an integer, but it is: abc",
        ),
        (
            LOGGER,
            "2",
            42,
            "Unexpected broker id, expected 1 but received 2",
        ),
        (LOGGER, "", 42, "Broker id must not be empty"),
        (GROUP, "", 42, "Group name must not be empty"),
        (
            CLIENT_METRICS,
            "",
            42,
            "Client metrics subscription name must not be empty",
        ),
    ];
    let resources = cases
        .iter()
        .map(|(kind, name, ..)| resource(*kind, name, None));
    let request = DescribeConfigsRequest::default().with_resources(resources.collect());
    for version in 1..=4 {
        let answer = subject.connect().call(version, &request);
        assert_eq!(answer.results.len(), cases.len());
        for (result, (kind, name, code, message)) in answer.results.iter().zip(cases) {
            assert_eq!(
                (result.resource_type, &*result.resource_name),
                (*kind, *name)
            );
            assert_eq!(result.error_code, *code, "{result:?}");
            assert_eq!(result.error_message.as_deref(), Some(*message));
            assert_eq!(result.configs.is_empty(), *code != 0);
        }
    }
}

#[test]
fn r240_a_type_that_nobody_knows_has_the_whole_request_refused() {
    let subject = subject();
    let topic = subject.topic("r240").name;
    let malformed = "This most likely occurs because of a request being malformed by the client \
                     library or the message was sent to an incompatible broker. See the broker \
                     logs for more details.";
    for unknown in [99, 0] {
        let resources = vec![
            resource(TOPIC, &topic, None),
            resource(unknown, "x", None),
            resource(BROKER, "1", None),
        ];
        let request = DescribeConfigsRequest::default().with_resources(resources);
        for version in 1..=4 {
            let answer = subject.connect().call(version, &request);
            let asked = request.resources.iter();
            for (result, resource) in answer.results.iter().zip(asked) {
                assert_eq!(result.resource_name, resource.resource_name);
                assert_eq!(result.error_code, 42, "{result:?}");
                assert_eq!(result.error_message.as_deref(), Some(malformed));
                assert!(result.configs.is_empty());
            }
            assert_eq!(answer.results.len(), 3);
        }
    }
}

#[test]
fn r241_all_keys_are_described_and_named_ones_alone() {
    let subject = own_subject();
    let topic = subject.topic("r241").name;
    let mut client = subject.connect();
    let mut count = |kind: i8, name: &str, keys: &[&str]| {
        let described = client.describe(kind, name, keys);
        assert_eq!(described.error_code, 0, "{described:?}");
        described.configs.len()
    };
    assert_eq!(count(TOPIC, &topic, &[]), 33);
    assert_eq!(count(GROUP, "no-such-group", &[]), 10);
    assert_eq!(count(CLIENT_METRICS, "no-such-subscription", &[]), 3);
    assert_eq!(count(TOPIC, &topic, &["retention.ms", "no.such.key"]), 1);
    assert_eq!(count(GROUP, "no-such-group", &["no.such.key"]), 0);
    // R248: ours has inter.broker.protocol.version besides.
    let all = count(BROKER, "1", &[]);
    assert!(all >= subject.differs(317, 316), "{all}");
}

#[test]
fn r243_r244_the_source_is_that_of_the_winning_value_and_the_others_are_synonyms() {
    let subject = own_subject();
    let topic = subject.topic("r243").name;
    let mut client = subject.connect();
    let key = "log.cleaner.min.cleanable.ratio";
    let expect = |client: &mut super::client::Client,
                  kind,
                  name: &str,
                  key: &str,
                  expected: &[(&str, Option<&str>, i8)]| {
        subject.in_force(&format!("{key} {expected:?}"), || {
            let config = client.config(kind, name, key);
            (synonyms(&config) == expected).then(|| {
                let first = expected.first().map_or(5, |synonym| synonym.2);
                assert_eq!(config.config_source, first);
            })
        });
    };
    let default = (key, Some("0.5"), 5);
    expect(
        &mut client,
        TOPIC,
        &topic,
        "min.cleanable.dirty.ratio",
        &[default],
    );
    assert_eq!(client.alter(BROKER, "", &[set(key, "0.6")]), OK);
    let all = (key, Some("0.6"), 3);
    expect(
        &mut client,
        TOPIC,
        &topic,
        "min.cleanable.dirty.ratio",
        &[all, default],
    );
    assert_eq!(client.alter(BROKER, "1", &[set(key, "0.7")]), OK);
    let this = (key, Some("0.7"), 2);
    expect(&mut client, BROKER, "1", key, &[this, all, default]);
    // The default of all brokers shows itself alone.
    expect(&mut client, BROKER, "", key, &[all]);
    let own = [set("min.cleanable.dirty.ratio", "0.8")];
    assert_eq!(client.alter(TOPIC, &topic, &own), OK);
    let topics = ("min.cleanable.dirty.ratio", Some("0.8"), 1);
    let expected = [topics, this, all, default];
    expect(
        &mut client,
        TOPIC,
        &topic,
        "min.cleanable.dirty.ratio",
        &expected,
    );
    for broker in ["", "1"] {
        assert_eq!(client.alter(BROKER, broker, &[delete(key)]), OK);
    }
    expect(&mut client, BROKER, "1", key, &[default]);
}

#[test]
fn r244_a_retention_in_hours_is_no_synonym_of_one_in_milliseconds() {
    let subject = own_subject();
    let topic = subject.topic_with("r244", 1, &[]).name;
    let mut client = subject.connect();
    assert_eq!(client.alter(TOPIC, &topic, &[delete("retention.ms")]), OK);
    subject.await_config(TOPIC, &topic, "retention.ms", (Some("604800000"), 5));
    assert_eq!(synonyms(&client.config(TOPIC, &topic, "retention.ms")), []);
    assert_eq!(
        client.alter(BROKER, "1", &[set("log.retention.ms", "800000000")]),
        OK
    );
    subject.await_config(TOPIC, &topic, "retention.ms", (Some("800000000"), 2));
    let expected = [
        ("log.retention.ms", Some("800000000"), 2),
        ("log.retention.hours", Some("168"), 5),
    ];
    assert_eq!(
        synonyms(&client.config(TOPIC, &topic, "retention.ms")),
        expected
    );
    assert_eq!(
        synonyms(&client.config(BROKER, "1", "log.retention.ms")),
        expected
    );
    assert_eq!(client.alter(BROKER, "1", &[delete("log.retention.ms")]), OK);
    subject.await_config(TOPIC, &topic, "retention.ms", (Some("604800000"), 5));
}

#[test]
fn r244_synonyms_documentation_and_types_come_where_they_are_asked_for() {
    let subject = subject();
    let topic = subject.topic("r244").name;
    let mut client = subject.connect();
    for version in 1..=4 {
        for asked in [false, true] {
            let request = DescribeConfigsRequest::default()
                .with_resources(vec![resource(TOPIC, &topic, Some(&["cleanup.policy"]))])
                .with_include_synonyms(asked)
                .with_include_documentation(asked && version >= 3);
            let answer = client.call(version, &request);
            let config = &answer.results[0].configs[0];
            assert_eq!(config.synonyms.is_empty(), !asked, "v{version}");
            let documented = config
                .documentation
                .as_ref()
                .is_some_and(|text| !text.is_empty());
            assert_eq!(documented, asked && version >= 3, "v{version}");
            let list = if version >= 3 { 7 } else { 0 };
            assert_eq!(config.config_type, list, "v{version}");
        }
    }
    let described = client.describe(LOGGER, "1", &["root"]);
    assert_eq!(described.configs[0].config_type, 0);
    assert_eq!(described.configs[0].config_source, 6);
}

#[test]
fn r243_groups_and_client_metrics_have_sources_of_their_own() {
    let subject = own_subject();
    let (group, metrics) = (unused_name("r243"), unused_name("r243"));
    let mut client = subject.connect();
    let timeout = "consumer.session.timeout.ms";
    let before = client.config(GROUP, &group, timeout);
    assert_eq!(synonyms(&before), [(timeout, Some("45000"), 5)]);
    assert_eq!(client.alter(GROUP, &group, &[set(timeout, "50000")]), OK);
    subject.await_config(GROUP, &group, timeout, (Some("50000"), 8));
    let after = client.config(GROUP, &group, timeout);
    assert_eq!(synonyms(&after), [(timeout, Some("50000"), 8)]);
    assert_eq!(
        synonyms(&client.config(CLIENT_METRICS, &metrics, "match")),
        []
    );
    let pattern = [set("match", " client_id = a , client_source_address=1 ")];
    assert_eq!(client.alter(CLIENT_METRICS, &metrics, &pattern), OK);
    let expected = Some("client_id = a,client_source_address=1");
    subject.await_config(CLIENT_METRICS, &metrics, "match", (expected, 7));
    assert_eq!(client.replace(GROUP, &group, &[], false), OK);
    assert_eq!(client.replace(CLIENT_METRICS, &metrics, &[], false), OK);
}

#[test]
fn r246_values_are_canonical_and_what_is_unset_is_null_or_empty() {
    let subject = own_subject();
    let topic = subject.topic("r246").name;
    let mut client = subject.connect();
    let spaced = [
        set("cleanup.policy", " compact , delete "),
        set("preallocate", "TRUE"),
    ];
    assert_eq!(client.alter(TOPIC, &topic, &spaced), OK);
    subject.await_config(TOPIC, &topic, "cleanup.policy", (Some("compact,delete"), 1));
    subject.await_config(TOPIC, &topic, "preallocate", (Some("true"), 1));
    let mut value = |kind, name: &str, key| {
        client
            .config(kind, name, key)
            .value
            .map(|value| value.to_string())
    };
    let empty = Some(String::new());
    assert_eq!(
        value(TOPIC, &topic, "leader.replication.throttled.replicas"),
        empty
    );
    assert_eq!(value(BROKER, "1", "authorizer.class.name"), empty);
    assert_eq!(value(BROKER, "1", "log.retention.ms"), None);
    assert_eq!(value(BROKER, "1", "broker.rack"), None);
}

#[test]
fn r247_secrets_and_unknown_keys_are_hidden_and_read_only_keys_say_so() {
    let subject = own_subject();
    let mut client = subject.connect();
    let secret = "listener.name.plaintext.plain.sasl.jaas.config";
    let unknown = "company.flag";
    let keys = [set(secret, "hidden"), set(unknown, "hidden")];
    assert_eq!(client.alter(BROKER, "1", &keys), OK);
    for key in [secret, unknown] {
        subject.await_config(BROKER, "1", key, (None, 2));
        let config = client.config(BROKER, "1", key);
        assert!(config.is_sensitive && config.read_only);
        assert!(
            config
                .synonyms
                .iter()
                .all(|synonym| synonym.value.is_none())
        );
    }
    let types = [secret, unknown].map(|key| client.config(BROKER, "1", key).config_type);
    assert_eq!(types, [9, 0]);
    assert_eq!(
        client.alter(BROKER, "1", &[delete(secret), delete(unknown)]),
        OK
    );
    assert!(client.config(BROKER, "1", "node.id").read_only);
    assert!(!client.config(BROKER, "1", "max.connections").read_only);
}

#[test]
fn r179_defaults_and_types_are_those_of_4_1_not_of_later_releases() {
    const STRING: i8 = 2;
    let subject = subject();
    let mut client = subject.connect();
    for key in ["group", "share"].map(|it| format!("{it}.coordinator.append.linger.ms")) {
        let linger = client.config(BROKER, "1", &key);
        assert_eq!(linger.value.as_deref(), Some("5"), "4.3 has -1 in {key}");
    }
    for key in ["listeners", "advertised.listeners", "log.dirs"] {
        let described = client.config(BROKER, "1", key);
        assert_eq!(described.config_type, STRING, "4.3 has a list in {key}");
    }
}

#[test]
fn r248_what_tools_look_for_on_every_broker() {
    let subject = subject();
    let mut client = subject.connect();
    let value = |config: &kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| {
        config.value.as_ref().map(|value| value.to_string())
    };
    let factor = client.config(BROKER, "1", "default.replication.factor");
    assert_eq!(value(&factor).as_deref(), Some("1"));
    let deletes = client.config(BROKER, "1", "delete.topic.enable");
    assert!(deletes.read_only);
    assert_eq!(value(&deletes).as_deref(), Some("true"));
    let old = client.describe(BROKER, "1", &["inter.broker.protocol.version"]);
    let told: Vec<_> = old
        .configs
        .iter()
        .map(|it| (value(it), it.read_only))
        .collect();
    // Old UIs read the release from it (deliberate); Kafka 4 has no such key.
    let ours = vec![(Some("4.1-IV1".to_owned()), true)];
    assert_eq!(told, subject.differs(ours, vec![]));
}

#[test]
fn r249_create_topics_returns_what_describe_configs_says() {
    let subject = subject();
    let mut client = subject.connect();
    for version in 5..=7 {
        let name = unused_name("r249");
        let topic = new_topic(&name).with_configs(vec![
            config("cleanup.policy", "compact,delete"),
            config("segment.ms", "70000"),
        ]);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(50_000);
        let created = client.call(version, &request).topics.remove(0);
        assert_eq!(created.error_code, 0, "{created:?}");
        client.await_topic(&name);
        let described = client.describe(TOPIC, &name, &[]).configs;
        let mut told: Vec<_> = created
            .configs
            .unwrap_or_default()
            .into_iter()
            .map(|it| {
                (
                    it.name,
                    it.value,
                    it.config_source,
                    it.read_only,
                    it.is_sensitive,
                )
            })
            .collect();
        let mut expected: Vec<_> = described
            .into_iter()
            .map(|it| {
                (
                    it.name,
                    it.value,
                    it.config_source,
                    it.read_only,
                    it.is_sensitive,
                )
            })
            .collect();
        told.sort();
        expected.sort();
        assert_eq!(told, expected, "v{version}");
        let policy = told.iter().find(|it| it.0.as_str() == "cleanup.policy");
        assert_eq!(policy.expect("a key").1, Some(text("compact,delete")));
    }
}

#[test]
fn r243_a_value_from_the_start_is_static_and_a_retention_in_hours_counts_as_default() {
    let reason = "the broker is started with settings";
    let settings = ["log.retention.hours=2", "log.roll.ms=70000"];
    let Some(subject) = own_ottla(reason, &settings) else {
        return;
    };
    let topic = subject.topic("r243").name;
    let mut client = subject.connect();
    assert_eq!(client.alter(TOPIC, &topic, &[delete("retention.ms")]), OK);
    subject.await_config(TOPIC, &topic, "retention.ms", (Some("7200000"), 5));
    subject.await_config(TOPIC, &topic, "segment.ms", (Some("70000"), 4));
    let expected = [
        ("log.roll.ms", Some("70000"), 4),
        ("log.roll.hours", Some("168"), 5),
    ];
    assert_eq!(
        synonyms(&client.config(TOPIC, &topic, "segment.ms")),
        expected
    );
}
