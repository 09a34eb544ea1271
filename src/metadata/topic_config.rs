//! A topic's effective configuration: its overrides above what the broker's settings make of
//! each key. Typed for the log and the produce path, and as entries for answers to clients.

use std::collections::BTreeMap;

use crate::config::key::{Key, Minima, Update};
use crate::config::{ConfigSource, TopicDefaults, topic_keys};
use crate::protocol::batch::{Codec, TimestampType};

/// Typed values of the topic keys that something acts on. Times in ms, sizes in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub cleanup: Cleanup,
    pub retention_ms: i64,
    pub retention_bytes: i64,
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: i32,
    pub index_interval_bytes: i32,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub preallocate: bool,
    pub delete_retention_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub max_message_bytes: i32,
    /// `None`: as the producer sent it.
    pub compression: Option<Codec>,
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub timestamp_type: TimestampType,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub min_insync_replicas: i32,
    pub unclean_leader_election: bool,
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
        TopicConfig {
            cleanup: Cleanup {
                delete: policies().any(|one| one == "delete"),
                compact: policies().any(|one| one == "compact"),
            },
            retention_ms: values.long("retention.ms"),
            retention_bytes: values.long("retention.bytes"),
            segment_bytes: values.int("segment.bytes"),
            segment_ms: values.long("segment.ms"),
            segment_jitter_ms: values.long("segment.jitter.ms"),
            segment_index_bytes: values.int("segment.index.bytes"),
            index_interval_bytes: values.int("index.interval.bytes"),
            file_delete_delay_ms: values.long("file.delete.delay.ms"),
            flush_messages: values.long("flush.messages"),
            flush_ms: values.long("flush.ms"),
            preallocate: values.flag("preallocate"),
            delete_retention_ms: values.long("delete.retention.ms"),
            min_cleanable_dirty_ratio: values.double("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: values.long("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.long("max.compaction.lag.ms"),
            max_message_bytes: values.int("max.message.bytes"),
            compression: compression(values.text("compression.type")),
            compression_gzip_level: values.int("compression.gzip.level"),
            compression_lz4_level: values.int("compression.lz4.level"),
            compression_zstd_level: values.int("compression.zstd.level"),
            timestamp_type: match values.text("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.long("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.long("message.timestamp.after.max.ms"),
            min_insync_replicas: values.int("min.insync.replicas"),
            unclean_leader_election: values.flag("unclean.leader.election.enable"),
        }
    }
}

/// One key of a topic as clients are told it (R243, R246, R249).
#[derive(Clone, Debug)]
pub struct ConfigEntry {
    /// Name, type, documentation and what else the table says.
    pub key: &'static Key,
    /// Canonical text; no topic key is null.
    pub value: String,
    pub source: ConfigSource,
}

impl ConfigEntry {
    pub fn name(&self) -> &'static str {
        self.key.name
    }

    pub fn is_read_only(&self) -> bool {
        self.key.update == Update::ReadOnly
    }

    pub fn is_sensitive(&self) -> bool {
        self.key.is_sensitive()
    }
}

/// All 33 keys of a topic with these overrides.
pub fn describe(
    overrides: &BTreeMap<String, String>,
    defaults: &TopicDefaults,
) -> Vec<ConfigEntry> {
    let entry = |key: &'static Key| {
        if let Some(value) = overridden(key, overrides) {
            let source = ConfigSource::Topic;
            return ConfigEntry { key, value, source };
        }
        let inherited = defaults.get(key.name);
        ConfigEntry {
            key,
            value: inherited.map_or_else(String::new, |inherited| inherited.value.clone()),
            source: inherited.map_or(ConfigSource::Default, |inherited| inherited.source),
        }
    };
    topic_keys::KEYS.iter().map(entry).collect()
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

fn compression(text: &str) -> Option<Codec> {
    match text {
        "uncompressed" => Some(Codec::None),
        "gzip" => Some(Codec::Gzip),
        "snappy" => Some(Codec::Snappy),
        "lz4" => Some(Codec::Lz4),
        "zstd" => Some(Codec::Zstd),
        _ => None,
    }
}
