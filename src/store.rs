//! The metadata index: sled, and the only file that names it. Holds the applied image with the
//! index it stands for, so that a start need not replay. Nothing lives only here: the directory may be deleted or damaged between
//! any two starts, and every error ends in "as if it were not there".
//!
//! Why it is not open while the broker runs: an open sled 0.34 holds 21 MB (histograms that it
//! allocates with metrics off too) and takes 10 to 60 ms to open, more than an idle broker and
//! a whole start may cost. It is written by a clean stop and read by a start with much to read;
//! between them the logs are all there is. Sled's own `flush` commits no file size (power loss
//! emptied young databases), so [`Store::close`] syncs the file itself.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sled::transaction::{TransactionError, Transactional, TransactionalTree};
use sled::{Db, Tree};
use tracing::warn;

use crate::metadata::image::Image;
use crate::metadata::image_writer;
use crate::metadata::records::MetadataRecord;
use crate::types::BrokerId;

mod row;

/// The directory inside the metadata log's: Kafka's loader passes over directories there.
pub const DIRECTORY: &str = "ottla-index";

/// Grows with every change of what rows mean; another format is rebuilt, not converted.
const FORMAT: u32 = 1;
/// Nothing is read twice from it, so little is worth caching.
const CACHE_BYTES: u64 = 1 << 20;
const SEGMENT_BYTES: usize = 64 << 10;

const FORMAT_KEY: &str = "format";
const CLUSTER_KEY: &str = "cluster_id";
const NODE_KEY: &str = "node_id";
const APPLIED_KEY: &str = "applied";

/// An open index, which belongs to one cluster and node.
pub struct Store {
    path: PathBuf,
    cluster_id: String,
    db: Db,
    meta: Tree,
    image: Tree,
}

/// Why the index is of no use this time. Never a reason to stop.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("metadata index: {0}")]
    Sled(#[from] sled::Error),
    #[error("metadata index: {0}")]
    Io(#[from] io::Error),
    #[error("metadata index panicked")]
    Panicked,
    #[error("metadata index: a row {0}")]
    Row(String),
}

impl From<TransactionError<StoreError>> for StoreError {
    fn from(error: TransactionError<StoreError>) -> StoreError {
        match error {
            TransactionError::Abort(error) => error,
            TransactionError::Storage(error) => StoreError::Sled(error),
        }
    }
}

impl Store {
    /// Whether there is something to open.
    pub fn exists(metadata_dir: &Path) -> bool {
        metadata_dir.join(DIRECTORY).exists()
    }

    /// Opens the index in `metadata_dir`, the metadata log's directory. One that is damaged, of
    /// another format, cluster or node is deleted and made anew, empty. `None` if that fails
    /// too: then the broker runs without.
    pub fn open(metadata_dir: &Path, cluster_id: &str, node_id: BrokerId) -> Option<Store> {
        let path = metadata_dir.join(DIRECTORY);
        let error = match Store::try_open(&path, cluster_id, node_id) {
            Ok(store) => return Some(store),
            Err(error) => error,
        };
        let path_shown = path.display();
        warn!(path = %path_shown, %error, "deleting the metadata index, it will be rebuilt");
        let removed = fs::remove_dir_all(&path).map_err(StoreError::Io);
        let opened = removed.and_then(|()| Store::try_open(&path, cluster_id, node_id));
        opened
            .inspect_err(
                |error| warn!(path = %path_shown, %error, "running without a metadata index"),
            )
            .ok()
    }

    fn try_open(path: &Path, cluster_id: &str, node_id: BrokerId) -> Result<Store, StoreError> {
        make_private(path)?;
        let store = guarded(|| {
            let config = sled::Config::new()
                .path(path)
                .cache_capacity(CACHE_BYTES)
                .segment_size(SEGMENT_BYTES)
                .flush_every_ms(None);
            let db = config.open()?;
            Ok(Store {
                path: path.to_owned(),
                cluster_id: cluster_id.to_owned(),
                meta: db.open_tree("meta")?,
                image: db.open_tree("image")?,
                db,
            })
        })?;
        store.check_identity(cluster_id, node_id)?;
        Ok(store)
    }

    /// Compares who wrote the index with who opens it; signs an empty one.
    fn check_identity(&self, cluster_id: &str, node_id: BrokerId) -> Result<(), StoreError> {
        let expected = [
            (FORMAT_KEY, FORMAT.to_be_bytes().to_vec()),
            (CLUSTER_KEY, cluster_id.as_bytes().to_vec()),
            (NODE_KEY, node_id.0.to_be_bytes().to_vec()),
        ];
        guarded(|| {
            for (key, value) in expected {
                match self.meta.get(key)? {
                    None => drop(self.meta.insert(key, value)?),
                    Some(found) if found == value => {}
                    Some(_) => return Err(StoreError::Row(format!("{key} is another one's"))),
                }
            }
            Ok(())
        })
    }

    /// The stored image and the term of the record it was applied to. The caller trusts it only
    /// if its log holds that offset with that term, committed.
    pub fn load_image(&self) -> Option<(Image, u64)> {
        let loaded = guarded(|| {
            let Some(applied) = self.meta.get(APPLIED_KEY)? else {
                return Ok(None);
            };
            let (offset, term) = row::applied(&applied).ok_or_else(unreadable)?;
            let mut records = Vec::new();
            for (_, value) in self.rows()? {
                let record = MetadataRecord::decode(&value);
                records.push(record.map_err(|error| StoreError::Row(error.to_string()))?);
            }
            let empty = Image::empty(&self.cluster_id);
            let numbered = records.iter().map(|record| (offset, record));
            let image = empty.apply(numbered);
            let mut image = image.map_err(|error| StoreError::Row(error.to_string()))?;
            image.applied = offset;
            Ok(Some((image, term)))
        });
        loaded
            .inspect_err(|error| warn!(%error, "the stored image is of no use"))
            .ok()
            .flatten()
    }

    /// Stores an image that the log's record at `image.applied`, of `term`, completes: in one
    /// transaction, and only the rows that differ.
    pub fn save_image(&self, image: &Image, term: u64) -> Result<(), StoreError> {
        let mut changed: BTreeMap<Vec<u8>, Vec<u8>> = image_writer::records(image)
            .filter_map(|record| Some((row::key(&record)?, record.encode())))
            .collect();
        let mut stale = Vec::new();
        for (key, value) in self.rows()? {
            match changed.get(&key) {
                None => stale.push(key),
                Some(row) if *row == value => drop(changed.remove(&key)),
                Some(_) => {}
            }
        }
        let applied = row::applied_bytes(image.applied, term);
        let write = |trees: &(TransactionalTree, TransactionalTree)| {
            let (meta, tree) = trees;
            for key in &stale {
                tree.remove(key.as_slice())?;
            }
            for (key, value) in &changed {
                tree.insert(key.as_slice(), value.as_slice())?;
            }
            meta.insert(APPLIED_KEY, applied.as_slice())?;
            Ok(())
        };
        guarded(|| Ok((&self.meta, &self.image).transaction(write)?))
    }

    /// The rows of the image, in key order.
    fn rows(&self) -> Result<Vec<Row>, StoreError> {
        guarded(|| {
            let owned = |item: sled::Result<(sled::IVec, sled::IVec)>| {
                let (key, value) = item?;
                Ok((key.to_vec(), value.to_vec()))
            };
            self.image.iter().map(owned).collect()
        })
    }

    /// Puts everything on the device and ends.
    pub fn close(self) -> Result<(), StoreError> {
        let path = self.path.clone();
        guarded(move || {
            self.db.flush()?;
            drop(self);
            File::open(path.join("db"))?.sync_data()?;
            Ok(())
        })
    }
}

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// Only this broker may look into the index: it will hold credentials. sled makes its files inside
/// with modes of its own.
fn make_private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(0o700))
        }
        created => created,
    }
}

/// Runs `work`; a panic inside sled is an error like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(StoreError::Panicked))
}

fn unreadable() -> StoreError {
    StoreError::Row("cannot be read".to_owned())
}

#[cfg(test)]
mod tests;
