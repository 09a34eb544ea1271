//! How a log comes to begin later: retention decides up to where, the start offset moves, and the
//! segments that end at or below it leave the log, lose their names and are unlinked much later.
//!
//! Three steps, so that no lock is held over file calls and a crash between them is harmless:
//! [`Log::plan_retention`] under the partition's lock and [`RetentionPlan::run`] without it say
//! what may go; [`Log::apply_retention`] or [`Log::raise_start`] move the start, which the caller
//! checkpoints; [`Log::detach_segments`] takes whole segments out of the log and
//! [`Detached::rename`], without the lock, gives their files deleted names. Until then they are
//! found again by the next start, which knows from the checkpoint that they are to go.
//! (Kafka: UnifiedLog.deleteOldSegments, maybeIncrementLogStartOffset, LocalLog.deleteSegmentFiles.)

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::log::context::{LogContext, Shared};
use crate::log::read::View;
use crate::log::recovery::base_of;
use crate::log::segment::{Segment, file_name};
use crate::log::time_index::{NO_TIMESTAMP, TimeEntry};
use crate::log::{Error, Log, index};
use crate::types::{Millis, Offset};

/// What a topic lets retention take. Negative: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `cleanup.policy` has `delete`; without it only what lies below the log start goes.
    pub delete: bool,
    /// `retention.ms`
    pub ms: i64,
    /// `retention.bytes`
    pub bytes: i64,
}

/// A question to retention, to be answered without the lock.
pub struct RetentionPlan {
    view: View,
    retention: Retention,
    by_time: bool,
    high_watermark: Offset,
    now: Millis,
    /// Largest timestamp of the active segment.
    active_timestamp: Millis,
}

/// Up to where a log may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The first offset that stays.
    pub below: Offset,
    /// Bytes of the segments before it.
    pub bytes: u64,
    /// The setting that takes the last of them.
    pub by: &'static str,
    /// The active segment is among them.
    with_active: bool,
}

impl Log {
    /// Asks what retention may take now; `None` if it is certain that there is nothing. Deletion
    /// by time is left out unless `by_time`. `now` is wall time, ms.
    pub fn plan_retention(
        &self,
        high_watermark: Offset,
        by_time: bool,
        now: Millis,
    ) -> Option<RetentionPlan> {
        let retention = self.config.retention;
        let limits_time = by_time && retention.ms >= 0;
        let limits_size = retention.bytes >= 0;
        if !retention.delete || !(limits_time || limits_size) || self.check_healthy().is_err() {
            return None;
        }
        let active = self.active.as_ref();
        Some(RetentionPlan {
            view: self.view(),
            retention,
            by_time: limits_time,
            high_watermark,
            now,
            active_timestamp: active.map_or(NO_TIMESTAMP, |a| a.rule.largest().timestamp),
        })
    }

    /// Moves the start to where retention said; an expired active segment is completed first, if
    /// nothing was appended to it meanwhile. True if the start moved.
    pub fn apply_retention(&mut self, expired: Expired, now: Millis) -> Result<bool, Error> {
        self.check_healthy()?;
        let mut below = expired.below;
        if let Some(active) = &self.active
            && expired.with_active
        {
            if self.log_end_offset != below || active.size == 0 {
                below = active.segment.base_offset();
            } else {
                self.roll(now)?;
            }
        }
        Ok(below <= self.log_end_offset && self.raise_start(below))
    }

    /// Completes the active segment, if it holds anything, so that it can be detached.
    pub fn roll(&mut self, now: Millis) -> Result<(), Error> {
        if self.active.as_ref().is_none_or(|active| active.size == 0) {
            return Ok(());
        }
        self.seal_active()?;
        let created = self.create_active(now);
        created.map_err(|e| self.cx.write_failed(e))
    }

    /// Clients no longer see what lies below `offset`, which is at most the high watermark. True
    /// if the start moved: the caller checkpoints it. Producers keep their windows (R70).
    pub fn raise_start(&mut self, offset: Offset) -> bool {
        assert!(
            offset <= self.log_end_offset,
            "{} cannot begin at {offset}, beyond its end {}",
            self.shared.name,
            self.log_end_offset
        );
        if offset <= self.log_start_offset {
            return false;
        }
        self.log_start_offset = offset;
        if self.epochs.truncate_from_start(offset) {
            self.durability.epochs_changed();
        }
        true
    }

    /// Whether whole segments lie below the start.
    pub fn has_detachable(&self) -> bool {
        self.detachable(1) > 0
    }

    /// Takes up to `limit` segments that end at or below the start out of the log, oldest first.
    /// Readers that have planned with them still find them.
    pub fn detach_segments(&mut self, limit: usize) -> Option<Detached> {
        let count = self.detachable(limit);
        if count == 0 || self.check_healthy().is_err() {
            return None;
        }
        let sealed = Arc::make_mut(&mut self.sealed);
        let segments: Vec<_> = sealed.drain(..count).map(|s| s.segment).collect();
        let first = self.sealed.first().map(|s| &s.segment);
        let first = first.or(self.active.as_ref().map(|active| &active.segment));
        let begins_at = first.map_or(self.log_end_offset, |segment| segment.base_offset());
        Some(Detached {
            cx: self.cx.clone(),
            shared: self.shared.clone(),
            segments,
            snapshots: self.durability.segments_gone(begins_at),
        })
    }

    fn detachable(&self, limit: usize) -> usize {
        let active = self.active.as_ref().map(|active| &active.segment);
        let bases = self.sealed.iter().map(|s| &s.segment).chain(active);
        // One ends where the next one begins; the last one of a log stays.
        let ends = bases.skip(1).map(|next| next.base_offset());
        ends.take(limit)
            .take_while(|end| *end <= self.log_start_offset)
            .count()
    }
}

impl RetentionPlan {
    /// Makes the file calls: at most one index file per segment that goes, and one more. Hold no
    /// lock. `None`: everything stays.
    pub fn run(&self) -> Result<Option<Expired>, Error> {
        self.view.judge(self.find(), None)
    }

    fn find(&self) -> Result<Option<Expired>, Error> {
        let sizes = (0..self.view.len()).map(|index| self.view.segment(index).1);
        let mut over = match self.retention.bytes {
            ..0 => 0,
            limit => sizes.sum::<u64>().saturating_sub(limit as u64),
        };
        let mut found: Option<Expired> = None;
        for index in 0..self.view.len() {
            let (segment, size, end) = self.view.segment(index);
            let is_active = index + 1 == self.view.len() && self.view.ends_with_active();
            if end > self.high_watermark || (is_active && size == 0) {
                break;
            }
            let by = if over > 0 && size <= over {
                "retention.bytes"
            } else if self.by_time && self.is_expired(segment, is_active)? {
                "retention.ms"
            } else {
                break;
            };
            over = over.saturating_sub(size);
            found = Some(Expired {
                below: end,
                bytes: found.map_or(0, |found| found.bytes) + size,
                by,
                with_active: is_active,
            });
        }
        Ok(found)
    }

    /// Whether every record is older than `retention.ms`. Records without a timestamp are as old
    /// as their file.
    fn is_expired(&self, segment: &Arc<Segment>, is_active: bool) -> Result<bool, Error> {
        let largest = match is_active && self.active_timestamp >= 0 {
            true => self.active_timestamp,
            false if is_active => segment.age()?,
            false => segment.timestamp_or_age()?,
        };
        Ok(self.now.saturating_sub(largest) > self.retention.ms)
    }
}

impl Segment {
    /// The largest timestamp of a sealed segment, or the age of its file if it has none.
    pub(super) fn timestamp_or_age(self: &Arc<Self>) -> Result<Millis, Error> {
        match self.largest_timestamp()?.timestamp {
            largest @ 0.. => Ok(largest),
            _ => self.age(),
        }
    }

    fn age(&self) -> Result<Millis, Error> {
        let modified = modified_ms(self.log().get()?.metadata());
        modified.map_err(|e| Error::io("stat", self.log().path(), e))
    }
}

/// Wall time of a file's last change.
fn modified_ms(metadata: io::Result<Metadata>) -> io::Result<Millis> {
    let since = metadata?.modified()?.duration_since(UNIX_EPOCH);
    Ok(since.map_or(0, |since| since.as_millis() as Millis))
}

/// What the files of a log say without opening it.
#[derive(Clone, Copy, Debug)]
pub struct IdleLog {
    bytes: u64,
    /// `None`: there are no segments.
    first: Option<IdleSegment>,
    last_base: Option<Offset>,
}

#[derive(Clone, Copy, Debug)]
struct IdleSegment {
    bytes: u64,
    largest_timestamp: Millis,
    /// Where the next segment begins.
    end: Option<Offset>,
}

impl IdleLog {
    /// Lists the log in directory `name` and reads the end of its first time index. Unlinks what
    /// retention had renamed before the last stop.
    pub fn look(cx: &LogContext, name: &str) -> Result<IdleLog, Error> {
        cx.check_online()?;
        let path = cx.path().join(name);
        let names = cx.files.list(&path);
        let names = names.map_err(|e| Error::io("list", &path, e))?;
        let names = names.unwrap_or_default();
        for name in names.keys().filter(|name| name.ends_with(".deleted")) {
            let path = path.join(name);
            let removed = cx.files.remove(&path);
            removed.map_err(|e| cx.write_failed(Error::io("remove", &path, e)))?;
        }
        let logs = || names.iter().filter(|(name, _)| name.ends_with(".log"));
        let mut bases = logs().filter_map(|(name, length)| Some((base_of(name)?, *length)));
        let last_base = bases.clone().next_back().map(|(base, _)| base);
        let first = match bases.next() {
            None => None,
            Some((base, bytes)) => Some(IdleSegment {
                bytes,
                largest_timestamp: largest_in_file(cx, &path, base)?,
                end: bases.next().map(|(base, _)| base),
            }),
        };
        Ok(IdleLog {
            bytes: logs().map(|(_, length)| length).sum(),
            first,
            last_base,
        })
    }

    /// Whether there is a completed segment that compaction has not reached.
    pub fn may_be_dirty(&self, cleaned_to: Option<Offset>) -> bool {
        self.first.is_some_and(|first| first.end.is_some()) && cleaned_to != self.last_base
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether retention may take the first segment now, as far as the files tell.
    pub fn may_lose(
        &self,
        retention: &Retention,
        log_start_offset: Offset,
        by_time: bool,
        now: Millis,
    ) -> bool {
        let Some(first) = self.first.filter(|_| self.bytes > 0) else {
            return false;
        };
        let below_start = first.end.is_some_and(|end| end <= log_start_offset);
        let too_old = by_time
            && retention.ms >= 0
            && now.saturating_sub(first.largest_timestamp) > retention.ms;
        let too_large = retention.bytes >= 0
            && self.bytes.saturating_sub(first.bytes) >= retention.bytes as u64;
        below_start || (retention.delete && (too_old || too_large))
    }
}

/// The last time entry of the segment at `base`, else the age of its file.
fn largest_in_file(cx: &LogContext, directory: &Path, base: Offset) -> Result<Millis, Error> {
    let path = directory.join(file_name(base, "timeindex"));
    let bytes = cx.files.read_file(&path);
    let bytes = bytes.map_err(|e| Error::io("read", &path, e))?;
    let (times, _) = index::parse::<TimeEntry>(bytes.as_deref());
    if let Some(last) = times.last() {
        return Ok(last.timestamp);
    }
    let path = directory.join(file_name(base, "log"));
    let metadata = std::fs::metadata(&path);
    modified_ms(metadata).map_err(|e| Error::io("stat", &path, e))
}

/// Segments that left a log and still have their names.
pub struct Detached {
    cx: Arc<LogContext>,
    shared: Arc<Shared>,
    segments: Vec<Arc<Segment>>,
    snapshots: Vec<Offset>,
}

impl Detached {
    /// How many.
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Gives the files deleted names and returns them, to be unlinked `file.delete.delay.ms`
    /// later; nothing if the log was closed or deleted meanwhile. Hold no lock.
    pub fn rename(self) -> Result<Vec<PathBuf>, Error> {
        let Some(_gate) = self.shared.enter() else {
            return Ok(Vec::new());
        };
        let mut renamed = Vec::new();
        for segment in &self.segments {
            let names = segment.rename_deleted();
            renamed.extend(names.map_err(|e| self.cx.write_failed(e))?);
        }
        for &at in &self.snapshots {
            let path = self.shared.path.join(file_name(at, "snapshot"));
            let removed = self.cx.files.remove(&path);
            removed.map_err(|e| self.cx.write_failed(Error::io("remove", &path, e)))?;
        }
        Ok(renamed)
    }
}

#[cfg(test)]
mod tests;
