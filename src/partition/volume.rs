//! One log directory as partitions use it: its shared log context, its offset checkpoints, and
//! which partition directories were found in it at the start.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use hashbrown::{HashMap, HashSet};

use super::Partition;
use crate::clock::Clock;
use crate::faults::is_planted;
use crate::log::checkpoints::{CheckpointFile, Checkpoints};
use crate::log::flush::FlushNeed;
use crate::log::flusher::Flusher;
use crate::log::partition_dirs::{self, Aside, DirectoryKind};
use crate::log::relocate::has_moved_here;
use crate::log::{LogContext, OpenAt};
use crate::types::{Millis, Offset, TopicId, TopicPartition};

/// Partition directories with the topic ids written in them.
type Found = HashMap<TopicPartition, Option<TopicId>>;

type Futures = Vec<(PathBuf, Option<(TopicId, i32)>)>;

/// A round is written once recovery points have passed this much, however young the last one is.
pub(super) const PASSED_BYTES: u64 = 128 << 20;

/// See the module.
pub struct Volume {
    pub log: Arc<LogContext>,
    /// The last stop of the whole broker was clean.
    clean: bool,
    /// The recovery points were readable at the start: a partition that they do not name was
    /// never synced.
    knows_recovery_points: bool,
    checkpoints: Mutex<Checkpoints>,
    /// Partition directories found at the start and not claimed by the metadata yet.
    found: Mutex<Found>,
    /// Copies that a move left behind, by topic id and partition.
    futures: Mutex<Futures>,
    /// How many partitions were placed here.
    partitions: AtomicUsize,
    /// What was deleted, each with the monotonic time to remove it.
    to_unlink: Mutex<VecDeque<(Millis, Remains)>>,
    /// Bytes that recovery points have passed since the last round.
    passed_bytes: AtomicU64,
    /// Held by whoever writes a checkpoint round.
    round: Mutex<()>,
    /// `None` once the broker stops.
    flusher: RwLock<Option<Flusher>>,
}

impl Volume {
    /// Reads checkpoints and directory names; opens no log. Directories of deleted topics are
    /// left for [`Volume::remove_deleted`]. A directory that cannot be read goes offline.
    pub fn open(log: Arc<LogContext>, clean: bool, clock: Clock) -> io::Result<Volume> {
        let (checkpoints, found, futures) = match Volume::read(&log) {
            Ok(read) => read,
            Err(error) => {
                let cause = format!("cannot read the directory: {error}");
                log.directory.mark_offline(cause);
                (Checkpoints::unknown(log.path()), HashMap::new(), Vec::new())
            }
        };
        let flusher = Flusher::start(log.clone(), clock)?;
        Ok(Volume {
            log,
            clean,
            knows_recovery_points: checkpoints.is_readable(CheckpointFile::RecoveryPoint),
            checkpoints: Mutex::new(checkpoints),
            found: Mutex::new(found),
            futures: Mutex::new(futures),
            partitions: AtomicUsize::new(0),
            to_unlink: Mutex::default(),
            passed_bytes: AtomicU64::new(0),
            round: Mutex::default(),
            flusher: RwLock::new(Some(flusher)),
        })
    }

    fn read(log: &LogContext) -> io::Result<(Checkpoints, Found, Futures)> {
        if let Some(cause) = log.directory.offline_cause() {
            return Err(io::Error::other(cause));
        }
        let checkpoints = log.directory.read_checkpoints()?;
        let (mut found, mut futures) = (HashMap::new(), Vec::new());
        for (name, kind) in log.directory.list()? {
            let path = log.path().join(&name);
            match kind {
                DirectoryKind::Partition(partition) => {
                    let topic_id = partition_dirs::read_topic_id(&path)?;
                    found.insert(partition, topic_id);
                }
                DirectoryKind::Aside(Aside::Future) => {
                    let topic_id = partition_dirs::read_topic_id(&path)?;
                    let index = partition_dirs::partition_of_aside(&name);
                    futures.push((path, topic_id.zip(index)));
                }
                DirectoryKind::Aside(Aside::Delete | Aside::Stray) => {}
            }
        }
        Ok((checkpoints, found, futures))
    }

    /// Removes copies that a move has not finished; what they were to become.
    pub fn take_futures(&self) -> Vec<(TopicId, i32)> {
        let futures = std::mem::take(&mut *lock(&self.futures));
        let taken = futures.into_iter().filter_map(|(path, partition)| {
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "a half copied log stays");
            }
            partition
        });
        taken.collect()
    }

    /// Whether the partition's files here replace those in another directory.
    pub fn has_moved_here(&self, partition: &TopicPartition) -> bool {
        lock(&self.found).contains_key(partition)
            && has_moved_here(&self.log.path().join(partition.to_string()))
    }

    /// Whether the partition's files are here; they are the caller's from now on. Files of an
    /// older topic of that name are set aside (storage.md section 10).
    pub fn claim(&self, partition: &TopicPartition, topic_id: TopicId) -> io::Result<bool> {
        match lock(&self.found).remove(partition) {
            None => Ok(false),
            // Without a readable id the name decides; opening the log repairs the file.
            Some(None) => Ok(true),
            Some(Some(id)) if id == topic_id => Ok(true),
            Some(Some(_)) => {
                self.set_aside(partition, Aside::Stray)?;
                Ok(false)
            }
        }
    }

    /// Passes on what an append wants; costs nothing where it wants nothing.
    pub fn request_flush(&self, partition: &Arc<Partition>, need: FlushNeed) {
        if need.is_none() {
            return;
        }
        let flusher = self.flusher.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(flusher) = &*flusher {
            flusher.request(partition, need);
        }
    }

    /// Ends the flusher; before the logs are closed.
    pub fn stop_flusher(&self) {
        // Dropping joins a thread that may wait for a partition whose append waits for this
        // lock: let go of it first.
        let flusher = self
            .flusher
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(flusher);
    }

    /// How many partitions were placed here since the start.
    pub fn partitions(&self) -> usize {
        self.partitions.load(Ordering::Relaxed)
    }

    pub fn holds_one_more(&self) {
        self.partitions.fetch_add(1, Ordering::Relaxed);
    }

    /// What the metadata did not claim belongs to no topic: it is kept under another name.
    pub fn set_unclaimed_aside(&self) -> io::Result<()> {
        let unclaimed: Vec<TopicPartition> = lock(&self.found).drain().map(|(p, _)| p).collect();
        for partition in unclaimed {
            self.set_aside(&partition, Aside::Stray)?;
        }
        Ok(())
    }

    fn set_aside(&self, partition: &TopicPartition, why: Aside) -> io::Result<()> {
        let path = self.log.directory.set_aside(partition, why)?;
        self.forget(partition);
        tracing::warn!(%partition, path = %path.display(), "set a partition directory aside");
        Ok(())
    }

    /// Takes its name from the directory of a deleted topic that was never opened; `None` if it
    /// was never written.
    pub fn set_deleted_aside(&self, partition: &TopicPartition) -> io::Result<Option<PathBuf>> {
        match self.log.directory.set_aside(partition, Aside::Delete) {
            Ok(path) => Ok(Some(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes these at `at`, monotonic time, or as soon as the disk is full.
    pub fn unlink_at(&self, at: Millis, remains: impl IntoIterator<Item = Remains>) {
        let remains = remains.into_iter().map(|remains| (at, remains));
        lock(&self.to_unlink).extend(remains);
    }

    /// Removes what is due, for as long as there is time. False if something is left that is due.
    pub fn unlink_due(&self, now: Millis, has_time: impl Fn() -> bool) -> bool {
        let is_full = self.log.directory.is_full();
        let mut due: VecDeque<_> = {
            let mut to_unlink = lock(&self.to_unlink);
            let (due, later) = to_unlink
                .drain(..)
                .partition(|(at, _)| is_full || *at <= now);
            *to_unlink = later;
            due
        };
        while has_time()
            && let Some((at, remains)) = due.pop_front()
        {
            match remains.remove(&has_time) {
                Ok(true) => {}
                Ok(false) => due.push_front((at, remains)),
                // One that fails must not keep the others; the next start tries it again.
                Err(error) => {
                    tracing::warn!(path = %remains.path().display(), %error, "deleted files stay");
                }
            }
        }
        let is_done = due.is_empty();
        lock(&self.to_unlink).extend(due);
        is_done
    }

    /// Removes what deleted topics left behind before the last stop. Not for the start-up path.
    pub fn remove_deleted(&self) -> io::Result<()> {
        for (name, kind) in self.log.directory.list()? {
            if kind == DirectoryKind::Aside(Aside::Delete) {
                std::fs::remove_dir_all(self.log.path().join(name))?;
            }
        }
        Ok(())
    }

    /// After a clean stop too every log has to be opened before clients come: its recovery point is
    /// lost, and the next start could not tell it from one that never was synced.
    pub fn wants_recovery(&self) -> bool {
        !self.clean || !self.knows_recovery_points
    }

    /// What the checkpoints know of a partition that is about to be opened.
    pub fn open_at(&self, partition: &TopicPartition, now: Millis) -> OpenAt {
        let checkpoints = lock(&self.checkpoints);
        OpenAt {
            clean: self.clean,
            recovery_point: checkpoints
                .offset(CheckpointFile::RecoveryPoint, partition)
                .or(self.knows_recovery_points.then_some(0)),
            log_start_offset: checkpoints
                .offset(CheckpointFile::LogStart, partition)
                .filter(|_| !is_planted("log-start.ignored")),
            high_watermark: checkpoints.offset(CheckpointFile::HighWatermark, partition),
            defer_sync: false,
            now,
        }
    }

    /// Notes what the next checkpoint round writes.
    pub fn note(&self, partition: &TopicPartition, offsets: CheckpointedOffsets) {
        let mut checkpoints = lock(&self.checkpoints);
        checkpoints.set(
            CheckpointFile::RecoveryPoint,
            partition,
            offsets.recovery_point,
        );
        checkpoints.set(
            CheckpointFile::HighWatermark,
            partition,
            offsets.high_watermark,
        );
        // Kafka lists a start only where it is not what the first segment says.
        if offsets.log_start_offset > 0 {
            checkpoints.set(
                CheckpointFile::LogStart,
                partition,
                offsets.log_start_offset,
            );
        }
    }

    /// Up to where compaction has come; `None` if it never began.
    pub fn cleaned_to(&self, partition: &TopicPartition) -> Option<Offset> {
        lock(&self.checkpoints).offset(CheckpointFile::Cleaner, partition)
    }

    /// Notes for the next checkpoint round up to where compaction has come.
    pub fn note_cleaned(&self, partition: &TopicPartition, to: Offset) {
        lock(&self.checkpoints).set(CheckpointFile::Cleaner, partition, to);
    }

    /// Drops a partition from all checkpoints.
    pub fn forget(&self, partition: &TopicPartition) {
        lock(&self.checkpoints).forget(partition);
    }

    /// Drops from all checkpoints, durably, what is not among `here`: the offsets of a topic that
    /// was deleted before the last stop. Writes nothing if nothing is to be changed.
    pub fn forget_others(&self, here: &HashSet<TopicPartition>) {
        lock(&self.checkpoints).keep(|partition| here.contains(partition));
        self.write_checkpoints();
    }

    /// A recovery point that was noted has passed so many bytes of batches. Many of them do not wait
    /// for the next round: a start after a crash would read them all.
    pub fn checkpointed(&self, bytes: u64) {
        let passed = self.passed_bytes.fetch_add(bytes, Ordering::Relaxed);
        if passed + bytes >= PASSED_BYTES {
            self.write_checkpoints();
        }
    }

    /// A checkpoint round; true if everything noted before is durable. A failure takes the
    /// directory offline: a checkpoint that cannot be written is as bad as data that cannot
    /// (storage.md section 12).
    pub fn write_checkpoints(&self) -> bool {
        // Whoever comes while a round is written waits, and finds his offsets in it or writes
        // the next one.
        let _round = lock(&self.round);
        if self.log.directory.is_offline() {
            return false;
        }
        self.passed_bytes.store(0, Ordering::Relaxed);
        let Some(mut round) = lock(&self.checkpoints).begin_round() else {
            return true;
        };
        // The syncs of a round hold no lock that a deletion waits for.
        let mut written = round.write();
        if is_full(&written) && self.log.directory.release_reserve().unwrap_or(false) {
            written = round.write();
        }
        lock(&self.checkpoints).end_round(round);
        match &written {
            Ok(()) => {}
            Err(_) if is_full(&written) => self.log.directory.mark_full(),
            Err(error) => {
                let cause = format!("cannot write checkpoints: {error}");
                self.log.directory.mark_offline(cause);
            }
        }
        written.is_ok()
    }
}

fn is_full(written: &io::Result<()>) -> bool {
    let kind = written.as_ref().err().map(io::Error::kind);
    matches!(
        kind,
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    )
}

/// What the checkpoints keep of a partition.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointedOffsets {
    pub recovery_point: Offset,
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
}

/// What is left of something deleted, under a name of its own.
#[derive(Debug)]
pub enum Remains {
    /// The directory of a partition.
    Directory(PathBuf),
    /// A file of a segment.
    File(PathBuf),
}

impl Remains {
    fn path(&self) -> &Path {
        match self {
            Remains::Directory(path) | Remains::File(path) => path,
        }
    }

    /// False if the time was up before all of it was gone. Gone already is as good: the next
    /// start takes what is set aside.
    fn remove(&self, has_time: impl Fn() -> bool) -> io::Result<bool> {
        let removed = match self {
            Remains::File(path) => std::fs::remove_file(path).map(|()| true),
            Remains::Directory(path) => remove_directory(path, has_time),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            other => other,
        }
    }
}

fn remove_directory(path: &Path, has_time: impl Fn() -> bool) -> io::Result<bool> {
    for entry in std::fs::read_dir(path)? {
        if !has_time() {
            return Ok(false);
        }
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    std::fs::remove_dir(path).map(|()| true)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
