//! `config.toml` at the root of the repository is written from the key tables: after a change to
//! them, `UPDATE_EXPECT=1 cargo test config_toml` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::expect_file;

use super::key::{Key, Treatment, Type};
use super::layers::Settings;
use super::*;

const HEAD: &str = r#"# Every setting of Ottla with its default. All of them are commented out: a broker needs none.
#
# Kafka's settings stand under [kafka] by Kafka's names, quoted; the other tables are Ottla's own.
# A setting is taken from the last place that has it:
#   this file       --config FILE, else /etc/ottla/config.toml, else ./config.toml
#   a properties    --properties FILE: Kafka's server.properties
#   environment     KAFKA_NUM_PARTITIONS=3, OTTLA__STORAGE__DURABLE=true
#   command line    --override num.partitions=3, --set storage.durable=true
"#;

const KAFKA: &str = r#"
# Where a properties file or KAFKA_* variables configure the broker, `listeners` and the data
# directory default to Kafka's: PLAINTEXT://:9092, open to the network, and /tmp/kafka-logs.
[kafka]
"#;

const WITHOUT_EFFECT: &str = r#"
# Known and checked, without effect in this version: setting one is reported at start.
"#;

#[test]
fn config_toml_lists_every_setting_with_its_default() {
    expect_file!["../../config.toml"].assert_eq(&render());
}

#[test]
fn config_toml_with_every_setting_uncommented_changes_nothing() {
    let text: String = include_str!("../../config.toml")
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") && !setting.contains("FILE") => {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let layer = toml_file::parse("config.toml", &text).expect("well formed");
    let loaded = Config::from_layers(vec![layer], "localhost").expect("valid");
    let explicit = |setting: &&Setting| setting.origin.layer == LayerKind::ConfigFile;
    let set = loaded
        .config
        .settings
        .kafka
        .values()
        .filter(explicit)
        .count();
    assert!(set > 200, "only {set} settings were read");
    let (all, unset) = (loaded.config.settings, unconfigured());
    let values = |settings: &BTreeMap<String, Setting>| -> BTreeMap<String, String> {
        let pairs = settings.iter();
        pairs
            .map(|(key, setting)| (key.clone(), setting.value.clone()))
            .collect()
    };
    assert_eq!(values(&all.own), values(&unset.own));
    assert_eq!(values(&all.kafka), values(&unset.kafka));
}

fn unconfigured() -> Arc<Settings> {
    let config = Config::from_properties(BTreeMap::new()).expect("valid");
    config.settings
}

fn render() -> String {
    let settings = unconfigured();
    let mut text = HEAD.to_owned();
    let mut table = "";
    for key in own_keys::KEYS {
        let (own_table, name) = key.name.split_once('.').expect("table.key");
        if own_table != table {
            table = own_table;
            write!(text, "\n[{table}]\n").expect("a string");
        }
        let value = settings
            .own
            .get(key.name)
            .map(|setting| setting.value.as_str());
        entry(&mut text, key, name, value);
    }
    text += KAFKA;
    let kafka = |text: &mut String, key: &Key| {
        let value = settings
            .kafka
            .get(key.name)
            .map(|setting| setting.value.as_str());
        entry(text, key, &format!("\"{}\"", key.name), value);
    };
    let listed = || broker_keys::all().filter(|key| key.name != "broker.id");
    for key in listed().filter(|key| matches!(key.treatment, Treatment::Honoured)) {
        kafka(&mut text, key);
    }
    text += WITHOUT_EFFECT;
    for key in listed() {
        if matches!(key.treatment, Treatment::NotYet | Treatment::NoEffect) {
            kafka(&mut text, key);
        }
    }
    text
}

fn entry(text: &mut String, key: &Key, name: &str, value: Option<&str>) {
    let value = match (value, key.kind) {
        (None, _) => "unset".to_owned(),
        (Some(value), Type::Boolean | Type::Int | Type::Short | Type::Long | Type::Double) => {
            value.to_owned()
        }
        (Some(value), Type::String | Type::List | Type::Class | Type::Password) => {
            format!("{value:?}")
        }
    };
    let equals = if value == "unset" { ":" } else { " =" };
    write!(text, "\n{}# {name}{equals} {value}\n", comment(key.doc)).expect("a string");
}

/// As comment lines of at most 98 characters.
fn comment(doc: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in doc.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 98 => *line += &format!(" {word}"),
            _ => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}
