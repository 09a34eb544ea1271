//! What a compacted log must go on to say about its producers.

use crate::log::producers::ProducerStates;
use crate::protocol::batch::BatchHeader;
use crate::types::Offset;

/// The batches that producers which are not forgotten need, so that after a restart a retry of any
/// of their last five still gets its first answer (R70), and the epoch of one that wrote nothing
/// but markers since. Compaction keeps the headers of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Producer and last offset, sorted.
    sequences: Vec<(i64, Offset)>,
    epochs: Vec<(i64, i16)>,
}

impl Remembered {
    /// Whether the header of this batch must stay.
    pub fn holds(&self, header: &BatchHeader) -> bool {
        let id = header.producer_id;
        let sequence = (id, header.last_offset());
        self.sequences.binary_search(&sequence).is_ok()
            || (header.is_control()
                && self
                    .epochs
                    .binary_search(&(id, header.producer_epoch))
                    .is_ok())
    }
}

impl ProducerStates {
    /// What the log must go on to say about them; see [`Remembered`].
    pub fn remembered(&self) -> Remembered {
        let mut remembered = Remembered::default();
        for (&id, producer) in &self.producers {
            let sequences = producer.batches().iter().map(|b| (id, b.last_offset));
            remembered.sequences.extend(sequences);
            if producer.batches().is_empty() {
                remembered.epochs.push((id, producer.epoch));
            }
        }
        remembered.sequences.sort_unstable();
        remembered.epochs.sort_unstable();
        remembered
    }
}
