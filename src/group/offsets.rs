//! The committed offsets of one group (R99, R103, R114; Kafka: OffsetMetadataManager).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{CommitTopic, CommittedTopic, FetchedTopic};
use super::memory;
use super::records::{Committed, GroupRecord};
use crate::error::ResponseError;
use crate::types::Millis;

/// In a fixed order, so that answers and records have one.
#[derive(Clone, Debug, Default)]
pub struct Offsets {
    topics: BTreeMap<Arc<str>, BTreeMap<i32, Committed>>,
    count: usize,
    metadata_bytes: usize,
}

impl Offsets {
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// What they take in memory, about.
    pub fn bytes(&self) -> usize {
        self.count * memory::OFFSET + self.metadata_bytes
    }

    pub fn put(&mut self, topic: Arc<str>, partition: i32, committed: Committed) {
        self.count += 1;
        self.metadata_bytes += committed.metadata.len();
        let partitions = self.topics.entry(topic).or_default();
        if let Some(before) = partitions.insert(partition, committed) {
            self.count -= 1;
            self.metadata_bytes -= before.metadata.len();
        }
    }

    pub fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.topics.get_mut(topic) {
            if let Some(removed) = partitions.remove(&partition) {
                self.count -= 1;
                self.metadata_bytes -= removed.metadata.len();
            }
            if partitions.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    pub fn contains(&self, topic: &str, partition: i32) -> bool {
        let partitions = self.topics.get(topic);
        partitions.is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// All of them, by topic.
    pub fn all(&self) -> Vec<FetchedTopic> {
        let topics = self.topics.iter();
        let fetched = topics.map(|(topic, partitions)| FetchedTopic {
            topic: topic.clone(),
            partitions: partitions
                .iter()
                .map(|(partition, committed)| (*partition, Some(committed.clone())))
                .collect(),
        });
        fetched.collect()
    }

    /// Those asked for, committed or not (R100).
    pub fn of(&self, asked: Vec<(Arc<str>, Vec<i32>)>) -> Vec<FetchedTopic> {
        let fetched = asked.into_iter().map(|(topic, asked)| {
            let known = self.topics.get(&topic);
            let committed = |partition: i32| known.and_then(|known| known.get(&partition)).cloned();
            let partitions = asked.into_iter().map(|p| (p, committed(p))).collect();
            FetchedTopic { topic, partitions }
        });
        fetched.collect()
    }

    /// What removes those that `is_gone` picks.
    pub fn tombstones<'a>(
        &'a self,
        group: &'a Arc<str>,
        mut is_gone: impl FnMut(&str, &Committed) -> bool + 'a,
    ) -> impl Iterator<Item = GroupRecord> + 'a {
        let all = self.topics.iter().flat_map(|(topic, partitions)| {
            let partitions = partitions.iter();
            partitions.map(move |(partition, committed)| (topic, *partition, committed))
        });
        all.filter(move |(topic, _, committed)| is_gone(topic, committed))
            .map(|(topic, partition, _)| tombstone(group, topic, partition))
    }

    /// What removes those of one topic.
    pub fn tombstones_of<'a>(
        &'a self,
        group: &'a Arc<str>,
        topic: &'a Arc<str>,
    ) -> impl Iterator<Item = GroupRecord> + 'a {
        let partitions = self.topics.get(topic).into_iter().flatten();
        partitions.map(|(partition, _)| tombstone(group, topic, *partition))
    }
}

pub fn tombstone(group: &Arc<str>, topic: &Arc<str>, partition: i32) -> GroupRecord {
    GroupRecord::Offset {
        group: group.clone(),
        topic: topic.clone(),
        partition,
        committed: None,
    }
}

/// What a commit comes to: its records, and what each partition is told. Metadata that is too long
/// is refused, the rest is committed (R99).
pub fn commit(
    group: &Arc<str>,
    topics: Vec<CommitTopic>,
    metadata_max_bytes: usize,
    now: Millis,
    expires_at: Option<Millis>,
) -> (Vec<GroupRecord>, Vec<CommittedTopic>) {
    let mut records = Vec::new();
    let answers = topics.into_iter().map(|CommitTopic { topic, partitions }| {
        let answers = partitions.into_iter().map(|asked| {
            // Kafka counts UTF-16 units.
            if asked.metadata.encode_utf16().count() > metadata_max_bytes {
                return (asked.partition, Some(ResponseError::OffsetMetadataTooLarge));
            }
            records.push(GroupRecord::Offset {
                group: group.clone(),
                topic: topic.clone(),
                partition: asked.partition,
                committed: Some(Committed {
                    offset: asked.offset,
                    leader_epoch: asked.leader_epoch,
                    metadata: asked.metadata.into(),
                    committed_at: now,
                    expires_at,
                }),
            });
            (asked.partition, None)
        });
        let partitions = answers.collect();
        CommittedTopic { topic, partitions }
    });
    let answers = answers.collect();
    (records, answers)
}
