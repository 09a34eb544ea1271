//! Every handle a request may reach, and the order in which they come up and go down.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{Config, Corruption};
use crate::controller::brokers::Registration;
use crate::error::ResponseError;
use crate::log::directory::LogDirectory;
use crate::log::meta_properties::Identity;
use crate::log::{Files, HotTails, LogContext, LogOptions};
use crate::metadata::image::{Endpoint, Image};
use crate::partition::fetch_session::SessionCache;
use crate::partition::housekeeping::Housekeeping;
use crate::partition::manager::Partitions;
use crate::partition::volume::Volume;
use crate::quorum::{self, ControllerHandle, Quorum, QuorumArgs};

/// What request handlers share. Nothing in it is global to the process.
pub struct Shared {
    pub config: Config,
    pub clock: Clock,
    pub partitions: Arc<Partitions>,
    pub controller: ControllerHandle,
    pub producer_ids: ProducerIds,
    pub fetch_sessions: Mutex<SessionCache>,
    metadata: watch::Receiver<Arc<Image>>,
}

impl Shared {
    /// The metadata as applied on this broker.
    pub fn image(&self) -> Arc<Image> {
        self.metadata.borrow().clone()
    }
}

/// All of a broker but its sockets.
pub struct Core {
    shared: Arc<Shared>,
    quorum: Quorum,
    housekeeping: Housekeeping,
    broker_epoch: i64,
}

impl Core {
    /// Brings everything up in the order that makes the next step true: directories are locked
    /// and judged, the metadata is replayed, this broker is registered, its partitions are there
    /// and, after an unclean stop, recovered. Then clients may come.
    ///
    /// # Errors
    /// One sentence with what is wrong and where.
    pub async fn boot(config: Config, clock: Clock, endpoints: Vec<Endpoint>) -> anyhow::Result<Core> {
        let (opened, config, clock) = off_runtime(move || {
            let opened = Directories::open(&config)?;
            anyhow::Ok((opened, config, clock))
        })
        .await?;
        let partitions = Arc::new(Partitions::new(
            config.node_id,
            config.topic_defaults.clone(),
            config.strict_produce,
            clock.clone(),
            opened.volumes.clone(),
        ));
        let quorum = {
            let partitions = partitions.clone();
            quorum::start(QuorumArgs {
                metadata_log_dir: config.metadata_log_dir.clone(),
                node_id: config.node_id,
                cluster_id: opened.cluster_id.clone(),
                clock: clock.clone(),
                config: &config,
                publish: Box::new(move |old, new| partitions.publish(old, new)),
            })
        }?;
        let metadata = quorum.metadata();
        partitions.publish(&Image::empty(&opened.cluster_id), &metadata.borrow().clone());
        let registered = quorum.controller().register_broker(opened.registration(&config, endpoints));
        let broker_epoch = registered.await.context("the controller refused this broker")?;
        let recovering = partitions.clone();
        off_runtime(move || {
            recovering.set_strays_aside()?;
            if !opened.clean {
                recovering.recover_all();
            }
            anyhow::Ok(())
        })
        .await?;
        let housekeeping = Housekeeping::start(partitions.clone(), &config, clock.clone())?;
        let sessions = config.max_incremental_fetch_session_cache_slots;
        let shared = Arc::new(Shared {
            controller: quorum.controller(),
            producer_ids: ProducerIds::default(),
            fetch_sessions: Mutex::new(SessionCache::new(sessions, Uuid::new_v4().as_u64_pair().0)),
            metadata,
            partitions,
            clock,
            config,
        });
        Ok(Core { shared, quorum, housekeeping, broker_epoch })
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Storage.md section 7, in its order. Where a step fails there is no clean marker, so that
    /// the next start recovers.
    pub async fn shutdown(self) {
        let stopped = off_runtime(move || {
            self.housekeeping.stop();
            self.shared.partitions.close().context("a log could not be closed")?;
            let nonce = Uuid::new_v4().simple().to_string();
            self.quorum.stop(&nonce)?;
            for volume in self.shared.partitions.volumes() {
                volume.log.directory.write_clean_marker(self.broker_epoch, &nonce)?;
            }
            anyhow::Ok(())
        });
        if let Err(error) = stopped.await {
            tracing::error!("the stop is not clean and the next start will recover: {error:#}");
        }
    }
}

/// The log directories, locked and judged together.
struct Directories {
    cluster_id: String,
    volumes: Vec<Arc<Volume>>,
    /// Every directory has the marker of one and the same clean stop.
    clean: bool,
    previous_epoch: Option<i64>,
}

impl Directories {
    fn open(config: &Config) -> anyhow::Result<Directories> {
        let mut paths: Vec<PathBuf> = config.log_dirs.clone();
        if !paths.contains(&config.metadata_log_dir) {
            paths.push(config.metadata_log_dir.clone());
        }
        let identity = Identity { cluster_id: config.cluster_id.clone(), node_id: config.node_id };
        let directories = LogDirectory::open_all(&paths, &identity)?;
        let cluster_id = directories[0].cluster_id().to_owned();
        let epochs = directories.iter().map(|directory| Some(directory.found_marker()?.broker_epoch));
        let epochs: Option<Vec<i64>> = epochs.collect();
        let agreed = epochs.filter(|epochs| epochs.iter().all(|epoch| *epoch == epochs[0]));
        let (files, hot_tails) = (Arc::new(Files::new()), Arc::new(HotTails::new()));
        let options = LogOptions {
            durable: config.storage.durable,
            truncate_corruption: config.storage.corruption == Corruption::Truncate,
        };
        let volumes = directories.into_iter().map(|directory| {
            let log = LogContext {
                directory: Arc::new(directory),
                files: files.clone(),
                hot_tails: hot_tails.clone(),
                options,
            };
            anyhow::Ok(Arc::new(Volume::open(Arc::new(log), agreed.is_some())?))
        });
        Ok(Directories {
            cluster_id,
            volumes: volumes.collect::<anyhow::Result<_>>()?,
            clean: agreed.is_some(),
            previous_epoch: agreed.map(|epochs| epochs[0]),
        })
    }

    fn registration(&self, config: &Config, endpoints: Vec<Endpoint>) -> Registration {
        Registration {
            broker_id: config.node_id,
            incarnation: Uuid::new_v4(),
            endpoints,
            rack: config.broker_rack.clone(),
            features: Vec::new(),
            log_dirs: self.volumes.iter().map(|volume| volume.log.directory.id().0).collect(),
            previous_epoch: self.previous_epoch,
            unfenced: true,
        }
    }
}

/// Runs disk work away from the runtime's threads.
async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a disk task panicked")?
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
        self.block.lock().unwrap_or_else(PoisonError::into_inner).next()
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
            let block = controller.allocate_producer_ids().await.map_err(|error| error.code)?;
            // Another request may have brought a block meanwhile: ids are skipped, never shared.
            *self.block.lock().unwrap_or_else(PoisonError::into_inner) = block;
        }
    }
}
