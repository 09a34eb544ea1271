//! Records of the metadata log, in order, become images. A transaction (KIP-868: several
//! records that one decision wrote) is held back until its end, so that an image shows all of
//! it or nothing; an aborted one leaves no trace.

use crate::metadata::image::{ApplyError, Image, MetadataOffset};
use crate::metadata::records::MetadataRecord;

/// Holds the newest image and the records of a transaction that has not ended.
#[derive(Clone, Debug)]
pub struct Replay {
    image: Image,
    open: Option<Vec<(MetadataOffset, MetadataRecord)>>,
}

impl Replay {
    /// Continues after `image`, which was taken outside any transaction.
    pub fn after(image: Image) -> Replay {
        Replay { image, open: None }
    }

    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Whether a transaction has begun and not ended: a new leader that finds one aborts it
    /// before it writes anything else.
    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Takes records in log order. Records outside transactions that come together make one
    /// new image. Returns those that took effect.
    pub fn apply(
        &mut self,
        records: Vec<(MetadataOffset, MetadataRecord)>,
    ) -> Result<Vec<(MetadataOffset, MetadataRecord)>, ApplyError> {
        let mut effective = Vec::with_capacity(records.len());
        let mut end = self.image.applied;
        for (offset, record) in records {
            match (&record, &mut self.open) {
                (MetadataRecord::BeginTransaction { .. }, None) => self.open = Some(Vec::new()),
                (MetadataRecord::AbortTransaction { .. }, Some(_)) => self.open = None,
                (MetadataRecord::EndTransaction, Some(held)) => {
                    effective.append(held);
                    self.open = None;
                }
                (
                    MetadataRecord::BeginTransaction { .. }
                    | MetadataRecord::EndTransaction
                    | MetadataRecord::AbortTransaction { .. },
                    _,
                ) => {
                    return Err(ApplyError {
                        offset: offset.0,
                        problem: "begins or ends a transaction at the wrong place".to_owned(),
                    });
                }
                (_, Some(held)) => {
                    held.push((offset, record));
                    continue;
                }
                (_, None) => effective.push((offset, record)),
            }
            if self.open.is_none() {
                end = offset;
            }
        }
        let borrowed = effective.iter().map(|(offset, record)| (*offset, record));
        let mut image = self.image.apply(borrowed)?;
        // The marks of a transaction count as applied, though they change nothing.
        image.applied = end;
        self.image = image;
        Ok(effective)
    }
}
