//! What a broker makes of what it is given, told as stories: one table row of the contract each.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// Lines of `toml`, `properties`, `flag` and `NAME=value`; says what came of them.
fn play(story: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let mut surroundings = Surroundings {
        environment: BTreeMap::new(),
        config_files: vec![directory.path().join("config.toml")],
        hostname: "box".to_owned(),
    };
    let mut command_line = CommandLine::default();
    let (mut toml, mut properties) = (String::new(), String::new());
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("toml", rest) => toml += &format!("{rest}\n"),
            ("properties", rest) => properties += &format!("{rest}\n"),
            ("--override", pair) => command_line.overrides.push(pair.to_owned()),
            ("--set", pair) => command_line.set.push(pair.to_owned()),
            ("--dev", _) => command_line.dev = true,
            _ => {
                let (name, value) = line.split_once('=').expect("NAME=value");
                let environment = &mut surroundings.environment;
                environment.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    if !toml.is_empty() {
        fs::write(&surroundings.config_files[0], toml).expect("written");
    }
    if !properties.is_empty() {
        let file = directory.path().join("server.properties");
        fs::write(&file, properties).expect("written");
        command_line.properties = Some(file);
    }
    let told = match Config::load_in(&command_line, &surroundings) {
        Ok(loaded) => describe(&loaded),
        Err(error) => format!("refused: {error}\n"),
    };
    told.replace(&format!("{}/", directory.path().display()), "")
}

fn describe(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let mut told = format!("node {}", config.node_id);
    for listener in &config.listeners.broker {
        let advertised = listener.advertised_at(9999).map_or_else(
            || "not told".to_owned(),
            |address| format!("told {}:{}", address.host, address.port),
        );
        let (name, host, port) = (&listener.name, &listener.host, listener.port);
        write!(told, ", {name} on {host:?} {port} {advertised}").expect("a string");
    }
    let directories: Vec<String> = config
        .log_dirs
        .iter()
        .map(|directory| directory.display().to_string())
        .collect();
    writeln!(told, ", data in {}", directories.join(" ")).expect("a string");
    for report in &loaded.reports {
        writeln!(told, "{:?}: {}", report.level, report.text).expect("a string");
    }
    told
}

fn check(story: &str, expected: Expect) {
    expected.assert_eq(&play(story));
}

#[test]
fn without_any_configuration_the_broker_keeps_to_this_machine() {
    check(
        "",
        expect![[r#"
        node 1, PLAINTEXT on "localhost" 9092 told localhost:9092, data in data
    "#]],
    );
    // The shell of a Kafka user says nothing about a broker.
    check(
        "KAFKA_HOME=/opt/kafka\nKAFKA_HEAP_OPTS=-Xmx1g",
        expect![[r#"
        node 1, PLAINTEXT on "localhost" 9092 told localhost:9092, data in data
        Info: These configurations '[home]' were supplied but are not used yet.
    "#]],
    );
}

#[test]
fn a_kafka_configuration_without_listeners_is_open_as_kafka_is_and_says_so() {
    check(
        "KAFKA_NUM_PARTITIONS=3",
        expect![[r#"
        node 1, PLAINTEXT on "" 9092 told box:9092, data in /tmp/kafka-logs
        Warn: listeners is not set: PLAINTEXT://:9092 is open to the network, as in Kafka; set listeners=PLAINTEXT://localhost:9092 to keep to this machine
    "#]],
    );
    check(
        "properties log.dirs=/a, /b,",
        expect![[r#"
        node 1, PLAINTEXT on "" 9092 told box:9092, data in /a /b
        Warn: listeners is not set: PLAINTEXT://:9092 is open to the network, as in Kafka; set listeners=PLAINTEXT://localhost:9092 to keep to this machine
    "#]],
    );
}

#[test]
fn later_layers_replace_single_keys_and_errors_name_all_places() {
    check(
        "toml [kafka]
         toml \"num.partitions\" = 2
         properties num.partitions=3
         KAFKA_NUM_PARTITIONS=4
         --override num.partitions=0",
        expect![[r#"
            refused: Invalid value 0 for configuration num.partitions: Value must be at least 1 (--override, overrides KAFKA_NUM_PARTITIONS, server.properties:1, config.toml:2); change it, or remove it for the default 1
        "#]],
    );
    check(
        "KAFKA_CFG_NODE_ID=5
         KAFKA_NODE_ID=6
         KAFKA_LISTENERS=PLAINTEXT://127.0.0.1:0",
        expect![[r#"
            node 6, PLAINTEXT on "127.0.0.1" 0 told 127.0.0.1:9999, data in /tmp/kafka-logs
        "#]],
    );
}

#[test]
fn the_environment_of_testcontainers_is_accepted() {
    check(
        "KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094
         KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:32768,BROKER://172.17.0.2:9093,
         KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
         KAFKA_INTER_BROKER_LISTENER_NAME=BROKER
         KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER
         KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9094
         KAFKA_NODE_ID=1
         KAFKA_PROCESS_ROLES=broker,controller
         KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1
         KAFKA_LOG_FLUSH_INTERVAL_MESSAGES=9223372036854775807
         KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0
         CLUSTER_ID=4L6g3nShT-eMCtK--X86sw",
        expect![[r#"
            node 1, PLAINTEXT on "0.0.0.0" 9092 told localhost:32768, BROKER on "0.0.0.0" 9093 told 172.17.0.2:9093, data in /tmp/kafka-logs
        "#]],
    );
}

#[test]
fn a_broker_id_alone_names_the_node_and_old_settings_are_warned_about() {
    check(
        "KAFKA_BROKER_ID=3
         KAFKA_ZOOKEEPER_CONNECT=zk:2181
         KAFKA_JMX_PORT=9101
         KAFKA_LISTENERS=PLAINTEXT://[::1]:9092",
        expect![[r#"
            node 3, PLAINTEXT on "::1" 9092 told ::1:9092, data in /tmp/kafka-logs
            Warn: These settings of older releases are ignored: jmx.port (KAFKA_JMX_PORT), zookeeper.connect (KAFKA_ZOOKEEPER_CONNECT)
        "#]],
    );
    check(
        "properties node.id=1\nproperties broker.id=2",
        expect![[r#"
        refused: node.id=1, broker.id=2: You must set `node.id` to the same value as `broker.id` (server.properties:1; server.properties:2); remove broker.id
    "#]],
    );
}

#[test]
fn unknown_keys_of_kafka_are_kept_and_told_once() {
    check(
        "properties listeners=PLAINTEXT://h:1
         properties some.plugin=x
         properties num.io.threads=4
         KAFKA_FOO_BAR=y",
        expect![[r#"
            node 1, PLAINTEXT on "h" 1 told h:1, data in /tmp/kafka-logs
            Info: These settings have nothing to steer in this broker: num.io.threads (server.properties:3)
            Info: These configurations '[foo.bar, some.plugin]' were supplied but are not used yet.
        "#]],
    );
}

#[test]
fn unknown_settings_of_our_own_are_refused_with_the_nearest_name() {
    check(
        "--set server.shutdown_timout=5s",
        expect![[r#"
        refused: server.shutdown_timout is no setting (--set); did you mean server.shutdown_timeout?
    "#]],
    );
    check(
        "OTTLA__STORAGE__DURABEL=true",
        expect![[r#"
        refused: storage.durabel is no setting (OTTLA__STORAGE__DURABEL); did you mean storage.durable?
    "#]],
    );
    check(
        "--set server.shutdown_timeout=5",
        expect![[r#"
        refused: Invalid value 5 for configuration server.shutdown_timeout: Expected a time with its unit: ms, s, m or h (--set); change it, or remove it for the default 9s
    "#]],
    );
    check(
        "toml [storage]\ntoml durable = \"maybe\"",
        expect![[r#"
        refused: Invalid value maybe for configuration storage.durable: Expected value to be either true or false (config.toml:2); change it, or remove it for the default false
    "#]],
    );
}

#[test]
fn the_advertised_host_follows_from_the_listener() {
    check(
        "KAFKA_LISTENERS=PLAINTEXT://:0
         KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://${HOSTNAME}:19092
         HOSTNAME=pod-3",
        expect![[r#"
            node 1, PLAINTEXT on "" 0 told pod-3:19092, data in /tmp/kafka-logs
        "#]],
    );
    check(
        "KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:0,B://127.0.0.1:0
         KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,B:PLAINTEXT
         KAFKA_ADVERTISED_LISTENERS=
         OTTLA__SERVER__ADVERTISED_HOST=localhost",
        expect![[r#"
            node 1, PLAINTEXT on "0.0.0.0" 0 told localhost:9999, B on "127.0.0.1" 0 told 127.0.0.1:9999, data in /tmp/kafka-logs
        "#]],
    );
}

#[test]
fn r40_listeners_take_names_and_addresses_of_both_families() {
    check(
        "KAFKA_LISTENERS=A://127.0.0.1:9092,B://[::1]:9092,c://kafka.example.org:9093
         KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT
         KAFKA_INTER_BROKER_LISTENER_NAME=A",
        expect![[r#"
            node 1, A on "127.0.0.1" 9092 told 127.0.0.1:9092, B on "::1" 9092 told ::1:9092, C on "kafka.example.org" 9093 told kafka.example.org:9093, data in /tmp/kafka-logs
        "#]],
    );
}

#[test]
fn inconsistent_listeners_are_refused_in_kafkas_words() {
    let map = "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,EXT:PLAINTEXT,SSL:SSL";
    let stories = [
        "KAFKA_LISTENERS=PLAINTEXT://:9092,EXT://:9092",
        "KAFKA_LISTENERS=PLAINTEXT://127.0.0.1:9092,EXT://127.0.0.2:9092",
        "KAFKA_LISTENERS=PLAINTEXT://localhost:9092,EXT://[::1]:9092",
        "KAFKA_LISTENERS=PLAINTEXT://:9092,PLAINTEXT://:9093",
        "KAFKA_LISTENERS=PLAINTEXT:9092",
        "KAFKA_LISTENERS=PLAINTEXT://:99999",
        "KAFKA_LISTENERS=OTHER://:9092",
        "KAFKA_LISTENERS=EXT://:9092",
        "KAFKA_LISTENERS=CONTROLLER://:9093",
        "KAFKA_LISTENERS=PLAINTEXT://:9092,SSL://:9093",
        "KAFKA_LISTENERS=PLAINTEXT://:9092\nKAFKA_INTER_BROKER_LISTENER_NAME=EXT",
        "KAFKA_LISTENERS=PLAINTEXT://:9092\nKAFKA_INTER_BROKER_LISTENER_NAME=FOO",
        "KAFKA_INTER_BROKER_LISTENER_NAME=PLAINTEXT\nKAFKA_SECURITY_INTER_BROKER_PROTOCOL=PLAINTEXT",
        "KAFKA_LISTENERS=PLAINTEXT://:9092\nKAFKA_ADVERTISED_LISTENERS=PLAINTEXT://a:1,EXT://b:1",
        "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://0.0.0.0:9092",
        "KAFKA_ADVERTISED_LISTENERS=CONTROLLER://a:1",
        "KAFKA_ADVERTISED_LISTENERS=FOO://a:1",
    ];
    let told: String = stories
        .iter()
        .map(|story| play(&format!("{map}\n{story}")))
        .collect();
    expect![[r#"
        refused: listeners=PLAINTEXT://:9092,EXT://:9092: Each listener must have a different port, listeners: PLAINTEXT://:9092,EXT://:9092 (KAFKA_LISTENERS); give each listener a port of its own
        refused: listeners=PLAINTEXT://127.0.0.1:9092,EXT://127.0.0.2:9092: If you have two listeners on the same port then one needs to be IPv4 and the other IPv6, listeners: PLAINTEXT://127.0.0.1:9092,EXT://127.0.0.2:9092, port: 9092 (KAFKA_LISTENERS); give each listener a port of its own
        refused: listeners=PLAINTEXT://localhost:9092,EXT://[::1]:9092: Each listener must have a different port unless exactly one listener has an IPv4 address and the other IPv6 address, listeners: PLAINTEXT://localhost:9092,EXT://[::1]:9092, port: 9092 (KAFKA_LISTENERS); give each listener a port of its own
        refused: listeners=PLAINTEXT://:9092,PLAINTEXT://:9093: Each listener must have a different name, listeners: PLAINTEXT://:9092,PLAINTEXT://:9093 (KAFKA_LISTENERS); give each its own name and map it in listener.security.protocol.map
        refused: listeners=PLAINTEXT:9092: Error creating broker listeners from 'PLAINTEXT:9092': Unable to parse PLAINTEXT:9092 to a broker endpoint (KAFKA_LISTENERS); write NAME://host:port, with an IPv6 address in brackets
        refused: listeners=PLAINTEXT://:99999: Error creating broker listeners from 'PLAINTEXT://:99999': Unable to parse PLAINTEXT://:99999 to a broker endpoint (KAFKA_LISTENERS); write NAME://host:port, with an IPv6 address in brackets
        refused: listeners=OTHER://:9092: No security protocol defined for listener OTHER (KAFKA_LISTENERS); add NAME:PLAINTEXT for it to listener.security.protocol.map
        refused: inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are EXT (not set); set inter.broker.listener.name to one of them
        refused: listeners=CONTROLLER://:9093: There must be at least one broker advertised listener. Perhaps all listeners appear in controller.listener.names? (KAFKA_LISTENERS); add a listener such as PLAINTEXT://:9092
        refused: listeners=PLAINTEXT://:9092,SSL://:9093: the listener SSL speaks SSL, which this version does not serve (KAFKA_LISTENERS); use PLAINTEXT, or remove the listener
        refused: inter.broker.listener.name=EXT: inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are PLAINTEXT (KAFKA_INTER_BROKER_LISTENER_NAME); set inter.broker.listener.name to one of them
        refused: inter.broker.listener.name=FOO: Listener with name FOO defined in inter.broker.listener.name not found in listener.security.protocol.map (KAFKA_INTER_BROKER_LISTENER_NAME); use one of the names in listeners
        refused: inter.broker.listener.name=PLAINTEXT: Only one of inter.broker.listener.name and security.inter.broker.protocol should be set (KAFKA_INTER_BROKER_LISTENER_NAME); remove one of the two
        refused: advertised.listeners=PLAINTEXT://a:1,EXT://b:1: advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found PLAINTEXT,EXT. The valid options based on the current configuration are PLAINTEXT (KAFKA_ADVERTISED_LISTENERS); use the same names in both
        refused: advertised.listeners=PLAINTEXT://0.0.0.0:9092: advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address (KAFKA_ADVERTISED_LISTENERS); name the host by which clients reach this machine
        refused: advertised.listeners=CONTROLLER://a:1: There must be at least one broker advertised listener. Perhaps all listeners appear in controller.listener.names? (KAFKA_ADVERTISED_LISTENERS); advertise one of the names in listeners
        refused: advertised.listeners=FOO://a:1: No security protocol defined for listener FOO (KAFKA_ADVERTISED_LISTENERS); add NAME:PLAINTEXT for it to listener.security.protocol.map
    "#]].assert_eq(&told);
    check(
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:FOO",
        expect![[r#"
        refused: listener.security.protocol.map=PLAINTEXT:FOO: Invalid security protocol `FOO` defined in listener.security.protocol.map (KAFKA_LISTENER_SECURITY_PROTOCOL_MAP); use PLAINTEXT
    "#]],
    );
    check(
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT",
        expect![[r#"
        refused: listener.security.protocol.map=PLAINTEXT: PLAINTEXT is not a listener name with its protocol (KAFKA_LISTENER_SECURITY_PROTOCOL_MAP); write NAME:PROTOCOL pairs, comma separated
    "#]],
    );
}

#[test]
fn the_controller_may_stand_on_every_address_and_be_advertised() {
    check(
        "KAFKA_LISTENERS=PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093
         KAFKA_ADVERTISED_LISTENERS=CONTROLLER://0.0.0.0:9093,PLAINTEXT://a:9092
         KAFKA_CONTROLLER_QUORUM_VOTERS=1@nowhere.invalid:9093",
        expect![[r#"
            node 1, PLAINTEXT on "" 9092 told a:9092, data in /tmp/kafka-logs
        "#]],
    );
}

#[test]
fn what_this_version_cannot_be_is_refused_with_a_remedy() {
    let stories = [
        "KAFKA_PROCESS_ROLES=broker",
        "KAFKA_PROCESS_ROLES=foo",
        "KAFKA_PROCESS_ROLES=broker,broker",
        "KAFKA_CONTROLLER_QUORUM_VOTERS=1@a:1,2@b:1",
        "KAFKA_CONTROLLER_QUORUM_VOTERS=2@b:1",
        "KAFKA_CONTROLLER_QUORUM_VOTERS=abc",
        "KAFKA_AUTHORIZER_CLASS_NAME=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "KAFKA_CREATE_TOPIC_POLICY_CLASS_NAME=com.example.Policy",
        "KAFKA_REPLICA_SELECTOR_CLASS=com.example.Selector",
        "KAFKA_SASL_SERVER_CALLBACK_HANDLER_CLASS=com.example.Handler",
        "KAFKA_REMOTE_LOG_STORAGE_SYSTEM_ENABLE=true",
        "KAFKA_CONFIG_PROVIDERS=env",
        "KAFKA_LOG_ROLL_MS=0",
        "KAFKA_LOG_RETENTION_HOURS=0",
        "KAFKA_LOG_DIRS=/a,/a",
        "KAFKA_LOG_SEGMENT_BYTES=1000",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE=yes",
        "KAFKA_NODE_ID=-2",
        "CLUSTER_ID=a b",
    ];
    let told: String = stories.iter().map(|story| play(story)).collect();
    expect![[r#"
        refused: process.roles=broker: this version runs broker and controller in one process only (KAFKA_PROCESS_ROLES); set it to broker,controller
        refused: Invalid value foo for configuration process.roles: String must be one of: broker, controller (KAFKA_PROCESS_ROLES); change or remove it
        refused: process.roles=broker,broker: Duplicate role names found in `process.roles` (KAFKA_PROCESS_ROLES); set it to broker,controller
        refused: controller.quorum.voters=1@a:1,2@b:1: this version runs a controller quorum of one node only (KAFKA_CONTROLLER_QUORUM_VOTERS); name this node alone, or remove the setting
        refused: controller.quorum.voters=2@b:1: If process.roles contains the 'controller' role, the node id 1 must be included in the set of voters (KAFKA_CONTROLLER_QUORUM_VOTERS); name node 1 in it, or remove the setting
        refused: controller.quorum.voters=abc: Each entry should be in the form `{id}@{host}:{port}` (KAFKA_CONTROLLER_QUORUM_VOTERS); write it so, or remove the setting
        refused: authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer: this version does not authorize, and ignoring it would open what it closes (KAFKA_AUTHORIZER_CLASS_NAME); remove it
        refused: create.topic.policy.class.name=com.example.Policy: it names a Java class, which this broker cannot run (KAFKA_CREATE_TOPIC_POLICY_CLASS_NAME); remove it, or set `ignore_plugins = true` under [compat]
        refused: replica.selector.class=com.example.Selector: it names a Java class, which this broker cannot run (KAFKA_REPLICA_SELECTOR_CLASS); remove it, or use org.apache.kafka.common.replica.RackAwareReplicaSelector
        refused: sasl.server.callback.handler.class=com.example.Handler: it names a Java class that decides who a client is, which this broker cannot run (KAFKA_SASL_SERVER_CALLBACK_HANDLER_CLASS); remove it
        refused: remote.log.storage.system.enable=true: this version has no tiered storage (KAFKA_REMOTE_LOG_STORAGE_SYSTEM_ENABLE); set it to false
        refused: config.providers=env: this version does not resolve config providers, so their placeholders would be taken literally (KAFKA_CONFIG_PROVIDERS); remove it and write the values themselves
        refused: log.roll.ms=0: log.roll.ms must be greater than or equal to 1 (KAFKA_LOG_ROLL_MS); change or remove it
        refused: log.retention.hours=0: log.retention.ms must be unlimited (-1) or, greater than or equal to 1 (KAFKA_LOG_RETENTION_HOURS); use -1 to keep records for ever
        refused: log.dirs=/a,/a: /a is named twice (KAFKA_LOG_DIRS); name each directory once
        refused: Invalid value 1000 for configuration log.segment.bytes: Value must be at least 1048576 (KAFKA_LOG_SEGMENT_BYTES); change it, or remove it for the default 1073741824
        refused: Invalid value yes for configuration auto.create.topics.enable: Expected value to be either true or false (KAFKA_AUTO_CREATE_TOPICS_ENABLE); change it, or remove it for the default true
        refused: Invalid value -2 for configuration node.id: Value must be at least 0 (KAFKA_NODE_ID); change or remove it
        refused: cluster.id=a b: a cluster id is plain text without blanks (CLUSTER_ID); use the 22 characters that `kafka-storage.sh random-uuid` prints, or remove it
    "#]].assert_eq(&told);
    check(
        "KAFKA_LISTENERS=PLAINTEXT://h:1
         KAFKA_CREATE_TOPIC_POLICY_CLASS_NAME=com.example.Policy
         KAFKA_REMOTE_LOG_STORAGE_SYSTEM_ENABLE=false
         --set compat.ignore_plugins=true",
        expect![[r#"
            node 1, PLAINTEXT on "h" 1 told h:1, data in /tmp/kafka-logs
            Warn: These settings name Java classes and are ignored, as [compat] ignore_plugins asks: create.topic.policy.class.name (KAFKA_CREATE_TOPIC_POLICY_CLASS_NAME)
        "#]],
    );
}

#[test]
fn the_development_profile_allows_small_segments() {
    check(
        "--dev\n--override log.segment.bytes=1000",
        expect![[r#"
        node 1, PLAINTEXT on "localhost" 9092 told localhost:9092, data in data
        Warn: The development profile is on: not for data that matters
    "#]],
    );
}

#[test]
fn an_embedded_broker_takes_kafkas_names_and_ours() {
    let config = Config::from_properties(BTreeMap::from([
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs".to_owned(), "/tmp/x".to_owned()),
        ("ottla.storage.durable".to_owned(), "true".to_owned()),
        ("log.retention.minutes".to_owned(), "5".to_owned()),
        ("log.roll.ms".to_owned(), "70000".to_owned()),
    ]))
    .expect("valid");
    assert!(config.storage.durable);
    assert_eq!(config.metadata_log_dir, PathBuf::from("/tmp/x"));
    let defaults = config.dynamic(DynamicLayers::default()).topic_defaults;
    let inherited = |key: &str| {
        let inherited = defaults.get(key).expect("a topic key");
        (inherited.value.as_str(), inherited.source)
    };
    // R243: only the key in ms itself counts as the source of a retention.
    assert_eq!(inherited("retention.ms"), ("300000", ConfigSource::Default));
    assert_eq!(
        inherited("segment.ms"),
        ("70000", ConfigSource::StaticBroker)
    );
    assert_eq!(
        inherited("max.message.bytes"),
        ("1048588", ConfigSource::Default)
    );
    let setting = config.setting("log.roll.ms").expect("set");
    assert_eq!(setting.origin.to_string(), "program");
}

proptest! {
    #[test]
    fn no_listener_text_panics(listeners in "[A-Z:/\\[\\]0-9a-z., %-]{0,60}", map in "[A-Z:,]{0,30}") {
        let _ = Config::from_properties(BTreeMap::from([
            ("listeners".to_owned(), listeners.clone()),
            ("advertised.listeners".to_owned(), listeners),
            ("listener.security.protocol.map".to_owned(), map),
        ]));
    }
}
