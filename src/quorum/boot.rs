//! What the quorum's thread starts from: where its files are and who it is. Opens them, and
//! replays the log into the image it adds up to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use raft::Storage;
use raft::eraftpb::Entry;
use tracing::warn;

use crate::clock::Clock;
use crate::controller::brokers::Registration;
use crate::metadata::image::{ApplyError, Image, MetadataOffset};
use crate::metadata::records::MetadataRecord;
use crate::metadata::replay::Replay;
use crate::quorum::entry::{index_of, offset_of};
use crate::quorum::log::{LogError, MetadataLog, list_segments};
use crate::quorum::raft_storage::{RaftStorage, Voter};
use crate::quorum::snapshot::{self, SnapshotId};
use crate::quorum::vote::QuorumState;
use crate::quorum::{QuorumError, TellFailure};
use crate::store::Store;
use crate::types::{Millis, Offset};

/// The metadata log's directory inside `metadata.log.dir`.
pub const DIRECTORY: &str = "__cluster_metadata-0";

/// Kafka's topic id of `__cluster_metadata`: the number one.
const PARTITION_METADATA: &str = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";

/// Bytes of the log that are in memory at once while it is replayed.
const REPLAY_BYTES: u64 = 1 << 20;

/// When which copy of the image is made; smaller in tests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copies {
    /// Bytes of log since the last snapshot that make the next one (Q7).
    pub(super) snapshot_bytes: u64,
    /// Log entries that are quicker skipped through the index than replayed: opening it costs
    /// some 20 ms and 21 MB.
    pub(super) index_entries: u64,
}

impl Copies {
    pub(super) const DEFAULT: Copies = Copies {
        snapshot_bytes: 20 << 20,
        index_entries: 50_000,
    };
}

/// Whom to tell that the quorum has failed; also if its thread panics.
pub(super) struct OnFailure(pub(super) Mutex<Box<TellFailure>>);

impl OnFailure {
    pub(super) fn call(&self, cause: &QuorumError) {
        let tell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tell(cause);
    }
}

pub(super) struct Boot {
    pub(super) metadata_log_dir: PathBuf,
    pub(super) voter: Voter,
    pub(super) cluster_id: String,
    pub(super) clock: Clock,
    pub(super) copies: Copies,
    pub(super) registration: Option<Registration>,
    pub(super) free_reserve: Box<dyn FnMut() -> bool + Send>,
    pub(super) on_failure: Arc<OnFailure>,
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
        self.on_failure.call(cause);
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.metadata_log_dir.join(DIRECTORY)
    }

    /// Opens or creates the directory, and puts the image together out of what is in it. What
    /// was read is on the device when this returns, so that nobody sees metadata that the next
    /// power cut removes.
    pub(super) fn open(&self) -> Result<(RaftStorage, Replay), QuorumError> {
        let dir = self.dir();
        create_directory(&self.metadata_log_dir, &dir)?;
        let listed = |source| LogError::Io {
            action: "list",
            path: dir.clone(),
            source,
        };
        let found = QuorumState::read(&dir).map_err(listed)?;
        let snapshots = snapshot::list(&dir).map_err(listed)?;
        let mut bases = list_segments(&dir).map_err(listed)?;
        let active = bases.pop().unwrap_or(0);
        let term_before = match snapshots.iter().find(|id| id.end_offset == active) {
            Some(id) => id.epoch as u64,
            None => 0,
        };
        let recovery_point = found.state().recovery_point;
        let node_id = self.voter.node_id;
        let log = MetadataLog::open(&dir, node_id, active, term_before, recovery_point)?;
        let mut replay = match self.indexed_image(&dir, &log) {
            Some(image) => Replay::after(image),
            None => self.snapshot_and_sealed(&dir, &snapshots, &bases, active)?,
        };
        replay_log(&mut replay, &log)?;
        let mut storage = RaftStorage::new(&dir, self.voter, found, log);
        storage.sync_recovered()?;
        let state = storage.initial_state().map_err(QuorumError::Raft)?;
        let (commit, end) = (state.hard_state.commit, storage.log().last_index());
        assert!(
            commit <= end,
            "commit {commit} is not in a log that ends at {end}"
        );
        Ok((storage, replay))
    }

    /// The image of the index, if it is worth opening and the log knows it.
    fn indexed_image(&self, dir: &Path, log: &MetadataLog) -> Option<Image> {
        if !self.index_is_worth_it(log) || !Store::exists(dir) {
            return None;
        }
        let store = Store::open(dir, &self.cluster_id, self.voter.node_id)?;
        let (image, term) = store.load_image()?;
        let index = index_of(image.applied);
        let known = index <= log.last_index() && log.term(index) == Some(term);
        known.then_some(image)
    }

    /// Stores the image of a clean stop, if the next start has much to read.
    pub(super) fn write_index(&self, image: &Image, log: &MetadataLog) {
        let Some(term) = log.term(index_of(image.applied)) else {
            return;
        };
        if !self.index_is_worth_it(log) {
            return;
        }
        if let Some(store) = Store::open(&self.dir(), &self.cluster_id, self.voter.node_id) {
            let saved = store.save_image(image, term).and_then(|()| store.close());
            if let Err(error) = saved {
                warn!(%error, "the metadata index was not written");
            }
        }
    }

    fn index_is_worth_it(&self, log: &MetadataLog) -> bool {
        log.last_index() + 1 - log.first_index() >= self.copies.index_entries
    }

    /// The image at the beginning of the segment `active`: out of the newest snapshot that is
    /// whole, and the sealed segments between it and there.
    fn snapshot_and_sealed(
        &self,
        dir: &Path,
        snapshots: &[SnapshotId],
        sealed: &[Offset],
        active: Offset,
    ) -> Result<Replay, QuorumError> {
        let failed = |source| LogError::Io {
            action: "read a snapshot in",
            path: dir.to_owned(),
            source,
        };
        let mut replay = Replay::after(Image::empty(&self.cluster_id));
        for id in snapshots.iter().rev() {
            if let Some(image) = snapshot::read(dir, *id, &self.cluster_id).map_err(failed)? {
                replay = Replay::after(image);
                break;
            }
        }
        let start = replay.image().applied.0 + 1;
        let bases: Vec<Offset> = sealed.iter().copied().chain([active]).collect();
        let first = bases.partition_point(|base| *base <= start);
        if first == 0 {
            let (path, begins) = (dir.to_owned(), bases[0]);
            return Err(QuorumError::Log(LogError::Missing { path, begins }));
        }
        // Segment `i` ends where the next begins: less would be a hole.
        for pair in bases[first - 1..].windows(2) {
            let (base, end) = (pair[0], pair[1]);
            let log = MetadataLog::open(dir, self.voter.node_id, base, 0, end)?;
            replay_log(&mut replay, &log)?;
        }
        Ok(replay)
    }
}

/// Applies the entries of `log` that the image does not have yet.
fn replay_log(replay: &mut Replay, log: &MetadataLog) -> Result<(), QuorumError> {
    let mut next = log.first_index().max(index_of(replay.image().applied) + 1);
    while next <= log.last_index() {
        let entries = log.entries(next, log.last_index() + 1, REPLAY_BYTES)?;
        next += entries.len() as u64;
        replay.apply(decode(&entries)?)?;
    }
    Ok(())
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
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(failed)?;
    // For Kafka's tools; nothing here reads it.
    fs::write(dir.join("partition.metadata"), PARTITION_METADATA).map_err(failed)
}
