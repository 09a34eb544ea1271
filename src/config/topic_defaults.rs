//! What a topic key is worth without an override: the broker key it follows, or its own default.

use std::collections::BTreeMap;

use crate::config::dynamic::{BrokerConfigs, Synonym};
use crate::config::key::Key;
use crate::config::{ConfigSource, topic_keys};

/// The value of a topic key that no topic overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// In canonical text.
    pub value: String,
    pub source: ConfigSource,
    /// Strongest first (R244).
    pub synonyms: Vec<Synonym>,
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
            synonyms: Vec::new(),
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

    pub(super) fn of(configs: &BrokerConfigs) -> TopicDefaults {
        let mut defaults = TopicDefaults::builtin();
        for key in topic_keys::KEYS {
            if let Some(inherited) = inherited(key, configs) {
                defaults.values.insert(key.name, inherited);
            }
        }
        defaults
    }
}

/// The strongest broker key that is set decides the value, converted from its unit. The source
/// is that of the first synonym: a topic's retention that comes from `log.retention.hours`
/// counts as default (R243).
fn inherited(key: &Key, configs: &BrokerConfigs) -> Option<Inherited> {
    let synonyms = configs.synonyms(key.synonyms, key.synonyms.first()?);
    let source = synonyms.first().map(|synonym| synonym.source);
    let mut names = key.synonyms.iter();
    names.find_map(|name| {
        Some(Inherited {
            value: in_unit_of(key, name, configs.value(name)?),
            source: source.unwrap_or(ConfigSource::Default),
            synonyms: synonyms.clone(),
        })
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
