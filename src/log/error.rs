//! What the disk did. Everything the log can answer besides success; [`Error::code`] is what a client
//! is told.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::ResponseError;
use crate::log::producers::ProducerError;
use crate::types::{Offset, TopicId};

/// Why the log could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file call failed for a reason other than a full disk.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Synced data is damaged. The partition is quarantined: it serves nothing and its files
    /// stay as they are.
    #[error("{} is damaged at byte {position} (offset {offset}): {detail}", path.display())]
    Corrupt {
        path: PathBuf,
        /// Byte position of the first bad batch in `path`.
        position: u64,
        /// The first offset that cannot be read.
        offset: Offset,
        detail: String,
    },
    /// Asked for an offset outside `[log_start_offset, log_end_offset]`.
    #[error("offset {offset} is outside [{log_start_offset}, {log_end_offset}]")]
    OutOfRange {
        offset: Offset,
        log_start_offset: Offset,
        log_end_offset: Offset,
    },
    /// No space left; nothing of the refused write remains.
    #[error("no space left in {}", path.display())]
    DiskFull { path: PathBuf },
    /// The log directory failed a write or a sync and takes no further writes.
    #[error("log directory {} is offline", path.display())]
    Offline { path: PathBuf },
    /// The log was closed or its topic deleted.
    #[error("log {name} is closed")]
    Closed { name: String },
    /// Retention took the files of a segment while it was read without the lock: ask again.
    #[error("log {name} begins later than it did when this read began")]
    Overtaken { name: String },
    /// The log was found damaged or unreadable when it was opened; its files are as they were.
    #[error("log {name} could not be opened")]
    Unavailable { name: String },
    /// The directory on disk belongs to another topic of the same name.
    #[error("{} belongs to topic {found}, not to {expected}", path.display())]
    WrongTopicId {
        path: PathBuf,
        expected: TopicId,
        found: TopicId,
    },
    /// An idempotent batch does not follow its producer's last one.
    #[error(transparent)]
    Sequence(#[from] ProducerError),
}

impl Error {
    /// Wraps a failed call, telling a full disk from a broken one.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path },
            _ => Error::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Whether the same call may succeed later, without a restart: a full disk gets room, and
    /// descriptors are given back.
    pub fn may_pass(&self) -> bool {
        match self {
            Error::DiskFull { .. } => true,
            Error::Io { source, .. } => {
                let errno = Errno::from_io_error(source);
                matches!(errno, Some(Errno::MFILE | Errno::NFILE))
            }
            _ => false,
        }
    }

    /// What a client is told.
    pub fn code(&self) -> ResponseError {
        match self {
            Error::Io { .. }
            | Error::Corrupt { .. }
            | Error::DiskFull { .. }
            | Error::Offline { .. }
            | Error::Unavailable { .. }
            | Error::WrongTopicId { .. } => ResponseError::KafkaStorageError,
            Error::OutOfRange { .. } | Error::Overtaken { .. } => ResponseError::OffsetOutOfRange,
            Error::Closed { .. } => ResponseError::NotLeaderOrFollower,
            Error::Sequence(error) => match error {
                ProducerError::OutOfOrderSequence { .. }
                | ProducerError::NewEpochBeginsLate { .. } => {
                    ResponseError::OutOfOrderSequenceNumber
                }
                ProducerError::InvalidEpoch { .. } => ResponseError::InvalidProducerEpoch,
            },
        }
    }
}
