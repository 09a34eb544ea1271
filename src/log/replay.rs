//! Producer state after a start (R7): the newest good snapshot, the batches behind it, and the
//! windows a snapshot does not keep.

use tracing::warn;

use crate::faults::is_planted;
use crate::log::open::{OpenAt, snapshots};
use crate::log::producers::ProducerStates;
use crate::log::{Error, Log};
use crate::protocol::batch::BatchHeader;
use crate::types::{Millis, Offset};

/// Windows are refilled from this much of the log's end (R70).
const REFILL_BYTES: u64 = 4 << 20;

/// What the first idempotent append after a start still has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refill {
    Nothing,
    /// A snapshot keeps one batch per producer: the windows lack the others.
    Windows,
    /// There was no snapshot, so there should be no producers before the batches that were
    /// replayed, from this offset on. But snapshots may have been deleted: look at the tail.
    Tail {
        replayed_from: Offset,
    },
}

impl Log {
    /// Fills the producers from the newest snapshot that can be read and the batches behind it.
    /// Without any snapshot there were no producers at the recovery point, because a checkpoint
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
        self.refill = Refill::Nothing;
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
                    self.refill = Refill::Windows;
                    from = offset;
                    break;
                }
                Err(error) => {
                    warn!(path = %path.display(), %error, "producer snapshot is not used");
                    from = 0;
                }
            }
        }
        if self.refill == Refill::Nothing && from > self.log_start_offset {
            self.refill = Refill::Tail {
                replayed_from: from,
            };
        }
        let mut producers = std::mem::take(&mut self.producers);
        let replayed = self.for_each_batch_from(from, |header| producers.appended(header, at.now));
        self.producers = producers;
        replayed?;
        if is_planted("producers.forgotten") {
            self.producers = ProducerStates::default();
            self.refill = Refill::Nothing;
        }
        if matches!(self.refill, Refill::Tail { .. }) && !self.producers.is_empty() {
            // The next snapshot will be taken for complete.
            self.refill_producers(at.now)?;
        }
        Ok(())
    }

    /// Before the first idempotent append after a start: puts the batches that a snapshot does
    /// not keep back into the windows, so that a late retry gets its first answer (R70).
    pub(super) fn refill_producers(&mut self, now: Millis) -> Result<(), Error> {
        let refill = std::mem::replace(&mut self.refill, Refill::Nothing);
        match refill {
            Refill::Nothing => Ok(()),
            Refill::Windows => {
                let mut producers = std::mem::take(&mut self.producers);
                let refilled = self.for_each_batch_of_tail(|header| producers.refill(header));
                self.producers = producers;
                refilled
            }
            Refill::Tail { replayed_from } => {
                let mut producers = ProducerStates::default();
                let mut first = None;
                self.for_each_batch_of_tail(|header| {
                    first.get_or_insert(header.base_offset);
                    producers.appended(header, now);
                })?;
                if first.is_some_and(|first| first < replayed_from) {
                    self.producers = producers;
                }
                Ok(())
            }
        }
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
