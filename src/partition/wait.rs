//! What a parked request waits on. One counter over all partitions of the request, so that an
//! append costs O(1) per waiter and wakes a Fetch only when its `min_bytes` are there (R79, R82).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::types::Offset;

/// A parked request's counter. Partitions count it down; at zero the request is woken, once.
#[derive(Debug)]
pub struct Wait {
    missing: AtomicI64,
    woken: Notify,
}

impl Wait {
    /// `missing` in the unit that the partitions count in: bytes for Fetch, partitions for acks.
    pub fn new(missing: i64) -> Arc<Wait> {
        Arc::new(Wait {
            missing: AtomicI64::new(missing),
            woken: Notify::new(),
        })
    }

    /// `amount` of what was missing has come.
    pub fn count_down(&self, amount: i64) {
        let before = self.missing.fetch_sub(amount, Ordering::SeqCst);
        if before > 0 && before <= amount {
            self.woken.notify_one();
        }
    }

    /// Wakes the request whatever is missing: a leader, a topic or an epoch is gone.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Returns after the next wake-up, at once if it came before this call.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }
}

/// Which end of the log a Fetch sees (R83).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

/// What of a partition counts a [`Wait`] down.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Each byte that becomes visible to this isolation level.
    Bytes(Isolation),
    /// Once, when the high watermark reaches this offset.
    HighWatermark(Offset),
}

/// The waiters of one partition.
#[derive(Default, Debug)]
pub struct WaitList {
    next_id: u64,
    /// By number: a thousand waiters that leave after one append must not search for each other.
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    wait: Arc<Wait>,
    until: Until,
}

impl WaitList {
    /// Returns the number that [`WaitList::remove`] takes.
    pub fn add(&mut self, wait: Arc<Wait>, until: Until) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.entries.insert(id, Entry { wait, until });
        id
    }

    pub fn remove(&mut self, id: u64) {
        self.entries.remove(&id);
    }

    /// `bytes` have become visible and the high watermark stands at `high_watermark`.
    pub fn advanced(&mut self, bytes: u64, high_watermark: Offset) {
        self.entries.retain(|_, entry| match entry.until {
            Until::Bytes(_) => {
                entry.wait.count_down(bytes as i64);
                true
            }
            Until::HighWatermark(wanted) if wanted <= high_watermark => {
                entry.wait.count_down(1);
                false
            }
            Until::HighWatermark(_) => true,
        });
    }

    /// The partition is no longer led here, or gone.
    pub fn wake_all(&self) {
        for entry in self.entries.values() {
            entry.wait.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_woken(wait: &Wait) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, wait.woken())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn r79_a_fetch_is_woken_only_when_its_min_bytes_are_there() {
        let mut list = WaitList::default();
        let wait = Wait::new(100);
        list.add(wait.clone(), Until::Bytes(Isolation::ReadUncommitted));
        list.advanced(60, 1);
        assert!(!is_woken(&wait).await);
        list.advanced(40, 2);
        assert!(is_woken(&wait).await);
        list.advanced(40, 3);
        assert!(!is_woken(&wait).await, "woken once per burst");
    }

    #[tokio::test]
    async fn an_append_counts_in_one_partition_and_wakes_each_satisfied_waiter_once() {
        let mut lists: Vec<WaitList> = (0..100).map(|_| WaitList::default()).collect();
        let waits: Vec<Arc<Wait>> = (0..1_000).map(|i| Wait::new(10 + 50 * (i % 2))).collect();
        for list in &mut lists {
            for wait in &waits {
                list.add(wait.clone(), Until::Bytes(Isolation::ReadUncommitted));
            }
        }
        // The other 99 are not looked at: only this one is here to be changed.
        lists[7].advanced(20, 1);
        lists[7].advanced(20, 2);
        let mut woken = 0;
        for wait in &waits {
            woken += u32::from(is_woken(wait).await);
            assert!(!is_woken(wait).await, "woken once per burst");
        }
        assert_eq!(woken, 500);
    }

    #[tokio::test]
    async fn r81_a_wake_up_before_the_wait_is_not_lost() {
        let mut list = WaitList::default();
        let wait = Wait::new(1);
        list.add(wait.clone(), Until::Bytes(Isolation::ReadUncommitted));
        list.advanced(10, 1);
        assert!(is_woken(&wait).await);
    }

    #[tokio::test]
    async fn r60_an_acknowledgement_waits_for_all_partitions_of_its_request() {
        let (mut first, mut second) = (WaitList::default(), WaitList::default());
        let wait = Wait::new(2);
        first.add(wait.clone(), Until::HighWatermark(10));
        second.add(wait.clone(), Until::HighWatermark(5));
        first.advanced(1, 12);
        first.advanced(1, 13);
        assert!(!is_woken(&wait).await);
        second.advanced(1, 5);
        assert!(is_woken(&wait).await);
    }
}
