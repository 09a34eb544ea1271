//! What the files of a partition hold after a stop, clean or not: a function of the directory's
//! content and the checkpointed offsets. Changes nothing; [`crate::log::open`] applies what it
//! returns. Recovered is always a prefix of what is there, and recovering that changes nothing.
//!
//! The steps are R1 to R9 of the design's recovery section. Bytes below the recovery point were
//! synced: damage there is corruption and never cut away in silence. Bytes above it may be torn,
//! and with the first bad one everything behind it goes, however valid it looks: file systems
//! do persist later pages without earlier ones.
//! (Kafka, which cuts in both cases: LogLoader, LogSegment.recover. FAST'18: Protocol-Aware
//! Recovery.)

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::faults::is_planted;
use crate::log::Error;
use crate::log::index_rule::IndexRule;
use crate::log::segment::{LoadedIndexes, Segment};
use crate::log::walk::{HeaderWalk, Step};
use crate::protocol::batch::BatchHeader;
use crate::types::{LeaderEpoch, Offset};

/// How much of a log can be believed to be as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The stop was clean: everything was synced.
    Everything,
    /// Everything below the recovery point.
    Below(Offset),
    /// The recovery point is unreadable: everything but the last segment.
    AllButTheLastSegment,
}

/// What is done about damage below the synced position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCorruption {
    /// An error; nothing is changed.
    Refuse,
    /// Cut there, as Kafka does.
    Truncate,
}

/// What a log's segments hold.
#[derive(Debug, Default)]
pub struct Recovered {
    /// In order; the segments behind these are to be dropped.
    pub kept: Vec<Kept>,
    /// The log end offset.
    pub next_offset: Offset,
    /// Everything from here on was read and checked.
    pub scan_start: Offset,
    /// Bytes read and checked.
    pub scanned_bytes: u64,
    /// What ended the log, if not its end.
    pub torn: Option<Torn>,
    /// Where epochs begin among the batches walked.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
}

/// A segment that stays.
#[derive(Debug)]
pub struct Kept {
    pub base_offset: Offset,
    /// Bytes of whole batches; the file may be longer.
    pub size: u64,
    /// `None`: the segment was not opened, its index files are believed until they are used.
    pub walked: Option<Walked>,
}

/// The indexes of a segment that was walked.
#[derive(Clone, Debug)]
pub struct Walked {
    pub indexes: LoadedIndexes,
    /// How many of the entries, from the first on, were found in the files.
    pub offsets_in_file: usize,
    pub times_in_file: usize,
    /// Bytes that had to be checked: the data may not be synced.
    pub is_scanned: bool,
    pub rule: IndexRule,
}

/// The first bad byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment it is in.
    pub base_offset: Offset,
    pub position: u64,
    pub offset: Offset,
    pub detail: String,
}

/// Reads `segments`, ascending, each with the length of its file. Fails with
/// [`Error::Corrupt`] on damage below the synced position (R6), unless that is to be cut.
pub fn recover(
    segments: &[(Arc<Segment>, u64)],
    trust: Trust,
    on_corruption: OnCorruption,
    index_interval_bytes: u32,
) -> Result<Recovered, Error> {
    let Some(((first, _), (last, _))) = segments.first().zip(segments.last()) else {
        return Ok(Recovered::default());
    };
    let (begin, trusted, synced) = match trust {
        Trust::Everything => (segments.len() - 1, Offset::MAX, Offset::MAX),
        Trust::Below(point) => {
            let above = segments.partition_point(|(s, _)| s.base_offset() <= point);
            (above.saturating_sub(1), point, point)
        }
        Trust::AllButTheLastSegment => (0, first.base_offset(), last.base_offset()),
    };
    let mut recovery = Recovery {
        segments,
        trust,
        trusted,
        synced,
        on_corruption,
        index_interval_bytes,
        expected: segments[begin].0.base_offset(),
        epoch: -1,
        found: Recovered::default(),
    };
    recovery.found.scan_start = Offset::MAX;
    recovery.run(begin)?;
    let mut found = recovery.found;
    found.next_offset = recovery.expected;
    found.scan_start = found.scan_start.min(found.next_offset);
    Ok(found)
}

struct Recovery<'a> {
    segments: &'a [(Arc<Segment>, u64)],
    trust: Trust,
    /// Batches that begin below are believed by their header; from here on they are checked.
    trusted: Offset,
    /// Damage below is corruption.
    synced: Offset,
    on_corruption: OnCorruption,
    index_interval_bytes: u32,
    /// The end of what was walked.
    expected: Offset,
    epoch: LeaderEpoch,
    found: Recovered,
}

/// Walking a segment ended early: no segment behind it is looked at.
struct Ended;

impl Recovery<'_> {
    fn run(&mut self, begin: usize) -> Result<(), Error> {
        for (segment, length) in &self.segments[..begin] {
            if *length == 0 {
                // R2: only the last may be empty.
                self.expected = segment.base_offset();
                return self.damage(segment, 0, self.expected, "the segment is empty");
            }
            self.found.kept.push(Kept {
                base_offset: segment.base_offset(),
                size: *length,
                walked: None,
            });
        }
        for index in begin..self.segments.len() {
            if let Some(Ended) = self.segment(index, index == begin)? {
                return Ok(());
            }
        }
        if let Trust::Below(point) = self.trust
            && self.expected < point
            && let Some((last, length)) = self.segments.last()
        {
            let detail = format!("the log ends below its recovery point {point}");
            self.damage(last, *length, self.expected, &detail)?;
        }
        Ok(())
    }

    /// Walks one segment and checks what is not trusted.
    fn segment(&mut self, index: usize, is_first: bool) -> Result<Option<Ended>, Error> {
        let (segment, length) = &self.segments[index];
        let end_before = self.expected;
        if !is_first && let Some(ended) = self.boundary(index)? {
            return Ok(Some(ended));
        }
        let (mut walk, mut walked) = if is_first {
            self.resume(segment, *length)?
        } else {
            self.whole(segment, *length)
        };
        self.expected = walk.expected().max(self.expected);
        let damage = self.walk(&mut walk, &mut walked)?;
        if self.trust == Trust::Everything && walked.times_in_file == 0 {
            keep_closing_entry(segment, &mut walked)?;
        }
        let size = match is_planted("recovery.tail-kept") {
            true => *length,
            false => walk.position(),
        };
        if let Some(detail) = damage {
            self.damage(segment, size, self.expected, detail)?;
            if size == 0 && !is_first {
                // Nothing of it is whole: the log ends with the segment before.
                self.expected = end_before;
                if end_before < segment.base_offset() {
                    let (before, length) = &self.segments[index - 1];
                    self.damage(before, *length, end_before, "the next segment is not whole")?;
                }
                return Ok(Some(Ended));
            }
        }
        self.found.kept.push(Kept {
            base_offset: segment.base_offset(),
            size,
            walked: Some(walked),
        });
        Ok(damage.map(|_| Ended))
    }

    /// Whether the segment at `index` follows the one before it.
    fn boundary(&mut self, index: usize) -> Result<Option<Ended>, Error> {
        let (segment, next_length) = &self.segments[index];
        let (before, length) = &self.segments[index - 1];
        let base_offset = segment.base_offset();
        // Compaction leaves gaps between segments, but none above the recovery point.
        let gap_is_fine =
            self.trust == Trust::AllButTheLastSegment && *length > 0 && *next_length > 0;
        if base_offset == self.expected || (base_offset > self.expected && gap_is_fine) {
            self.expected = base_offset;
            return Ok(None);
        }
        let detail = format!("the next segment begins at {base_offset}");
        self.damage(before, *length, self.expected, &detail)?;
        Ok(Some(Ended))
    }

    /// Walks to the end of the segment; returns what is wrong where the walk stands, if it
    /// ended early.
    fn walk(
        &mut self,
        walk: &mut HeaderWalk,
        walked: &mut Walked,
    ) -> Result<Option<&'static str>, Error> {
        loop {
            let header = match walk.peek()? {
                Step::End => return Ok(None),
                Step::Bad(detail) => return Ok(Some(detail)),
                Step::Batch(header) => header,
            };
            if header.partition_leader_epoch < self.epoch {
                return Ok(Some("the leader epoch is older than in the batch before"));
            }
            if header.base_offset >= self.trusted {
                if !walked.is_scanned {
                    walked.is_scanned = true;
                    walk.read_everything();
                    self.found.scan_start = self.found.scan_start.min(header.base_offset);
                }
                if !walk.crc_matches(&header)? {
                    return Ok(Some("the checksum of the batch is wrong"));
                }
                self.found.scanned_bytes += header.total_size() as u64;
            } else if header.next_offset() > self.trusted {
                return Ok(Some("the recovery point lies inside a batch"));
            }
            self.note_epoch(&header);
            let position = walk.position();
            if let Some((offset, time)) = walked.rule.batch(&header, position) {
                walked.indexes.offsets.push(offset);
                walked.indexes.times.extend(time);
            }
            walk.pass(&header);
            self.expected = walk.expected();
        }
    }

    fn note_epoch(&mut self, header: &BatchHeader) {
        if header.partition_leader_epoch > self.epoch {
            self.epoch = header.partition_leader_epoch;
            self.found.epochs.push((self.epoch, header.base_offset));
        }
    }

    /// R3: the walk to the first batch that is not trusted begins with the last index entry
    /// below it, if the index files are to be believed that far, else at the segment's start.
    fn resume(
        &mut self,
        segment: &Arc<Segment>,
        length: u64,
    ) -> Result<(HeaderWalk, Walked), Error> {
        let (mut indexes, _) = segment.read_index_files()?;
        let below = |relative: u32| segment.base_offset() + i64::from(relative) < self.trusted;
        indexes
            .offsets
            .retain(|e| below(e.relative_offset) && u64::from(e.position) < length);
        indexes.times.retain(|e| below(e.relative_offset));
        let Some(last) = indexes.offsets.last() else {
            return Ok(self.whole(segment, length));
        };
        let mut walk = segment.walk(last.position.into(), length);
        let Step::Batch(header) = walk.peek()? else {
            return Ok(self.whole(segment, length));
        };
        let last_time = indexes.times.last().map_or(-1, |entry| entry.timestamp);
        // The time index is written first, so it may not lag behind the offset index.
        let is_true = segment.is_true(last, &mut walk)?
            && header.max_timestamp <= last_time
            && segment.last_time_is_true(&indexes, length)?;
        if !is_true || header.next_offset() > self.trusted {
            return Ok(self.whole(segment, length));
        }
        let mut rule = IndexRule::new(segment.base_offset(), self.index_interval_bytes);
        rule.resume(indexes.times.last());
        rule.resume_batch(&header);
        self.note_epoch(&header);
        walk.pass(&header);
        let walked = Walked {
            offsets_in_file: indexes.offsets.len(),
            times_in_file: indexes.times.len(),
            indexes,
            is_scanned: false,
            rule,
        };
        Ok((walk, walked))
    }

    /// A walk that begins at the segment's start and makes its indexes anew.
    fn whole(&self, segment: &Arc<Segment>, length: u64) -> (HeaderWalk, Walked) {
        let rule = IndexRule::new(segment.base_offset(), self.index_interval_bytes);
        let walked = Walked {
            indexes: LoadedIndexes::default(),
            offsets_in_file: 0,
            times_in_file: 0,
            is_scanned: false,
            rule,
        };
        (segment.walk(0, length), walked)
    }

    /// R5 and R6: what is bad at `position` ends the log there, or is corruption.
    fn damage(
        &mut self,
        segment: &Segment,
        position: u64,
        offset: Offset,
        detail: &str,
    ) -> Result<(), Error> {
        if offset < self.synced && self.on_corruption == OnCorruption::Refuse {
            return Err(Error::Corrupt {
                path: segment.log().path().to_path_buf(),
                position,
                offset,
                detail: detail.to_string(),
            });
        }
        self.found.torn = Some(Torn {
            base_offset: segment.base_offset(),
            position,
            offset,
            detail: detail.to_string(),
        });
        Ok(())
    }
}

/// The clean stop of a segment too small for offset entries has left a time index that ends with
/// the segment's maximum. It is right, so it need not be written again.
fn keep_closing_entry(segment: &Segment, walked: &mut Walked) -> Result<(), Error> {
    let (found, is_whole) = segment.read_index_files()?;
    let mut closed = walked.clone();
    closed.indexes.times.extend(closed.rule.close());
    if is_whole && found == closed.indexes {
        closed.offsets_in_file = found.offsets.len();
        closed.times_in_file = found.times.len();
        *walked = closed;
    }
    Ok(())
}

/// R1: what the names of a directory's files ask for before anything is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NameSteps {
    pub delete: Vec<String>,
    /// From, to; after the deletions.
    pub rename: Vec<(String, String)>,
}

/// R1. `*.tmp`, `*.deleted` and `*.cleaned` never counted. A `.log.swap` is a committed
/// compaction: it takes the place of the segments that begin inside its offsets, which end at
/// `swaps[base]`. An index needs its log.
pub fn name_steps(names: &BTreeMap<String, u64>, swaps: &BTreeMap<Offset, Offset>) -> NameSteps {
    let is_log = |at: Offset| names.contains_key(&crate::log::segment::file_name(at, "log"));
    let is_replaced = |at: Offset| {
        let swap = swaps.range(..=at).next_back();
        swap.is_some_and(|(&base, &end)| at < end.max(base + 1))
    };
    let mut steps = NameSteps::default();
    for name in names.keys() {
        let base = base_of(name);
        let is_leftover = [".tmp", ".deleted", ".cleaned"]
            .iter()
            .any(|s| name.ends_with(s));
        let is_dead = match (base, name.strip_suffix(".swap")) {
            _ if is_leftover => true,
            (Some(base), Some(kept)) if swaps.contains_key(&base) => {
                steps.rename.push((name.clone(), kept.to_string()));
                false
            }
            (Some(_), Some(_)) => true,
            (Some(base), None) if name.ends_with(".log") => is_replaced(base),
            (Some(base), None) if name.ends_with("index") => is_replaced(base) || !is_log(base),
            _ => false,
        };
        if is_dead {
            steps.delete.push(name.clone());
        }
    }
    steps
}

/// The offset a file's name begins with: 20 digits and a point.
pub fn base_of(name: &str) -> Option<Offset> {
    let (digits, rest) = name.split_at_checked(20)?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    (all_digits && rest.starts_with('.')).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod images;
#[cfg(test)]
mod tests;
