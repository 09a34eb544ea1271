//! The cluster's metadata as of one offset of the metadata log: topics, partitions, brokers,
//! features, configs. Immutable; a change makes a new image that shares what did not change.
//!
//! Applying is the meaning of metadata records and nothing else (Kafka: MetadataDelta,
//! PartitionRegistration.merge): no decision is taken here, and nothing here knows who wrote
//! the records or which broker it runs on. Transactions (KIP-868) are resolved before, in
//! `replay`.
//!
//! Cost of a change: one or two of 64 map shards and the topics it names; see `sharded`.

mod apply;

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::config::listeners;
use crate::config::{DynamicLayers, SecurityProtocol};
use crate::metadata::records::{BROKER_RESOURCE, BrokerFeature};
use crate::metadata::sharded::{ShardKey, Sharded};
use crate::types::{BrokerId, LeaderEpoch, TopicId};

pub use apply::ApplyError;

/// An offset of the metadata log: Raft index − 1. −1 is "before the first record".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataOffset(pub i64);

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Image {
    pub cluster_id: Arc<str>,
    /// The last offset whose record is in this image.
    pub applied: MetadataOffset,
    pub brokers: BTreeMap<BrokerId, BrokerImage>,
    /// Finalised feature levels by name; a feature at level 0 is absent.
    pub features: BTreeMap<String, i16>,
    /// The first producer id that no block handed out contains.
    pub next_producer_id: i64,
    /// Configs of resources other than topics, by resource type and name.
    pub configs: BTreeMap<(i8, String), BTreeMap<String, String>>,
    topics: Sharded<Arc<str>, Arc<TopicImage>>,
    names: Sharded<TopicId, Arc<str>>,
}

/// A topic. `partitions[i]` is partition `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    pub name: Arc<str>,
    pub id: TopicId,
    pub partitions: Vec<PartitionImage>,
    /// Overrides only, as they were set.
    pub configs: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    /// Grows by one with every change of the partition.
    pub partition_epoch: i32,
    /// In preferred order.
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub removing_replicas: Vec<BrokerId>,
    pub adding_replicas: Vec<BrokerId>,
    /// The log directory of each replica; zero is "not assigned yet".
    pub directories: Vec<Uuid>,
    /// Elected uncleanly, and the leader has not recovered yet.
    pub recovering: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    pub id: BrokerId,
    /// The metadata offset of its registration record.
    pub epoch: i64,
    pub incarnation: Uuid,
    /// As it registered them.
    pub endpoints: Vec<Endpoint>,
    /// What its dynamic `advertised.listeners` says instead.
    advertised: Vec<Endpoint>,
    pub rack: Option<String>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    pub features: Vec<BrokerFeature>,
    pub log_dirs: Vec<Uuid>,
}

impl BrokerImage {
    /// Where its listener of that name is reached; `None` if it has no such listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        let named = |endpoint: &&Endpoint| endpoint.listener == listener;
        let registered = self.endpoints.iter().find(named)?;
        Some(self.advertised.iter().find(named).unwrap_or(registered))
    }

    /// A text that does not read, which no validated record carries, counts as absent; so does
    /// port 0, since only the broker's own start knows which port it got.
    fn advertise(&mut self, text: Option<&str>) {
        let told = text.and_then(listeners::readvertised).unwrap_or_default();
        let endpoint = |registered: &Endpoint| {
            let (_, address) = told.iter().find(|(name, _)| *name == registered.listener)?;
            Some(Endpoint {
                host: address.host.clone(),
                port: match address.port {
                    0 => registered.port,
                    port => port,
                },
                ..registered.clone()
            })
        };
        self.advertised = self.endpoints.iter().filter_map(endpoint).collect();
    }

    /// May it lead and be in an ISR?
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

const ADVERTISED_LISTENERS: &str = "advertised.listeners";

/// Where a listener of a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: SecurityProtocol,
}

impl Image {
    /// Before the first record.
    pub fn empty(cluster_id: &str) -> Image {
        Image {
            cluster_id: cluster_id.into(),
            applied: MetadataOffset(-1),
            brokers: BTreeMap::new(),
            features: BTreeMap::new(),
            next_producer_id: 0,
            configs: BTreeMap::new(),
            topics: Sharded::default(),
            names: Sharded::default(),
        }
    }

    pub fn topic(&self, name: &str) -> Option<&TopicImage> {
        self.topics.get(name).map(|topic| &**topic)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&TopicImage> {
        self.topic(self.names.get(&id)?)
    }

    /// All topics, in an order that depends on their names alone (not sorted).
    pub fn topics(&self) -> impl Iterator<Item = &TopicImage> {
        self.topics.iter().map(|(_, topic)| &**topic)
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// The topic that `name` would be confused with: another one that differs only in `.` and
    /// `_` (R46; metric names cannot tell them apart).
    pub fn colliding_topic(&self, name: &str) -> Option<&str> {
        let unified = |byte: u8| if byte == b'.' { b'_' } else { byte };
        let mut beside = self.topics.beside(name);
        beside
            .find(|(other, _)| {
                &***other != name && other.bytes().map(unified).eq(name.bytes().map(unified))
            })
            .map(|(other, _)| &**other)
    }

    /// A broker that can be asked to administer: any live one, because all of them forward to
    /// the active controller (R47, R155).
    pub fn controller_id(&self) -> Option<BrokerId> {
        let mut brokers = self.brokers.values();
        brokers.find(|broker| broker.is_active()).map(|b| b.id)
    }

    /// What AlterConfigs stored for a resource other than a topic.
    pub fn configs_of(&self, resource_type: i8, name: &str) -> Option<&BTreeMap<String, String>> {
        self.configs.get(&(resource_type, name.to_owned()))
    }

    /// What AlterConfigs stored for a broker and for all of them.
    pub fn dynamic_layers(&self, broker: BrokerId) -> DynamicLayers {
        let layer = |name: &str| self.configs_of(BROKER_RESOURCE, name).cloned();
        DynamicLayers {
            broker: layer(&broker.to_string()).unwrap_or_default(),
            cluster_default: layer("").unwrap_or_default(),
        }
    }

    /// Whether [`Image::dynamic_layers`] of two images differ.
    pub fn broker_configs_differ(&self, other: &Image, broker: BrokerId) -> bool {
        let differ = |name: &str| {
            self.configs_of(BROKER_RESOURCE, name) != other.configs_of(BROKER_RESOURCE, name)
        };
        differ("") || differ(&broker.to_string())
    }

    /// Pairs of topics that may differ between two images: what both share is left out.
    pub fn topics_differing<'a>(
        &'a self,
        other: &'a Image,
    ) -> impl Iterator<Item = (Option<&'a TopicImage>, Option<&'a TopicImage>)> {
        self.topics
            .differing(&other.topics)
            .flat_map(|(mine, theirs)| {
                let changed = mine.iter().filter_map(|(name, topic)| {
                    let counterpart = theirs.get(name);
                    let same = counterpart.is_some_and(|theirs| Arc::ptr_eq(topic, theirs));
                    (!same).then(|| (Some(&**topic), counterpart.map(|topic| &**topic)))
                });
                let appeared = theirs.iter().filter(|(name, _)| !mine.contains_key(*name));
                changed.chain(appeared.map(|(_, topic)| (None, Some(&**topic))))
            })
    }
}

/// Where groups and committed offsets are.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// Whether Kafka counts a topic as internal: clients hide it and do not write to it (R47).
pub fn is_internal(name: &str) -> bool {
    matches!(
        name,
        CONSUMER_OFFSETS | "__transaction_state" | "__share_group_state"
    )
}

/// What is the same in both: used by tests to say that a rebuilt image is the same image.
impl PartialEq for Image {
    fn eq(&self, other: &Image) -> bool {
        self.cluster_id == other.cluster_id
            && self.applied == other.applied
            && self.brokers == other.brokers
            && self.features == other.features
            && self.next_producer_id == other.next_producer_id
            && self.configs == other.configs
            && self.topics.len() == other.topics.len()
            && self
                .topics()
                .all(|topic| other.topic(&topic.name) == Some(topic))
    }
}

/// Names that collide (R46) share a shard: `.` hashes as `_`.
impl ShardKey for str {
    fn shard_hash(&self) -> u64 {
        // FNV-1a: short, and the same in every process, so iteration order is too.
        self.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            let byte = if byte == b'.' { b'_' } else { byte };
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl ShardKey for Arc<str> {
    fn shard_hash(&self) -> u64 {
        (**self).shard_hash()
    }
}

/// Topic ids are random: their low bits do.
impl ShardKey for TopicId {
    fn shard_hash(&self) -> u64 {
        self.0.as_u128() as u64
    }
}

#[cfg(test)]
mod tests;
