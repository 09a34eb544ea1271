//! Settings: one flat map of Kafka's property names, and our own in tables beside it, merged from
//! layers (defaults < config.toml < server.properties < environment < flags), checked once, and
//! turned into the one immutable [`Config`] that everything else reads. Every value keeps its
//! source. Dynamic configs, which records of the metadata log carry, are not known here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::types::BrokerId;

pub mod broker_keys;
mod build;
mod check;
mod environment;
mod error;
pub mod key;
pub mod layers;
pub mod listeners;
pub mod own_keys;
mod properties;
mod refusal;
mod sources;
mod toml_file;
mod topic_defaults;
pub mod topic_keys;
mod value;

pub use check::{Level, Report};
pub use error::ConfigError;
pub use key::Minima;
pub use layers::{LayerKind, Origin, Setting};
pub use listeners::{Listener, Listeners, SecurityProtocol};
pub use sources::{CommandLine, Surroundings};
pub use topic_defaults::{ConfigSource, Inherited, TopicDefaults};

use layers::{Layer, Settings};

/// Everything a broker is told before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    pub node_id: BrokerId,
    /// The id to format directories with and to expect in them; `None` leaves it to what is found.
    pub cluster_id: Option<String>,
    /// `broker.rack`
    pub rack: Option<String>,
    pub listeners: Listeners,
    /// `log.dirs`, at least one, in order, without duplicates.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, else the first of `log_dirs`.
    pub metadata_log_dir: PathBuf,
    pub topics: Topics,
    pub log: Log,
    pub network: Network,
    pub storage: Storage,
    /// `[produce] validation = "strict"`: inflate and check every compressed batch, as Kafka does.
    pub strict_produce: bool,
    pub server: Server,
    /// `[logging] level`: error, warn, info, debug or trace.
    pub log_level: String,
    settings: Arc<Settings>,
}

/// How topics come to be, and what they are when nothing is said.
#[derive(Clone, Debug)]
pub struct Topics {
    /// `auto.create.topics.enable`
    pub auto_create: bool,
    /// `delete.topic.enable`
    pub delete_enabled: bool,
    /// `num.partitions`
    pub num_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i16,
    /// For [`topic_keys::validate_with`].
    pub minima: Minima,
    /// What a topic key is worth without an override.
    pub defaults: TopicDefaults,
}

/// Broker-wide periods of the log, in ms.
#[derive(Clone, Debug)]
pub struct Log {
    /// `log.flush.offset.checkpoint.interval.ms`: recovery points.
    pub recovery_point_checkpoint_interval_ms: i64,
    /// `log.flush.start.offset.checkpoint.interval.ms`: log start offsets.
    pub start_offset_checkpoint_interval_ms: i64,
    /// `replica.high.watermark.checkpoint.interval.ms`
    pub high_watermark_checkpoint_interval_ms: i64,
    /// `log.flush.scheduler.interval.ms`: how often a sync by `flush.ms` is looked for.
    pub flush_scheduler_interval_ms: i64,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
}

/// Connections and requests.
#[derive(Clone, Debug)]
pub struct Network {
    /// `socket.request.max.bytes`
    pub request_max_bytes: usize,
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`
    pub listen_backlog: i32,
    /// `connections.max.idle.ms`; `None` never closes an idle connection.
    pub connections_max_idle_ms: Option<i64>,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `max.incremental.fetch.session.cache.slots`
    pub fetch_session_slots: usize,
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

/// The process.
#[derive(Clone, Debug)]
pub struct Server {
    /// `[server] shutdown_timeout`
    pub shutdown_timeout: Duration,
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
