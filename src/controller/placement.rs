//! Where the replicas of a new topic go: Kafka's stripe without racks
//! (kafka:StripedReplicaPlacer.java, KIP-36). Partition `p` starts one broker further than
//! `p − 1`, so leaders are spread evenly; after each full round the followers shift, so that
//! the load of a lost broker falls on all others.
//!
//! A fenced broker leads nothing and holds a replica only when the live ones do not suffice.

use std::collections::BTreeSet;
use std::ops::Range;

use uuid::Uuid;

use crate::metadata::image::{BrokerImage, Image};
use crate::metadata::records::Partition;
use crate::types::{BrokerId, TopicId};

/// Why a partition whose replicas are all out of service is not made.
pub const NOBODY_ACTIVE: &str = "All brokers are currently fenced or in controlled shutdown.";

/// The replicas of each of a topic's `partitions`, leader first. The topic's id decides where
/// the stripe starts, so that partitions added later go on with it.
/// `Err` is Kafka's sentence about why it cannot be done.
pub fn place(
    image: &Image,
    partitions: Range<usize>,
    replication_factor: usize,
    topic_id: TopicId,
) -> Result<Vec<Vec<BrokerId>>, String> {
    let brokers = image.brokers.values();
    let (live, fenced): (Vec<_>, Vec<_>) = brokers.partition(|broker| !broker.fenced);
    let live: Vec<BrokerId> = live.iter().map(|broker| broker.id).collect();
    let fenced: Vec<BrokerId> = fenced.iter().map(|broker| broker.id).collect();
    let registered = live.len() + fenced.len();
    if replication_factor > registered {
        return Err(format!(
            "The target replication factor of {replication_factor} cannot be reached because \
             only {registered} broker(s) are registered."
        ));
    }
    if live.is_empty() {
        return Err("All brokers are currently fenced.".to_owned());
    }
    let n = live.len();
    let start = (topic_id.0.as_u128() as u64 % n as u64) as usize;
    let stripe = |partition: usize| {
        let followers = (1..n).map(move |replica| follower(n, start, partition, replica));
        let order = std::iter::once((start + partition) % n).chain(followers);
        let fenced = (0..fenced.len()).map(|i| fenced[(i + partition) % fenced.len()]);
        order
            .map(|index| live[index])
            .chain(fenced)
            .take(replication_factor)
            .collect()
    };
    Ok(partitions.map(stripe).collect())
}

/// The index of the `replica`-th follower (from 1) of a partition among `brokers`.
fn follower(brokers: usize, start: usize, partition: usize, replica: usize) -> usize {
    let round = partition / brokers;
    let behind_leader = 1 + (round + replica - 1) % (brokers - 1);
    (start + partition + behind_leader) % brokers
}

/// Whether a client may place partition `index` so; `expected` is how many replicas the topic's
/// other partitions have. `Err` is Kafka's sentence
/// (kafka:ReplicationControlManager.validateManualPartitionAssignment).
pub fn check_manual(
    image: &Image,
    index: i32,
    replicas: &[BrokerId],
    expected: Option<usize>,
) -> Result<(), String> {
    if replicas.is_empty() {
        return Err("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let sorted: BTreeSet<BrokerId> = replicas.iter().copied().collect();
    for broker in &sorted {
        if !image.brokers.contains_key(broker) {
            return Err(format!(
                "The manual partition assignment includes broker {broker}, but no such broker is \
                 registered."
            ));
        }
        if replicas.iter().filter(|replica| *replica == broker).count() > 1 {
            return Err(format!(
                "The manual partition assignment includes the broker {broker} more than once."
            ));
        }
    }
    match expected {
        Some(expected) if expected != replicas.len() => Err(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this \
             is not consistent with previous partitions, which have {expected} replica(s).",
            replicas.len()
        )),
        _ if active(image, replicas).is_empty() => Err(format!(
            "All brokers specified in the manual partition assignment for partition {index} are \
             fenced or in controlled shutdown."
        )),
        _ => Ok(()),
    }
}

/// Those of `replicas` that may lead and be in an ISR.
pub fn active(image: &Image, replicas: &[BrokerId]) -> Vec<BrokerId> {
    let is_active = |id: &&BrokerId| image.brokers.get(id).is_some_and(BrokerImage::is_active);
    replicas.iter().filter(is_active).copied().collect()
}

/// A new partition: its active replicas are in sync, the first of them leads. A replica's
/// directory is known here if its broker has only one.
pub fn partition(
    image: &Image,
    topic_id: TopicId,
    partition_id: i32,
    replicas: Vec<BrokerId>,
) -> Partition {
    let isr = active(image, &replicas);
    let directories = replicas.iter().map(|id| match image.brokers.get(id) {
        Some(broker) if broker.log_dirs.len() == 1 => broker.log_dirs[0],
        _ => Uuid::nil(),
    });
    Partition {
        partition_id,
        topic_id,
        directories: directories.collect(),
        replicas,
        leader: isr.first().copied(),
        isr,
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        recovering: false,
        leader_epoch: 0,
        partition_epoch: 0,
    }
}
