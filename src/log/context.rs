//! What all logs of one log directory share, and the switch that takes one log out of service.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};

use crate::log::Error;
use crate::log::directory::LogDirectory;
use crate::log::files::{Files, lock};
use crate::log::hot_tail::HotTails;
use crate::types::Offset;

/// A log directory with the broker-wide caches. One per directory; `files` and `hot_tails` are
/// the same in all of them.
pub struct LogContext {
    pub directory: Arc<LogDirectory>,
    pub files: Arc<Files>,
    pub hot_tails: Arc<HotTails>,
    pub options: LogOptions,
    unsynced_bytes: AtomicU64,
    /// Producers that its logs remember together.
    pub(super) producers: AtomicUsize,
}

/// The `[storage]` settings that concern every log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// `durable = true`: every append is synced before it is acknowledged.
    pub durable: bool,
    /// `corruption = "truncate"`: damage below the synced position is cut off like a torn tail,
    /// as Kafka does, instead of taking the partition out of service.
    pub truncate_corruption: bool,
}

impl LogContext {
    pub fn new(
        directory: Arc<LogDirectory>,
        files: Arc<Files>,
        hot_tails: Arc<HotTails>,
        options: LogOptions,
    ) -> LogContext {
        LogContext {
            directory,
            files,
            hot_tails,
            options,
            unsynced_bytes: AtomicU64::new(0),
            producers: AtomicUsize::new(0),
        }
    }

    /// Bytes appended to logs of this directory whose flush has not begun.
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes.load(Ordering::Relaxed)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Fails once the directory takes no more writes.
    pub fn check_online(&self) -> Result<(), Error> {
        if self.directory.is_offline() {
            return Err(Error::Offline {
                path: self.path().to_path_buf(),
            });
        }
        Ok(())
    }

    /// What a failed write or sync means for the directory: a full disk closes it to clients
    /// until there is room, anything else takes it offline (storage.md section 12).
    pub fn write_failed(&self, error: Error) -> Error {
        match &error {
            Error::DiskFull { .. } => self.directory.mark_full(),
            Error::Io { .. } => {
                self.directory.mark_offline(&error);
            }
            _ => {}
        }
        error
    }

    /// One `syncfs` for every log of the directory, descriptors closed while dirty included.
    pub fn sync_filesystem(&self) -> Result<(), Error> {
        let synced = self.files.sync_filesystem(&self.directory);
        synced.map_err(|e| self.write_failed(Error::io("sync", self.path(), e)))
    }
}

/// One log's share of [`LogContext::unsynced_bytes`].
pub struct Unsynced {
    cx: Arc<LogContext>,
    bytes: u64,
}

impl Unsynced {
    pub fn new(cx: &Arc<LogContext>) -> Unsynced {
        Unsynced {
            cx: cx.clone(),
            bytes: 0,
        }
    }

    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.cx.unsynced_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn reset(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.cx.unsynced_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Unsynced {
    fn drop(&mut self) {
        self.reset();
    }
}

/// The part of a log that readers, flushes and lookups share with it while they hold no lock.
pub struct Shared {
    pub name: String,
    /// The partition directory.
    pub path: PathBuf,
    damage: OnceLock<Damage>,
    /// Held while files are written by name outside the partition's lock, so that a deleted or
    /// truncated log gets no late file. True once closed or deleted.
    gate: Mutex<bool>,
    /// The same, for those who must not wait for whoever is inside.
    shut: AtomicBool,
    /// Counts truncations: positions found before one mean nothing after it.
    truncations: AtomicU64,
}

/// What came of [`Shared::try_enter`].
pub enum TryEnter<'a> {
    Entered(MutexGuard<'a, bool>),
    /// The log is closed or deleted.
    Shut,
    Busy,
}

struct Damage {
    path: PathBuf,
    position: u64,
    offset: Offset,
    detail: String,
}

impl Shared {
    pub fn new(name: &str, path: PathBuf) -> Shared {
        Shared {
            name: name.to_string(),
            path,
            damage: OnceLock::new(),
            gate: Mutex::new(false),
            shut: AtomicBool::new(false),
            truncations: AtomicU64::new(0),
        }
    }

    /// Fails once the log is quarantined.
    pub fn check_undamaged(&self) -> Result<(), Error> {
        match self.damage.get() {
            None => Ok(()),
            Some(damage) => Err(Error::Corrupt {
                path: damage.path.clone(),
                position: damage.position,
                offset: damage.offset,
                detail: damage.detail.clone(),
            }),
        }
    }

    /// Quarantines the log if `error` is damage or a failed read of its data.
    pub fn failed(&self, error: Error) -> Error {
        let (path, position, offset, detail) = match &error {
            Error::Corrupt {
                path,
                position,
                offset,
                detail,
            } => (path.clone(), *position, *offset, detail.clone()),
            Error::Io {
                action: "read",
                path,
                source,
            } => (path.clone(), 0, -1, source.to_string()),
            _ => return error,
        };
        let damage = Damage {
            path,
            position,
            offset,
            detail,
        };
        if self.damage.set(damage).is_ok() {
            tracing::error!(log = self.name, %error, "log is damaged and taken out of service");
        }
        error
    }

    /// The gate, open; `None` if the log is closed or deleted.
    pub fn enter(&self) -> Option<MutexGuard<'_, bool>> {
        let gate = lock(&self.gate);
        (!*gate).then_some(gate)
    }

    /// The gate, unless somebody is inside. For who holds the partition's lock, under which others
    /// wait for the gate.
    pub fn try_enter(&self) -> TryEnter<'_> {
        match self.gate.try_lock() {
            Ok(gate) if *gate => TryEnter::Shut,
            Ok(gate) => TryEnter::Entered(gate),
            Err(TryLockError::Poisoned(gate)) => TryEnter::Entered(gate.into_inner()),
            Err(TryLockError::WouldBlock) => TryEnter::Busy,
        }
    }

    /// Closes the gate for good; waits for whoever is inside.
    pub fn shut(&self) -> MutexGuard<'_, bool> {
        let mut gate = lock(&self.gate);
        *gate = true;
        self.shut.store(true, Ordering::Release);
        gate
    }

    /// Asked under the partition's lock, with every append: whoever is inside may be syncing.
    pub fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    pub fn truncations(&self) -> u64 {
        self.truncations.load(Ordering::Acquire)
    }

    pub fn truncated(&self) {
        self.truncations.fetch_add(1, Ordering::AcqRel);
    }
}
