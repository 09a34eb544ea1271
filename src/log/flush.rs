//! The flush checkpoint: how a log becomes durable up to an offset without holding its lock,
//! and when that is due. The thread that does it is in [`crate::log::flusher`].
//!
//! Under the lock [`Log::start_flush`] copies what has to be written; [`FlushWork::run`] syncs
//! the data first and writes what is derived from it afterwards; [`Log::flushed`], under the lock
//! again, moves the recovery point. Nothing moves before the sync that justifies it.
//! (storage.md section 3; Kafka: UnifiedLog.flush, LocalLog.flush.)

use std::path::Path;
use std::sync::Arc;

use crate::log::context::{LogContext, Shared};
use crate::log::files::{LogFile, PendingSync};
use crate::log::segment::{IndexTails, Segment, file_name};
use crate::log::{EPOCHS_FILE, Error, Log, Sealed};
use crate::types::{Millis, Offset};

/// One partition never has more unsynced bytes than this for long.
const UNSYNCED_BYTES: u64 = 64 << 20;
/// Nor older ones.
const UNSYNCED_MS: i64 = 60_000;

/// How soon an append wants a flush. The caller passes it on to the flusher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A flush is on its way already.
    None,
    /// The first unsynced bytes: flush after this many ms (60 s or `flush.ms`).
    Within(i64),
    /// 64 MiB unsynced, or a segment was completed.
    Soon,
    /// `flush.messages` or durable mode: nobody may hear of the append before the recovery point
    /// has passed it.
    BeforeAck,
}

/// What of a log is not durable yet.
#[derive(Default)]
pub(super) struct Durability {
    recovery_point: Offset,
    unsynced_bytes: u64,
    unsynced_records: i64,
    /// Wall time of the first unsynced append.
    dirty_since: Option<Millis>,
    /// [`Urgency::Soon`] was reported since the last flush began.
    reported: bool,
    /// Completed segments whose data or indexes are unsynced.
    sealed: Vec<Sealed>,
    epochs_changed: bool,
    names_changed: bool,
    directory_created: bool,
    /// Appended to since the index files of the active segment were complete.
    indexes_behind: bool,
    in_flight: bool,
    /// Snapshots on disk that no segment begins with; only the newest is needed.
    loose_snapshots: Vec<Offset>,
}

impl Durability {
    pub fn new(recovery_point: Offset) -> Durability {
        Durability {
            recovery_point,
            ..Durability::default()
        }
    }

    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    pub fn appended(&mut self, bytes: u64, records: i64, now: Millis) {
        self.unsynced_bytes += bytes;
        self.unsynced_records += records;
        self.indexes_behind = true;
        self.dirty_since.get_or_insert(now);
    }

    pub fn sealed(&mut self, sealed: Sealed) {
        self.sealed.push(sealed);
    }

    pub fn epochs_changed(&mut self) {
        self.epochs_changed = true;
    }

    pub fn names_changed(&mut self) {
        self.names_changed = true;
    }

    pub fn directory_created(&mut self) {
        self.directory_created = true;
        self.names_changed = true;
    }

    /// The index files do not cover all of the active segment.
    pub fn indexes_behind(&mut self) {
        self.indexes_behind = true;
    }

    pub fn set_loose_snapshots(&mut self, offsets: Vec<Offset>) {
        self.loose_snapshots = offsets;
    }

    /// No append since the last flush began.
    pub fn is_clean(&self) -> bool {
        self.dirty_since.is_none()
    }
}

impl Log {
    /// Whether every single append waits for its sync.
    pub(super) fn syncs_every_append(&self) -> bool {
        self.cx.options.durable || self.config.flush_messages <= 1
    }

    /// What the append just made means for the flusher. `was_clean`: it is the first unsynced.
    pub(super) fn flush_urgency(&mut self, was_clean: bool) -> Urgency {
        let d = &self.durability;
        let is_due = d.unsynced_records >= self.config.flush_messages;
        if self.cx.options.durable || is_due {
            return Urgency::BeforeAck;
        }
        let soon = d.unsynced_bytes >= UNSYNCED_BYTES || !d.sealed.is_empty();
        if soon && !d.reported {
            self.durability.reported = true;
            return Urgency::Soon;
        }
        if was_clean {
            return Urgency::Within(self.config.flush_ms.clamp(0, UNSYNCED_MS));
        }
        Urgency::None
    }

    /// Begins a flush up to the present log end. `None` if there is nothing to do, one is under
    /// way, or the log is out of service.
    pub fn start_flush(&mut self, now: Millis) -> Option<FlushWork> {
        if self.durability.in_flight || !self.needs_flush() || self.check_healthy().is_err() {
            return None;
        }
        let offset = self.log_end_offset;
        let active = self.active.as_ref().map(|active| &active.segment);
        let d = &mut self.durability;
        d.in_flight = true;
        d.reported = false;
        d.unsynced_bytes = 0;
        d.unsynced_records = 0;
        let sealed: Vec<_> = d.sealed.iter().map(|s| s.segment.clone()).collect();
        let stale = d.loose_snapshots.iter().copied();
        Some(FlushWork {
            cx: self.cx.clone(),
            shared: self.shared.clone(),
            truncations: self.shared.truncations(),
            offset,
            dirty_since: d.dirty_since.take().unwrap_or(now),
            logs: sealed
                .iter()
                .chain(active)
                .map(|s| s.log().clone())
                .collect(),
            sealed,
            tails: active.and_then(|segment| Some((segment.clone(), segment.unpersisted()?))),
            snapshot: (!self.producers.is_empty()).then(|| self.producers.snapshot()),
            stale_snapshots: stale.filter(|&at| at != offset).collect(),
            epochs: d.epochs_changed.then(|| self.epochs.to_text()),
            names_changed: d.names_changed,
            directory_created: d.directory_created,
        })
    }

    fn needs_flush(&self) -> bool {
        let d = &self.durability;
        let has_directory = self.active.is_some() || !self.sealed.is_empty();
        let behind = d.recovery_point < self.log_end_offset;
        has_directory && (behind || d.epochs_changed || d.names_changed || !d.sealed.is_empty())
    }

    /// Takes in what a flush has done and returns the recovery point; it moves only if the
    /// flush succeeded. After a full disk the flush may be tried again later; every other error
    /// has taken the directory offline.
    pub fn flushed(&mut self, flushed: Flushed) -> Result<Offset, Error> {
        let d = &mut self.durability;
        d.in_flight = false;
        let done = match flushed.outcome {
            Ok(done) => done,
            Err(error) => {
                d.dirty_since = Some(d.dirty_since.unwrap_or(flushed.dirty_since));
                return Err(error);
            }
        };
        if done.abandoned || flushed.truncations != self.shared.truncations() {
            return Ok(d.recovery_point);
        }
        assert!(
            flushed.offset <= self.log_end_offset,
            "{} flushed to {}, beyond its end {}",
            self.shared.name,
            flushed.offset,
            self.log_end_offset
        );
        d.recovery_point = d.recovery_point.max(flushed.offset);
        d.sealed
            .retain(|sealed| !flushed.sealed.contains(&sealed.segment.base_offset()));
        d.epochs_changed &= done.epochs.as_ref() != Some(&self.epochs.to_text());
        // Names made since the flush began belong to segments that are still unsynced.
        d.names_changed = !d.sealed.is_empty();
        d.directory_created = false;
        if done.snapshot {
            let active = self.active.as_ref().map(|active| &active.segment);
            let mut segments = self.sealed.iter().map(|s| &s.segment).chain(active);
            let is_base = segments.any(|s| s.base_offset() == flushed.offset);
            d.loose_snapshots = (!is_base).then_some(flushed.offset).into_iter().collect();
        }
        if let Some((segment, tails)) = &flushed.tails {
            segment.persisted(tails, flushed.offset == self.log_end_offset);
        }
        Ok(self.durability.recovery_point)
    }

    /// Writes the producers as of `offset`; nothing if there are none.
    pub(super) fn write_snapshot(&self, offset: Offset, sync: bool) -> Result<(), Error> {
        if self.producers.is_empty() {
            return Ok(());
        }
        let path = self.shared.path.join(file_name(offset, "snapshot"));
        let written = self
            .cx
            .files
            .replace_file(&path, &self.producers.snapshot(), sync);
        written.map_err(|e| Error::io("write", &path, e))
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
        if self.needs_flush() || self.durability.indexes_behind {
            let closed = self.write_all(sync);
            closed.map_err(|e| self.cx.write_failed(e))?;
        }
        self.durability = Durability::new(self.log_end_offset);
        Ok(self.recovery_point())
    }

    fn write_all(&mut self, sync: bool) -> Result<(), Error> {
        if let Some(active) = &mut self.active {
            if active.allocated > active.size {
                active.segment.log().truncate(active.size)?;
                active.allocated = active.size;
            }
            active.segment.finish_indexes(active.rule.close(), sync)?;
        }
        self.write_snapshot(self.log_end_offset, sync)?;
        write_epochs(&self.cx, &self.shared, &self.epochs.to_text(), sync)?;
        if sync {
            self.sync_all()?;
        }
        let stale = self.durability.loose_snapshots.iter().copied();
        let stale: Vec<_> = stale.filter(|&at| at != self.log_end_offset).collect();
        remove_snapshots(&self.cx, &self.shared, &stale)
    }

    fn sync_all(&self) -> Result<(), Error> {
        let sealed = self.durability.sealed.iter().map(|s| &s.segment);
        let active = self.active.iter().map(|active| &active.segment);
        let logs = sealed.clone().chain(active).map(|s| s.log().begin_sync());
        sync_logs(&self.cx, &logs.collect::<Vec<_>>())?;
        for segment in sealed {
            sync_indexes(&self.cx, segment)?;
        }
        sync_directory(&self.cx, &self.shared.path)?;
        if self.durability.directory_created {
            sync_directory(&self.cx, self.cx.path())?;
        }
        Ok(())
    }
}

/// A flush under way, independent of the log's lock.
pub struct FlushWork {
    cx: Arc<LogContext>,
    shared: Arc<Shared>,
    truncations: u64,
    offset: Offset,
    dirty_since: Millis,
    /// The files that may hold unsynced batches.
    logs: Vec<Arc<LogFile>>,
    sealed: Vec<Arc<Segment>>,
    tails: Option<(Arc<Segment>, IndexTails)>,
    snapshot: Option<Vec<u8>>,
    stale_snapshots: Vec<Offset>,
    epochs: Option<String>,
    names_changed: bool,
    directory_created: bool,
}

/// What a flush has done; for [`Log::flushed`].
pub struct Flushed {
    truncations: u64,
    offset: Offset,
    dirty_since: Millis,
    sealed: Vec<Offset>,
    tails: Option<(Arc<Segment>, IndexTails)>,
    outcome: Result<Done, Error>,
}

#[derive(Default)]
struct Done {
    /// The log was closed or deleted meanwhile.
    abandoned: bool,
    snapshot: bool,
    epochs: Option<String>,
}

impl FlushWork {
    /// How many log files [`FlushWork::run`] will sync: what pacing counts.
    pub fn logs(&self) -> usize {
        self.logs.len()
    }

    /// Syncs the data, then writes and syncs what is derived from it. Hold no lock.
    pub fn run(self) -> Flushed {
        let syncs: Vec<_> = self.logs.iter().map(|log| log.begin_sync()).collect();
        let synced = sync_logs(&self.cx, &syncs).map_err(|e| self.cx.write_failed(e));
        let outcome = synced.and_then(|()| self.write_derived(true));
        self.done(outcome)
    }

    /// The same for many logs of one directory with a single `syncfs` in place of all syncs.
    pub fn run_together(cx: &LogContext, works: Vec<FlushWork>) -> Vec<Flushed> {
        let logs = works.iter().flat_map(|work| &work.logs);
        let syncs: Vec<_> = logs.map(|log| log.begin_sync()).collect();
        // Derived files first, so that the one sync covers them; the recovery points do not
        // move before it has returned, and a derived file that is ahead of them is ignored.
        let written: Vec<_> = works.iter().map(|work| work.write_derived(false)).collect();
        let synced = cx.sync_filesystem();
        if synced.is_ok() {
            syncs.iter().for_each(PendingSync::filesystem_synced);
        }
        let finish = |(work, written): (FlushWork, Result<Done, Error>)| {
            let outcome = match &synced {
                Ok(()) => written,
                Err(_) => Err(Error::Offline {
                    path: cx.path().to_path_buf(),
                }),
            };
            work.done(outcome)
        };
        works.into_iter().zip(written).map(finish).collect()
    }

    fn write_derived(&self, sync: bool) -> Result<Done, Error> {
        let gate = self.shared.enter();
        if gate.is_none() || self.truncations != self.shared.truncations() {
            return Ok(Done {
                abandoned: true,
                ..Done::default()
            });
        }
        let written = self.write_files(sync);
        written.map_err(|e| self.cx.write_failed(e))?;
        Ok(Done {
            abandoned: false,
            snapshot: self.snapshot.is_some(),
            epochs: self.epochs.clone(),
        })
    }

    fn write_files(&self, sync: bool) -> Result<(), Error> {
        let (cx, shared) = (&*self.cx, &*self.shared);
        if let Some((segment, tails)) = &self.tails {
            segment.write_index_files(tails, false)?;
        }
        for segment in self.sealed.iter().filter(|_| sync) {
            sync_indexes(cx, segment)?;
        }
        if let Some(snapshot) = &self.snapshot {
            let path = shared.path.join(file_name(self.offset, "snapshot"));
            let written = cx.files.replace_file(&path, snapshot, sync);
            written.map_err(|e| Error::io("write", &path, e))?;
        }
        if let Some(text) = &self.epochs {
            write_epochs(cx, shared, text, sync)?;
        }
        let renamed = self.snapshot.is_some() || self.epochs.is_some();
        if sync && (self.names_changed || renamed) {
            sync_directory(cx, &shared.path)?;
        }
        if sync && self.directory_created {
            sync_directory(cx, cx.path())?;
        }
        Ok(())
    }

    /// Older snapshots go once a newer one is durable.
    fn remove_stale(&self, done: &Done) {
        if let Some(_gate) = self.shared.enter()
            && done.snapshot
            && let Err(error) = remove_snapshots(&self.cx, &self.shared, &self.stale_snapshots)
        {
            // It only takes room, until the next start removes it.
            tracing::warn!(log = self.shared.name, %error, "stale producer snapshot stays");
        }
    }

    fn done(self, outcome: Result<Done, Error>) -> Flushed {
        if let Ok(done) = &outcome {
            self.remove_stale(done);
        }
        Flushed {
            truncations: self.truncations,
            offset: self.offset,
            dirty_since: self.dirty_since,
            sealed: self.sealed.iter().map(|s| s.base_offset()).collect(),
            tails: self.tails,
            outcome,
        }
    }
}

/// One `fdatasync` per file, or one `syncfs` if a descriptor was closed while dirty.
fn sync_logs(cx: &LogContext, syncs: &[PendingSync]) -> Result<(), Error> {
    if syncs.iter().any(PendingSync::needs_filesystem_sync) {
        cx.sync_filesystem()?;
        syncs.iter().for_each(PendingSync::filesystem_synced);
        return Ok(());
    }
    syncs.iter().try_for_each(PendingSync::run)
}

fn sync_indexes(cx: &LogContext, segment: &Segment) -> Result<(), Error> {
    for suffix in ["timeindex", "index"] {
        let path = segment.path(suffix);
        let synced = cx.files.sync_path(&path);
        synced.map_err(|e| Error::io("sync", &path, e))?;
    }
    Ok(())
}

fn write_epochs(cx: &LogContext, shared: &Shared, text: &str, sync: bool) -> Result<(), Error> {
    let path = shared.path.join(EPOCHS_FILE);
    let written = cx.files.replace_file(&path, text.as_bytes(), sync);
    written.map_err(|e| Error::io("write", &path, e))
}

fn remove_snapshots(cx: &LogContext, shared: &Shared, offsets: &[Offset]) -> Result<(), Error> {
    for &offset in offsets {
        let path = shared.path.join(file_name(offset, "snapshot"));
        let removed = cx.files.remove(&path);
        removed.map_err(|e| Error::io("remove", &path, e))?;
    }
    Ok(())
}

fn sync_directory(cx: &LogContext, path: &Path) -> Result<(), Error> {
    let synced = cx.files.sync_directory(path);
    synced.map_err(|e| Error::io("sync", path, e))
}
