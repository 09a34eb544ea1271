//! The points at which `ottla-faults` can be told to die (`crash_point` in Ottla's sources), and
//! what brings a broker to each.

use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub name: &'static str,
    pub when: When,
    /// It is passed so often that any time up to this one may be chosen.
    pub times: u64,
}

/// When a broker passes a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Under load.
    Load,
    /// In a clean stop after load.
    Stop,
    /// In the start after a clean stop.
    StartAfterStop,
    /// In the start after a kill that left a torn tail.
    StartAfterTear,
}

#[rustfmt::skip]
pub const POINTS: [Point; 18] = [
    // Between the write of a batch and what memory knows of it.
    point("append.written", When::Load, 300),
    point("roll.trimmed", When::Load, 10),
    point("roll.sealed", When::Load, 10),
    point("roll.created", When::Load, 10),
    // Between the sync of the data and the producer snapshot, and behind that.
    point("flush.synced", When::Load, 8),
    point("flush.snapshot", When::Load, 8),
    // The sums are on the disk and no checkpoint is; some checkpoints are replaced.
    point("checkpoint.sums", When::Load, 3),
    point("checkpoint.replaced", When::Load, 6),
    point("delete.renamed", When::Load, 2),
    // DeleteRecords: before and behind the checkpoint of the log start.
    point("trim.moved", When::Load, 6),
    point("trim.checkpointed", When::Load, 6),
    // Between the names of one segment, and behind those of some.
    point("retention.renaming", When::Load, 12),
    point("retention.renamed", When::Load, 3),
    point("metadata.written", When::Load, 4),
    point("metadata.synced", When::Load, 4),
    point("stop.before-marker", When::Stop, 1),
    point("start.marker-read", When::StartAfterStop, 1),
    point("recovery.cut", When::StartAfterTear, 1),
];

/// Under a load of keys, while the cleaner is at work.
#[rustfmt::skip]
pub const COMPACTION_POINTS: [Point; 6] = [
    // The copy is durable and nobody's; it is in the log's list alone.
    point("compaction.written", When::Load, 12),
    point("compaction.replaced", When::Load, 12),
    // Between the names of a copy, which gets them twice.
    point("compaction.renaming", When::Load, 24),
    // A start completes it; the old files have lost their names; done.
    point("compaction.committed", When::Load, 12),
    point("compaction.old-renamed", When::Load, 12),
    point("compaction.renamed", When::Load, 12),
];

/// Under a group that commits and rebalances: its records are in the log and nobody was told.
#[rustfmt::skip]
pub const COORDINATOR_POINTS: [Point; 2] = [
    point("coordinator.written", When::Load, 60),
    point("coordinator.loaded", When::Load, 1),
];

const fn point(name: &'static str, when: When, times: u64) -> Point {
    Point { name, when, times }
}

impl Point {
    /// The environment variable that asks for it, with one of its times.
    pub fn asked_for(&self, random: &mut Random) -> (String, String) {
        let nth = 1 + random.below(self.times);
        ("FAULTS_CRASH_AT".to_owned(), format!("{}:{nth}", self.name))
    }
}
