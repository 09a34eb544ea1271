//! From an offset to the bytes of whole batches, in memory or as a region of a file.
//!
//! [`Log::plan_read`] runs under the partition's lock and makes no file call; [`ReadPlan::run`]
//! needs no lock and ends in a header scan of at most an index interval at either end of the
//! region. Batches are never cut, converted or looked into. (Kafka: LocalLog.read,
//! LogSegment.read, KIP-74.)

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use crate::log::context::Shared;
use crate::log::hot_tail::Hit;
use crate::log::segment::Segment;
use crate::log::walk::Step;
use crate::log::{Error, Log, Sealed};
use crate::protocol::batch::BatchHeader;
use crate::types::Offset;

/// Whole batches in offset order. The first may begin below the offset asked for (R75).
#[derive(Debug)]
pub struct Records {
    pub chunks: Chunks,
    /// Base offset of the first batch; the offset asked for if there is none.
    pub first_offset: Offset,
    /// The offset behind the last batch; the offset asked for if there is none.
    pub next_offset: Offset,
}

/// Where the bytes are.
#[derive(Debug)]
pub enum Chunks {
    Empty,
    /// To be sent one after the other.
    Memory(Vec<Bytes>),
    /// `length` bytes at `position`. The descriptor stays valid whatever happens to the log.
    File {
        file: Arc<File>,
        position: u64,
        length: usize,
    },
}

impl Records {
    /// Nothing to be read at `offset`.
    pub fn empty(offset: Offset) -> Records {
        Records {
            chunks: Chunks::Empty,
            first_offset: offset,
            next_offset: offset,
        }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        match &self.chunks {
            Chunks::Empty => 0,
            Chunks::Memory(chunks) => chunks.iter().map(Bytes::len).sum(),
            Chunks::File { length, .. } => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A read whose file calls are still to be made.
pub enum ReadPlan {
    Ready(Records),
    Scan(Box<Scan>),
}

impl ReadPlan {
    /// Makes the file calls, if there are any. Hold no lock.
    pub fn run(self) -> Result<Records, Error> {
        match self {
            ReadPlan::Ready(records) => Ok(records),
            ReadPlan::Scan(scan) => scan.run(),
        }
    }
}

impl Log {
    /// Batches from the one that holds `from` on, at most `max_bytes`, none that ends above
    /// `visible_end` (exclusive). With `at_least_one` the first batch comes whole even if it is
    /// larger than `max_bytes` (R76). Batches of one segment at a time.
    ///
    /// Errors: [`Error::OutOfRange`] below the log start or above the log end (R83), and what
    /// makes the log unreadable.
    pub fn plan_read(
        &self,
        from: Offset,
        visible_end: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<ReadPlan, Error> {
        self.shared.check_undamaged()?;
        self.check_range(from)?;
        if from >= visible_end.min(self.log_end_offset) {
            self.hot_tail.want();
            return Ok(ReadPlan::Ready(Records::empty(from)));
        }
        if let Some(hit) = self
            .hot_tail
            .read(from, visible_end, max_bytes, at_least_one)
        {
            return Ok(ReadPlan::Ready(self.records_of(hit, from)?));
        }
        let view = self.view();
        Ok(ReadPlan::Scan(Box::new(Scan {
            first: view.segment_of(from),
            view,
            from,
            visible_end,
            max_bytes,
            at_least_one,
        })))
    }

    /// [`Log::plan_read`] and [`ReadPlan::run`] in one, for callers without a lock to care for.
    pub fn read(
        &self,
        from: Offset,
        visible_end: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Records, Error> {
        self.plan_read(from, visible_end, max_bytes, at_least_one)?
            .run()
    }

    fn check_range(&self, offset: Offset) -> Result<(), Error> {
        if (self.log_start_offset..=self.log_end_offset).contains(&offset) {
            return Ok(());
        }
        Err(Error::OutOfRange {
            offset,
            log_start_offset: self.log_start_offset,
            log_end_offset: self.log_end_offset,
        })
    }

    fn records_of(&self, hit: Hit, from: Offset) -> Result<Records, Error> {
        Ok(match hit {
            Hit::Nothing => Records::empty(from),
            Hit::Memory {
                chunks,
                first_offset,
                next_offset,
            } => Records {
                chunks: Chunks::Memory(chunks),
                first_offset,
                next_offset,
            },
            Hit::Region {
                segment,
                position,
                length,
                first_offset,
                next_offset,
            } => Records {
                chunks: Chunks::File {
                    file: self.view().segment_at(segment).log().get()?,
                    position,
                    length,
                },
                first_offset,
                next_offset,
            },
        })
    }

    /// The segments as they are now, for use without the lock.
    pub(super) fn view(&self) -> View {
        View {
            shared: self.shared.clone(),
            truncations: self.shared.truncations(),
            sealed: self.sealed.clone(),
            active: self.active.as_ref().map(|active| Sealed {
                segment: active.segment.clone(),
                size: active.size,
            }),
            log_end_offset: self.log_end_offset,
        }
    }
}

/// The segments of a log at one moment, with the sizes they had.
pub(super) struct View {
    shared: Arc<Shared>,
    truncations: u64,
    sealed: Arc<Vec<Sealed>>,
    active: Option<Sealed>,
    log_end_offset: Offset,
}

impl View {
    pub fn len(&self) -> usize {
        self.sealed.len() + usize::from(self.active.is_some())
    }

    /// Whether the last segment is the active one.
    pub fn ends_with_active(&self) -> bool {
        self.active.is_some()
    }

    /// The segment at `index`, its size, and the offset its successor begins with.
    pub fn segment(&self, index: usize) -> (&Arc<Segment>, u64, Offset) {
        let at = |index: usize| self.sealed.get(index).or(self.active.as_ref());
        let Some(found) = at(index).filter(|_| index < self.len()) else {
            panic!("segment {index} of {}", self.len());
        };
        let next = index + 1;
        let end = if next < self.len() {
            at(next).map_or(self.log_end_offset, |next| next.segment.base_offset())
        } else {
            self.log_end_offset
        };
        (&found.segment, found.size, end)
    }

    /// The index of the last segment that begins at or below `offset`; the first if none does.
    pub fn segment_of(&self, offset: Offset) -> usize {
        if let Some(active) = &self.active
            && active.segment.base_offset() <= offset
        {
            return self.sealed.len();
        }
        let above = self
            .sealed
            .partition_point(|sealed| sealed.segment.base_offset() <= offset);
        above.saturating_sub(1)
    }

    /// Of the log when the view was taken.
    pub fn truncations(&self) -> u64 {
        self.truncations
    }

    /// Whether retention or compaction took the files of a segment since.
    pub fn is_overtaken(&self) -> bool {
        self.sealed.iter().any(|sealed| sealed.segment.is_deleted())
    }

    fn segment_at(&self, base_offset: Offset) -> &Arc<Segment> {
        self.segment(self.segment_of(base_offset)).0
    }

    /// What an error met without the lock means: nothing if the log was cut or closed in the
    /// meantime, else that its data is damaged.
    pub fn judge<T>(&self, found: Result<T, Error>, or: T) -> Result<T, Error> {
        match found {
            Ok(found) => Ok(found),
            Err(_) if self.truncations != self.shared.truncations() => Ok(or),
            Err(error) if self.is_overtaken() => {
                tracing::debug!(log = self.shared.name, %error, "read of what retention took");
                Err(Error::Overtaken {
                    name: self.shared.name.clone(),
                })
            }
            Err(error) if self.shared.is_shut() => {
                tracing::debug!(log = self.shared.name, %error, "read of a closed log");
                Err(Error::Closed {
                    name: self.shared.name.clone(),
                })
            }
            Err(error) => Err(self.shared.failed(error)),
        }
    }
}

/// A read that needs the files.
pub struct Scan {
    view: View,
    first: usize,
    from: Offset,
    visible_end: Offset,
    max_bytes: usize,
    at_least_one: bool,
}

impl Scan {
    fn run(self) -> Result<Records, Error> {
        let found = self.find();
        self.view.judge(found, Records::empty(self.from))
    }

    fn find(&self) -> Result<Records, Error> {
        for index in self.first..self.view.len() {
            let (segment, size, end_offset) = self.view.segment(index);
            let mut walk = segment.walk_to_offset(self.from, size)?;
            while let Some((position, header)) = walk.next_batch()? {
                if header.last_offset() >= self.from {
                    return self.region(segment, size, end_offset, position, &header);
                }
            }
            // Compaction may have emptied the rest of this segment.
        }
        // It never takes the last batch of a log, so there must be one below the log end.
        let last = self.view.segment(self.view.len() - 1);
        let end = last.0.walk(last.1, last.1).expect(self.from);
        Err(end.corrupt("the log holds no batch from here to its end"))
    }

    /// The region that begins with the batch `first` at `position`.
    fn region(
        &self,
        segment: &Arc<Segment>,
        size: u64,
        end_offset: Offset,
        position: u64,
        first: &BatchHeader,
    ) -> Result<Records, Error> {
        let fits = first.total_size() <= self.max_bytes;
        if first.next_offset() > self.visible_end || !(fits || self.at_least_one) {
            return Ok(Records::empty(self.from));
        }
        let (end, next_offset) = if fits {
            self.end(segment, size, end_offset, position, first)?
        } else {
            (position + first.total_size() as u64, first.next_offset())
        };
        Ok(Records {
            chunks: Chunks::File {
                file: segment.log().get()?,
                position,
                length: (end - position) as usize,
            },
            first_offset: first.base_offset,
            next_offset,
        })
    }

    /// Where the last batch ends that is visible and within `max_bytes`, and its next offset.
    fn end(
        &self,
        segment: &Arc<Segment>,
        size: u64,
        end_offset: Offset,
        position: u64,
        first: &BatchHeader,
    ) -> Result<(u64, Offset), Error> {
        let limit = position.saturating_add(self.max_bytes as u64);
        let all_visible = end_offset <= self.visible_end;
        if all_visible && size <= limit {
            return Ok((size, end_offset));
        }
        // Every batch before the start of these walks is visible and below the limit.
        let mut walk = segment.walk_to_position(limit, size)?;
        if !all_visible {
            let visible = segment.walk_to_offset(self.visible_end, size)?;
            walk = if visible.position() < walk.position() {
                visible
            } else {
                walk
            };
        }
        let behind_first = position + first.total_size() as u64;
        // Behind an index entry the end of the batch before it is not known.
        let mut end_is_known = walk.position() <= behind_first;
        if end_is_known {
            walk = segment.walk(behind_first, size).expect(first.next_offset());
        }
        loop {
            match walk.peek()? {
                Step::Bad(detail) => return Err(walk.corrupt(detail)),
                Step::End => return Ok((size, end_offset)),
                Step::Batch(header) => {
                    let behind = walk.position() + header.total_size() as u64;
                    if header.next_offset() <= self.visible_end && behind <= limit {
                        walk.pass(&header);
                        end_is_known = true;
                    } else if end_is_known {
                        return Ok((walk.position(), walk.expected()));
                    } else {
                        return Ok((walk.position(), header.base_offset));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
