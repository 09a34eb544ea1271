//! The two ways a log loses data on purpose: its topic is deleted, or it follows a leader whose
//! log is shorter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::flush::Durability;
use crate::log::open::{OpenAt, open_shared};
use crate::log::partition_dirs::{Aside, DirectoryKind, parse_name};
use crate::log::producers::ProducerStates;
use crate::log::segment::file_name;
use crate::log::walk::Step;
use crate::log::{EPOCHS_FILE, Error, Log};
use crate::types::{Millis, Offset};

/// The directory of a deleted log, renamed and waiting to be unlinked.
#[derive(Debug)]
pub struct Deleted {
    path: Option<PathBuf>,
}

impl Deleted {
    /// Where the files are now; `None` if there never were any.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Frees the space. To be called `file.delete.delay.ms` later, off the data threads; readers
    /// keep the descriptors they have.
    pub fn unlink(self) -> std::io::Result<()> {
        match self.path {
            Some(path) => std::fs::remove_dir_all(path),
            None => Ok(()),
        }
    }
}

impl Log {
    /// Takes the log's name away, durably, so that a topic created again under the same name
    /// never meets it. Waits for a flush that is writing files.
    pub fn mark_deleted(self) -> Result<Deleted, Error> {
        self.cx.check_online()?;
        let _gate = self.shared.shut();
        self.hot_tail.clear();
        let Some(DirectoryKind::Partition(partition)) = parse_name(&self.shared.name) else {
            return Ok(Deleted { path: None });
        };
        if !self.shared.path.exists() {
            return Ok(Deleted { path: None });
        }
        let aside = self.cx.directory.set_aside(&partition, Aside::Delete);
        let path = aside.map_err(|e| {
            self.cx
                .write_failed(Error::io("rename", &self.shared.path, e))
        })?;
        Ok(Deleted { path: Some(path) })
    }

    /// Lowers the recovery point to `offset`. True if it was above: the caller must write that
    /// checkpoint durably before [`Log::truncate_to`], so that a crash in the middle does not
    /// look like lost data.
    pub fn lower_recovery_point(&mut self, offset: Offset) -> bool {
        self.durability.lower(offset)
    }

    /// A follower cuts its log so that it ends at `offset`, or at the beginning of the batch
    /// that holds it. Durable on return; then appends may continue.
    pub fn truncate_to(&mut self, offset: Offset, now: Millis) -> Result<(), Error> {
        self.check_healthy()?;
        assert!(
            self.recovery_point() <= offset,
            "{} is cut to {offset}, below its recovery point {}",
            self.shared.name,
            self.recovery_point()
        );
        if offset >= self.log_end_offset {
            return Ok(());
        }
        self.hot_tail.clear();
        {
            let shared = self.shared.clone();
            let _gate = shared.enter();
            shared.truncated();
            let cut = self.cut_files(offset);
            cut.map_err(|e| self.cx.write_failed(e))?;
        }
        let at = OpenAt {
            clean: true,
            recovery_point: Some(self.recovery_point().min(offset)),
            log_start_offset: Some(self.log_start_offset.min(offset)),
            high_watermark: None,
            defer_sync: false,
            now,
        };
        let (cx, shared) = (self.cx.clone(), self.shared.clone());
        let (log, _) = open_shared(&cx, shared, self.topic_id, self.config.clone(), at)?;
        *self = log;
        Ok(())
    }

    /// A follower whose leader's log begins above its own end drops everything and begins at
    /// `offset`. The recovery point must have been lowered to the log start.
    pub fn truncate_fully(&mut self, offset: Offset) -> Result<(), Error> {
        self.check_healthy()?;
        assert!(
            self.recovery_point() <= self.log_start_offset,
            "{} is dropped above its recovery point {}",
            self.shared.name,
            self.recovery_point()
        );
        self.hot_tail.clear();
        let shared = self.shared.clone();
        let _gate = shared.enter();
        shared.truncated();
        let removed = self.remove_segments_from(0);
        let removed = removed.and_then(|()| self.cut_derived(Offset::MIN));
        removed.map_err(|e| self.cx.write_failed(e))?;
        self.sealed = Arc::default();
        self.active = None;
        self.log_start_offset = offset;
        self.log_end_offset = offset;
        self.producers = ProducerStates::default();
        self.durability = Durability::new(&self.cx, offset);
        Ok(())
    }

    /// Removes what lies at or above `offset`, newest first, and everything derived from it.
    fn cut_files(&mut self, offset: Offset) -> Result<(), Error> {
        let view = self.view();
        let last = view.segment_of(offset);
        self.remove_segments_from(last + 1)?;
        let (segment, size, _) = view.segment(last);
        let mut walk = segment.walk_to_offset(offset, size)?;
        let mut cut = offset;
        while let Step::Batch(header) = walk.peek()? {
            if header.next_offset() > offset {
                cut = offset.min(header.base_offset);
                break;
            }
            walk.pass(&header);
        }
        segment.log().truncate(walk.position())?;
        let indexes = segment.indexes_below(cut)?;
        segment.replace_index_files(&indexes)?;
        self.sync_unsynced_below(cut)?;
        segment.log().begin_sync().run()?;
        self.cut_derived(cut)
    }

    fn remove_segments_from(&self, first: usize) -> Result<(), Error> {
        let view = self.view();
        for index in (first..view.len()).rev() {
            let segment = view.segment(index).0;
            for suffix in ["log", "index", "timeindex", "txnindex"] {
                self.remove(&segment.path(suffix))?;
            }
        }
        Ok(())
    }

    /// Producer snapshots and epochs as they were at `offset`, durably.
    fn cut_derived(&mut self, offset: Offset) -> Result<(), Error> {
        for at in self.durability.take_snapshots_above(offset) {
            self.remove(&self.shared.path.join(file_name(at, "snapshot")))?;
        }
        self.epochs.truncate_from_end(offset);
        let (files, directory) = (&self.cx.files, &self.shared.path);
        if !directory.exists() {
            return Ok(());
        }
        let path = directory.join(EPOCHS_FILE);
        let written = files.replace_file(&path, self.epochs.to_text().as_bytes(), true);
        written.map_err(|e| Error::io("write", &path, e))?;
        let synced = files.sync_directory(directory);
        synced.map_err(|e| Error::io("sync", directory, e))
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        let removed = self.cx.files.remove(path);
        removed.map_err(|e| Error::io("remove", path, e))
    }
}
