//! The two ways a log loses data on purpose: its topic is deleted, or it follows a leader whose
//! log is shorter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::faults::crash_point;
use crate::log::flush::Durability;
use crate::log::open::{OpenAt, open_shared};
use crate::log::partition_dirs::{Aside, DirectoryKind, parse_name};
use crate::log::producers::ProducerStates;
use crate::log::replay::Refill;
use crate::log::segment::{SUFFIXES, file_name};
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
        crash_point("delete.renamed");
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
            recovery_point: None,
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
        self.refill = Refill::Nothing;
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
            for suffix in SUFFIXES {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::*;

    #[test]
    fn a_deleted_log_loses_its_name_at_once_and_its_readers_keep_their_file() {
        let node = Node::new();
        let mut log = node.open();
        log.append(batch_at(NOW, 1, 5_000), 0, NOW).unwrap();
        log.forget_tail();
        let records = log.read(0, 1, 1 << 20, true).unwrap();
        let plan = log.plan_read(0, 1, 1 << 20, true).unwrap();
        let deleted = log.mark_deleted().unwrap();
        assert_eq!(node.names(), "");
        assert_eq!(offsets_of(&records), "0-0");
        assert_eq!(node.open().log_end_offset(), 0);
        deleted.unlink().unwrap();
        assert_eq!(offsets_of(&records), "0-0");
        assert_eq!(
            offsets_of(&plan.run().unwrap()),
            "0-0",
            "the descriptor was open"
        );
    }

    #[test]
    fn a_log_that_was_never_written_has_nothing_to_delete() {
        let node = Node::new();
        let deleted = node.open().mark_deleted().unwrap();
        assert_eq!(deleted.path(), None);
        deleted.unlink().unwrap();
    }

    /// Twelve batches of two records in segments of three, epochs 0 to 3.
    fn log_of_twelve(node: &mut Node) -> Log {
        let size = batch_at(NOW, 2, 400).size() as u32;
        node.config.segment_bytes = 3 * size;
        let mut log = node.open();
        for i in 0..12 {
            log.append(batch_at(NOW + i, 2, 400), i as i32 / 3, NOW)
                .unwrap();
        }
        log
    }

    #[test]
    fn a_log_cut_by_its_leader_is_as_if_it_had_never_been_longer() {
        for offset in [0, 2, 6, 7, 13, 24] {
            let mut node = Node::new();
            let mut log = log_of_twelve(&mut node);
            let contents = log.contents();
            log.truncate_to(offset, NOW).unwrap();
            // A batch that reaches beyond the offset goes as a whole.
            let end = offset / 2 * 2;
            assert_eq!(log.log_end_offset(), end);
            let kept = contents.len() / 12 * (end as usize / 2);
            assert!(log.contents() == contents[..kept]);
            assert_eq!(
                log.recovery_point(),
                end % 24,
                "durable if anything was cut"
            );
            let known = (end > 0).then(|| (end as i32 - 1) / 6);
            assert_eq!(log.latest_epoch(), known);
            log.append(batch_at(NOW, 1, 400), 9, NOW).unwrap();
            log.forget_tail();
            let read = log.read(end, end + 1, 1 << 20, true).unwrap();
            assert_eq!((read.first_offset, read.next_offset), (end, end + 1));
            node.kill(log);
            let (log, _) = node.open_at(unclean(end)).unwrap();
            assert_eq!(log.log_end_offset(), end + 1);
            assert_eq!(log.latest_epoch(), Some(9));
        }
    }

    #[test]
    fn the_recovery_point_goes_first() {
        let mut node = Node::new();
        let mut log = log_of_twelve(&mut node);
        let work = log.start_flush(NOW).unwrap();
        log.flushed(work.run()).unwrap();
        assert!(log.lower_recovery_point(7), "this must be checkpointed");
        assert!(!log.lower_recovery_point(7));
        let late = log
            .append(batch(), 5, NOW)
            .map(|_| log.start_flush(NOW).unwrap());
        log.truncate_to(7, NOW).unwrap();
        log.flushed(late.unwrap().run()).unwrap();
        assert_eq!(
            log.recovery_point(),
            6,
            "a flush of what is gone moves nothing"
        );
    }

    #[test]
    fn producers_forget_what_was_cut() {
        let node = Node::new();
        let mut log = node.open();
        for sequence in 0..6 {
            log.append(from_producer(1, 0, sequence), 0, NOW).unwrap();
        }
        log.truncate_to(4, NOW).unwrap();
        let again = log.append(from_producer(1, 0, 4), 0, NOW).unwrap();
        assert_eq!((again.duplicate, again.base_offset), (false, 4));
        assert!(
            log.append(from_producer(1, 0, 3), 0, NOW)
                .unwrap()
                .duplicate
        );
    }

    #[test]
    fn a_log_behind_its_leaders_start_begins_again_there() {
        let mut node = Node::new();
        let mut log = log_of_twelve(&mut node);
        log.truncate_fully(100).unwrap();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (100, 100));
        assert_eq!((log.size(), log.latest_epoch()), (0, None));
        let appended = log.append(batch(), 8, NOW).unwrap();
        assert_eq!(appended.base_offset, 100);
        assert_eq!(node.names().matches(".log").count(), 1);
    }
}
