//! Every handle a request may reach, and the order in which they come up and go down.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::controller::ControllerHandle;
use crate::error::ResponseError;
use crate::metadata::image::Image;
use crate::partition::manager::Partitions;

/// What request handlers share. Nothing in it is global to the process.
pub struct Shared {
    pub config: Config,
    pub clock: Clock,
    pub partitions: Arc<Partitions>,
    pub controller: ControllerHandle,
    pub producer_ids: ProducerIds,
    metadata: watch::Receiver<Arc<Image>>,
}

impl Shared {
    /// The metadata as applied on this broker.
    pub fn image(&self) -> Arc<Image> {
        self.metadata.borrow().clone()
    }
}

/// The block of producer ids this broker hands out from (R71). A block that is lost with the
/// process is never used again.
#[derive(Default)]
pub struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// An id never used before in this cluster, or `None` when the block is used up.
    pub fn next(&self) -> Option<i64> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// As [`ProducerIds::next`], after taking a block from the controller if need be.
    pub async fn next_from_new_block(&self, controller: &ControllerHandle) -> Result<i64, ResponseError> {
        loop {
            if let Some(id) = self.next() {
                return Ok(id);
            }
            let block = controller.allocate_producer_ids().await.map_err(|error| error.code)?;
            let mut mine = self.block.lock().unwrap_or_else(PoisonError::into_inner);
            // Another request may have brought a block meanwhile: ids are skipped, never shared.
            *mine = block;
        }
    }
}
