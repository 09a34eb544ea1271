//! One round of compaction: two passes over a log, in bounded memory.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::dirt::groups;
use super::keys::{Hash, LastOffsets};
use super::output::{CopyError, Output, remove_cleaned};
use super::rules::{Batch, Emptied, Pass};
use super::transactions::{Aborted, Marker, Markers};
use super::{Cleaned, Dirt, Inspection, Limits, Pace, Stats};
use crate::faults::is_planted;
use crate::log::Error;
use crate::log::remembered::Remembered;
use crate::log::segment::Segment;
use crate::log::walk::{HeaderWalk, Step};
use crate::protocol::batch::{BatchError, BatchHeader, for_each_record};
use crate::protocol::compression::Codec;
use crate::protocol::retain::{Retained, empty, retain, rewrite};
use crate::types::{Millis, Offset};

/// Keys of a batch that are looked at before the first of them is asked about.
const LOOK_AHEAD: usize = 4096;

impl Inspection {
    /// Begins the round over `dirt`.
    pub fn begin(self, dirt: &Dirt, remembered: Remembered, limits: Limits, now: Millis) -> Round {
        Round {
            pass: Pass {
                now,
                delete_retention_ms: self.config.delete_retention_ms,
                mapped_end: dirt.range.start,
            },
            end: dirt.range.end,
            keys: LastOffsets::new(limits.map_bytes, limits.load_factor),
            log: self,
            limits,
            remembered,
            aborted: None,
            markers: Markers::default(),
            stats: Stats::default(),
        }
    }
}

/// A round under way.
pub struct Round {
    log: Inspection,
    limits: Limits,
    remembered: Remembered,
    /// Nothing from here on is read for its keys.
    end: Offset,
    pass: Pass,
    keys: LastOffsets,
    /// Found once a batch of a transaction is met.
    aborted: Option<Aborted>,
    markers: Markers,
    stats: Stats,
}

impl Round {
    /// The first pass: reads the keys of the dirty part. `None` if the caller ended it; else the
    /// groups of segments to be copied, in order.
    pub fn map_keys(&mut self, pace: Pace<'_>) -> Result<Option<Vec<Range<usize>>>, Error> {
        let first_dirty = self.pass.mapped_end;
        let first = self.log.view.segment_of(first_dirty);
        for index in first..self.log.completed() {
            if self.log.view.segment(index).0.base_offset() >= self.end {
                break;
            }
            match self.map_segment(index, first_dirty, pace)? {
                Mapped::Whole => {}
                Mapped::Full => break,
                Mapped::Ended => return Ok(None),
            }
        }
        self.stats.keys = self.keys.len() as u64;
        Ok(Some(self.groups()?))
    }

    fn map_segment(
        &mut self,
        index: usize,
        first_dirty: Offset,
        pace: Pace<'_>,
    ) -> Result<Mapped, Error> {
        let (segment, size, end) = self.log.view.segment(index);
        let mut walk = segment.clone().walk_to_offset(first_dirty, size)?;
        walk.read_in_pieces_of(self.limits.io_bytes);
        while let Some(header) = peek(&mut walk)? {
            if pace(header.total_size() as u64).is_break() {
                return Ok(Mapped::Ended);
            }
            let is_mapped = header.last_offset() < first_dirty || header.is_control();
            if !is_mapped
                && !self.is_aborted(&header)?
                && let Some(full_at) = self.map_batch(&mut walk, &header, first_dirty)?
            {
                self.pass.mapped_end = self.pass.mapped_end.max(full_at);
                return Ok(Mapped::Full);
            }
            walk.pass(&header);
            self.pass.mapped_end = self.pass.mapped_end.max(header.next_offset());
        }
        self.pass.mapped_end = self.pass.mapped_end.max(end);
        Ok(Mapped::Whole)
    }

    /// The offset of the first record for whose key there is no room, if there is one.
    fn map_batch(
        &mut self,
        walk: &mut HeaderWalk,
        header: &BatchHeader,
        first_dirty: Offset,
    ) -> Result<Option<Offset>, Error> {
        let limit = self.log.max_inflated(header);
        let bytes = walk.whole_batch(header)?;
        let hashes = self.look_ahead(header, bytes);
        let (keys, mut ahead, mut full_at) = (&mut self.keys, hashes.into_iter(), None);
        let looked = retain(bytes, limit, |record| {
            if let Some(key) = record.key {
                let hash = ahead.next().unwrap_or_else(|| keys.hash(key));
                let is_dirty = record.offset >= first_dirty && full_at.is_none();
                if is_dirty && !keys.put(hash, record.offset) {
                    full_at = Some(record.offset);
                }
            }
            false
        });
        looked.map_err(|e| walk.corrupt(&e.to_string()))?;
        Ok(full_at)
    }

    /// The first keys of the batch, fetched. Of a compressed batch none: it would be inflated
    /// twice.
    fn look_ahead(&self, header: &BatchHeader, bytes: &[u8]) -> Vec<Hash> {
        let mut hashes = Vec::new();
        if header.codec() == Some(Codec::None) {
            // What is damaged is found by who reads on.
            let _ = for_each_record(bytes, |record| {
                hashes.extend(record.key.map(|key| self.keys.hash(key)));
                match hashes.len() < LOOK_AHEAD {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            self.keys.fetch(&hashes);
        }
        hashes
    }

    fn groups(&self) -> Result<Vec<Range<usize>>, Error> {
        let mut segments = Vec::new();
        for index in 0..self.log.completed() {
            let facts = self.log.facts_of(index, false)?;
            if facts.base_offset < self.pass.mapped_end {
                segments.push((facts, self.log.view.segment(index).2));
            }
        }
        Ok(groups(&segments, &self.log.config))
    }

    /// The second pass, for one group.
    pub fn copy(&mut self, group: Range<usize>, pace: Pace<'_>) -> Result<Copied, Error> {
        let inputs = group.clone().map(|i| self.log.view.segment(i).0.clone());
        let inputs: Vec<_> = inputs.collect();
        let base_offset = inputs[0].base_offset();
        let copied = self.copy_group(group, inputs, pace);
        if !matches!(copied, Ok(Copied::Changed(_))) {
            remove_cleaned(&self.log.cx, &self.log.shared.path, base_offset);
        }
        copied
    }

    fn copy_group(
        &mut self,
        group: Range<usize>,
        inputs: Vec<Arc<Segment>>,
        pace: Pace<'_>,
    ) -> Result<Copied, Error> {
        let (cx, shared) = (self.log.cx.clone(), self.log.shared.clone());
        let mut output = Output::create(
            &cx,
            &shared.path,
            inputs[0].base_offset(),
            self.log.index_interval_bytes,
            self.limits.io_bytes,
        )?;
        let mut is_changed = inputs.len() > 1;
        for index in group.clone() {
            let is_last = index + 1 == group.end;
            match self.copy_segment(index, is_last, &mut output, pace)? {
                ControlFlow::Continue(changed) => is_changed |= changed,
                ControlFlow::Break(()) => return Ok(Copied::Ended),
            }
        }
        if !is_changed {
            return Ok(Copied::Unchanged);
        }
        let size = output.size();
        let segment = output.finish(&inputs[inputs.len() - 1])?;
        let truncations = self.log.view.truncations();
        let cleaned = Cleaned::new(cx, shared, truncations, segment, size, inputs);
        Ok(Copied::Changed(cleaned))
    }

    /// True if anything of the segment was left out or changed.
    fn copy_segment(
        &mut self,
        index: usize,
        is_last: bool,
        output: &mut Output<'_>,
        pace: Pace<'_>,
    ) -> Result<ControlFlow<(), bool>, Error> {
        let (segment, size, _) = self.log.view.segment(index);
        let mut walk = segment.walk(0, size);
        walk.read_in_pieces_of(self.limits.io_bytes);
        let mut is_changed = false;
        while let Some(header) = peek(&mut walk)? {
            let read = header.total_size() as u64;
            let ends_segment = is_last && walk.position() + read == size;
            let before = output.size();
            is_changed |= self.copy_batch(&mut walk, &header, ends_segment, output)?;
            walk.pass(&header);
            let written = output.size() - before;
            self.stats.read_bytes += read;
            self.stats.written_bytes += written;
            if pace(read + written).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(is_changed))
    }

    fn copy_batch(
        &mut self,
        walk: &mut HeaderWalk,
        header: &BatchHeader,
        ends_segment: bool,
        output: &mut Output<'_>,
    ) -> Result<bool, Error> {
        let batch = Batch {
            is_idle: self.is_idle(walk, header)?,
            is_remembered: self.remembered.holds(header),
            ends_segment,
        };
        self.stats.read_records += header.record_count as u64;
        let bytes = walk.whole_batch(header)?;
        let written = match self.retained(&batch, header, bytes) {
            Ok(Some(retained)) => {
                self.stats.kept_records += retained.count() as u64;
                self.write_retained(&batch, header, bytes, &retained, output)
            }
            Ok(None) => self.write_emptied(&batch, header, output),
            Err(error) => Err(error.into()),
        };
        written.map_err(|error| match error {
            CopyError::Log(error) => error,
            CopyError::Batch(error) => walk.corrupt(&error.to_string()),
        })
    }

    /// Which records stay; `None` if none does.
    fn retained(
        &self,
        batch: &Batch,
        header: &BatchHeader,
        bytes: &[u8],
    ) -> Result<Option<Retained>, BatchError> {
        if self.pass.drops_all(batch, header) {
            return Ok(None);
        }
        let mut ahead = self.look_ahead(header, bytes).into_iter();
        let retained = retain(bytes, self.log.max_inflated(header), |record| {
            let hash = |key| ahead.next().unwrap_or_else(|| self.keys.hash(key));
            let last = record.key.map(hash).and_then(|hash| self.keys.get(hash));
            let forgets = is_planted("compaction.forgets") && record.offset % 50 == 49;
            self.pass.keeps(header, record, last) && !forgets
        })?;
        Ok(Some(retained).filter(|retained| retained.count() > 0))
    }

    /// True if the batch is not as it was.
    fn write_retained(
        &self,
        batch: &Batch,
        header: &BatchHeader,
        bytes: &[u8],
        retained: &Retained,
        output: &mut Output<'_>,
    ) -> Result<bool, CopyError> {
        let horizon = self.pass.new_horizon(batch, header, retained.tombstones);
        if retained.is_whole() && horizon.is_none() {
            output.append(|out| {
                out.extend_from_slice(bytes);
                Ok(*header)
            })?;
            return Ok(false);
        }
        let limit = self.log.max_inflated(header);
        output.append(|out| rewrite(bytes, retained, horizon, limit, out))?;
        Ok(true)
    }

    fn write_emptied(
        &self,
        batch: &Batch,
        header: &BatchHeader,
        output: &mut Output<'_>,
    ) -> Result<bool, CopyError> {
        match self.pass.emptied(batch) {
            Emptied::Dropped => Ok(true),
            Emptied::HeaderStays => {
                output.append(|out| Ok(empty(*header, out)))?;
                Ok(header.record_count > 0)
            }
        }
    }

    /// Aborted data, or a marker that nothing depends on.
    fn is_idle(&mut self, walk: &mut HeaderWalk, header: &BatchHeader) -> Result<bool, Error> {
        if header.is_control() {
            let marker = marker_of(walk, header)?;
            return Ok(self.markers.is_idle(header, marker));
        }
        self.markers.data(header);
        self.is_aborted(header)
    }

    fn is_aborted(&mut self, header: &BatchHeader) -> Result<bool, Error> {
        if !header.is_transactional() {
            return Ok(false);
        }
        let aborted = match self.aborted.take() {
            Some(aborted) => aborted,
            None => self.log.aborted()?,
        };
        Ok(self.aborted.insert(aborted).holds(header))
    }

    /// Everything below is compacted once every group is copied and swapped.
    pub fn end(&self) -> Offset {
        self.pass.mapped_end
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What an error of this round means: nothing if the log is no longer what it was, a failed
    /// directory if it could not be written.
    pub fn judge(&self, error: Error) -> Option<Error> {
        if self.log.is_outdated() {
            return None;
        }
        let is_of_reading = matches!(
            error,
            Error::Io {
                action: "read" | "open" | "stat",
                ..
            }
        );
        Some(match is_of_reading || error.may_pass() {
            // The space is wanted for appends; they find out for themselves whether there is any.
            true => error,
            false => self.log.cx.write_failed(error),
        })
    }
}

/// What came of copying a group of segments.
pub enum Copied {
    /// A segment that waits to take their place, durable but in nobody's way.
    Changed(Cleaned),
    /// It is one segment, and nothing of it is to go.
    Unchanged,
    /// The caller ended the round.
    Ended,
}

/// How the first pass left a segment.
enum Mapped {
    Whole,
    /// There is no room for another key.
    Full,
    /// The caller ended the round.
    Ended,
}

impl Inspection {
    /// Every segment but the active one.
    fn completed(&self) -> usize {
        self.view.len() - 1
    }

    /// Every aborted transaction of the log, by headers and markers alone: a transaction may end
    /// behind what is compacted, so all of it is walked.
    fn aborted(&self) -> Result<Aborted, Error> {
        let mut aborted = Aborted::default();
        for index in 0..self.view.len() {
            let (segment, size, _) = self.view.segment(index);
            let mut walk = segment.walk(0, size);
            while let Some(header) = peek(&mut walk)? {
                if header.is_control() {
                    let marker = marker_of(&mut walk, &header)?;
                    aborted.observe(&header, Some(marker));
                } else if header.is_transactional() {
                    aborted.observe(&header, None);
                }
                walk.pass(&header);
            }
        }
        Ok(aborted)
    }
}

/// The batch under the cursor; `None` at the end of the segment.
fn peek(walk: &mut HeaderWalk) -> Result<Option<BatchHeader>, Error> {
    match walk.peek()? {
        Step::Batch(header) => Ok(Some(header)),
        Step::End => Ok(None),
        Step::Bad(detail) => Err(walk.corrupt(detail)),
    }
}

/// What the control batch under the cursor says.
fn marker_of(walk: &mut HeaderWalk, header: &BatchHeader) -> Result<Marker, Error> {
    let mut marker = Marker::Emptied;
    let shown = for_each_record(walk.whole_batch(header)?, |record| {
        marker = Marker::of_key(record.key);
        ControlFlow::Break(())
    });
    shown.map_err(|e| walk.corrupt(&e.to_string()))?;
    Ok(marker)
}
