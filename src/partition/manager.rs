//! All partitions led by this broker: found by name or topic id, made and unmade as the metadata
//! image says. Knows which log directory holds which partition; knows no request.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use hashbrown::HashMap;

use super::cleaner::Bell;
use super::housekeeping::Alarm;
use super::volume::{Remains, Volume};
use super::{Partition, PartitionArgs};
use crate::clock::Clock;
use crate::config::TopicDefaults;
use crate::error::ResponseError;
use crate::log::Error;
use crate::log::relocate::forget_move;
use crate::metadata::image::{Image, PartitionImage, TopicImage};
use crate::metadata::topic_config::TopicConfig;
use crate::types::{BrokerId, Millis, TopicId, TopicPartition};

/// See the module.
pub struct Partitions {
    me: BrokerId,
    defaults: RwLock<Arc<TopicDefaults>>,
    strict_produce: bool,
    clock: Clock,
    volumes: Vec<Arc<Volume>>,
    topics: RwLock<Topics>,
    /// Partitions with segments below their start.
    to_remove: Mutex<VecDeque<Arc<Partition>>>,
    alarm: Arc<Alarm>,
    cleaner_bell: Arc<Bell>,
    /// Threads that move logs between directories.
    movers: Mutex<Vec<JoinHandle<()>>>,
    /// Until the partitions of the first image have found their directories.
    is_starting: AtomicBool,
}

#[derive(Default)]
struct Topics {
    by_name: HashMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

/// A topic of the cluster; `partitions[i]` is `None` where another broker leads.
struct Topic {
    name: Arc<str>,
    id: TopicId,
    partitions: Vec<Option<Arc<Partition>>>,
}

impl Partitions {
    pub fn new(
        me: BrokerId,
        defaults: Arc<TopicDefaults>,
        strict_produce: bool,
        clock: Clock,
        volumes: Vec<Arc<Volume>>,
    ) -> Partitions {
        let topics = RwLock::default();
        Partitions {
            me,
            defaults: RwLock::new(defaults),
            strict_produce,
            clock,
            volumes,
            topics,
            to_remove: Mutex::default(),
            alarm: Arc::default(),
            cleaner_bell: Arc::default(),
            movers: Mutex::default(),
            is_starting: AtomicBool::new(true),
        }
    }

    pub(super) fn movers(&self) -> &Mutex<Vec<JoinHandle<()>>> {
        &self.movers
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn alarm(&self) -> &Arc<Alarm> {
        &self.alarm
    }

    /// Wakes the cleaner, for which settings may have changed.
    pub fn cleaner_bell(&self) -> &Arc<Bell> {
        &self.cleaner_bell
    }

    /// Whether it is led here and its log has not been opened yet, which may read files for long.
    pub fn is_unopened(&self, topic: &str, partition: i32) -> bool {
        let found = self.find(topic, partition);
        found.is_ok_and(|partition| !partition.is_opened())
    }

    /// R186: an unknown name is 3, a partition that is known but not led here is 6.
    pub fn find(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, ResponseError> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let topic = topics
            .by_name
            .get(topic)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        topic.partition(partition)
    }

    /// As [`Partitions::find`]; an unknown id is 100.
    pub fn find_by_id(&self, id: TopicId, partition: i32) -> Result<Arc<Partition>, ResponseError> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let topic = topics.by_id.get(&id).ok_or(ResponseError::UnknownTopicId)?;
        topic.partition(partition)
    }

    /// Every partition led here.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics
            .by_id
            .values()
            .flat_map(|topic| topic.partitions.iter().flatten().cloned())
            .collect()
    }

    /// Takes over what changed between two images: new topics get their partitions, deleted ones
    /// lose their files, new leader epochs and configs reach the partitions. Returns when clients
    /// may use all of it.
    pub fn publish(&self, old: &Image, new: &Image) {
        let mut any_removed = false;
        for (after, before) in new.topics_differing(old) {
            match (before, after) {
                (Some(before), Some(after)) if before.id == after.id => self.change(after),
                (before, after) => {
                    any_removed |= before.is_some();
                    before.into_iter().for_each(|topic| self.remove(topic));
                    after.into_iter().for_each(|topic| self.change(topic));
                }
            }
        }
        if any_removed {
            // A topic made again under the name must not be opened with the old offsets, not even
            // after a kill: it would seem to have lost what it never had (Kafka: asyncDelete).
            self.write_checkpoints();
        }
    }

    fn write_checkpoints(&self) {
        // One that fails is out of service from then on.
        for volume in &self.volumes {
            volume.write_checkpoints();
        }
    }

    /// What topics inherit has changed: every topic of `image` that is here is judged anew.
    pub fn inherit(&self, defaults: Arc<TopicDefaults>, image: &Image) {
        *self
            .defaults
            .write()
            .unwrap_or_else(PoisonError::into_inner) = defaults;
        let known: Vec<TopicId> = {
            let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
            topics.by_id.keys().copied().collect()
        };
        let known = known.into_iter().filter_map(|id| image.topic_by_id(id));
        known.for_each(|topic| self.change(topic));
    }

    /// Makes what the topic lacks here and updates what it has.
    pub(super) fn change(&self, image: &TopicImage) {
        let defaults = self
            .defaults
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let config = Arc::new(TopicConfig::resolve(&image.configs, &defaults));
        let known = {
            let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
            topics.by_id.get(&image.id).cloned()
        };
        let partitions = image
            .partitions
            .iter()
            .enumerate()
            .map(|(index, partition)| {
                let known = known
                    .as_ref()
                    .and_then(|topic| topic.partitions.get(index)?.as_ref());
                if partition.leader != Some(self.me) {
                    known.into_iter().for_each(|known| known.resign());
                    return None;
                }
                Some(match known {
                    Some(known) => {
                        known.lead(partition, config.clone());
                        known.clone()
                    }
                    None => Arc::new(self.make(image, index as i32, partition, config.clone())),
                })
            });
        let topic = Arc::new(Topic {
            name: image.name.clone(),
            id: image.id,
            partitions: partitions.collect(),
        });
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.by_name.insert(topic.name.clone(), topic.clone());
        topics.by_id.insert(topic.id, topic);
    }

    pub(super) fn remove(&self, image: &TopicImage) {
        let removed = {
            let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
            let removed = topics.by_id.remove(&image.id);
            // The name may already belong to the topic's successor.
            if topics
                .by_name
                .get(&image.name)
                .is_some_and(|topic| topic.id == image.id)
            {
                topics.by_name.remove(&image.name);
            }
            removed
        };
        for partition in removed
            .iter()
            .flat_map(|topic| topic.partitions.iter().flatten())
        {
            partition.delete(self.clock.monotonic_ms());
        }
    }

    fn make(
        &self,
        topic: &TopicImage,
        index: i32,
        image: &PartitionImage,
        config: Arc<TopicConfig>,
    ) -> Partition {
        let name = TopicPartition {
            topic: topic.name.clone(),
            partition: index,
        };
        let volume = self.place(&name, topic.id);
        Partition::new(PartitionArgs {
            open_at: volume.open_at(&name, self.clock.wall_ms()),
            name,
            topic_id: topic.id,
            volume,
            image,
            config,
            strict_produce: self.strict_produce,
        })
    }

    /// The directory that has the partition's files, else the one with the fewest partitions.
    fn place(&self, name: &TopicPartition, id: TopicId) -> Arc<Volume> {
        let claims = |volume: &&Arc<Volume>| match volume.claim(name, id) {
            Ok(claimed) => claimed,
            Err(error) => {
                let cause = format!("cannot set {name} aside: {error}");
                volume.log.directory.mark_offline(cause);
                false
            }
        };
        let moved = self.volumes.iter().find(|v| v.has_moved_here(name));
        let claimed = match moved.filter(claims) {
            Some(moved) => {
                self.end_move(name, id, moved);
                Some(moved)
            }
            None => self.volumes.iter().find(claims),
        };
        let volume = claimed.or_else(|| self.healthiest());
        let volume = volume.unwrap_or(&self.volumes[0]).clone();
        volume.holds_one_more();
        volume
    }

    /// The broker ended between the two renames of a move to `volume`.
    fn end_move(&self, name: &TopicPartition, id: TopicId, volume: &Arc<Volume>) {
        let others = self.volumes.iter().filter(|v| !Arc::ptr_eq(v, volume));
        let ended = others.clone().try_for_each(|other| {
            if other.claim(name, id)? {
                let path = other.set_deleted_aside(name)?;
                other.unlink_at(0, path.map(Remains::Directory));
            }
            io::Result::Ok(())
        });
        // A directory that cannot be read now may still hold the old log.
        let all_read = others.clone().all(|v| !v.log.directory.is_offline());
        let ended = ended.and_then(|()| match all_read {
            true => forget_move(&volume.log.path().join(name.to_string())),
            false => Ok(()),
        });
        if let Err(error) = ended {
            tracing::warn!(partition = %name, %error, "the old files of a moved log stay");
        }
    }

    /// Where a partition that was found nowhere belongs. At the start it may lie in a directory
    /// that cannot be read: then it is offline rather than made anew, empty, elsewhere.
    fn healthiest(&self) -> Option<&Arc<Volume>> {
        let is_offline = |volume: &&Arc<Volume>| volume.log.directory.is_offline();
        if self.is_starting.load(Ordering::Relaxed)
            && let Some(unreadable) = self.volumes.iter().find(is_offline)
        {
            return Some(unreadable);
        }
        let online = self.volumes.iter().filter(|volume| !is_offline(volume));
        online.min_by_key(|volume| (volume.log.directory.is_full(), volume.partitions()))
    }

    /// After the first image: what no topic claims is set aside, and its offsets are forgotten.
    pub fn set_strays_aside(&self) -> io::Result<()> {
        self.is_starting.store(false, Ordering::Relaxed);
        let all = self.all();
        for volume in &self.volumes {
            volume.set_unclaimed_aside()?;
            let here = all.iter().filter(|p| Arc::ptr_eq(&p.volume(), volume));
            volume.forget_others(&here.map(|partition| partition.name.clone()).collect());
        }
        Ok(())
    }

    /// Whether no log directory is left to serve from.
    pub(super) fn are_all_offline(&self) -> bool {
        let mut volumes = self.volumes.iter();
        volumes.all(|volume| volume.log.directory.is_offline())
    }

    /// Opens every partition, as an unclean start must before clients are served; uses all
    /// cores. Returns how many could not be opened; each of them has been logged.
    pub fn recover_all(&self) -> usize {
        let all = self.all();
        let next = AtomicUsize::new(0);
        let failed = AtomicUsize::new(0);
        let relaxed = Ordering::Relaxed;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads.min(all.len()) {
                scope.spawn(|| {
                    while let Some(partition) = all.get(next.fetch_add(1, relaxed)) {
                        if partition.progress().is_err() {
                            failed.fetch_add(1, relaxed);
                        }
                    }
                });
            }
        });
        failed.into_inner()
    }

    /// A checkpoint round over all directories.
    pub fn checkpoint(&self) {
        for partition in self.all() {
            partition.note_checkpoint();
        }
        self.write_checkpoints();
    }

    /// Clean stop: every opened log is closed, then checkpointed. Fails with the first log that
    /// could not be made durable: then the stop is not clean.
    pub fn close(&self) -> Result<(), Error> {
        self.pause_moves();
        self.volumes.iter().for_each(|volume| volume.stop_flusher());
        let closed = self.all().into_iter().map(|partition| partition.close());
        let outcome = closed.collect::<Vec<_>>().into_iter().collect();
        self.write_checkpoints();
        outcome
    }

    /// A pass of retention over all partitions. The starts it moved are durable on return; the
    /// segments below them go with [`Partitions::remove_for`].
    pub(super) fn retain(&self, by_time: bool, now: Millis) {
        let all = self.all().into_iter();
        let losing: Vec<_> = all.filter(|p| p.retain(by_time, now)).collect();
        if !losing.is_empty() {
            self.checkpoint();
            self.to_remove().extend(losing);
        }
    }

    /// The partition has segments below its start.
    pub fn remove_soon(&self, partition: &Arc<Partition>) {
        self.to_remove().push_back(partition.clone());
        self.alarm.removals();
    }

    /// Takes segments below their logs' starts away and unlinks what is due, for about so many
    /// ms. True if there is more to be done now.
    pub(super) fn remove_for(&self, ms: Millis) -> bool {
        let until = self.clock.monotonic_ms() + ms;
        let has_time = || self.clock.monotonic_ms() < until;
        while has_time() {
            let Some(partition) = self.to_remove().pop_front() else {
                break;
            };
            if partition.remove_segments(self.clock.wall_ms(), self.clock.monotonic_ms()) {
                self.to_remove().push_back(partition);
            }
        }
        let mut is_done = self.to_remove().is_empty();
        for volume in &self.volumes {
            is_done &= volume.unlink_due(self.clock.monotonic_ms(), has_time);
        }
        !is_done
    }

    fn to_remove(&self) -> MutexGuard<'_, VecDeque<Arc<Partition>>> {
        self.to_remove
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn volumes(&self) -> &[Arc<Volume>] {
        &self.volumes
    }
}

impl Topic {
    fn partition(&self, index: i32) -> Result<Arc<Partition>, ResponseError> {
        let known = usize::try_from(index)
            .ok()
            .and_then(|index| self.partitions.get(index));
        match known {
            None => Err(ResponseError::UnknownTopicOrPartition),
            Some(None) => Err(ResponseError::NotLeaderOrFollower),
            Some(Some(partition)) => Ok(partition.clone()),
        }
    }
}
