//! What the Raft library reads: log, vote and members, behind its `Storage` trait. The library
//! panics on a storage that contradicts itself, so [`RaftStorage::open`] makes sure of it.

use std::io;
use std::path::{Path, PathBuf};

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use tracing::warn;
use uuid::Uuid;

use crate::log::small_files::sync_directory;
use crate::quorum::log::{LogError, MetadataLog, list_segments, segment_path};
use crate::quorum::snapshot;
use crate::quorum::vote::{Found, QuorumState};
use crate::types::{BrokerId, Offset};

/// Snapshots that stay, with the log since the older: one may turn out not to be readable.
const KEPT_SNAPSHOTS: usize = 2;

/// Who this node is in the quorum: its disk belongs to its identity, so a wiped one is another
/// member (KIP-853).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter {
    pub node_id: BrokerId,
    pub directory_id: Uuid,
}

impl Voter {
    /// The library's id: never 0, which it reserves.
    pub fn raft_id(&self) -> u64 {
        let directory = self.directory_id.as_u128() as u32;
        ((self.node_id.0 as u64) << 32 | u64::from(directory)).max(1)
    }
}

/// The log, the vote, and the voters: this node alone, for now.
#[derive(Debug)]
pub struct RaftStorage {
    dir: PathBuf,
    me: Voter,
    log: MetadataLog,
    state: QuorumState,
}

impl RaftStorage {
    /// Puts together what the directory holds: the vote as it was found, and the newest
    /// segment, recovered.
    pub fn new(dir: &Path, me: Voter, found: Found, log: MetadataLog) -> RaftStorage {
        let mut state = found.state();
        // A vote that is lost, or older than the log, cannot mislead a sole voter: nobody else
        // was elected with it. It goes on above every term it can see.
        if state.leader_epoch < log.last_term() {
            if found != Found::Absent {
                let (vote, log) = (state.leader_epoch, log.last_term());
                warn!(
                    vote,
                    log, "quorum-state is unreadable or older than the metadata log"
                );
            }
            state.leader_epoch = log.last_term();
            state.voted = None;
        }
        RaftStorage {
            dir: dir.to_owned(),
            me,
            log,
            state,
        }
    }

    /// Begins a new segment behind everything that is in the log; a snapshot holds that. What
    /// no longer has to be kept is deleted: two snapshots stay, and the segments since the
    /// older one.
    pub fn roll(&mut self) -> Result<(), LogError> {
        let base = self.end_offset();
        let failed = |source| io_error("roll the log in", &self.dir, source);
        let log = MetadataLog::open(&self.dir, self.me.node_id, base, self.log.last_term(), base)?;
        sync_directory(&self.dir).map_err(failed)?;
        self.log = log;
        let snapshots = snapshot::list(&self.dir).map_err(failed)?;
        let (old, kept) = snapshots.split_at(snapshots.len().saturating_sub(KEPT_SNAPSHOTS));
        for old in old {
            snapshot::remove(&self.dir, *old).map_err(failed)?;
        }
        let whole = kept.len() == KEPT_SNAPSHOTS;
        let keep_from = kept
            .first()
            .filter(|_| whole)
            .map_or(0, |oldest| oldest.end_offset);
        for base in list_segments(&self.dir).map_err(failed)? {
            if base < keep_from {
                std::fs::remove_file(segment_path(&self.dir, base)).map_err(failed)?;
            }
        }
        Ok(())
    }

    pub fn log(&self) -> &MetadataLog {
        &self.log
    }

    pub fn log_mut(&mut self) -> &mut MetadataLog {
        &mut self.log
    }

    /// Syncs what recovery found, unless it is known to be synced: the page cache may have
    /// outlived the process that wrote it.
    pub fn sync_recovered(&mut self) -> Result<(), LogError> {
        let end = self.end_offset();
        if self.state.recovery_point < end {
            self.log.sync()?;
            self.state.recovery_point = end;
        }
        Ok(())
    }

    /// Makes term and vote durable, if they changed. The recovery point goes along as it was
    /// last known.
    pub fn vote(&mut self, term: u64, vote: u64, leader: u64) -> Result<(), LogError> {
        let me = self.me.raft_id();
        let state = QuorumState {
            leader_id: (leader == me).then_some(self.me.node_id),
            leader_epoch: term,
            voted: (vote == me).then_some((self.me.node_id, self.me.directory_id)),
            recovery_point: self.state.recovery_point,
        };
        if (state.leader_epoch, state.voted) == (self.state.leader_epoch, self.state.voted) {
            return Ok(());
        }
        self.write(state)
    }

    /// Repeats the vote with everything in the log as synced: the last step of a clean stop.
    pub fn note_all_synced(&mut self) -> Result<(), LogError> {
        self.write(QuorumState {
            recovery_point: self.end_offset(),
            ..self.state
        })
    }

    fn end_offset(&self) -> Offset {
        self.log.end_offset()
    }

    fn write(&mut self, state: QuorumState) -> Result<(), LogError> {
        let written = state.write(&self.dir);
        written.map_err(|source| io_error("write the vote in", &self.dir, source))?;
        self.state = state;
        Ok(())
    }
}

impl Storage for RaftStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let id = self.me.raft_id();
        let hard_state = HardState {
            term: self.state.leader_epoch,
            vote: self.state.voted.map_or(0, |_| id),
            // What a sole voter has on its disk is committed: there is nobody else to ask.
            commit: self.log.last_index(),
            ..HardState::default()
        };
        let mut conf_state = ConfState::default();
        conf_state.set_voters(vec![id]);
        Ok(RaftState::new(hard_state, conf_state))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.log.first_index() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let max_bytes = max_size.into().unwrap_or(u64::MAX);
        let entries = self.log.entries(low, high, max_bytes);
        entries.map_err(|error| raft::Error::Store(StorageError::Other(error.into())))
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let unavailable = || raft::Error::Store(StorageError::Unavailable);
        self.log.term(index).ok_or_else(unavailable)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.log.first_index())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.log.last_index())
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        Err(raft::Error::Store(
            StorageError::SnapshotTemporarilyUnavailable,
        ))
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> LogError {
    LogError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
