//! The offset index of a segment: the last offset of some batches and the position of those
//! batches (Kafka: OffsetIndex), and what it shares with the time index: a sorted list whose
//! newest entries are in memory and whose older ones may be only in the file.
//!
//! Knows entries and their file format; knows neither files nor batches.

use crate::faults::is_planted;

/// Entries kept in memory for an active segment; older ones go to the file at a flush
/// checkpoint. At one entry per 16 KiB this covers the newest 128 MiB.
const KEPT_IN_MEMORY: usize = 8_192;

/// An entry of an index file: fixed size, big-endian, sorted.
pub trait Entry: Copy + PartialEq + std::fmt::Debug {
    /// Bytes on disk.
    const SIZE: usize;
    fn encode(&self, out: &mut Vec<u8>);
    /// `bytes` has exactly [`Entry::SIZE`] bytes.
    fn decode(bytes: &[u8]) -> Self;
    /// Whether this entry may stand right behind `previous` (`None`: stand first). Zeroed and
    /// shuffled pages fail this.
    fn may_follow(&self, previous: Option<&Self>) -> bool;
}

/// "The batch at `position` ends with offset `base + relative_offset`."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// Last offset of the batch minus the segment's base offset.
    pub relative_offset: u32,
    /// Byte position of the batch in the segment.
    pub position: u32,
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> OffsetEntry {
        OffsetEntry {
            relative_offset: be_u32(&bytes[0..4]),
            position: be_u32(&bytes[4..8]),
        }
    }

    fn may_follow(&self, previous: Option<&OffsetEntry>) -> bool {
        let signed = self.relative_offset <= i32::MAX as u32 && self.position <= i32::MAX as u32;
        signed
            && match previous {
                // Kafka never indexes the batch at position 0.
                None => self.position > 0,
                Some(p) => self.relative_offset > p.relative_offset && self.position > p.position,
            }
    }
}

pub(super) fn be_u32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |value, &byte| value << 8 | u32::from(byte))
}

/// Reads an index file: the longest run of entries from its start that has the right shape, and
/// whether that is the whole file. `None` stands for a missing file: no entries, not whole.
pub fn parse<E: Entry>(bytes: Option<&[u8]>) -> (Vec<E>, bool) {
    let Some(bytes) = bytes else {
        return (Vec::new(), false);
    };
    let mut entries: Vec<E> = Vec::with_capacity(bytes.len() / E::SIZE);
    for chunk in bytes.chunks_exact(E::SIZE) {
        let entry = E::decode(chunk);
        if !entry.may_follow(entries.last()) {
            return (entries, false);
        }
        entries.push(entry);
    }
    if is_planted("index.length-believed") {
        assert_eq!(bytes.len(), entries.len() * E::SIZE, "planted");
    }
    (entries, bytes.len() % E::SIZE == 0)
}

/// The file's bytes for `entries`.
pub fn encode<E: Entry>(entries: &[E]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * E::SIZE);
    for entry in entries {
        entry.encode(&mut bytes);
    }
    bytes
}

/// The index of a segment while it is being written: entries `[0, in_file)` are only in the
/// file, the rest is in memory; entries `[0, persisted)` have been written to the file.
#[derive(Debug)]
pub struct Entries<E> {
    in_file: usize,
    recent: Vec<E>,
    persisted: usize,
}

impl<E> Default for Entries<E> {
    fn default() -> Entries<E> {
        Entries {
            in_file: 0,
            recent: Vec::new(),
            persisted: 0,
        }
    }
}

impl<E: Entry> Entries<E> {
    /// All of `entries` in memory, the first `persisted` of them in the file too.
    pub fn loaded(entries: Vec<E>, persisted: usize) -> Entries<E> {
        assert!(
            persisted <= entries.len(),
            "{persisted} of {} entries persisted",
            entries.len()
        );
        Entries {
            in_file: 0,
            recent: entries,
            persisted,
        }
    }

    pub fn push(&mut self, entry: E) {
        self.recent.push(entry);
    }

    pub fn len(&self) -> usize {
        self.in_file + self.recent.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries are only in the file.
    pub fn in_file(&self) -> usize {
        self.in_file
    }

    /// The entries in memory; they follow the [`Entries::in_file`] older ones.
    pub fn recent(&self) -> &[E] {
        &self.recent
    }

    /// The number of persisted entries and the bytes of those that are not.
    pub fn unpersisted(&self) -> (usize, Vec<u8>) {
        (
            self.persisted,
            encode(&self.recent[self.persisted - self.in_file..]),
        )
    }

    /// The first `count` entries are in the file now. Older ones leave memory beyond the newest
    /// 8,192, or all persisted ones if the segment is `idle`.
    pub fn persisted(&mut self, count: usize, idle: bool) {
        self.persisted = self.persisted.max(count.min(self.len()));
        let keep = if idle { 0 } else { KEPT_IN_MEMORY };
        let surplus = self.recent.len().saturating_sub(keep);
        let leave = surplus.min(self.persisted - self.in_file);
        if leave > 0 {
            self.recent.drain(..leave);
            self.in_file += leave;
        }
        if self.recent.is_empty() {
            self.recent.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(relative_offset: u32, position: u32) -> OffsetEntry {
        OffsetEntry {
            relative_offset,
            position,
        }
    }

    #[test]
    fn an_index_file_of_kafka_reads_back() {
        // diskseg-0/00000000000000000000.index as Kafka 4.1.2 left it.
        let bytes = [
            0, 0, 0, 5, 0, 2, 0xbf, 0x7e, 0, 0, 0, 8, 0, 5, 0x7e, 0xfc, 0, 0, 0, 0xb, 0, 8, 0x3e,
            0x7a, 0, 0, 0, 0xe, 0, 0xa, 0xfd, 0xf8,
        ];
        let (entries, whole) = parse::<OffsetEntry>(Some(&bytes));
        assert!(whole);
        assert_eq!(entries[0], entry(5, 180_094));
        assert_eq!(encode(&entries), bytes);
    }

    #[test]
    fn zeroed_shuffled_and_torn_files_lose_their_tail_only() {
        let good = encode(&[entry(5, 100), entry(9, 200), entry(12, 300)]);
        let kept = |bytes: &[u8]| {
            let (entries, whole) = parse::<OffsetEntry>(Some(bytes));
            (entries.len(), whole)
        };
        assert_eq!(kept(&good), (3, true));
        let mut zeroed = good.clone();
        zeroed[8..].fill(0);
        assert_eq!(kept(&zeroed), (1, false));
        let shuffled = [&good[8..16], &good[0..8]].concat();
        assert_eq!(kept(&shuffled), (1, false));
        assert_eq!(kept(&good[..20]), (2, false));
        assert_eq!(parse::<OffsetEntry>(None), (vec![], false));
    }

    #[test]
    fn persisted_entries_beyond_the_newest_8192_leave_memory() {
        let mut entries = Entries::default();
        for i in 1..=10_000 {
            entries.push(entry(i, i * 10));
        }
        let (from, bytes) = entries.unpersisted();
        assert_eq!((from, bytes.len()), (0, 80_000));
        entries.persisted(1_000, false);
        assert_eq!((entries.in_file(), entries.recent().len()), (1_000, 9_000));
        entries.persisted(10_000, false);
        assert_eq!((entries.in_file(), entries.recent().len()), (1_808, 8_192));
        assert_eq!(entries.unpersisted(), (10_000, vec![]));
        entries.push(entry(10_001, 100_010));
        entries.persisted(10_000, true);
        assert_eq!((entries.in_file(), entries.recent().len()), (10_000, 1));
        assert_eq!(entries.len(), 10_001);
    }
}
