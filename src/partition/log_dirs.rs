//! What lies in which log directory, for DescribeLogDirs (R160).

use std::path::PathBuf;
use std::sync::Arc;

use super::manager::Partitions;
use super::volume::Volume;
use super::{LogState, Partition};
use crate::error::ResponseError;
use crate::log::retention::IdleLog;
use crate::types::{Offset, TopicPartition};

/// One directory of `log.dirs`.
#[derive(Debug)]
pub struct DescribedDir {
    pub path: PathBuf,
    /// Why nothing is known of it.
    pub error: Option<ResponseError>,
    /// Bytes of its file system, and what of them is free.
    pub space: Option<(u64, u64)>,
    pub replicas: Vec<DescribedReplica>,
}

/// One partition in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedReplica {
    pub partition: TopicPartition,
    /// Bytes of batches.
    pub size: u64,
    /// How far a current log is behind the high watermark, or a future one behind the current.
    pub offset_lag: Offset,
    pub is_future: bool,
}

impl Partitions {
    /// The directories of `log.dirs` with those of their partitions that are `wanted`. Reads
    /// directories of logs that are not open: not for the runtime's threads.
    pub fn describe_log_dirs(&self, wanted: impl Fn(&TopicPartition) -> bool) -> Vec<DescribedDir> {
        let all = self.all();
        let wanted: Vec<_> = all.iter().filter(|p| wanted(&p.name)).collect();
        let describe = |volume: &Arc<Volume>| describe(volume, &wanted);
        self.volumes().iter().map(describe).collect()
    }
}

fn describe(volume: &Arc<Volume>, wanted: &[&Arc<Partition>]) -> DescribedDir {
    let directory = &volume.log.directory;
    let mut described = DescribedDir {
        path: directory.path().to_path_buf(),
        error: None,
        space: None,
        replicas: Vec::new(),
    };
    if directory.is_offline() {
        described.error = Some(ResponseError::KafkaStorageError);
        return described;
    }
    described.space = directory.space().ok();
    let here = wanted
        .iter()
        .flat_map(|partition| partition.replicas_in(volume));
    described.replicas = here.collect();
    described
}

impl Partition {
    /// What of the partition lies in `volume`.
    fn replicas_in(&self, volume: &Arc<Volume>) -> Option<DescribedReplica> {
        let (open_size, known) = {
            let state = self.lock();
            if let Some(moving) = state.moving.as_ref().filter(|m| m.is_to(volume)) {
                let end = match &state.log {
                    LogState::Open(log) => log.log_end_offset(),
                    LogState::Unopened(_) | LogState::Offline => moving.copied_offset(),
                };
                return Some(DescribedReplica {
                    partition: self.name.clone(),
                    size: moving.copied_bytes(),
                    offset_lag: (end - moving.copied_offset()).max(0),
                    is_future: true,
                });
            }
            if !Arc::ptr_eq(&state.volume, volume) {
                return None;
            }
            match &state.log {
                LogState::Open(log) => (Some(log.size()), None),
                LogState::Unopened(_) | LogState::Offline => (None, state.idle),
            }
        };
        let size = open_size.or_else(|| {
            let idle = match known {
                Some(idle) => Ok(idle),
                None => IdleLog::look(&volume.log, &self.name.to_string()),
            };
            let idle = idle.map_err(|error| self.refusal(&error)).ok()?;
            Some(idle.bytes())
        });
        Some(DescribedReplica {
            partition: self.name.clone(),
            size: size?,
            offset_lag: 0,
            is_future: false,
        })
    }
}
