//! AlterReplicaLogDirs: a partition moves to another log directory of this broker while it serves
//! (KIP-113). A thread per move copies the log; the swap happens under the partition's lock.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use super::manager::Partitions;
use super::volume::{CheckpointedOffsets, Remains, Volume};
use super::{LogState, Partition, settings};
use crate::clock::Clock;
use crate::error::ResponseError;
use crate::log::relocate::{LogCopy, forget_move};
use crate::log::{Error, Log, OpenAt};
use crate::types::Offset;

/// With less than this to copy the rest follows under the lock.
const SWAP_BELOW_BYTES: u64 = 1 << 20;

const RUNNING: u8 = 0;
const CANCELLED: u8 = 1;
/// The broker stops; the next start begins the move anew.
const PAUSED: u8 = 2;

/// One move.
pub struct Move {
    volume: Arc<Volume>,
    state: AtomicU8,
    copied_bytes: AtomicU64,
    copied_offset: AtomicI64,
}

impl Move {
    pub(super) fn is_to(&self, volume: &Arc<Volume>) -> bool {
        Arc::ptr_eq(&self.volume, volume)
    }

    pub(super) fn copied_bytes(&self) -> u64 {
        self.copied_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn copied_offset(&self) -> Offset {
        self.copied_offset.load(Ordering::Relaxed)
    }

    pub(super) fn cancel(&self) {
        self.state.store(CANCELLED, Ordering::Relaxed);
    }

    pub(super) fn pause(&self) {
        let _ = self
            .state
            .compare_exchange(RUNNING, PAUSED, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn is_running(&self) -> bool {
        self.state.load(Ordering::Relaxed) == RUNNING
    }
}

impl Partitions {
    /// Begins the move of a partition to the log directory `path`, or ends one if it is there
    /// already.
    ///
    /// # Errors
    /// LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR, and what [`Partitions::find`] says.
    pub fn alter_log_dir(&self, topic: &str, index: i32, path: &Path) -> Result<(), ResponseError> {
        let absolute = |path: &Path| std::path::absolute(path).ok();
        let wanted = absolute(path);
        let mut volumes = self.volumes().iter();
        let volume = volumes.find(|volume| absolute(volume.log.path()) == wanted);
        let volume = volume.ok_or(ResponseError::LogDirNotFound)?;
        if volume.log.directory.is_offline() {
            return Err(ResponseError::KafkaStorageError);
        }
        let partition = self.find(topic, index)?;
        self.move_to(&partition, volume)
    }

    fn move_to(
        &self,
        partition: &Arc<Partition>,
        volume: &Arc<Volume>,
    ) -> Result<(), ResponseError> {
        let moving = {
            let mut state = partition.lock();
            state.open(partition)?;
            if state
                .moving
                .as_ref()
                .is_some_and(|moving| moving.is_to(volume))
            {
                return Ok(());
            }
            if let Some(other) = state.moving.take() {
                other.cancel();
            }
            if Arc::ptr_eq(&state.volume, volume) {
                return Ok(());
            }
            let moving = Arc::new(Move {
                volume: volume.clone(),
                state: AtomicU8::new(RUNNING),
                copied_bytes: AtomicU64::new(0),
                copied_offset: AtomicI64::new(0),
            });
            state.moving = Some(moving.clone());
            moving
        };
        let (partition, clock) = (partition.clone(), self.clock().clone());
        let builder = std::thread::Builder::new().name("log-move".into());
        let thread = builder.spawn(move || partition.follow(&moving, &clock));
        match thread {
            Ok(thread) => {
                let mut movers = self.movers().lock();
                let movers = movers.as_mut().unwrap_or_else(|e| e.get_mut());
                movers.retain(|mover| !mover.is_finished());
                movers.push(thread);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "no thread for the move of a log");
                Err(ResponseError::KafkaStorageError)
            }
        }
    }

    /// After a start: moves that the last stop interrupted begin anew.
    pub fn resume_moves(&self) {
        for volume in self.volumes() {
            for (topic_id, index) in volume.take_futures() {
                let resumed = self
                    .find_by_id(topic_id, index)
                    .and_then(|partition| self.move_to(&partition, volume));
                if let Err(error) = resumed {
                    tracing::warn!(%topic_id, index, ?error, "the move of a log is given up");
                }
            }
        }
    }

    /// At the stop: waits for the copying threads, which end soon.
    pub(super) fn pause_moves(&self) {
        for partition in self.all() {
            if let Some(moving) = partition.lock().moving.take() {
                moving.pause();
            }
        }
        let movers =
            std::mem::take(&mut *self.movers().lock().unwrap_or_else(PoisonError::into_inner));
        for mover in movers {
            if mover.join().is_err() {
                tracing::error!("the move of a log has panicked");
            }
        }
    }
}

impl Partition {
    /// The thread of a move.
    fn follow(&self, moving: &Arc<Move>, clock: &Clock) {
        let log_dir = moving.volume.log.path().display();
        let mut copy = match LogCopy::begin(&moving.volume.log, &self.name, self.topic_id) {
            Ok(copy) => copy,
            Err(error) => {
                self.refusal(&error);
                self.lock().moving = None;
                return;
            }
        };
        let from = self.copy_and_swap(moving, &mut copy, clock);
        match from {
            Ok(Some(from)) => {
                tracing::info!(partition = %self.name, from = %from.log.path().display(),
                    to = %log_dir, "log moved");
                self.leave(&from, &moving.volume, clock);
            }
            // The next start finds what is there and begins anew.
            Ok(None) if moving.state.load(Ordering::Relaxed) == PAUSED => {}
            Ok(None) => copy.discard(),
            Err(error) => {
                tracing::error!(partition = %self.name, to = %log_dir, %error, "log not moved");
                copy.discard();
                let mut state = self.lock();
                let is_current = |current: &Arc<Move>| Arc::ptr_eq(current, moving);
                if state.moving.as_ref().is_some_and(is_current) {
                    state.moving = None;
                }
            }
        }
    }

    /// Where the log was before; `None` if the move was ended.
    fn copy_and_swap(
        &self,
        moving: &Arc<Move>,
        copy: &mut LogCopy,
        clock: &Clock,
    ) -> Result<Option<Arc<Volume>>, Error> {
        let progress = |bytes: u64, offset: Offset| {
            moving.copied_bytes.store(bytes, Ordering::Relaxed);
            moving.copied_offset.store(offset, Ordering::Relaxed);
            moving.is_running()
        };
        loop {
            let view = match &self.lock().log {
                LogState::Open(log) => log.copy_view(),
                LogState::Unopened(_) | LogState::Offline => return Ok(None),
            };
            let copied = match copy.copy(&view, progress) {
                Ok(copied) => copied,
                Err(Error::Overtaken { .. }) => continue,
                Err(error) => return Err(error),
            };
            if !moving.is_running() {
                return Ok(None);
            }
            if copied <= SWAP_BELOW_BYTES {
                return self.swap(moving, copy, clock);
            }
        }
    }

    fn swap(
        &self,
        moving: &Arc<Move>,
        copy: &mut LogCopy,
        clock: &Clock,
    ) -> Result<Option<Arc<Volume>>, Error> {
        let mut state = self.lock();
        let state = &mut *state;
        let is_current = |current: &Arc<Move>| Arc::ptr_eq(current, moving);
        if !state.moving.as_ref().is_some_and(is_current) || !moving.is_running() {
            return Ok(None);
        }
        let high_watermark = state.leader.high_watermark();
        let LogState::Open(log) = &mut state.log else {
            return Ok(None);
        };
        copy.copy(&log.copy_view(), |_, _| true)?;
        let end = log.close()?;
        let at = OpenAt {
            clean: true,
            recovery_point: Some(end),
            log_start_offset: Some(log.log_start_offset()),
            high_watermark: Some(high_watermark),
            defer_sync: false,
            now: clock.wall_ms(),
        };
        let offsets = CheckpointedOffsets {
            recovery_point: end,
            log_start_offset: log.log_start_offset(),
            high_watermark,
        };
        moving.volume.note(&self.name, offsets);
        if let Some(to) = state.volume.cleaned_to(&self.name) {
            moving.volume.note_cleaned(&self.name, to);
        }
        // The checkpoint first: a log without an entry would be read whole.
        let finished = match moving.volume.write_checkpoints() {
            true => copy.finish(log),
            false => Err(Error::Offline {
                path: moving.volume.log.path().to_path_buf(),
            }),
        };
        if let Err(error) = finished {
            moving.volume.forget(&self.name);
            // It was closed in order and opens again with the next touch.
            state.log = LogState::Unopened(at);
            return Err(error);
        }
        let (name, config) = (self.name.to_string(), settings::log_config(&state.config));
        let opened = Log::create_or_open(&moving.volume.log, &name, self.topic_id, config, at);
        state.log = match opened {
            Ok((mut log, _)) => {
                log.begin_epoch(state.leader.epoch);
                LogState::Open(Box::new(log))
            }
            Err(error) => {
                self.refusal(&error);
                LogState::Offline
            }
        };
        state.moving = None;
        moving.volume.holds_one_more();
        Ok(Some(std::mem::replace(
            &mut state.volume,
            moving.volume.clone(),
        )))
    }

    /// The old directory loses its name; then nobody need be told which is the newer one.
    fn leave(&self, from: &Arc<Volume>, to: &Arc<Volume>, clock: &Clock) {
        from.forget(&self.name);
        let delay_ms = self.lock().config.file_delete_delay_ms;
        let aside = from.set_deleted_aside(&self.name);
        let forgotten = aside.and_then(|path| {
            let at = clock.monotonic_ms().saturating_add(delay_ms);
            from.unlink_at(at, path.map(Remains::Directory));
            forget_move(&to.log.path().join(self.name.to_string()))
        });
        if let Err(error) = forgotten {
            tracing::warn!(partition = %self.name, %error, "the old files of a moved log stay");
        }
    }
}
