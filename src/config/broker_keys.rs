//! Every broker key of the imitated release, and a few of ours and of older ones. The tables are
//! compared with what Kafka 4.1.2 answers to DescribeConfigs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::config::connection_limits;
use crate::config::key::{Key, Treatment, keys};
use crate::config::refusal::{self, Refusal};

mod groups;
mod log;
mod network;
mod node;
mod quotas;
mod remote;
mod replication;
mod security;
mod transactions;

// Kafka 4.1.2 does not list these.
keys! { const OTHERS:
    Honoured String "cluster.id" = null, NonEmpty, ReadOnly:
        "The id of the cluster, given when its directories are formatted. Unset, a new one is made. Also `CLUSTER_ID` in the environment.";
    Ignored String "inter.broker.protocol.version" = "4.1-IV1", Any, ReadOnly:
        "The metadata version under its older name, from which old tools read the release.";
    Ignored String "log.message.format.version" = null, Any, ReadOnly:
        "The record format before Kafka 3.0.";
    Ignored Boolean "auto.include.jmx.reporter" = null, Any, ReadOnly:
        "Whether metrics are also shown through JMX.";
    Ignored Int "jmx.port" = null, Any, ReadOnly:
        "The port of the Java management agent.";
}

/// Those that the imitated release lists.
pub fn imitated() -> impl Iterator<Item = &'static Key> {
    all().filter(|key| !OTHERS.iter().any(|other| other.name == key.name))
}

/// The entry of a key that AlterConfigs may set, those included that nothing else sets.
pub fn find_dynamic(name: &str) -> Option<&'static Key> {
    let only_dynamic = quotas::KEYS.iter().find(|key| key.name == name);
    only_dynamic.or_else(|| find(name))
}

/// All broker keys with an entry, in no order.
pub fn all() -> impl Iterator<Item = &'static Key> {
    [
        node::KEYS,
        log::KEYS,
        network::KEYS,
        replication::KEYS,
        groups::KEYS,
        transactions::KEYS,
        security::KEYS,
        remote::KEYS,
        OTHERS,
    ]
    .into_iter()
    .flatten()
}

/// The entry of a broker key.
pub fn find(name: &str) -> Option<&'static Key> {
    static BY_NAME: LazyLock<BTreeMap<&'static str, &'static Key>> =
        LazyLock::new(|| all().map(|key| (key.name, key)).collect());
    BY_NAME.get(name).copied()
}

/// What becomes of a name: by its entry, or by what it begins or ends with. `None` is unknown.
pub fn treatment(name: &str) -> Option<Treatment> {
    if let Some(key) = find(name) {
        return Some(key.treatment);
    }
    let plugins: [(&str, &'static Refusal); 2] = [
        (".policy.class.name", refusal::PLUGIN),
        (".callback.handler.class", refusal::LOGIN),
    ];
    if let Some((_, refusal)) = plugins.iter().find(|(end, _)| name.ends_with(end)) {
        return Some(Treatment::Refused(refusal));
    }
    if name == "config.providers" || name.starts_with("config.providers.") {
        return Some(Treatment::Refused(refusal::CONFIG_PROVIDERS));
    }
    if name.starts_with("zookeeper.") || name.starts_with("confluent.") {
        return Some(Treatment::Ignored);
    }
    if connection_limits::is_of_a_listener(name) {
        return Some(Treatment::Honoured);
    }
    // Other overrides for one listener, which matter where TLS and SASL are served.
    name.starts_with("listener.name.")
        .then_some(Treatment::NotYet)
}
