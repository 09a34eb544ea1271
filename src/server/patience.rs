//! How long a peer may take: the deadlines of one connection, as plain numbers. Pure.
//!
//! A frame that has begun to arrive must go on arriving (a slow peer would otherwise keep what was
//! reserved for it), an answer must go on being taken, and who does neither is idle (R41).
//! (security.md section 7.)

use crate::types::Millis;

/// A frame may take this long before its speed is looked at; its header must be there by then.
pub const GRACE_MS: Millis = 10_000;
/// The least speed of a frame after that, and of answers while others wait for their memory, in
/// bytes per second.
pub const MIN_BYTES_PER_S: i64 = 16 << 10;
/// A peer that takes no byte of its answers for this long is given up.
pub const STALLED_MS: Millis = 60_000;
/// A request that holds memory and needs more waits no longer, so that two such requests do not
/// wait for each other.
pub const MEMORY_WAIT_MS: Millis = 10_000;

/// A transfer under way: since when, and what had been transferred before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub began_ms: Millis,
    pub before: u64,
}

impl Transfer {
    /// When it is too slow if nothing more comes: the grace, and a second for each 16 KiB.
    pub fn deadline_ms(&self, transferred: u64) -> Millis {
        let bytes = transferred.saturating_sub(self.before);
        let earned_ms = i64::try_from(bytes).unwrap_or(i64::MAX / 1000) * 1000 / MIN_BYTES_PER_S;
        self.began_ms + GRACE_MS + earned_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a peer that sends `bytes_per_s` in pieces of a second is given up, if ever.
    fn given_up_after(bytes_per_s: u64) -> Option<Millis> {
        let transfer = Transfer {
            began_ms: 5_000,
            before: 4,
        };
        let arrived = |second: u64| 4 + second * bytes_per_s;
        (0..600)
            .map(|second| {
                (
                    second as Millis * 1000,
                    transfer.deadline_ms(arrived(second)),
                )
            })
            .find(|(passed, deadline)| 5_000 + passed + 1000 > *deadline)
            .map(|(_, deadline)| deadline - 5_000)
    }

    #[test]
    fn who_sends_a_byte_a_second_is_given_up_after_the_grace() {
        assert_eq!(given_up_after(0), Some(10_000));
        assert_eq!(given_up_after(1), Some(10_000));
    }

    #[test]
    fn slower_than_16_kib_a_second_falls_behind_and_faster_never_does() {
        assert_eq!(given_up_after(8 << 10), Some(19_500));
        assert_eq!(given_up_after(16 << 10), None);
        assert_eq!(given_up_after(1 << 20), None);
    }
}
