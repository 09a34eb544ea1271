//! How fast connections come, and how long the next one waits for that. Pure.
//!
//! The rate is the count over the last `samples` windows, measured as if at least all but one of
//! them were full: up to that a burst passes, as in Kafka (Rate.windowSize, QuotaUtils, KIP-612).

use std::collections::VecDeque;

use crate::types::Millis;

/// The windows in which connections came.
#[derive(Debug, Default)]
pub struct CreationRate {
    windows: VecDeque<Window>,
}

#[derive(Debug)]
struct Window {
    began: Millis,
    last_event: Millis,
    count: u32,
}

impl CreationRate {
    /// Counts a connection that comes `now` and returns for how long it waits, in ms: 0 while
    /// they come no faster than `max_rate` per second, else at most one window.
    pub fn record(
        &mut self,
        now: Millis,
        max_rate: u32,
        window_ms: Millis,
        samples: usize,
    ) -> Millis {
        let expired = |window: &Window| now - window.last_event >= samples as Millis * window_ms;
        while self.windows.front().is_some_and(expired) {
            self.windows.pop_front();
        }
        match self.windows.back_mut() {
            Some(window) if now - window.began < window_ms => {
                window.count += 1;
                window.last_event = now;
            }
            _ => self.windows.push_back(Window {
                began: now,
                last_event: now,
                count: 1,
            }),
        }
        let count: u64 = self
            .windows
            .iter()
            .map(|window| u64::from(window.count))
            .sum();
        let oldest = self.windows.front().map_or(now, |window| window.began);
        let elapsed = now - oldest;
        let full_windows = elapsed / window_ms;
        let missing = (samples as Millis - 1 - full_windows).max(0);
        let measured_ms = elapsed + missing * window_ms;
        if measured_ms == 0 || max_rate == 0 {
            return if max_rate == 0 { window_ms } else { 0 };
        }
        let (rate, bound) = (
            count as f64 * 1000.0 / measured_ms as f64,
            f64::from(max_rate),
        );
        if rate <= bound {
            return 0;
        }
        let wait_ms = (rate - bound) / bound * measured_ms as f64;
        (wait_ms.round() as Millis).min(window_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_ten_windows_passes_and_the_rest_waits_its_turn() {
        let mut rate = CreationRate::default();
        let waits: Vec<Millis> = (0..55).map(|_| rate.record(1000, 5, 1000, 11)).collect();
        assert!(waits[..50].iter().all(|wait| *wait == 0), "{waits:?}");
        assert_eq!(waits[50..], [200, 400, 600, 800, 1000]);
        // Each waits until the rate is met again, and nothing is owed later.
        assert_eq!(rate.record(30_000, 5, 1000, 11), 0);
    }

    #[test]
    fn a_steady_stream_below_the_rate_never_waits() {
        let mut rate = CreationRate::default();
        assert!((0..1000).all(|i| rate.record(i * 300, 4, 1000, 11) == 0));
    }

    #[test]
    fn a_steady_stream_above_the_rate_is_brought_down_to_it() {
        let mut rate = CreationRate::default();
        let mut now = 0;
        let mut times = Vec::new();
        // Some rounds of the windows go by before it has settled.
        for _ in 0..4_000 {
            now += 10 + rate.record(now, 10, 1000, 11);
            times.push(now);
        }
        let last_ten_s = times.iter().filter(|time| **time > now - 10_000).count();
        assert!((90..=115).contains(&last_ten_s), "{last_ten_s}");
    }
}
