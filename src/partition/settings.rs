//! What a topic's configuration means for its log and for the batches produced to it.

use crate::log::LogConfig;
use crate::metadata::topic_config::TopicConfig;
use crate::protocol::batch::Codec;
use crate::protocol::validate::ProduceRules;

/// `strict`: compressed batches are inflated and walked too (R221). What depends on the request's
/// version is left at its newest.
pub fn produce_rules(config: &TopicConfig, strict: bool) -> ProduceRules {
    ProduceRules {
        max_message_bytes: config.max_message_bytes,
        segment_bytes: config.segment_bytes,
        compacted: config.cleanup.compact,
        timestamp_type: config.timestamp_type,
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        compression: config.compression,
        compression_level: match config.compression {
            Some(Codec::Gzip) => Some(config.compression_gzip_level),
            Some(Codec::Lz4) => Some(config.compression_lz4_level),
            Some(Codec::Zstd) => Some(config.compression_zstd_level),
            Some(Codec::None | Codec::Snappy) | None => None,
        },
        strict,
        accept_zstd: true,
    }
}

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
    }
}
