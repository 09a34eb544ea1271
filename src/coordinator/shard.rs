//! One machine, its log, and those who wait for it.
//!
//! Callers leave a job in a queue; whoever finds the machine free runs all jobs that are there, on
//! its own thread. So an idle coordinator writes at once, without handing anything to another
//! thread, and a busy one writes what has gathered as one batch. The records of a run are applied as
//! they are decided, so that the next job of the run sees them, then appended; replies leave once
//! the log's high watermark has passed them. If an append fails there is nothing to roll back: the
//! machine is dropped, who waits hears NOT_COORDINATOR, and a new machine replays the log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use tokio::sync::oneshot;

use super::core::{AfterRun, Answer, Core, Run, Sink, State, refuse};
use super::machine::{Machine, Now};
use super::replay::{self, ReplayError};
use crate::clock::Clock;
use crate::error::ResponseError;
use crate::faults::{crash_point, is_planted};
use crate::partition::{Partition, Until, Wait};
use crate::protocol::batch::{BatchHeader, BatchOptions, Codec, Record, ValidBatch};
use crate::types::{Millis, Offset};

/// Records of one run, at most, in jobs: a run holds the machine, and callers wait.
const JOBS_PER_RUN: usize = 256;
/// After an append that failed the log is not replayed at once: it may fail again for as long.
const RELOAD_PAUSE_MS: Millis = 1_000;
/// While the log takes no records, what is due is looked at this often.
const RETRY_PAUSE_MS: Millis = 500;

/// A caller's end of a command.
pub enum Pending<R> {
    Ready(Result<R, ResponseError>),
    Waiting(oneshot::Receiver<Result<R, ResponseError>>),
}

impl<R> Pending<R> {
    pub async fn get(self) -> Result<R, ResponseError> {
        match self {
            Pending::Ready(answer) => answer,
            // The machine is gone with what it knew of this caller.
            Pending::Waiting(answer) => answer.await.unwrap_or(Err(ResponseError::NotCoordinator)),
        }
    }
}

enum Job<M: Machine> {
    Command(M::Command, Sink<M>),
    /// Something is due.
    Expire,
    /// The high watermark may have moved.
    Release,
}

/// See the module.
pub struct Shard<M: Machine> {
    pub partition: Arc<Partition>,
    /// What batches are compressed with.
    codec: Codec,
    clock: Clock,
    queue: Mutex<VecDeque<Job<M>>>,
    core: Mutex<Core<M>>,
    /// The code of [`Core::refusal`], 0 for none: asked without the core, whose holder must be one
    /// that runs jobs.
    refusal: AtomicI16,
}

impl<M: Machine> Shard<M> {
    pub fn new(partition: Arc<Partition>, codec: Codec, clock: Clock) -> Shard<M> {
        Shard {
            partition,
            codec,
            clock,
            queue: Mutex::default(),
            core: Mutex::new(Core::loading()),
            refusal: AtomicI16::new(ResponseError::CoordinatorLoadInProgress.code()),
        }
    }

    fn now(&self) -> Now {
        Now {
            steady: self.clock.monotonic_ms(),
            wall: self.clock.wall_ms(),
        }
    }

    /// The caller's end; [`Shard::run`] has to follow.
    pub fn ask(&self, command: M::Command) -> oneshot::Receiver<Answer<M>> {
        let (sink, answer) = oneshot::channel();
        self.push(Job::Command(command, sink));
        answer
    }

    pub fn push_expire(&self) {
        self.push(Job::Expire);
    }

    pub fn push_release(&self) {
        self.push(Job::Release);
    }

    fn push(&self, job: Job<M>) {
        lock(&self.queue).push_back(job);
    }

    /// Runs what is in the queue, unless somebody does already, who will find it.
    pub fn run(&self) -> AfterRun {
        let mut after = AfterRun::default();
        loop {
            let mut core = match self.core.try_lock() {
                Ok(core) => core,
                Err(TryLockError::WouldBlock) => return after,
                Err(TryLockError::Poisoned(poisoned)) => self.recover(poisoned.into_inner()),
            };
            loop {
                let jobs: Vec<Job<M>> = {
                    let mut queue = lock(&self.queue);
                    let count = queue.len().min(JOBS_PER_RUN);
                    queue.drain(..count).collect()
                };
                if jobs.is_empty() {
                    break;
                }
                self.run_jobs(&mut core, jobs);
            }
            after = core.after_run();
            self.tell(&core);
            drop(core);
            // A job that came between the last look and the unlocking found the machine taken.
            if lock(&self.queue).is_empty() {
                return after;
            }
        }
    }

    /// Whoever locks it this way calls [`Shard::run`] afterwards: a job that came meanwhile found the
    /// machine taken.
    fn lock_core(&self) -> MutexGuard<'_, Core<M>> {
        let locked = self.core.lock();
        locked.unwrap_or_else(|poisoned| self.recover(poisoned.into_inner()))
    }

    /// A machine that panicked is in nobody knows what state: it is dropped like one whose append
    /// failed.
    fn recover<'a>(&'a self, mut core: MutexGuard<'a, Core<M>>) -> MutexGuard<'a, Core<M>> {
        self.core.clear_poison();
        let retry_at = self.clock.monotonic_ms() + RELOAD_PAUSE_MS;
        core.fail(ResponseError::NotCoordinator, retry_at);
        self.tell(&core);
        core
    }

    fn tell(&self, core: &Core<M>) {
        let code = core.refusal().map_or(0, |error| error.code());
        self.refusal.store(code, Ordering::SeqCst);
    }

    fn run_jobs(&self, core: &mut Core<M>, jobs: Vec<Job<M>>) {
        let now = self.now();
        let writes = |job: &Job<M>| match job {
            Job::Command(command, _) => M::may_write(command),
            Job::Expire => true,
            Job::Release => false,
        };
        let writable = match jobs.iter().any(writes) {
            true => self.partition.check_append(),
            false => Ok(0),
        };
        if let (State::Active(machine), Ok(bytes @ 1..)) = (&mut core.state, &writable) {
            machine.set_max_batch_bytes(*bytes);
        }
        let mut run = Run::default();
        for job in jobs {
            match (job, writable) {
                (Job::Command(command, sink), Err(error)) if M::may_write(&command) => {
                    let told = core.refusal().unwrap_or(told_for(error));
                    let _ = sink.send(Err(told)); // the caller may be gone
                }
                (Job::Command(command, sink), _) => core.decide(command, sink, now, &mut run),
                // What is due waits until the log takes records again.
                (Job::Expire, Err(_)) => core.expire_from = now.steady + RETRY_PAUSE_MS,
                (Job::Expire, Ok(_)) => core.expire(now, &mut run),
                (Job::Release, _) => {}
            }
        }
        self.finish(core, run, now);
    }

    /// Appends what was decided and parks the replies behind it.
    fn finish(&self, core: &mut Core<M>, run: Run<M>, now: Now) {
        if !run.records.is_empty() && !is_planted("coordinator.unwritten") {
            let limit = self.partition.check_append().unwrap_or(usize::MAX);
            match self.append(&run.records, limit, now) {
                Ok(end) => core.log_end = end,
                Err(error) => {
                    tracing::error!(partition = %self.partition.name, ?error,
                        "a coordinator's records could not be written, its log is replayed");
                    let refused = run.replies.into_iter().map(|(sink, _)| sink);
                    refuse(refused, ResponseError::NotCoordinator);
                    return core.fail(ResponseError::NotCoordinator, now.steady + RELOAD_PAUSE_MS);
                }
            }
            crash_point("coordinator.written");
        }
        if !run.replies.is_empty() {
            core.parked
                .entry(core.log_end)
                .or_default()
                .extend(run.replies);
        }
        self.release(core, now);
    }

    /// As few batches as there can be; each record is whole in one.
    fn append(
        &self,
        records: &[(Vec<u8>, Option<Vec<u8>>)],
        limit: usize,
        now: Now,
    ) -> Result<Offset, ResponseError> {
        let mut end = 0;
        let mut rest = records;
        while !rest.is_empty() {
            let mut size = BatchHeader::SIZE;
            let fits = rest.iter().take_while(|(key, value)| {
                size += Record::OVERHEAD_MAX + key.len() + value.as_ref().map_or(0, Vec::len);
                size <= limit
            });
            let (batch, behind) = rest.split_at(fits.count().max(1));
            rest = behind;
            let batch: Vec<Record> = batch
                .iter()
                .map(|(key, value)| Record {
                    timestamp: now.wall,
                    key: Some(key),
                    value: value.as_deref(),
                    headers: &[],
                })
                .collect();
            let mut batch = ValidBatch::build(&batch, &BatchOptions::default());
            if self.codec != Codec::None {
                batch = batch.compressed(self.codec).map_err(|error| {
                    tracing::error!(%error, "a batch could not be compressed");
                    ResponseError::KafkaStorageError
                })?;
            }
            let appended = self.partition.append(batch, true, now.wall);
            end = appended.map_err(|refused| refused.error)?.next_offset;
        }
        Ok(end)
    }

    /// Sends the replies that what is committed allows.
    fn release(&self, core: &mut Core<M>, now: Now) {
        while let Some(entry) = core.parked.first_entry() {
            match self.partition.is_replicated(*entry.key()) {
                Ok(true) => {
                    for (sink, reply) in entry.remove() {
                        let _ = sink.send(Ok(reply)); // the caller may be gone
                    }
                }
                Ok(false) => return,
                Err(error) => {
                    return core.fail(told_for(error), now.steady + RELOAD_PAUSE_MS);
                }
            }
        }
    }

    /// Something is parked until the high watermark reaches `offset`.
    pub fn wait_for(self: &Arc<Self>, offset: Offset) -> (Arc<Wait>, crate::partition::ParkedAt) {
        let wait = Wait::new(1);
        let parked = self.partition.park(&wait, Until::HighWatermark(offset));
        (wait, parked)
    }

    /// Replays the log into `machine`; not for the runtime's threads.
    pub fn load(&self, mut machine: M) -> AfterRun {
        let began = self.clock.monotonic_ms();
        let replayed = replay::replay(&self.partition, |record| machine.apply(record));
        crash_point("coordinator.loaded");
        let now = self.now();
        let mut core = self.lock_core();
        match replayed {
            _ if !matches!(core.state, State::Loading) => {}
            Ok(replayed) => {
                tracing::debug!(partition = %self.partition.name, records = replayed.records,
                    ms = now.steady - began, "a coordinator has loaded its log");
                core.log_end = replayed.next_offset;
                let mut run = Run::default();
                machine.set_max_batch_bytes(self.partition.check_append().unwrap_or(usize::MAX));
                let outcome = machine.loaded(now);
                core.state = State::Active(Box::new(machine));
                core.take(outcome, &mut run);
                self.finish(&mut core, run, now);
            }
            Err(ReplayError::Partition(error)) => {
                core.fail(told_for(error), now.steady + RELOAD_PAUSE_MS);
            }
            Err(ReplayError::Damaged(what)) => {
                tracing::error!(partition = %self.partition.name, what,
                    "a coordinator cannot read its log");
                core.fail(ResponseError::NotCoordinator, Millis::MAX);
            }
        }
        drop(core);
        self.run()
    }

    /// The log makes the machine panic: there is no use in reading it again.
    pub fn give_up(&self) -> AfterRun {
        let mut core = self.lock_core();
        core.fail(ResponseError::NotCoordinator, Millis::MAX);
        drop(core);
        self.run()
    }

    /// A machine is wanted again: true once after each failure that may have passed.
    /// [`Shard::run`] has to follow.
    pub fn begin_loading(&self) -> bool {
        let mut core = self.lock_core();
        let now = self.clock.monotonic_ms();
        let again = matches!(core.state, State::Failed { retry_at, .. } if retry_at <= now);
        if again {
            core.state = State::Loading;
        }
        again
    }

    /// Why commands are refused now, if they are.
    pub fn refusal(&self) -> Option<ResponseError> {
        ResponseError::try_from_code(self.refusal.load(Ordering::SeqCst))
    }

    /// This broker leads the partition no longer.
    pub fn resign(&self) {
        let mut core = self.lock_core();
        core.drop_machine(State::Resigned, ResponseError::NotCoordinator);
        drop(core);
        self.run();
    }
}

/// What a coordinator's callers are told about its partition (Kafka:
/// CoordinatorOperationExceptionHelper).
fn told_for(error: ResponseError) -> ResponseError {
    match error {
        ResponseError::NotEnoughReplicas
        | ResponseError::NotEnoughReplicasAfterAppend
        | ResponseError::RequestTimedOut
        | ResponseError::UnknownTopicOrPartition => ResponseError::CoordinatorNotAvailable,
        _ => ResponseError::NotCoordinator,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
