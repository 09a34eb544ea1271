//! What consumer groups and their topic are told before the broker starts.

use super::ConfigError;
use super::layers::Settings;
use crate::types::Millis;

/// Fields bear the names of Kafka's keys.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: Millis,
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.max.size`
    pub max_size: usize,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in ms.
    pub offsets_retention_ms: Millis,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: Millis,
    pub offsets_topic: InternalTopic,
    /// `offsets.topic.compression.codec`: what the coordinator's own batches are compressed with, as
    /// the number batches carry.
    pub offsets_topic_compression_codec: i16,
}

/// How an internal topic is made on its first need.
#[derive(Clone, Debug)]
pub struct InternalTopic {
    pub num_partitions: i32,
    pub replication_factor: i16,
    /// Whether somebody set the replication factor: the default may be lowered on a sole broker.
    pub is_explicit: bool,
    pub segment_bytes: i32,
}

impl Settings {
    pub(super) fn groups(&self) -> Result<GroupConfig, ConfigError> {
        const CODEC: &str = "offsets.topic.compression.codec";
        let codec: i16 = self.typed(CODEC)?;
        if !(0..=4).contains(&codec) {
            let problem = format!("Unknown compression type id: {codec}");
            let remedy = "use 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)";
            return Err(self.refuse(CODEC, problem, remedy));
        }
        const REPLICATION_FACTOR: &str = "offsets.topic.replication.factor";
        Ok(GroupConfig {
            initial_rebalance_delay_ms: self.typed("group.initial.rebalance.delay.ms")?,
            min_session_timeout_ms: self.typed("group.min.session.timeout.ms")?,
            max_session_timeout_ms: self.typed("group.max.session.timeout.ms")?,
            max_size: self.typed("group.max.size")?,
            offset_metadata_max_bytes: self.typed("offset.metadata.max.bytes")?,
            offsets_retention_ms: self.typed::<Millis>("offsets.retention.minutes")? * 60_000,
            offsets_retention_check_interval_ms: self
                .typed("offsets.retention.check.interval.ms")?,
            offsets_topic_compression_codec: codec,
            offsets_topic: InternalTopic {
                num_partitions: self.typed("offsets.topic.num.partitions")?,
                replication_factor: self.typed(REPLICATION_FACTOR)?,
                is_explicit: self.explicit(REPLICATION_FACTOR).is_some(),
                segment_bytes: self.typed("offsets.topic.segment.bytes")?,
            },
        })
    }
}
