//! Where in a segment a reader begins to walk: by offset, by position, by timestamp.
//!
//! An index entry is believed only after the batch it points at has been looked at, so a damaged
//! index costs a rebuild and never a wrong answer. Loaded index files are kept in a cache
//! bounded by bytes. (Kafka: LogSegment.translateOffset, LazyIndex.)

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tracing::warn;

use crate::log::Error;
use crate::log::files::lock;
use crate::log::index::{self, OffsetEntry};
use crate::log::index_rule::{IndexRule, MIN_INDEX_INTERVAL};
use crate::log::log_file::Cached;
use crate::log::segment::{Indexes, LoadedIndexes, Segment};
use crate::log::time_index::{LargestTimestamp, TimeEntry};
use crate::log::walk::{HeaderWalk, Step};
use crate::types::{Millis, Offset};

impl Segment {
    /// A walk over `[.., end)` that begins at or before the batch that holds `offset`, at most
    /// one index interval before it.
    pub fn walk_to_offset(self: &Arc<Self>, offset: Offset, end: u64) -> Result<HeaderWalk, Error> {
        self.walk_behind(end, |entry| self.offset_at(entry.relative_offset) <= offset)
    }

    /// A walk over `[.., end)` that begins with a batch at or below `position`.
    pub fn walk_to_position(
        self: &Arc<Self>,
        position: u64,
        end: u64,
    ) -> Result<HeaderWalk, Error> {
        self.walk_behind(end, |entry| u64::from(entry.position) <= position)
    }

    /// A walk over `[.., end)` such that every batch before it has only timestamps below
    /// `timestamp`.
    pub fn walk_to_time(
        self: &Arc<Self>,
        timestamp: Millis,
        end: u64,
    ) -> Result<HeaderWalk, Error> {
        let at = |entry: &TimeEntry| entry.timestamp <= timestamp;
        let Some(entry) = self.last_time_entry(at)? else {
            return Ok(self.walk(0, end));
        };
        if let Some(walk) = self.walk_to_time_entry(&entry, end)? {
            return Ok(walk);
        }
        let rebuilt = self.rebuild_and_keep()?;
        match last_of(&rebuilt.times, at) {
            Some(entry) => self.walk_to_offset(self.offset_at(entry.relative_offset), end),
            None => Ok(self.walk(0, end)),
        }
    }

    /// The largest timestamp of a sealed segment: the last entry of its time index.
    pub fn largest_timestamp(self: &Arc<Self>) -> Result<LargestTimestamp, Error> {
        if let Some(known) = self.largest.get() {
            return Ok(*known);
        }
        let last = self.load()?.times.last().copied();
        let largest = last.map_or(LargestTimestamp::NONE, |entry| LargestTimestamp {
            timestamp: entry.timestamp,
            offset: self.offset_at(entry.relative_offset),
        });
        Ok(*self.largest.get_or_init(|| largest))
    }

    /// A walk over `[position, end)`; `position` must be a batch boundary.
    pub fn walk(&self, position: u64, end: u64) -> HeaderWalk {
        HeaderWalk::new(self.log(), self.base_offset(), position, end)
    }

    /// The two index files as far as they have the right shape, and whether that is all.
    pub fn read_index_files(&self) -> Result<(LoadedIndexes, bool), Error> {
        let (offsets, offsets_whole) = index::parse(self.read_index("index")?.as_deref());
        let (times, times_whole) = index::parse(self.read_index("timeindex")?.as_deref());
        Ok((
            LoadedIndexes { offsets, times },
            offsets_whole && times_whole,
        ))
    }

    /// All index entries for batches that end below `offset`.
    pub fn indexes_below(self: &Arc<Self>, offset: Offset) -> Result<LoadedIndexes, Error> {
        let (in_file, recent) = match &*self.read_indexes() {
            Indexes::Sealed { .. } => ((usize::MAX, usize::MAX), LoadedIndexes::default()),
            Indexes::Active { offsets, times } => {
                let recent = LoadedIndexes {
                    offsets: offsets.recent().to_vec(),
                    times: times.recent().to_vec(),
                };
                ((offsets.in_file(), times.in_file()), recent)
            }
        };
        let mut all = LoadedIndexes::default();
        if in_file != (0, 0) {
            let loaded = self.load()?;
            all.offsets.extend(loaded.offsets.iter().take(in_file.0));
            all.times.extend(loaded.times.iter().take(in_file.1));
        }
        all.offsets.extend(recent.offsets);
        all.times.extend(recent.times);
        all.offsets
            .retain(|entry| self.offset_at(entry.relative_offset) < offset);
        all.times
            .retain(|entry| self.offset_at(entry.relative_offset) < offset);
        Ok(all)
    }

    /// Whether an entry tells the truth: moves nothing, looks at the batch under `walk`.
    pub fn is_true(&self, entry: &OffsetEntry, walk: &mut HeaderWalk) -> Result<bool, Error> {
        let expected = self.offset_at(entry.relative_offset);
        Ok(matches!(walk.peek()?, Step::Batch(header) if header.last_offset() == expected))
    }

    fn offset_at(&self, relative_offset: u32) -> Offset {
        self.base_offset() + i64::from(relative_offset)
    }

    /// A walk from the last entry for which `at` holds; it must hold for a prefix of them.
    fn walk_behind(
        self: &Arc<Self>,
        end: u64,
        at: impl Fn(&OffsetEntry) -> bool,
    ) -> Result<HeaderWalk, Error> {
        let at = |entry: &OffsetEntry| at(entry) && u64::from(entry.position) < end;
        let (entry, is_loaded) = match self.in_memory(|offsets, _| last_of(offsets, at)) {
            InMemory::Found(entry) => (Some(entry), false),
            InMemory::Nothing => (None, false),
            InMemory::AskFile => (last_of(&self.load()?.offsets, at), true),
        };
        let mut walk = self.walk(entry.map_or(0, |entry| entry.position.into()), end);
        let Some(entry) = entry else {
            return Ok(walk);
        };
        if self.is_true(&entry, &mut walk)? {
            return Ok(walk);
        }
        if !is_loaded {
            return Err(walk.corrupt("the batch that was written here is gone"));
        }
        let rebuilt = self.rebuild_and_keep()?;
        let entry = last_of(&rebuilt.offsets, at);
        Ok(self.walk(entry.map_or(0, |entry| entry.position.into()), end))
    }

    fn last_time_entry(
        self: &Arc<Self>,
        at: impl Fn(&TimeEntry) -> bool,
    ) -> Result<Option<TimeEntry>, Error> {
        match self.in_memory(|_, times| last_of(times, &at)) {
            InMemory::Found(entry) => Ok(Some(entry)),
            InMemory::Nothing => Ok(None),
            InMemory::AskFile => Ok(last_of(&self.load()?.times, at)),
        }
    }

    /// A walk that begins at or before the batch of a time entry; `None` if that batch does not
    /// have this timestamp.
    fn walk_to_time_entry(
        self: &Arc<Self>,
        entry: &TimeEntry,
        end: u64,
    ) -> Result<Option<HeaderWalk>, Error> {
        let offset = self.offset_at(entry.relative_offset);
        let mut walk = self.walk_to_offset(offset, end)?;
        loop {
            match walk.peek()? {
                Step::Batch(header) if header.last_offset() < offset => walk.pass(&header),
                Step::Batch(header) => {
                    let is_true =
                        header.last_offset() == offset && header.max_timestamp == entry.timestamp;
                    return Ok(is_true.then_some(walk));
                }
                Step::End => return Ok(None),
                Step::Bad(detail) => return Err(walk.corrupt(detail)),
            }
        }
    }

    fn in_memory<R>(
        &self,
        pick: impl Fn(&[OffsetEntry], &[TimeEntry]) -> Option<R>,
    ) -> InMemory<R> {
        match &*self.read_indexes() {
            Indexes::Sealed { .. } => InMemory::AskFile,
            Indexes::Active { offsets, times } => match pick(offsets.recent(), times.recent()) {
                Some(found) => InMemory::Found(found),
                None if offsets.in_file() == 0 && times.in_file() == 0 => InMemory::Nothing,
                None => InMemory::AskFile,
            },
        }
    }

    /// The index files, from the cache or read, checked and if need be rebuilt.
    fn load(self: &Arc<Self>) -> Result<Arc<LoadedIndexes>, Error> {
        self.used.store(true, Ordering::Relaxed);
        let wanted = self.wanted();
        if let Some(loaded) = &*lock(&self.loaded)
            && wanted.is_covered_by(loaded)
        {
            return Ok(loaded.clone());
        }
        let (loaded, whole) = self.read_index_files()?;
        let good = wanted.is_covered_by(&loaded)
            && (!wanted.everything || (whole && self.ends_are_true(&loaded, wanted.end)?));
        if good {
            return Ok(self.keep(loaded));
        }
        self.rebuild_and_keep()
    }

    /// What the index files must hold for a look-up.
    fn wanted(&self) -> Wanted {
        match &*self.read_indexes() {
            Indexes::Sealed { size } => Wanted {
                end: *size,
                offsets: 0,
                times: 0,
                everything: true,
            },
            Indexes::Active { offsets, times } => Wanted {
                end: u64::MAX,
                offsets: offsets.in_file(),
                times: times.in_file(),
                everything: false,
            },
        }
    }

    /// Whether the last entries are true. Behind a true last offset entry the segment must end
    /// with a whole batch, or it is damaged.
    fn ends_are_true(self: &Arc<Self>, loaded: &LoadedIndexes, end: u64) -> Result<bool, Error> {
        let mut walk = self.walk(0, end);
        if let Some(last) = loaded.offsets.last() {
            let position = u64::from(last.position);
            walk = self.walk(position.min(end), end);
            if !self.is_true(last, &mut walk)? {
                return Ok(false);
            }
        }
        while walk.next_batch()?.is_some() {}
        self.last_time_is_true(loaded, end)
    }

    /// Whether the last time entry names a batch that has this timestamp.
    pub fn last_time_is_true(&self, indexes: &LoadedIndexes, end: u64) -> Result<bool, Error> {
        let Some(last) = indexes.times.last() else {
            return Ok(true);
        };
        let offset = self.offset_at(last.relative_offset);
        let start = last_of(&indexes.offsets, |entry| {
            self.offset_at(entry.relative_offset) <= offset
        });
        let mut walk = self.walk(start.map_or(0, |entry| entry.position.into()), end);
        while let Step::Batch(header) = walk.peek()? {
            if header.last_offset() >= offset {
                return Ok(header.last_offset() == offset && header.max_timestamp == last.timestamp);
            }
            walk.pass(&header);
        }
        Ok(false)
    }

    /// Both indexes from the batch headers, as they would have been written. The files are
    /// replaced if that is possible.
    fn rebuild_and_keep(self: &Arc<Self>) -> Result<Arc<LoadedIndexes>, Error> {
        warn!(path = %self.path("index").display(), "index does not fit its segment, rebuilding it");
        let wanted = self.wanted();
        let mut rule = IndexRule::new(self.base_offset(), MIN_INDEX_INTERVAL);
        let mut rebuilt = LoadedIndexes::default();
        let mut walk = self.walk(0, wanted.end.min(self.log().length()?));
        while wanted.everything || !wanted.is_covered_by(&rebuilt) {
            let Some((position, header)) = walk.next_batch()? else {
                break;
            };
            if let Some((offset, time)) = rule.batch(&header, position) {
                rebuilt.offsets.push(offset);
                rebuilt.times.extend(time);
            }
        }
        if wanted.everything {
            rebuilt.times.extend(rule.close());
            let deleted = lock(&self.deleted);
            if !*deleted && let Err(error) = self.replace_index_files(&rebuilt) {
                warn!(%error, "rebuilt index is kept in memory only");
            }
        }
        Ok(self.keep(rebuilt))
    }

    fn keep(self: &Arc<Self>, loaded: LoadedIndexes) -> Arc<LoadedIndexes> {
        let bytes = loaded.offsets.len() * size_of::<OffsetEntry>()
            + loaded.times.len() * size_of::<TimeEntry>();
        let loaded = Arc::new(loaded);
        *lock(&self.loaded) = Some(loaded.clone());
        let cached: Weak<dyn Cached> = Arc::<Segment>::downgrade(self);
        self.files.sealed_indexes().admit(cached, bytes);
        loaded
    }
}

enum InMemory<R> {
    Found(R),
    /// The indexes are all in memory and have no such entry.
    Nothing,
    AskFile,
}

struct Wanted {
    /// Where the indexed part of the log ends.
    end: u64,
    offsets: usize,
    times: usize,
    /// The files must cover the whole segment.
    everything: bool,
}

impl Wanted {
    fn is_covered_by(&self, loaded: &LoadedIndexes) -> bool {
        loaded.offsets.len() >= self.offsets && loaded.times.len() >= self.times
    }
}

/// The last of `entries` for which `at` holds; it must hold for a prefix of them.
fn last_of<E: Copy>(entries: &[E], at: impl Fn(&E) -> bool) -> Option<E> {
    let above = entries.partition_point(at);
    Some(entries[above.checked_sub(1)?])
}

impl Cached for Segment {
    fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    fn evict(&self) {
        *lock(&self.loaded) = None;
    }
}
