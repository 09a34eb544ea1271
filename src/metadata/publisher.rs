//! What the step from one image to the next means for one broker: the partitions it begins to
//! lead or stops leading, replicas it gains and loses, configs that change. Pure; what a change
//! does to a log is the business of `partition`.
//!
//! A recreated topic is another topic: its removal comes before its creation. Epochs travel
//! along, so that late and repeated changes are harmless to a receiver that compares them
//! (spec A1, A8).

use crate::metadata::image::{Image, PartitionImage, TopicImage};
use crate::types::{BrokerId, TopicId, TopicPartition};

/// One step, in the order in which steps are to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The broker's replica is to go: the topic was deleted, or the replica moved away.
    Removed {
        topic_id: TopicId,
        partition: TopicPartition,
    },
    /// The broker has a replica whose leader, epochs, ISR or replicas are new to it.
    Role {
        topic_id: TopicId,
        partition: TopicPartition,
        /// Does this broker lead? In another leader epoch than before, or for the first time,
        /// if `new_leader_epoch`.
        leads: bool,
        new_leader_epoch: bool,
        image: &'a PartitionImage,
    },
    /// Overrides of a topic changed of which the broker already had a replica.
    TopicConfigs { topic: &'a TopicImage },
}

/// What `new` asks of broker `me` that `old` did not.
pub fn diff<'a>(old: &'a Image, new: &'a Image, me: BrokerId) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    for (before, after) in old.topics_differing(new) {
        match (before, after) {
            (Some(before), Some(after)) if before.id == after.id => {
                changed(before, after, me, &mut changes);
            }
            (before, after) => {
                if let Some(before) = before {
                    removed(before, 0, me, &mut changes);
                }
                if let Some(after) = after {
                    appeared(after, 0, me, &mut changes);
                }
            }
        }
    }
    changes
}

fn changed<'a>(
    before: &TopicImage,
    after: &'a TopicImage,
    me: BrokerId,
    changes: &mut Vec<Change<'a>>,
) {
    let mut had_replica = false;
    for (index, (old, new)) in before.partitions.iter().zip(&after.partitions).enumerate() {
        let (had, has) = (old.replicas.contains(&me), new.replicas.contains(&me));
        had_replica |= had;
        if had && !has {
            changes.push(removal(after, index));
        } else if has && (!had || old != new) {
            let new_leader_epoch = !had || old.leader_epoch != new.leader_epoch;
            changes.push(role(after, index, new, me, new_leader_epoch));
        }
    }
    appeared(after, before.partitions.len(), me, changes);
    removed(before, after.partitions.len(), me, changes);
    if had_replica && before.configs != after.configs {
        changes.push(Change::TopicConfigs { topic: after });
    }
}

fn appeared<'a>(topic: &'a TopicImage, from: usize, me: BrokerId, changes: &mut Vec<Change<'a>>) {
    for (index, partition) in topic.partitions.iter().enumerate().skip(from) {
        if partition.replicas.contains(&me) {
            changes.push(role(topic, index, partition, me, true));
        }
    }
}

fn removed(topic: &TopicImage, from: usize, me: BrokerId, changes: &mut Vec<Change<'_>>) {
    for (index, partition) in topic.partitions.iter().enumerate().skip(from) {
        if partition.replicas.contains(&me) {
            changes.push(removal(topic, index));
        }
    }
}

fn removal<'a>(topic: &TopicImage, index: usize) -> Change<'a> {
    Change::Removed {
        topic_id: topic.id,
        partition: name(topic, index),
    }
}

fn role<'a>(
    topic: &TopicImage,
    index: usize,
    image: &'a PartitionImage,
    me: BrokerId,
    new_leader_epoch: bool,
) -> Change<'a> {
    Change::Role {
        topic_id: topic.id,
        partition: name(topic, index),
        leads: image.leader == Some(me),
        new_leader_epoch,
        image,
    }
}

fn name(topic: &TopicImage, index: usize) -> TopicPartition {
    TopicPartition {
        topic: topic.name.clone(),
        partition: index as i32,
    }
}
