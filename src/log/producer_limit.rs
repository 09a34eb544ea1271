//! How many producers the logs of one directory remember together: whoever sends under ever new
//! producer ids must not fill the memory (security.md section 7).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::log::context::LogContext;
use crate::log::producers::ProducerStates;
use crate::types::Millis;

/// About 160 MiB.
const MAX_PRODUCERS: usize = 1_000_000;

/// One log's share of what its directory remembers.
pub struct KnownProducers {
    cx: Arc<LogContext>,
    counted: usize,
}

impl KnownProducers {
    pub fn new(cx: &Arc<LogContext>) -> KnownProducers {
        KnownProducers {
            cx: cx.clone(),
            counted: 0,
        }
    }

    /// To be called when `states` has changed. Where the directory remembers too many, this log
    /// forgets the quarter of its own that was silent for longest: a log that has few keeps them.
    pub fn bound(&mut self, states: &mut ProducerStates) {
        if self.are_too_many(states.len()) {
            states.forget_oldest(states.len() / 4);
            self.are_too_many(states.len());
        }
    }

    fn are_too_many(&mut self, count: usize) -> bool {
        let all = &self.cx.producers;
        if count > self.counted {
            all.fetch_add(count - self.counted, Ordering::Relaxed);
        } else if count < self.counted {
            all.fetch_sub(self.counted - count, Ordering::Relaxed);
        }
        self.counted = count;
        all.load(Ordering::Relaxed) > MAX_PRODUCERS
    }
}

impl Drop for KnownProducers {
    fn drop(&mut self) {
        self.cx.producers.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

impl ProducerStates {
    /// Forgets up to `count` producers without an open transaction, those that have been silent
    /// for longest.
    fn forget_oldest(&mut self, count: usize) {
        let idle = self.producers.iter();
        let idle = idle.filter(|(_, producer)| producer.current_txn_first_offset < 0);
        let mut idle: Vec<(Millis, i64)> = idle
            .map(|(id, producer)| (producer.last_appended, *id))
            .collect();
        let count = count.min(idle.len());
        if count == 0 {
            return;
        }
        idle.select_nth_unstable(count - 1);
        for (_, id) in &idle[..count] {
            self.producers.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::producers::tests::batch;

    #[test]
    fn those_silent_for_longest_are_forgotten_first_but_no_open_transaction() {
        let mut states = ProducerStates::default();
        for id in 0..10 {
            let mut header = batch(id, 0, 0, 1);
            if id == 0 {
                header.attributes = 0x10;
            }
            states.appended(&header, 100 * id);
        }
        states.forget_oldest(3);
        let mut left: Vec<i64> = states.producers.keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [0, 4, 5, 6, 7, 8, 9]);
        states.forget_oldest(100);
        assert_eq!(states.len(), 1);
    }
}
