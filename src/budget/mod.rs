//! How much memory may be used for what clients make the broker hold (security.md section 7): one
//! pool of bytes for requests, one for answers that have not left yet, one for decompression.
//! Other parts bound themselves where they live: the hot tails, fetch sessions, producer states.

mod machine;
mod pool;

use std::sync::Arc;

pub use machine::memory_limit;
pub use pool::{Account, Holder, Pool, Ticket, Usage};

const MIB: usize = 1 << 20;

/// At most so much for requests, however large the machine.
const REQUESTS_MAX: usize = 512 * MIB;
/// At most so much for answers that wait for their reader.
const RESPONSES_MAX: usize = 256 * MIB;
/// One zstd window of the largest accepted size and what goes with it.
const DECOMPRESSION: usize = 160 * MIB;
/// A pool below this could not hold one ordinary batch.
const POOL_MIN: usize = MIB;

/// The pools. Every byte in them is given back by the time its connection has ended.
#[derive(Debug)]
pub struct Budget {
    /// Frames being received and requests in work, by their size on the wire or once decoded,
    /// whichever is larger.
    pub requests: Arc<Pool>,
    /// Answers in memory that their readers have not taken yet.
    pub responses: Arc<Pool>,
    /// Windows and blocks of codecs at work.
    pub decompression: Arc<Pool>,
}

impl Budget {
    /// Shares out `memory_limit` bytes. `queued_max_request_bytes` is Kafka's key, which, where
    /// positive, takes the place of the share for requests.
    pub fn new(memory_limit: usize, queued_max_request_bytes: i64) -> Budget {
        let requests = match usize::try_from(queued_max_request_bytes) {
            Ok(bytes) if bytes > 0 => bytes,
            _ => (memory_limit / 4).clamp(POOL_MIN, REQUESTS_MAX),
        };
        let responses = (memory_limit / 8).clamp(POOL_MIN, RESPONSES_MAX);
        Budget {
            requests: Pool::new(requests),
            responses: Pool::new(responses),
            decompression: Pool::new(DECOMPRESSION.min(memory_limit / 2).max(POOL_MIN)),
        }
    }

    /// Every pool by its name.
    pub fn usage(&self) -> [(&'static str, Usage); 3] {
        [
            ("requests", self.requests.usage()),
            ("responses", self.responses.usage()),
            ("decompression", self.decompression.usage()),
        ]
    }

    /// To be called when no connection is left. What is still taken then will never come back: in
    /// tests that ends the process, elsewhere it is logged.
    pub fn assert_empty(&self) {
        for (pool, usage) in self.usage() {
            let is_empty = usage.used == 0 && usage.waiting == 0;
            debug_assert!(is_empty, "pool {pool} without connections: {usage:?}");
            if !is_empty {
                tracing::error!(pool, ?usage, "memory was not given back");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pools_follow_the_memory_limit_up_to_their_caps() {
        let limits = |memory, queued| Budget::new(memory, queued).usage().map(|(_, u)| u.limit);
        assert_eq!(limits(512 * MIB, -1), [128 * MIB, 64 * MIB, 160 * MIB]);
        assert_eq!(limits(64 << 30, -1), [512 * MIB, 256 * MIB, 160 * MIB]);
        assert_eq!(limits(usize::MAX, 0)[0], 512 * MIB);
        assert_eq!(limits(64 << 30, 3_000_000)[0], 3_000_000);
        assert_eq!(limits(0, -1), [MIB; 3]);
    }
}
