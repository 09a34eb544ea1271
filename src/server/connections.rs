//! The connections of this broker: how many there are on each listener and from each address, and
//! which limit a new one meets. As Kafka does it: a listener that is full stops accepting, an
//! address that has its share is turned away at once, and where a limit sank below what is open
//! (or other brokers came in over it) those unused for longest go.
//! (Kafka: SocketServer.scala, ConnectionQuotas; KIP-402, KIP-612.)

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hashbrown::HashMap;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::broker::Shared;
use crate::budget::Holder;
use crate::config::{ConnectionLimits, DynamicConfig};
use crate::server::creation_rate::CreationRate;
use crate::types::Millis;

/// See the module. One for all listeners.
pub struct Connections {
    /// The listener other brokers come in on, where there are others beside it: it is not held to
    /// the broker's limit.
    protected: Option<Arc<str>>,
    state: Mutex<State>,
    /// A connection has ended, or more are allowed.
    ended: Notify,
}

struct State {
    limits: ConnectionLimits,
    arrivals: u64,
    open: BTreeMap<u64, Arc<Seat>>,
    listeners: HashMap<Arc<str>, usize>,
    peers: HashMap<IpAddr, Peer>,
    rate: CreationRate,
    listener_rates: HashMap<Arc<str>, CreationRate>,
    /// Of those open, how many have been told to go.
    leaving: usize,
}

#[derive(Default)]
struct Peer {
    connections: usize,
    holder: Arc<Holder>,
}

/// What is known of one open connection.
pub struct Seat {
    listener: Arc<str>,
    address: IpAddr,
    last_active_ms: AtomicI64,
    task: OnceLock<AbortHandle>,
    leaving: AtomicBool,
}

impl Seat {
    pub fn listener(&self) -> &Arc<str> {
        &self.listener
    }

    /// It has asked something at this time of the broker's monotonic clock.
    pub fn active(&self, now: Millis) {
        self.last_active_ms.store(now, Ordering::Relaxed);
    }

    pub fn last_active_ms(&self) -> Millis {
        self.last_active_ms.load(Ordering::Relaxed)
    }

    /// The task that serves it.
    pub fn served_by(&self, task: AbortHandle) {
        let _ = self.task.set(task); // it is said once
        if self.leaving.load(Ordering::SeqCst) {
            self.leave();
        }
    }

    fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// An address has as many connections as it may.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany {
    pub limit: usize,
}

impl Connections {
    /// None yet; the limits are the broker's, also when those change.
    pub fn follow(shared: &Shared) -> Arc<Connections> {
        let listeners = &shared.config.listeners;
        let others = listeners.broker.len() > 1;
        let protected = others.then(|| listeners.inter_broker.as_str().into());
        let mut dynamic = shared.watch_dynamic();
        let read = |dynamic: &DynamicConfig| ConnectionLimits::of(&dynamic.configs);
        let first = read(&dynamic.borrow_and_update());
        let connections = Connections::new(first.unwrap_or_default(), protected);
        let following = connections.clone();
        tokio::spawn(async move {
            // Ends with the broker.
            while dynamic.changed().await.is_ok() {
                let changed = read(&dynamic.borrow_and_update());
                match changed {
                    Ok(limits) => following.limit(limits),
                    // Refused before it was stored; a host name may have ceased to resolve.
                    Err((key, problem)) => tracing::error!(key, problem, "the old limits hold"),
                }
            }
        });
        connections
    }

    fn new(limits: ConnectionLimits, protected: Option<Arc<str>>) -> Arc<Connections> {
        Arc::new(Connections {
            protected,
            state: Mutex::new(State {
                limits,
                arrivals: 0,
                open: BTreeMap::new(),
                listeners: HashMap::new(),
                peers: HashMap::new(),
                rate: CreationRate::default(),
                listener_rates: HashMap::new(),
                leaving: 0,
            }),
            ended: Notify::new(),
        })
    }

    /// From now on these limits hold, also for what is open, but for addresses.
    fn limit(&self, limits: ConnectionLimits) {
        let mut state = self.lock();
        if state.limits != limits {
            state.limits = limits;
            self.close_excess(&mut state);
            drop(state);
            self.ended.notify_waiters();
        }
    }

    /// Ends once `listener` may have one more.
    pub async fn room(&self, listener: &str) {
        loop {
            let ended = self.ended.notified();
            if self.has_room(listener) {
                return;
            }
            ended.await;
        }
    }

    /// Ends when the next connection does.
    pub async fn next_end(&self) {
        self.ended.notified().await;
    }

    fn has_room(&self, listener: &str) -> bool {
        let state = self.lock();
        let own = state.listeners.get(listener).copied().unwrap_or(0);
        own < state.limits.of_listener(listener).max_connections
            && (self.is_protected(listener) || state.open.len() < state.limits.max_connections)
    }

    fn is_protected(&self, listener: &str) -> bool {
        self.protected.as_deref() == Some(listener)
    }

    /// Counts a connection that came `now` and returns for how long it waits before it is served,
    /// in ms.
    pub fn pace(&self, listener: &Arc<str>, now: Millis) -> Millis {
        let mut state = self.lock();
        let state = &mut *state;
        let limits = &state.limits;
        let (window, samples) = (limits.window_ms, limits.window_samples);
        let unlimited = i32::MAX as u32;
        let mut wait = 0;
        if !self.is_protected(listener) && limits.max_creation_rate < unlimited {
            wait = state
                .rate
                .record(now, limits.max_creation_rate, window, samples);
        }
        let own = limits.of_listener(listener).max_creation_rate;
        if own < unlimited {
            let rate = state.listener_rates.entry(listener.clone()).or_default();
            wait = wait.max(rate.record(now, own, window, samples));
        }
        wait
    }

    /// Takes a connection in.
    ///
    /// # Errors
    /// [`TooMany`]: it is to be closed at once.
    pub fn admit(
        self: &Arc<Self>,
        listener: &Arc<str>,
        address: IpAddr,
        now: Millis,
    ) -> Result<Admitted, TooMany> {
        let address = address.to_canonical();
        let mut state = self.lock();
        let limit = state.limits.of_address(address);
        let peer = state.peers.entry(address).or_default();
        if peer.connections >= limit {
            if peer.connections == 0 {
                state.peers.remove(&address);
            }
            return Err(TooMany { limit });
        }
        peer.connections += 1;
        let holder = peer.holder.clone();
        *state.listeners.entry(listener.clone()).or_default() += 1;
        let id = state.arrivals;
        state.arrivals += 1;
        let seat = Arc::new(Seat {
            listener: listener.clone(),
            address,
            last_active_ms: AtomicI64::new(now),
            task: OnceLock::new(),
            leaving: AtomicBool::new(false),
        });
        state.open.insert(id, seat.clone());
        self.close_excess(&mut state);
        Ok(Admitted {
            connections: self.clone(),
            id,
            seat,
            holder,
        })
    }

    /// Lets those unused for longest go while there are more than the broker may have.
    fn close_excess(&self, state: &mut State) {
        while state.open.len() - state.leaving > state.limits.max_connections {
            let candidates = state.open.values().filter(|seat| {
                !self.is_protected(&seat.listener) && !seat.leaving.load(Ordering::Relaxed)
            });
            let Some(oldest) = candidates.min_by_key(|seat| seat.last_active_ms()) else {
                return;
            };
            tracing::info!(peer = %oldest.address, listener = %oldest.listener,
                "closed the connection unused for longest: max.connections is exceeded");
            oldest.leave();
            state.leaving += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one open connection; free again when dropped.
pub struct Admitted {
    connections: Arc<Connections>,
    id: u64,
    pub seat: Arc<Seat>,
    /// Shared by all connections of its address.
    pub holder: Arc<Holder>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.connections.lock();
        state.open.remove(&self.id);
        if self.seat.leaving.load(Ordering::SeqCst) {
            state.leaving -= 1;
        }
        if let Some(count) = state.listeners.get_mut(&self.seat.listener) {
            *count -= 1;
        }
        if let Some(peer) = state.peers.get_mut(&self.seat.address) {
            peer.connections -= 1;
            if peer.connections == 0 {
                state.peers.remove(&self.seat.address);
            }
        }
        drop(state);
        self.connections.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(change: impl FnOnce(&mut ConnectionLimits)) -> ConnectionLimits {
        let mut limits = ConnectionLimits::default();
        change(&mut limits);
        limits
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_its_share_whatever_family_the_socket_shows() {
        let limits = limits(|l| l.max_connections_per_ip = 2);
        let connections = Connections::new(limits, None);
        let listener: Arc<str> = "PLAINTEXT".into();
        let admit = |from: &str| connections.admit(&listener, address(from), 0);
        let first = admit("10.0.0.1").expect("the first");
        let second = admit("::ffff:10.0.0.1").expect("the second");
        assert!(Arc::ptr_eq(&first.holder, &second.holder), "one holder");
        assert_eq!(admit("10.0.0.1").err(), Some(TooMany { limit: 2 }));
        let other = admit("10.0.0.2").expect("another address");
        drop(first);
        admit("10.0.0.1").expect("a place is free again");
        drop((second, other));
        assert!(connections.lock().peers.is_empty());
    }

    #[test]
    fn an_address_without_any_is_forgotten_at_once() {
        let limits = limits(|l| l.max_connections_per_ip = 0);
        let connections = Connections::new(limits, None);
        assert!(connections.admit(&"L".into(), address("::1"), 0).is_err());
        assert!(connections.lock().peers.is_empty());
    }

    #[tokio::test]
    async fn a_listener_has_room_again_when_a_connection_ends_or_the_limit_rises() {
        let connections = Connections::new(limits(|l| l.max_connections = 1), None);
        let listener: Arc<str> = "PLAINTEXT".into();
        let admit = || connections.admit(&listener, address("10.0.0.1"), 0).ok();
        let mut held = vec![admit()];
        for raise in [true, false] {
            let room = connections.room(&listener);
            tokio::pin!(room);
            assert!(is_pending(room.as_mut()).await, "the broker is full");
            if raise {
                connections.limit(limits(|l| l.max_connections = 2));
            } else {
                held.clear();
            }
            room.await;
            held.push(admit());
        }
    }

    async fn is_pending(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        tokio::select! {
            biased;
            () = future => false,
            () = tokio::task::yield_now() => true,
        }
    }

    #[tokio::test]
    async fn where_the_limit_sinks_those_unused_for_longest_go() {
        let protected: Arc<str> = "INTERNAL".into();
        let connections = Connections::new(ConnectionLimits::default(), Some(protected.clone()));
        let clients: Arc<str> = "PLAINTEXT".into();
        let mut tasks = Vec::new();
        for (listener, last_active) in
            [(&protected, 1), (&clients, 3), (&clients, 2), (&clients, 4)]
        {
            let admitted = connections.admit(listener, address("10.0.0.1"), last_active);
            let admitted = admitted.expect("no limit");
            let seat = admitted.seat.clone();
            let task = tokio::spawn(async move {
                let _admitted = admitted;
                std::future::pending::<()>().await;
            });
            seat.served_by(task.abort_handle());
            tasks.push(task);
        }
        connections.limit(limits(|l| l.max_connections = 2));
        let mut ended = Vec::new();
        for (index, task) in tasks.iter_mut().enumerate() {
            if [1, 2].contains(&index) {
                assert!(task.await.is_err_and(|error| error.is_cancelled()));
                ended.push(index);
            }
        }
        assert_eq!(
            (ended, tasks[0].is_finished(), tasks[3].is_finished()),
            (vec![1, 2], false, false)
        );
        let state = connections.lock();
        assert_eq!((state.open.len(), state.leaving), (2, 0));
        tasks.iter().for_each(|task| task.abort());
    }
}
