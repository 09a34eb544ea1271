//! What compaction keeps of a batch. Pure (Kafka: Cleaner.cleanInto, Cleaner.shouldRetainRecord;
//! KIP-534 for the horizon).

use crate::protocol::batch::{BatchHeader, RecordView};
use crate::types::{Millis, Offset};

/// What is known of a batch beside its records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch {
    /// Data of an aborted transaction, or a marker that nothing depends on.
    pub is_idle: bool,
    /// A producer that is not forgotten needs its sequence or its epoch: without them a retry
    /// would be appended again, or a fenced producer could go on.
    pub is_remembered: bool,
    /// The last one of its segment. It stays, if only as a header, so that no segment ends before
    /// the next one begins and the log keeps its end.
    pub ends_segment: bool,
}

/// A pass over a log.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Wall time, ms.
    pub now: Millis,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// The map of keys covers the log up to here.
    pub mapped_end: Offset,
}

/// What becomes of a batch of which no record stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emptied {
    Dropped,
    HeaderStays,
}

impl Pass {
    /// Whether all records go, whatever they say: aborted data at once, an idle marker once its
    /// horizon is past.
    pub fn drops_all(&self, batch: &Batch, header: &BatchHeader) -> bool {
        batch.is_idle && (!header.is_control() || self.is_past_horizon(header))
    }

    /// Whether a record stays. `last_offset` is where its key was written last, if the map knows.
    pub fn keeps(
        &self,
        header: &BatchHeader,
        record: &RecordView<'_>,
        last_offset: Option<Offset>,
    ) -> bool {
        if header.is_control() || record.offset >= self.mapped_end {
            return true;
        }
        // Without a key it can never be superseded: it does not belong here.
        record.key.is_some()
            && last_offset.is_none_or(|last| record.offset >= last)
            && (record.value.is_some() || !self.is_past_horizon(header))
    }

    /// The horizon that the batch gets now: it holds what this pass could have dropped for the
    /// first time.
    pub fn new_horizon(
        &self,
        batch: &Batch,
        header: &BatchHeader,
        has_tombstones: bool,
    ) -> Option<Millis> {
        let is_due = has_tombstones || (batch.is_idle && header.is_control());
        let horizon = self.now.saturating_add(self.delete_retention_ms);
        (is_due && header.delete_horizon().is_none()).then_some(horizon)
    }

    /// What becomes of the batch if no record stays.
    pub fn emptied(&self, batch: &Batch) -> Emptied {
        match batch.is_remembered || batch.ends_segment {
            true => Emptied::HeaderStays,
            false => Emptied::Dropped,
        }
    }

    fn is_past_horizon(&self, header: &BatchHeader) -> bool {
        header.delete_horizon().is_some_and(|at| at <= self.now)
    }
}
