//! How long something took, in whole milliseconds of the one clock.

use std::time::Duration;

use ottla::clock::Clock;

/// Runs from its start on.
pub struct Stopwatch(Clock);

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch(Clock::system())
    }

    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.monotonic_ms() as u64)
    }
}
