//! One thread that wakes shards at their deadlines.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::types::Millis;

/// Ended by [`Timer::stop`].
pub struct Timer {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    /// By steady time; at most one per shard counts, others wake it in vain.
    deadlines: BTreeSet<(Millis, i32)>,
    stopping: bool,
}

impl Timer {
    pub fn new(clock: Clock) -> Timer {
        Timer {
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
            thread: Mutex::default(),
        }
    }

    /// Calls `fire(shard)` at each deadline.
    pub fn start(self: &Arc<Self>, fire: impl Fn(i32) + Send + 'static) -> io::Result<()> {
        let timer = self.clone();
        let builder = std::thread::Builder::new().name("coordinators".into());
        let thread = builder.spawn(move || {
            while let Some(shard) = timer.next() {
                fire(shard);
            }
        })?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Wakes the shard at this steady time.
    pub fn arm(&self, at: Millis, shard: i32) {
        let mut state = self.lock();
        let is_first = state.deadlines.first().is_none_or(|(first, _)| at < *first);
        state.deadlines.insert((at, shard));
        drop(state);
        if is_first {
            self.changed.notify_one();
        }
    }

    pub fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the coordinators' timer has panicked");
        }
    }

    /// The shard that is due next, when it is due; `None` at the stop.
    fn next(&self) -> Option<i32> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            let now = self.clock.monotonic_ms();
            state = match state.deadlines.first().copied() {
                Some((at, shard)) if at <= now => {
                    state.deadlines.pop_first();
                    return Some(shard);
                }
                Some((at, _)) => {
                    let wait = Duration::from_millis((at - now).max(1) as u64);
                    let waited = self.changed.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
