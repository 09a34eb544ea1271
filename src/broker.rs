//! Every handle a request may reach, and the order in which they come up and go down.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::sync::watch;
use uuid::Uuid;

use crate::budget::{self, Budget};
use crate::clock::Clock;
use crate::config::{
    Config, Corruption, DynamicConfig, DynamicLayers, ResourceType, TopicDefaults, loggers,
    topic_keys,
};
use crate::controller::brokers::Registration;
use crate::controller::{
    METADATA_VERSION, METADATA_VERSION_FEATURE, MIN_METADATA_VERSION, Settings,
};
use crate::error::ResponseError;
use crate::faults::crash_point;
use crate::group::coordinator::GroupCoordinator;
use crate::log::directory::{CleanMarker, LogDirectory};
use crate::log::meta_properties::Identity;
use crate::log::{Files, HotTails, LogContext, LogOptions};
use crate::metadata::image::{Endpoint, Image};
use crate::metadata::records::BrokerFeature;
use crate::partition::cleaner::Cleaner;
use crate::partition::fetch_session::SessionCache;
use crate::partition::housekeeping::{Housekeeping, Watchdog};
use crate::partition::manager::Partitions;
use crate::partition::volume::Volume;
use crate::quorum::{self, ControllerHandle, Quorum, QuorumArgs};
use crate::types::{BrokerId, TopicId};

/// What request handlers share. Nothing in it is global to the process.
pub struct Shared {
    pub config: Config,
    pub clock: Clock,
    pub budget: Budget,
    pub partitions: Arc<Partitions>,
    pub controller: ControllerHandle,
    pub producer_ids: ProducerIds,
    pub groups: GroupCoordinator,
    pub fetch_sessions: Mutex<SessionCache>,
    metadata: watch::Receiver<Arc<Image>>,
    dynamic: watch::Receiver<Arc<DynamicConfig>>,
}

impl Shared {
    /// The metadata as applied on this broker.
    pub fn image(&self) -> Arc<Image> {
        self.metadata.borrow().clone()
    }

    /// The settings that can change at run time, as of now.
    pub fn dynamic(&self) -> Arc<DynamicConfig> {
        self.dynamic.borrow().clone()
    }

    /// For who wants to hear of changes of [`Shared::dynamic`].
    pub fn watch_dynamic(&self) -> watch::Receiver<Arc<DynamicConfig>> {
        self.dynamic.clone()
    }
}

/// All of a broker but its sockets.
pub struct Core {
    shared: Arc<Shared>,
    quorum: Quorum,
    background: Background,
    broker_epoch: i64,
    failed: watch::Receiver<Option<String>>,
}

impl Core {
    /// Brings everything up in the order that makes the next step true: directories are locked
    /// and judged, the metadata is replayed, this broker is registered, its partitions are there
    /// and, after an unclean stop, recovered. Then clients may come.
    ///
    /// # Errors
    /// One sentence with what is wrong and where.
    pub async fn boot(
        config: Config,
        clock: Clock,
        endpoints: Vec<Endpoint>,
        set_log_levels: Option<SetLogLevels>,
    ) -> anyhow::Result<Core> {
        let (opened, config, clock) = off_runtime(move || {
            let opened = Directories::open(&config, &clock)?;
            anyhow::Ok((opened, config, clock))
        })
        .await?;
        let (dynamic_sender, dynamic) =
            watch::channel(Arc::new(config.dynamic(DynamicLayers::default())));
        let defaults = dynamic.borrow().topic_defaults.clone();
        let partitions = Arc::new(opened.partitions(&config, &clock, defaults));
        let groups = GroupCoordinator::new(&config, clock.clone())?;
        let (failure, failed) = watch::channel(None);
        let watchdog = Watchdog {
            metadata_directory: opened.metadata.clone(),
            failed: failure.clone(),
        };
        let publisher = Publisher {
            config: config.clone(),
            partitions: partitions.clone(),
            groups: groups.clone(),
            dynamic: dynamic_sender,
            set_log_levels,
        };
        let (quorum, config) = {
            let (partitions, clock) = (partitions.clone(), clock.clone());
            off_runtime(move || {
                let quorum = opened.quorum(&config, clock, endpoints, publisher, failure)?;
                opened.settle(&partitions)?;
                anyhow::Ok((quorum, config))
            })
            .await?
        };
        groups.start();
        let metadata = quorum.metadata.clone();
        let broker_epoch = epoch_of(&metadata.borrow(), config.node_id)?;
        let background = Background::start(&partitions, &config, &dynamic, &clock, watchdog)?;
        let shared = Arc::new(Shared {
            budget: budget_of(&config),
            controller: quorum.controller.clone(),
            producer_ids: ProducerIds::default(),
            groups,
            fetch_sessions: Mutex::new(session_cache(&config)),
            metadata,
            dynamic,
            partitions,
            clock,
            config,
        });
        Ok(Core {
            shared,
            quorum,
            background,
            broker_epoch,
            failed,
        })
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns, with the reason, if the broker can no longer do its work: its metadata log or its
    /// last log directory failed.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        let reason = match failed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => std::future::pending().await,
        };
        reason.unwrap_or_default()
    }

    /// Makes everything durable, in the order that lets the clean marker be true: logs, metadata,
    /// marker. Where a step fails there is no marker, so that the next start recovers.
    pub async fn shutdown(self) {
        if let Err(error) = self.stop().await {
            tracing::error!("the stop is not clean and the next start will recover: {error:#}");
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        let Core {
            shared,
            quorum,
            background,
            broker_epoch,
            ..
        } = self;
        let (partitions, groups) = (shared.partitions.clone(), shared.groups.clone());
        let closed = off_runtime(move || {
            groups.stop();
            drop(background);
            partitions.close().context("a log could not be closed")
        })
        .await;
        // A damaged partition is no reason to leave the metadata log open.
        quorum
            .stop()
            .await
            .context("the metadata log could not be closed")?;
        closed?;
        let partitions = shared.partitions.clone();
        off_runtime(move || {
            let nonce = Uuid::new_v4().simple().to_string();
            for volume in partitions.volumes() {
                crash_point("stop.before-marker");
                volume
                    .log
                    .directory
                    .write_clean_marker(broker_epoch, &nonce)?;
            }
            anyhow::Ok(())
        })
        .await
    }
}

/// The threads that look after partitions whatever clients do; ended by dropping it.
struct Background {
    _housekeeping: Housekeeping,
    /// `None` where `log.cleaner.enable` is false.
    _cleaner: Option<Cleaner>,
}

impl Background {
    fn start(
        partitions: &Arc<Partitions>,
        config: &Config,
        dynamic: &watch::Receiver<Arc<DynamicConfig>>,
        clock: &Clock,
        watchdog: Watchdog,
    ) -> std::io::Result<Background> {
        let handles = || (partitions.clone(), dynamic.clone(), clock.clone());
        let cleaner = config.log_cleaner_enable.then(|| {
            let (partitions, dynamic, clock) = handles();
            Cleaner::start(partitions, dynamic, clock)
        });
        let (partitions, dynamic, clock) = handles();
        Ok(Background {
            _housekeeping: Housekeeping::start(partitions, config, dynamic, clock, watchdog)?,
            _cleaner: cleaner.transpose()?,
        })
    }
}

fn epoch_of(image: &Image, id: BrokerId) -> anyhow::Result<i64> {
    let broker = image.brokers.get(&id).map(|broker| broker.epoch);
    broker.context("the metadata does not know this broker after its registration")
}

/// The log directories, locked and judged together.
struct Directories {
    cluster_id: String,
    volumes: Vec<Arc<Volume>>,
    /// Of `metadata.log.dir`.
    metadata: Arc<LogDirectory>,
    /// Of the clean stop whose marker every directory has.
    previous_epoch: Option<i64>,
}

impl Directories {
    fn open(config: &Config, clock: &Clock) -> anyhow::Result<Directories> {
        let mut paths: Vec<PathBuf> = config.log_dirs.clone();
        if !paths.contains(&config.metadata_log_dir) {
            paths.push(config.metadata_log_dir.clone());
        }
        let identity = Identity {
            cluster_id: config.cluster_id.clone(),
            node_id: config.node_id,
        };
        let required = [config.metadata_log_dir.clone()];
        let opened = LogDirectory::open_all(&paths, &required, &identity)?;
        let mut directories: Vec<_> = opened.into_iter().map(Arc::new).collect();
        let is_metadata = |d: &&Arc<LogDirectory>| d.path() == config.metadata_log_dir;
        let metadata = directories.iter().find(is_metadata).cloned();
        let metadata = metadata.context("the metadata log dir was not opened")?;
        // One that only holds the metadata log takes no partitions.
        directories.truncate(config.log_dirs.len());
        anyhow::ensure!(
            directories.iter().any(|directory| !directory.is_offline()),
            "Shutdown broker because none of the specified log dirs from {} can be created or \
             validated",
            config
                .log_dirs
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        );
        let cluster_id = metadata.cluster_id().to_owned();
        let marker = CleanMarker::of_all(directories.iter().map(|d| d.found_marker()));
        let previous_epoch = marker.map(|marker| marker.broker_epoch);
        let (files, hot_tails) = (Files::new(descriptor_limit()), HotTails::new());
        let options = LogOptions {
            durable: config.storage.durable,
            truncate_corruption: config.storage.corruption == Corruption::Truncate,
        };
        let volumes = directories.into_iter().map(|directory| {
            let log = LogContext::new(directory, files.clone(), hot_tails.clone(), options);
            anyhow::Ok(Arc::new(Volume::open(
                Arc::new(log),
                previous_epoch.is_some(),
                clock.clone(),
            )?))
        });
        Ok(Directories {
            cluster_id,
            metadata,
            volumes: volumes.collect::<anyhow::Result<_>>()?,
            previous_epoch,
        })
    }

    fn partitions(
        &self,
        config: &Config,
        clock: &Clock,
        defaults: Arc<TopicDefaults>,
    ) -> Partitions {
        Partitions::new(
            config.node_id,
            defaults,
            config.strict_produce,
            clock.clone(),
            self.volumes.clone(),
        )
    }

    /// The metadata replayed, this broker registered, its partitions made.
    fn quorum(
        &self,
        config: &Config,
        clock: Clock,
        endpoints: Vec<Endpoint>,
        publisher: Publisher,
        failure: watch::Sender<Option<String>>,
    ) -> anyhow::Result<Quorum> {
        let registration = self.registration(config, endpoints);
        let args = self.quorum_args(config, clock, registration, publisher.boxed(), failure);
        Ok(quorum::start(args)?)
    }

    /// What lies in the directories becomes what the metadata says.
    fn settle(&self, partitions: &Partitions) -> anyhow::Result<()> {
        partitions.set_strays_aside()?;
        if self.volumes.iter().any(|volume| volume.wants_recovery()) {
            partitions.recover_all();
        }
        partitions.resume_moves();
        Ok(())
    }

    fn quorum_args(
        &self,
        config: &Config,
        clock: Clock,
        registration: Registration,
        publish: Box<quorum::Publish>,
        failure: watch::Sender<Option<String>>,
    ) -> QuorumArgs {
        let metadata = self.metadata.clone();
        // Kafka judges a topic's overrides beside what its broker was started with.
        let defaults = config.dynamic(DynamicLayers::default()).topic_defaults;
        let minima = config.minima;
        QuorumArgs {
            metadata_log_dir: config.metadata_log_dir.clone(),
            node_id: config.node_id,
            directory_id: metadata.id().0,
            cluster_id: self.cluster_id.clone(),
            clock,
            settings: Settings {
                num_partitions: config.num_partitions,
                default_replication_factor: config.default_replication_factor,
                validate_topic_configs: Box::new(move |configs| {
                    topic_keys::validate_all(configs, &defaults, minima)
                }),
                config: config.clone(),
                new_topic_id: Box::new(TopicId::random),
            },
            registration: Some(registration),
            publish,
            free_reserve: Box::new(move || metadata.release_reserve().unwrap_or(false)),
            on_failure: Box::new(move |error| {
                tracing::error!("the metadata log failed, this broker has to end: {error}");
                failure.send_replace(Some(format!("the metadata log failed: {error}")));
            }),
        }
    }

    fn registration(&self, config: &Config, endpoints: Vec<Endpoint>) -> Registration {
        Registration {
            broker_id: config.node_id,
            incarnation: Uuid::new_v4(),
            endpoints,
            rack: config.broker_rack.clone(),
            features: vec![BrokerFeature {
                name: METADATA_VERSION_FEATURE.to_owned(),
                min_supported_version: MIN_METADATA_VERSION,
                max_supported_version: METADATA_VERSION,
            }],
            log_dirs: self
                .volumes
                .iter()
                .filter(|volume| !volume.log.directory.is_offline())
                .map(|volume| volume.log.directory.id().0)
                .collect(),
            previous_epoch: self.previous_epoch,
            unfenced: true,
        }
    }
}

/// Takes the levels of all loggers, as directives of `tracing`.
pub type SetLogLevels = Box<dyn Fn(&str) + Send>;

/// What a new image does to this broker before anybody else sees it (R178).
struct Publisher {
    config: Config,
    partitions: Arc<Partitions>,
    groups: GroupCoordinator,
    dynamic: watch::Sender<Arc<DynamicConfig>>,
    set_log_levels: Option<SetLogLevels>,
}

impl Publisher {
    fn boxed(self) -> Box<quorum::Publish> {
        Box::new(move |old, new| self.publish(old, new))
    }

    fn publish(&self, old: &Image, new: &Image) {
        let me = self.config.node_id;
        if old.broker_configs_differ(new, me) {
            let changed = Arc::new(self.config.dynamic(new.dynamic_layers(me)));
            self.partitions.inherit(changed.topic_defaults.clone(), new);
            self.dynamic.send_replace(changed);
            self.partitions.cleaner_bell().ring();
        }
        let levels = |image: &Image| {
            let kind = ResourceType::BrokerLogger.code();
            image
                .configs_of(kind, &me.to_string())
                .cloned()
                .unwrap_or_default()
        };
        if let Some(set) = &self.set_log_levels
            && levels(old) != levels(new)
        {
            set(&loggers::directives(&levels(new), &self.config.log_level));
        }
        self.partitions.publish(old, new);
        self.groups.publish(&self.partitions, old, new);
    }
}

fn budget_of(config: &Config) -> Budget {
    let memory_limit = config.memory_limit.unwrap_or_else(budget::memory_limit);
    Budget::new(memory_limit, config.queued_max_request_bytes)
}

fn session_cache(config: &Config) -> SessionCache {
    let slots = config.max_incremental_fetch_session_cache_slots;
    SessionCache::new(slots, Uuid::new_v4().as_u64_pair().0)
}

/// The process's limit on open files.
fn descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| limit as usize)
}

/// Runs disk work away from the runtime's threads.
async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a disk task panicked")?
}

/// The block of producer ids this broker hands out from (R71). A block that is lost with the
/// process is never used again.
#[derive(Default)]
pub struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// An id never used before in this cluster, or `None` when the block is used up.
    pub fn next(&self) -> Option<i64> {
        self.block
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
    }

    /// As [`ProducerIds::next`], after taking a block from the controller if need be.
    pub async fn next_from_new_block(
        &self,
        controller: &ControllerHandle,
    ) -> Result<i64, ResponseError> {
        loop {
            if let Some(id) = self.next() {
                return Ok(id);
            }
            let block = controller
                .allocate_producer_ids()
                .await
                .map_err(|error| error.code)?;
            // Another request may have brought a block meanwhile: ids are skipped, never shared.
            *self.block.lock().unwrap_or_else(PoisonError::into_inner) = block;
        }
    }
}
