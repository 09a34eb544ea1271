//! From checked settings to the typed [`Config`], with the checks that look at several at once.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::check::{self, Report};
use crate::config::error::ConfigError;
use crate::config::layers::{Layer, LayerKind, Setting, Settings};
use crate::config::listeners::{BadListeners, BindHost, ListenerSettings, Listeners};
use crate::config::{Config, ConnectionLimits, Corruption, Minima, Storage, broker_keys, value};
use crate::types::{BrokerId, Millis};

/// What makes one node work when nobody says how. Kafka's open `PLAINTEXT://:9092` and its data
/// under /tmp hold only where somebody configured a Kafka, by a properties file or `KAFKA_*`;
/// otherwise the broker keeps to this machine and to `./data`.
pub(super) fn single_node(explicit: &[Layer]) -> Layer {
    let mut layer = Layer::new(LayerKind::Node);
    layer.set("process.roles", "broker,controller", None);
    if !explicit.iter().any(configures_a_kafka) {
        layer.set("listeners", "PLAINTEXT://localhost:9092", None);
        layer.set("log.dirs", "data", None);
    }
    layer
}

fn configures_a_kafka(layer: &Layer) -> bool {
    match layer.kind() {
        LayerKind::Properties => true,
        // A shell may hold KAFKA_HOME and the like, which say nothing about a broker.
        LayerKind::Environment => layer
            .kafka_keys()
            .any(|key| key != "cluster.id" && broker_keys::treatment(key).is_some()),
        _ => false,
    }
}

/// The layer of `--dev`.
pub(super) fn development() -> Layer {
    let mut layer = Layer::new(LayerKind::Dev);
    layer.set("group.initial.rebalance.delay.ms", "0", None);
    layer
}

pub(super) fn config(
    mut settings: Settings,
    hostname: &str,
    reports: &mut Vec<Report>,
) -> Result<Config, ConfigError> {
    let node_id = node_id(&mut settings)?;
    check_roles(&settings)?;
    check_quorum(&settings, node_id)?;
    let listeners = listeners(&settings, hostname, reports)?;
    let log_dirs = log_dirs(&settings)?;
    let metadata_log_dir = settings.text("metadata.log.dir").map(PathBuf::from);
    check_times(&settings)?;
    check_connection_limits(&settings)?;
    if check::minima(&settings) == Minima::Relaxed {
        reports.push(Report::warn(
            "The development profile is on: not for data that matters",
        ));
    }
    let idle_ms: Millis = settings.typed("connections.max.idle.ms")?;
    Ok(Config {
        node_id: BrokerId(node_id),
        cluster_id: cluster_id(&settings)?,
        broker_rack: settings.text("broker.rack").map(str::to_owned),
        listeners,
        metadata_log_dir: metadata_log_dir.unwrap_or_else(|| log_dirs[0].clone()),
        log_dirs,
        auto_create_topics_enable: settings.typed("auto.create.topics.enable")?,
        delete_topic_enable: settings.typed("delete.topic.enable")?,
        num_partitions: settings.typed("num.partitions")?,
        max_request_partition_size_limit: settings.typed("max.request.partition.size.limit")?,
        default_replication_factor: settings.typed("default.replication.factor")?,
        minima: check::minima(&settings),
        checkpoint_interval_ms: checkpoint_interval_ms(&settings)?,
        log_cleaner_enable: settings.typed("log.cleaner.enable")?,
        log_retention_check_interval_ms: settings.typed("log.retention.check.interval.ms")?,
        socket_request_max_bytes: settings.typed("socket.request.max.bytes")?,
        socket_listen_backlog_size: settings
            .explicit("socket.listen.backlog.size")
            .map(|_| settings.typed("socket.listen.backlog.size"))
            .transpose()?,
        connections_max_idle_ms: if idle_ms < 0 { Millis::MAX } else { idle_ms },
        queued_max_request_bytes: queued_max_request_bytes(&settings)?,
        fetch_max_bytes: settings.typed("fetch.max.bytes")?,
        max_incremental_fetch_session_cache_slots: settings
            .typed("max.incremental.fetch.session.cache.slots")?,
        groups: settings.groups()?,
        storage: Storage {
            durable: check::is_on(&settings, "storage.durable"),
            corruption: match settings.own_text("storage.corruption") {
                Some("truncate") => Corruption::Truncate,
                _ => Corruption::Quarantine,
            },
        },
        strict_produce: settings.own_text("produce.validation") == Some("strict"),
        memory_limit: settings
            .own_text("memory.limit")
            .and_then(|text| text.parse().ok()),
        shutdown_timeout: settings
            .own_text("server.shutdown_timeout")
            .and_then(value::duration)
            .unwrap_or_default(),
        log_level: settings
            .own_text("logging.level")
            .unwrap_or("info")
            .to_owned(),
        settings: Arc::new(settings),
    })
}

impl Settings {
    fn text(&self, key: &str) -> Option<&str> {
        self.kafka.get(key).map(|setting| setting.value.as_str())
    }

    pub(super) fn explicit(&self, key: &str) -> Option<&Setting> {
        let setting = self.kafka.get(key);
        setting.filter(|setting| setting.origin.layer != LayerKind::Default)
    }

    fn own_text(&self, key: &str) -> Option<&str> {
        self.own.get(key).map(|setting| setting.value.as_str())
    }

    /// A value that its table entry made sure is there and of this type.
    pub(super) fn typed<T: FromStr>(&self, key: &str) -> Result<T, ConfigError> {
        let parsed = self.text(key).and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| self.refuse(key, "the value does not fit", "change it"))
    }

    pub(super) fn refuse(
        &self,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigError {
        let error = ConfigError::new(problem, remedy);
        match self.kafka.get(key) {
            Some(setting) => error
                .of(format!("{key}={}", setting.value))
                .at(setting.origin.to_string()),
            None => error.at("not set"),
        }
    }
}

/// `node.id`, or `broker.id` for it, or 1. Afterwards both are there and agree, as in Kafka.
fn node_id(settings: &mut Settings) -> Result<i32, ConfigError> {
    let given = |key: &str| {
        let setting = settings.explicit(key);
        setting.filter(|setting| setting.value != "-1").cloned()
    };
    let (node, broker) = (given("node.id"), given("broker.id"));
    if let (Some(node), Some(broker)) = (&node, &broker)
        && node.value != broker.value
    {
        return Err(ConfigError::new(
            "You must set `node.id` to the same value as `broker.id`.",
            "remove broker.id",
        )
        .of(format!(
            "node.id={}, broker.id={}",
            node.value, broker.value
        ))
        .at(format!("{}; {}", node.origin, broker.origin)));
    }
    let id = node.or(broker).unwrap_or_else(|| Setting {
        value: "1".to_owned(),
        origin: crate::config::Origin {
            layer: LayerKind::Node,
            place: "single node".to_owned(),
            overrides: Vec::new(),
        },
    });
    settings.kafka.insert("node.id".to_owned(), id.clone());
    settings.kafka.insert("broker.id".to_owned(), id);
    let id: i32 = settings.typed("node.id")?;
    if id < 0 {
        return Err(settings.refuse("node.id", "Value must be at least 0", "change it"));
    }
    Ok(id)
}

fn check_roles(settings: &Settings) -> Result<(), ConfigError> {
    let mut roles: Vec<&str> = settings.list("process.roles").collect();
    roles.sort_unstable();
    if roles == ["broker", "controller"] {
        return Ok(());
    }
    let problem = match roles[..] {
        ["broker", "broker"] | ["controller", "controller"] => {
            "Duplicate role names found in `process.roles`"
        }
        _ => "this version runs broker and controller in one process only",
    };
    Err(settings.refuse("process.roles", problem, "set it to broker,controller"))
}

/// A quorum of one needs no socket: the voter's host and port are neither used nor resolved.
fn check_quorum(settings: &Settings, node_id: i32) -> Result<(), ConfigError> {
    const VOTERS: &str = "controller.quorum.voters";
    const SERVERS: &str = "controller.quorum.bootstrap.servers";
    let mut ids = Vec::new();
    for voter in settings.list(VOTERS) {
        let (id, address) = voter.split_once('@').unwrap_or((voter, ""));
        let id = id.parse::<i32>().ok().filter(|_| address.contains(':'));
        ids.push(id.ok_or_else(|| {
            settings.refuse(
                VOTERS,
                "Each entry should be in the form `{id}@{host}:{port}`.",
                "write it so, or remove the setting",
            )
        })?);
    }
    if ids.len() > 1 || settings.list(SERVERS).count() > 1 {
        let key = if ids.len() > 1 { VOTERS } else { SERVERS };
        return Err(settings.refuse(
            key,
            "this version runs a controller quorum of one node only",
            "name this node alone, or remove the setting",
        ));
    }
    if ids.first().is_some_and(|&id| id != node_id) {
        return Err(settings.refuse(
            VOTERS,
            format!(
                "If process.roles contains the 'controller' role, the node id {node_id} must be \
                 included in the set of voters"
            ),
            format!("name node {node_id} in it, or remove the setting"),
        ));
    }
    Ok(())
}

fn cluster_id(settings: &Settings) -> Result<Option<String>, ConfigError> {
    let Some(id) = settings.text("cluster.id") else {
        return Ok(None);
    };
    if id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(id.to_owned()));
    }
    Err(settings.refuse(
        "cluster.id",
        "a cluster id is plain text without blanks",
        "use the 22 characters that `kafka-storage.sh random-uuid` prints, or remove it",
    ))
}

impl Settings {
    fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        let items = self.text(key).unwrap_or("").split(',').map(str::trim);
        items.filter(|item| !item.is_empty())
    }
}

fn listeners(
    settings: &Settings,
    hostname: &str,
    reports: &mut Vec<Report>,
) -> Result<Listeners, ConfigError> {
    let advertised = settings
        .text("advertised.listeners")
        .map(|text| text.replace("${HOSTNAME}", hostname));
    let explicit = |key| settings.explicit(key).map(|setting| setting.value.as_str());
    let parsed = Listeners::parse(&ListenerSettings {
        listeners: settings.text("listeners").unwrap_or(""),
        advertised: advertised.as_deref(),
        protocol_map: settings
            .text("listener.security.protocol.map")
            .unwrap_or(""),
        inter_broker_name: settings.text("inter.broker.listener.name"),
        inter_broker_protocol: explicit("security.inter.broker.protocol"),
        controller_names: settings.text("controller.listener.names"),
        own_host: settings
            .own_text("server.advertised_host")
            .unwrap_or(hostname),
    });
    let parsed =
        parsed.map_err(|bad: BadListeners| settings.refuse(bad.key, bad.problem, bad.remedy))?;
    let is_open = |listener: &super::Listener| listener.bind_host() == BindHost::Wildcard;
    if settings.explicit("listeners").is_none() && parsed.broker.iter().any(is_open) {
        reports.push(Report::warn(
            "listeners is not set: PLAINTEXT://:9092 is open to the network, as in Kafka; \
             set listeners=PLAINTEXT://localhost:9092 to keep to this machine",
        ));
    }
    Ok(parsed)
}

fn log_dirs(settings: &Settings) -> Result<Vec<PathBuf>, ConfigError> {
    let key = if settings.text("log.dirs").is_some() {
        "log.dirs"
    } else {
        "log.dir"
    };
    let mut directories: Vec<PathBuf> = Vec::new();
    for directory in settings.list(key) {
        let directory = PathBuf::from(directory);
        if directories.contains(&directory) {
            return Err(settings.refuse(
                key,
                format!("{} is named twice", directory.display()),
                "name each directory once",
            ));
        }
        directories.push(directory);
    }
    if directories.is_empty() {
        return Err(settings.refuse(
            key,
            "At least one log directory must be defined via log.dirs or log.dir.",
            "name a directory",
        ));
    }
    Ok(directories)
}

/// Kafka: KafkaConfig.validateValues.
fn check_times(settings: &Settings) -> Result<(), ConfigError> {
    let number = |key: &str| settings.text(key).and_then(|text| text.parse::<i64>().ok());
    if number("log.roll.ms").is_some_and(|ms| ms < 1) {
        let problem = "log.roll.ms must be greater than or equal to 1";
        return Err(settings.refuse("log.roll.ms", problem, "change or remove it"));
    }
    if number("log.roll.jitter.ms").is_some_and(|ms| ms < 0) {
        let problem = "log.roll.jitter.ms must be greater than or equal to 0";
        return Err(settings.refuse("log.roll.jitter.ms", problem, "change or remove it"));
    }
    let retention = [
        "log.retention.ms",
        "log.retention.minutes",
        "log.retention.hours",
    ]
    .into_iter()
    .find(|key| settings.text(key).is_some());
    if let Some(key) = retention
        && number(key) == Some(0)
    {
        let problem = "log.retention.ms must be unlimited (-1) or, greater than or equal to 1";
        return Err(settings.refuse(key, problem, "use -1 to keep records for ever"));
    }
    Ok(())
}

fn check_connection_limits(settings: &Settings) -> Result<(), ConfigError> {
    let all = settings.kafka.iter();
    ConnectionLimits::read(all.map(|(key, setting)| (key.as_str(), setting.value.as_str())))
        .map(|_| ())
        .map_err(|(key, problem)| settings.refuse(&key, problem, "change or remove it"))
}

fn checkpoint_interval_ms(settings: &Settings) -> Result<Millis, ConfigError> {
    let recovery_points: Millis = settings.typed("log.flush.offset.checkpoint.interval.ms")?;
    let starts: Millis = settings.typed("log.flush.start.offset.checkpoint.interval.ms")?;
    let high_watermarks: Millis =
        settings.typed("replica.high.watermark.checkpoint.interval.ms")?;
    Ok(recovery_points.min(starts).min(high_watermarks))
}

fn queued_max_request_bytes(settings: &Settings) -> Result<i64, ConfigError> {
    const KEY: &str = "queued.max.request.bytes";
    let bytes: i64 = settings.typed(KEY)?;
    let largest: i64 = settings.typed("socket.request.max.bytes")?;
    if bytes > 0 && bytes < largest {
        let problem = format!("{KEY} must be larger or equal to socket.request.max.bytes");
        return Err(settings.refuse(KEY, problem, "change or remove it"));
    }
    Ok(bytes)
}
