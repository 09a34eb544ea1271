//! Why a broker does not start on a log directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::types::BrokerId;

/// Why a log directory cannot be used, in one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error(
        "Failed to acquire lock on file .lock in {}: another process, or another broker in this \
         one, is using this directory; stop it, or set log.dirs to another directory",
        path.display()
    )]
    Held { path: PathBuf },
    #[error(
        "Invalid cluster.id in: {}/meta.properties. Expected {expected}, but read {found}; start \
         with CLUSTER_ID={found} to use this data, or set log.dirs to another directory",
        path.display()
    )]
    ForeignCluster {
        path: PathBuf,
        expected: String,
        found: String,
    },
    #[error(
        "Stored node id {found} doesn't match configured node id {expected} in \
         {}/meta.properties; start with node.id={found} to use this data, or set log.dirs to \
         another directory",
        path.display()
    )]
    ForeignNode {
        path: PathBuf,
        expected: BrokerId,
        found: BrokerId,
    },
    #[error(
        "Cannot read {}/meta.properties: {cause}; restore the file, or set log.dirs to another \
         directory",
        path.display()
    )]
    Malformed { path: PathBuf, cause: String },
    #[error(
        "The log directories {} and {} have the same directory.id: one is a copy of the other; \
         remove the copy from log.dirs",
        one.display(),
        other.display()
    )]
    Twins { one: PathBuf, other: PathBuf },
    #[error("Cannot {doing} the log directory {}: {source}", path.display())]
    Io {
        path: PathBuf,
        doing: &'static str,
        source: io::Error,
    },
}

impl DirectoryError {
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> DirectoryError {
        DirectoryError::Io {
            path: path.to_owned(),
            doing,
            source,
        }
    }
}
