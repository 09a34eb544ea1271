//! The only file that asks the machine for the time. Everything else takes `now`, or holds a
//! [`Clock`] handed down from `start`, so that a test owns the time of each broker it starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::types::Millis;

/// A source of wall and monotonic time. Cheap to clone; clones share one source.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { started: Instant },
    Manual { now_ms: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's clocks.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the file they come through"
    )]
    pub fn system() -> Clock {
        Clock(Source::System {
            started: Instant::now(),
        })
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(now_ms: Millis) -> Clock {
        Clock(Source::Manual {
            now_ms: Arc::new(AtomicI64::new(now_ms)),
        })
    }

    /// Wall time in ms since 1970: for timestamps that are stored or sent.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the file they come through"
    )]
    pub fn wall_ms(&self) -> Millis {
        match &self.0 {
            Source::System { .. } => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as Millis),
            Source::Manual { now_ms } => now_ms.load(Ordering::Relaxed),
        }
    }

    /// Time that never goes back, in ms since an arbitrary start: for timeouts and expiry.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the file they come through"
    )]
    pub fn monotonic_ms(&self) -> Millis {
        match &self.0 {
            Source::System { started } => started.elapsed().as_millis() as Millis,
            Source::Manual { now_ms } => now_ms.load(Ordering::Relaxed),
        }
    }

    /// Moves a manual clock forward; a system clock cannot be moved.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { now_ms } = &self.0 {
            now_ms.fetch_add(by.as_millis() as Millis, Ordering::Relaxed);
        }
    }
}
