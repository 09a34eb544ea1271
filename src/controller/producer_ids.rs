//! Blocks of producer ids (R71; kafka:ProducerIdControlManager.java). A block is recorded
//! before it is handed out, so no id is given twice in the life of a cluster.

use std::ops::Range;

use crate::controller::Decision;
use crate::controller::brokers::current_epoch;
use crate::error::{Error, ResponseError};
use crate::metadata::image::Image;
use crate::metadata::records::MetadataRecord;
use crate::types::BrokerId;

/// How many ids a block holds (kafka:ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE).
pub const BLOCK_SIZE: i64 = 1000;

/// The next block, for a broker that names the epoch it registered with.
pub fn allocate(
    image: &Image,
    broker_id: BrokerId,
    broker_epoch: i64,
) -> Decision<Result<Range<i64>, Error>> {
    if let Err(error) = current_epoch(image, broker_id, broker_epoch) {
        return Decision::only(Err(error));
    }
    let first = image.next_producer_id;
    let Some(next_producer_id) = first.checked_add(BLOCK_SIZE) else {
        let sentence = "Exhausted all producerIds as the next block's end producerId has exceeded \
                        long type limit";
        return Decision::only(Err(Error::new(ResponseError::UnknownServerError, sentence)));
    };
    Decision {
        records: vec![MetadataRecord::ProducerIds {
            broker_id,
            broker_epoch,
            next_producer_id,
        }],
        reply: Ok(first..next_producer_id),
    }
}
