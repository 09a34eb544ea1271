//! What a topic's configuration means for its log.

use crate::log::compaction::CompactionConfig;
use crate::log::{LogConfig, Retention};
use crate::metadata::topic_config::TopicConfig;

pub fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes as u32,
        segment_ms: segment_ms(config),
        segment_jitter_ms: config.segment_jitter_ms,
        index_interval_bytes: config.index_interval_bytes as u32,
        segment_index_bytes: config.segment_index_bytes as u32,
        flush_messages: config.flush_messages,
        flush_ms: config.flush_ms,
        timestamp_type: config.timestamp_type,
        file_delete_delay_ms: config.file_delete_delay_ms,
        preallocate: config.preallocate,
        retention: Retention {
            delete: config.cleanup.delete,
            ms: config.retention_ms,
            bytes: config.retention_bytes,
        },
    }
}

/// A record of a compacted topic leaves the active segment in time for its `max.compaction.lag.ms`
/// (Kafka: LogConfig.maxSegmentMs).
fn segment_ms(config: &TopicConfig) -> i64 {
    match config.cleanup.compact && config.max_compaction_lag_ms > 0 {
        true => config.segment_ms.min(config.max_compaction_lag_ms),
        false => config.segment_ms,
    }
}

pub fn compaction_config(config: &TopicConfig) -> CompactionConfig {
    CompactionConfig {
        min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
        min_compaction_lag_ms: config.min_compaction_lag_ms,
        max_compaction_lag_ms: config.max_compaction_lag_ms,
        delete_retention_ms: config.delete_retention_ms,
        segment_bytes: config.segment_bytes as u64,
        segment_index_bytes: config.segment_index_bytes as u64,
        max_message_bytes: config.max_message_bytes,
    }
}
