//! The log of a partition: Kafka's files, appended to under the partition's lock and read
//! without it.
//!
//! Synchronous, without tokio and without mmap. Does not know what a topic name means, who
//! leads, which acknowledgements a producer wants, or how far readers may see: callers say so.
//!
//! Files: [`append`] the write path and rolling · [`read`] offsets to bytes · [`lookup`]
//! timestamps to offsets · [`retention`] how a log begins later · [`compaction`] how it keeps one
//! record of each key · [`open`] and [`recovery`] from files to a log · [`flush`] what makes
//! it durable and when · [`segment`], [`index`], [`time_index`], [`walk`] one segment ·
//! [`producers`], [`epochs`] what else a log knows · [`directory`], [`checkpoints`] what all
//! logs share.
//!
//! Truths the rest depends on: `log_end_offset` counts only bytes whose write has returned; the
//! recovery point moves only after a sync; derived files may all be deleted.

pub mod append;
mod apply;
pub mod checkpoints;
pub mod compaction;
pub mod context;
pub mod directory;
pub mod epochs;
pub mod error;
pub mod files;
pub mod find;
pub mod flush;
pub mod flusher;
pub mod hot_tail;
pub mod index;
pub mod index_rule;
pub mod log_file;
pub mod lookup;
pub mod meta_properties;
pub mod open;
pub mod partition_dirs;
mod producer_limit;
pub mod producer_snapshot;
pub mod producers;
pub mod read;
pub mod recovery;
pub mod relocate;
mod remembered;
pub mod replay;
pub mod retention;
pub mod retire;
pub mod segment;
pub mod small_files;
pub mod time_index;
pub mod walk;

#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use crate::protocol::batch::TimestampType;
use crate::types::{LeaderEpoch, Millis, Offset, TopicId};

pub use append::Appended;
pub use context::{LogContext, LogOptions};
pub use error::Error;
pub use files::Files;
pub use flush::{FlushNeed, FlushWork, Flushed, Purpose};
pub use flusher::{Flushable, Flusher};
pub use hot_tail::HotTails;
pub use lookup::{LookUp, TimestampedOffset};
pub use open::{OpenAt, RecoveryReport};
pub use read::{Chunks, ReadPlan, Records};
pub use retention::{Detached, Retention};
pub use retire::Deleted;

use context::Shared;
use epochs::EpochCache;
use hot_tail::HotTail;
use index_rule::IndexRule;
use producer_limit::KnownProducers;
use producers::{ActiveProducer, ProducerStates};
use segment::Segment;

/// Where each leader epoch begins: [`EpochCache::to_text`].
const EPOCHS_FILE: &str = "leader-epoch-checkpoint";

/// The topic settings a log obeys, in Kafka's names.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `segment.bytes`
    pub segment_bytes: u32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`; 16 KiB at least is used.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `flush.messages`
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `preallocate`: reserve a whole segment when it is created. Without it segments grow in
    /// steps of 16 MiB from 1 MiB on.
    pub preallocate: bool,
    pub retention: Retention,
}

/// One partition's log. All `&mut self` methods and the short `&self` ones belong under the
/// partition's lock; what may do file I/O returns a value that is run without it.
pub struct Log {
    cx: Arc<LogContext>,
    shared: Arc<Shared>,
    topic_id: TopicId,
    config: LogConfig,
    /// Every segment but the active one, by base offset. Shared with readers; copied on change.
    sealed: Arc<Vec<Sealed>>,
    /// `None` until the first append of a partition that was never written: no directory yet.
    active: Option<Active>,
    log_start_offset: Offset,
    log_end_offset: Offset,
    producers: ProducerStates,
    known_producers: KnownProducers,
    refill: replay::Refill,
    epochs: EpochCache,
    hot_tail: Arc<HotTail>,
    durability: flush::Durability,
}

/// A segment that takes no more appends.
#[derive(Clone)]
pub(crate) struct Sealed {
    segment: Arc<Segment>,
    /// Bytes.
    size: u64,
}

/// The segment at the end of the log.
struct Active {
    segment: Arc<Segment>,
    /// The tracked end: bytes below it are whole batches. The file may be longer.
    size: u64,
    rule: IndexRule,
    /// Max timestamp of the first batch, from which `segment.ms` counts.
    first_timestamp: Option<Millis>,
    created_at: Millis,
    /// `segment.ms` minus this segment's share of the jitter.
    max_age_ms: i64,
    /// Blocks are reserved up to here.
    allocated: u64,
}

impl Log {
    /// The first offset that can be read.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// The offset the next record gets.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Everything below it is known to be on the device.
    pub fn recovery_point(&self) -> Offset {
        self.durability.recovery_point()
    }

    /// Bytes of batches in all segments.
    pub fn size(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|sealed| sealed.size).sum();
        sealed + self.active.as_ref().map_or(0, |active| active.size)
    }

    /// `<topic>-<partition>`.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes new topic settings; they hold from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        if let Some(active) = &mut self.active {
            active.max_age_ms = append::max_age_ms(&config, &self.shared.name, &active.segment);
        }
        self.config = config;
    }

    /// The newest epoch known; `None` before the first.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// The epoch in which the record at `offset` was written.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_of(offset)
    }

    /// A leader begins `epoch` at the log end, before it has appended anything (R98: an empty
    /// log knows its epoch).
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        if self.epochs.assign(epoch, self.log_end_offset) {
            self.durability.epochs_changed();
        }
    }

    /// The largest known epoch at or below `epoch` and the offset behind its last record; see
    /// [`EpochCache::end_offset_for`] for what is unknown (R98).
    pub fn epoch_end_offset(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.epochs.end_offset_for(epoch, self.log_end_offset)
    }

    /// The first offset of a transaction that is still open: the last stable offset is not
    /// above it.
    pub fn last_stable_offset_bound(&self) -> Option<Offset> {
        self.producers.first_unstable_offset()
    }

    /// Every producer that is not forgotten yet.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.producers.active()
    }

    /// Forgets producers that have appended nothing for `expiration_ms` of the broker's time
    /// (R73).
    pub fn expire_producers(&mut self, now: Millis, expiration_ms: i64) {
        self.producers.expire(now, expiration_ms);
        self.known_producers.bound(&mut self.producers);
    }

    /// Whether the disk or damage has taken this log out of service, and how.
    pub fn check_healthy(&self) -> Result<(), Error> {
        self.cx.check_online()?;
        self.shared.check_undamaged()?;
        if self.shared.is_shut() {
            return Err(Error::Closed {
                name: self.shared.name.clone(),
            });
        }
        Ok(())
    }
}
