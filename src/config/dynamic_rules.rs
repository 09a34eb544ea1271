//! What AlterConfigs may store for brokers: which keys, at which level, which values, and whether
//! the broker could live with all of them together (kafka:DynamicBrokerConfig.validate,
//! KafkaConfig.validateValues, DynamicThreadPool, LogCleaner.validateReconfiguration). Every
//! refusal is the message of INVALID_REQUEST. Unknown keys are stored, as Kafka does.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::dynamic::{BrokerConfigs, listener_key};
use crate::config::key::{Key, Treatment, Type, Update};
use crate::config::{Config, DynamicLayers, broker_keys, refusal, value};

/// Whose configs change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    ThisBroker,
    /// Every broker: the empty resource name.
    ClusterDefault,
}

/// These are per listener (kafka:SslConfigs.RECONFIGURABLE_CONFIGS).
const KEY_STORES: [&str; 10] = [
    "ssl.keystore.type",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.key.password",
    "ssl.truststore.type",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.truststore.certificates",
];
/// Of the keys a listener may have, those that may stand for all brokers.
const CLUSTER_LEVEL: [&str; 3] = [
    "max.connections",
    "max.connection.creation.rate",
    "num.network.threads",
];
const THREAD_COUNTS: [&str; 5] = [
    "num.io.threads",
    "num.network.threads",
    "num.replica.fetchers",
    "num.recovery.threads.per.data.dir",
    "background.threads",
];

impl Config {
    /// All dynamic configs of one scope as they would be, in canonical text, beside those of the
    /// other scope in `current`; or Kafka's sentence about what is wrong with them.
    pub fn validate_dynamic(
        &self,
        scope: Scope,
        proposed: &BTreeMap<String, String>,
        current: &DynamicLayers,
    ) -> Result<BTreeMap<String, String>, String> {
        check_names(proposed)?;
        let mut canonical = BTreeMap::new();
        for (name, value) in proposed {
            let value = match entry(name) {
                Some(key) => self.canonical(name, key, value)?,
                None => value.clone(),
            };
            canonical.insert(name.clone(), value);
        }
        check_level(scope, proposed)?;
        let mut layers = current.clone();
        match scope {
            Scope::ThisBroker => layers.broker = canonical.clone(),
            Scope::ClusterDefault => layers.cluster_default = canonical.clone(),
        }
        let before = self.dynamic(current.clone()).configs;
        let after = self.dynamic(layers).configs;
        check_together(&after)?;
        check_threads(&before, &after)?;
        self.check_listeners(&after)?;
        Ok(canonical)
    }

    fn canonical(&self, name: &str, key: &Key, value: &str) -> Result<String, String> {
        let canonical = key.canonical(value, self.minima).map_err(|sentence| {
            // Kafka finds a listener's value out when it builds the listener.
            match name == key.name {
                true => sentence,
                false => reconfiguration(&sentence),
            }
        })?;
        match (key.kind, key.treatment) {
            (Type::Class, Treatment::Refused(refusal)) if !refusal.allows(&canonical) => {
                Err(format!(
                    "Invalid value {canonical} for configuration {}: Class {canonical} could not \
                     be found.",
                    key.name
                ))
            }
            _ if key.name == "metric.reporters" && !refusal::REPORTERS.allows(&canonical) => {
                Err(reconfiguration(
                    "Validation of dynamic config update of Set(metric.reporters) failed with \
                     class class kafka.server.DynamicMetricsReporters",
                ))
            }
            _ => Ok(canonical),
        }
    }

    /// `advertised.listeners` of a running broker: Kafka had it until 4.0 and testcontainers for
    /// Java before 1.20 depends on it.
    fn check_listeners(&self, after: &BrokerConfigs) -> Result<(), String> {
        let dynamic = &after.dynamic().broker;
        match dynamic.get("advertised.listeners") {
            Some(text) => self.listeners.check_readvertised(text),
            None => Ok(()),
        }
    }
}

/// The table entry that judges a key: its own, or that of the key a listener overrides.
fn entry(name: &str) -> Option<&'static Key> {
    broker_keys::find_dynamic(name).or_else(|| broker_keys::find_dynamic(listener_key(name)?))
}

fn check_names(proposed: &BTreeMap<String, String>) -> Result<(), String> {
    let is_fixed = |name: &&str| {
        let key = broker_keys::find(name);
        key.is_some_and(|key| key.update == Update::ReadOnly && !is_retired(key))
    };
    refuse(proposed, is_fixed, "Set", |names| {
        format!("Cannot update these configs dynamically: {names}")
    })?;
    refuse(
        proposed,
        |name| KEY_STORES.contains(name),
        "HashSet",
        |names| {
            format!(
                "These security configs can be dynamically updated only per-listener using the \
                 listener prefix: {names}"
            )
        },
    )
}

/// Kafka 4 does not know it: for AlterConfigs it is one more unknown key.
fn is_retired(key: &Key) -> bool {
    matches!(key.treatment, Treatment::Ignored)
}

fn check_level(scope: Scope, proposed: &BTreeMap<String, String>) -> Result<(), String> {
    if scope == Scope::ThisBroker {
        return Ok(());
    }
    refuse(
        proposed,
        |name| is_per_broker(name),
        "Set",
        |names| {
            format!(
                "Cannot update these configs at default cluster level, broker id must be specified: \
             {names}"
            )
        },
    )
}

fn is_per_broker(name: &str) -> bool {
    match listener_key(name) {
        Some(key) => !CLUSTER_LEVEL.contains(&key),
        None => {
            let dynamic = broker_keys::find(name).is_some_and(|key| key.update == Update::Dynamic);
            dynamic
                && (name.starts_with("ssl.")
                    || name.starts_with("sasl.")
                    || matches!(name, "principal.builder.class" | "advertised.listeners"))
        }
    }
}

/// Names as Scala prints a set of this kind.
fn refuse(
    proposed: &BTreeMap<String, String>,
    is_refused: impl Fn(&&str) -> bool,
    set: &str,
    sentence: impl FnOnce(String) -> String,
) -> Result<(), String> {
    let names: BTreeSet<&str> = proposed
        .keys()
        .map(String::as_str)
        .filter(is_refused)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = names.into_iter().collect();
    Err(sentence(format!("{set}({})", names.join(", "))))
}

/// How Kafka wraps what a part of the broker says against new values.
fn reconfiguration(cause: &str) -> String {
    format!(
        "Invalid value org.apache.kafka.common.config.ConfigException: {cause} for configuration \
         Invalid dynamic configuration"
    )
}

/// What KafkaConfig.validateValues requires of keys that can change.
fn check_together(after: &BrokerConfigs) -> Result<(), String> {
    let number = |name: &str| after.typed::<i64>(name);
    let require = |holds: bool, requirement: &str| match holds {
        true => Ok(()),
        false => Err(format!("requirement failed: {requirement}")),
    };
    require(
        number("log.roll.ms").is_none_or(|ms| ms >= 1),
        "log.roll.ms must be greater than or equal to 1",
    )?;
    require(
        number("log.roll.jitter.ms").is_none_or(|ms| ms >= 0),
        "log.roll.jitter.ms must be greater than or equal to 0",
    )?;
    require(
        number("log.retention.ms") != Some(0),
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    )?;
    let threads = number("log.cleaner.threads").unwrap_or(1);
    if threads == 0 {
        return Err("/ by zero".to_owned());
    }
    let buffer = number("log.cleaner.dedupe.buffer.size").unwrap_or(i64::MAX);
    require(
        buffer / threads > 1024 * 1024,
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
    )?;
    let overrides = after.value("max.connections.per.ip.overrides");
    check_overrides(overrides.unwrap_or(""))?;
    require(
        number("max.connections.per.ip") != Some(0) || !overrides.unwrap_or("").is_empty(),
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides \
         property is set.",
    )
}

/// `host:count` with commas between (kafka:Csv.parseCsvMap, Utils.validHostPattern).
fn check_overrides(text: &str) -> Result<(), String> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let mut invalid = Vec::new();
    for item in value::split_list(text) {
        let unreadable =
            |why: String| format!("Error parsing configuration property '{KEY}': {why}");
        let Some((host, count)) = item.rsplit_once(':') else {
            return Err(unreadable(format!(
                "begin 0, end -1, length {}",
                item.len()
            )));
        };
        let count = count.trim();
        if count.parse::<i32>().is_err() {
            return Err(unreadable(format!("For input string: \"{count}\"")));
        }
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-%:_[]".contains(c);
        if host.trim().is_empty() || !host.trim().chars().all(is_host) {
            invalid.push(host.trim().to_owned());
        }
    }
    if invalid.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{KEY} contains invalid addresses : {}",
        invalid.join(",")
    ))
}

/// Kafka's pools grow and shrink by at most the factor two at a time; here they are numbers.
fn check_threads(before: &BrokerConfigs, after: &BrokerConfigs) -> Result<(), String> {
    let both = |name: &str| Some((before.typed::<i64>(name)?, after.typed::<i64>(name)?));
    for name in THREAD_COUNTS {
        let Some((current, wanted)) = both(name).filter(|(current, wanted)| current != wanted)
        else {
            continue;
        };
        let refusal = format!("Dynamic thread count update validation failed for {name}={wanted}");
        if wanted < current / 2 {
            return Err(reconfiguration(&format!(
                "{refusal}, value should be at least half the current value {current}"
            )));
        }
        if wanted > current * 2 {
            return Err(reconfiguration(&format!(
                "{refusal}, value should not be greater than double the current value {current}"
            )));
        }
    }
    let Some((current, wanted)) = both("log.cleaner.threads") else {
        return Ok(());
    };
    if wanted < current / 2 {
        return Err(reconfiguration(&format!(
            "Log cleaner threads cannot be reduced to less than half the current value {current}"
        )));
    }
    if wanted > current * 2 {
        return Err(reconfiguration(&format!(
            "Log cleaner threads cannot be increased to more than double the current value \
             {current}"
        )));
    }
    Ok(())
}
