//! What must happen now and then, on one plain thread: checkpoint rounds, free space, producers
//! that have been silent for long, and the remains of deleted topics.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::manager::Partitions;
use crate::clock::Clock;
use crate::config::{Config, DynamicConfig};
use crate::types::Millis;

/// Free space and deleted topics are looked at this often.
const SPACE_CHECK_MS: Millis = 10_000;
/// Producers are expired this often (Kafka: PRODUCER_ID_EXPIRATION_CHECK_INTERVAL).
const PRODUCER_EXPIRY_MS: Millis = 600_000;

/// The thread; ended by [`Housekeeping::stop`] or when dropped.
pub struct Housekeeping {
    stopping: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    pub fn start(
        partitions: Arc<Partitions>,
        config: &Config,
        dynamic: watch::Receiver<Arc<DynamicConfig>>,
        clock: Clock,
    ) -> io::Result<Housekeeping> {
        let stopping = Arc::new((Mutex::new(false), Condvar::new()));
        let chores = Chores {
            partitions,
            dynamic,
            checkpoints: Every::new(config.log_flush_offset_checkpoint_interval_ms),
            space: Every::new(SPACE_CHECK_MS),
            producers: Every::new(PRODUCER_EXPIRY_MS),
            clock,
        };
        let signal = stopping.clone();
        let builder = std::thread::Builder::new().name("housekeeping".into());
        let thread = builder.spawn(move || chores.run(&signal))?;
        Ok(Housekeeping {
            stopping,
            thread: Some(thread),
        })
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        *self
            .stopping
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.stopping.1.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the housekeeping has panicked");
        }
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
    clock: Clock,
}

impl Chores {
    fn run(mut self, (stopping, changed): &(Mutex<bool>, Condvar)) {
        self.clean_up();
        loop {
            self.round(self.clock.monotonic_ms());
            let next = self
                .checkpoints
                .next
                .min(self.space.next)
                .min(self.producers.next);
            let wait_ms = (next - self.clock.monotonic_ms()).max(1) as u64;
            let stop = stopping.lock().unwrap_or_else(PoisonError::into_inner);
            if *stop {
                return;
            }
            let waited = changed.wait_timeout(stop, Duration::from_millis(wait_ms));
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
        }
    }

    /// Once per start, and never before clients are served.
    fn clean_up(&self) {
        for volume in self.partitions.volumes() {
            let path = volume.log.path().display();
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
            for volume in self.partitions.volumes() {
                let path = volume.log.path().display();
                if let Err(error) = volume.log.directory.check_space() {
                    tracing::warn!(%path, %error, "free space unknown");
                }
                if let Err(error) = volume.unlink_due(now) {
                    tracing::warn!(%path, %error, "files of a deleted topic stay");
                }
            }
        }
        if self.producers.is_due(now) {
            let wall = self.clock.wall_ms();
            let expiration_ms = self.dynamic.borrow().producer_id_expiration_ms;
            for partition in self.partitions.all() {
                partition.expire_producers(wall, expiration_ms);
            }
        }
    }
}
