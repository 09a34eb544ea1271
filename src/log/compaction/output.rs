//! The segment that compaction writes: batches one after the other, through one buffer, and the
//! indexes for them.

use std::path::Path;
use std::sync::Arc;

use crate::log::context::LogContext;
use crate::log::flush::sync_logs;
use crate::log::index_rule::IndexRule;
use crate::log::log_file::{LogFile, Name};
use crate::log::segment::{LoadedIndexes, Segment, file_name};
use crate::log::{Error, index};
use crate::protocol::batch::{BatchError, BatchHeader};
use crate::types::Offset;

/// What was written is synced in steps of this, so that the device is not asked for a whole
/// segment at once.
const SYNC_BYTES: u64 = 32 << 20;

/// What copying a batch met: its own bytes, or the files.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Log(#[from] Error),
}

pub struct Output<'a> {
    cx: &'a LogContext,
    directory: &'a Path,
    base_offset: Offset,
    log: Arc<LogFile>,
    /// Bytes written before the buffer.
    written: u64,
    synced: u64,
    buffer: Vec<u8>,
    buffer_bytes: usize,
    rule: IndexRule,
    indexes: LoadedIndexes,
}

impl<'a> Output<'a> {
    /// Creates the file, under a name that a start throws away.
    pub fn create(
        cx: &'a LogContext,
        directory: &'a Path,
        base_offset: Offset,
        index_interval_bytes: u32,
        buffer_bytes: usize,
    ) -> Result<Output<'a>, Error> {
        let path = directory.join(file_name(base_offset, "log"));
        Ok(Output {
            cx,
            directory,
            base_offset,
            log: LogFile::create_cleaned(&cx.files, path)?,
            written: 0,
            synced: 0,
            buffer: Vec::new(),
            buffer_bytes,
            rule: IndexRule::new(base_offset, index_interval_bytes),
            indexes: LoadedIndexes::default(),
        })
    }

    /// Bytes of batches so far.
    pub fn size(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends the batch that `write` appends to the buffer and whose header it returns.
    pub fn append(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<BatchHeader, BatchError>,
    ) -> Result<(), CopyError> {
        let position = self.size();
        let header = write(&mut self.buffer)?;
        if self.size() > i32::MAX as u64 {
            return Err(BatchError::TooLong.into());
        }
        if let Some((offset, time)) = self.rule.batch(&header, position) {
            self.indexes.offsets.push(offset);
            self.indexes.times.extend(time);
        }
        match self.buffer.len() >= self.buffer_bytes {
            true => Ok(self.write_buffer()?),
            false => Ok(()),
        }
    }

    fn write_buffer(&mut self) -> Result<(), Error> {
        self.log.write_at([&self.buffer, &[]], self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        // One batch may have been much larger than what is written at once.
        self.buffer.shrink_to(2 * self.buffer_bytes);
        if self.written - self.synced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.synced = self.written;
        sync_logs(self.cx, &[self.log.begin_sync()])
    }

    /// Writes and syncs the rest, with the indexes. The file is as old as `like`, so that records
    /// without a timestamp do not become younger.
    pub fn finish(mut self, like: &Segment) -> Result<Segment, Error> {
        self.write_buffer()?;
        let file = self.log.get()?;
        let modified = like.log().get()?.metadata().and_then(|m| m.modified());
        let aged = modified.and_then(|modified| file.set_modified(modified));
        aged.map_err(|e| Error::io("stat", self.log.path(), e))?;
        self.sync()?;
        self.indexes.times.extend(self.rule.close());
        self.write_index("timeindex", &index::encode(&self.indexes.times))?;
        self.write_index("index", &index::encode(&self.indexes.offsets))?;
        let size = self.size();
        let segment = Segment::cleaned(self.directory, self.base_offset, self.log, size);
        segment.note_largest(self.rule.largest());
        Ok(segment)
    }

    fn write_index(&self, suffix: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.directory.join(file_name(self.base_offset, suffix));
        let path = Name::Cleaned.of(&path, 0);
        let written = self.cx.files.write_file(&path, bytes, true);
        written.map_err(|e| Error::io("write", &path, e))
    }
}

/// Removes what a compaction that is given up has written of the segment at `base_offset`. What
/// stays is removed by the next start.
pub fn remove_cleaned(cx: &LogContext, directory: &Path, base_offset: Offset) {
    for suffix in ["log", "timeindex", "index"] {
        let path = directory.join(file_name(base_offset, suffix));
        let path = Name::Cleaned.of(&path, 0);
        if let Err(error) = cx.files.remove(&path) {
            tracing::warn!(path = %path.display(), %error, "half compacted files stay");
        }
    }
}
