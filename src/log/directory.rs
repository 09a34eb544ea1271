//! One log directory (an entry of `log.dirs`, or `metadata.log.dir`): held by one broker, marked
//! with the cluster and node it belongs to, watched for space.
//!
//! Does not know partitions beyond their directory names, nor who must be told when the directory
//! fills up or goes offline: others read the two flags.
//!
//! **Locks.** Kafka takes an `fcntl` record lock on `.lock`, so we do too: each refuses the
//! other's directory. Record locks belong to the process, so they neither keep out a second
//! broker in this process, nor survive that broker closing its descriptor of the same file.
//! Therefore a `flock` on the directory itself is taken first. It belongs to the descriptor, and
//! whoever fails to get it never opens `.lock`.

mod error;
mod marker;
mod space;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::checkpoints::Checkpoints;
use super::meta_properties::{self, DirectoryId, Identity, MetaProperties};
use super::partition_dirs::{self, Aside, DirectoryKind};
use super::small_files::{
    read_small_file, remove, sync_directory, write_atomically, write_options,
};
use crate::types::{BrokerId, TopicId, TopicPartition};
use space::Space;

pub use error::DirectoryError;
pub use marker::CleanMarker;

const LOCK_FILE: &str = ".lock";
const RESERVE_FILE: &str = "ottla.reserve";
/// `meta.properties` is some 120 bytes.
const META_MAX_BYTES: usize = 64 << 10;
/// The metadata log lives beside the partitions but is not one of them.
const METADATA_PARTITION: &str = "__cluster_metadata";

/// A log directory that this broker holds until the value is dropped.
#[derive(Debug)]
pub struct LogDirectory {
    path: PathBuf,
    /// The directory itself, open since the start: its `flock`, its syncs, its free space. `None`
    /// if it could not be used from the start.
    handle: Option<File>,
    /// Never read; closing it would give up the record lock.
    _lock: Option<File>,
    id: DirectoryId,
    cluster_id: String,
    found_marker: Option<CleanMarker>,
    full: AtomicBool,
    offline: OnceLock<String>,
}

impl LogDirectory {
    /// Opens one directory; see [`LogDirectory::open_all`].
    pub fn open(path: &Path, expected: &Identity) -> Result<LogDirectory, DirectoryError> {
        let held = Held::take(path, expected)?;
        let cluster_id = held.cluster_id_or_new(expected);
        held.open(&cluster_id, expected.node_id)
    }

    /// Locks all directories, refuses them if one belongs to another cluster or node or is held
    /// by somebody else, formats those that are new, and takes the clean markers: after the
    /// return a crash counts as unclean. Nothing is written before all are locked and verified
    /// but the directories themselves and their `.lock`.
    ///
    /// A directory whose I/O fails is returned offline, unless it is one of `required`: the others
    /// may serve without it (Kafka: LogManager.createAndValidateLogDirs).
    ///
    /// Syncs: none for a formatted directory without marker; one for a marker; two to format;
    /// one more for each directory on the path that had to be created.
    pub fn open_all(
        paths: &[PathBuf],
        required: &[PathBuf],
        expected: &Identity,
    ) -> Result<Vec<LogDirectory>, DirectoryError> {
        let mut expected = expected.clone();
        let or_offline = |path: &PathBuf, error: DirectoryError| match error {
            DirectoryError::Io { .. } if !required.contains(path) => Ok(error),
            error => Err(error),
        };
        let mut taken = Vec::new();
        for path in paths {
            let next = match Held::take(path, &expected) {
                Ok(held) => Ok(held),
                Err(error) => Err(or_offline(path, error)?),
            };
            // The first directory that knows its cluster says it for all that follow.
            if let Ok(Held {
                meta: Some(meta), ..
            }) = &next
            {
                expected.cluster_id = Some(meta.cluster_id.clone());
            }
            taken.push((path, next));
        }
        refuse_twins(taken.iter().filter_map(|(_, held)| held.as_ref().ok()))?;
        let cluster_id = expected
            .cluster_id
            .clone()
            .unwrap_or_else(|| TopicId::random().to_string());
        let opened = taken.into_iter().map(|(path, held)| {
            let opened = held.and_then(|held| held.open(&cluster_id, expected.node_id));
            opened.or_else(|error| {
                let cause = or_offline(path, error)?;
                Ok(LogDirectory::failed(path, &cluster_id, &cause))
            })
        });
        opened.collect()
    }

    /// A directory that cannot be used.
    fn failed(path: &Path, cluster_id: &str, cause: &DirectoryError) -> LogDirectory {
        let failed = LogDirectory {
            path: path.to_owned(),
            handle: None,
            _lock: None,
            id: DirectoryId(Uuid::nil()),
            cluster_id: cluster_id.to_owned(),
            found_marker: None,
            full: AtomicBool::new(false),
            offline: OnceLock::new(),
        };
        failed.mark_offline(cause);
        failed
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn id(&self) -> DirectoryId {
        self.id
    }

    /// The cluster it belongs to: as found, as configured, or new.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The marker of the stop before this start, removed since.
    pub fn found_marker(&self) -> Option<&CleanMarker> {
        self.found_marker.as_ref()
    }

    /// The last step of a clean stop, after everything else in the directory is durable.
    pub fn write_clean_marker(&self, broker_epoch: i64, nonce: &str) -> io::Result<()> {
        marker::write(&self.path, broker_epoch, nonce)
    }

    /// The offset checkpoints; without our checksums if Kafka closed the directory.
    pub fn read_checkpoints(&self) -> io::Result<Checkpoints> {
        let closed_by_kafka = self.found_marker().is_some_and(CleanMarker::is_kafkas);
        Checkpoints::read(&self.path, !closed_by_kafka)
    }

    /// The partition directories, and those set aside, in no order. What has no partition's name
    /// is passed over, and so is a link.
    pub fn list(&self) -> io::Result<Vec<(String, DirectoryKind)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let Some(kind) = partition_dirs::parse_name(&name) else {
                continue;
            };
            let is_metadata = matches!(&kind, DirectoryKind::Partition(partition)
                if &*partition.topic == METADATA_PARTITION);
            if !is_metadata && entry.file_type()?.is_dir() {
                found.push((name, kind));
            }
        }
        Ok(found)
    }

    /// Takes the partition's name from its directory, durably, and returns the new path. A topic
    /// created again under the same name never meets the old files.
    pub fn set_aside(&self, partition: &TopicPartition, why: Aside) -> io::Result<PathBuf> {
        let to = self.path.join(why.name(partition, Uuid::new_v4()));
        std::fs::rename(self.path.join(partition.to_string()), &to)?;
        self.sync()?;
        Ok(to)
    }

    /// Makes created, renamed and removed names in the directory durable.
    pub fn sync(&self) -> io::Result<()> {
        self.handle()?.sync_all()
    }

    /// The directory itself, open since the start: for `syncfs`, which through it also reports
    /// errors of files that were closed while dirty (Linux 5.8).
    pub fn handle(&self) -> io::Result<&File> {
        self.handle
            .as_ref()
            .ok_or_else(|| io::Error::other("the directory could not be opened at the start"))
    }

    /// True while clients may not append here: the disk is nearly full.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// An append met a full disk; [`LogDirectory::check_space`] takes the flag back.
    pub fn mark_full(&self) {
        if !self.full.swap(true, Ordering::Relaxed) {
            warn!(dir = %self.path.display(), "log directory is full");
        }
    }

    /// Measures free space and sets or clears the full flag, which it returns.
    pub fn check_space(&self) -> io::Result<bool> {
        let space = Space::of(self.handle()?)?;
        let was_full = self.is_full();
        let is_full = space.is_full(was_full);
        self.full.store(is_full, Ordering::Relaxed);
        let (dir, free_bytes) = (self.path.display(), space.free_bytes);
        match (was_full, is_full) {
            (false, true) => warn!(%dir, free_bytes, "log directory is full"),
            (true, false) => info!(%dir, free_bytes, "log directory has space again"),
            _ => {}
        }
        Ok(is_full)
    }

    /// The size of the file system and what of it is free, in bytes.
    pub fn space(&self) -> io::Result<(u64, u64)> {
        let space = Space::of(self.handle()?)?;
        Ok((space.total_bytes, space.free_bytes))
    }

    /// True once the directory may no longer be written: its I/O failed.
    pub fn is_offline(&self) -> bool {
        self.offline.get().is_some()
    }

    /// Why the directory is offline.
    pub fn offline_cause(&self) -> Option<&str> {
        self.offline.get().map(String::as_str)
    }

    /// Nothing unsynced is trusted any more (Kafka: `LogDirFailureChannel`). Only a restart
    /// brings the directory back. Returns true the first time.
    pub fn mark_offline(&self, cause: impl fmt::Display) -> bool {
        let first = self.offline.set(cause.to_string()).is_ok();
        if first {
            error!(dir = %self.path.display(), %cause, "log directory goes offline");
        }
        first
    }

    /// Creates the reserve if it is not there: room that [`LogDirectory::release_reserve`] gives
    /// to the controller on a full disk. Blocks are claimed, not written; where the file system
    /// cannot do that, or has no room, there is no reserve. Not for the start-up path.
    pub fn create_reserve(&self) -> io::Result<()> {
        let path = self.path.join(RESERVE_FILE);
        let bytes = Space::of(self.handle()?)?.reserve_bytes();
        if path.try_exists()? || bytes == 0 {
            return Ok(());
        }
        let file = write_options().create_new(true).open(&path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            Err(Errno::NOSPC | Errno::DQUOT | Errno::OPNOTSUPP | Errno::NOSYS) => {
                std::fs::remove_file(&path)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives up the reserve; false if there was none.
    pub fn release_reserve(&self) -> io::Result<bool> {
        remove(&self.path.join(RESERVE_FILE))
    }
}

impl Drop for LogDirectory {
    /// A process that this one is about to become a parent of shares its descriptors until it
    /// executes: the lock must not live on in them.
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            let _ = rustix::fs::flock(handle, FlockOperation::Unlock);
        }
    }
}

/// A directory that is locked and verified, and not yet written to.
struct Held {
    path: PathBuf,
    handle: File,
    lock: File,
    meta: Option<MetaProperties>,
}

impl Held {
    fn take(path: &Path, expected: &Identity) -> Result<Held, DirectoryError> {
        let io = |doing| move |source| DirectoryError::io(path, doing, source);
        // A foreign directory is refused before even its lock file is touched.
        read_meta(path, expected)?;
        create_directory(path).map_err(io("create"))?;
        let handle = File::open(path).map_err(io("open"))?;
        // Any other error: not every network file system locks directories. The record lock
        // remains.
        let guard = rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive);
        if guard == Err(Errno::WOULDBLOCK) {
            return Err(DirectoryError::Held { path: path.into() });
        }
        let lock = write_options()
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .map_err(io("lock"))?;
        match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => {
                return Err(DirectoryError::Held { path: path.into() });
            }
            Err(error) => return Err(io("lock")(error.into())),
        }
        // Again, now that nobody else can format it.
        let meta = read_meta(path, expected)?;
        Ok(Held {
            path: path.to_owned(),
            handle,
            lock,
            meta,
        })
    }

    fn cluster_id_or_new(&self, expected: &Identity) -> String {
        match (&self.meta, &expected.cluster_id) {
            (Some(meta), _) => meta.cluster_id.clone(),
            (None, Some(cluster_id)) => cluster_id.clone(),
            (None, None) => TopicId::random().to_string(),
        }
    }

    fn open(self, cluster_id: &str, node_id: BrokerId) -> Result<LogDirectory, DirectoryError> {
        let known = self.meta.as_ref().and_then(|meta| meta.directory_id);
        let id = known.unwrap_or_else(DirectoryId::random);
        if known.is_none() {
            let meta = MetaProperties {
                cluster_id: cluster_id.to_owned(),
                node_id,
                directory_id: Some(id),
            };
            write_atomically(
                &self.path,
                meta_properties::FILE_NAME,
                meta.to_text().as_bytes(),
            )
            .map_err(|source| DirectoryError::io(&self.path, "format", source))?;
        }
        let found_marker = marker::take(&self.path)
            .map_err(|source| DirectoryError::io(&self.path, "take the clean marker of", source))?;
        Ok(LogDirectory {
            path: self.path,
            handle: Some(self.handle),
            _lock: Some(self.lock),
            id,
            cluster_id: cluster_id.to_owned(),
            found_marker,
            full: AtomicBool::new(false),
            offline: OnceLock::new(),
        })
    }
}

fn read_meta(path: &Path, expected: &Identity) -> Result<Option<MetaProperties>, DirectoryError> {
    let bytes = read_small_file(&path.join(meta_properties::FILE_NAME), META_MAX_BYTES)
        .map_err(|source| DirectoryError::io(path, "read meta.properties of", source))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let meta = MetaProperties::from_text(&bytes).map_err(|cause| DirectoryError::Malformed {
        path: path.to_owned(),
        cause,
    })?;
    meta.verify(expected, path)?;
    Ok(Some(meta))
}

/// A directory that was copied would stand for the same replicas twice.
fn refuse_twins<'a>(held: impl Iterator<Item = &'a Held>) -> Result<(), DirectoryError> {
    let held: Vec<&Held> = held.collect();
    for (i, one) in held.iter().enumerate() {
        let id = one.meta.as_ref().and_then(|meta| meta.directory_id);
        let twin = held[..i].iter().find(|other| {
            id.is_some() && other.meta.as_ref().and_then(|meta| meta.directory_id) == id
        });
        if let Some(twin) = twin {
            return Err(DirectoryError::Twins {
                one: twin.path.clone(),
                other: one.path.clone(),
            });
        }
    }
    Ok(())
}

/// Creates what is missing of `path`, durably.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    create_directory(parent)?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(parent),
    }
}
