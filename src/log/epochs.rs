//! Where each leader epoch begins in one partition's log (KIP-101, KIP-279): the answer to
//! OffsetForLeaderEpoch and the means by which replicas find where they diverge. Kept in RAM and
//! written as Kafka's `leader-epoch-checkpoint` (Kafka: `LeaderEpochFileCache`).
//!
//! Does not know files, who leads, or when to write: the log owns one and stores its text. It is
//! derived from the batch headers, so a text that cannot be read costs a rebuild and nothing else.

use std::fmt::Write;

use super::small_files::{Malformed, read_lines, write_lines};
use crate::types::{LeaderEpoch, Offset};

/// "No epoch" and "no offset" in the protocol.
const UNDEFINED: (LeaderEpoch, Offset) = (-1, -1);

/// The first offset of each epoch. Epochs and offsets both strictly increase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
}

/// One line of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    /// The first offset written, or to be written, in this epoch.
    pub start_offset: Offset,
}

impl EpochCache {
    /// `epoch` begins at `start_offset`: its first batch, or the log end when a leader takes over.
    /// A known newest epoch stays where it began. Entries that contradict the new one (a higher
    /// epoch, or one that began at or after it) were never followed by data and go.
    /// Returns true if the cache changed and its file is now behind.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        assert!(
            epoch >= 0 && start_offset >= 0,
            "epoch {epoch} cannot begin at {start_offset}"
        );
        if let Some(latest) = self.entries.last()
            && latest.epoch == epoch
            && latest.start_offset <= start_offset
        {
            return false;
        }
        while let Some(last) = self.entries.last()
            && (last.epoch >= epoch || last.start_offset >= start_offset)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        true
    }

    /// The newest epoch; `None` before the first leader.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of the largest known epoch that is not above `epoch`.
    pub fn largest_at_or_below(&self, epoch: LeaderEpoch) -> Option<EpochEntry> {
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        Some(self.entries[above.checked_sub(1)?])
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        Some(self.entries[above.checked_sub(1)?].epoch)
    }

    /// OffsetForLeaderEpoch (R98): the largest known epoch not above `epoch`, and the offset at
    /// which it ended, which is `log_end_offset` for the newest. Below the oldest known epoch:
    /// the asked epoch and the offset where the oldest begins. Above the newest, or unknown
    /// because there is none: (−1, −1).
    pub fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        log_end_offset: Offset,
    ) -> (LeaderEpoch, Offset) {
        if epoch < 0 || self.latest().is_none_or(|latest| latest < epoch) {
            return UNDEFINED;
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self
            .entries
            .get(above)
            .map_or(log_end_offset, |next| next.start_offset);
        match above.checked_sub(1) {
            Some(floor) => (self.entries[floor].epoch, end_offset),
            None => (epoch, end_offset),
        }
    }

    /// The log was cut to end at `end_offset`: epochs that began at or after it never happened.
    /// Returns true if the cache changed.
    pub fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        let keep = self
            .entries
            .partition_point(|entry| entry.start_offset < end_offset);
        let changed = keep < self.entries.len();
        self.entries.truncate(keep);
        changed
    }

    /// The log now begins at `start_offset`: epochs that ended before it go, and the one that
    /// spans it begins there. Returns true if the cache changed.
    pub fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let above = self
            .entries
            .partition_point(|entry| entry.start_offset <= start_offset);
        let Some(spanning) = above.checked_sub(1) else {
            return false;
        };
        let changed = spanning > 0 || self.entries[spanning].start_offset != start_offset;
        self.entries.drain(..spanning);
        self.entries[0].start_offset = start_offset;
        changed
    }

    /// The content of `leader-epoch-checkpoint`: version 0, count, then `epoch start_offset`.
    pub fn to_text(&self) -> String {
        write_lines(self.entries.len(), |text| {
            for entry in &self.entries {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
            }
        })
    }

    /// Reads [`EpochCache::to_text`]. Anything but strictly increasing epochs and offsets is
    /// malformed: the log rebuilds the cache from its batch headers.
    pub fn from_text(bytes: &[u8]) -> Result<EpochCache, Malformed> {
        let mut entries: Vec<EpochEntry> = Vec::new();
        for line in read_lines(bytes)? {
            let entry = parse_entry(line).ok_or_else(|| Malformed::line(line))?;
            let follows = entries.last().is_none_or(|last| {
                last.epoch < entry.epoch && last.start_offset < entry.start_offset
            });
            if !follows || entry.epoch < 0 || entry.start_offset < 0 {
                return Err(Malformed::line(line));
            }
            entries.push(entry);
        }
        Ok(EpochCache { entries })
    }
}

fn parse_entry(line: &str) -> Option<EpochEntry> {
    let (epoch, start_offset) = line.split_once(' ')?;
    Some(EpochEntry {
        epoch: epoch.parse().ok()?,
        start_offset: start_offset.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(LeaderEpoch, Offset)]) -> EpochCache {
        let mut cache = EpochCache::default();
        for &(epoch, start_offset) in entries {
            cache.assign(epoch, start_offset);
        }
        cache
    }

    #[test]
    fn r98_an_epoch_ends_where_the_next_known_one_begins() {
        let cache = cache(&[(0, 0), (2, 14)]);
        assert_eq!(cache.end_offset_for(0, 20), (0, 14));
        assert_eq!(
            cache.end_offset_for(1, 20),
            (0, 14),
            "1 was never led: the answer is 0"
        );
        assert_eq!(
            cache.end_offset_for(2, 20),
            (2, 20),
            "the newest ends at the log end"
        );
    }

    #[test]
    fn r98_an_epoch_above_the_newest_or_minus_one_is_undefined() {
        let cache = cache(&[(0, 0), (2, 14)]);
        assert_eq!(cache.end_offset_for(3, 20), (-1, -1));
        assert_eq!(cache.end_offset_for(-1, 20), (-1, -1));
        assert_eq!(EpochCache::default().end_offset_for(0, 0), (-1, -1));
    }

    #[test]
    fn r98_an_epoch_below_the_oldest_known_ends_where_the_oldest_begins() {
        let cache = cache(&[(4, 100), (6, 150)]);
        assert_eq!(cache.end_offset_for(2, 200), (2, 100));
    }

    #[test]
    fn r98_an_empty_log_knows_the_epoch_it_is_led_in() {
        assert_eq!(cache(&[(0, 0)]).end_offset_for(0, 0), (0, 0));
    }

    #[test]
    fn d8_a_leader_that_wrote_nothing_leaves_no_trace() {
        let mut cache = cache(&[(0, 0), (1, 5), (2, 5), (3, 5)]);
        assert_eq!(cache.to_text(), "0\n2\n0 0\n3 5\n");
        assert!(
            !cache.assign(3, 9),
            "later batches of an epoch do not move its start"
        );
        assert!(
            cache.assign(3, 2),
            "a shorter log moves the start of the same epoch back"
        );
        assert_eq!(cache.to_text(), "0\n2\n0 0\n3 2\n");
    }

    #[test]
    fn an_offset_finds_the_epoch_it_was_written_in() {
        let cache = cache(&[(1, 10), (3, 20)]);
        assert_eq!(cache.epoch_of(9), None);
        assert_eq!(cache.epoch_of(10), Some(1));
        assert_eq!(cache.epoch_of(19), Some(1));
        assert_eq!(cache.epoch_of(20), Some(3));
        assert_eq!(cache.largest_at_or_below(0), None);
        assert_eq!(
            cache.largest_at_or_below(2).map(|entry| entry.epoch),
            Some(1)
        );
    }

    #[test]
    fn truncation_forgets_epochs_that_no_longer_have_an_offset() {
        let mut cache = cache(&[(0, 0), (1, 10), (2, 20)]);
        assert!(cache.truncate_from_end(20));
        assert_eq!(cache.to_text(), "0\n2\n0 0\n1 10\n");
        assert!(!cache.truncate_from_end(11));
        assert!(cache.truncate_from_end(0));
        assert!(cache.is_empty());
    }

    #[test]
    fn delete_records_moves_the_start_of_the_epoch_it_lands_in() {
        // As Kafka 4.1.2 left it after DeleteRecords to 7.
        let mut cache = cache(&[(0, 0), (2, 15)]);
        assert!(cache.truncate_from_start(7));
        assert_eq!(cache.to_text(), "0\n2\n0 7\n2 15\n");
        assert!(!cache.truncate_from_start(7));
        assert!(cache.truncate_from_start(15));
        assert_eq!(cache.to_text(), "0\n1\n2 15\n");
        assert!(
            !cache.truncate_from_start(3),
            "a start below the oldest entry changes nothing"
        );
    }

    #[test]
    fn kafkas_file_reads_back() {
        let cache = EpochCache::from_text(b"0\n2\n1 0\n2 483\n").expect("Kafka's own file");
        assert_eq!(cache.latest(), Some(2));
        assert_eq!(cache.to_text(), "0\n2\n1 0\n2 483\n");
        assert_eq!(
            EpochCache::from_text(b""),
            Ok(EpochCache::default()),
            "Kafka creates files empty"
        );
    }

    #[test]
    fn a_damaged_file_is_refused_whole() {
        for damaged in [
            "1\n1\n0 0\n",
            "0\n2\n0 0\n",
            "0\n1\n0 0\n1 5\n",
            "0\n1\n0 0",
            "0\n1\n0\n",
            "0\n1\n0 0 0\n",
            "0\n2\n1 0\n0 5\n",
            "0\n2\n0 5\n1 5\n",
            "0\n1\n-1 0\n",
            "0\n1\n0 -1\n",
            "0\nx\n",
            "garbage",
            "\0\0\0\0\0\0",
        ] {
            assert!(
                EpochCache::from_text(damaged.as_bytes()).is_err(),
                "{damaged:?}"
            );
        }
        assert!(EpochCache::from_text(&[0xff, 0xfe, 0x00]).is_err());
    }
}
