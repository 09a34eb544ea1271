//! What a topic's configuration means for its log.

use crate::log::{LogConfig, Retention};
use crate::metadata::topic_config::TopicConfig;

pub fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes as u32,
        segment_ms: config.segment_ms,
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
