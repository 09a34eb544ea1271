//! What a disk may have done to the small files and to metadata records. Those that are only read
//! by path are put into a directory of this process.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use ottla::log::checkpoints::{CheckpointFile, Checkpoints, SUMS_FILE};
use ottla::log::epochs::EpochCache;
use ottla::log::index::{self, Entry, OffsetEntry};
use ottla::log::meta_properties::MetaProperties;
use ottla::log::producers::ProducerStates;
use ottla::log::time_index::TimeEntry;
use ottla::metadata::image::{Image, MetadataOffset};
use ottla::metadata::records::{MetadataRecord, Partition, PartitionChange};
use ottla::protocol::batch::{BatchHeader, BatchOptions, Record, ValidBatch, crc32c};
use ottla::quorum::entry;
use ottla::quorum::vote::{self, QuorumState};
use ottla::types::{BrokerId, TopicId, TopicPartition};
use tempfile::TempDir;

use super::mutate::mutate;
use crate::random::Random;

static DIRECTORY: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// An offset index; its twin for timestamps is read from the same bytes.
pub fn make_index(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut offset, mut position) = (0, 0);
    for _ in 0..random.below(40) {
        offset += 1 + random.below(100) as u32;
        position += 1 + random.below(5_000) as u32;
        bytes.extend(offset.to_be_bytes());
        bytes.extend(position.to_be_bytes());
    }
    mutate(&mut bytes, random);
    bytes
}

pub fn check_index(bytes: &Bytes) -> bool {
    let whole = check_entries::<OffsetEntry>(bytes);
    check_entries::<TimeEntry>(bytes);
    whole
}

fn check_entries<E: Entry>(bytes: &[u8]) -> bool {
    let (entries, whole) = index::parse::<E>(Some(bytes));
    let again = index::encode(&entries);
    assert!(bytes.starts_with(&again), "entries that are not there");
    assert_eq!(whole, again.len() == bytes.len(), "whole or not");
    whole
}

/// A producer snapshot, its checksum mostly right.
pub fn make_snapshot(random: &mut Random) -> Vec<u8> {
    let mut producers = ProducerStates::default();
    for at in 0..random.below(6) as i64 {
        let options = BatchOptions {
            producer_id: random.below(4) as i64,
            producer_epoch: random.below(3) as i16,
            base_sequence: random.below(1_000) as i32,
            ..BatchOptions::default()
        };
        let record = Record::default();
        let mut batch = ValidBatch::build(&[record], &options);
        batch.assign(at, 0);
        producers.appended(batch.header(), 1);
    }
    let mut bytes = producers.snapshot();
    mutate(&mut bytes, random);
    if bytes.len() > 6 && !random.one_in(6) {
        let crc = crc32c(&[&bytes[6..]]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

pub fn check_snapshot(bytes: &Bytes) -> bool {
    let Ok(producers) = ProducerStates::from_snapshot(bytes, 1) else {
        return false;
    };
    let again = producers.snapshot();
    let reread = ProducerStates::from_snapshot(&again, 1);
    assert_eq!(reread.as_ref(), Ok(&producers), "a snapshot changes");
    true
}

/// One of the texts: epochs, an offset checkpoint, meta.properties.
pub fn make_text(random: &mut Random) -> Vec<u8> {
    let lines = random.below(5);
    let mut text = format!("0\n{lines}\n");
    match random.below(3) {
        0 => (0..lines).for_each(|at| text.push_str(&format!("{} {}\n", at * 2, at * 10))),
        1 => (0..lines).for_each(|at| text.push_str(&format!("topic-{at} {at} {}\n", at * 7))),
        _ => {
            let directory = TopicId(random.uuid());
            text = format!("version=1\ncluster.id=abc\nnode.id=7\ndirectory.id={directory}\n");
        }
    }
    let mut bytes = text.into_bytes();
    mutate(&mut bytes, random);
    bytes
}

pub fn check_text(bytes: &Bytes) -> bool {
    let epochs = EpochCache::from_text(bytes);
    if let Ok(epochs) = &epochs {
        let again = EpochCache::from_text(epochs.to_text().as_bytes());
        assert!(again.is_ok_and(|again| again == *epochs), "epochs change");
    }
    let properties = MetaProperties::from_text(bytes);
    if let Ok(properties) = &properties {
        let again = MetaProperties::from_text(properties.to_text().as_bytes());
        assert!(again.is_ok_and(|again| again == *properties), "they change");
    }
    epochs.is_ok() || properties.is_ok()
}

/// A file that is only read by its path: which, then its content.
pub fn make_file(random: &mut Random) -> Vec<u8> {
    static QUORUM_STATE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let directory = TempDir::new().expect("a temporary directory");
        let state = QuorumState {
            leader_epoch: 3,
            voted: Some((BrokerId(1), TopicId::random().0)),
            ..QuorumState::default()
        };
        state.write(directory.path()).expect("written");
        fs::read(directory.path().join(vote::FILE_NAME)).expect("read")
    });
    let which = random.below(6) as u8;
    let mut bytes = match which {
        0..4 => {
            let lines = random.below(4);
            let line = |at| format!("topic-{at} {at} {}\n", at * 7);
            let lines_of_text: String = (0..lines).map(line).collect();
            format!("0\n{lines}\n{lines_of_text}").into_bytes()
        }
        4 => sums(random).into_bytes(),
        _ => QUORUM_STATE.clone(),
    };
    mutate(&mut bytes, random);
    bytes.insert(0, which);
    bytes
}

/// `ottla.sums` as a round leaves it.
fn sums(random: &mut Random) -> String {
    let mut text = String::new();
    for file in CheckpointFile::ALL {
        text += &format!("{} {:08x} -\n", file.name(), random.next() as u32);
    }
    format!("{text}{SUMS_FILE} {:08x}\n", crc32c(&[text.as_bytes()]))
}

pub fn check_file(bytes: &Bytes) -> bool {
    let Some((&which, content)) = bytes.split_first() else {
        return false;
    };
    let directory = DIRECTORY.path();
    let name = match which {
        0..4 => CheckpointFile::ALL[usize::from(which)].name(),
        4 => SUMS_FILE,
        _ => vote::FILE_NAME,
    };
    let file = directory.join(name);
    fs::write(&file, content).expect("written");
    let accepted = match which {
        0..5 => check_checkpoints(directory, usize::from(which)),
        _ => matches!(QuorumState::read(directory), Ok(vote::Found::State(_))),
    };
    fs::remove_file(&file).expect("removed");
    accepted
}

fn check_checkpoints(directory: &Path, which: usize) -> bool {
    let checkpoints = Checkpoints::read(directory, true).expect("the disk answers");
    let partition = TopicPartition {
        topic: "topic-1".into(),
        partition: 1,
    };
    let file = CheckpointFile::ALL[which.min(3)];
    let offset = checkpoints.offset(file, &partition);
    assert!(offset.is_none_or(|offset| offset >= 0), "{offset:?}");
    which < 4 && checkpoints.is_readable(file)
}

/// A metadata record alone, or as the one record of a batch of the metadata log.
pub fn make_metadata(random: &mut Random) -> Vec<u8> {
    let mut record = random_metadata(random).encode();
    let in_batch = random.one_in(3);
    if !in_batch || random.flip() {
        mutate(&mut record, random);
    }
    if !in_batch {
        record.insert(0, 0);
        return record;
    }
    let value = Record {
        value: Some(&record),
        ..Record::default()
    };
    let mut batch = ValidBatch::build(&[value], &BatchOptions::default());
    batch.assign(random.below(100) as i64, 1 + random.below(5) as i32);
    let mut bytes = batch.to_bytes().to_vec();
    mutate(&mut bytes, random);
    bytes.insert(0, 1);
    bytes
}

fn random_metadata(random: &mut Random) -> MetadataRecord {
    let topic_id = TopicId(random.uuid());
    match random.below(7) {
        0 => MetadataRecord::Topic {
            name: random.text().to_string(),
            topic_id,
        },
        1 => MetadataRecord::Partition(Partition {
            partition_id: random.below(3) as i32,
            topic_id,
            replicas: random.some(|random| BrokerId(random.i32())),
            isr: random.some(|random| BrokerId(random.i32())),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: random.maybe(|random| BrokerId(random.i32())),
            recovering: false,
            leader_epoch: random.i32(),
            partition_epoch: random.i32(),
            directories: random.some(Random::uuid),
        }),
        2 => MetadataRecord::PartitionChange(PartitionChange {
            isr: random.maybe(|random| random.some(|random| BrokerId(random.i32()))),
            leader: random.maybe(|random| random.maybe(|random| BrokerId(random.i32()))),
            ..PartitionChange::of(topic_id, random.i32())
        }),
        3 => MetadataRecord::Config {
            resource_type: 2,
            resource_name: random.text().to_string(),
            name: random.text().to_string(),
            value: random.maybe(|random| random.text().to_string()),
        },
        4 => MetadataRecord::FeatureLevel {
            name: random.text().to_string(),
            feature_level: random.i32() as i16,
        },
        5 => MetadataRecord::BeginTransaction {
            name: random.maybe(|random| random.text().to_string()),
        },
        _ => MetadataRecord::RemoveTopic { topic_id },
    }
}

pub fn check_metadata(bytes: &Bytes) -> bool {
    let Some((&in_batch, bytes)) = bytes.split_first() else {
        return false;
    };
    if in_batch == 1 {
        if let Some(header) = BatchHeader::read(bytes) {
            let _ = entry::check(&header);
        }
        return entry::decode(bytes).is_ok();
    }
    let Ok(record) = MetadataRecord::decode(bytes) else {
        return false;
    };
    let again = MetadataRecord::decode(&record.encode());
    assert_eq!(again.as_ref(), Ok(&record), "a record changes");
    // Refused or taken, but never a panic.
    let _ = Image::empty("cluster").apply([(MetadataOffset(0), &record)]);
    true
}
