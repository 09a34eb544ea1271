//! Settings: one flat map of Kafka's property names, and our own in tables beside it, merged from
//! layers (defaults < config.toml < server.properties < environment < flags), checked once, and
//! turned into the one immutable [`Config`] that everything else reads. Every value keeps its
//! source. What records of the metadata log change at run time becomes a [`DynamicConfig`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::types::{BrokerId, Millis};

pub mod broker_keys;
mod build;
mod check;
pub mod client_metrics_keys;
mod connection_limits;
mod dynamic;
mod dynamic_rules;
pub mod entry;
mod environment;
mod error;
pub mod group_keys;
mod groups;
pub mod key;
pub mod layers;
pub mod listeners;
pub mod loggers;
pub mod own_keys;
mod properties;
mod refusal;
mod resource;
mod source;
mod sources;
mod toml_file;
mod topic_defaults;
pub mod topic_keys;
mod value;

pub use check::{Level, Report};
pub use connection_limits::{ConnectionLimits, ListenerLimits};
pub use dynamic::{BrokerConfigs, DynamicConfig, DynamicLayers, Synonym};
pub use dynamic_rules::Scope;
pub use entry::ConfigEntry;
pub use error::ConfigError;
pub use groups::{GroupConfig, InternalTopic};
pub use key::Minima;
pub use layers::{LayerKind, Origin, Setting};
pub use listeners::{Listener, Listeners, SecurityProtocol};
pub use resource::ResourceType;
pub use source::ConfigSource;
pub use sources::{CommandLine, Surroundings};
pub use topic_defaults::{Inherited, TopicDefaults};

use layers::{Layer, Settings};

/// Everything a broker is told before it starts. Fields of Kafka's keys bear their names.
#[derive(Clone, Debug)]
pub struct Config {
    pub node_id: BrokerId,
    /// The id to format directories with and to expect in them; `None` leaves it to what is found.
    pub cluster_id: Option<String>,
    pub broker_rack: Option<String>,
    pub listeners: Listeners,
    /// At least one, in order, without duplicates.
    pub log_dirs: Vec<PathBuf>,
    /// Where unset, the first of `log_dirs`.
    pub metadata_log_dir: PathBuf,
    pub auto_create_topics_enable: bool,
    pub delete_topic_enable: bool,
    pub num_partitions: i32,
    pub max_request_partition_size_limit: i32,
    pub default_replication_factor: i16,
    /// For [`topic_keys::validate_with`].
    pub minima: Minima,
    /// The shortest of the intervals of recovery points, starts and high watermarks: all of them are
    /// written together.
    pub checkpoint_interval_ms: Millis,
    pub log_retention_check_interval_ms: Millis,
    pub log_cleaner_enable: bool,
    pub socket_request_max_bytes: i32,
    /// `None` where nobody set it: the server has a default of its own (R39).
    pub socket_listen_backlog_size: Option<i32>,
    /// `i64::MAX`: an idle connection is never closed.
    pub connections_max_idle_ms: Millis,
    /// Where positive, the pool of request bytes; else that follows from the memory limit.
    pub queued_max_request_bytes: i64,
    pub fetch_max_bytes: i32,
    pub max_incremental_fetch_session_cache_slots: usize,
    pub groups: GroupConfig,
    pub storage: Storage,
    /// `[produce] validation = "strict"`: inflate and check every compressed batch, as Kafka does.
    pub strict_produce: bool,
    /// `[memory] limit`, in bytes; `None` is the control group's limit, else the machine's memory.
    pub memory_limit: Option<usize>,
    /// `[server] shutdown_timeout`
    pub shutdown_timeout: Duration,
    /// `[logging] level`: error, warn, info, debug or trace.
    pub log_level: String,
    settings: Arc<Settings>,
}

/// What the disk promises.
#[derive(Clone, Debug)]
pub struct Storage {
    /// `[storage] durable`: sync before every acknowledgement.
    pub durable: bool,
    pub corruption: Corruption,
}

/// `[storage] corruption`: what becomes of a partition whose synced records are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// Its files are kept and it goes offline.
    Quarantine,
    /// The log is cut at the damage, as Kafka does.
    Truncate,
}

/// A configuration with what is to be said about it at start.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub reports: Vec<Report>,
}

impl Config {
    /// Reads the files and the environment of this process. Writes nothing.
    pub fn load(command_line: &CommandLine) -> Result<Loaded, ConfigError> {
        Config::load_in(command_line, &Surroundings::of_process())
    }

    /// [`Config::load`] with another environment.
    pub fn load_in(
        command_line: &CommandLine,
        surroundings: &Surroundings,
    ) -> Result<Loaded, ConfigError> {
        let explicit = sources::of_process(command_line, surroundings)?;
        let hostname = surroundings.environment.get("HOSTNAME");
        Config::from_layers(explicit, hostname.unwrap_or(&surroundings.hostname))
    }

    /// A configuration of Kafka's keys alone, for embedding and tests: reads no file and no
    /// environment. `ottla.table.key` sets our own. With nothing in it, the broker listens on
    /// `localhost:9092` and stores under `./data`.
    pub fn from_properties(properties: BTreeMap<String, String>) -> Result<Config, ConfigError> {
        let mut layer = Layer::new(LayerKind::Program);
        for (key, value) in properties {
            layer.set(&key, value, None);
        }
        Ok(Config::from_layers(vec![layer], "localhost")?.config)
    }

    /// A Kafka key's effective value with its source; `None` where it is Kafka's null.
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.kafka.get(key)
    }

    /// All effective values of Kafka's keys by name, unknown ones included.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
        let settings = self.settings.kafka.iter();
        settings.map(|(key, setting)| (key.as_str(), setting))
    }

    fn from_layers(explicit: Vec<Layer>, hostname: &str) -> Result<Loaded, ConfigError> {
        let mut layers = vec![sources::defaults(), build::single_node(&explicit)];
        layers.extend(explicit);
        let mut settings = Settings::merge(&layers)?;
        if check::is_on(&settings, "server.dev") {
            layers.insert(2, build::development());
            settings = Settings::merge(&layers)?;
        }
        let mut reports = check::check(&mut settings)?;
        let config = build::config(settings, hostname, &mut reports)?;
        Ok(Loaded { config, reports })
    }
}

#[cfg(test)]
mod example_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;
