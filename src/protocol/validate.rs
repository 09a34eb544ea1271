//! Judges what a producer sent (being built).

use super::batch::TimestampType;
use super::compression::Codec;
use crate::error::Error;

/// What the topic, and the request's version, demand of a produced batch.
#[derive(Clone, Copy, Debug)]
pub struct ProduceRules {
    /// `max.message.bytes`: the whole batch, its 12-byte prefix included.
    pub max_message_bytes: i32,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `cleanup.policy` contains compact: every record needs a key (R57).
    pub compacted: bool,
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; i64::MAX = unchecked.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`; `None` = `producer`: stored as sent.
    pub compression: Option<Codec>,
    /// `compression.<codec>.level` of that codec; `None` = the codec's default.
    pub compression_level: Option<i32>,
    /// `ottla.produce.validation=strict`: compressed batches are inflated and walked too (R221).
    pub strict: bool,
    /// Produce v7 and above; below, zstd is refused (R225).
    pub accept_zstd: bool,
}

/// Why a batch was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub error: Error,
    /// Batch index and sentence per bad record, for v8+ (R57, R58).
    pub record_errors: Vec<(i32, Option<String>)>,
    /// The answer carries the true log start offset, not −1 (R55, R61).
    pub found_by_log: bool,
}
