//! A log's files on their way into another log directory of this broker (KIP-113).
//!
//! The copy is made beside the running log, segment by segment, under a `-future` name. When
//! little is left the log is closed under its partition's lock, the rest follows, and the copy
//! takes the partition's name. A file in it says that it replaces the log in the other
//! directory, until that has lost its name: a crash at any step leaves either the old log, or the
//! new one and what is to be thrown away.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::log::context::{LogContext, Shared};
use crate::log::partition_dirs::{self, Aside};
use crate::log::read::View;
use crate::log::segment::{SUFFIXES, Segment, file_name};
use crate::log::small_files::{remove, sync_directory, write_atomically, write_options};
use crate::log::{EPOCHS_FILE, Error, Log};
use crate::types::{Offset, TopicId, TopicPartition};

/// In a partition directory that has just replaced the one in another log directory.
const MOVED_FILE: &str = "ottla.moved";
const CHUNK: usize = 1 << 20;

/// The segments of a log at one moment.
pub struct CopyView {
    view: View,
    shared: Arc<Shared>,
}

impl Log {
    /// What is there to be copied now.
    pub fn copy_view(&self) -> CopyView {
        CopyView {
            view: self.view(),
            shared: self.shared.clone(),
        }
    }
}

/// A copy under way.
pub struct LogCopy {
    cx: Arc<LogContext>,
    path: PathBuf,
    /// Bytes copied of each segment, by base offset.
    copied: BTreeMap<Offset, u64>,
    /// Where the indexes followed as well and everything was synced.
    completed: BTreeMap<Offset, u64>,
}

impl LogCopy {
    /// Makes the directory of the copy in `cx`.
    pub fn begin(
        cx: &Arc<LogContext>,
        partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<LogCopy, Error> {
        cx.check_online()?;
        let path = cx
            .path()
            .join(Aside::Future.name(partition, Uuid::new_v4()));
        let made = std::fs::create_dir(&path)
            .and_then(|()| partition_dirs::write_topic_id(&path, topic_id));
        made.map_err(|e| cx.write_failed(Error::io("create", &path, e)))?;
        Ok(LogCopy {
            cx: cx.clone(),
            path,
            copied: BTreeMap::new(),
            completed: BTreeMap::new(),
        })
    }

    /// Bytes of batches in the copy.
    pub fn bytes(&self) -> u64 {
        self.copied.values().sum()
    }

    /// Copies what the copy lacks of `view`; `progress` hears of the bytes in the copy and the
    /// offset below which it is whole, and ends the copying by answering false. Returns how many
    /// bytes were copied.
    pub fn copy(
        &mut self,
        CopyView { view, shared }: &CopyView,
        mut progress: impl FnMut(u64, Offset) -> bool,
    ) -> Result<u64, Error> {
        let before = self.bytes();
        let first = (view.len() > 0).then(|| view.segment(0).0.base_offset());
        self.forget_below(first.unwrap_or(Offset::MAX))?;
        for index in 0..view.len() {
            let (segment, size, end) = view.segment(index);
            let base = segment.base_offset();
            if !self.copy_segment(segment, size, |bytes| progress(bytes, base))? {
                return Ok(0);
            }
            let is_sealed = index + 1 < view.len() || !view.ends_with_active();
            if is_sealed && self.completed.get(&base) != Some(&size) {
                {
                    // A compacted segment of the list may still have its names to come.
                    let _gate = shared.enter();
                    self.copy_indexes(segment)?;
                }
                self.sync_segment(base)?;
                self.completed.insert(base, size);
            }
            progress(self.bytes(), end);
        }
        Ok(self.bytes().saturating_sub(before))
    }

    fn copy_segment(
        &mut self,
        segment: &Arc<Segment>,
        size: u64,
        mut progress: impl FnMut(u64) -> bool,
    ) -> Result<bool, Error> {
        let base = segment.base_offset();
        let others: u64 = self
            .copied
            .iter()
            .filter(|(at, _)| **at != base)
            .map(|(_, n)| n)
            .sum();
        let done = self.copied.entry(base).or_default();
        let to = self.path.join(file_name(base, "log"));
        let failed = |e| Error::io("write", &to, e);
        let mut options = write_options();
        let target = options.create(true).truncate(false).open(&to);
        let target = target.map_err(|e| self.cx.write_failed(failed(e)))?;
        let mut chunk = vec![0; CHUNK];
        while *done < size {
            let wanted = CHUNK.min((size - *done) as usize);
            let read = segment.log().read_at(&mut chunk[..wanted], *done)?;
            if read == 0 {
                return Err(Error::io(
                    "read",
                    segment.log().path(),
                    io::ErrorKind::UnexpectedEof.into(),
                ));
            }
            let written = target.write_all_at(&chunk[..read], *done);
            written.map_err(|e| self.cx.write_failed(failed(e)))?;
            *done += read as u64;
            if !progress(others + *done) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn copy_indexes(&self, segment: &Segment) -> Result<(), Error> {
        for suffix in SUFFIXES.into_iter().filter(|suffix| *suffix != "log") {
            let to = self.path.join(file_name(segment.base_offset(), suffix));
            self.copy_file(&segment.path(suffix), &to)?;
        }
        Ok(())
    }

    /// A file that is not there is not copied.
    fn copy_file(&self, from: &Path, to: &Path) -> Result<(), Error> {
        match std::fs::copy(from, to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            copied => copied
                .map(|_| ())
                .map_err(|e| self.cx.write_failed(Error::io("write", to, e))),
        }
    }

    fn sync_segment(&self, base: Offset) -> Result<(), Error> {
        for suffix in SUFFIXES {
            self.sync_file(&self.path.join(file_name(base, suffix)))?;
        }
        Ok(())
    }

    fn sync_file(&self, path: &Path) -> Result<(), Error> {
        let synced = File::open(path).and_then(|file| file.sync_data());
        match synced {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(|e| self.cx.write_failed(Error::io("sync", path, e))),
        }
    }

    /// Retention took these since.
    fn forget_below(&mut self, offset: Offset) -> Result<(), Error> {
        let kept = self.copied.split_off(&offset);
        for base in std::mem::replace(&mut self.copied, kept).into_keys() {
            for suffix in SUFFIXES {
                let path = self.path.join(file_name(base, suffix));
                let removed = remove(&path);
                removed.map_err(|e| self.cx.write_failed(Error::io("remove", &path, e)))?;
            }
        }
        Ok(())
    }

    /// After the log was closed and its last bytes were copied: the files derived from them
    /// follow, everything is made durable, and the copy takes the partition's name.
    pub fn finish(&self, log: &Log) -> Result<(), Error> {
        if let Some(active) = &log.active {
            self.copy_indexes(&active.segment)?;
            self.sync_segment(active.segment.base_offset())?;
        }
        let names = self.cx.files.list(&log.shared.path);
        let names = names.map_err(|e| Error::io("list", &log.shared.path, e))?;
        let names = names.unwrap_or_default().into_keys();
        for name in names.filter(|name| name.ends_with(".snapshot") || name == EPOCHS_FILE) {
            let to = self.path.join(&name);
            self.copy_file(&log.shared.path.join(&name), &to)?;
            self.sync_file(&to)?;
        }
        let to = self.cx.path().join(&log.shared.name);
        let named = write_atomically(&self.path, MOVED_FILE, b"")
            .and_then(|()| std::fs::rename(&self.path, &to))
            .and_then(|()| self.cx.directory.sync());
        named.map_err(|e| self.cx.write_failed(Error::io("rename", &self.path, e)))
    }

    /// Throws the copy away.
    pub fn discard(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a half copied log stays");
        }
    }
}

/// Whether the partition directory has replaced one in another log directory that may still be
/// there.
pub fn has_moved_here(directory: &Path) -> bool {
    directory.join(MOVED_FILE).exists()
}

/// The directory it has replaced has lost its name.
pub fn forget_move(directory: &Path) -> io::Result<()> {
    if remove(&directory.join(MOVED_FILE))? {
        sync_directory(directory)?;
    }
    Ok(())
}
