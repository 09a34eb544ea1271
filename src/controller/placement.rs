//! Where the replicas of a new topic go: Kafka's stripe without racks
//! (kafka:StripedReplicaPlacer.java, KIP-36). Partition `p` starts one broker further than
//! `p − 1`, so leaders are spread evenly; after each full round the followers shift, so that
//! the load of a lost broker falls on all others.
//!
//! A fenced broker leads nothing and holds a replica only when the live ones do not suffice.

use crate::metadata::image::Image;
use crate::types::BrokerId;

/// The replicas of each partition, leader first. `seed` decides where the stripe starts.
/// `Err` is Kafka's sentence about why it cannot be done.
pub fn place(
    image: &Image,
    partitions: usize,
    replication_factor: usize,
    seed: u64,
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
    let start = (seed % n as u64) as usize;
    let stripe = |partition: usize| {
        let followers = (1..n).map(move |replica| follower(n, start, partition, replica));
        let order = std::iter::once((start + partition) % n).chain(followers);
        let fenced = (0..fenced.len()).map(|i| fenced[(i + partition) % fenced.len()]);
        order.map(|index| live[index]).chain(fenced).take(replication_factor).collect()
    };
    Ok((0..partitions).map(stripe).collect())
}

/// The index of the `replica`-th follower (from 1) of a partition among `brokers`.
fn follower(brokers: usize, start: usize, partition: usize, replica: usize) -> usize {
    let round = partition / brokers;
    let behind_leader = 1 + (round + replica - 1) % (brokers - 1);
    (start + partition + behind_leader) % brokers
}
