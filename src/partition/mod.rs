//! A partition led by this broker: its log, its leadership, and who waits for it to move. One
//! mutex, held for one append or one lookup and never across an await, is all the concurrency
//! control there is: what is checked under it is appended under it (R68).

pub mod cleaner;
mod compaction;
pub mod fetch_session;
pub mod housekeeping;
pub mod leader;
pub mod log_dirs;
pub mod manager;
pub mod moving;
mod offsets;
mod producers;
mod read;
pub mod retention;
mod settings;
mod state;
pub mod volume;
mod wait;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::ResponseError;
use crate::log::flush::Purpose;
use crate::log::flusher::Flushable;
use crate::log::{self, Appended, FlushWork, Flushed, Log, OpenAt};
use crate::metadata::image::PartitionImage;
use crate::metadata::topic_config::TopicConfig;
use crate::protocol::batch::ValidBatch;
use crate::protocol::validate::ProduceRules;
use crate::types::{LeaderEpoch, Millis, Offset, TopicId, TopicPartition};

use compaction::Cleaning;
pub use leader::Leader;
pub use offsets::{FoundOffset, OffsetQuery};
pub use read::{ReadAt, ReadResult};
use state::{LogState, State};
use volume::{CheckpointedOffsets, Remains, Volume};
use wait::WaitList;
pub use wait::{Isolation, Until, Wait};

/// One partition of one topic, for as long as this broker leads it.
pub struct Partition {
    pub name: TopicPartition,
    pub topic_id: TopicId,
    strict_produce: bool,
    /// Whether somebody has touched the log: the first touch may read files for long.
    opened: AtomicBool,
    state: Mutex<State>,
}

/// What a partition is made of.
struct PartitionArgs<'a> {
    name: TopicPartition,
    topic_id: TopicId,
    volume: Arc<Volume>,
    image: &'a PartitionImage,
    config: Arc<TopicConfig>,
    strict_produce: bool,
    open_at: OpenAt,
}

/// Where a partition stands, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub log_start_offset: Offset,
    pub log_end_offset: Offset,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

impl Progress {
    /// The first offset that a reader of this isolation level does not see (R83).
    pub fn visible_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark,
            Isolation::ReadCommitted => self.last_stable_offset,
        }
    }
}

/// A refused append: the code and, where the log was asked, its start (R61).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendRefused {
    pub error: ResponseError,
    pub log_start_offset: Offset,
}

/// A sync makes everything before it visible at once: whoever waits for bytes looks again.
const VISIBLE_BY_SYNC: u64 = i64::MAX as u64;

impl Partition {
    fn new(args: PartitionArgs) -> Partition {
        let image = args.image;
        let (replicas, isr) = (image.replicas.clone(), image.isr.clone());
        let state = State {
            volume: args.volume,
            moving: None,
            leader: Leader::elected(image.leader_epoch, replicas, isr, 0),
            config: args.config,
            log: LogState::Unopened(args.open_at),
            waiters: WaitList::default(),
            sync_awaited: 0,
            idle: None,
            cleaning: Cleaning::default(),
            closed: false,
        };
        Partition {
            name: args.name,
            topic_id: args.topic_id,
            strict_produce: args.strict_produce,
            opened: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// A new leader epoch, ISR or configuration of the partition.
    fn lead(&self, image: &PartitionImage, config: Arc<TopicConfig>) {
        let mut state = self.lock();
        let state = &mut *state;
        if let LogState::Open(log) = &mut state.log {
            log.set_config(settings::log_config(&config));
            log.begin_epoch(image.leader_epoch);
        }
        state.config = config;
        if image.leader_epoch > state.leader.epoch {
            // Who waits for an append of the old epoch must look again.
            state.waiters.wake_all();
        }
        state.leader.reelected(
            image.leader_epoch,
            image.replicas.clone(),
            image.isr.clone(),
        );
    }

    /// The topic is gone: its files get another name and are unlinked later, and who waits hears
    /// of it.
    fn delete(&self, now: Millis) {
        let mut state = self.lock();
        state.closed = true;
        state.waiters.wake_all();
        let volume = state.volume.clone();
        if let Some(moving) = state.moving.take() {
            moving.cancel();
        }
        volume.forget(&self.name);
        let opened = std::mem::replace(&mut state.log, LogState::Offline);
        let delay_ms = state.config.file_delete_delay_ms;
        drop(state);
        let renamed = match opened {
            LogState::Open(log) => {
                let deleted = log.mark_deleted();
                deleted
                    .map(|deleted| deleted.path().map(Path::to_path_buf))
                    .map_err(|error| error.to_string())
            }
            LogState::Unopened(_) | LogState::Offline => {
                let renamed = volume.set_deleted_aside(&self.name);
                renamed.map_err(|error| error.to_string())
            }
        };
        match renamed {
            Ok(Some(path)) => {
                let remains = [Remains::Directory(path)];
                volume.unlink_at(now.saturating_add(delay_ms), remains);
            }
            Ok(None) => {}
            // The metadata knows no such topic any more: the next start sets the files aside.
            Err(error) => {
                tracing::error!(partition = %self.name, error, "files of a deleted topic stay")
            }
        }
    }

    /// Clean stop: the log is made durable and takes no calls afterwards.
    fn close(&self) -> Result<(), log::Error> {
        let mut state = self.lock();
        state.closed = true;
        state.waiters.wake_all();
        let high_watermark = state.leader.high_watermark();
        if let Some(moving) = state.moving.take() {
            moving.pause();
        }
        let volume = state.volume.clone();
        let log = match &mut state.log {
            // Its directory gets no marker.
            _ if volume.log.directory.is_offline() => return Ok(()),
            LogState::Open(log) => log,
            LogState::Unopened(_) => return Ok(()),
            // A clean marker would make the next start trust what this one could not open.
            LogState::Offline => {
                return Err(log::Error::Unavailable {
                    name: self.name.to_string(),
                });
            }
        };
        let log_start_offset = log.log_start_offset();
        let recovery_point = log.close()?;
        let offsets = CheckpointedOffsets {
            recovery_point,
            log_start_offset,
            high_watermark,
        };
        volume.note(&self.name, offsets);
        Ok(())
    }

    /// This broker leads it no longer: what was written is made durable, so that a clean stop
    /// stays one, and who waits hears of it.
    fn resign(&self) {
        if let Err(error) = self.close() {
            tracing::error!(partition = %self.name, %error, "a log could not be closed");
        }
    }

    /// R73: by the broker's clock, never by client timestamps.
    fn expire_producers(&self, now: Millis, expiration_ms: Millis) {
        if let LogState::Open(log) = &mut self.lock().log {
            log.expire_producers(now, expiration_ms);
        }
    }

    /// Tells the volume what its next checkpoint round writes about this partition.
    fn note_checkpoint(&self) {
        let state = self.lock();
        let LogState::Open(log) = &state.log else {
            return;
        };
        let offsets = CheckpointedOffsets {
            recovery_point: log.recovery_point(),
            log_start_offset: log.log_start_offset(),
            high_watermark: state.leader.high_watermark(),
        };
        state.volume.note(&self.name, offsets);
    }

    /// What a produced batch must satisfy; checked before the lock is taken for the append.
    pub fn produce_rules(&self) -> ProduceRules {
        let rules = self.lock().config.produce_rules();
        ProduceRules {
            strict: self.strict_produce,
            ..rules
        }
    }

    /// Appends one batch: leadership, ISR, producer state and the write are one critical section.
    /// With acks=all (`all`) the ISR must be large enough before anything is written.
    pub fn append(
        self: &Arc<Self>,
        batch: ValidBatch,
        all: bool,
        now: Millis,
    ) -> Result<Appended, AppendRefused> {
        let mut state = self.lock();
        let state = &mut *state;
        let before_log = |error| AppendRefused {
            error,
            log_start_offset: -1,
        };
        if state.volume.log.directory.is_full() {
            // Storage.md section 12: what is written by clients stops before the disk does.
            return Err(before_log(ResponseError::KafkaStorageError));
        }
        state.open(self).map_err(before_log)?;
        if all
            && !state
                .leader
                .has_enough_in_sync(state.config.min_insync_replicas)
        {
            return Err(before_log(ResponseError::NotEnoughReplicas));
        }
        let log = state.log.get().map_err(before_log)?;
        let appended = log
            .append(batch, state.leader.epoch, now)
            .map_err(|error| AppendRefused {
                error: self.refusal(&error),
                log_start_offset: log.log_start_offset(),
            })?;
        if appended.flush.before_ack {
            state.sync_awaited = state.sync_awaited.max(appended.next_offset);
        }
        let counted = counted_end(log, state.sync_awaited);
        state.local_end_moved(counted, appended.size);
        state.volume.request_flush(self, appended.flush);
        Ok(appended)
    }

    /// Whether an append with acks=all would be taken now, and how large a batch may be, in bytes.
    pub fn check_append(&self) -> Result<usize, ResponseError> {
        let mut state = self.lock();
        if state.volume.log.directory.is_full() {
            return Err(ResponseError::KafkaStorageError);
        }
        state.open(self)?;
        let config = state.config.clone();
        if !state.leader.has_enough_in_sync(config.min_insync_replicas) {
            return Err(ResponseError::NotEnoughReplicas);
        }
        let log = state.log.get()?;
        log.check_healthy().map_err(|error| error.code())?;
        let bytes = config.max_message_bytes.min(config.segment_bytes);
        Ok(bytes.max(0) as usize)
    }

    /// Whether the log was opened, or found not to open, so that a call does not wait for it.
    pub fn is_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }

    /// Opens the log if nobody has. What comes of it is told to those who use it. Not for the
    /// runtime's threads.
    pub fn open_log(&self) {
        let _ = self.lock().open(self);
    }

    /// Where the partition stands now.
    pub fn progress(&self) -> Result<Progress, ResponseError> {
        let mut state = self.lock();
        state.open(self)?;
        state.progress()
    }

    /// R98, with R86: the largest epoch known here at or below `epoch`, and where it ended.
    pub fn end_of_epoch(
        &self,
        current_leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
    ) -> Result<(LeaderEpoch, Offset), ResponseError> {
        let mut state = self.lock();
        state.open(self)?;
        state.check_epoch(current_leader_epoch)?;
        Ok(state.log.get()?.epoch_end_offset(epoch))
    }

    /// Lets `wait` be counted down by this partition until the returned value is dropped.
    pub fn park(self: &Arc<Self>, wait: &Arc<Wait>, until: Until) -> ParkedAt {
        let mut state = self.lock();
        if state.closed {
            wait.wake();
        }
        if let Until::HighWatermark(wanted) = until
            && wanted <= state.leader.high_watermark()
        {
            // It will not be reached again, and the other partitions alone never count to zero.
            wait.count_down(1);
        }
        let id = state.waiters.add(wait.clone(), until);
        ParkedAt {
            partition: self.clone(),
            id,
        }
    }

    /// Whether the high watermark has reached `offset` in an epoch this broker still leads.
    pub fn is_replicated(&self, offset: Offset) -> Result<bool, ResponseError> {
        let state = self.lock();
        if state.closed {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        if state.leader.high_watermark() >= offset {
            return Ok(true);
        }
        match &state.log {
            // No sync will ever come.
            LogState::Open(log) if log.check_healthy().is_err() => {
                Err(ResponseError::KafkaStorageError)
            }
            _ => Ok(false),
        }
    }

    /// The directory its log is in.
    fn volume(&self) -> Arc<Volume> {
        self.lock().volume.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under this lock leaves the log in an unknown state: the process must not go on
        // with it (security.md section 12).
        self.state
            .lock()
            .unwrap_or_else(|_: PoisonError<_>| std::process::abort())
    }

    /// Logs what went wrong with the disk and returns what a client is told.
    fn refusal(&self, error: &log::Error) -> ResponseError {
        let code = error.code();
        match error {
            // The directory says so once; a client may ask a thousand times a second.
            log::Error::DiskFull { .. } | log::Error::Offline { .. } => {
                tracing::debug!(partition = %self.name, %error, "refused");
            }
            _ if code == ResponseError::KafkaStorageError => {
                tracing::error!(partition = %self.name, %error, "the log failed");
            }
            _ => {}
        }
        code
    }
}

/// What is durable counts for the high watermark (storage.md section 13).
impl Flushable for Partition {
    fn start_flush(&self, purpose: Purpose, now: Millis) -> Option<FlushWork> {
        let mut state = self.lock();
        let LogState::Open(log) = &mut state.log else {
            return None;
        };
        match purpose {
            Purpose::Commit => log.start_commit(),
            Purpose::Checkpoint => log.start_flush(now),
        }
    }

    fn flushed(&self, flushed: Flushed) {
        let checkpointed = flushed.checkpointed_bytes();
        let volume = {
            let mut state = self.lock();
            let state = &mut *state;
            let LogState::Open(log) = &mut state.log else {
                return;
            };
            match log.flushed(flushed) {
                Ok(_) => {
                    let counted = counted_end(log, state.sync_awaited);
                    state.local_end_moved(counted, VISIBLE_BY_SYNC);
                }
                Err(error) => {
                    self.refusal(&error);
                    state.waiters.wake_all();
                }
            }
            state.volume.clone()
        };
        if checkpointed > 0 {
            self.note_checkpoint();
            volume.checkpointed(checkpointed);
        }
    }
}

/// Up to where the leader's own copy counts: the log end, unless an append before it must not be
/// heard of until it is synced (`flush.messages`, durable mode).
fn counted_end(log: &Log, sync_awaited: Offset) -> Offset {
    match log.synced_offset() {
        synced if synced < sync_awaited => synced,
        _ => log.log_end_offset(),
    }
}

/// A parked request's place in a partition's waiter list; leaves it when dropped, so a client
/// that goes away frees what waited for it (R41).
pub struct ParkedAt {
    partition: Arc<Partition>,
    id: u64,
}

impl Drop for ParkedAt {
    fn drop(&mut self) {
        self.partition.lock().waiters.remove(self.id);
    }
}

#[cfg(test)]
mod tests;
