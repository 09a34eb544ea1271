//! What the active controller decides: which metadata records a command becomes, and what its
//! sender is told once they are committed.
//!
//! Every decision is a function of an image and a command: no clock, no randomness, no I/O, no
//! waiting (Kafka: ControllerResult). Nothing changes by deciding. What records mean is in
//! `metadata::image`; how they are committed is in `quorum`.

pub mod brokers;
pub mod configs;
pub mod elections;
pub mod names;
pub mod partitions;
mod placement;
pub mod producer_ids;
pub mod topics;

use std::collections::BTreeMap;

use crate::config::Config;
use crate::metadata::image::{Image, MetadataOffset};
use crate::metadata::records::MetadataRecord;
use crate::types::TopicId;

/// The metadata.version of Kafka 4.1: which records and fields the log holds (R30).
pub const METADATA_VERSION: i16 = 27;
/// The name of the feature whose level that is.
pub const METADATA_VERSION_FEATURE: &str = "metadata.version";
/// The oldest metadata.version we would read (R30).
pub const MIN_METADATA_VERSION: i16 = 7;

/// What a command comes to. Nothing has happened yet: the records are to be committed and
/// applied, then `reply` goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    pub records: Vec<MetadataRecord>,
    pub reply: T,
}

impl<T> Decision<T> {
    /// A reply that changes nothing.
    pub fn only(reply: T) -> Decision<T> {
        Decision {
            records: Vec::new(),
            reply,
        }
    }
}

/// Judges all overrides of one topic: what to store, or Kafka's sentence about what is wrong.
pub type ValidateTopicConfigs =
    dyn Fn(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> + Send;

/// What decisions need to know besides the image.
pub struct Settings {
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    pub validate_topic_configs: Box<ValidateTopicConfigs>,
    /// What the broker of this process was started with: dynamic broker configs stand above it.
    pub config: Config,
    /// Makes an id that no topic ever had; random in production, counted in tests.
    pub new_topic_id: Box<dyn FnMut() -> TopicId + Send>,
}

/// Records a decision as it goes into the log: several become a transaction, so that every
/// image shows all of them or none (KIP-868).
pub fn as_log_records(records: Vec<MetadataRecord>, name: &str) -> Vec<MetadataRecord> {
    if records.len() < 2 {
        return records;
    }
    let begin = MetadataRecord::BeginTransaction {
        name: Some(name.to_owned()),
    };
    let end = MetadataRecord::EndTransaction;
    std::iter::once(begin).chain(records).chain([end]).collect()
}

/// The offset that the first of `count` records gets when the log ends at `end`: behind the
/// transaction mark if there is one.
pub fn first_record_offset(end: MetadataOffset, count: usize) -> MetadataOffset {
    MetadataOffset(end.0 + i64::from(count > 1))
}

/// What a new cluster's log begins with; nothing once a level is finalised.
pub fn bootstrap(image: &Image) -> Vec<MetadataRecord> {
    if image.features.contains_key(METADATA_VERSION_FEATURE) {
        return Vec::new();
    }
    vec![MetadataRecord::FeatureLevel {
        name: METADATA_VERSION_FEATURE.to_owned(),
        feature_level: METADATA_VERSION,
    }]
}

#[cfg(test)]
mod scenarios;
