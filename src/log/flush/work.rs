//! One flush between the two moments under the log's lock: begun, and taken in.

use std::path::Path;
use std::sync::Arc;

use super::Purpose;
use crate::faults::{crash_point, is_planted};
use crate::log::context::{LogContext, Shared};
use crate::log::log_file::{LogFile, PendingSync};
use crate::log::segment::{IndexTails, Segment, file_name};
use crate::log::{EPOCHS_FILE, Error};
use crate::types::{Millis, Offset};

/// A flush under way, independent of the log's lock.
pub struct FlushWork {
    pub(super) cx: Arc<LogContext>,
    pub(super) shared: Arc<Shared>,
    pub(super) truncations: u64,
    pub(super) purpose: Purpose,
    pub(super) offset: Offset,
    pub(super) dirty_since: Millis,
    /// Of batches that were not synced before.
    pub(super) bytes: u64,
    /// The files that may hold unsynced batches.
    pub(super) logs: Vec<Arc<LogFile>>,
    pub(super) sealed: Vec<Arc<Segment>>,
    pub(super) tails: Option<(Arc<Segment>, IndexTails)>,
    pub(super) snapshot: Option<Vec<u8>>,
    pub(super) stale_snapshots: Vec<Offset>,
    pub(super) epochs: Option<String>,
    pub(super) names: u64,
    pub(super) names_changed: bool,
    pub(super) directory_created: bool,
}

/// What a flush has done; for [`crate::log::Log::flushed`].
pub struct Flushed {
    pub(super) truncations: u64,
    pub(super) purpose: Purpose,
    pub(super) offset: Offset,
    pub(super) dirty_since: Millis,
    pub(super) bytes: u64,
    pub(super) names: u64,
    pub(super) sealed: Vec<Offset>,
    pub(super) tails: Option<(Arc<Segment>, IndexTails)>,
    pub(super) outcome: Result<Done, Error>,
}

impl Flushed {
    /// By so many bytes a checkpoint could move the recovery point; 0 after a commit.
    pub fn checkpointed_bytes(&self) -> u64 {
        match &self.outcome {
            Ok(done) if !done.abandoned => self.bytes,
            Ok(_) | Err(_) => 0,
        }
    }

    /// The flush met a full disk; nothing else failed.
    pub fn may_be_retried(&self) -> bool {
        matches!(self.outcome, Err(Error::DiskFull { .. }))
    }
}

#[derive(Default)]
pub(super) struct Done {
    /// The log was closed or deleted meanwhile.
    pub(super) abandoned: bool,
    pub(super) snapshot: bool,
    pub(super) removed: Vec<Offset>,
    pub(super) epochs: Option<String>,
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
        crash_point("flush.synced");
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
            removed: Vec::new(),
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
        crash_point("flush.snapshot");
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

    /// Older snapshots go once what replaces them is durable.
    fn remove_stale(&self, done: &mut Done) {
        let gate = self.shared.enter();
        if done.abandoned || gate.is_none() {
            return;
        }
        match remove_snapshots(&self.cx, &self.shared, &self.stale_snapshots) {
            Ok(()) => done.removed = self.stale_snapshots.clone(),
            // They only take room; the next checkpoint tries again.
            Err(error) => {
                tracing::warn!(log = self.shared.name, %error, "stale producer snapshot stays");
            }
        }
    }

    fn done(self, mut outcome: Result<Done, Error>) -> Flushed {
        if let Ok(done) = &mut outcome {
            self.remove_stale(done);
        }
        Flushed {
            truncations: self.truncations,
            purpose: self.purpose,
            offset: self.offset,
            dirty_since: self.dirty_since,
            bytes: self.bytes,
            names: self.names,
            sealed: self.sealed.iter().map(|s| s.base_offset()).collect(),
            tails: self.tails,
            outcome,
        }
    }
}

/// One `fdatasync` per file, or one `syncfs` if a descriptor was closed while dirty.
pub(in crate::log) fn sync_logs(cx: &LogContext, syncs: &[PendingSync]) -> Result<(), Error> {
    if syncs.iter().any(PendingSync::needs_filesystem_sync) {
        cx.sync_filesystem()?;
        syncs.iter().for_each(PendingSync::filesystem_synced);
        return Ok(());
    }
    if is_planted("sync.left-out") {
        return Ok(());
    }
    syncs.iter().try_for_each(PendingSync::run)
}

pub(super) fn sync_indexes(cx: &LogContext, segment: &Segment) -> Result<(), Error> {
    if segment.is_deleted() {
        return Ok(());
    }
    for suffix in ["timeindex", "index"] {
        let path = segment.path(suffix);
        let synced = cx.files.sync_path(&path);
        synced.map_err(|e| Error::io("sync", &path, e))?;
    }
    Ok(())
}

pub(super) fn write_epochs(
    cx: &LogContext,
    shared: &Shared,
    text: &str,
    sync: bool,
) -> Result<(), Error> {
    let path = shared.path.join(EPOCHS_FILE);
    let written = cx.files.replace_file(&path, text.as_bytes(), sync);
    written.map_err(|e| Error::io("write", &path, e))
}

pub(super) fn remove_snapshots(
    cx: &LogContext,
    shared: &Shared,
    offsets: &[Offset],
) -> Result<(), Error> {
    for &offset in offsets {
        let path = shared.path.join(file_name(offset, "snapshot"));
        let removed = cx.files.remove(&path);
        removed.map_err(|e| Error::io("remove", &path, e))?;
    }
    Ok(())
}

pub(in crate::log) fn sync_directory(cx: &LogContext, path: &Path) -> Result<(), Error> {
    let synced = cx.files.sync_directory(path);
    synced.map_err(|e| Error::io("sync", path, e))
}
