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

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const CONFIG: CompactionConfig = CompactionConfig {
        min_cleanable_dirty_ratio: 0.5,
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: i64::MAX,
        delete_retention_ms: 0,
        segment_bytes: 1000,
        segment_index_bytes: 10_000,
        max_message_bytes: 0,
    };

    /// Completed segments as `base/bytes`, or `base/bytes/first timestamp/largest timestamp`, the
    /// active one as its base alone.
    fn facts(log: &str) -> Facts {
        let mut sealed = Vec::new();
        let mut active_base = 0;
        for word in log.split_whitespace() {
            let numbers: Vec<i64> = word.split('/').map(|n| n.parse().unwrap()).collect();
            match numbers[..] {
                [base] => active_base = base,
                [base_offset, bytes] => sealed.push((base_offset, bytes, -1, -1)),
                [base, bytes, first, largest] => sealed.push((base, bytes, first, largest)),
                _ => panic!("{word}"),
            }
        }
        let sealed = sealed
            .into_iter()
            .map(|(base_offset, bytes, first, largest)| SealedFacts {
                base_offset,
                bytes: bytes as u64,
                first_timestamp: first,
                largest_timestamp: largest,
            });
        Facts {
            sealed: sealed.collect(),
            active_base,
            log_start_offset: 0,
            log_end_offset: active_base + 5,
            last_stable_offset: active_base + 5,
            cleaned_to: None,
        }
    }

    fn told(facts: &Facts, config: &CompactionConfig, now: Millis) -> String {
        match facts.dirt(config, now) {
            None => "clean".to_owned(),
            Some(Dirt {
                range,
                ratio,
                is_overdue,
            }) => format!("{}..{} {ratio:.2} {is_overdue}", range.start, range.end),
        }
    }

    #[test]
    fn a_log_is_compacted_once_more_than_the_ratio_of_it_is_dirty() {
        let log = "0/600 100/200 200/200 300";
        let cleaned = |to| {
            let facts = Facts {
                cleaned_to: Some(to),
                ..facts(log)
            };
            told(&facts, &CONFIG, 0)
        };
        assert_eq!(told(&facts(log), &CONFIG, 0), "0..300 1.00 false");
        assert_eq!(cleaned(100), "clean", "400 of 1000");
        let eager = CompactionConfig {
            min_cleanable_dirty_ratio: 0.4,
            ..CONFIG
        };
        let facts_of = |to| Facts {
            cleaned_to: Some(to),
            ..facts(log)
        };
        assert_eq!(
            told(&facts_of(100), &eager, 0),
            "clean",
            "more than, not as much as"
        );
        let eager = CompactionConfig {
            min_cleanable_dirty_ratio: 0.39,
            ..CONFIG
        };
        assert_eq!(told(&facts_of(100), &eager, 0), "100..300 0.40 false");
        // A full map ended a round in the middle of a segment, which counts on both sides.
        assert_eq!(told(&facts_of(150), &eager, 0), "clean");
        assert_eq!(told(&facts_of(50), &CONFIG, 0), "50..300 0.62 false");
        assert_eq!(cleaned(300), "clean");
    }

    #[test]
    fn neither_the_active_segment_nor_what_may_be_aborted_is_touched() {
        let stable = |to| {
            let facts = Facts {
                last_stable_offset: to,
                ..facts("0/100 100/100 200/100 300")
            };
            told(&facts, &CONFIG, 0)
        };
        let told: Vec<String> = [305, 300, 299, 200, 150, 99, 0].map(stable).into();
        expect![[r#"
            [
                "0..300 1.00 false",
                "0..300 1.00 false",
                "0..200 1.00 false",
                "0..200 1.00 false",
                "0..100 1.00 false",
                "clean",
                "clean",
            ]"#]]
        .assert_eq(&format!("{told:#?}"));
        assert_eq!(super::tests::told(&facts("0"), &CONFIG, 0), "clean");
    }

    #[test]
    fn a_record_that_is_too_young_holds_its_segment_back_and_those_behind_it() {
        let config = CompactionConfig {
            min_compaction_lag_ms: 1_000,
            ..CONFIG
        };
        let facts = facts("0/100/10/500 100/100/10/900 200/100/10/600 300");
        let told = |now| told(&facts, &config, now);
        assert_eq!(told(1_499), "clean");
        assert_eq!(told(1_500), "0..100 1.00 false");
        assert_eq!(told(1_899), "0..100 1.00 false");
        assert_eq!(told(1_900), "0..300 1.00 false");
    }

    #[test]
    fn a_record_that_is_too_old_forces_a_round_however_little_is_dirty() {
        let config = CompactionConfig {
            max_compaction_lag_ms: 1_000,
            ..CONFIG
        };
        let facts = Facts {
            cleaned_to: Some(100),
            ..facts("0/9000/5/5 100/10/700/700 200/10/-1/-1 300")
        };
        assert_eq!(told(&facts, &config, 1_700), "clean");
        assert_eq!(told(&facts, &config, 1_701), "100..300 0.00 true");
    }

    #[test]
    fn a_checkpoint_that_does_not_fit_the_log_starts_it_over() {
        let facts = |cleaned_to, log_start_offset| Facts {
            cleaned_to: Some(cleaned_to),
            log_start_offset,
            ..facts("0/100 100/100 200")
        };
        assert_eq!(facts(206, 0).first_dirty(), 0, "beyond the end");
        assert_eq!(facts(205, 0).first_dirty(), 205);
        assert_eq!(facts(50, 100).first_dirty(), 100, "below the start");
    }

    #[test]
    fn neighbours_become_one_segment_while_they_fit() {
        let groups = |log: &str, config: &CompactionConfig| {
            let facts = facts(log);
            let ends = facts.sealed.iter().skip(1).map(|s| s.base_offset);
            let ends = ends.chain([facts.active_base]);
            let segments: Vec<_> = facts.sealed.iter().copied().zip(ends).collect();
            format!("{:?}", super::groups(&segments, config))
        };
        let log = "0/400 1/400 2/200 3/1 4/1500 5/1 6/1 7";
        assert_eq!(groups(log, &CONFIG), "[0..3, 3..4, 4..5, 5..7]");
        assert_eq!(groups("", &CONFIG), "[]");
        let far = "0/1 1/1 2147483647/1 2147483649";
        assert_eq!(
            groups(far, &CONFIG),
            "[0..2, 2..3]",
            "offsets that span 2^31"
        );
        let tiny_indexes = CompactionConfig {
            segment_index_bytes: 4,
            ..CONFIG
        };
        assert_eq!(groups("0/1 1/1 2", &tiny_indexes), "[0..1, 1..2]");
    }
}
