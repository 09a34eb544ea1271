//! AlterConfigs, IncrementalAlterConfigs and ListConfigResources (R163, R175–R178).

use kafka_protocol::messages::ListConfigResourcesRequest;

use super::calls::unused_name;
use super::config_calls::*;
use super::{own_subject, subject};

#[test]
fn r175_operations_set_delete_append_and_subtract() {
    let subject = subject();
    let topic = subject.topic("r175").name;
    let mut client = subject.connect();
    let policy = |client: &mut super::client::Client| {
        let config = client.config(TOPIC, &topic, "cleanup.policy");
        (config.value.map(|v| v.to_string()), config.config_source)
    };
    let told = |value: &str, source| (Some(value.to_owned()), source);
    assert_eq!(
        client.alter(TOPIC, &topic, &[append("cleanup.policy", "compact")]),
        OK
    );
    subject.await_config(TOPIC, &topic, "cleanup.policy", (Some("delete,compact"), 1));
    for unchanged in [
        append("cleanup.policy", "compact"),
        subtract("cleanup.policy", "x"),
    ] {
        assert_eq!(client.alter(TOPIC, &topic, &[unchanged]), OK);
        assert_eq!(policy(&mut client), told("delete,compact", 1));
    }
    let both = client.alter(
        TOPIC,
        &topic,
        &[subtract("cleanup.policy", "compact,delete")],
    );
    assert_eq!(both, OK);
    subject.await_config(TOPIC, &topic, "cleanup.policy", (Some(""), 1));
    assert_eq!(client.alter(TOPIC, &topic, &[delete("cleanup.policy")]), OK);
    subject.await_config(TOPIC, &topic, "cleanup.policy", (Some("delete"), 5));
    // Nothing to delete is no error.
    for nothing in ["cleanup.policy", "no.such.key"] {
        assert_eq!(client.alter(TOPIC, &topic, &[delete(nothing)]), OK);
    }
    let trimmed = [set("retention.ms", " 7 "), set("preallocate", "TRUE")];
    assert_eq!(client.alter(TOPIC, &topic, &trimmed), OK);
    subject.await_config(TOPIC, &topic, "retention.ms", (Some("7"), 1));
    subject.await_config(TOPIC, &topic, "preallocate", (Some("true"), 1));
}

#[test]
fn r175_what_is_no_operation_is_refused_in_kafkas_words() {
    let subject = subject();
    let topic = subject.topic("r175").name;
    let mut client = subject.connect();
    let cases: &[(&[Operation<'_>], i16, &str)] = &[
        (
            &[("retention.ms", 0, None)],
            42,
            "Null value not supported for : retention.ms",
        ),
        (
            &[("cleanup.policy", 2, None)],
            42,
            "Null value not supported for : cleanup.policy",
        ),
        (
            &[append("retention.ms", "5")],
            40,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            &[subtract("retention.ms", "5")],
            40,
            "Can't SUBTRACT to key retention.ms because its type is not LIST.",
        ),
        (
            &[set("retention.ms", "5"), delete("retention.ms")],
            42,
            "Error due to duplicate config keys",
        ),
        // A resource changes as a whole or not at all.
        (
            &[set("retention.ms", "8"), set("segment.ms", "soon")],
            40,
            "Invalid value soon for configuration segment.ms: Not a number of type LONG",
        ),
    ];
    for (operations, code, message) in cases {
        assert_eq!(
            client.alter(TOPIC, &topic, operations),
            refused(*code, message)
        );
    }
    let unknown = client.alter(TOPIC, &topic, &[("retention.ms", 9, Some("5"))]);
    let kafka = (-1, None);
    assert_eq!(
        unknown,
        subject.differs(refused(42, "Unknown operations type 9"), kafka)
    );
    assert_eq!(
        client
            .config(TOPIC, &topic, "retention.ms")
            .value
            .as_deref(),
        Some("-1")
    );
    let twice = vec![
        altered(TOPIC, &topic, &[set("retention.ms", "1")]),
        altered(TOPIC, &topic, &[set("retention.ms", "2")]),
        altered(TOPIC, "no-such-topic", &[]),
    ];
    let once = refused(42, "Each resource must appear at most once.");
    let absent = refused(3, "The topic 'no-such-topic' does not exist.");
    assert_eq!(client.alter_all(twice, false), [once.clone(), once, absent]);
    assert_eq!(
        client
            .config(TOPIC, &topic, "retention.ms")
            .value
            .as_deref(),
        Some("-1")
    );
}

#[test]
fn r175_validate_only_answers_the_same_and_changes_nothing() {
    let subject = subject();
    let topic = subject.topic("r175").name;
    let mut client = subject.connect();
    let good = altered(TOPIC, &topic, &[set("retention.ms", "9")]);
    let bad = altered(TOPIC, "no-such-topic", &[set("retention.ms", "9")]);
    let answers = client.alter_all(vec![good, bad], true);
    assert_eq!(answers[0], OK);
    assert_eq!(answers[1].0, 3);
    assert_eq!(
        client
            .config(TOPIC, &topic, "retention.ms")
            .value
            .as_deref(),
        Some("-1")
    );
}

#[test]
fn r175_loggers_take_levels_and_nothing_else() {
    let subject = own_subject();
    let mut client = subject.connect();
    let logger = subject.differs("ottla.server", "kafka.server.ControllerServer");
    assert_eq!(client.alter(LOGGER, "1", &[set(logger, "DEBUG")]), OK);
    subject.await_config(LOGGER, "1", logger, (Some("DEBUG"), 6));
    let level = |level: &str| {
        format!(
            "Cannot set the log level of {logger} to {level} as it is not a supported log level. \
             Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
        )
    };
    let (lower, off) = (level("debug"), level("OFF"));
    let cases: &[(&str, Operation<'_>, i16, &str)] = &[
        ("1", set(logger, "debug"), 40, &lower),
        ("1", set(logger, "OFF"), 40, &off),
        (
            "1",
            set("no.such.logger", "INFO"),
            40,
            "Logger no.such.logger does not exist!",
        ),
        (
            "1",
            delete("no.such.logger"),
            40,
            "Logger no.such.logger does not exist!",
        ),
        (
            "1",
            append(logger, "INFO"),
            42,
            "APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (
            "1",
            subtract(logger, "INFO"),
            42,
            "SUBTRACT operation is not allowed for the BROKER_LOGGER resource",
        ),
        (
            "1",
            delete("root"),
            42,
            "Removing the log level of the root logger is not allowed",
        ),
        (
            "2",
            set(logger, "INFO"),
            42,
            "Unexpected node id. Expected 1, but received 2",
        ),
        (
            "",
            set(logger, "INFO"),
            42,
            "Node id must be an integer, but it is: ",
        ),
    ];
    for (node, operation, code, message) in cases {
        assert_eq!(
            client.alter(LOGGER, node, &[*operation]),
            refused(*code, message)
        );
    }
    assert_eq!(
        client.config(LOGGER, "1", logger).value.as_deref(),
        Some("DEBUG")
    );
    assert_eq!(client.alter(LOGGER, "1", &[delete(logger)]), OK);
    subject.await_config(LOGGER, "1", logger, (Some("INFO"), 6));
}

#[test]
fn r176_alter_configs_replaces_the_whole_set() {
    let subject = subject();
    let topic = subject.topic("r176").name;
    let mut client = subject.connect();
    assert_eq!(
        client.alter(TOPIC, &topic, &[set("segment.ms", "1000")]),
        OK
    );
    let replaced = client.replace(TOPIC, &topic, &[("flush.ms", Some("70"))], false);
    assert_eq!(replaced, OK);
    subject.await_config(TOPIC, &topic, "flush.ms", (Some("70"), 1));
    subject.await_config(TOPIC, &topic, "segment.ms", (Some("604800000"), 5));
    subject.await_config(TOPIC, &topic, "retention.ms", (Some("604800000"), 5));
    type Case<'a> = (i8, &'a str, &'a [(&'a str, Option<&'a str>)], i16, &'a str);
    let cases: &[Case] = &[
        (
            TOPIC,
            &topic,
            &[("flush.ms", None)],
            42,
            "Null value not supported for : flush.ms",
        ),
        (
            TOPIC,
            &topic,
            &[("flush.ms", Some("1")), ("flush.ms", Some("2"))],
            42,
            "Error due to duplicate config keys",
        ),
        (
            TOPIC,
            "no-such-topic",
            &[("flush.ms", Some("1"))],
            3,
            "The topic 'no-such-topic' does not exist.",
        ),
        (99, "x", &[], 42, "Unknown resource type 99"),
        (
            LOGGER,
            "1",
            &[("root", Some("INFO"))],
            42,
            "Unknown resource type 8",
        ),
    ];
    for (kind, name, configs, code, message) in cases {
        let answer = client.replace(*kind, name, configs, false);
        assert_eq!(answer, refused(*code, message));
    }
    assert_eq!(client.replace(TOPIC, &topic, &[], true), OK);
    assert_eq!(
        client.config(TOPIC, &topic, "flush.ms").value.as_deref(),
        Some("70")
    );
    assert_eq!(client.replace(TOPIC, &topic, &[], false), OK);
    let expected = (Some("9223372036854775807"), 5);
    subject.await_config(TOPIC, &topic, "flush.ms", expected);
}

#[test]
fn r177_a_topic_key_or_value_that_is_none_is_refused_with_kafkas_sentence() {
    let subject = subject();
    let topic = subject.topic("r177").name;
    let mut client = subject.connect();
    let cases: &[(&[Operation<'_>], &str)] = &[
        (&[set("nope", "1")], "Unknown topic config name: nope"),
        (
            &[set("retention.ms", "abc")],
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            &[set("retention.ms", "-2")],
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        (
            &[set("cleanup.policy", "shred")],
            "Invalid value shred for configuration cleanup.policy: String must be one of: \
             compact, delete",
        ),
        (
            &[set("segment.bytes", "1000")],
            "Invalid value 1000 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            &[
                set("min.compaction.lag.ms", "10"),
                set("max.compaction.lag.ms", "5"),
            ],
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        (
            &[set("remote.storage.enable", "true")],
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured \
             with remote log storage.",
        ),
    ];
    let before = client.describe(TOPIC, &topic, &[]).configs.len();
    for (operations, message) in cases {
        assert_eq!(
            client.alter(TOPIC, &topic, operations),
            refused(40, message)
        );
    }
    // Keys that Kafka 4.0 removed are accepted and ignored (deliberate).
    let removed = client.alter(TOPIC, &topic, &[set("message.format.version", "2.8")]);
    let kafka = refused(40, "Unknown topic config name: message.format.version");
    assert_eq!(removed, subject.differs(OK, kafka));
    let after = client.describe(TOPIC, &topic, &[]).configs;
    assert_eq!(after.len(), before);
    let own: Vec<&str> = after
        .iter()
        .filter(|config| config.config_source == 1)
        .map(|config| config.name.as_str())
        .collect();
    assert_eq!(own, ["retention.ms"], "nothing changed");
}

#[test]
fn r177_other_resources_refuse_in_kafkas_words() {
    let subject = own_subject();
    let mut client = subject.connect();
    let cases: &[(i8, &str, Operation<'_>, i16, &str)] = &[
        (
            TOPIC,
            "",
            set("retention.ms", "1"),
            42,
            "Default topic resources are not allowed.",
        ),
        (
            GROUP,
            "g",
            set("nope", "1"),
            40,
            "Unknown group config name: nope",
        ),
        (
            GROUP,
            "",
            set("nope", "1"),
            42,
            "Default group resources are not allowed.",
        ),
        (
            GROUP,
            "g",
            set("consumer.session.timeout.ms", "5"),
            40,
            "consumer.session.timeout.ms must be greater than or equal to \
             group.consumer.min.session.timeout.ms",
        ),
        (
            GROUP,
            "g",
            set("share.auto.offset.reset", "EARLIEST"),
            40,
            "Invalid value EARLIEST for configuration share.auto.offset.reset: Invalid value \
             `EARLIEST` for configuration share.auto.offset.reset. The value must be either \
             'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
        ),
        (
            CLIENT_METRICS,
            "",
            set("metrics", "*"),
            42,
            "Subscription name can't be empty",
        ),
        (
            CLIENT_METRICS,
            "c",
            set("nope", "1"),
            42,
            "Unknown client metrics configuration: nope",
        ),
        (
            CLIENT_METRICS,
            "c",
            set("interval.ms", "99"),
            42,
            "Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
        ),
        (
            CLIENT_METRICS,
            "c",
            set("match", "client_id=["),
            40,
            "Illegal client matching pattern: client_id=[",
        ),
        (99, "x", set("a", "b"), 42, "Unknown resource type 99"),
        (
            BROKER,
            "2",
            set("max.connections", "3"),
            42,
            "Unexpected broker id, expected 1, but received 2",
        ),
        (
            BROKER,
            "abc",
            set("max.connections", "3"),
            42,
            "Node id must be an integer, but it is: abc",
        ),
    ];
    for (kind, name, operation, code, message) in cases {
        let answer = client.alter(*kind, name, &[*operation]);
        assert_eq!(answer, refused(*code, message));
    }
}

#[test]
fn r177_broker_keys_are_judged_like_kafkas() {
    let subject = own_subject();
    let mut client = subject.connect();
    let number = "Not a number of type INT";
    let bad = format!("Invalid value abc for configuration max.connections: {number}");
    let threads = "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread \
                   count update validation failed for num.io.threads=100, value should not be \
                   greater than double the current value 8 for configuration Invalid dynamic \
                   configuration";
    let cases: &[(&str, Operation<'_>, i16, &str)] = &[
        (
            "1",
            set("node.id", "3"),
            42,
            "Cannot update these configs dynamically: Set(node.id)",
        ),
        (
            "",
            set("log.retention.hours", "3"),
            42,
            "Cannot update these configs dynamically: Set(log.retention.hours)",
        ),
        ("1", set("max.connections", "abc"), 42, &bad),
        (
            "1",
            append("max.connections", "5"),
            40,
            "Config value append is not allowed for config key: max.connections",
        ),
        (
            "1",
            set("log.segment.bytes", "100"),
            42,
            "Invalid value 100 for configuration log.segment.bytes: Value must be at least 1048576",
        ),
        (
            "1",
            set("log.roll.ms", "0"),
            42,
            "requirement failed: log.roll.ms must be greater than or equal to 1",
        ),
        (
            "1",
            set("log.retention.ms", "0"),
            42,
            "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or \
             equal to 1",
        ),
        ("1", set("num.io.threads", "100"), 42, threads),
        (
            "1",
            set("max.connections.per.ip.overrides", "a b:5"),
            42,
            "max.connections.per.ip.overrides contains invalid addresses : a b",
        ),
        (
            "1",
            set("ssl.keystore.location", "/x"),
            42,
            "These security configs can be dynamically updated only per-listener using the \
             listener prefix: HashSet(ssl.keystore.location)",
        ),
        (
            "",
            set("listener.name.plaintext.ssl.keystore.location", "/x"),
            42,
            "Cannot update these configs at default cluster level, broker id must be specified: \
             Set(listener.name.plaintext.ssl.keystore.location)",
        ),
        (
            "1",
            set("principal.builder.class", "x"),
            42,
            "Invalid value x for configuration principal.builder.class: Class x could not be found.",
        ),
    ];
    for (broker, operation, code, message) in cases {
        let answer = client.alter(BROKER, broker, &[*operation]);
        assert_eq!(answer, refused(*code, message));
    }
    let both = [set("background.threads", "11"), set("node.id", "1")];
    assert_eq!(client.alter(BROKER, "1", &both).0, 42);
    assert_eq!(
        client
            .config(BROKER, "1", "background.threads")
            .value
            .as_deref(),
        Some("10")
    );
}

#[test]
fn r163_resources_with_configs_are_listed_by_type() {
    let subject = own_subject();
    let topic = subject.topic("r163").name;
    let (group, metrics) = (unused_name("r163-group"), unused_name("r163-metrics"));
    let mut client = subject.connect();
    let timeout = [set("consumer.session.timeout.ms", "50000")];
    assert_eq!(client.alter(GROUP, &group, &timeout), OK);
    assert_eq!(
        client.alter(CLIENT_METRICS, &metrics, &[set("metrics", "*")]),
        OK
    );
    let mut list = |version: i16, types: &[i8]| {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let answer = client.call(version, &request);
        let names = answer.config_resources.into_iter();
        let names = names.map(|it| (it.resource_name.to_string(), it.resource_type));
        (answer.error_code, names.collect::<Vec<_>>())
    };
    let named = |all: &[(String, i8)], name: &str, kind: i8| all.contains(&(name.to_owned(), kind));
    let all = subject.in_force("the list", || {
        let (code, all) = list(1, &[]);
        assert_eq!(code, 0);
        named(&all, &metrics, CLIENT_METRICS).then_some(all)
    });
    assert!(named(&all, &group, GROUP) && named(&all, &topic, TOPIC));
    assert!(named(&all, "1", BROKER) && named(&all, "1", LOGGER));
    let (_, some) = list(1, &[GROUP, CLIENT_METRICS]);
    assert!(named(&some, &group, GROUP) && named(&some, &metrics, CLIENT_METRICS));
    assert!(
        !some
            .iter()
            .any(|(_, kind)| ![GROUP, CLIENT_METRICS].contains(kind))
    );
    // v0 lists client metrics only, and has no types.
    let (code, old) = list(0, &[]);
    assert_eq!(code, 0);
    assert!(old.iter().any(|(name, _)| *name == metrics));
    assert!(!old.iter().any(|(name, _)| *name == group || *name == topic));
    assert_eq!(list(1, &[99]), (35, vec![]));
    assert_eq!(list(1, &[TOPIC, 99]), (35, vec![]));
    assert_eq!(client.replace(CLIENT_METRICS, &metrics, &[], false), OK);
    subject.in_force("the subscription's end", || {
        let request =
            ListConfigResourcesRequest::default().with_resource_types(vec![CLIENT_METRICS]);
        let answer = client.call(1, &request);
        let mut left = answer.config_resources.iter();
        (!left.any(|it| it.resource_name.as_str() == metrics)).then_some(())
    });
}
