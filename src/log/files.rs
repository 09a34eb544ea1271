//! The only file of the log that makes file calls on segments, counted by class.
//!
//! Knows files; knows nothing of batches, offsets or partitions.
//! No mmap (KAFKA-6343): `pread`, `pwritev`, `ftruncate`, `fdatasync`, `syncfs`, `fallocate`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::FallocateFlags;

use crate::log::directory::LogDirectory;
use crate::log::log_file::SecondChance;
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
    faults: Mutex<Vec<tests::Fault>>,
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

    /// The cache of open log descriptors, bounded by number.
    pub(super) fn descriptors(&self) -> &SecondChance {
        &self.descriptors
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
        rustix::fs::syncfs(directory.handle()?).map_err(Into::into)
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

    /// The regular files of a directory with their lengths; `None` if there is no directory. What
    /// somebody unlinks meanwhile, as housekeeping does with deleted names, may be missing.
    pub fn list(&self, directory: &Path) -> io::Result<Option<BTreeMap<String, u64>>> {
        let entries = match std::fs::read_dir(directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if let Ok(name) = entry.file_name().into_string()
                && metadata.is_file()
            {
                found.insert(name, metadata.len());
            }
        }
        Ok(Some(found))
    }

    /// Cuts the file at `path` to `length` bytes.
    pub fn shorten(&self, path: &Path, length: u64) -> io::Result<()> {
        count(&self.counters.opens);
        self.truncate(&write_options().open(path)?, length)
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

/// A lock whose holder panicked still guards consistent data: every critical section here
/// changes it in one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(in crate::log) mod tests {
    use super::*;
    use crate::log::log_file::LogFile;

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
            lock(&self.faults).push(fault);
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
    fn a_directory_is_listed_while_files_in_it_go() {
        const GOING: usize = 5_000;
        let dir = tempfile::tempdir().unwrap();
        let name = |number: usize| dir.path().join(format!("{number}.log.deleted"));
        (0..GOING).for_each(|number| std::fs::write(name(number), b"").unwrap());
        std::fs::write(dir.path().join("0.log"), b"kept").unwrap();
        let files = Files::new(64);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..GOING).for_each(|number| files.remove(&name(number)).unwrap()));
            loop {
                let listed = files.list(dir.path()).unwrap().expect("a directory");
                assert_eq!(listed.get("0.log"), Some(&4));
                if listed.len() == 1 {
                    break;
                }
            }
        });
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
