//! The coordinators of one internal topic: a machine for each partition led here, loaded when the
//! leadership comes, dropped when it goes.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::core::AfterRun;
use super::machine::Machine;
use super::partition_of;
use super::shard::{Pending, Shard};
use super::timer::Timer;
use crate::clock::Clock;
use crate::error::ResponseError;
use crate::metadata::image::Image;
use crate::partition::Partition;
use crate::partition::manager::Partitions;
use crate::protocol::batch::Codec;
use crate::types::{Millis, Offset};

/// See the module. Cheap to clone.
pub struct Runtime<M: Machine> {
    inner: Arc<Inner<M>>,
}

impl<M: Machine> Clone for Runtime<M> {
    fn clone(&self) -> Self {
        Runtime {
            inner: self.inner.clone(),
        }
    }
}

struct Inner<M: Machine> {
    topic: &'static str,
    make: Box<dyn Fn() -> M + Send + Sync>,
    codec: Codec,
    clock: Clock,
    /// Where replies wait that are not committed at once.
    waiters: Handle,
    timer: Arc<Timer>,
    slots: RwLock<Slots<M>>,
    loads: Mutex<Loads<M>>,
    /// Logs are recovered: they may be read.
    started: AtomicBool,
}

struct Slots<M: Machine> {
    /// Of the topic; 0 while there is none.
    partitions: i32,
    by_partition: BTreeMap<i32, Arc<Slot<M>>>,
}

struct Slot<M: Machine> {
    index: i32,
    shard: Arc<Shard<M>>,
    /// The timer wakes it at this steady time.
    armed: AtomicI64,
    /// Somebody waits for its high watermark.
    has_waiter: AtomicBool,
    /// Whether the first load is over, well or not.
    settled: watch::Sender<bool>,
}

struct Loads<M: Machine> {
    queue: VecDeque<Arc<Slot<M>>>,
    threads: usize,
}

impl<M: Machine> Runtime<M> {
    /// Batches of the machines' records are compressed with `codec`. Call it within the tokio runtime that may run small tasks for it.
    ///
    /// # Errors
    /// The machine gives no thread.
    pub fn new(
        topic: &'static str,
        codec: Codec,
        clock: Clock,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> io::Result<Runtime<M>> {
        let timer = Arc::new(Timer::new(clock.clone()));
        let inner = Arc::new(Inner {
            topic,
            make: Box::new(make),
            codec,
            clock,
            waiters: Handle::current(),
            timer: timer.clone(),
            slots: RwLock::new(Slots {
                partitions: 0,
                by_partition: BTreeMap::new(),
            }),
            loads: Mutex::new(Loads {
                queue: VecDeque::new(),
                threads: 0,
            }),
            started: AtomicBool::new(false),
        });
        let fired = Arc::downgrade(&inner);
        timer.start(move |index| {
            if let Some(inner) = fired.upgrade() {
                inner.fire(index);
            }
        })?;
        Ok(Runtime { inner })
    }

    /// The logs may be read from now on.
    pub fn start(&self) {
        self.inner.started.store(true, Ordering::SeqCst);
        let slots: Vec<_> = self.inner.read().by_partition.values().cloned().collect();
        slots.into_iter().for_each(|slot| self.inner.load(slot));
    }

    /// Nothing runs by itself any more; callers that wait are told NOT_COORDINATOR.
    pub fn stop(&self) {
        self.inner.timer.stop();
        let slots = std::mem::take(&mut self.inner.write().by_partition);
        slots.values().for_each(|slot| slot.shard.resign());
    }

    /// Machines follow the leadership of the topic's partitions.
    pub fn publish(&self, partitions: &Partitions, image: &Image) {
        let inner = &self.inner;
        let topic = image.topic(inner.topic);
        let count = topic.map_or(0, |topic| topic.partitions.len() as i32);
        let led = |index: i32| partitions.find_by_id(topic?.id, index).ok();
        let led: BTreeMap<i32, Arc<Partition>> = (0..count)
            .filter_map(|index| Some((index, led(index)?)))
            .collect();
        let mut gone = Vec::new();
        let mut new = Vec::new();
        {
            let mut slots = inner.write();
            slots.partitions = count;
            slots.by_partition.retain(|index, slot| {
                let stays = led
                    .get(index)
                    .is_some_and(|p| Arc::ptr_eq(p, &slot.shard.partition));
                if !stays {
                    gone.push(slot.clone());
                }
                stays
            });
            for (index, partition) in led {
                slots.by_partition.entry(index).or_insert_with(|| {
                    let slot = Arc::new(Slot {
                        index,
                        shard: Arc::new(Shard::new(partition, inner.codec, inner.clock.clone())),
                        armed: AtomicI64::new(Millis::MAX),
                        has_waiter: AtomicBool::new(false),
                        settled: watch::channel(false).0,
                    });
                    new.push(slot.clone());
                    slot
                });
            }
        }
        gone.iter().for_each(|slot| slot.shard.resign());
        if inner.started.load(Ordering::SeqCst) {
            new.into_iter().for_each(|slot| inner.load(slot));
        }
    }

    /// Why commands about `key` are refused here, if they are.
    pub fn refusal(&self, key: &str) -> Option<ResponseError> {
        match self.inner.slot_of(key) {
            Some(slot) => slot.shard.refusal(),
            None => Some(ResponseError::NotCoordinator),
        }
    }

    /// Asks the machine that `key` belongs to.
    pub fn ask(&self, key: &str, command: M::Command) -> Pending<M::Reply> {
        match self.inner.slot_of(key) {
            Some(slot) => self.inner.ask(&slot, command),
            None => Pending::Ready(Err(ResponseError::NotCoordinator)),
        }
    }

    /// Asks every machine here.
    pub fn ask_all(&self, mut command: impl FnMut() -> M::Command) -> Vec<Pending<M::Reply>> {
        let slots: Vec<_> = self.inner.read().by_partition.values().cloned().collect();
        let asked = slots.iter().map(|slot| self.inner.ask(slot, command()));
        asked.collect()
    }

    /// Tells every machine here, away from the caller's thread; nobody waits for the answers.
    pub fn tell_all(&self, command: impl Fn() -> M::Command + Send + 'static) {
        let runtime = self.clone();
        let told = move || drop(runtime.ask_all(command));
        self.inner.waiters.spawn_blocking(told);
    }

    /// Whether the machine that `key` belongs to answers; waits for the end of its first load.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ready(&self, key: &str) -> Result<(), ResponseError> {
        let slot = self.inner.slot_of(key);
        let slot = slot.ok_or(ResponseError::NotCoordinator)?;
        let mut settled = slot.settled.subscribe();
        let _ = settled.wait_for(|settled| *settled).await; // the slot holds the sender
        match slot.shard.refusal() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }
}

impl<M: Machine> Inner<M> {
    fn slot_of(&self, key: &str) -> Option<Arc<Slot<M>>> {
        let slots = self.read();
        let index = partition_of(key, slots.partitions);
        slots.by_partition.get(&index).cloned()
    }

    fn ask(self: &Arc<Self>, slot: &Arc<Slot<M>>, command: M::Command) -> Pending<M::Reply> {
        let mut answer = slot.shard.ask(command);
        let after = slot.shard.run();
        self.arrange(slot, after);
        match answer.try_recv() {
            Ok(answer) => Pending::Ready(answer),
            Err(_) => Pending::Waiting(answer),
        }
    }

    /// The timer has come to a deadline of the shard, or to the end of its pause.
    fn fire(self: &Arc<Self>, index: i32) {
        let Some(slot) = self.read().by_partition.get(&index).cloned() else {
            return;
        };
        slot.armed.store(Millis::MAX, Ordering::SeqCst);
        if slot.shard.begin_loading() {
            self.load(slot.clone());
        }
        slot.shard.push_expire();
        let after = slot.shard.run();
        self.arrange(&slot, after);
    }

    fn arrange(self: &Arc<Self>, slot: &Arc<Slot<M>>, after: AfterRun) {
        if let Some(at) = after.deadline.into_iter().chain(after.reload_at).min()
            && at < slot.armed.fetch_min(at, Ordering::SeqCst)
        {
            self.timer.arm(at, slot.index);
        }
        if let Some(offset) = after.awaits
            && !slot.has_waiter.swap(true, Ordering::SeqCst)
        {
            let (inner, slot) = (self.clone(), slot.clone());
            self.waiters.spawn(inner.await_commit(slot, offset));
        }
    }

    /// Once the high watermark has reached `offset`, who waits for it is answered.
    async fn await_commit(self: Arc<Self>, slot: Arc<Slot<M>>, offset: Offset) {
        let (wait, _parked) = slot.shard.wait_for(offset);
        wait.woken().await;
        // Before the run: what is parked behind this moment needs a waiter of its own.
        slot.has_waiter.store(false, Ordering::SeqCst);
        slot.shard.push_release();
        let after = slot.shard.run();
        self.arrange(&slot, after);
    }

    /// On a thread that is made for it, or one that loads already.
    fn load(self: &Arc<Self>, slot: Arc<Slot<M>>) {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let mut loads = self.lock_loads();
        loads.queue.push_back(slot);
        if loads.threads == most {
            return;
        }
        loads.threads += 1;
        drop(loads);
        let inner = self.clone();
        let builder = std::thread::Builder::new().name("coordinator-load".into());
        if builder.spawn(move || inner.load_all()).is_err() {
            // The machine gives no thread: this one has to do.
            self.load_all();
        }
    }

    fn load_all(self: &Arc<Self>) {
        loop {
            let slot = {
                let mut loads = self.lock_loads();
                let slot = loads.queue.pop_front();
                loads.threads -= usize::from(slot.is_none());
                slot
            };
            let Some(slot) = slot else {
                return;
            };
            // What was read may come from anybody who wrote into the topic: no thread is lost to it.
            let load = AssertUnwindSafe(|| slot.shard.load((self.make)()));
            let after = catch_unwind(load).unwrap_or_else(|_| slot.shard.give_up());
            self.arrange(&slot, after);
            slot.settled.send_replace(true);
        }
    }

    fn lock_loads(&self) -> MutexGuard<'_, Loads<M>> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Slots<M>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Slots<M>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}
