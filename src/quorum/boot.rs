//! What the quorum's thread starts from: where its files are and who it is. Opens them, and
//! replays the log into the image it adds up to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use raft::Storage;
use raft::eraftpb::Entry;

use crate::clock::Clock;
use crate::controller::brokers::Registration;
use crate::metadata::image::{ApplyError, Image, MetadataOffset};
use crate::metadata::records::MetadataRecord;
use crate::metadata::replay::Replay;
use crate::quorum::QuorumError;
use crate::quorum::entry::offset_of;
use crate::quorum::log::LogError;
use crate::quorum::raft_storage::{RaftStorage, Voter};
use crate::types::Millis;

/// The metadata log's directory inside `metadata.log.dir`.
pub const DIRECTORY: &str = "__cluster_metadata-0";

/// Kafka's topic id of `__cluster_metadata`: the number one.
const PARTITION_METADATA: &str = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";

/// Bytes of the log that are in memory at once while it is replayed.
const REPLAY_BYTES: u64 = 1 << 20;

pub(super) struct Boot {
    pub(super) metadata_log_dir: PathBuf,
    pub(super) voter: Voter,
    pub(super) cluster_id: String,
    pub(super) clock: Clock,
    pub(super) registration: Option<Registration>,
    pub(super) free_reserve: Box<dyn FnMut() -> bool + Send>,
    pub(super) on_failure: Box<dyn Fn(&QuorumError) + Send>,
}

impl Boot {
    pub(super) fn voter(&self) -> Voter {
        self.voter
    }

    pub(super) fn now(&self) -> Millis {
        self.clock.wall_ms()
    }

    pub(super) fn registration(&self) -> Option<Registration> {
        self.registration.clone()
    }

    /// Whether there was a reserve to give back to the file system.
    pub(super) fn free_reserve(&mut self) -> bool {
        (self.free_reserve)()
    }

    pub(super) fn failed(&self, cause: &QuorumError) {
        (self.on_failure)(cause);
    }

    /// Opens or creates the directory, and replays what is in it. What was read is on the
    /// device when this returns, so that nobody sees metadata that the next power cut removes.
    pub(super) fn open(&self) -> Result<(RaftStorage, Replay), QuorumError> {
        let dir = self.metadata_log_dir.join(DIRECTORY);
        create_directory(&self.metadata_log_dir, &dir)?;
        let mut storage = RaftStorage::open(&dir, self.voter)?;
        storage.sync_recovered()?;
        let mut replay = Replay::after(Image::empty(&self.cluster_id));
        let (mut next, end) = (storage.log().first_index(), storage.log().last_index() + 1);
        while next < end {
            let entries = storage.log().entries(next, end, REPLAY_BYTES)?;
            next += entries.len() as u64;
            replay.apply(decode(&entries)?)?;
        }
        let state = storage.initial_state().map_err(QuorumError::Raft)?;
        assert!(
            state.hard_state.commit < end,
            "commit {} is not in a log that ends at {end}",
            state.hard_state.commit
        );
        Ok((storage, replay))
    }
}

/// The records of entries; the empty entry of a new leader does nothing.
pub(super) fn decode(
    entries: &[Entry],
) -> Result<Vec<(MetadataOffset, MetadataRecord)>, QuorumError> {
    let decode = |entry: &Entry| {
        let offset = offset_of(entry.index);
        if entry.data.is_empty() {
            return Ok((offset, MetadataRecord::NoOp));
        }
        match MetadataRecord::decode(&entry.data) {
            Ok(record) => Ok((offset, record)),
            Err(problem) => Err(QuorumError::Apply(ApplyError {
                offset: offset.0,
                problem: format!("cannot be read: {problem}"),
            })),
        }
    };
    entries.iter().map(decode).collect()
}

fn create_directory(parent: &Path, dir: &Path) -> Result<(), LogError> {
    let failed = |source| LogError::Io {
        action: "create",
        path: dir.to_owned(),
        source,
    };
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(failed)?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    // For Kafka's tools; nothing here reads it.
    fs::write(dir.join("partition.metadata"), PARTITION_METADATA).map_err(failed)
}
