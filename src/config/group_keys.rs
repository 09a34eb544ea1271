//! Configs of consumer, share and streams groups (KIP-848, KIP-932, KIP-1071;
//! kafka:GroupConfig). A group starts from the broker's `group.*` keys and stays within their
//! limits. The group protocols they steer are not served yet: a change is judged, kept and shown.

use std::collections::BTreeMap;

use crate::config::BrokerConfigs;
use crate::config::key::{Key, Minima, keys};

keys! { pub const KEYS:
    NotYet Int "consumer.heartbeat.interval.ms" = "5000", AtLeast(1), Dynamic, ["group.consumer.heartbeat.interval.ms"]:
        "How often members of the consumer group send heartbeats.";
    NotYet Int "consumer.session.timeout.ms" = "45000", AtLeast(1), Dynamic, ["group.consumer.session.timeout.ms"]:
        "After how long a silent member of the consumer group is removed.";
    NotYet String "share.auto.offset.reset" = "latest", AutoOffsetReset, Dynamic:
        "Where a share group without offsets begins: `earliest`, `latest`, or `by_duration:` and how long ago.";
    NotYet Int "share.heartbeat.interval.ms" = "5000", AtLeast(1), Dynamic, ["group.share.heartbeat.interval.ms"]:
        "How often members of the share group send heartbeats.";
    NotYet String "share.isolation.level"
        = "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]), Dynamic:
        "Whether the share group sees records of open and aborted transactions.";
    NotYet Int "share.record.lock.duration.ms" = "30000", AtLeast(1000), Dynamic, ["group.share.record.lock.duration.ms"]:
        "How long a member of the share group holds a record.";
    NotYet Int "share.session.timeout.ms" = "45000", AtLeast(1), Dynamic, ["group.share.session.timeout.ms"]:
        "After how long a silent member of the share group is removed.";
    NotYet Int "streams.heartbeat.interval.ms" = "5000", AtLeast(1), Dynamic, ["group.streams.heartbeat.interval.ms"]:
        "How often members of the streams group send heartbeats.";
    NotYet Int "streams.num.standby.replicas" = "0", AtLeast(0), Dynamic, ["group.streams.num.standby.replicas"]:
        "How many standby copies of its state the streams group keeps.";
    NotYet Int "streams.session.timeout.ms" = "45000", AtLeast(1), Dynamic, ["group.streams.session.timeout.ms"]:
        "After how long a silent member of the streams group is removed.";
}

/// Key, the broker's lower limit, the broker's upper limit, in the order of Kafka's checks.
const LIMITS: &[(&str, Option<&str>, Option<&str>)] = &[
    (
        "consumer.heartbeat.interval.ms",
        Some("group.consumer.min.heartbeat.interval.ms"),
        Some("group.consumer.max.heartbeat.interval.ms"),
    ),
    (
        "consumer.session.timeout.ms",
        Some("group.consumer.min.session.timeout.ms"),
        Some("group.consumer.max.session.timeout.ms"),
    ),
    (
        "share.heartbeat.interval.ms",
        Some("group.share.min.heartbeat.interval.ms"),
        Some("group.share.max.heartbeat.interval.ms"),
    ),
    (
        "share.session.timeout.ms",
        Some("group.share.min.session.timeout.ms"),
        Some("group.share.max.session.timeout.ms"),
    ),
    (
        "share.record.lock.duration.ms",
        Some("group.share.min.record.lock.duration.ms"),
        Some("group.share.max.record.lock.duration.ms"),
    ),
    (
        "streams.heartbeat.interval.ms",
        Some("group.streams.min.heartbeat.interval.ms"),
        Some("group.streams.max.heartbeat.interval.ms"),
    ),
    (
        "streams.session.timeout.ms",
        Some("group.streams.min.session.timeout.ms"),
        Some("group.streams.max.session.timeout.ms"),
    ),
    (
        "streams.num.standby.replicas",
        None,
        Some("group.streams.max.standby.replicas"),
    ),
];

/// Pairs whose first must be below their second.
const BELOW: &[(&str, &str)] = &[
    (
        "consumer.heartbeat.interval.ms",
        "consumer.session.timeout.ms",
    ),
    ("share.heartbeat.interval.ms", "share.session.timeout.ms"),
    (
        "streams.heartbeat.interval.ms",
        "streams.session.timeout.ms",
    ),
];

pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// What a group key is worth without an override.
pub fn default(key: &Key, broker: &BrokerConfigs) -> String {
    let inherited = key.synonyms.iter().find_map(|name| broker.value(name));
    inherited.or(key.default).unwrap_or("").to_owned()
}

/// All configs of one group in canonical text, or Kafka's sentence, the message of INVALID_CONFIG.
pub fn validate_all(
    configs: &BTreeMap<String, String>,
    broker: &BrokerConfigs,
) -> Result<BTreeMap<String, String>, String> {
    if let Some(unknown) = configs.keys().find(|name| find(name).is_none()) {
        return Err(format!("Unknown group config name: {unknown}"));
    }
    let mut canonical = BTreeMap::new();
    for key in KEYS {
        if let Some(value) = configs.get(key.name) {
            canonical.insert(key.name.to_owned(), key.canonical(value, Minima::Strict)?);
        }
    }
    let number = |name: &str| -> Option<i64> {
        let own = canonical.get(name).cloned();
        own.or_else(|| Some(default(find(name)?, broker)))?
            .parse()
            .ok()
    };
    for (name, least, most) in LIMITS {
        let value = number(name);
        if let Some(limit) = least
            && value < broker.typed(limit)
        {
            return Err(format!("{name} must be greater than or equal to {limit}"));
        }
        if let Some(limit) = most
            && value > broker.typed(limit)
        {
            return Err(format!("{name} must be less than or equal to {limit}"));
        }
    }
    for (lower, upper) in BELOW {
        if number(lower) >= number(upper) {
            return Err(format!("{upper} must be greater than {lower}"));
        }
    }
    Ok(canonical)
}
