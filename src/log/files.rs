//! The only file of the log that makes file calls on segments, counted by class, and the two
//! caches that bound what stays open: log descriptors and the loaded indexes of sealed segments.
//!
//! Knows files and descriptors; knows nothing of batches, offsets or partitions.
//! No mmap (KAFKA-6343): `pread`, `pwritev`, `ftruncate`, `fdatasync`, `syncfs`, `fallocate`.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::FallocateFlags;

use crate::log::Error;
use crate::log::directory::LogDirectory;
use crate::log::small_files::{read_options, write_options};

/// Never more log descriptors than this, however many `nofile` allows (storage.md section 11).
const MAX_LOG_DESCRIPTORS: usize = 8_192;
/// Loaded indexes of sealed segments, in bytes.
const SEALED_INDEX_BYTES: usize = 64 << 20;

/// File calls made, by class. Deterministic on any machine, so tests assert them exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCalls {
    pub opens: u64,
    pub reads: u64,
    pub writes: u64,
    pub truncates: u64,
    pub allocates: u64,
    /// `fdatasync` of a file.
    pub data_syncs: u64,
    /// `fsync` of a directory.
    pub directory_syncs: u64,
    pub filesystem_syncs: u64,
    pub renames: u64,
    pub removes: u64,
}

#[derive(Default)]
struct Counters {
    opens: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    truncates: AtomicU64,
    allocates: AtomicU64,
    data_syncs: AtomicU64,
    directory_syncs: AtomicU64,
    filesystem_syncs: AtomicU64,
    renames: AtomicU64,
    removes: AtomicU64,
}

/// The file calls and descriptor cache of one broker, shared by all its log directories.
pub struct Files {
    counters: Counters,
    descriptors: SecondChance,
    sealed_indexes: SecondChance,
    #[cfg(test)]
    faults: Mutex<VecDeque<tests::Fault>>,
}

impl Files {
    /// `nofile` is the process's descriptor limit; a third of it may hold logs.
    pub fn new(nofile: usize) -> Arc<Files> {
        Arc::new(Files {
            counters: Counters::default(),
            descriptors: SecondChance::new(MAX_LOG_DESCRIPTORS.min(nofile / 3).max(1)),
            sealed_indexes: SecondChance::new(SEALED_INDEX_BYTES),
            #[cfg(test)]
            faults: Mutex::default(),
        })
    }

    /// The calls made so far.
    pub fn calls(&self) -> FileCalls {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        FileCalls {
            opens: get(&c.opens),
            reads: get(&c.reads),
            writes: get(&c.writes),
            truncates: get(&c.truncates),
            allocates: get(&c.allocates),
            data_syncs: get(&c.data_syncs),
            directory_syncs: get(&c.directory_syncs),
            filesystem_syncs: get(&c.filesystem_syncs),
            renames: get(&c.renames),
            removes: get(&c.removes),
        }
    }

    /// The cache of loaded indexes, bounded by bytes.
    pub(super) fn sealed_indexes(&self) -> &SecondChance {
        &self.sealed_indexes
    }

    /// Reads until `buf` is full or the file ends; returns the bytes read.
    pub fn read_at(&self, file: &File, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            count(&self.counters.reads);
            match file.read_at(&mut buf[done..], position + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// The whole file; `None` if there is none.
    pub fn read_file(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        count(&self.counters.opens);
        count(&self.counters.reads);
        let mut bytes = Vec::new();
        match read_options().open(path) {
            Ok(mut file) => file.read_to_end(&mut bytes).map(|_| Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes both parts one after the other at `position`: one `pwritev` unless the kernel
    /// takes less at once.
    pub fn write_at(&self, file: &File, parts: [&[u8]; 2], position: u64) -> io::Result<()> {
        let total = parts[0].len() + parts[1].len();
        let mut done = 0;
        while done < total {
            self.fault(Class::Write)?;
            count(&self.counters.writes);
            let head = &parts[0][done.min(parts[0].len())..];
            let body = &parts[1][done.saturating_sub(parts[0].len())..];
            let slices = [IoSlice::new(head), IoSlice::new(body)];
            match rustix::io::pwritev(file, &slices, position + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Sets the length of an open file; also frees blocks allocated beyond it.
    pub fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.fault(Class::Truncate)?;
        count(&self.counters.truncates);
        rustix::fs::ftruncate(file, length).map_err(Into::into)
    }

    /// Reserves blocks for `[position, position + length)`; with `extend` the file grows to it.
    pub fn allocate(
        &self,
        file: &File,
        position: u64,
        length: u64,
        extend: bool,
    ) -> io::Result<()> {
        count(&self.counters.allocates);
        let flags = if extend {
            FallocateFlags::empty()
        } else {
            FallocateFlags::KEEP_SIZE
        };
        rustix::fs::fallocate(file, flags, position, length).map_err(Into::into)
    }

    /// `fdatasync`. After an error nothing unsynced in this file may be trusted.
    pub fn sync_data(&self, file: &File) -> io::Result<()> {
        self.fault(Class::Sync)?;
        count(&self.counters.data_syncs);
        rustix::fs::fdatasync(file).map_err(Into::into)
    }

    /// Makes names created, renamed or removed in `directory` durable.
    pub fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.fault(Class::Sync)?;
        count(&self.counters.directory_syncs);
        File::open(directory)?.sync_all()
    }

    /// One sync for everything in the file system below `directory`.
    pub fn sync_filesystem(&self, directory: &LogDirectory) -> io::Result<()> {
        self.fault(Class::Sync)?;
        count(&self.counters.filesystem_syncs);
        rustix::fs::syncfs(directory.handle()).map_err(Into::into)
    }

    /// Opens for reading and writing. `create` demands that there is no such file yet, except
    /// an empty one left by a creation that failed half way.
    pub fn open(&self, path: &Path, create: bool) -> io::Result<File> {
        if create {
            self.fault(Class::Create)?;
        }
        count(&self.counters.opens);
        let file = write_options().read(true).create(create).open(path)?;
        if create && file.metadata()?.len() > 0 {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(file)
    }

    /// Writes `bytes` at `position` of the file at `path`, created if absent. What lies beyond
    /// stays. With `sync` the content is durable on return; the name is not.
    pub fn write_part(
        &self,
        path: &Path,
        position: u64,
        bytes: &[u8],
        sync: bool,
    ) -> io::Result<()> {
        self.write_opened(path, false, position, bytes, sync)
    }

    /// Makes `bytes` the content of the file at `path`, created if absent.
    pub fn write_file(&self, path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
        self.write_opened(path, true, 0, bytes, sync)
    }

    fn write_opened(
        &self,
        path: &Path,
        truncate: bool,
        position: u64,
        bytes: &[u8],
        sync: bool,
    ) -> io::Result<()> {
        self.fault(Class::Create)?;
        count(&self.counters.opens);
        let mut options = write_options();
        let file = options.create(true).truncate(truncate).open(path)?;
        self.write_at(&file, [bytes, &[]], position)?;
        if sync { self.sync_data(&file) } else { Ok(()) }
    }

    /// Replaces the file at `path` by `bytes` through a temporary name, so that a reader finds
    /// the old or the new content. With `sync` the content is durable before it gets its name.
    pub fn replace_file(&self, path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        self.write_file(&temporary, bytes, sync)?;
        self.rename(&temporary, path)
    }

    pub fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.fault(Class::Create)?;
        std::fs::create_dir(path)
    }

    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        count(&self.counters.renames);
        std::fs::rename(from, to)
    }

    /// The regular files of a directory with their lengths; `None` if there is no directory.
    pub fn list(&self, directory: &Path) -> io::Result<Option<BTreeMap<String, u64>>> {
        let entries = match std::fs::read_dir(directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let Ok(name) = entry.file_name().into_string()
                && metadata.is_file()
            {
                found.insert(name, metadata.len());
            }
        }
        Ok(Some(found))
    }

    /// Cuts the file at `path` to `length` bytes if it is longer; an absent one is fine.
    pub fn shorten(&self, path: &Path, length: u64) -> io::Result<()> {
        count(&self.counters.opens);
        match write_options().open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(file) if file.metadata()?.len() > length => self.truncate(&file, length),
            Ok(_) => Ok(()),
        }
    }

    /// Makes the content of the file at `path` durable.
    pub fn sync_path(&self, path: &Path) -> io::Result<()> {
        count(&self.counters.opens);
        self.sync_data(&read_options().open(path)?)
    }

    /// Removes a file; one that is already gone is no error.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        count(&self.counters.removes);
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    #[cfg(not(test))]
    fn fault(&self, _class: Class) -> io::Result<()> {
        Ok(())
    }
}

/// What a test may let fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Write,
    Truncate,
    Sync,
    Create,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One `.log` file whose descriptor may be closed at any time by the cache and comes back on
/// the next use. Handed-out descriptors stay valid.
pub struct LogFile {
    path: PathBuf,
    files: Arc<Files>,
    descriptor: Mutex<Option<Arc<File>>>,
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
        let file = self.files.open(&self.path, false);
        let file = Arc::new(file.map_err(|e| Error::io("open", &self.path, e))?);
        *slot = Some(file.clone());
        drop(slot);
        self.admit();
        Ok(file)
    }

    fn admit(self: &Arc<Self>) {
        let cached: Weak<dyn Cached> = Arc::<LogFile>::downgrade(self);
        self.files.descriptors.admit(cached, 1);
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
        if !self.dirty {
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
    fn new(limit: usize) -> SecondChance {
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

/// A lock whose holder panicked still guards consistent data: every critical section here
/// changes it in one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(in crate::log) mod tests {
    use super::*;

    /// The next call of this class fails with this error number, `times` times, after `skip`
    /// calls that succeed.
    pub struct Fault {
        pub class: Class,
        pub skip: u32,
        pub times: u32,
        pub errno: rustix::io::Errno,
    }

    impl Files {
        pub fn inject(&self, fault: Fault) {
            lock(&self.faults).push_back(fault);
        }

        pub(super) fn fault(&self, class: Class) -> io::Result<()> {
            let mut faults = lock(&self.faults);
            let Some(at) = faults.iter().position(|fault| fault.class == class) else {
                return Ok(());
            };
            let fault = &mut faults[at];
            if fault.skip > 0 {
                fault.skip -= 1;
                return Ok(());
            }
            let errno = fault.errno;
            fault.times -= 1;
            if fault.times == 0 {
                faults.remove(at);
            }
            Err(errno.into())
        }
    }

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
    fn a_batch_in_two_parts_is_one_write_call() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(64);
        let log = LogFile::create(&files, dir.path().join("log")).unwrap();
        log.write_at([b"head", b"body"], 0).unwrap();
        assert_eq!(files.calls().writes, 1);
        let mut bytes = [0; 10];
        assert_eq!(log.read_at(&mut bytes, 2).unwrap(), 6);
        assert_eq!(&bytes[..6], b"adbody");
    }
}
