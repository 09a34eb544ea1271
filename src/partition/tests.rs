//! Scenarios of partitions on real files: a topic comes, is written, waits, goes, comes again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::manager::Partitions;
use super::volume::PASSED_BYTES;
use super::*;
use crate::clock::Clock;
use crate::config::TopicDefaults;
use crate::log::flusher::Flushable;
use crate::log::testing::{NOW, batch, context};
use crate::log::{LogOptions, Purpose};
use crate::metadata::image::{Image, MetadataOffset, TopicImage};
use crate::metadata::records::{self, MetadataRecord};
use crate::types::BrokerId;

struct Node {
    dir: TempDir,
    volume: Arc<Volume>,
    partitions: Partitions,
}

fn node(durable: bool) -> Node {
    node_in(TempDir::new().expect("a directory"), durable, true)
}

impl Node {
    /// The process is killed and another one starts on the same files.
    fn killed(self) -> Node {
        let Node {
            dir,
            volume,
            partitions,
        } = self;
        // The lock of the directory goes with the last of them.
        drop((partitions, volume));
        node_in(dir, false, false)
    }

    /// Goes from one image of the topics to the next.
    fn publish(&self, old: &[&TopicImage], new: &[&TopicImage]) {
        let image = |topics: &[&TopicImage]| {
            let mut records = Vec::new();
            for topic in topics {
                records.push(MetadataRecord::Topic {
                    name: topic.name.to_string(),
                    topic_id: topic.id,
                });
                records.push(MetadataRecord::Partition(records::Partition::of_one(
                    topic.id,
                    BrokerId(1),
                )));
            }
            let records = (0..).map(MetadataOffset).zip(&records);
            Image::empty("c").apply(records).expect("they fit")
        };
        self.partitions.publish(&image(old), &image(new));
    }
}

fn node_in(dir: TempDir, durable: bool, clean: bool) -> Node {
    let options = LogOptions {
        durable,
        ..LogOptions::default()
    };
    let clock = Clock::system();
    let cx = context(dir.path(), options);
    let volume = Arc::new(Volume::open(cx, clean, clock.clone()).expect("open"));
    let volumes = vec![volume.clone()];
    let partitions = Partitions::new(
        BrokerId(1),
        Arc::new(TopicDefaults::builtin()),
        false,
        clock,
        volumes,
    );
    Node {
        dir,
        volume,
        partitions,
    }
}

fn topic(id: TopicId, leader_epoch: LeaderEpoch) -> TopicImage {
    let partition = PartitionImage {
        leader: Some(BrokerId(1)),
        leader_epoch,
        partition_epoch: leader_epoch,
        replicas: vec![BrokerId(1)],
        isr: vec![BrokerId(1)],
        removing_replicas: vec![],
        adding_replicas: vec![],
        directories: vec![uuid::Uuid::nil()],
        recovering: false,
    };
    TopicImage {
        name: "t".into(),
        id,
        partitions: vec![partition],
        configs: BTreeMap::new(),
    }
}

async fn is_woken(wait: &Wait) -> bool {
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, wait.woken()).await.is_ok()
}

#[tokio::test]
async fn a_durable_append_is_visible_and_acknowledged_only_after_its_sync() {
    let node = node(true);
    node.partitions.change(&topic(TopicId::random(), 0));
    let partition = node.partitions.find("t", 0).unwrap();
    // Without a flusher nothing is ever synced but what the scenario syncs.
    node.volume.stop_flusher();
    let appended = partition.append(batch(), true, NOW).unwrap();
    assert!(appended.flush.before_ack);
    let progress = partition.progress().unwrap();
    assert_eq!((progress.high_watermark, progress.log_end_offset), (0, 1));
    assert_eq!(partition.is_replicated(1), Ok(false));
    let wait = Wait::new(1);
    let _parked = partition.park(&wait, Until::HighWatermark(1));
    let work = partition
        .start_flush(Purpose::Commit, NOW)
        .expect("unsynced");
    partition.flushed(work.run());
    assert!(is_woken(&wait).await);
    assert_eq!(partition.is_replicated(1), Ok(true));
    assert_eq!(partition.progress().unwrap().high_watermark, 1);
}

#[test]
fn an_append_after_an_awaited_one_is_not_visible_before_that_is_synced() {
    let node = node(false);
    let mut image = topic(TopicId::random(), 0);
    image.configs = BTreeMap::from([("flush.messages".to_owned(), "2".to_owned())]);
    node.partitions.change(&image);
    let partition = node.partitions.find("t", 0).unwrap();
    node.volume.stop_flusher();
    let append = || partition.append(batch(), false, NOW).unwrap();
    let high_watermark = || partition.progress().unwrap().high_watermark;
    assert!(!append().flush.before_ack);
    assert_eq!(high_watermark(), 1);
    assert!(
        append().flush.before_ack,
        "the second one waits for the sync"
    );
    let work = partition
        .start_flush(Purpose::Commit, NOW)
        .expect("unsynced");
    assert!(
        !append().flush.before_ack,
        "counted from when the sync began"
    );
    assert_eq!(high_watermark(), 1);
    partition.flushed(work.run());
    assert_eq!(high_watermark(), 3);
}

#[test]
fn a_log_written_in_a_later_epoch_than_the_metadata_knows_is_refused() {
    let node = node(false);
    let id = TopicId::random();
    node.partitions.change(&topic(id, 5));
    let partition = node.partitions.find("t", 0).unwrap();
    partition.append(batch(), false, NOW).unwrap();
    node.partitions.close().unwrap();
    let volumes = vec![node.volume.clone()];
    let again = Partitions::new(
        BrokerId(1),
        Arc::new(TopicDefaults::builtin()),
        false,
        Clock::system(),
        volumes,
    );
    again.change(&topic(id, 4));
    let partition = again.find("t", 0).unwrap();
    let refused = partition.append(batch(), false, NOW).unwrap_err();
    assert_eq!(refused.error, ResponseError::KafkaStorageError);
}

#[tokio::test]
async fn r60_what_was_synced_before_it_was_parked_counts_too() {
    let node = node(false);
    node.partitions.change(&topic(TopicId::random(), 0));
    let partition = node.partitions.find("t", 0).unwrap();
    partition.append(batch(), true, NOW).unwrap();
    let wait = Wait::new(2);
    let _first = partition.park(&wait, Until::HighWatermark(1));
    let _second = partition.park(&wait, Until::HighWatermark(2));
    partition.append(batch(), true, NOW).unwrap();
    assert!(is_woken(&wait).await);
}

#[tokio::test]
async fn r82_the_deletion_of_a_topic_wakes_who_waits_and_who_comes_late() {
    let node = node(false);
    let image = topic(TopicId::random(), 0);
    node.partitions.change(&image);
    let partition = node.partitions.find("t", 0).unwrap();
    let (early, late) = (Wait::new(1), Wait::new(1));
    let _early = partition.park(&early, Until::Bytes(Isolation::ReadUncommitted));
    node.partitions.remove(&image);
    assert!(is_woken(&early).await);
    let _late = partition.park(&late, Until::HighWatermark(1));
    assert!(is_woken(&late).await);
    assert!(partition.append(batch(), false, NOW).is_err());
}

#[test]
fn r53_a_topic_made_again_under_its_name_is_empty() {
    let node = node(false);
    let image = topic(TopicId::random(), 0);
    node.partitions.change(&image);
    let old = node.partitions.find("t", 0).unwrap();
    old.append(batch(), false, NOW).unwrap();
    node.partitions.remove(&image);
    node.partitions.change(&topic(TopicId::random(), 0));
    let new = node.partitions.find("t", 0).unwrap();
    assert_eq!(new.progress().unwrap().log_end_offset, 0);
    assert_eq!(new.append(batch(), false, NOW).unwrap().base_offset, 0);
    let unknown = node.partitions.find_by_id(image.id, 0).err();
    assert_eq!(unknown, Some(ResponseError::UnknownTopicId));
}

/// Ten records are written, synced and checkpointed.
fn ten_records_checkpointed(node: &Node) {
    let partition = node.partitions.find("t", 0).unwrap();
    for _ in 0..10 {
        partition.append(batch(), false, NOW).unwrap();
    }
    let work = partition.start_flush(Purpose::Checkpoint, NOW).unwrap();
    partition.flushed(work.run());
    node.partitions.checkpoint();
}

#[test]
fn many_flushed_bytes_do_not_wait_for_the_next_checkpoint_round() {
    let node = node(false);
    node.publish(&[], &[&topic(TopicId::random(), 0)]);
    let partition = node.partitions.find("t", 0).unwrap();
    partition.append(batch(), false, NOW).unwrap();
    let work = partition.start_flush(Purpose::Checkpoint, NOW).unwrap();
    let flushed = work.run();
    let bytes = flushed.checkpointed_bytes();
    assert_eq!(bytes, batch().size() as u64);
    partition.flushed(flushed);
    let file = node.dir.path().join("recovery-point-offset-checkpoint");
    let is_told = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("t 0 1\n"));
    node.volume.checkpointed(PASSED_BYTES - bytes - 1);
    assert!(!is_told());
    node.volume.checkpointed(1);
    assert!(is_told());
}

/// One record, then a kill before any checkpoint: the record must be there.
fn one_record_and_a_kill(node: Node, image: &TopicImage) {
    let appended = {
        let partition = node.partitions.find("t", 0).unwrap();
        partition.append(batch(), false, NOW).unwrap()
    };
    assert_eq!(appended.base_offset, 0);
    let node = node.killed();
    node.publish(&[], &[image]);
    node.partitions.set_strays_aside().unwrap();
    let partition = node.partitions.find("t", 0).unwrap();
    assert_eq!(partition.progress().unwrap().log_end_offset, 1);
}

#[test]
fn a_topic_made_again_is_not_judged_by_the_checkpoints_of_the_old_one() {
    let node = node(false);
    let (old, new) = (topic(TopicId::random(), 0), topic(TopicId::random(), 0));
    node.publish(&[], &[&old]);
    ten_records_checkpointed(&node);
    node.publish(&[&old], &[]);
    node.publish(&[], &[&new]);
    one_record_and_a_kill(node, &new);
}

#[test]
fn checkpoints_of_a_topic_deleted_before_a_kill_do_not_come_back() {
    let node = node(false);
    let (old, new) = (topic(TopicId::random(), 0), topic(TopicId::random(), 0));
    node.publish(&[], &[&old]);
    ten_records_checkpointed(&node);
    // Killed behind the deletion in the metadata, before anything was done about it here.
    let node = node.killed();
    node.publish(&[], &[]);
    node.partitions.set_strays_aside().unwrap();
    node.publish(&[], &[&new]);
    one_record_and_a_kill(node, &new);
}

/// A power loss that leaves the names of files and not their bytes, as ext4's journal does.
#[test]
fn d1_a_partition_younger_than_the_last_round_begins_again_after_a_power_loss() {
    let node = node(false);
    let image = topic(TopicId::random(), 0);
    node.publish(&[], &[&image]);
    node.partitions.checkpoint();
    let partition = node.partitions.find("t", 0).unwrap();
    partition.append(batch(), false, NOW).unwrap();
    let log = node.dir.path().join("t-0/00000000000000000000.log");
    std::fs::write(&log, b"").unwrap();
    std::fs::write(log.with_file_name("00000000000000000001.log"), b"").unwrap();
    drop(partition);
    let node = node.killed();
    node.publish(&[], &[&image]);
    let partition = node.partitions.find("t", 0).unwrap();
    assert_eq!(partition.progress().unwrap().log_end_offset, 0);
    assert_eq!(
        partition.append(batch(), false, NOW).unwrap().base_offset,
        0
    );
}

#[test]
fn r98_an_epoch_is_known_before_its_first_batch() {
    let node = node(false);
    let id = TopicId::random();
    node.partitions.change(&topic(id, 1));
    let partition = node.partitions.find("t", 0).unwrap();
    assert_eq!(partition.end_of_epoch(-1, 0), Ok((0, 0)), "empty, led in 1");
    partition.append(batch(), false, NOW).unwrap();
    node.partitions.change(&topic(id, 4));
    assert_eq!(partition.end_of_epoch(4, 4), Ok((4, 1)));
    assert_eq!(
        partition.end_of_epoch(4, 3),
        Ok((1, 1)),
        "2 and 3 led nothing"
    );
    assert_eq!(
        partition.end_of_epoch(1, 1),
        Err(ResponseError::FencedLeaderEpoch)
    );
}

#[test]
fn a_log_that_has_lost_what_was_cleaned_is_cleaned_from_its_start() {
    let node = node(false);
    let name = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    node.volume.note_cleaned(&name, 1_000);
    node.partitions.change(&topic(TopicId::random(), 0));
    let partition = node.partitions.find("t", 0).unwrap();
    partition.open_log();
    // Or offsets below 1,000 would count as clean once the log has passed them.
    assert_eq!(node.volume.cleaned_to(&name), Some(0));
}
