//! The threads that serve connections: one per core, each with a runtime of its own, so that no
//! request wakes another thread (performance.md, rule 17). A connection stays with its worker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// They end, and what they serve with them, once this is dropped.
pub struct Workers {
    workers: Vec<Worker>,
    /// Which comes first among equals.
    first: Mutex<usize>,
}

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    _stop: oneshot::Sender<()>,
}

impl Workers {
    /// One for each core that this process may use.
    ///
    /// # Errors
    /// The machine gives no thread or no epoll descriptor.
    pub fn start() -> io::Result<Arc<Workers>> {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let workers = (0..cores).map(Worker::start).collect::<io::Result<_>>()?;
        Ok(Arc::new(Workers {
            workers,
            first: Mutex::new(0),
        }))
    }

    /// Runs `serving` on the worker with the fewest connections.
    pub fn spawn(&self, serving: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let worker = &self.workers[self.least_loaded()];
        let load = Load::of(worker);
        let task = worker.runtime.spawn(async move {
            let _load = load;
            serving.await;
        });
        task.abort_handle()
    }

    /// Among equals each is first in turn: clients open connections in pairs of which one idles,
    /// and the busy ones must not all come to the same worker.
    fn least_loaded(&self) -> usize {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let load = |index: usize| self.workers[index].connections.load(Ordering::Relaxed);
        let count = self.workers.len();
        let in_turn = || (*first..*first + count).map(|index| index % count);
        let least = in_turn().min_by_key(|index| load(*index)).unwrap_or(0);
        let equals = in_turn().filter(|index| load(*index) == load(least));
        if equals.count() > 1 {
            *first = least + 1;
        }
        least
    }
}

impl Worker {
    fn start(index: usize) -> io::Result<Worker> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name(format!("connections-{index}"))
            .spawn(move || {
                let _ = runtime.block_on(stopped); // it is dropped, never sent
                // What still runs belongs to clients that are gone; nothing is waited for.
                runtime.shutdown_background();
            })?;
        Ok(Worker {
            runtime: handle,
            connections: Arc::default(),
            _stop: stop,
        })
    }
}

/// Counts for its worker as long as it lives.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn of(worker: &Worker) -> Load {
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Load(worker.connections.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(count: usize) -> Workers {
        let workers = (0..count).map(Worker::start).collect::<io::Result<_>>();
        Workers {
            workers: workers.expect("threads"),
            first: Mutex::new(0),
        }
    }

    #[test]
    fn connections_go_to_the_worker_with_the_fewest() {
        let workers = workers(3);
        let busy: Vec<Load> = [0, 0, 1]
            .map(|index| Load::of(&workers.workers[index]))
            .into();
        assert_eq!(workers.least_loaded(), 2);
        drop(busy);
        let _other = [1, 2].map(|index| Load::of(&workers.workers[index]));
        assert_eq!(workers.least_loaded(), 0);
    }

    #[test]
    fn the_second_connections_of_clients_are_spread_too() {
        let workers = workers(2);
        let mut held = Vec::new();
        let seconds = [(); 4].map(|()| {
            let [_, second] = [(); 2].map(|()| {
                let index = workers.least_loaded();
                held.push(Load::of(&workers.workers[index]));
                index
            });
            second
        });
        assert_eq!(seconds, [1, 0, 1, 0]);
    }

    #[test]
    fn what_a_worker_serves_ends_with_it() {
        let workers = workers(1);
        let (held, dropped) = oneshot::channel::<()>();
        let task = workers.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert!(!task.is_finished());
        drop(workers);
        assert!(dropped.blocking_recv().is_err());
    }
}
