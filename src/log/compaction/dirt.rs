//! How dirty a log is, and which part of it may be compacted. Pure (Kafka: LogCleanerManager
//! .cleanableOffsets, .maxCompactionDelay, LogToClean).

use std::ops::Range;

use crate::types::{Millis, Offset};

/// The topic settings that say when a log is compacted, in Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionConfig {
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `segment.bytes`
    pub segment_bytes: u64,
    /// `segment.index.bytes`
    pub segment_index_bytes: u64,
    /// `max.message.bytes`: what a compressed batch may inflate to follows from it.
    pub max_message_bytes: i32,
}

/// A segment that takes no more appends.
#[derive(Clone, Copy, Debug)]
pub struct SealedFacts {
    pub base_offset: Offset,
    pub bytes: u64,
    /// Largest timestamp, or the file's age where there is none. Looked at only with a
    /// `min.compaction.lag.ms`.
    pub largest_timestamp: Millis,
    /// Of its first batch. Looked at only with a `max.compaction.lag.ms`.
    pub first_timestamp: Millis,
}

/// A log at one moment.
#[derive(Clone, Debug)]
pub struct Facts {
    pub sealed: Vec<SealedFacts>,
    /// Where the active segment begins.
    pub active_base: Offset,
    pub log_start_offset: Offset,
    pub log_end_offset: Offset,
    /// At most the high watermark.
    pub last_stable_offset: Offset,
    /// Up to where compaction came the last time; `None` if it never did.
    pub cleaned_to: Option<Offset>,
}

/// What there is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Dirt {
    /// What was never compacted and may be. It ends where a segment begins.
    pub range: Range<Offset>,
    /// Bytes of the range over those of the log up to its end.
    pub ratio: f64,
    /// `max.compaction.lag.ms` has run out.
    pub is_overdue: bool,
}

impl Facts {
    /// Where compaction goes on. A checkpoint that does not fit the log starts it over.
    pub fn first_dirty(&self) -> Offset {
        let log = self.log_start_offset..=self.log_end_offset;
        let cleaned_to = self.cleaned_to.filter(|to| log.contains(to));
        cleaned_to.unwrap_or(self.log_start_offset)
    }

    /// What is worth doing now: `None` if too little is dirty and nothing is overdue.
    pub fn dirt(&self, config: &CompactionConfig, now: Millis) -> Option<Dirt> {
        let first_dirty = self.first_dirty();
        let end = self.cleanable_end(first_dirty, config, now);
        if end <= first_dirty {
            return None;
        }
        let bytes = |from: Offset, to: Offset| -> u64 {
            let inside = |s: &&SealedFacts| (from..to).contains(&s.base_offset);
            self.sealed.iter().filter(inside).map(|s| s.bytes).sum()
        };
        let cleanable = bytes(self.segment_base(first_dirty), end);
        let total = bytes(Offset::MIN, first_dirty) + cleanable;
        let ratio = cleanable as f64 / total.max(1) as f64;
        let is_overdue = self.is_overdue(first_dirty, config, now);
        let is_due = ratio > config.min_cleanable_dirty_ratio || is_overdue;
        (cleanable > 0 && is_due).then_some(Dirt {
            range: first_dirty..end,
            ratio,
            is_overdue,
        })
    }

    /// Not beyond what may still be aborted, the active segment, or the first segment that holds
    /// a record too young; always where a segment begins.
    fn cleanable_end(&self, first_dirty: Offset, config: &CompactionConfig, now: Millis) -> Offset {
        let mut end = self.last_stable_offset.min(self.active_base);
        if config.min_compaction_lag_ms > 0 {
            let oldest = now.saturating_sub(config.min_compaction_lag_ms);
            let mut dirty = self.dirty(first_dirty);
            let young = dirty.find(|segment| segment.largest_timestamp > oldest);
            end = end.min(young.map_or(Offset::MAX, |segment| segment.base_offset));
        }
        match end >= self.active_base {
            true => self.active_base,
            false => self.segment_base(end),
        }
    }

    fn is_overdue(&self, first_dirty: Offset, config: &CompactionConfig, now: Millis) -> bool {
        let deadline = now.saturating_sub(config.max_compaction_lag_ms.max(0));
        let times = self.dirty(first_dirty).map(|s| s.first_timestamp);
        times
            .filter(|&time| time > 0)
            .min()
            .is_some_and(|oldest| oldest < deadline)
    }

    /// The completed segments from the one that holds `first_dirty` on.
    fn dirty(&self, first_dirty: Offset) -> impl Iterator<Item = &SealedFacts> {
        let from = match first_dirty >= self.active_base {
            true => Offset::MAX,
            false => self.segment_base(first_dirty),
        };
        self.sealed.iter().filter(move |s| s.base_offset >= from)
    }

    /// Where the completed segment begins that holds `offset`.
    fn segment_base(&self, offset: Offset) -> Offset {
        let at = self.sealed.partition_point(|s| s.base_offset <= offset);
        let floor = at.checked_sub(1).map(|at| self.sealed[at].base_offset);
        floor.unwrap_or(Offset::MIN)
    }
}

/// The segments that become one, so that segments do not get ever smaller: as many neighbours as
/// fit in one by their sizes now, with offsets that do not span 2^31. `ends` has the base of the
/// segment behind each.
pub fn groups(segments: &[(SealedFacts, Offset)], config: &CompactionConfig) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, (segment, end)) in segments.iter().enumerate() {
        let fits = |group: &Range<usize>| {
            let base = segments[group.start].0.base_offset;
            let total = bytes + segment.bytes;
            total <= config.segment_bytes
                && index_bytes(total) <= config.segment_index_bytes
                && end - 1 - base <= i64::from(i32::MAX)
        };
        match groups.last_mut() {
            Some(group) if fits(group) => group.end = index + 1,
            _ => {
                groups.push(index..index + 1);
                bytes = 0;
            }
        }
        bytes += segment.bytes;
    }
    groups
}

/// The larger one of the two indexes of so many bytes, at most.
fn index_bytes(bytes: u64) -> u64 {
    let entries = bytes / u64::from(crate::log::index_rule::MIN_INDEX_INTERVAL) + 1;
    entries * 12
}
