//! Compaction: of the records with one key only the last stays (storage.md section 9; Kafka:
//! LogCleaner, Cleaner).
//!
//! A round has two passes without any lock: the dirty part is read for its keys ([`keys`]), then
//! every segment from the log's start to the end of what the map covers is copied without what
//! the [`rules`] drop, one batch at a time. A copy takes the place of the segments it was made of
//! under the log's lock, which covers the list of segments and nothing else; their files get
//! their names afterwards ([`swap`]). Which log is worth a round is decided in [`dirt`].
//!
//! Offsets never change, and a segment always ends with the batch it ended with, if only as a
//! header: so recovery finds no gap between segments, and the log keeps its end.
//!
//! Does not know when, how fast, or for which partition; the caller paces and may end a round
//! after any piece.

pub mod dirt;
pub mod keys;
mod output;
mod round;
mod rules;
mod swap;
mod transactions;

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::log::context::{LogContext, Shared};
use crate::log::read::View;
use crate::log::remembered::Remembered;
use crate::log::time_index::NO_TIMESTAMP;
use crate::log::walk::Step;
use crate::log::{Error, Log};
use crate::protocol::batch::BatchHeader;
use crate::protocol::compression::max_inflated;
use crate::types::{Millis, Offset};

pub use dirt::{CompactionConfig, Dirt};
use dirt::{Facts, SealedFacts};
pub use round::{Copied, Round};
pub use swap::Cleaned;

/// The memory of a round.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes for the map of keys.
    pub map_bytes: usize,
    /// Which part of it is filled.
    pub load_factor: f64,
    /// Bytes read, and written, at once.
    pub io_bytes: usize,
}

/// What a round has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub read_records: u64,
    pub kept_records: u64,
    /// Keys in the map.
    pub keys: u64,
}

/// Hears of the bytes read and written, waits if it likes, and ends the round by breaking.
pub type Pace<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// A log as compaction looks at it, without its lock.
pub struct Inspection {
    cx: Arc<LogContext>,
    shared: Arc<Shared>,
    view: View,
    config: CompactionConfig,
    index_interval_bytes: u32,
    log_start_offset: Offset,
    log_end_offset: Offset,
    last_stable_offset: Offset,
    cleaned_to: Option<Offset>,
}

impl Log {
    /// Whether whole segments wait for a sync, before which they are not compacted.
    pub fn has_unsynced_segments(&self) -> bool {
        let active = self.active.as_ref();
        active.is_some_and(|active| self.synced_offset() < active.segment.base_offset())
    }

    /// Takes what is needed to decide about a round. `cleaned_to` is the cleaner's checkpoint.
    /// `None` if there is certainly nothing to do.
    pub fn inspect(
        &self,
        config: CompactionConfig,
        high_watermark: Offset,
        cleaned_to: Option<Offset>,
    ) -> Option<Inspection> {
        let active = self.active.as_ref()?;
        let is_clean = cleaned_to == Some(active.segment.base_offset());
        if self.sealed.is_empty() || is_clean || self.check_healthy().is_err() {
            return None;
        }
        let last_stable = self.last_stable_offset_bound().unwrap_or(high_watermark);
        Some(Inspection {
            cx: self.cx.clone(),
            shared: self.shared.clone(),
            view: self.view(),
            config,
            index_interval_bytes: self.config.index_interval_bytes,
            log_start_offset: self.log_start_offset,
            log_end_offset: self.log_end_offset,
            // What takes the place of an old record has to be as safe as that was.
            last_stable_offset: last_stable.min(high_watermark).min(self.synced_offset()),
            cleaned_to,
        })
    }

    /// What must be told of producers after a round that begins now.
    pub fn remembered_producers(&mut self, now: Millis) -> Result<Remembered, Error> {
        self.refill_producers(now)?;
        Ok(self.producers.remembered())
    }
}

impl Inspection {
    /// What is worth doing now; see [`Facts::dirt`]. Hold no lock.
    pub fn dirt(&self, now: Millis) -> Result<Option<Dirt>, Error> {
        let (config, view) = (&self.config, &self.view);
        let mut sealed = Vec::new();
        for index in 0..view.len() - 1 {
            sealed.push(self.facts_of(index, config.min_compaction_lag_ms > 0)?);
        }
        let facts = Facts {
            sealed,
            active_base: view.segment(view.len() - 1).0.base_offset(),
            log_start_offset: self.log_start_offset,
            log_end_offset: self.log_end_offset,
            last_stable_offset: self.last_stable_offset,
            cleaned_to: self.cleaned_to,
        };
        Ok(facts.dirt(config, now))
    }

    fn facts_of(&self, index: usize, with_largest: bool) -> Result<SealedFacts, Error> {
        let (segment, bytes, _) = self.view.segment(index);
        let mut facts = SealedFacts {
            base_offset: segment.base_offset(),
            bytes,
            largest_timestamp: NO_TIMESTAMP,
            first_timestamp: NO_TIMESTAMP,
        };
        if with_largest {
            facts.largest_timestamp = segment.timestamp_or_age()?;
        }
        if self.config.max_compaction_lag_ms < i64::MAX
            && let Step::Batch(first) = segment.walk(0, bytes).peek()?
        {
            facts.first_timestamp = first.max_timestamp;
        }
        Ok(facts)
    }

    /// What a compressed batch may inflate to.
    fn max_inflated(&self, header: &BatchHeader) -> u64 {
        max_inflated(self.config.max_message_bytes.max(header.batch_length))
    }

    /// Whether the log is no longer what was looked at, so that what was met in its files means
    /// nothing.
    pub fn is_outdated(&self) -> bool {
        self.view.is_overtaken()
            || self.shared.is_shut()
            || self.view.truncations() != self.shared.truncations()
    }
}

#[cfg(test)]
mod tests;
