//! What a partition's log knows of its producers, for DescribeProducers (R161).

use super::Partition;
use crate::error::ResponseError;
use crate::log::producers::ActiveProducer;

impl Partition {
    /// Every producer that is not forgotten yet.
    pub fn active_producers(&self) -> Result<Vec<ActiveProducer>, ResponseError> {
        let mut state = self.lock();
        state.open(self)?;
        Ok(state.log.get()?.active_producers())
    }
}
