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
use crate::config::{Config, ConfigSource, TopicDefaults, broker_keys, value};
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
/// Kafka's keys; counts that Kafka bounds by nothing are `i32::MAX`.
#[derive(Clone, Debug)]
pub struct DynamicConfig {
    /// For what has no field of its own, and for DescribeConfigs.
    pub configs: BrokerConfigs,
    /// What a topic key is worth without an override.
    pub topic_defaults: Arc<TopicDefaults>,
    pub max_connections: i32,
    pub max_connections_per_ip: i32,
    /// Host names and addresses as they were given, IPv6 without brackets.
    pub max_connections_per_ip_overrides: BTreeMap<String, i32>,
    /// Per second.
    pub max_connection_creation_rate: i32,
    pub producer_id_expiration_ms: Millis,
}

impl Config {
    /// The snapshot with these dynamic configs. A value that its key does not take, which no
    /// validated record carries, counts as absent.
    pub fn dynamic(&self, layers: DynamicLayers) -> DynamicConfig {
        let configs = BrokerConfigs::new(self.settings.clone(), layers);
        let int = |key: &str| configs.typed(key).unwrap_or(i32::MAX);
        DynamicConfig {
            topic_defaults: Arc::new(TopicDefaults::of(&configs)),
            max_connections: int("max.connections"),
            max_connections_per_ip: int("max.connections.per.ip"),
            max_connections_per_ip_overrides: host_counts(
                configs
                    .value("max.connections.per.ip.overrides")
                    .unwrap_or(""),
            ),
            max_connection_creation_rate: int("max.connection.creation.rate"),
            producer_id_expiration_ms: configs
                .typed("producer.id.expiration.ms")
                .unwrap_or(Millis::MAX),
            configs,
        }
    }
}

impl DynamicConfig {
    /// `listener.name.<listener>.max.connections`; `None` where only the broker's limit holds.
    pub fn listener_max_connections(&self, listener: &str) -> Option<i32> {
        self.of_listener(listener, "max.connections")
    }

    /// `listener.name.<listener>.max.connection.creation.rate`, per second.
    pub fn listener_max_connection_creation_rate(&self, listener: &str) -> Option<i32> {
        self.of_listener(listener, "max.connection.creation.rate")
    }

    fn of_listener(&self, listener: &str, key: &str) -> Option<i32> {
        let listener = listener.to_ascii_lowercase();
        self.configs
            .typed(&format!("listener.name.{listener}.{key}"))
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

/// `host:count,[host]:count`: the last colon separates (kafka:Csv.parseCsvMap). What does not
/// read so was refused before.
fn host_counts(text: &str) -> BTreeMap<String, i32> {
    let items = value::split_list(text).into_iter();
    items
        .filter_map(|item| {
            let (host, count) = item.rsplit_once(':')?;
            let host = host.trim().trim_matches(['[', ']']);
            Some((host.to_owned(), count.trim().parse().ok()?))
        })
        .collect()
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
            ("max.connections", "5"),
            ("max.connections.per.ip", "6"),
            ("listener.name.plaintext.max.connections", "2"),
        ]))
        .expect("valid");
        let dynamic = config.dynamic(DynamicLayers {
            broker: pairs(&[("max.connections", "9"), ("max.connections.per.ip", "many")]),
            cluster_default: pairs(&[
                ("max.connections", "8"),
                (
                    "max.connections.per.ip.overrides",
                    "10.0.0.1:3,[::1]:4,::2:5",
                ),
            ]),
        });
        assert_eq!(dynamic.max_connections, 9);
        // A value that no validated record carries counts as absent.
        assert_eq!(dynamic.max_connections_per_ip, 6);
        assert_eq!(dynamic.listener_max_connections("PLAINTEXT"), Some(2));
        assert_eq!(dynamic.listener_max_connections("OTHER"), None);
        let overrides = &dynamic.max_connections_per_ip_overrides;
        assert_eq!((overrides["10.0.0.1"], overrides["::1"]), (3, 4));
        assert_eq!(overrides["::2"], 5);
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
