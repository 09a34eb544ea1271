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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::protocol::batch::{BatchOptions, Record, ValidBatch, for_each_record};

    const PASS: Pass = Pass {
        now: 1_000,
        delete_retention_ms: 50,
        mapped_end: 100,
    };
    const DELETE_HORIZON: i16 = 0x40;

    /// A batch of one record at `offset`, with a horizon if there is one.
    fn stays(
        record: Record,
        offset: Offset,
        horizon: Option<Millis>,
        last: Option<Offset>,
    ) -> bool {
        let mut batch = ValidBatch::build(&[record], &BatchOptions::default());
        batch.assign(offset, 0);
        let mut header = *batch.header();
        if let Some(horizon) = horizon {
            header.attributes |= DELETE_HORIZON;
            header.base_timestamp = horizon;
        }
        let mut stays = false;
        for_each_record(&batch.to_bytes(), |record| {
            stays = PASS.keeps(&header, &record, last);
            ControlFlow::Continue(())
        })
        .unwrap();
        stays
    }

    const KEYED: Record = Record {
        timestamp: 0,
        key: Some(b"k"),
        value: Some(b"v"),
        headers: &[],
    };
    const TOMBSTONE: Record = Record {
        value: None,
        ..KEYED
    };

    #[test]
    fn a_record_stays_if_its_key_was_not_written_later() {
        assert!(stays(KEYED, 7, None, Some(7)));
        assert!(!stays(KEYED, 7, None, Some(8)));
        assert!(stays(KEYED, 7, None, None), "not written in the dirty part");
        assert!(
            stays(KEYED, 100, None, Some(200)),
            "beyond what the map covers"
        );
        let empty = Record {
            key: Some(b""),
            ..KEYED
        };
        assert!(stays(empty, 7, None, Some(7)), "an empty key is a key");
        assert!(!stays(Record { key: None, ..KEYED }, 7, None, None));
        assert!(stays(Record { key: None, ..KEYED }, 100, None, None));
    }

    #[test]
    fn a_tombstone_stays_until_its_horizon() {
        assert!(stays(TOMBSTONE, 7, None, Some(7)), "no pass has seen it");
        assert!(stays(TOMBSTONE, 7, Some(1_001), Some(7)));
        assert!(!stays(TOMBSTONE, 7, Some(1_000), Some(7)));
        assert!(!stays(TOMBSTONE, 7, Some(1_001), Some(8)), "superseded");
        let empty = Record {
            value: Some(b""),
            ..KEYED
        };
        assert!(
            stays(empty, 7, Some(1), Some(7)),
            "an empty value is a value"
        );
    }

    fn header(control: bool, horizon: Option<Millis>) -> BatchHeader {
        let options = BatchOptions {
            control,
            ..BatchOptions::default()
        };
        let mut header = *ValidBatch::build(&[KEYED], &options).header();
        if let Some(horizon) = horizon {
            header.attributes |= DELETE_HORIZON;
            header.base_timestamp = horizon;
        }
        header
    }

    #[test]
    fn aborted_data_goes_at_once_and_an_idle_marker_when_its_time_is_up() {
        let idle = Batch {
            is_idle: true,
            ..Batch::default()
        };
        assert!(PASS.drops_all(&idle, &header(false, None)));
        assert!(!PASS.drops_all(&idle, &header(true, None)));
        assert_eq!(
            PASS.new_horizon(&idle, &header(true, None), false),
            Some(1_050)
        );
        assert!(!PASS.drops_all(&idle, &header(true, Some(1_050))));
        assert_eq!(
            PASS.new_horizon(&idle, &header(true, Some(1_050)), false),
            None
        );
        assert!(PASS.drops_all(&idle, &header(true, Some(1_000))));
        let busy = Batch::default();
        assert!(!PASS.drops_all(&busy, &header(true, Some(1))));
        assert_eq!(PASS.new_horizon(&busy, &header(true, None), false), None);
    }

    #[test]
    fn a_horizon_is_set_once_and_does_not_overflow() {
        let batch = Batch::default();
        assert_eq!(
            PASS.new_horizon(&batch, &header(false, None), true),
            Some(1_050)
        );
        assert_eq!(
            PASS.new_horizon(&batch, &header(false, Some(7)), true),
            None
        );
        assert_eq!(PASS.new_horizon(&batch, &header(false, None), false), None);
        let forever = Pass {
            delete_retention_ms: i64::MAX,
            ..PASS
        };
        assert_eq!(
            forever.new_horizon(&batch, &header(false, None), true),
            Some(i64::MAX)
        );
    }

    #[test]
    fn the_header_of_an_emptied_batch_stays_where_something_depends_on_it() {
        let emptied = |is_remembered, ends_segment| {
            let batch = Batch {
                is_remembered,
                ends_segment,
                ..Batch::default()
            };
            PASS.emptied(&batch)
        };
        assert_eq!(emptied(false, false), Emptied::Dropped);
        assert_eq!(emptied(true, false), Emptied::HeaderStays);
        assert_eq!(emptied(false, true), Emptied::HeaderStays);
    }
}
