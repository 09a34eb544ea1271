//! How a log becomes durable up to an offset without holding its lock, and when that is due.
//! The thread that does it is in [`crate::log::flusher`].
//!
//! Two purposes: a commit syncs the batches that acknowledgements wait for; a checkpoint writes
//! what is derived from them as well and moves the recovery point.
//!
//! Under the lock [`Log::start_flush`] copies what has to be written; [`FlushWork::run`] syncs
//! the data first and writes what is derived from it afterwards; [`Log::flushed`], under the lock
//! again, moves the recovery point. Nothing moves before the sync that justifies it.
//! (storage.md section 3; Kafka: UnifiedLog.flush, LocalLog.flush.)

use std::sync::Arc;

use crate::log::context::{LogContext, Unsynced};
use crate::log::segment::{Segment, file_name};
use crate::log::{Error, Log, Sealed};
use crate::types::{Millis, Offset};

mod work;

use work::{Done, remove_snapshots, sync_indexes, write_epochs};
pub use work::{FlushWork, Flushed};
pub(super) use work::{sync_directory, sync_logs};

/// One partition never has more unsynced bytes than this for long.
const UNSYNCED_BYTES: u64 = 64 << 20;
/// Nor older ones.
const UNSYNCED_MS: i64 = 60_000;

/// What an append wants of the flusher. The caller passes it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushNeed {
    /// `flush.messages` or durable mode: nobody may hear of the append before
    /// [`Log::synced_offset`] has reached its next offset.
    pub before_ack: bool,
    /// A checkpoint is due after this many ms: 60 s or `flush.ms` for the first byte since the
    /// last one, 0 for 64 MiB or a completed segment. `None`: it was asked for already.
    pub checkpoint_within_ms: Option<i64>,
}

impl FlushNeed {
    pub fn is_none(&self) -> bool {
        *self == FlushNeed::default()
    }
}

/// What a flush is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An acknowledgement waits: the batches and the names of their files, nothing else.
    Commit,
    /// The recovery point shall move: everything derived from the batches as well.
    Checkpoint,
}

/// What of a log is not durable yet.
pub(super) struct Durability {
    recovery_point: Offset,
    /// Everything below is on the device; never below the recovery point.
    synced_offset: Offset,
    /// Bytes since the last checkpoint began.
    unsynced: Unsynced,
    /// Records since the last flush of either purpose began.
    unsynced_records: i64,
    /// Wall time of the first append since the last checkpoint began.
    dirty_since: Option<Millis>,
    /// A checkpoint was asked for at once since the last one began.
    reported: bool,
    /// Completed segments that no checkpoint has covered.
    sealed: Vec<Sealed>,
    epochs_changed: bool,
    /// Counts files created and removed; the directory was synced at `names_synced`.
    names: u64,
    names_synced: u64,
    directory_created: bool,
    /// Appended to since the index files of the active segment were complete.
    indexes_behind: bool,
    in_flight: bool,
    /// Producer snapshots on disk.
    snapshots: Vec<Offset>,
}

impl Durability {
    pub fn new(cx: &Arc<LogContext>, recovery_point: Offset) -> Durability {
        Durability {
            recovery_point,
            synced_offset: recovery_point,
            unsynced: Unsynced::new(cx),
            unsynced_records: 0,
            dirty_since: None,
            reported: false,
            sealed: Vec::new(),
            epochs_changed: false,
            names: 0,
            names_synced: 0,
            directory_created: false,
            indexes_behind: false,
            in_flight: false,
            snapshots: Vec::new(),
        }
    }

    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// Takes in an append; true if it is the first since the last checkpoint began.
    pub fn appended(&mut self, bytes: u64, records: i64, now: Millis) -> bool {
        self.unsynced.add(bytes);
        self.unsynced_records += records;
        self.indexes_behind = true;
        self.dirty_since
            .replace(self.dirty_since.unwrap_or(now))
            .is_none()
    }

    pub fn sealed(&mut self, sealed: Sealed) {
        self.sealed.push(sealed);
        self.reported = false;
    }

    /// Others, which are durable, have taken the place of these segments.
    pub fn segments_replaced(&mut self, old: &[Arc<Segment>]) {
        self.sealed
            .retain(|s| !old.iter().any(|old| Arc::ptr_eq(old, &s.segment)));
    }

    /// Completed segments that begin below `offset` have left the log, and with them the
    /// snapshots there, which are returned to be removed; unless nothing newer is durable yet.
    pub fn segments_gone(&mut self, offset: Offset) -> Vec<Offset> {
        self.sealed.retain(|s| s.segment.base_offset() >= offset);
        self.names += 1;
        if self.recovery_point < offset {
            return Vec::new();
        }
        let (below, kept) = self.snapshots.iter().partition(|&&at| at < offset);
        self.snapshots = kept;
        below
    }

    pub fn epochs_changed(&mut self) {
        self.epochs_changed = true;
    }

    pub fn names_changed(&mut self) {
        self.names += 1;
    }

    pub fn directory_created(&mut self) {
        self.directory_created = true;
        self.names += 1;
    }

    /// The index files do not cover all of the active segment.
    pub fn indexes_behind(&mut self) {
        self.indexes_behind = true;
    }

    pub fn set_snapshots(&mut self, offsets: Vec<Offset>) {
        self.snapshots = offsets;
    }

    /// Forgets the snapshots above `offset` and returns them, to be removed.
    pub fn take_snapshots_above(&mut self, offset: Offset) -> Vec<Offset> {
        let (above, kept) = self.snapshots.iter().partition(|&&at| at > offset);
        self.snapshots = kept;
        above
    }

    /// True if the recovery point was above `offset`.
    pub fn lower(&mut self, offset: Offset) -> bool {
        let was_above = self.recovery_point > offset;
        self.recovery_point = self.recovery_point.min(offset);
        self.synced_offset = self.synced_offset.min(offset);
        was_above
    }
}

impl Log {
    /// Everything below it is on the device: what acknowledgements wait for in durable modes.
    /// At or above the recovery point, which only a checkpoint moves.
    pub fn synced_offset(&self) -> Offset {
        self.durability.synced_offset
    }

    /// What the append just made means for the flusher. `was_clean`: it is the first since the
    /// last checkpoint.
    pub(super) fn flush_need(&mut self, was_clean: bool) -> FlushNeed {
        let d = &mut self.durability;
        let now = d.unsynced.bytes() >= UNSYNCED_BYTES || !d.sealed.is_empty();
        let checkpoint_within_ms = if now && !d.reported {
            d.reported = true;
            Some(0)
        } else {
            was_clean.then_some(self.config.flush_ms.clamp(0, UNSYNCED_MS))
        };
        FlushNeed {
            before_ack: self.cx.options.durable || d.unsynced_records >= self.config.flush_messages,
            checkpoint_within_ms,
        }
    }

    /// Begins a checkpoint of the log as it is now. `None` if there is nothing to do, a flush is
    /// under way, or the log is out of service. `now` is wall time, ms.
    pub fn start_flush(&mut self, now: Millis) -> Option<FlushWork> {
        if !self.needs_checkpoint() {
            return None;
        }
        let mut work = self.start(Purpose::Checkpoint)?;
        let d = &mut self.durability;
        d.reported = true;
        work.bytes = d.unsynced.bytes();
        d.unsynced.reset();
        work.dirty_since = d.dirty_since.take().unwrap_or(now);
        work.sealed = d.sealed.iter().map(|s| s.segment.clone()).collect();
        work.epochs = d.epochs_changed.then(|| self.epochs.to_text());
        work.snapshot = (!self.producers.is_empty()).then(|| self.producers.snapshot());
        work.stale_snapshots = self.stale_snapshots();
        work.tails = self.active.as_ref().and_then(|active| {
            let tails = active.segment.unpersisted()?;
            Some((active.segment.clone(), tails))
        });
        Some(work)
    }

    /// Begins a sync for waiting acknowledgements; see [`Log::start_flush`].
    pub fn start_commit(&mut self) -> Option<FlushWork> {
        if self.durability.synced_offset >= self.log_end_offset {
            return None;
        }
        self.start(Purpose::Commit)
    }

    fn start(&mut self, purpose: Purpose) -> Option<FlushWork> {
        if self.durability.in_flight || self.check_healthy().is_err() {
            return None;
        }
        let d = &mut self.durability;
        d.in_flight = true;
        d.unsynced_records = 0;
        let active = self.active.as_ref().map(|active| &active.segment);
        let logs = d.sealed.iter().map(|s| &s.segment).chain(active);
        Some(FlushWork {
            cx: self.cx.clone(),
            shared: self.shared.clone(),
            truncations: self.shared.truncations(),
            purpose,
            offset: self.log_end_offset,
            dirty_since: 0,
            bytes: 0,
            logs: logs.map(|s| s.log().clone()).collect(),
            sealed: Vec::new(),
            tails: None,
            snapshot: None,
            stale_snapshots: Vec::new(),
            epochs: None,
            names: d.names,
            names_changed: d.names != d.names_synced,
            directory_created: d.directory_created,
        })
    }

    fn needs_checkpoint(&self) -> bool {
        let d = &self.durability;
        let has_directory = self.active.is_some() || !self.sealed.is_empty();
        let behind = d.recovery_point < self.log_end_offset || !d.sealed.is_empty();
        has_directory && (behind || d.epochs_changed || d.names != d.names_synced)
    }

    /// Snapshots that a checkpoint at the log end makes useless: those that no segment begins
    /// with, and all of them once there are no producers.
    fn stale_snapshots(&self) -> Vec<Offset> {
        let active = self.active.as_ref().map(|active| &active.segment);
        let segments = || self.sealed.iter().map(|s| &s.segment).chain(active);
        let is_base = |at: Offset| segments().any(|s| s.base_offset() == at);
        let snapshots = self.durability.snapshots.iter().copied();
        if self.producers.is_empty() {
            return snapshots.collect();
        }
        let end = self.log_end_offset;
        snapshots.filter(|&at| at != end && !is_base(at)).collect()
    }

    /// Takes in what a flush has done and returns [`Log::synced_offset`]; nothing moves unless
    /// the flush succeeded. After a full disk it may be tried again; every other error has taken
    /// the directory offline.
    pub fn flushed(&mut self, flushed: Flushed) -> Result<Offset, Error> {
        let d = &mut self.durability;
        if flushed.truncations != self.shared.truncations() {
            return Ok(d.synced_offset);
        }
        d.in_flight = false;
        let done = match flushed.outcome {
            Ok(done) => done,
            Err(error) => {
                if flushed.purpose == Purpose::Checkpoint {
                    d.dirty_since = Some(flushed.dirty_since);
                }
                return Err(error);
            }
        };
        if done.abandoned {
            return Ok(d.synced_offset);
        }
        let end = self.log_end_offset;
        assert!(
            flushed.offset <= end,
            "{} flushed to {}, beyond its end {end}",
            self.shared.name,
            flushed.offset
        );
        d.synced_offset = d.synced_offset.max(flushed.offset);
        d.names_synced = flushed.names;
        d.directory_created = false;
        if flushed.purpose == Purpose::Checkpoint {
            self.checkpointed(flushed.offset, &flushed.sealed, done);
            if let Some((segment, tails)) = &flushed.tails {
                segment.persisted(tails, flushed.offset == end);
            }
        }
        Ok(self.durability.synced_offset)
    }

    fn checkpointed(&mut self, offset: Offset, sealed: &[Offset], done: Done) {
        let d = &mut self.durability;
        d.recovery_point = d.recovery_point.max(offset);
        d.sealed
            .retain(|s| !sealed.contains(&s.segment.base_offset()));
        // What was asked for while it ran was asked for a segment completed meanwhile.
        d.reported &= !d.sealed.is_empty();
        d.epochs_changed &= done.epochs.as_ref() != Some(&self.epochs.to_text());
        d.snapshots.retain(|at| !done.removed.contains(at));
        if done.snapshot && !d.snapshots.contains(&offset) {
            d.snapshots.push(offset);
        }
    }

    /// Writes the producers as of `offset`; nothing if there are none.
    pub(super) fn write_snapshot(&mut self, offset: Offset, sync: bool) -> Result<(), Error> {
        if self.producers.is_empty() {
            return Ok(());
        }
        let path = self.shared.path.join(file_name(offset, "snapshot"));
        let bytes = self.producers.snapshot();
        let written = self.cx.files.replace_file(&path, &bytes, sync);
        written.map_err(|e| Error::io("write", &path, e))?;
        if !self.durability.snapshots.contains(&offset) {
            self.durability.snapshots.push(offset);
        }
        Ok(())
    }

    /// Clean stop: everything durable, indexes and snapshot written, nothing preallocated. The
    /// log takes no calls afterwards. Costs no file call if nothing changed since it was opened.
    /// The flusher must have stopped. Returns the recovery point to checkpoint.
    pub fn close(&mut self) -> Result<Offset, Error> {
        self.close_with(true)
    }

    /// The same for a stop of many logs: the caller makes one
    /// [`LogContext::sync_filesystem`] before it writes any checkpoint or the clean marker.
    pub fn close_without_sync(&mut self) -> Result<Offset, Error> {
        self.close_with(false)
    }

    fn close_with(&mut self, sync: bool) -> Result<Offset, Error> {
        self.check_healthy()?;
        let shared = self.shared.clone();
        let _gate = shared.shut();
        self.hot_tail.clear();
        if self.needs_checkpoint() || self.durability.indexes_behind {
            let closed = self.write_all(sync);
            closed.map_err(|e| self.cx.write_failed(e))?;
        }
        self.durability = Durability::new(&self.cx, self.log_end_offset);
        Ok(self.recovery_point())
    }

    fn write_all(&mut self, sync: bool) -> Result<(), Error> {
        let d = &self.durability;
        let has_grown = d.indexes_behind || d.recovery_point < self.log_end_offset;
        let epochs_changed = d.epochs_changed;
        if let Some(active) = &mut self.active
            && has_grown
        {
            if active.allocated > active.size {
                active.segment.log().truncate(active.size)?;
                active.allocated = active.size;
            }
            active.segment.finish_indexes(active.rule.close(), sync)?;
        }
        if has_grown {
            self.write_snapshot(self.log_end_offset, sync)?;
        }
        if epochs_changed {
            write_epochs(&self.cx, &self.shared, &self.epochs.to_text(), sync)?;
        }
        if sync {
            self.sync_all()?;
        }
        remove_snapshots(&self.cx, &self.shared, &self.stale_snapshots())
    }

    /// Syncs the completed segments that begin below `offset`, with their indexes.
    pub(super) fn sync_unsynced_below(&self, offset: Offset) -> Result<(), Error> {
        for sealed in &self.durability.sealed {
            let segment = &sealed.segment;
            if segment.base_offset() < offset {
                sync_logs(&self.cx, &[segment.log().begin_sync()])?;
                sync_indexes(&self.cx, segment)?;
            }
        }
        Ok(())
    }

    fn sync_all(&self) -> Result<(), Error> {
        self.sync_unsynced_below(Offset::MAX)?;
        if let Some(active) = &self.active {
            sync_logs(&self.cx, &[active.segment.log().begin_sync()])?;
        }
        sync_directory(&self.cx, &self.shared.path)?;
        if self.durability.directory_created {
            sync_directory(&self.cx, self.cx.path())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
