//! The flat map of settings, merged from layers with the source of every value kept. Kafka's keys
//! are not a tree (`max.connections` is a leaf and a prefix at once), so each layer is its own
//! figment provider of one flat dictionary. Knows nothing of what keys mean.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::config::error::ConfigError;

/// Where a layer stands; a later one replaces single keys of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerKind {
    /// Kafka's defaults.
    Default,
    /// What makes one node work when nobody says how (node id, roles, addresses).
    Node,
    /// The development profile.
    Dev,
    ConfigFile,
    Properties,
    Environment,
    Flag,
    /// Given by the program that embeds the broker.
    Program,
}

impl LayerKind {
    const ALL: [LayerKind; 8] = [
        LayerKind::Default,
        LayerKind::Node,
        LayerKind::Dev,
        LayerKind::ConfigFile,
        LayerKind::Properties,
        LayerKind::Environment,
        LayerKind::Flag,
        LayerKind::Program,
    ];

    fn name(self) -> &'static str {
        match self {
            LayerKind::Default => "default",
            LayerKind::Node => "single node",
            LayerKind::Dev => "development profile",
            LayerKind::ConfigFile => "config file",
            LayerKind::Properties => "properties file",
            LayerKind::Environment => "environment",
            LayerKind::Flag => "command line",
            LayerKind::Program => "program",
        }
    }

    /// Whether a person or program chose the value.
    pub fn is_explicit(self) -> bool {
        self >= LayerKind::ConfigFile
    }
}

/// A value as one layer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: String,
    /// `server.properties:12`, `KAFKA_NUM_PARTITIONS`, `--override`; the layer's name where
    /// there is nothing more exact.
    pub place: String,
}

/// One source of settings: Kafka's keys, and our own as `table.key`.
#[derive(Clone, Debug)]
pub struct Layer {
    kind: LayerKind,
    kafka: Arc<BTreeMap<String, Entry>>,
    own: Arc<BTreeMap<String, Entry>>,
}

impl Layer {
    pub fn new(kind: LayerKind) -> Layer {
        Layer {
            kind,
            kafka: Arc::default(),
            own: Arc::default(),
        }
    }

    /// Sets a Kafka key; `ottla.table.key` is one of our own.
    pub fn set(&mut self, key: &str, value: impl Into<String>, place: Option<String>) {
        let (value, kind) = (value.into(), self.kind);
        let place = place.unwrap_or_else(|| kind.name().to_owned());
        let (map, key) = match key.strip_prefix("ottla.") {
            Some(own) => (&mut self.own, own),
            None => (&mut self.kafka, key),
        };
        Arc::make_mut(map).insert(key.to_owned(), Entry { value, place });
    }

    /// Sets one of our own settings, named `table.key`.
    pub fn set_own(&mut self, key: &str, value: impl Into<String>, place: Option<String>) {
        self.set(&format!("ottla.{key}"), value, place);
    }

    /// The Kafka keys this layer sets.
    pub fn kafka_keys(&self) -> impl Iterator<Item = &str> {
        self.kafka.keys().map(String::as_str)
    }

    pub fn kind(&self) -> LayerKind {
        self.kind
    }

    fn dictionary(&self, which: &str) -> &BTreeMap<String, Entry> {
        if which == OWN { &self.own } else { &self.kafka }
    }
}

const KAFKA: &str = "kafka";
const OWN: &str = "own";

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        // Figment's own provenance ends at the file; the interpolater adds the exact place.
        let layer = self.clone();
        Metadata::named(self.kind.name()).interpolater(move |_: &Profile, path: &[&str]| match path
        {
            [which, key] => layer
                .dictionary(which)
                .get(*key)
                .map_or_else(String::new, |entry| entry.place.clone()),
            _ => String::new(),
        })
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dictionary = |entries: &BTreeMap<String, Entry>| -> Value {
            let values = entries.iter();
            values
                .map(|(key, entry)| (key.clone(), Value::from(entry.value.clone())))
                .collect::<Dict>()
                .into()
        };
        let both = Dict::from([
            (KAFKA.to_owned(), dictionary(&self.kafka)),
            (OWN.to_owned(), dictionary(&self.own)),
        ]);
        Ok(Map::from([(Profile::Default, both)]))
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub layer: LayerKind,
    /// As [`Entry::place`].
    pub place: String,
    /// The places of explicit values it replaced, strongest first.
    pub overrides: Vec<String>,
}

/// `server.properties:12, overrides config.toml:40`
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if !self.overrides.is_empty() {
            write!(f, ", overrides {}", self.overrides.join(", "))?;
        }
        Ok(())
    }
}

/// An effective value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub value: String,
    pub origin: Origin,
}

/// All effective values. Keys whose default is Kafka's null are absent until set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub kafka: BTreeMap<String, Setting>,
    pub own: BTreeMap<String, Setting>,
}

impl Settings {
    /// Merges layers, weakest first.
    pub fn merge(layers: &[Layer]) -> Result<Settings, ConfigError> {
        let figment = layers
            .iter()
            .fold(Figment::new(), |merged, layer| merged.merge(layer));
        Ok(Settings {
            kafka: effective(&figment, layers, KAFKA)?,
            own: effective(&figment, layers, OWN)?,
        })
    }
}

fn effective(
    figment: &Figment,
    layers: &[Layer],
    which: &str,
) -> Result<BTreeMap<String, Setting>, ConfigError> {
    let internal = |error: figment::Error| ConfigError::new(error.to_string(), "report this");
    let merged = figment.find_value(which).map_err(internal)?;
    let mut settings = BTreeMap::new();
    for (key, value) in merged.into_dict().unwrap_or_default() {
        let metadata = figment.get_metadata(value.tag());
        let name = metadata.map_or("", |metadata| &metadata.name);
        let layer = LayerKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .unwrap_or(LayerKind::Default);
        let place = metadata.map_or_else(String::new, |metadata| {
            metadata.interpolate(&Profile::Default, &[which, &key])
        });
        let overrides = layers
            .iter()
            .rev()
            .filter(|below| below.kind < layer && below.kind.is_explicit())
            .filter_map(|below| below.dictionary(which).get(&key))
            .map(|entry| entry.place.clone())
            .collect();
        let origin = Origin {
            layer,
            place,
            overrides,
        };
        let value = value.into_string().unwrap_or_default();
        settings.insert(key, Setting { value, origin });
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kind: LayerKind, entries: &[(&str, &str, &str)]) -> Layer {
        let mut layer = Layer::new(kind);
        for (key, value, place) in entries {
            layer.set(key, *value, Some((*place).to_owned()));
        }
        layer
    }

    #[test]
    fn a_later_layer_replaces_single_keys_and_every_value_knows_its_place() {
        let settings = Settings::merge(&[
            layer(LayerKind::Default, &[("num.partitions", "1", "default")]),
            layer(
                LayerKind::ConfigFile,
                &[
                    ("num.partitions", "2", "config.toml:3"),
                    ("max.connections", "9", "config.toml:4"),
                ],
            ),
            layer(
                LayerKind::Environment,
                &[
                    ("num.partitions", "3", "KAFKA_NUM_PARTITIONS"),
                    (
                        "max.connections.per.ip",
                        "4",
                        "KAFKA_MAX_CONNECTIONS_PER_IP",
                    ),
                    (
                        "ottla.storage.durable",
                        "true",
                        "KAFKA_OTTLA_STORAGE_DURABLE",
                    ),
                ],
            ),
        ])
        .expect("merges");
        let shown = |setting: &Setting| format!("{} ({})", setting.value, setting.origin);
        assert_eq!(
            shown(&settings.kafka["num.partitions"]),
            "3 (KAFKA_NUM_PARTITIONS, overrides config.toml:3)"
        );
        // A leaf and a prefix at once.
        assert_eq!(
            shown(&settings.kafka["max.connections"]),
            "9 (config.toml:4)"
        );
        assert_eq!(settings.kafka["max.connections.per.ip"].value, "4");
        assert_eq!(
            settings.own["storage.durable"].origin.layer,
            LayerKind::Environment
        );
    }
}
