//! The thread of a log directory that makes its logs durable: in time, at the pace the device
//! can bear, and at once where an acknowledgement waits for it.
//!
//! Knows when and in what company a log is flushed; what a flush is, is in
//! [`crate::log::flush`]. Idle it sleeps without a timer. How a partition takes part:
//!
//! 1. It implements [`Flushable`] by locking and calling [`Log::start_commit`] or
//!    [`Log::start_flush`], and [`Log::flushed`], and publishes the synced offset that the last
//!    one returns.
//! 2. After each append it passes [`Appended::flush`] to [`Flusher::request`]. With `before_ack`
//!    nobody is told of the append, and no follower claims it, before the published synced
//!    offset has reached its next offset.
//! 3. A stop drops the flusher first and closes the logs afterwards.
//!
//! [`Log::start_commit`]: crate::log::Log::start_commit
//! [`Log::start_flush`]: crate::log::Log::start_flush
//! [`Log::flushed`]: crate::log::Log::flushed
//! [`Appended::flush`]: crate::log::Appended::flush

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::log::LogContext;
use crate::log::files::lock;
use crate::log::flush::{FlushNeed, FlushWork, Flushed, Purpose};
use crate::types::Millis;

/// Syncs per second that nobody waits for: they must not take the device from those that count.
const SYNCS_PER_SECOND: i64 = 50;
/// More logs than this at once are synced by one `syncfs`.
const LOGS_BEFORE_SYNCFS: usize = 256;
/// With more unsynced bytes than this in a directory, losing time costs more than pacing saves.
const UNPACED_ABOVE_BYTES: u64 = 4 << 30;
/// Threads that sync for waiting acknowledgements together, so that they share journal commits.
const COMMITTERS: usize = 4;
/// A flush that met a full disk is tried again after this.
const RETRY_MS: i64 = 1_000;

/// A log behind the lock of its partition.
pub trait Flushable: Send + Sync {
    /// Locks and begins a flush; `None` if there is nothing to do. `now` is wall time, ms.
    fn start_flush(&self, purpose: Purpose, now: Millis) -> Option<FlushWork>;
    /// Locks and takes in what was done; errors have taken the directory offline already, or
    /// the flush will be tried again.
    fn flushed(&self, done: Flushed);
}

/// The flusher thread of one directory. Dropping it ends the thread after the flush under way.
pub struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    cx: Arc<LogContext>,
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue<Weak<dyn Flushable>>,
    stopping: bool,
}

impl Flusher {
    pub fn start(cx: Arc<LogContext>, clock: Clock) -> io::Result<Flusher> {
        let shared = Arc::new(Shared {
            cx,
            clock,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let of_thread = shared.clone();
        let builder = std::thread::Builder::new().name("log-flusher".into());
        let thread = builder.spawn(move || of_thread.run())?;
        Ok(Flusher {
            shared,
            thread: Some(thread),
        })
    }

    /// Asks for what an append of `log` needs.
    pub fn request<L: Flushable + 'static>(&self, log: &Arc<L>, need: FlushNeed) {
        if need.is_none() {
            return;
        }
        let weak: Weak<dyn Flushable> = Arc::<L>::downgrade(log);
        let now = self.shared.clock.monotonic_ms();
        let mut state = lock(&self.shared.state);
        let queue = &mut state.queue;
        let mut wake = false;
        if let Some(within_ms) = need.checkpoint_within_ms {
            wake |= queue.checkpoint(weak.clone(), now.saturating_add(within_ms));
        }
        if need.before_ack {
            let key = Arc::as_ptr(log).cast::<()>() as usize;
            wake |= queue.commit(key, weak);
        }
        if wake {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the flusher has panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        while let Some(round) = self.next_round() {
            self.flush(round);
        }
    }

    /// Waits for something that is due; `None` at the stop.
    fn next_round(&self) -> Option<Round<Weak<dyn Flushable>>> {
        let mut state = lock(&self.state);
        loop {
            if state.stopping {
                return None;
            }
            let now = self.clock.monotonic_ms();
            let paced = self.cx.unsynced_bytes() <= UNPACED_ABOVE_BYTES;
            let round = state.queue.take_due(now, paced);
            if !round.logs.is_empty() {
                return Some(round);
            }
            state = match state.queue.next_due() {
                None => {
                    let waited = self.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
                Some(due) => {
                    let wait = Duration::from_millis((due - now).max(1) as u64);
                    let waited = self.changed.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn flush(&self, round: Round<Weak<dyn Flushable>>) {
        let now = self.clock.wall_ms();
        let logs = round.logs.iter().filter_map(Weak::upgrade);
        let begun = logs.filter_map(|log| Some((log.clone(), log.start_flush(round.purpose, now)?)));
        let mut begun: Vec<Begun> = begun.collect();
        let syncs = begun.iter().map(|(_, work)| work.logs()).sum();
        if begun.len() > LOGS_BEFORE_SYNCFS {
            let (logs, works): (Vec<_>, Vec<_>) = begun.into_iter().unzip();
            let done = FlushWork::run_together(&self.cx, works);
            logs.iter().zip(done).for_each(|(log, done)| self.done(log, done));
        } else if round.purpose == Purpose::Commit && begun.len() > 1 {
            let share = begun.len().div_ceil(COMMITTERS);
            std::thread::scope(|scope| {
                while !begun.is_empty() {
                    let rest = begun.split_off(share.min(begun.len()));
                    let mine = std::mem::replace(&mut begun, rest);
                    scope.spawn(|| mine.into_iter().for_each(|begun| self.run_one(begun)));
                }
            });
        } else {
            begun.into_iter().for_each(|begun| self.run_one(begun));
        }
        if round.purpose == Purpose::Checkpoint {
            let now = self.clock.monotonic_ms();
            lock(&self.state).queue.synced(syncs, now);
        }
    }

    fn run_one(&self, (log, work): Begun) {
        let done = work.run();
        self.done(&log, done);
    }

    fn done(&self, log: &Arc<dyn Flushable>, done: Flushed) {
        if done.may_be_retried() {
            let again = self.clock.monotonic_ms() + RETRY_MS;
            let mut state = lock(&self.state);
            state.queue.checkpoint(Arc::downgrade(log), again);
        }
        log.flushed(done);
    }
}

type Begun = (Arc<dyn Flushable>, FlushWork);

/// What is to be flushed and when. Pure: time is a number.
struct Queue<L> {
    /// By log, so that the appends of a moment ask once.
    awaited: BTreeMap<usize, L>,
    /// By time and order of request. A log may be in here twice: flushing it again costs
    /// nothing if nothing was appended.
    later: BTreeMap<(Millis, u64), L>,
    requests: u64,
    /// Not before this time may a flush begin that nobody waits for.
    paced_until: Millis,
    /// The last round was a commit: a checkpoint that is due goes first now, or steady commits
    /// would put it off for ever.
    committed_last: bool,
}

impl<L> Default for Queue<L> {
    fn default() -> Queue<L> {
        Queue {
            awaited: BTreeMap::new(),
            later: BTreeMap::new(),
            requests: 0,
            paced_until: Millis::MIN,
            committed_last: false,
        }
    }
}

/// Logs to flush now.
struct Round<L> {
    logs: Vec<L>,
    purpose: Purpose,
}

impl<L> Queue<L> {
    /// Somebody waits for a sync. True if the thread must be told.
    fn commit(&mut self, key: usize, log: L) -> bool {
        self.awaited.insert(key, log);
        self.awaited.len() == 1
    }

    /// A checkpoint at `due`. True if the thread must look earlier than it would have.
    fn checkpoint(&mut self, log: L, due: Millis) -> bool {
        let was_due = self.next_due();
        self.requests += 1;
        self.later.insert((due, self.requests), log);
        was_due.is_none_or(|was_due| due < was_due)
    }

    /// Everything that is awaited, in turn with the oldest checkpoint that is due, or all due
    /// ones if they are so many that one sync for all is cheaper.
    fn take_due(&mut self, now: Millis, paced: bool) -> Round<L> {
        let waits = paced && now < self.paced_until;
        let is_due = |(due, _): &(Millis, u64)| *due <= now && !waits;
        let has_due = self.later.keys().next().is_some_and(is_due);
        if !self.awaited.is_empty() && !(has_due && self.committed_last) {
            self.committed_last = true;
            let awaited = std::mem::take(&mut self.awaited);
            return Round {
                logs: awaited.into_values().collect(),
                purpose: Purpose::Commit,
            };
        }
        self.committed_last = false;
        let mut logs = Vec::new();
        if has_due {
            let not_due = self.later.split_off(&(now.saturating_add(1), 0));
            let due = std::mem::replace(&mut self.later, not_due);
            if due.len() > LOGS_BEFORE_SYNCFS {
                logs.extend(due.into_values());
            } else {
                let mut due = due.into_iter();
                logs.extend(due.next().map(|(_, log)| log));
                self.later.extend(due);
            }
        }
        Round {
            logs,
            purpose: Purpose::Checkpoint,
        }
    }

    /// When there may be something to take next.
    fn next_due(&self) -> Option<Millis> {
        if !self.awaited.is_empty() {
            return Some(Millis::MIN);
        }
        let (&(due, _), _) = self.later.first_key_value()?;
        Some(due.max(self.paced_until))
    }

    /// So many files were synced without anybody waiting for it.
    fn synced(&mut self, files: usize, now: Millis) {
        let files = files.min(LOGS_BEFORE_SYNCFS) as i64;
        self.paced_until = now + files * 1_000 / SYNCS_PER_SECOND;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::log::testing::*;
    use crate::log::{Log, LogOptions, Offset};

    #[test]
    fn a_log_is_flushed_when_its_oldest_unsynced_byte_is_due_oldest_first() {
        let mut queue = Queue::default();
        assert!(queue.checkpoint("a", 60_000));
        assert!(!queue.checkpoint("b", 70_000));
        assert!(queue.checkpoint("c", 20_500), "flush.ms=500");
        assert_eq!(queue.next_due(), Some(20_500));
        assert!(queue.take_due(20_499, true).logs.is_empty());
        assert_eq!(queue.take_due(20_500, true).logs, ["c"]);
        assert_eq!(queue.take_due(80_000, true).logs, ["a"]);
        assert_eq!(queue.take_due(80_000, true).logs, ["b"]);
        assert_eq!(queue.next_due(), None, "an idle flusher has no timer");
    }

    #[test]
    fn flushes_nobody_waits_for_are_paced_to_fifty_syncs_a_second() {
        let mut queue = Queue::default();
        for log in 0..3 {
            queue.checkpoint(log, 0);
        }
        assert_eq!(queue.take_due(0, true).logs, [0]);
        queue.synced(2, 0);
        assert_eq!(queue.next_due(), Some(40));
        assert!(queue.take_due(39, true).logs.is_empty());
        assert!(queue.commit(9, 9));
        let round = queue.take_due(39, true);
        assert_eq!(round.purpose, Purpose::Commit);
        assert_eq!(round.logs, [9], "an acknowledgement does not wait");
        assert_eq!(queue.take_due(40, true).logs, [1]);
        queue.synced(1, 40);
        let round = queue.take_due(41, false);
        assert_eq!(round.logs, [2], "beyond 4 GiB there is no pacing");
    }

    #[test]
    fn many_due_logs_and_all_awaited_ones_are_taken_together() {
        let mut queue = Queue::default();
        for log in 0..300 {
            queue.checkpoint(log, 0);
            queue.commit(log % 7, log);
        }
        assert_eq!(queue.take_due(0, true).logs.len(), 7);
        queue.commit(1, 1);
        let round = queue.take_due(0, true);
        assert_eq!(round.logs.len(), 300, "steady commits do not put checkpoints off");
        assert_eq!(queue.take_due(0, true).logs, [1]);
    }

    struct Partition {
        log: Mutex<Log>,
        synced: Mutex<Sender<Offset>>,
    }

    impl Flushable for Partition {
        fn start_flush(&self, purpose: Purpose, now: Millis) -> Option<FlushWork> {
            let mut log = lock(&self.log);
            match purpose {
                Purpose::Commit => log.start_commit(),
                Purpose::Checkpoint => log.start_flush(now),
            }
        }

        fn flushed(&self, done: Flushed) {
            if let Ok(synced_offset) = lock(&self.log).flushed(done) {
                let _ = lock(&self.synced).send(synced_offset);
            }
        }
    }

    #[test]
    fn durable_appends_of_many_partitions_share_their_syncs() {
        let node = Node::with(LogOptions {
            durable: true,
            ..LogOptions::default()
        });
        let flusher = Flusher::start(node.cx.clone(), Clock::system()).unwrap();
        let (sender, receiver) = channel();
        let partitions: Vec<_> = (0..5)
            .map(|number| {
                Arc::new(Partition {
                    log: Mutex::new(node.open_partition(number)),
                    synced: Mutex::new(sender.clone()),
                })
            })
            .collect();
        for _ in 0..20 {
            for partition in &partitions {
                let appended = lock(&partition.log).append(batch(), 0, NOW).unwrap();
                assert!(appended.flush.before_ack);
                flusher.request(partition, appended.flush);
            }
        }
        while partitions.iter().any(|p| lock(&p.log).synced_offset() < 20) {
            receiver.recv().unwrap();
        }
        drop(flusher);
        let calls = node.cx.files.calls();
        assert!(calls.data_syncs < 100, "{} syncs for 100 appends", calls.data_syncs);
        assert_eq!(calls.renames, 0, "a commit writes nothing but batches");
        assert_eq!(calls.directory_syncs, 10, "once per partition: its files and its name");
    }
}
