//! The cleaner: plain threads that look for the dirtiest compacted log, compact it, and sleep when
//! there is none (Kafka: LogCleaner). Their number, pace, memory and rest are `log.cleaner.*`, all
//! of which may change at any time.
//!
//! They run at a low priority: where a processor is short, those who serve clients go first.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::Partition;
use super::manager::Partitions;
use crate::clock::Clock;
use crate::config::DynamicConfig;
use crate::log::compaction::Limits;
use crate::types::Millis;

/// A cleaner's map and buffers stay within 64 MiB (storage.md section 9).
const MAP_BYTES_MAX: usize = 56 << 20;
const IO_BYTES: std::ops::RangeInclusive<usize> = 16 << 10..=1 << 20;
/// After so many bytes a round asks whether it is to go on, and how fast.
const PIECE_BYTES: u64 = 256 << 10;
/// A round that waits for its rate asks again as often as this.
const LOOK_MS: Millis = 500;
/// Of a thread; 19 is the lowest.
const NICENESS: i32 = 10;

/// The threads; ended by dropping it, in the middle of a round if need be.
pub struct Cleaner(Arc<Shared>);

struct Shared {
    partitions: Arc<Partitions>,
    dynamic: watch::Receiver<Arc<DynamicConfig>>,
    clock: Clock,
    bell: Arc<Bell>,
    throttle: Mutex<Throttle>,
    threads: Mutex<BTreeMap<usize, JoinHandle<()>>>,
}

/// `log.cleaner.*` as of one moment.
struct Settings {
    threads: usize,
    backoff_ms: Millis,
    /// Bytes per second, over all threads.
    rate: f64,
    limits: Limits,
}

impl Cleaner {
    pub fn start(
        partitions: Arc<Partitions>,
        dynamic: watch::Receiver<Arc<DynamicConfig>>,
        clock: Clock,
    ) -> io::Result<Cleaner> {
        let bell = partitions.cleaner_bell().clone();
        let cleaner = Cleaner(Arc::new(Shared {
            partitions,
            dynamic,
            clock,
            bell,
            throttle: Mutex::default(),
            threads: Mutex::default(),
        }));
        cleaner.0.spawn(0)?;
        Ok(cleaner)
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.0.bell.stop();
        let threads = std::mem::take(&mut *lock(&self.0.threads));
        for thread in threads.into_values() {
            if thread.join().is_err() {
                tracing::error!("a log cleaner has panicked");
            }
        }
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>, index: usize) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        if self.bell.is_stopping() {
            return Ok(());
        }
        let of_thread = self.clone();
        let builder = std::thread::Builder::new().name(format!("log-cleaner-{index}"));
        let thread = builder.spawn(move || of_thread.run(index))?;
        threads.insert(index, thread);
        Ok(())
    }

    /// The first thread sees to it that the others are there; those too many end themselves.
    fn run(self: &Arc<Self>, index: usize) {
        let me = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(me), NICENESS) {
            tracing::debug!(%error, "the log cleaner runs at full priority");
        }
        let mut unpaid = 0;
        loop {
            let rung = self.bell.rung();
            let settings = Settings::of(&self.dynamic.borrow());
            if self.bell.is_stopping() || index >= settings.threads {
                return;
            }
            if index == 0 {
                self.spawn_missing(settings.threads);
            }
            if !self.clean_dirtiest(settings.limits, &mut unpaid) {
                self.bell.wait(settings.backoff_ms, rung);
            }
        }
    }

    fn spawn_missing(self: &Arc<Self>, wanted: usize) {
        for index in 1..wanted {
            let is_missing = {
                let threads = lock(&self.threads);
                threads.get(&index).is_none_or(JoinHandle::is_finished)
            };
            if is_missing && let Err(error) = self.spawn(index) {
                tracing::error!(%error, "no thread for a log cleaner");
            }
        }
    }

    /// A round over the dirtiest log; false if none is dirty enough. `unpaid` are bytes that the
    /// rate was not asked about yet.
    fn clean_dirtiest(&self, limits: Limits, unpaid: &mut u64) -> bool {
        let (wall, monotonic) = (self.clock.wall_ms(), self.clock.monotonic_ms());
        let compacted = self.partitions.all().into_iter();
        let dirty = compacted.filter_map(|partition| {
            let dirt = partition.dirt(wall, monotonic)?;
            Some((partition, dirt.ratio))
        });
        let dirtiest = dirty.max_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some((partition, _)) = dirtiest else {
            return false;
        };
        partition.compact(limits, &self.clock, &mut |bytes| {
            *unpaid += bytes;
            match *unpaid {
                0..PIECE_BYTES => ControlFlow::Continue(()),
                _ => self.pace(&partition, std::mem::take(unpaid)),
            }
        })
    }

    /// Waits as long as the rate asks; breaks at the stop, or if the log is no longer to be
    /// compacted.
    fn pace(&self, partition: &Partition, bytes: u64) -> ControlFlow<()> {
        lock(&self.throttle).owe(bytes);
        loop {
            let rung = self.bell.rung();
            let rate = Settings::of(&self.dynamic.borrow()).rate;
            let now = self.clock.monotonic_ms();
            let wait_ms = lock(&self.throttle).wait_ms(rate, now);
            if self.bell.is_stopping() || !partition.may_go_on() {
                return ControlFlow::Break(());
            }
            if wait_ms == 0 {
                return ControlFlow::Continue(());
            }
            self.bell.wait(wait_ms.min(LOOK_MS), rung);
        }
    }
}

impl Settings {
    fn of(dynamic: &DynamicConfig) -> Settings {
        let configs = &dynamic.configs;
        let threads = configs
            .typed("log.cleaner.threads")
            .unwrap_or(1_usize)
            .max(1);
        let share = |name: &str| configs.typed(name).unwrap_or(0_usize) / threads;
        let rate = configs.typed("log.cleaner.io.max.bytes.per.second");
        let load_factor = configs.typed("log.cleaner.io.buffer.load.factor");
        Settings {
            threads,
            backoff_ms: configs.typed("log.cleaner.backoff.ms").unwrap_or(15_000),
            rate: rate.unwrap_or(f64::MAX),
            limits: Limits {
                map_bytes: share("log.cleaner.dedupe.buffer.size").min(MAP_BYTES_MAX),
                load_factor: load_factor.unwrap_or(0.9),
                // One half to read, one to write, as in Kafka.
                io_bytes: (share("log.cleaner.io.buffer.size") / 2)
                    .clamp(*IO_BYTES.start(), *IO_BYTES.end()),
            },
        }
    }
}

/// `log.cleaner.io.max.bytes.per.second`. Pure: time is a number.
#[derive(Debug, Default)]
struct Throttle {
    /// Bytes that time has not paid for; below 0 they are saved.
    owed: f64,
    /// When that was so.
    at: Millis,
}

impl Throttle {
    /// What was not used is lost, but for so many seconds.
    const SAVED_S: f64 = 0.3;

    fn owe(&mut self, bytes: u64) {
        self.owed += bytes as f64;
    }

    /// How long to wait at `rate` bytes per second until nothing is owed.
    fn wait_ms(&mut self, rate: f64, now: Millis) -> Millis {
        let rate = rate.max(1.0);
        let paid = rate * (now - self.at) as f64 / 1000.0;
        self.at = now;
        self.owed = (self.owed - paid).max(-rate * Self::SAVED_S);
        (self.owed * 1000.0 / rate)
            .clamp(0.0, i64::MAX as f64)
            .ceil() as Millis
    }
}

/// Wakes the threads before their time.
#[derive(Default)]
pub struct Bell {
    state: Mutex<BellState>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct BellState {
    stopping: bool,
    rung: u64,
}

impl Bell {
    /// Settings have changed.
    pub fn ring(&self) {
        lock(&self.state).rung += 1;
        self.changed.notify_all();
    }

    fn stop(&self) {
        lock(&self.state).stopping = true;
        self.changed.notify_all();
    }

    fn is_stopping(&self) -> bool {
        lock(&self.state).stopping
    }

    fn rung(&self) -> u64 {
        lock(&self.state).rung
    }

    /// So many ms, or until the stop or a ring since `rung`.
    fn wait(&self, ms: Millis, rung: u64) {
        let wait = Duration::from_millis(ms.max(1) as u64);
        let waits = |state: &mut BellState| !state.stopping && state.rung == rung;
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.state), wait, waits);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttled_cleaner_keeps_its_rate_and_saves_up_little() {
        let mut throttle = Throttle::default();
        let rate = 1_000_000.0;
        let mut wait = |bytes, rate, now| {
            throttle.owe(bytes);
            throttle.wait_ms(rate, now)
        };
        assert_eq!(wait(0, rate, 10_000), 0);
        assert_eq!(wait(100_000, rate, 10_000), 0, "within what was saved");
        assert_eq!(wait(300_000, rate, 10_000), 100);
        assert_eq!(wait(50_000, rate, 10_100), 50);
        // A long pause does not pay for what comes.
        assert_eq!(wait(0, rate, 100_000), 0);
        assert_eq!(wait(1_000_000, rate, 100_000), 700);
        // What is owed is paid at the rate of the day.
        assert_eq!(wait(0, 2.0 * rate, 100_100), 250);
        assert_eq!(wait(u64::MAX, f64::MAX, 200_000), 0);
        assert_eq!(wait(0, rate, 200_000), 0);
        assert_eq!(wait(400_000, rate, 200_000), 100);
    }
}
