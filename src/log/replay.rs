//! Producer state after a start (R7): the newest good snapshot, the batches behind it, and the
//! windows a snapshot does not keep.

use tracing::warn;

use crate::log::open::{OpenAt, snapshots};
use crate::log::producers::ProducerStates;
use crate::log::{Error, Log};
use crate::protocol::batch::BatchHeader;
use crate::types::Offset;

/// Windows are refilled from this much of the log's end (R70).
const REFILL_BYTES: u64 = 4 << 20;

impl Log {
    /// Fills the producers from the newest snapshot that can be read and the batches behind it.
    /// Without any snapshot there were no producers at the recovery point, because a flush
    /// writes one before it moves that.
    pub(super) fn load_producers(&mut self, at: &OpenAt) -> Result<(), Error> {
        let path = &self.shared.path;
        let names = self.cx.files.list(path);
        let names = names.map_err(|e| Error::io("list", path, e))?;
        let names = names.unwrap_or_default();
        let mut from = match at.clean {
            true => self.log_end_offset,
            false => self.recovery_point(),
        };
        self.producers = ProducerStates::default();
        for (offset, name) in snapshots(&names).collect::<Vec<_>>().into_iter().rev() {
            if offset > self.log_end_offset {
                continue;
            }
            let path = path.join(name);
            let bytes = self.cx.files.read_file(&path);
            let bytes = bytes.map_err(|e| Error::io("read", &path, e))?;
            match ProducerStates::from_snapshot(&bytes.unwrap_or_default(), at.now) {
                Ok(producers) => {
                    self.producers = producers;
                    from = offset;
                    break;
                }
                Err(error) => {
                    warn!(path = %path.display(), %error, "producer snapshot is not used");
                    from = 0;
                }
            }
        }
        self.producers_need_refill = !self.producers.is_empty();
        let mut producers = std::mem::take(&mut self.producers);
        let replayed = self.for_each_batch_from(from, |header| producers.appended(header, at.now));
        self.producers = producers;
        replayed
    }

    /// Before the first idempotent append after a start: puts the batches that a snapshot does
    /// not keep back into the windows, so that a late retry gets its first answer (R70).
    pub(super) fn refill_producers(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.producers_need_refill) {
            return Ok(());
        }
        let mut producers = std::mem::take(&mut self.producers);
        let refilled = self.for_each_batch_of_tail(|header| producers.refill(header));
        self.producers = producers;
        refilled
    }

    fn for_each_batch_from(
        &self,
        from: Offset,
        mut f: impl FnMut(&BatchHeader),
    ) -> Result<(), Error> {
        if from >= self.log_end_offset {
            return Ok(());
        }
        let view = self.view();
        let walked = (|| {
            for index in view.segment_of(from)..view.len() {
                let (segment, size, _) = view.segment(index);
                let mut walk = segment.walk_to_offset(from, size)?;
                while let Some((_, header)) = walk.next_batch()? {
                    if header.base_offset >= from {
                        f(&header);
                    }
                }
            }
            Ok(())
        })();
        view.judge(walked, ())
    }

    fn for_each_batch_of_tail(&self, mut f: impl FnMut(&BatchHeader)) -> Result<(), Error> {
        let view = self.view();
        let (mut first, mut held) = (view.len(), 0);
        while first > 0 && held < REFILL_BYTES {
            first -= 1;
            held += view.segment(first).1;
        }
        let skip = held.saturating_sub(REFILL_BYTES);
        let walked = (|| {
            for index in first..view.len() {
                let (segment, size, _) = view.segment(index);
                let skip = if index == first { skip } else { 0 };
                let mut walk = segment.walk_to_position(skip, size)?;
                while let Some((_, header)) = walk.next_batch()? {
                    f(&header);
                }
            }
            Ok(())
        })();
        view.judge(walked, ())
    }
}
