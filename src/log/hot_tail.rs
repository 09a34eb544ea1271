//! The newest batches of a partition, kept as the reference-counted buffers they came in, so
//! that consumers who keep up are served from memory without a file call.
//!
//! At most 1 MiB per partition and 16 MiB per broker; over that, the partition whose tail has
//! been filling for longest is emptied. A partition that nobody reads soon keeps nothing: what is
//! only produced costs no copy and no memory. A read that misses goes to the file: nothing depends
//! on what is kept here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;

use crate::log::files::lock;
use crate::protocol::batch::{BatchHeader, ValidBatch};
use crate::types::Offset;

const PARTITION_BYTES: usize = 1 << 20;
const BROKER_BYTES: usize = 16 << 20;
/// After so many bytes without a reader nothing more is kept of a partition.
const UNREAD_BYTES: usize = 2 * PARTITION_BYTES;
/// Smaller batches are copied: a slice would keep the whole frame it came in alive, and for the
/// price of 100 ns a thousand small slices cannot pin a thousand large frames.
const COPIED_BELOW: usize = 4 << 10;
/// A read that would need more pieces than this is cheaper as one region of the file.
const MAX_BATCHES_PER_READ: usize = 64;

/// The budget all tails of a broker share.
pub struct HotTails {
    bytes: AtomicUsize,
    /// Tails that hold something, in the order in which they began to.
    filling: Mutex<VecDeque<Weak<HotTail>>>,
}

impl HotTails {
    pub fn new() -> Arc<HotTails> {
        Arc::new(HotTails {
            bytes: AtomicUsize::new(0),
            filling: Mutex::default(),
        })
    }

    /// An empty tail for one partition.
    pub fn tail(self: &Arc<Self>) -> Arc<HotTail> {
        Arc::new(HotTail {
            budget: self.clone(),
            kept: Mutex::default(),
        })
    }

    /// Bytes kept by all partitions.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn shrink(&self) {
        while self.bytes() > BROKER_BYTES {
            let Some(oldest) = lock(&self.filling).pop_front() else {
                return;
            };
            if let Some(tail) = oldest.upgrade() {
                tail.clear();
            }
        }
    }
}

/// The tail of one partition.
pub struct HotTail {
    budget: Arc<HotTails>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// Bytes appended since somebody last read the partition.
    unread: usize,
}

impl Kept {
    fn is_wanted(&self) -> bool {
        self.unread <= UNREAD_BYTES
    }
}

struct Batch {
    base_offset: Offset,
    next_offset: Offset,
    /// Base offset of the segment and position in it.
    segment: Offset,
    position: u64,
    /// Head and body; a copied batch is whole in the first.
    parts: [Bytes; 2],
}

impl Batch {
    fn size(&self) -> usize {
        self.parts[0].len() + self.parts[1].len()
    }
}

/// What the tail answers to a read.
#[derive(Debug)]
pub enum Hit {
    Memory {
        chunks: Vec<Bytes>,
        first_offset: Offset,
        next_offset: Offset,
    },
    /// The batches are here, but in too many pieces; this is where they stand in the file.
    Region {
        segment: Offset,
        position: u64,
        length: usize,
        first_offset: Offset,
        next_offset: Offset,
    },
    /// The first batch is not visible yet, or does not fit.
    Nothing,
}

impl HotTail {
    /// Keeps a batch just appended at `position` of the segment that begins at `segment`.
    pub fn push(self: &Arc<Self>, batch: &ValidBatch, segment: Offset, position: u64) {
        let size = batch.size();
        if size > PARTITION_BYTES {
            self.clear();
            return;
        }
        if !self.is_wanted_with(size) {
            return;
        }
        let parts = if size < COPIED_BELOW {
            [batch.to_bytes(), Bytes::new()]
        } else {
            let head: &[u8; BatchHeader::SIZE] = batch.head();
            [Bytes::copy_from_slice(head), batch.body().clone()]
        };
        // Counted first: another partition may clear this tail at any time.
        let budget = &self.budget;
        budget.bytes.fetch_add(size, Ordering::Relaxed);
        let mut freed = 0;
        let was_empty = {
            let mut kept = lock(&self.kept);
            let was_empty = kept.batches.is_empty();
            kept.bytes += size;
            kept.batches.push_back(Batch {
                base_offset: batch.header().base_offset,
                next_offset: batch.header().next_offset(),
                segment,
                position,
                parts,
            });
            while kept.bytes > PARTITION_BYTES
                && let Some(oldest) = kept.batches.pop_front()
            {
                kept.bytes -= oldest.size();
                freed += oldest.size();
            }
            was_empty
        };
        budget.bytes.fetch_sub(freed, Ordering::Relaxed);
        if was_empty {
            lock(&budget.filling).push_back(Arc::downgrade(self));
        }
        budget.shrink();
    }

    /// Lets go of everything.
    pub fn clear(&self) {
        let mut kept = lock(&self.kept);
        self.budget.bytes.fetch_sub(kept.bytes, Ordering::Relaxed);
        kept.bytes = 0;
        kept.batches = VecDeque::new();
    }

    /// Somebody reads the partition: what comes next is worth keeping.
    pub fn want(&self) {
        lock(&self.kept).unread = 0;
    }

    /// Counts `bytes` more that nobody has read yet; lets go of everything when it is too much.
    fn is_wanted_with(&self, bytes: usize) -> bool {
        let mut kept = lock(&self.kept);
        if !kept.is_wanted() {
            return false;
        }
        kept.unread += bytes;
        if kept.is_wanted() {
            return true;
        }
        drop(kept);
        self.clear();
        false
    }

    /// The batches from the one that holds `from` on; `None` if that one is not kept. See
    /// `Log::read` for the limits.
    pub fn read(
        &self,
        from: Offset,
        visible_end: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<Hit> {
        let mut kept = lock(&self.kept);
        kept.unread = 0;
        if from < kept.batches.front()?.base_offset {
            return None;
        }
        let start = kept.batches.partition_point(|b| b.next_offset <= from);
        let first = kept.batches.get(start)?;
        let mut length = 0;
        let mut end = start;
        for batch in kept.batches.range(start..) {
            let fits = length + batch.size() <= max_bytes || (end == start && at_least_one);
            if batch.next_offset > visible_end || batch.segment != first.segment || !fits {
                break;
            }
            length += batch.size();
            end += 1;
        }
        if end == start {
            return Some(Hit::Nothing);
        }
        let first_offset = first.base_offset;
        let next_offset = kept.batches[end - 1].next_offset;
        if end - start > MAX_BATCHES_PER_READ {
            return Some(Hit::Region {
                segment: first.segment,
                position: first.position,
                length,
                first_offset,
                next_offset,
            });
        }
        let parts = kept.batches.range(start..end).flat_map(|b| b.parts.iter());
        Some(Hit::Memory {
            chunks: parts.filter(|part| !part.is_empty()).cloned().collect(),
            first_offset,
            next_offset,
        })
    }
}

impl Drop for HotTail {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::batch::{BatchOptions, Record};

    fn batch(base_offset: Offset, value_bytes: usize) -> ValidBatch {
        let value = vec![7; value_bytes];
        let record = Record {
            timestamp: 1,
            value: Some(&value),
            ..Record::default()
        };
        let mut batch = ValidBatch::build(&[record], &BatchOptions::default());
        batch.assign(base_offset, 0);
        batch
    }

    #[test]
    fn a_large_batch_is_kept_without_a_copy_and_a_small_one_frees_its_frame() {
        let tail = HotTails::new().tail();
        let large = batch(0, 10_000);
        tail.push(&large, 0, 0);
        tail.push(&batch(1, 10), 0, large.size() as u64);
        match tail.read(0, 2, 1 << 20, false) {
            Some(Hit::Memory {
                chunks,
                next_offset,
                ..
            }) => {
                assert_eq!(chunks.len(), 3);
                assert_eq!(chunks[1].as_ptr(), large.body().as_ptr());
                assert_eq!(next_offset, 2);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tail_keeps_the_newest_mebibyte_and_the_broker_the_newest_sixteen() {
        let tails = HotTails::new();
        let all: Vec<_> = (0..20).map(|_| tails.tail()).collect();
        for tail in &all {
            for offset in 0..12 {
                tail.push(&batch(offset, 100_000), 0, 0);
            }
            assert!(tails.bytes() <= BROKER_BYTES);
        }
        assert!(
            all[0].read(11, 12, 1, true).is_none(),
            "the first to fill is emptied first"
        );
        assert!(
            all[19].read(0, 12, 1, true).is_none(),
            "offset 0 is beyond the newest mebibyte"
        );
        assert!(all[19].read(11, 12, 1, true).is_some());
        drop(all);
        assert_eq!(tails.bytes(), 0);
    }

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let tails = HotTails::new();
        let tail = tails.tail();
        for offset in 0..20 {
            tail.push(&batch(offset, 100_000), 0, 0);
        }
        assert!(tails.bytes() > 900_000);
        tail.push(&batch(20, 100_000), 0, 0);
        tail.push(&batch(21, 100_000), 0, 0);
        assert_eq!(tails.bytes(), 0, "two mebibytes and no reader");
        tail.want();
        tail.push(&batch(22, 100_000), 0, 0);
        assert!(tails.bytes() > 0);
    }

    #[test]
    fn many_small_batches_are_answered_as_one_region() {
        let tail = HotTails::new().tail();
        tail.want();
        let size = batch(0, 10).size();
        for offset in 0..100 {
            tail.push(&batch(offset, 10), 0, offset as u64 * size as u64);
        }
        match tail.read(10, 100, 1 << 20, false) {
            Some(Hit::Region {
                position, length, ..
            }) => {
                assert_eq!((position, length), (10 * size as u64, 90 * size));
            }
            other => panic!("{other:?}"),
        }
    }
}
