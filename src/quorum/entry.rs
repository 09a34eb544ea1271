//! One Raft entry is one record batch of one record: metadata offset = index − 1, leader epoch
//! of the batch = term. So Kafka's tools read the metadata log.
//!
//! The empty entry with which a leader begins its term stands in the log as Kafka's
//! LeaderChange control record (kafka:raft/…/ControlRecordUtils, LeaderChangeMessage.json).

use std::ops::ControlFlow;

use bytes::Bytes;
use raft::eraftpb::{Entry, EntryType};

use crate::metadata::image::MetadataOffset;
use crate::protocol::batch::{
    BatchHeader, BatchOptions, Record, ValidBatch, crc_matches, for_each_record,
};
use crate::types::{BrokerId, LeaderEpoch, Millis};

/// The longest batch that recovery believes. A metadata record is at most a partition with all
/// its replicas, or a config value out of one request.
pub const MAX_BATCH_BYTES: usize = 32 << 20;

/// Type 2, version 0: Kafka's key of a LeaderChange control record.
const LEADER_CHANGE_KEY: [u8; 4] = [0, 0, 0, 2];

/// The metadata offset of a Raft index.
pub fn offset_of(index: u64) -> MetadataOffset {
    MetadataOffset(index as i64 - 1)
}

/// The Raft index of a metadata offset.
pub fn index_of(offset: MetadataOffset) -> u64 {
    (offset.0 + 1) as u64
}

/// The batch that stores `entry`. `leader` is who writes it, for the control record.
pub fn encode(entry: &Entry, leader: BrokerId, now: Millis) -> ValidBatch {
    assert!(
        entry.get_entry_type() == EntryType::EntryNormal,
        "entry {} changes the quorum, whose members are fixed",
        entry.index
    );
    let term = LeaderEpoch::try_from(entry.term);
    assert!(term.is_ok(), "term {} is above Kafka's int32 epochs", entry.term);
    let control = entry.data.is_empty();
    let message = leader_change(leader);
    let record = Record {
        timestamp: now,
        key: control.then_some(&LEADER_CHANGE_KEY[..]),
        value: Some(if control { &message } else { &entry.data }),
        ..Record::default()
    };
    let options = BatchOptions {
        control,
        ..BatchOptions::default()
    };
    let mut batch = ValidBatch::build(&[record], &options);
    batch.assign(offset_of(entry.index).0, term.unwrap_or(LeaderEpoch::MAX));
    batch
}

/// The entry that `batch`, exactly its bytes, stores; `Err` says what is wrong with it.
pub fn decode(batch: &[u8]) -> Result<Entry, &'static str> {
    let header = BatchHeader::read(batch).ok_or("the batch header is cut off")?;
    check(&header)?;
    if !crc_matches(batch) {
        return Err("the checksum does not match");
    }
    let mut data = None;
    let walked = for_each_record(batch, |record| {
        data = record.value.map(Bytes::copy_from_slice);
        ControlFlow::Continue(())
    });
    let data = match (walked, data) {
        (Ok(()), Some(data)) => data,
        _ => return Err("the record cannot be read"),
    };
    let mut entry = Entry::default();
    entry.index = index_of(MetadataOffset(header.base_offset));
    entry.term = header.partition_leader_epoch as u64;
    entry.data = if header.is_control() { Bytes::new() } else { data };
    Ok(entry)
}

/// Whether a header can be one of ours.
pub fn check(header: &BatchHeader) -> Result<(), &'static str> {
    if !header.is_plausible() || header.total_size() > MAX_BATCH_BYTES {
        return Err("there is no batch");
    }
    if header.record_count != 1 || header.last_offset_delta != 0 {
        return Err("the batch does not hold one record");
    }
    if header.partition_leader_epoch < 1 {
        return Err("the batch has no leader epoch");
    }
    Ok(())
}

/// LeaderChangeMessage version 0: version, leader, voters, granting voters, no tagged fields.
fn leader_change(leader: BrokerId) -> Vec<u8> {
    let mut message = Vec::with_capacity(19);
    message.extend_from_slice(&0i16.to_be_bytes());
    message.extend_from_slice(&leader.0.to_be_bytes());
    for _ in ["voters", "granting voters"] {
        message.push(2); // one element
        message.extend_from_slice(&leader.0.to_be_bytes());
        message.push(0);
    }
    message.push(0);
    message
}
