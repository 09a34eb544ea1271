//! What the Raft library reads: log, vote and members, behind its `Storage` trait. The library
//! panics on a storage that contradicts itself, so [`RaftStorage::open`] makes sure of it.

use std::io;
use std::path::{Path, PathBuf};

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use tracing::warn;
use uuid::Uuid;

use crate::quorum::entry::offset_of;
use crate::quorum::log::{LogError, MetadataLog};
use crate::quorum::vote::{Found, QuorumState};
use crate::types::{BrokerId, Offset};

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
    /// Reads the vote, recovers the log. `dir` exists.
    pub fn open(dir: &Path, me: Voter) -> Result<RaftStorage, LogError> {
        let failed = |source| vote_error("read", dir, source);
        let found = QuorumState::read(dir).map_err(failed)?;
        let mut state = match found {
            Found::State(state) => state,
            Found::Absent | Found::Unreadable => QuorumState::default(),
        };
        let log = MetadataLog::open(dir, me.node_id, 0, state.recovery_point)?;
        // A vote that is lost, or older than the log, cannot mislead a sole voter: nobody else
        // was elected with it. It goes on above every term it can see.
        if state.leader_epoch < log.last_term() {
            if found != Found::Absent {
                let (vote, log) = (state.leader_epoch, log.last_term());
                warn!(vote, log, "quorum-state is unreadable or older than the metadata log");
            }
            state.leader_epoch = log.last_term();
            state.voted = None;
        }
        Ok(RaftStorage {
            dir: dir.to_owned(),
            me,
            log,
            state,
        })
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
        offset_of(self.log.last_index() + 1).0
    }

    fn write(&mut self, state: QuorumState) -> Result<(), LogError> {
        let written = state.write(&self.dir);
        written.map_err(|source| vote_error("write", &self.dir, source))?;
        self.state = state;
        Ok(())
    }
}

impl Storage for RaftStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let id = self.me.raft_id();
        let mut hard_state = HardState::default();
        hard_state.term = self.state.leader_epoch;
        hard_state.vote = if self.state.voted.is_some() { id } else { 0 };
        // What a sole voter has on its disk is committed: there is nobody else to ask.
        hard_state.commit = self.log.last_index();
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
        Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

fn vote_error(action: &'static str, dir: &Path, source: io::Error) -> LogError {
    LogError::Io {
        action,
        path: dir.join(crate::quorum::vote::FILE_NAME),
        source,
    }
}
