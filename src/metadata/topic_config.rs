//! A topic's effective configuration: its overrides above what the broker's settings make of
//! each key. Typed for the log and the produce path, and as entries for answers to clients.

use std::collections::BTreeMap;

use crate::config::key::{Key, Minima};
use crate::config::{ConfigEntry, ConfigSource, Synonym, TopicDefaults, topic_keys};
use crate::protocol::batch::TimestampType;
use crate::protocol::compression::Codec;
use crate::protocol::validate::ProduceRules;

/// Typed values of the topic keys that something acts on. Times in ms, sizes in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub cleanup: Cleanup,
    /// −1: no limit.
    pub retention_ms: i64,
    /// −1: no limit.
    pub retention_bytes: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub delete_retention_ms: i64,
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: i32,
    pub index_interval_bytes: i32,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub preallocate: bool,
    pub max_message_bytes: i32,
    /// `compression.type`; `None` is `producer`: stored as sent.
    pub compression: Option<Codec>,
    /// `compression.<codec>.level` of that codec; `None` where it has none.
    pub compression_level: Option<i32>,
    pub timestamp_type: TimestampType,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub min_insync_replicas: i32,
}

/// `cleanup.policy`; neither keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    pub delete: bool,
    pub compact: bool,
}

impl TopicConfig {
    /// The configuration in force. An override that its key does not take, which no validated
    /// record carries, counts as absent.
    pub fn resolve(overrides: &BTreeMap<String, String>, defaults: &TopicDefaults) -> TopicConfig {
        let values = Values {
            overrides,
            defaults,
        };
        let policy = values.text("cleanup.policy");
        let policies = || policy.split(',');
        let compression = codec(values.text("compression.type"));
        TopicConfig {
            cleanup: Cleanup {
                delete: policies().any(|one| one == "delete"),
                compact: policies().any(|one| one == "compact"),
            },
            retention_ms: values.long("retention.ms"),
            retention_bytes: values.long("retention.bytes"),
            min_cleanable_dirty_ratio: values.double("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: values.long("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.long("max.compaction.lag.ms"),
            delete_retention_ms: values.long("delete.retention.ms"),
            segment_bytes: match values.text("internal.segment.bytes") {
                "" => values.int("segment.bytes"),
                own => own.parse().unwrap_or(i32::MAX),
            },
            segment_ms: values.long("segment.ms"),
            segment_jitter_ms: values.long("segment.jitter.ms"),
            segment_index_bytes: values.int("segment.index.bytes"),
            index_interval_bytes: values.int("index.interval.bytes"),
            file_delete_delay_ms: values.long("file.delete.delay.ms"),
            flush_messages: values.long("flush.messages"),
            flush_ms: values.long("flush.ms"),
            preallocate: values.flag("preallocate"),
            max_message_bytes: values.int("max.message.bytes"),
            compression,
            compression_level: match compression {
                Some(Codec::Gzip) => Some(values.int("compression.gzip.level")),
                Some(Codec::Lz4) => Some(values.int("compression.lz4.level")),
                Some(Codec::Zstd) => Some(values.int("compression.zstd.level")),
                Some(Codec::None | Codec::Snappy) | None => None,
            },
            timestamp_type: match values.text("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.long("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.long("message.timestamp.after.max.ms"),
            min_insync_replicas: values.int("min.insync.replicas"),
        }
    }

    /// What a produced batch must satisfy. Whether everything is inflated (`strict`) and whether
    /// the request may carry zstd is for the caller to say.
    pub fn produce_rules(&self) -> ProduceRules {
        ProduceRules {
            max_message_bytes: self.max_message_bytes,
            segment_bytes: self.segment_bytes,
            compacted: self.cleanup.compact,
            timestamp_type: self.timestamp_type,
            timestamp_before_max_ms: self.timestamp_before_max_ms,
            timestamp_after_max_ms: self.timestamp_after_max_ms,
            compression: self.compression,
            compression_level: self.compression_level,
            strict: false,
            accept_zstd: true,
        }
    }
}

/// All 33 keys of a topic with these overrides, and the unlisted one if it is set (R243, R249).
pub fn describe(
    overrides: &BTreeMap<String, String>,
    defaults: &TopicDefaults,
) -> Vec<ConfigEntry> {
    let entry = |key: &'static Key| {
        let inherited = defaults.get(key.name);
        let mut synonyms = inherited.map_or_else(Vec::new, |it| it.synonyms.clone());
        let own = overridden(key, overrides);
        if let Some(value) = &own {
            let own = Synonym {
                name: key.name.to_owned(),
                value: Some(value.clone()),
                source: ConfigSource::Topic,
            };
            synonyms.insert(0, own);
        }
        let value = own.or_else(|| Some(inherited?.value.clone()));
        ConfigEntry::of_key(key, value, synonyms)
    };
    let internal = topic_keys::INTERNAL.iter();
    let internal = internal.filter(|key| overrides.contains_key(key.name));
    topic_keys::KEYS.iter().chain(internal).map(entry).collect()
}

fn overridden(key: &Key, overrides: &BTreeMap<String, String>) -> Option<String> {
    // A topic made under the development profile keeps its small segments without it.
    key.canonical(overrides.get(key.name)?, Minima::Relaxed)
        .ok()
}

struct Values<'a> {
    overrides: &'a BTreeMap<String, String>,
    defaults: &'a TopicDefaults,
}

impl<'a> Values<'a> {
    fn text(&self, name: &str) -> &'a str {
        let own = self.overrides.get(name).filter(|value| {
            topic_keys::validate_with(name, value, Minima::Relaxed).as_ref() == Ok(value)
        });
        own.map(String::as_str)
            .or_else(|| self.defaults.value(name))
            .unwrap_or("")
    }

    fn long(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn int(&self, name: &str) -> i32 {
        self.text(name).parse().unwrap_or_default()
    }

    fn double(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name) == "true"
    }
}

fn codec(text: &str) -> Option<Codec> {
    match text {
        "uncompressed" => Some(Codec::None),
        "gzip" => Some(Codec::Gzip),
        "snappy" => Some(Codec::Snappy),
        "lz4" => Some(Codec::Lz4),
        "zstd" => Some(Codec::Zstd),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, DynamicLayers};

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn overrides_stand_above_the_brokers_settings_and_those_above_the_defaults() {
        let broker = pairs(&[
            ("log.roll.hours", "1"),
            ("message.max.bytes", "5000"),
            ("compression.type", "zstd"),
        ]);
        let config = Config::from_properties(broker).expect("valid");
        let overrides = pairs(&[
            ("cleanup.policy", "compact,delete"),
            ("max.message.bytes", "6000"),
            ("segment.bytes", "1024"),
        ]);
        let topic = TopicConfig::resolve(
            &overrides,
            &config.dynamic(DynamicLayers::default()).topic_defaults,
        );
        assert_eq!(
            topic.cleanup,
            Cleanup {
                delete: true,
                compact: true
            }
        );
        assert_eq!(topic.segment_ms, 3_600_000);
        assert_eq!(topic.max_message_bytes, 6000);
        // Made under the development profile, read without it.
        assert_eq!(topic.segment_bytes, 1024);
        assert_eq!(topic.flush_messages, i64::MAX);
        assert_eq!(topic.compression, Some(Codec::Zstd));
        assert_eq!(topic.compression_level, Some(3));
        let rules = topic.produce_rules();
        assert!(rules.compacted);
        assert_eq!(rules.max_message_bytes, 6000);
    }

    #[test]
    fn an_override_that_no_longer_fits_counts_as_absent() {
        let overrides = pairs(&[("segment.ms", "soon"), ("no.such.key", "1")]);
        let topic = TopicConfig::resolve(&overrides, &TopicDefaults::builtin());
        assert_eq!(topic.segment_ms, 604_800_000);
    }

    #[test]
    fn r243_r249_all_keys_are_described_with_the_source_of_the_winning_value() {
        let broker = pairs(&[("log.roll.ms", "70000"), ("log.retention.hours", "2")]);
        let config = Config::from_properties(broker).expect("valid");
        let overrides = pairs(&[("cleanup.policy", "compact")]);
        let entries = describe(
            &overrides,
            &config.dynamic(DynamicLayers::default()).topic_defaults,
        );
        assert_eq!(entries.len(), 33);
        let told = |name: &str| {
            let entry = entries
                .iter()
                .find(|entry| entry.name == name)
                .expect("a key");
            assert!(!entry.is_read_only && !entry.is_sensitive);
            (
                entry.value.as_deref().expect("a value"),
                entry.source.code(),
            )
        };
        assert_eq!(told("cleanup.policy"), ("compact", 1));
        assert_eq!(told("segment.ms"), ("70000", 4));
        assert_eq!(told("retention.ms"), ("7200000", 5));
        assert_eq!(told("min.cleanable.dirty.ratio"), ("0.5", 5));
        assert_eq!(told("leader.replication.throttled.replicas"), ("", 5));
    }
}
