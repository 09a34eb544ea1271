//! A number of bytes that many share. Taking some costs a few atomic operations while there is
//! enough; what does not fit waits, oldest first. Beyond its first reservation one holder gets no
//! more than three quarters of the pool, and a quarter while others wait: whatever a single peer
//! does, there is something left for the next one.
//!
//! Knows nothing of what the bytes are for, and allocates none of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// How full a pool is, in bytes, and how many reservations wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub used: usize,
    pub limit: usize,
    pub waiting: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Pool {
    limit: usize,
    used: AtomicUsize,
    /// How many are in the queue; while there is none, nobody takes the lock.
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

/// Whoever is judged as one: a principal at an address, with all its connections.
#[derive(Debug, Default)]
pub struct Holder {
    held: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    arrivals: u64,
    /// By holder, then by arrival: only the head of each holder is ever looked at.
    holders: BTreeMap<usize, BTreeMap<u64, Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    bytes: usize,
    holder: Arc<Holder>,
    grant: oneshot::Sender<()>,
}

impl Pool {
    /// `limit` in bytes.
    pub fn new(limit: usize) -> Arc<Pool> {
        Arc::new(Pool {
            limit,
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        })
    }

    /// In bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn usage(&self) -> Usage {
        Usage {
            used: self.used.load(Ordering::Relaxed),
            limit: self.limit,
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// Whether nothing is left, or somebody waits already.
    pub fn is_exhausted(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.limit || self.waiting.load(Ordering::Relaxed) > 0
    }

    fn add(&self, bytes: usize) -> bool {
        let fits = |used: usize| Some(used.checked_add(bytes)?).filter(|sum| *sum <= self.limit);
        self.used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::SeqCst);
        assert!(before >= bytes, "{bytes} of {before} bytes given back");
        // Whoever begins to wait says so before it looks at `used` for the last time: one of the
        // two sees the other.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.grant(&mut self.lock());
        }
    }

    /// Serves the queue as far as the pool reaches: the oldest of those that have not had their
    /// share. The oldest is not overtaken by what is smaller.
    fn grant(&self, queue: &mut Queue) {
        while let Some((address, arrival)) = self.next(queue) {
            let Some(of_holder) = queue.holders.get_mut(&address) else {
                return;
            };
            if !self.add(of_holder[&arrival].bytes) {
                return;
            }
            let waiter = of_holder.remove(&arrival);
            if of_holder.is_empty() {
                queue.holders.remove(&address);
            }
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            let Some(waiter) = waiter else { return };
            waiter
                .holder
                .held
                .fetch_add(waiter.bytes, Ordering::Relaxed);
            // A ticket leaves the queue before it is dropped: somebody listens.
            let _ = waiter.grant.send(());
        }
    }

    fn next(&self, queue: &Queue) -> Option<(usize, u64)> {
        let others_wait = queue.holders.len() > 1;
        let heads = queue.holders.iter().filter_map(|(address, waiters)| {
            let (arrival, waiter) = waiters.first_key_value()?;
            self.is_within_share(&waiter.holder, waiter.bytes, others_wait)
                .then_some((*arrival, *address))
        });
        heads.min().map(|(arrival, address)| (address, arrival))
    }

    fn is_within_share(&self, holder: &Holder, bytes: usize, others_wait: bool) -> bool {
        let share = match others_wait {
            true => self.limit / 4,
            false => self.limit / 4 * 3,
        };
        let held = holder.held.load(Ordering::Relaxed);
        held == 0 || held.saturating_add(bytes) <= share
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one connection has taken from a pool. Gives everything back when dropped.
#[derive(Debug)]
pub struct Account {
    pool: Arc<Pool>,
    holder: Arc<Holder>,
    held: usize,
}

impl Account {
    pub fn new(pool: Arc<Pool>, holder: Arc<Holder>) -> Account {
        let held = 0;
        Account { pool, holder, held }
    }

    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Bytes.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes `bytes` if they are there and nobody waits for some.
    pub fn try_take(&mut self, bytes: usize) -> bool {
        let taken = self.pool.waiting.load(Ordering::Relaxed) == 0
            && self.pool.is_within_share(&self.holder, bytes, false)
            && self.pool.add(bytes);
        if taken {
            self.holder.held.fetch_add(bytes, Ordering::Relaxed);
            self.held += bytes;
        }
        taken
    }

    /// Takes `bytes` whether they are there or not: for what is in memory already. The pool may
    /// be overdrawn by it, and nobody else gets anything before that is made up for.
    pub fn take_anyway(&mut self, bytes: usize) {
        self.pool.used.fetch_add(bytes, Ordering::SeqCst);
        self.holder.held.fetch_add(bytes, Ordering::Relaxed);
        self.held += bytes;
    }

    /// Waits for `bytes`. They must fit into the empty pool.
    pub fn ask(&self, bytes: usize) -> Ticket {
        assert!(
            bytes <= self.pool.limit,
            "{bytes} bytes are asked of a pool of {}",
            self.pool.limit
        );
        let (grant, granted) = oneshot::channel();
        let address = Arc::as_ptr(&self.holder).addr();
        let mut queue = self.pool.lock();
        queue.arrivals += 1;
        let arrival = queue.arrivals;
        let waiter = Waiter {
            bytes,
            holder: self.holder.clone(),
            grant,
        };
        let of_holder = queue.holders.entry(address).or_default();
        of_holder.insert(arrival, waiter);
        self.pool.waiting.fetch_add(1, Ordering::SeqCst);
        self.pool.grant(&mut queue);
        drop(queue);
        Ticket {
            pool: self.pool.clone(),
            holder: self.holder.clone(),
            bytes,
            arrival,
            granted,
            is_settled: false,
        }
    }

    /// Puts what a ticket has been granted into this account.
    pub fn settle(&mut self, mut ticket: Ticket) {
        debug_assert!(Arc::ptr_eq(&self.pool, &ticket.pool));
        ticket.is_settled = true;
        self.held += ticket.bytes;
    }

    /// Makes what is held `bytes`: more is taken anyway, what is too much is given back.
    pub fn set(&mut self, bytes: usize) {
        match bytes.checked_sub(self.held) {
            Some(0) => {}
            Some(more) => self.take_anyway(more),
            None => self.give_back(self.held - bytes),
        }
    }

    /// Gives `bytes` of what is held back.
    pub fn give_back(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        assert!(self.held >= bytes, "{bytes} of {} given back", self.held);
        self.held -= bytes;
        self.holder.held.fetch_sub(bytes, Ordering::Relaxed);
        self.pool.give_back(bytes);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.give_back(self.held);
    }
}

/// A place in the queue of a pool; as a future it ends when the bytes are granted. Dropped, it
/// leaves the queue or gives back what it was granted.
#[derive(Debug)]
pub struct Ticket {
    pool: Arc<Pool>,
    holder: Arc<Holder>,
    bytes: usize,
    arrival: u64,
    granted: oneshot::Receiver<()>,
    /// The bytes belong to an account now.
    is_settled: bool,
}

impl Future for Ticket {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Never dropped without a word while the ticket is there.
        Pin::new(&mut self.granted).poll(cx).map(|_| ())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let address = Arc::as_ptr(&self.holder).addr();
        let mut queue = self.pool.lock();
        let left = queue.holders.get_mut(&address).and_then(|of_holder| {
            let waiter = of_holder.remove(&self.arrival)?;
            Some((waiter, of_holder.is_empty()))
        });
        if let Some((_, was_last)) = left {
            if was_last {
                queue.holders.remove(&address);
            }
            self.pool.waiting.fetch_sub(1, Ordering::SeqCst);
            // It may have been the one that held up the others.
            self.pool.grant(&mut queue);
            return;
        }
        drop(queue);
        self.holder.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.pool.give_back(self.bytes);
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
