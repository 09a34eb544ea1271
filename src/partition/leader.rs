//! The leader's half of a partition: who is in sync, and how far the high watermark stands.
//! Pure: no I/O, no clock. The log tells it where it ends; followers will tell it by fetching.

use crate::types::{BrokerId, LeaderEpoch, Offset};

/// Leadership of one partition in one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    pub epoch: LeaderEpoch,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    /// Up to where the leader's own copy counts: its log end, or in the durable modes what has
    /// been synced (storage.md section 13).
    local_end: Offset,
    high_watermark: Offset,
}

impl Leader {
    /// `local_end` is the log end offset at the moment of election.
    pub fn elected(
        epoch: LeaderEpoch,
        replicas: Vec<BrokerId>,
        isr: Vec<BrokerId>,
        local_end: Offset,
    ) -> Leader {
        let mut leader = Leader {
            epoch,
            replicas,
            isr,
            local_end,
            high_watermark: 0,
        };
        leader.advance();
        leader
    }

    /// Leadership goes on in a later epoch, or with another ISR.
    pub fn reelected(&mut self, epoch: LeaderEpoch, replicas: Vec<BrokerId>, isr: Vec<BrokerId>) {
        assert!(
            epoch >= self.epoch,
            "leader epoch {epoch} after {}",
            self.epoch
        );
        self.epoch = epoch;
        self.replicas = replicas;
        self.isr = isr;
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// R59: whether an acks=all write may be accepted. A topic cannot ask for more replicas in
    /// sync than it has.
    pub fn has_enough_in_sync(&self, min_insync_replicas: i32) -> bool {
        let wanted = (min_insync_replicas.max(1) as usize).min(self.replicas.len());
        self.isr.len() >= wanted
    }

    /// The leader's own copy now counts up to `end`. Returns whether the high watermark moved;
    /// it never moves back.
    pub fn local_end_moved(&mut self, end: Offset) -> bool {
        self.local_end = self.local_end.max(end);
        self.advance()
    }

    fn advance(&mut self) -> bool {
        // With an ISR of one the leader's own copy decides. Followers' positions join this
        // minimum when there are followers.
        let moved = self.local_end > self.high_watermark;
        self.high_watermark = self.high_watermark.max(self.local_end);
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sole(local_end: Offset) -> Leader {
        Leader::elected(0, vec![BrokerId(1)], vec![BrokerId(1)], local_end)
    }

    #[test]
    fn a_sole_replica_is_its_own_watermark() {
        let mut leader = sole(7);
        assert_eq!(leader.high_watermark(), 7);
        assert!(leader.local_end_moved(9));
        assert_eq!(leader.high_watermark(), 9);
    }

    #[test]
    fn r85_the_high_watermark_never_goes_back() {
        let mut leader = sole(7);
        assert!(!leader.local_end_moved(3));
        assert_eq!(leader.high_watermark(), 7);
    }

    #[test]
    fn r59_one_replica_satisfies_any_min_insync_replicas() {
        assert!(sole(0).has_enough_in_sync(2));
        let lonely = Leader::elected(0, vec![BrokerId(1), BrokerId(2)], vec![BrokerId(1)], 0);
        assert!(lonely.has_enough_in_sync(1));
        assert!(!lonely.has_enough_in_sync(2));
    }
}
