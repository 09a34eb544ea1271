//! What a topic key is worth without an override: the broker key it follows, or its own default.

use std::collections::BTreeMap;

use crate::config::key::Key;
use crate::config::layers::{LayerKind, Settings};
use crate::config::topic_keys;

/// Where an effective value comes from, with Kafka's codes (DescribeConfigs, CreateTopics v5+).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
}

impl ConfigSource {
    /// Kafka's code.
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// The value of a topic key that no topic overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// In canonical text.
    pub value: String,
    pub source: ConfigSource,
}

/// The inherited values of all topic keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    values: BTreeMap<&'static str, Inherited>,
}

impl TopicDefaults {
    /// Those of a broker that sets none of them.
    pub fn builtin() -> TopicDefaults {
        let inherited = |key: &Key| Inherited {
            value: key.default.unwrap_or_default().to_owned(),
            source: ConfigSource::Default,
        };
        let keys = topic_keys::KEYS.iter();
        TopicDefaults {
            values: keys.map(|key| (key.name, inherited(key))).collect(),
        }
    }

    /// The value of a topic key; `None` if there is no such key.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|value| value.value.as_str())
    }

    /// The value of a topic key with its source.
    pub fn get(&self, key: &str) -> Option<&Inherited> {
        self.values.get(key)
    }

    pub(super) fn from_settings(settings: &Settings) -> TopicDefaults {
        let mut defaults = TopicDefaults::builtin();
        for key in topic_keys::KEYS {
            if let Some(inherited) = inherited(key, settings) {
                defaults.values.insert(key.name, inherited);
            }
        }
        defaults
    }
}

/// The strongest broker key that is set decides the value, converted from its unit. Its source
/// is told only if it is the first: a topic's retention that comes from `log.retention.hours`
/// counts as default (R243).
fn inherited(key: &Key, settings: &Settings) -> Option<Inherited> {
    let mut synonyms = key.synonyms.iter().enumerate();
    synonyms.find_map(|(rank, synonym)| {
        let setting = settings.kafka.get(*synonym)?;
        let value = in_unit_of(key, synonym, &setting.value);
        let is_static = rank == 0 && setting.origin.layer != LayerKind::Default;
        let source = if is_static {
            ConfigSource::StaticBroker
        } else {
            ConfigSource::Default
        };
        Some(Inherited { value, source })
    })
}

fn in_unit_of(key: &Key, synonym: &str, value: &str) -> String {
    let unit_ms = match synonym.rsplit_once('.') {
        Some((_, "hours")) => 3_600_000,
        Some((_, "minutes")) => 60_000,
        _ => 1,
    };
    match value.parse::<i64>() {
        // Every negative retention time means "for ever".
        Ok(number) if key.name == "retention.ms" && number < 0 => "-1".to_owned(),
        Ok(number) => number.saturating_mul(unit_ms).to_string(),
        Err(_) => value.to_owned(),
    }
}
