//! What may change while the broker runs: the broker keys in all their layers, and the one typed
//! snapshot that the rest of the broker reads. A change makes a new snapshot; nobody sees half.
//!
//! Layers, strongest first (kafka:DynamicBrokerConfig): what AlterConfigs gave this broker, what
//! it gave every broker, what the broker was started with, Kafka's defaults.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::key::Minima;
use crate::config::layers::{LayerKind, Settings};
use crate::config::{Config, ConfigSource, TopicDefaults, broker_keys};
use crate::types::Millis;

/// What AlterConfigs stored for one broker and for all of them, in canonical text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DynamicLayers {
    pub broker: BTreeMap<String, String>,
    pub cluster_default: BTreeMap<String, String>,
}

/// One value of a key beside others: DescribeConfigs calls them synonyms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: String,
    /// `None` where it is hidden (R247).
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// The broker keys of one node in all their layers.
#[derive(Clone, Debug)]
pub struct BrokerConfigs {
    settings: Arc<Settings>,
    dynamic: DynamicLayers,
}

/// Everything that can change while the broker runs, as of one moment. Fields bear the names of
/// Kafka's keys; `ConnectionLimits` are read from `configs`.
#[derive(Clone, Debug)]
pub struct DynamicConfig {
    /// For what has no field of its own, and for DescribeConfigs.
    pub configs: BrokerConfigs,
    /// What a topic key is worth without an override.
    pub topic_defaults: Arc<TopicDefaults>,
    pub producer_id_expiration_ms: Millis,
}

impl Config {
    /// The snapshot with these dynamic configs. A value that its key does not take, which no
    /// validated record carries, counts as absent.
    pub fn dynamic(&self, layers: DynamicLayers) -> DynamicConfig {
        let configs = BrokerConfigs::new(self.settings.clone(), layers);
        DynamicConfig {
            topic_defaults: Arc::new(TopicDefaults::of(&configs)),
            producer_id_expiration_ms: configs
                .typed("producer.id.expiration.ms")
                .unwrap_or(Millis::MAX),
            configs,
        }
    }
}

impl BrokerConfigs {
    pub(super) fn new(settings: Arc<Settings>, mut dynamic: DynamicLayers) -> BrokerConfigs {
        for layer in [&mut dynamic.broker, &mut dynamic.cluster_default] {
            layer.retain(|name, value| match broker_keys::find_dynamic(name) {
                // What was stored under the development profile stays in force without it.
                Some(key) => key.canonical(value, Minima::Relaxed).is_ok(),
                None => true,
            });
        }
        BrokerConfigs { settings, dynamic }
    }

    /// What AlterConfigs stored.
    pub fn dynamic(&self) -> &DynamicLayers {
        &self.dynamic
    }

    /// The effective value of a key; `None` where it is Kafka's null.
    pub fn value(&self, name: &str) -> Option<&str> {
        let dynamic = &self.dynamic;
        let own = dynamic.broker.get(name);
        own.or_else(|| dynamic.cluster_default.get(name))
            .map(String::as_str)
            .or_else(|| Some(self.settings.kafka.get(name)?.value.as_str()))
    }

    /// The effective value, if it is of this type.
    pub fn typed<T: FromStr>(&self, name: &str) -> Option<T> {
        self.value(name)?.parse().ok()
    }

    /// Every key that has a value in some layer, without duplicates.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let dynamic = &self.dynamic;
        let layers = [&dynamic.broker, &dynamic.cluster_default];
        let added = layers.into_iter().flat_map(|layer| layer.keys());
        let names: std::collections::BTreeSet<&str> = added
            .chain(self.settings.kafka.keys())
            .map(String::as_str)
            .collect();
        names.into_iter()
    }

    /// All values of `names`, layer by layer. Those before the first value of `wanted` do not
    /// count, as in Kafka: a topic's retention that comes from `log.retention.hours` alone has
    /// no synonyms, since the topic's own broker key is `log.retention.ms` (R244).
    pub fn synonyms(&self, names: &[&str], wanted: &str) -> Vec<Synonym> {
        let mut found = Vec::new();
        let mut layer = |source, value_of: &dyn Fn(&str) -> Option<String>| {
            found.extend(names.iter().filter_map(|name| {
                Some(Synonym {
                    name: (*name).to_owned(),
                    value: Some(value_of(name)?),
                    source,
                })
            }));
        };
        let dynamic = &self.dynamic;
        layer(ConfigSource::DynamicBroker, &|name| {
            dynamic.broker.get(name).cloned()
        });
        layer(ConfigSource::DynamicDefaultBroker, &|name| {
            dynamic.cluster_default.get(name).cloned()
        });
        layer(ConfigSource::StaticBroker, &|name| {
            let setting = self.settings.kafka.get(name)?;
            (setting.origin.layer != LayerKind::Default).then(|| setting.value.clone())
        });
        layer(ConfigSource::Default, &|name| {
            Some(broker_keys::find(name)?.default?.to_owned())
        });
        let start = found.iter().position(|synonym| synonym.name == wanted);
        found.split_off(start.unwrap_or(found.len()))
    }
}

/// The key that `listener.name.<listener>.<key>` overrides for one listener; with SASL the
/// mechanism stands between (kafka:DynamicBrokerConfig.brokerConfigSynonyms).
pub(super) fn listener_key(name: &str) -> Option<&str> {
    const PER_MECHANISM: [&str; 5] = [
        "sasl.jaas.config",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "sasl.server.callback.handler.class",
        "connections.max.reauth.ms",
    ];
    let (_, key) = name.strip_prefix("listener.name.")?.split_once('.')?;
    let mechanism = PER_MECHANISM.into_iter().find(|own| key.ends_with(own));
    Some(mechanism.unwrap_or(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn this_broker_stands_above_every_broker_and_both_above_the_start() {
        let config = Config::from_properties(pairs(&[
            ("background.threads", "5"),
            ("message.max.bytes", "6"),
            ("num.io.threads", "7"),
        ]))
        .expect("valid");
        let dynamic = config.dynamic(DynamicLayers {
            broker: pairs(&[("background.threads", "9"), ("message.max.bytes", "many")]),
            cluster_default: pairs(&[("background.threads", "8"), ("num.io.threads", "10")]),
        });
        let value = |key: &str| dynamic.configs.typed::<i64>(key);
        assert_eq!(value("background.threads"), Some(9));
        // A value that no validated record carries counts as absent.
        assert_eq!(value("message.max.bytes"), Some(6));
        assert_eq!(value("num.io.threads"), Some(10));
        assert_eq!(dynamic.topic_defaults.value("max.message.bytes"), Some("6"));
    }

    #[test]
    fn r244_synonyms_start_at_the_topics_own_broker_key() {
        let names = [
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ];
        let config = Config::from_properties(pairs(&[("log.retention.hours", "2")]));
        let config = config.expect("valid");
        let told = |layers: DynamicLayers| -> Vec<(String, Option<String>, i8)> {
            let synonyms = config.dynamic(layers).configs.synonyms(&names, names[0]);
            let told = synonyms.into_iter();
            told.map(|s| (s.name, s.value, s.source.code())).collect()
        };
        assert_eq!(told(DynamicLayers::default()), []);
        let both = DynamicLayers {
            broker: pairs(&[("log.retention.ms", "7")]),
            cluster_default: pairs(&[("log.retention.ms", "8")]),
        };
        let expected = [
            ("log.retention.ms", "7", 2),
            ("log.retention.ms", "8", 3),
            ("log.retention.hours", "2", 4),
            ("log.retention.hours", "168", 5),
        ];
        let expected = expected.map(|(n, v, s)| (n.to_owned(), Some(v.to_owned()), s));
        assert_eq!(told(both), expected);
    }
}
