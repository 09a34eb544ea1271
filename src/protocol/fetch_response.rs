//! The Fetch response as a plan: encoded runs and record regions in the order of the wire.

use std::fs::File;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::fetch::{FLEXIBLE_SINCE, MAX_VERSION, MIN_VERSION, TOPIC_ID_SINCE};
use super::leader_hint::{CurrentLeader, NodeEndpoint, write_endpoints};
use super::wire::Writer;
use crate::error::ResponseError;
use crate::types::{BrokerId, LeaderEpoch, Offset, TopicId};

/// Part of what is to be sent.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// Encoded here.
    Inline(Bytes),
    /// Records still in memory.
    Memory(Bytes),
    /// Records in a file: `len` bytes from `position`.
    File {
        file: Arc<File>,
        position: u64,
        len: usize,
    },
}

impl Chunk {
    /// Size in bytes on the wire.
    pub fn len(&self) -> usize {
        match self {
            Chunk::Inline(bytes) | Chunk::Memory(bytes) => bytes.len(),
            Chunk::File { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory it holds.
    pub fn memory(&self) -> usize {
        match self {
            Chunk::Inline(bytes) | Chunk::Memory(bytes) => bytes.len(),
            Chunk::File { .. } => 0,
        }
    }
}

/// A response body ready to be sent.
#[derive(Clone, Debug)]
pub struct Plan {
    pub chunks: Vec<Chunk>,
    /// Size of all chunks in bytes.
    pub len: usize,
}

#[derive(Clone, Debug, Default)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    /// v7+: of the session (R87).
    pub error: Option<ResponseError>,
    /// v7+; 0 without session.
    pub session_id: i32,
    pub topics: Vec<TopicResponse>,
    /// v16+; of the leaders named in the partitions.
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Clone, Debug)]
pub struct TopicResponse {
    /// Sent up to v12.
    pub name: StrBytes,
    /// Sent from v13 on.
    pub topic_id: TopicId,
    pub partitions: Vec<PartitionResponse>,
}

#[derive(Clone, Debug)]
pub struct PartitionResponse {
    pub index: i32,
    pub error: Option<ResponseError>,
    /// −1 with an error (R85).
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    /// v5+.
    pub log_start_offset: Offset,
    /// v12+; what follows here differs from what was fetched (R86).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// v12+; with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
    pub current_leader: Option<CurrentLeader>,
    /// v12+; end offset and epoch of the metadata snapshot to fetch instead.
    pub snapshot_id: Option<EpochEndOffset>,
    /// Null and empty differ: R84 says which is when.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// v11+ (R89).
    pub preferred_read_replica: Option<BrokerId>,
    /// Whole batches; none is zero bytes, never null (R78).
    pub records: Vec<Chunk>,
}

/// The largest epoch up to which two logs agree, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: LeaderEpoch,
    pub end_offset: Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: Offset,
}

impl PartitionResponse {
    /// A refusal in which nothing but the error is known; `aborted_transactions` as R84 says.
    pub fn refused(
        index: i32,
        error: ResponseError,
        aborted_transactions: Option<Vec<AbortedTransaction>>,
    ) -> PartitionResponse {
        PartitionResponse {
            index,
            error: Some(error),
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions,
            preferred_read_replica: None,
            records: Vec::new(),
        }
    }

    /// Bytes of records.
    pub fn records_len(&self) -> usize {
        self.records.iter().map(Chunk::len).sum()
    }
}

impl FetchResponse {
    /// The body in `version` (4–18); the response header is the caller's.
    pub fn plan(self, version: i16) -> Plan {
        assert!(
            (MIN_VERSION..=MAX_VERSION).contains(&version),
            "Fetch response v{version}"
        );
        let mut plan = Planner {
            version,
            flexible: version >= FLEXIBLE_SINCE,
            run: BytesMut::with_capacity(256),
            chunks: Vec::new(),
        };
        let out = &mut plan.writer();
        out.i32(self.throttle_time_ms);
        if version >= 7 {
            out.i16(self.error.map_or(0, |error| error.code()));
            out.i32(self.session_id);
        }
        out.array_len(self.topics.len());
        for topic in self.topics {
            plan.topic(topic);
        }
        let out = &mut plan.writer();
        match version {
            16.. => write_endpoints(&self.node_endpoints, out),
            _ => out.no_tags(),
        }
        plan.cut();
        let len = plan.chunks.iter().map(Chunk::len).sum();
        let chunks = plan.chunks;
        Plan { chunks, len }
    }
}

/// Collects encoded bytes until a region of records cuts the run.
struct Planner {
    version: i16,
    flexible: bool,
    run: BytesMut,
    chunks: Vec<Chunk>,
}

impl Planner {
    fn writer(&mut self) -> Writer<'_> {
        Writer::new(&mut self.run, self.flexible)
    }

    fn topic(&mut self, topic: TopicResponse) {
        let version = self.version;
        let out = &mut self.writer();
        match version {
            TOPIC_ID_SINCE.. => out.uuid(topic.topic_id.0),
            _ => out.string(&topic.name),
        }
        out.array_len(topic.partitions.len());
        for partition in topic.partitions {
            self.partition(partition);
        }
        self.writer().no_tags();
    }

    fn partition(&mut self, partition: PartitionResponse) {
        let version = self.version;
        let records_len = partition.records_len();
        let out = &mut self.writer();
        out.i32(partition.index);
        out.i16(partition.error.map_or(0, |error| error.code()));
        out.i64(partition.high_watermark);
        out.i64(partition.last_stable_offset);
        if version >= 5 {
            out.i64(partition.log_start_offset);
        }
        match &partition.aborted_transactions {
            None => out.null_array(),
            Some(aborted) => {
                out.array_len(aborted.len());
                for transaction in aborted {
                    out.i64(transaction.producer_id);
                    out.i64(transaction.first_offset);
                    out.no_tags();
                }
            }
        }
        if version >= 11 {
            out.i32(partition.preferred_read_replica.map_or(-1, |id| id.0));
        }
        out.bytes_len(records_len);
        self.records(partition.records);
        if self.flexible {
            self.partition_tags(
                partition.diverging_epoch,
                partition.current_leader,
                partition.snapshot_id,
            );
        }
    }

    fn records(&mut self, records: Vec<Chunk>) {
        let regions = records.into_iter().filter(|region| !region.is_empty());
        for region in regions {
            self.cut();
            self.chunks.push(region);
        }
    }

    fn partition_tags(
        &mut self,
        diverging: Option<EpochEndOffset>,
        leader: Option<CurrentLeader>,
        snapshot: Option<EpochEndOffset>,
    ) {
        const END_OFFSET_SIZE: usize = 4 + 8 + 1;
        let out = &mut self.writer();
        let count = [diverging.is_some(), leader.is_some(), snapshot.is_some()];
        out.tag_count(count.into_iter().filter(|&present| present).count());
        if let Some(diverging) = diverging {
            out.tag(0, END_OFFSET_SIZE);
            out.i32(diverging.epoch);
            out.i64(diverging.end_offset);
            out.no_tags();
        }
        if let Some(leader) = leader {
            leader.write(1, out);
        }
        if let Some(snapshot) = snapshot {
            // Kafka's SnapshotId has its fields the other way round.
            out.tag(2, END_OFFSET_SIZE);
            out.i64(snapshot.end_offset);
            out.i32(snapshot.epoch);
            out.no_tags();
        }
    }

    /// Ends the current run of encoded bytes.
    fn cut(&mut self) {
        if !self.run.is_empty() {
            self.chunks.push(Chunk::Inline(self.run.split().freeze()));
        }
    }
}
