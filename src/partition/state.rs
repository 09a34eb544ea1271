//! What a partition's lock protects: where the log is and whether it is open, the leadership, and
//! who waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::compaction::Cleaning;
use super::leader::Leader;
use super::moving::Move;
use super::volume::Volume;
use super::wait::WaitList;
use super::{Partition, Progress, settings};
use crate::error::ResponseError;
use crate::log::retention::IdleLog;
use crate::log::{Log, OpenAt};
use crate::metadata::topic_config::TopicConfig;
use crate::types::{LeaderEpoch, Offset};

pub(super) struct State {
    /// Where the log is.
    pub(super) volume: Arc<Volume>,
    /// The move of the log to another directory.
    pub(super) moving: Option<Arc<Move>>,
    pub(super) leader: Leader,
    pub(super) config: Arc<TopicConfig>,
    pub(super) log: LogState,
    pub(super) waiters: WaitList,
    /// The end of the newest append that may not be acknowledged before it is synced.
    pub(super) sync_awaited: Offset,
    /// What retention saw of the files of an unopened log.
    pub(super) idle: Option<IdleLog>,
    pub(super) cleaning: Cleaning,
    /// The topic is deleted; requests that still hold the partition are told so.
    pub(super) closed: bool,
}

/// A log opens when it is first touched, so that a start costs nothing for idle partitions.
pub(super) enum LogState {
    Unopened(OpenAt),
    Open(Box<Log>),
    /// Damaged or on a failed disk; the files are left as they are.
    Offline,
}

impl State {
    /// Opens the log on first touch.
    pub(super) fn open(&mut self, partition: &Partition) -> Result<(), ResponseError> {
        if self.closed {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        if self.volume.log.directory.is_offline() {
            // What is unsynced may be gone after all: nothing of it is served (R188).
            return Err(ResponseError::KafkaStorageError);
        }
        let LogState::Unopened(at) = &self.log else {
            return Ok(());
        };
        partition.opened.store(true, Ordering::Relaxed);
        let (name, config) = (
            partition.name.to_string(),
            settings::log_config(&self.config),
        );
        let cx = &self.volume.log;
        match Log::create_or_open(cx, &name, partition.topic_id, config, *at) {
            Ok((log, _)) if log.latest_epoch() > Some(self.leader.epoch) => {
                // The epoch of a batch lies outside its checksum, or the metadata is not the
                // one this log was written under: neither may be appended to.
                tracing::error!(partition = %partition.name, log_epoch = ?log.latest_epoch(),
                    leader_epoch = self.leader.epoch, "the log is ahead of the metadata");
                self.log = LogState::Offline;
                Err(ResponseError::KafkaStorageError)
            }
            Ok((mut log, _)) => {
                // The epoch is known from its election on, also before its first batch (R98).
                log.begin_epoch(self.leader.epoch);
                self.leader.local_end_moved(log.log_end_offset());
                if self.volume.cleaned_to(&partition.name) > Some(log.log_end_offset()) {
                    // The log has lost what was cleaned. What comes at those offsets now is not
                    // clean, and would be taken for it once the log has passed them.
                    let start = log.log_start_offset();
                    self.volume.note_cleaned(&partition.name, start);
                }
                self.log = LogState::Open(Box::new(log));
                Ok(())
            }
            Err(error) => {
                if !error.may_pass() {
                    self.log = LogState::Offline;
                }
                Err(partition.refusal(&error))
            }
        }
    }

    pub(super) fn progress(&mut self) -> Result<Progress, ResponseError> {
        let high_watermark = self.leader.high_watermark();
        let leader_epoch = self.leader.epoch;
        let log = self.log.get()?;
        let last_stable_offset = log.last_stable_offset_bound().unwrap_or(high_watermark);
        Ok(Progress {
            log_start_offset: log.log_start_offset(),
            log_end_offset: log.log_end_offset(),
            high_watermark,
            last_stable_offset: last_stable_offset.min(high_watermark),
            leader_epoch,
        })
    }

    /// R86: a client that knows an older or a newer leader is told so.
    pub(super) fn check_epoch(
        &self,
        current_leader_epoch: LeaderEpoch,
    ) -> Result<(), ResponseError> {
        match current_leader_epoch {
            ..0 => Ok(()),
            epoch if epoch < self.leader.epoch => Err(ResponseError::FencedLeaderEpoch),
            epoch if epoch > self.leader.epoch => Err(ResponseError::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    pub(super) fn local_end_moved(&mut self, end: Offset, bytes: u64) {
        if self.leader.local_end_moved(end) {
            self.waiters.advanced(bytes, self.leader.high_watermark());
        }
    }
}

impl LogState {
    pub(super) fn get(&mut self) -> Result<&mut Log, ResponseError> {
        match self {
            LogState::Open(log) => Ok(log),
            LogState::Unopened(_) | LogState::Offline => Err(ResponseError::KafkaStorageError),
        }
    }
}
