//! What must happen now and then, on one plain thread: checkpoint rounds, free space, retention,
//! producers that have been silent for long, and the remains of what was deleted, removed at a
//! pace that leaves the disk to those who wait for it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::manager::Partitions;
use super::retention::ClockGuard;
use super::volume::Volume;
use crate::clock::Clock;
use crate::config::{Config, DynamicConfig};
use crate::log::directory::LogDirectory;
use crate::types::Millis;

/// Free space and what is to be unlinked are looked at this often: clients of a full disk go on
/// within 5 s of its having room (storage.md section 17).
const SPACE_CHECK_MS: Millis = 2_000;
/// A start does not begin with retention (Kafka: log.initial.task.delay.ms).
const FIRST_RETENTION_MS: Millis = 30_000;
/// Removing goes on for so long at a time, with a pause: 10,000 segments that expire at once must
/// not be felt by producers.
const REMOVE_FOR_MS: Millis = 5;
const REMOVE_PAUSE_MS: Millis = 20;
/// Producers are expired this often (Kafka: PRODUCER_ID_EXPIRATION_CHECK_INTERVAL).
const PRODUCER_EXPIRY_MS: Millis = 600_000;

/// The thread; ended by [`Housekeeping::stop`] or when dropped.
pub struct Housekeeping {
    alarm: Arc<Alarm>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    pub fn start(
        partitions: Arc<Partitions>,
        config: &Config,
        dynamic: watch::Receiver<Arc<DynamicConfig>>,
        clock: Clock,
        watchdog: Watchdog,
    ) -> io::Result<Housekeeping> {
        let alarm = partitions.alarm().clone();
        let now = clock.monotonic_ms();
        let chores = Chores {
            partitions,
            dynamic,
            checkpoints: Every::new(config.checkpoint_interval_ms),
            space: Every::new(SPACE_CHECK_MS),
            producers: Every::new(PRODUCER_EXPIRY_MS),
            retention: Every::beginning(
                now + FIRST_RETENTION_MS.min(config.log_retention_check_interval_ms),
                config.log_retention_check_interval_ms,
            ),
            clock_guard: ClockGuard::default(),
            clock,
            watchdog,
        };
        let of_thread = alarm.clone();
        let builder = std::thread::Builder::new().name("housekeeping".into());
        let thread = builder.spawn(move || chores.run(&of_thread))?;
        Ok(Housekeeping {
            alarm,
            thread: Some(thread),
        })
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.alarm.ring(|rung| rung.stopping = true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the housekeeping has panicked");
        }
    }
}

/// Ends the broker where it can no longer do its work.
pub struct Watchdog {
    pub metadata_directory: Arc<LogDirectory>,
    /// Gets the reason.
    pub failed: watch::Sender<Option<String>>,
}

impl Watchdog {
    /// In Kafka's words (LogManager and ReplicaManager.handleLogDirFailure).
    fn look(&self, partitions: &Partitions) {
        let directories = partitions.volumes().iter().map(|v| v.log.path().display());
        let reason = if self.metadata_directory.is_offline() {
            let path = self.metadata_directory.path().display();
            format!("Shutdown broker because the metadata log dir {path} has failed")
        } else if partitions.are_all_offline() {
            let all: Vec<String> = directories.map(|path| path.to_string()).collect();
            let all = all.join(", ");
            format!("Shutdown broker because all log dirs in {all} have failed")
        } else {
            return;
        };
        tracing::error!("{reason}");
        self.failed.send_replace(Some(reason));
    }
}

/// Wakes the thread before its time.
#[derive(Default)]
pub struct Alarm {
    rung: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Rung {
    stopping: bool,
    /// Something is to be removed.
    removals: bool,
}

impl Alarm {
    pub fn removals(&self) {
        self.ring(|rung| rung.removals = true);
    }

    fn ring(&self, set: impl FnOnce(&mut Rung)) {
        set(&mut self.rung.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Waits for so many ms or until something is rung; true at the stop.
    fn wait(&self, ms: Millis) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = Duration::from_millis(ms.max(1) as u64);
        let waited = self
            .changed
            .wait_timeout_while(rung, wait, |rung| !rung.stopping && !rung.removals);
        let mut rung = waited.unwrap_or_else(PoisonError::into_inner).0;
        rung.removals = false;
        rung.stopping
    }
}

/// A chore's rhythm.
struct Every {
    interval_ms: Millis,
    next: Millis,
}

impl Every {
    fn new(interval_ms: Millis) -> Every {
        Every {
            interval_ms: interval_ms.max(1),
            next: 0,
        }
    }

    fn beginning(next: Millis, interval_ms: Millis) -> Every {
        Every { interval_ms, next }
    }

    fn is_due(&mut self, now: Millis) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.interval_ms;
        }
        due
    }
}

struct Chores {
    partitions: Arc<Partitions>,
    dynamic: watch::Receiver<Arc<DynamicConfig>>,
    checkpoints: Every,
    space: Every,
    producers: Every,
    retention: Every,
    clock_guard: ClockGuard,
    clock: Clock,
    watchdog: Watchdog,
}

impl Chores {
    fn run(mut self, alarm: &Alarm) {
        self.clean_up();
        loop {
            self.round(self.clock.monotonic_ms());
            let chores = [
                &self.checkpoints,
                &self.space,
                &self.producers,
                &self.retention,
            ];
            let next = chores.into_iter().map(|chore| chore.next).min();
            let until_next = next.unwrap_or(0) - self.clock.monotonic_ms();
            let wait_ms = match self.partitions.remove_for(REMOVE_FOR_MS) {
                true => until_next.min(REMOVE_PAUSE_MS),
                false => until_next,
            };
            if alarm.wait(wait_ms) {
                return;
            }
        }
    }

    /// Once per start, and never before clients are served.
    fn clean_up(&self) {
        for volume in self.partitions.volumes() {
            let path = volume.log.path().display();
            if volume.log.directory.is_offline() {
                continue;
            }
            if let Err(error) = volume.remove_deleted() {
                tracing::warn!(%path, %error, "files of deleted topics stay");
            }
            if let Err(error) = volume.log.directory.create_reserve() {
                tracing::warn!(%path, %error, "there is no reserve for a full disk");
            }
        }
    }

    fn round(&mut self, now: Millis) {
        if self.checkpoints.is_due(now) {
            self.partitions.checkpoint();
        }
        if self.space.is_due(now) {
            self.watchdog.look(&self.partitions);
            let online = |volume: &&Arc<Volume>| !volume.log.directory.is_offline();
            for volume in self.partitions.volumes().iter().filter(online) {
                let path = volume.log.path().display();
                let directory = &volume.log.directory;
                let was_full = directory.is_full();
                let checked = match directory.check_space() {
                    Ok(false) if was_full => directory.create_reserve(),
                    checked => checked.map(|_| ()),
                };
                if let Err(error) = checked {
                    tracing::warn!(%path, %error, "free space unknown");
                }
            }
        }
        if self.retention.is_due(now) {
            self.retain(now);
        }
        if self.producers.is_due(now) {
            let wall = self.clock.wall_ms();
            let expiration_ms = self.dynamic.borrow().producer_id_expiration_ms;
            for partition in self.partitions.all() {
                partition.expire_producers(wall, expiration_ms);
            }
        }
    }

    fn retain(&mut self, now: Millis) {
        let wall = self.clock.wall_ms();
        let (by_time, jump) = self.clock_guard.pass(wall, now);
        if let Some(ahead_ms) = jump {
            tracing::warn!(
                ahead_ms,
                "the wall clock was set ahead: retention by time pauses for as long, 24 h at most"
            );
        }
        self.partitions.retain(by_time, wall);
    }
}
