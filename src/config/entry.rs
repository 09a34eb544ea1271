//! Configs as clients are told them (compatibility.md section 7): every key with its value, where
//! that comes from, and what it would be otherwise (kafka:ConfigHelper).

use std::collections::{BTreeMap, BTreeSet};

use crate::config::dynamic::{BrokerConfigs, Synonym, listener_key};
use crate::config::key::{Key, Update};
use crate::config::{ConfigSource, broker_keys, client_metrics_keys, group_keys, loggers};

/// One key of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// Canonical text (R246); `None` is Kafka's null, or hidden because `is_sensitive`.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    /// Kafka's code of the type; 0 is unknown.
    pub type_code: i8,
    /// Strongest first (R244).
    pub synonyms: Vec<Synonym>,
    pub documentation: Option<&'static str>,
}

const UNKNOWN_TYPE: i8 = 0;

impl ConfigEntry {
    /// A key of a table. The source is that of the strongest synonym.
    pub fn of_key(key: &'static Key, value: Option<String>, synonyms: Vec<Synonym>) -> ConfigEntry {
        ConfigEntry::of(key.name, Some(key), value, synonyms)
    }

    /// R247: what has no type could be a secret, and is hidden like a password.
    fn of(
        name: &str,
        key: Option<&'static Key>,
        value: Option<String>,
        mut synonyms: Vec<Synonym>,
    ) -> ConfigEntry {
        let is_sensitive = key.is_none_or(Key::is_sensitive);
        if is_sensitive {
            synonyms.iter_mut().for_each(|synonym| synonym.value = None);
        }
        ConfigEntry {
            name: name.to_owned(),
            value: value.filter(|_| !is_sensitive),
            source: synonyms
                .first()
                .map_or(ConfigSource::Default, |synonym| synonym.source),
            is_read_only: key.is_some_and(|key| key.update == Update::ReadOnly),
            is_sensitive,
            type_code: key.map_or(UNKNOWN_TYPE, |key| key.kind.code()),
            synonyms,
            documentation: key.map(|key| key.doc),
        }
    }
}

impl BrokerConfigs {
    /// What one broker runs with: every key of the imitated release, and all that was set.
    pub fn describe(&self) -> Vec<ConfigEntry> {
        let listed = broker_keys::imitated().map(|key| key.name);
        let names: BTreeSet<&str> = listed.chain(self.names()).collect();
        names.into_iter().map(|name| self.entry(name)).collect()
    }

    /// What AlterConfigs stored for every broker, and nothing else.
    pub fn describe_cluster_default(&self) -> Vec<ConfigEntry> {
        let names = self.dynamic().cluster_default.iter();
        let entry = |(name, value): (&String, &String)| {
            let mut entry = self.entry(name);
            let source = ConfigSource::DynamicDefaultBroker;
            entry.synonyms.retain(|synonym| synonym.source == source);
            entry.value = Some(value.clone()).filter(|_| !entry.is_sensitive);
            entry.source = source;
            entry
        };
        names.map(entry).collect()
    }

    fn entry(&self, name: &str) -> ConfigEntry {
        let base = listener_key(name);
        let key = broker_keys::find_dynamic(name).or_else(|| broker_keys::find_dynamic(base?));
        let names = match base {
            Some(base) => vec![name, base],
            None => same_setting(name),
        };
        let value = self.value(name).map(str::to_owned);
        let mut entry = ConfigEntry::of(name, key, value, self.synonyms(&names, name));
        // Kafka's list of keys that can change knows no listener's.
        entry.is_read_only |= base.is_some() || key.is_none();
        entry
    }
}

/// The keys that say the same in other units, strongest first.
fn same_setting(name: &str) -> Vec<&str> {
    match name {
        "log.roll.ms" | "log.roll.hours" => vec!["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => {
            vec!["log.roll.jitter.ms", "log.roll.jitter.hours"]
        }
        "log.flush.interval.ms" => {
            vec!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]
        }
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => vec![
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
        _ => vec![name],
    }
}

/// The configs of a group, also of one that does not exist (R241).
pub fn describe_group(
    overrides: Option<&BTreeMap<String, String>>,
    broker: &BrokerConfigs,
) -> Vec<ConfigEntry> {
    let entry = |key: &'static Key| {
        let (value, source) = match overrides.and_then(|own| own.get(key.name)) {
            Some(value) => (value.clone(), ConfigSource::Group),
            None => (group_keys::default(key, broker), ConfigSource::Default),
        };
        ConfigEntry::of_key(key, Some(value.clone()), vec![synonym(key, value, source)])
    };
    group_keys::KEYS.iter().map(entry).collect()
}

/// The configs of a client-metrics subscription, also of one that does not exist (R241).
pub fn describe_client_metrics(overrides: Option<&BTreeMap<String, String>>) -> Vec<ConfigEntry> {
    let entry = |key: &'static Key| match overrides.and_then(|own| own.get(key.name)) {
        Some(value) => {
            let own = synonym(key, value.clone(), ConfigSource::ClientMetrics);
            ConfigEntry::of_key(key, Some(value.clone()), vec![own])
        }
        None => ConfigEntry::of_key(key, key.default.map(str::to_owned), Vec::new()),
    };
    client_metrics_keys::KEYS.iter().map(entry).collect()
}

/// The loggers of a broker with their levels.
pub fn describe_loggers(
    set: Option<&BTreeMap<String, String>>,
    configured: &str,
) -> Vec<ConfigEntry> {
    let nothing = BTreeMap::new();
    let levels = loggers::levels(set.unwrap_or(&nothing), configured).into_iter();
    let entry = |(name, level): (&'static str, String)| ConfigEntry {
        name: name.to_owned(),
        value: Some(level),
        source: ConfigSource::BrokerLogger,
        is_read_only: false,
        is_sensitive: false,
        type_code: UNKNOWN_TYPE,
        synonyms: Vec::new(),
        documentation: None,
    };
    levels.map(entry).collect()
}

fn synonym(key: &Key, value: String, source: ConfigSource) -> Synonym {
    Synonym {
        name: key.name.to_owned(),
        value: Some(value),
        source,
    }
}
