//! Which batches belong to aborted transactions, and which markers nothing depends on any more.
//! Pure: is shown batch headers and what markers say, in offset order (Kafka:
//! CleanedTransactionMetadata, which reads the transaction indexes instead).

use hashbrown::{HashMap, HashSet};

use crate::protocol::batch::BatchHeader;
use crate::types::Offset;

/// What the record of a control batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    Abort,
    Commit,
    /// The record is gone already.
    Emptied,
    /// Not of a transaction.
    Other,
}

impl Marker {
    /// By the key of a control record: version, type (Kafka: ControlRecordType).
    pub fn of_key(key: Option<&[u8]>) -> Marker {
        match key {
            Some([_, _, 0, 0, ..]) => Marker::Abort,
            Some([_, _, 0, 1, ..]) => Marker::Commit,
            _ => Marker::Other,
        }
    }
}

/// Every aborted transaction of a log.
#[derive(Debug, Default)]
pub struct Aborted {
    /// By producer: first offset and offset of the marker, ascending.
    spans: HashMap<i64, Vec<(Offset, Offset)>>,
    /// First offset of those that are open so far.
    open: HashMap<i64, Offset>,
}

impl Aborted {
    /// Shows the next batch of the log that is transactional; `marker` if it is a control batch.
    pub fn observe(&mut self, header: &BatchHeader, marker: Option<Marker>) {
        let producer = header.producer_id;
        match marker {
            None => {
                self.open.entry(producer).or_insert(header.base_offset);
            }
            Some(Marker::Other) => {}
            Some(marker) => {
                let first = self.open.remove(&producer);
                if let Some(first) = first.filter(|_| marker == Marker::Abort) {
                    let spans = self.spans.entry(producer).or_default();
                    spans.push((first, header.base_offset));
                }
            }
        }
    }

    /// Whether the data of this batch was aborted.
    pub fn holds(&self, header: &BatchHeader) -> bool {
        let Some(spans) = self.spans.get(&header.producer_id) else {
            return false;
        };
        let ends_before = spans.partition_point(|(_, marker)| *marker < header.base_offset);
        let span = spans.get(ends_before);
        header.is_transactional() && span.is_some_and(|(first, _)| *first <= header.base_offset)
    }
}

/// Follows the copy through the log: a marker goes only when nothing of its transaction is left.
#[derive(Debug, Default)]
pub struct Markers {
    /// Producers of whose current transaction a batch was seen.
    seen: HashSet<i64>,
}

impl Markers {
    /// A batch of data is copied, or what is left of it.
    pub fn data(&mut self, header: &BatchHeader) {
        if header.is_transactional() {
            self.seen.insert(header.producer_id);
        }
    }

    /// Whether nothing depends on the marker.
    pub fn is_idle(&mut self, header: &BatchHeader, marker: Marker) -> bool {
        match marker {
            Marker::Abort | Marker::Commit => !self.seen.remove(&header.producer_id),
            Marker::Emptied => true,
            Marker::Other => false,
        }
    }
}
