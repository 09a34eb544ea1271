//! One `.log` file, open or not, and the cache that decides which are: a broker has more segments
//! than descriptors. The same cache bounds the loaded indexes of sealed segments.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::log::Error;
use crate::log::files::{Files, lock};

/// One `.log` file whose descriptor may be closed at any time by the cache and comes back on
/// the next use. Handed-out descriptors stay valid.
pub struct LogFile {
    path: PathBuf,
    files: Arc<Files>,
    descriptor: Mutex<Option<Arc<File>>>,
    /// The file has got its deleted name.
    deleted: AtomicBool,
    used: AtomicBool,
    /// Written since the last sync began.
    dirty: AtomicBool,
    /// How often the descriptor was closed while dirty. A writeback error would be lost with
    /// it, so only `syncfs` can vouch for the data then.
    closed_dirty: AtomicU32,
    vouched: AtomicU32,
}

impl LogFile {
    /// A file that exists; it is opened on first use.
    pub fn existing(files: &Arc<Files>, path: PathBuf) -> Arc<LogFile> {
        Arc::new(LogFile {
            path,
            files: files.clone(),
            descriptor: Mutex::new(None),
            deleted: AtomicBool::new(false),
            used: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            closed_dirty: AtomicU32::new(0),
            vouched: AtomicU32::new(0),
        })
    }

    /// Creates the file.
    pub fn create(files: &Arc<Files>, path: PathBuf) -> Result<Arc<LogFile>, Error> {
        let file = files
            .open(&path, true)
            .map_err(|e| Error::io("create", &path, e))?;
        let log_file = LogFile::existing(files, path);
        *lock(&log_file.descriptor) = Some(Arc::new(file));
        log_file.admit();
        Ok(log_file)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open descriptor; reopens it if the cache closed it.
    pub fn get(self: &Arc<Self>) -> Result<Arc<File>, Error> {
        self.used.store(true, Ordering::Relaxed);
        let mut slot = lock(&self.descriptor);
        if let Some(file) = &*slot {
            return Ok(file.clone());
        }
        let file = match self.is_deleted() {
            true => self.files.open(&deleted_name(&self.path), false),
            false => self.files.open(&self.path, false),
        };
        let file = Arc::new(file.map_err(|e| Error::io("open", &self.path, e))?);
        *slot = Some(file.clone());
        drop(slot);
        self.admit();
        Ok(file)
    }

    /// Gives the file its deleted name; descriptors that are open stay valid, and so does opening
    /// it again until it is unlinked.
    pub fn rename_deleted(&self) -> io::Result<()> {
        let _slot = lock(&self.descriptor);
        self.files.rename(&self.path, &deleted_name(&self.path))?;
        self.deleted.store(true, Ordering::Release);
        Ok(())
    }

    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
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

/// The name of a file that retention has taken (Kafka: LogFileUtils.DELETED_FILE_SUFFIX).
pub fn deleted_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".deleted");
    PathBuf::from(name)
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
