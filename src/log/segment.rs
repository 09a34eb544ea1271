//! One segment: a `.log` file and its two indexes. Shared by the partition, which appends under
//! its lock, and by readers, which hold no lock; how readers find a batch is in
//! [`crate::log::find`].
//!
//! The indexes of the active segment are in memory and reach their files in bulk; those of a
//! sealed segment are in their files only. (Kafka: LogSegment.)

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::faults::crash_point;
use crate::log::Error;
use crate::log::files::{Files, lock};
use crate::log::index::{self, Entries, OffsetEntry};
use crate::log::log_file::{LogFile, Name};
use crate::log::time_index::{LargestTimestamp, TimeEntry};
use crate::types::Offset;

/// The name of a segment's file: 20 digits and `suffix` (`log`, `index`, `timeindex`).
pub fn file_name(base_offset: Offset, suffix: &str) -> String {
    format!("{base_offset:020}.{suffix}")
}

/// What the files of a segment end with.
pub const SUFFIXES: [&str; 4] = ["log", "index", "timeindex", "txnindex"];

pub struct Segment {
    base_offset: Offset,
    directory: PathBuf,
    pub(super) files: Arc<Files>,
    log: Arc<LogFile>,
    indexes: RwLock<Indexes>,
    /// The index files as last read; the cache may empty it.
    pub(super) loaded: Mutex<Option<Arc<LoadedIndexes>>>,
    pub(super) used: AtomicBool,
    /// Of a sealed segment, once somebody asked.
    pub(super) largest: OnceLock<LargestTimestamp>,
    /// Held while the index files are written or renamed behind the back of the log. True once
    /// all files have their deleted names.
    pub(super) deleted: Mutex<bool>,
}

/// Both indexes while the segment is active; nothing in memory once it is sealed.
pub(super) enum Indexes {
    Active {
        offsets: Entries<OffsetEntry>,
        times: Entries<TimeEntry>,
    },
    Sealed {
        /// Bytes of batches.
        size: u64,
    },
}

/// The two index files of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedIndexes {
    pub offsets: Vec<OffsetEntry>,
    pub times: Vec<TimeEntry>,
}

/// Index entries on their way to the files: the entry they begin with, and bytes.
#[derive(Debug)]
pub struct IndexTails {
    offsets: (usize, Vec<u8>),
    times: (usize, Vec<u8>),
}

impl Segment {
    /// Creates the `.log` of a new active segment.
    pub fn create(files: &Arc<Files>, dir: &Path, base_offset: Offset) -> Result<Segment, Error> {
        let path = dir.join(file_name(base_offset, "log"));
        let log = LogFile::create(files, path)?;
        let indexes = Indexes::Active {
            offsets: Entries::default(),
            times: Entries::default(),
        };
        Ok(Segment::with(files, dir, base_offset, log, indexes))
    }

    /// A completed segment of `size` bytes that compaction has made: `log` and its indexes have
    /// other names until [`Segment::rename_cleaned`].
    pub fn cleaned(dir: &Path, base_offset: Offset, log: Arc<LogFile>, size: u64) -> Segment {
        let files = log.files().clone();
        Segment::with(&files, dir, base_offset, log, Indexes::Sealed { size })
    }

    /// An existing sealed segment of `size` bytes. Opens nothing.
    pub fn sealed(files: &Arc<Files>, dir: &Path, base_offset: Offset, size: u64) -> Segment {
        let log = LogFile::existing(files, dir.join(file_name(base_offset, "log")));
        Segment::with(files, dir, base_offset, log, Indexes::Sealed { size })
    }

    /// A segment found on disk becomes the active one, with indexes verified or rebuilt.
    pub fn activate(&self, offsets: Entries<OffsetEntry>, times: Entries<TimeEntry>) {
        *self.write_indexes() = Indexes::Active { offsets, times };
        *lock(&self.loaded) = None;
    }

    fn with(
        files: &Arc<Files>,
        dir: &Path,
        base_offset: Offset,
        log: Arc<LogFile>,
        indexes: Indexes,
    ) -> Segment {
        Segment {
            base_offset,
            directory: dir.to_path_buf(),
            files: files.clone(),
            log,
            indexes: RwLock::new(indexes),
            loaded: Mutex::new(None),
            used: AtomicBool::new(false),
            largest: OnceLock::new(),
            deleted: Mutex::new(false),
        }
    }

    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    pub fn log(&self) -> &Arc<LogFile> {
        &self.log
    }

    /// The path of one of the segment's files.
    pub fn path(&self, suffix: &str) -> PathBuf {
        self.directory.join(file_name(self.base_offset, suffix))
    }

    /// Gives every file of a segment that left the log its deleted name and returns those names.
    /// A file that is not there, because its whole directory got another name, is passed over.
    pub fn rename_deleted(&self) -> Result<Vec<PathBuf>, Error> {
        let mut deleted = lock(&self.deleted);
        let mut renamed = Vec::new();
        for suffix in SUFFIXES {
            crash_point("retention.renaming");
            let path = self.path(suffix);
            let to = Name::Deleted.of(&path, self.log.generation());
            let outcome = match suffix {
                "log" => self.log.rename(Name::Deleted),
                _ => self.files.rename(&path, &to),
            };
            match outcome {
                Ok(()) => renamed.push(to),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("rename", &path, e)),
            }
        }
        *deleted = true;
        Ok(renamed)
    }

    /// Gives the log and the indexes of a segment that compaction has made their next name, the
    /// log last: what a start makes of the others depends on it.
    pub fn rename_cleaned(&self, to: Name) -> Result<(), Error> {
        let _deleted = lock(&self.deleted);
        for suffix in ["timeindex", "index"] {
            let path = self.path(suffix);
            let from = self.log.name().of(&path, 0);
            let renamed = self.files.rename(&from, &to.of(&path, 0));
            renamed.map_err(|e| Error::io("rename", &from, e))?;
        }
        crash_point("compaction.renaming");
        let renamed = self.log.rename(to);
        renamed.map_err(|e| Error::io("rename", self.log.path(), e))
    }

    /// The content of an index file under whichever name it has.
    pub(super) fn read_index(&self, suffix: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(suffix);
        let read = |name: Name| {
            let path = name.of(&path, self.log.generation());
            let bytes = self.files.read_file(&path);
            bytes.map_err(|e| Error::io("read", &path, e))
        };
        let name = self.log.name();
        match read(name)? {
            None if name != Name::Final => {
                // It may just be getting another name.
                let _deleted = lock(&self.deleted);
                read(self.log.name())
            }
            bytes => Ok(bytes),
        }
    }

    /// Whether the files have their deleted names, or are gone.
    pub fn is_deleted(&self) -> bool {
        *lock(&self.deleted)
    }

    /// Adds what [`crate::log::index_rule::IndexRule::batch`] made of an append.
    pub fn add_entries(&self, entries: (OffsetEntry, Option<TimeEntry>)) {
        if let Indexes::Active { offsets, times } = &mut *self.write_indexes() {
            offsets.push(entries.0);
            entries.1.into_iter().for_each(|entry| times.push(entry));
        }
    }

    /// Whether one more entry would make an index file larger than `limit` bytes.
    pub fn is_index_full(&self, limit: u32) -> bool {
        match &*self.read_indexes() {
            Indexes::Active { offsets, times } => {
                let full = |entries: usize, size: usize| (entries + 1) * size > limit as usize;
                !offsets.is_empty() && (full(offsets.len(), 8) || full(times.len(), 12))
            }
            Indexes::Sealed { .. } => true,
        }
    }

    /// Entries of the active segment that its files do not hold yet; `None` if there are none.
    pub fn unpersisted(&self) -> Option<IndexTails> {
        match &*self.read_indexes() {
            Indexes::Active { offsets, times } => {
                let tails = IndexTails {
                    offsets: offsets.unpersisted(),
                    times: times.unpersisted(),
                };
                (!tails.offsets.1.is_empty() || !tails.times.1.is_empty()).then_some(tails)
            }
            Indexes::Sealed { .. } => None,
        }
    }

    /// Writes index entries to their places in the two files. What lies beyond stays: a slow
    /// flush may write behind the back of a roll that has already written more of the same.
    /// The time index goes first: an offset index that reaches further would hide a maximum.
    pub fn write_index_files(&self, tails: &IndexTails, sync: bool) -> Result<(), Error> {
        let write = |suffix: &str, (count, bytes): &(usize, Vec<u8>), size: usize| {
            let path = self.path(suffix);
            self.files
                .write_part(&path, (count * size) as u64, bytes, sync)
                .map_err(|e| Error::io("write", &path, e))
        };
        write("timeindex", &tails.times, 12)?;
        write("index", &tails.offsets, 8)
    }

    /// Makes `indexes` the whole content of the two files.
    pub fn replace_index_files(&self, indexes: &LoadedIndexes) -> Result<(), Error> {
        let replace = |suffix: &str, bytes: &[u8]| {
            let path = self.path(suffix);
            let replaced = self.files.replace_file(&path, bytes, false);
            replaced.map_err(|e| Error::io("write", &path, e))
        };
        replace("timeindex", &index::encode(&indexes.times))?;
        replace("index", &index::encode(&indexes.offsets))
    }

    /// `tails` are in the files now. See [`Entries::persisted`] for `idle`.
    pub fn persisted(&self, tails: &IndexTails, idle: bool) {
        if let Indexes::Active { offsets, times } = &mut *self.write_indexes() {
            offsets.persisted(tails.offsets.0 + tails.offsets.1.len() / 8, idle);
            times.persisted(tails.times.0 + tails.times.1.len() / 12, idle);
        }
    }

    /// Adds the closing time entry, if there is one, and writes what the files lack. They are
    /// whole afterwards; durable with `sync`, but for their names.
    pub fn finish_indexes(&self, closing: Option<TimeEntry>, sync: bool) -> Result<(), Error> {
        let tails = match &mut *self.write_indexes() {
            Indexes::Sealed { .. } => return Ok(()),
            Indexes::Active { offsets, times } => {
                closing.into_iter().for_each(|entry| times.push(entry));
                IndexTails {
                    offsets: offsets.unpersisted(),
                    times: times.unpersisted(),
                }
            }
        };
        self.write_index_files(&tails, sync)?;
        self.persisted(&tails, false);
        Ok(())
    }

    /// The segment takes no more appends; its index files are whole (see
    /// [`Segment::finish_indexes`]) and memory lets go of them.
    pub fn seal(&self, size: u64) {
        *self.write_indexes() = Indexes::Sealed { size };
    }

    /// Remembers the largest timestamp of a segment that has just been completed.
    pub fn note_largest(&self, largest: LargestTimestamp) {
        let _ = self.largest.set(largest); // never another one
    }

    pub(super) fn read_indexes(&self) -> RwLockReadGuard<'_, Indexes> {
        self.indexes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_indexes(&self) -> RwLockWriteGuard<'_, Indexes> {
        self.indexes.write().unwrap_or_else(PoisonError::into_inner)
    }
}
