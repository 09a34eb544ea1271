//! One `.log` file, open or not, and the cache that decides which are: a broker has more segments
//! than descriptors. The same cache bounds the loaded indexes of sealed segments.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::log::Error;
use crate::log::files::{Files, lock};

/// One `.log` file whose descriptor may be closed at any time by the cache and comes back on
/// the next use. Handed-out descriptors stay valid.
pub struct LogFile {
    path: PathBuf,
    files: Arc<Files>,
    /// Tells apart the deleted names of files that had the same one.
    generation: u64,
    descriptor: Mutex<Option<Arc<File>>>,
    /// [`Name`], changed while the descriptor's lock is held.
    name: AtomicU8,
    used: AtomicBool,
    /// Written since the last sync began.
    dirty: AtomicBool,
    /// How often the descriptor was closed while dirty. A writeback error would be lost with
    /// it, so only `syncfs` can vouch for the data then.
    closed_dirty: AtomicU32,
    vouched: AtomicU32,
}

/// What the file is called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Its own name.
    Final,
    /// Made by compaction, which may still be given up (Kafka: CLEANED_FILE_SUFFIX).
    Cleaned,
    /// Made by compaction, which is certain: a start completes it (Kafka: SWAP_FILE_SUFFIX).
    Swap,
    /// Taken by retention or replaced by compaction (Kafka: DELETED_FILE_SUFFIX).
    Deleted,
}

impl Name {
    /// `path` under this name.
    pub fn of(self, path: &Path, generation: u64) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        match self {
            Name::Final => {}
            Name::Cleaned => name.push(".cleaned"),
            Name::Swap => name.push(".swap"),
            Name::Deleted if generation == 0 => name.push(".deleted"),
            Name::Deleted => name.push(format!(".{generation}.deleted")),
        }
        PathBuf::from(name)
    }
}

/// Compaction gives one name to one file after the other, some of which may wait to be unlinked.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

impl LogFile {
    /// A file that exists; it is opened on first use.
    pub fn existing(files: &Arc<Files>, path: PathBuf) -> Arc<LogFile> {
        LogFile::named(files, path, Name::Final, 0)
    }

    fn named(files: &Arc<Files>, path: PathBuf, name: Name, generation: u64) -> Arc<LogFile> {
        Arc::new(LogFile {
            path,
            files: files.clone(),
            generation,
            descriptor: Mutex::new(None),
            name: AtomicU8::new(name as u8),
            used: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            closed_dirty: AtomicU32::new(0),
            vouched: AtomicU32::new(0),
        })
    }

    /// Creates the file.
    pub fn create(files: &Arc<Files>, path: PathBuf) -> Result<Arc<LogFile>, Error> {
        LogFile::existing(files, path).created()
    }

    /// Creates a file that will get the name `path` once it is certain to take the place of
    /// others. One that was given up before is removed.
    pub fn create_cleaned(files: &Arc<Files>, path: PathBuf) -> Result<Arc<LogFile>, Error> {
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        let log_file = LogFile::named(files, path, Name::Cleaned, generation);
        let stale = log_file.current_path();
        let removed = files.remove(&stale);
        removed.map_err(|e| Error::io("remove", &stale, e))?;
        log_file.created()
    }

    fn created(self: Arc<Self>) -> Result<Arc<LogFile>, Error> {
        let path = self.current_path();
        let file = self.files.open(&path, true);
        let file = file.map_err(|e| Error::io("create", &path, e))?;
        *lock(&self.descriptor) = Some(Arc::new(file));
        self.admit();
        Ok(self)
    }

    pub fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// The path under its own name, whatever it is called now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file is now.
    pub fn current_path(&self) -> PathBuf {
        self.name().of(&self.path, self.generation)
    }

    pub fn name(&self) -> Name {
        match self.name.load(Ordering::Acquire) {
            name if name == Name::Final as u8 => Name::Final,
            name if name == Name::Cleaned as u8 => Name::Cleaned,
            name if name == Name::Swap as u8 => Name::Swap,
            _ => Name::Deleted,
        }
    }

    /// Of the deleted names of this file and those that belong to it; see [`Name::of`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The open descriptor; reopens it if the cache closed it.
    pub fn get(self: &Arc<Self>) -> Result<Arc<File>, Error> {
        self.used.store(true, Ordering::Relaxed);
        let mut slot = lock(&self.descriptor);
        if let Some(file) = &*slot {
            return Ok(file.clone());
        }
        let file = self.files.open(&self.current_path(), false);
        let file = Arc::new(file.map_err(|e| Error::io("open", &self.path, e))?);
        *slot = Some(file.clone());
        drop(slot);
        self.admit();
        Ok(file)
    }

    /// Gives the file another name; descriptors that are open stay valid, and so does opening it
    /// again until it is unlinked.
    pub fn rename(&self, to: Name) -> io::Result<()> {
        let _slot = lock(&self.descriptor);
        let path = to.of(&self.path, self.generation);
        self.files.rename(&self.current_path(), &path)?;
        self.name.store(to as u8, Ordering::Release);
        Ok(())
    }

    pub fn is_deleted(&self) -> bool {
        self.name() == Name::Deleted
    }

    fn admit(self: &Arc<Self>) {
        let cached: Weak<dyn Cached> = Arc::<LogFile>::downgrade(self);
        self.files.descriptors().admit(cached, 1);
    }

    /// Reads until `buf` is full or the file ends; returns the bytes read.
    pub fn read_at(self: &Arc<Self>, buf: &mut [u8], position: u64) -> Result<usize, Error> {
        let file = self.get()?;
        let read = self.files.read_at(&file, buf, position);
        read.map_err(|e| Error::io("read", &self.path, e))
    }

    /// Writes both parts at `position` and remembers that a sync is due.
    pub fn write_at(self: &Arc<Self>, parts: [&[u8]; 2], position: u64) -> Result<(), Error> {
        let file = self.get()?;
        self.dirty.store(true, Ordering::Release);
        let written = self.files.write_at(&file, parts, position);
        written.map_err(|e| Error::io("write", &self.path, e))
    }

    pub fn truncate(self: &Arc<Self>, length: u64) -> Result<(), Error> {
        let file = self.get()?;
        self.dirty.store(true, Ordering::Release);
        let truncated = self.files.truncate(&file, length);
        truncated.map_err(|e| Error::io("truncate", &self.path, e))
    }

    /// The file's length on disk; trailing preallocated zeros count.
    pub fn length(self: &Arc<Self>) -> Result<u64, Error> {
        let metadata = self.get()?.metadata();
        Ok(metadata
            .map_err(|e| Error::io("stat", &self.path, e))?
            .len())
    }

    /// Declares the content unsynced: recovery found it, nobody vouched for it.
    pub fn mark_dirty(&self) {
        self.dirty.store(true, Ordering::Release);
    }

    /// Takes everything written so far into a sync. Needs no lock: what is written later makes
    /// the file dirty again.
    pub fn begin_sync(self: &Arc<Self>) -> PendingSync {
        let descriptor = lock(&self.descriptor).clone();
        let dirty = self.dirty.swap(false, Ordering::AcqRel);
        PendingSync {
            log_file: self.clone(),
            descriptor,
            dirty,
            closed_dirty: self.closed_dirty.load(Ordering::Acquire),
        }
    }
}

/// A sync of one log file.
pub struct PendingSync {
    log_file: Arc<LogFile>,
    descriptor: Option<Arc<File>>,
    dirty: bool,
    closed_dirty: u32,
}

impl PendingSync {
    /// Whether the descriptor was closed while dirty, so that only `syncfs` counts.
    pub fn needs_filesystem_sync(&self) -> bool {
        self.closed_dirty != self.log_file.vouched.load(Ordering::Acquire)
    }

    /// `fdatasync`; nothing if nothing was written.
    pub fn run(&self) -> Result<(), Error> {
        // What retention has taken need not become durable, and may be gone.
        if !self.dirty || self.log_file.is_deleted() {
            return Ok(());
        }
        let descriptor = match &self.descriptor {
            Some(descriptor) => descriptor.clone(),
            None => self.log_file.get()?,
        };
        let synced = self.log_file.files.sync_data(&descriptor);
        synced.map_err(|e| Error::io("sync", &self.log_file.path, e))
    }

    /// A `syncfs` that began after [`LogFile::begin_sync`] has returned.
    pub fn filesystem_synced(&self) {
        self.log_file
            .vouched
            .store(self.closed_dirty, Ordering::Release);
    }
}

impl Cached for LogFile {
    fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    fn evict(&self) {
        let mut slot = lock(&self.descriptor);
        if slot.take().is_some() && self.dirty.load(Ordering::Acquire) {
            self.closed_dirty.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Something a [`SecondChance`] cache may drop.
pub trait Cached: Send + Sync {
    /// Whether it was used since the last call.
    fn take_used(&self) -> bool;
    fn evict(&self);
}

/// A bounded cache whose hits take no shared lock: the oldest entry goes, unless it was used
/// since it was last looked at (the clock algorithm).
pub struct SecondChance {
    limit: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<(Weak<dyn Cached>, usize)>,
    weight: usize,
}

impl SecondChance {
    pub fn new(limit: usize) -> SecondChance {
        SecondChance {
            limit,
            queue: Mutex::default(),
        }
    }

    /// Adds an entry just loaded and drops others until the limit holds. The caller must not
    /// hold the entry's own lock.
    pub fn admit(&self, item: Weak<dyn Cached>, weight: usize) {
        let mut queue = lock(&self.queue);
        queue.entries.push_back((item, weight));
        queue.weight += weight;
        // Every entry gets at most one second chance per call.
        let mut chances = queue.entries.len();
        while queue.weight > self.limit && queue.entries.len() > 1 {
            let Some((item, weight)) = queue.entries.pop_front() else {
                return;
            };
            let Some(live) = item.upgrade() else {
                queue.weight -= weight;
                continue;
            };
            if chances > 0 && live.take_used() {
                chances -= 1;
                queue.entries.push_back((item, weight));
            } else {
                live.evict();
                queue.weight -= weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptor_cache_closes_the_file_not_used_for_longest() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(6);
        let create = |name: &str| LogFile::create(&files, dir.path().join(name)).unwrap();
        let is_open = |file: &LogFile| lock(&file.descriptor).is_some();
        let (a, b) = (create("a"), create("b"));
        a.get().unwrap();
        let c = create("c");
        assert!(
            is_open(&a),
            "a was used since it was opened, b was not: b goes"
        );
        assert!(!is_open(&b) && is_open(&c));
        b.write_at([b"back", b""], 0).unwrap();
        assert_eq!(b.length().unwrap(), 4, "a closed file comes back on use");
    }

    #[test]
    fn a_file_closed_while_dirty_is_vouched_for_by_a_filesystem_sync_only() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(3);
        let a = LogFile::create(&files, dir.path().join("a")).unwrap();
        a.write_at([b"x", b""], 0).unwrap();
        let _b = LogFile::create(&files, dir.path().join("b")).unwrap();
        let _c = LogFile::create(&files, dir.path().join("c")).unwrap();
        let sync = a.begin_sync();
        assert!(sync.needs_filesystem_sync());
        sync.filesystem_synced();
        assert!(!a.begin_sync().needs_filesystem_sync());
    }

    #[test]
    fn a_symbolic_link_in_place_of_a_file_is_neither_followed_nor_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(3);
        let (outside, link) = (dir.path().join("outside"), dir.path().join("a"));
        std::fs::write(&outside, "precious").unwrap();
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert!(LogFile::create(&files, link.clone()).is_err());
        let existing = LogFile::existing(&files, link);
        assert!(existing.write_at([b"x", b""], 0).is_err());
        assert!(existing.length().is_err());
        assert_eq!(std::fs::read(&outside).unwrap(), b"precious");
    }
}
