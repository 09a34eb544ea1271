//! The metadata log on disk: one Kafka segment file, `<base offset>.log`, of one-record batches
//! (`entry`). Appends what Raft hands over, syncs, reads ranges, and recovers at open.
//!
//! Recovery cuts a torn tail: bytes that no sync covered were never acknowledged. Damage below
//! the recovery point, which a sync did cover, is refused and left as it is (storage rule:
//! primary damage is never shortened in silence). Knows no Raft rule and no record's meaning.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use raft::eraftpb::Entry;
use tracing::warn;

use crate::faults::{crash_point, is_planted};
use crate::log::small_files::private_write_options;
use crate::metadata::image::MetadataOffset;
use crate::protocol::batch::{BatchHeader, crc_matches};
use crate::quorum::entry::{self, index_of, offset_of};
use crate::types::{BrokerId, Millis, Offset};

/// What can go wrong with the metadata log's files.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "the metadata log in {} begins at offset {begins}, and no snapshot there holds what \
         comes before",
        path.display()
    )]
    Missing { path: PathBuf, begins: Offset },
    #[error(
        "metadata log {} is damaged at byte {position}, offset {offset}: {problem}. \
         Offsets below {recovery_point} were on disk, so this is not a torn write; \
         restore the file from a backup or from another controller",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        position: u64,
        offset: Offset,
        recovery_point: Offset,
        problem: String,
    },
}

impl LogError {
    /// The disk is full and nothing else is wrong: it may work again later.
    pub fn is_disk_full(&self) -> bool {
        let LogError::Io { action, source, .. } = self else {
            return false;
        };
        *action != SYNC && source.kind() == io::ErrorKind::StorageFull
    }
}

const SYNC: &str = "sync";

/// The base offsets of the segments in `dir`, ascending.
pub fn list_segments(dir: &Path) -> io::Result<Vec<Offset>> {
    let mut bases = Vec::new();
    for file in std::fs::read_dir(dir)? {
        let name = file?.file_name();
        let name = name.to_string_lossy();
        let base = name.strip_suffix(".log").filter(|base| base.len() == 20);
        bases.extend(base.and_then(|base| base.parse::<Offset>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Where the segment of a base offset is.
pub fn segment_path(dir: &Path, base: Offset) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

/// See the module. Indexes are Raft's, from 1.
#[derive(Debug)]
pub struct MetadataLog {
    path: PathBuf,
    file: File,
    node_id: BrokerId,
    /// Position of each entry; the first is that of `first_index`.
    positions: Vec<u32>,
    first_index: u64,
    /// Term of the entry before the first: 0 at the beginning of all.
    term_before: u64,
    /// Where each term begins: (term, its first index), ascending.
    terms: Vec<(u64, u64)>,
    /// Bytes of whole batches; where the next one goes.
    size: u64,
    /// The entries of the last append: Raft reads them back when they are committed.
    recent: Vec<Entry>,
}

impl MetadataLog {
    /// Opens the segment that starts at offset `base`, or creates it (the caller syncs `dir`).
    /// `term_before` is the term of the record before `base`; everything below `recovery_point`
    /// is known to have been synced.
    pub fn open(
        dir: &Path,
        node_id: BrokerId,
        base: Offset,
        term_before: u64,
        recovery_point: Offset,
    ) -> Result<MetadataLog, LogError> {
        let path = segment_path(dir, base);
        let file = private_write_options().read(true).create(true).open(&path);
        let file = file.map_err(|source| io_error("open", &path, source))?;
        let mut log = MetadataLog {
            path,
            file,
            node_id,
            positions: Vec::new(),
            first_index: index_of(MetadataOffset(base)),
            term_before,
            terms: Vec::new(),
            size: 0,
            recent: Vec::new(),
        };
        log.recover(recovery_point)?;
        Ok(log)
    }

    pub fn first_index(&self) -> u64 {
        self.first_index
    }

    /// The offset behind the last entry.
    pub fn end_offset(&self) -> Offset {
        offset_of(self.last_index() + 1).0
    }

    /// `first_index − 1` when there is no entry.
    pub fn last_index(&self) -> u64 {
        self.first_index + self.positions.len() as u64 - 1
    }

    /// The term of an entry, or of the one before the first; `None` outside.
    pub fn term(&self, index: u64) -> Option<u64> {
        if index + 1 == self.first_index {
            return Some(self.term_before);
        }
        if index < self.first_index || index > self.last_index() {
            return None;
        }
        let after = self.terms.partition_point(|(_, first)| *first <= index);
        after.checked_sub(1).map(|at| self.terms[at].0)
    }

    pub fn last_term(&self) -> u64 {
        self.terms
            .last()
            .map_or(self.term_before, |(term, _)| *term)
    }

    /// Bytes of the segment.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes entries at their index, replacing what stood there and behind. Not yet synced.
    /// After an error the file is as before, or the error says that it is not.
    pub fn append(&mut self, entries: &[Entry], now: Millis) -> Result<(), LogError> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        if first.index <= self.last_index() {
            self.truncate(first.index)?;
        }
        assert_eq!(
            first.index,
            self.last_index() + 1,
            "a hole in the metadata log"
        );
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(entries.len());
        for entry in entries {
            let batch = entry::encode(entry, self.node_id, now);
            bytes.extend_from_slice(batch.head());
            bytes.extend_from_slice(batch.body());
            ends.push(self.size + bytes.len() as u64);
        }
        if is_planted("metadata.unwritten") && first.index % 5 == 0 {
            bytes.fill(0);
        }
        if let Err(source) = self.file.write_all_at(&bytes, self.size) {
            let cut = self.file.set_len(self.size);
            cut.map_err(|source| io_error("take back a failed write to", &self.path, source))?;
            return Err(io_error("write to", &self.path, source));
        }
        crash_point("metadata.written");
        for (entry, end) in entries.iter().zip(ends) {
            self.add(entry.index, entry.term, end);
        }
        self.recent = entries.to_vec();
        Ok(())
    }

    /// Drops the copy of the last append, once it is applied.
    pub fn forget_recent(&mut self) {
        self.recent = Vec::new();
    }

    /// Puts everything that was appended on the device.
    pub fn sync(&self) -> Result<(), LogError> {
        let synced = self.file.sync_data();
        crash_point("metadata.synced");
        synced.map_err(|source| io_error(SYNC, &self.path, source))
    }

    /// Entries `[low, high)`, at least one, and as many more as fit into `max_bytes`.
    pub fn entries(&self, low: u64, high: u64, max_bytes: u64) -> Result<Vec<Entry>, LogError> {
        assert!(
            self.first_index <= low && low < high && high <= self.last_index() + 1,
            "asked for [{low}, {high}) of [{}, {}]",
            self.first_index,
            self.last_index()
        );
        if let Some(recent) = self.recent.first().filter(|recent| recent.index <= low) {
            let from = (low - recent.index) as usize;
            let to = (high - recent.index) as usize;
            return Ok(self.recent[from..to].to_vec());
        }
        let start = self.position(low);
        let mut end_index = low + 1;
        while end_index < high && self.position(end_index + 1) - start <= max_bytes {
            end_index += 1;
        }
        let mut bytes = vec![0; (self.position(end_index) - start) as usize];
        let read = self.file.read_exact_at(&mut bytes, start);
        read.map_err(|source| io_error("read", &self.path, source))?;
        let mut entries = Vec::with_capacity((end_index - low) as usize);
        for index in low..end_index {
            let from = (self.position(index) - start) as usize;
            let to = (self.position(index + 1) - start) as usize;
            match entry::decode(&bytes[from..to]) {
                Ok(entry) => entries.push(entry),
                Err(problem) => return Err(self.damaged(start + from as u64, index, problem)),
            }
        }
        Ok(entries)
    }

    /// Byte position of an entry; of the end, for the index after the last.
    fn position(&self, index: u64) -> u64 {
        let at = (index - self.first_index) as usize;
        self.positions
            .get(at)
            .map_or(self.size, |position| u64::from(*position))
    }

    fn add(&mut self, index: u64, term: u64, end: u64) {
        assert!(
            self.size <= u64::from(u32::MAX),
            "a metadata segment above 4 GiB"
        );
        self.positions.push(self.size as u32);
        self.size = end;
        if self.terms.last().is_none_or(|(last, _)| *last != term) {
            self.terms.push((term, index));
        }
    }

    /// Removes `from` and everything behind it: another leader's entries replace them.
    fn truncate(&mut self, from: u64) -> Result<(), LogError> {
        let size = self.position(from);
        let cut = self.file.set_len(size);
        cut.map_err(|source| io_error("truncate", &self.path, source))?;
        self.positions.truncate((from - self.first_index) as usize);
        self.terms.retain(|(_, first)| *first < from);
        self.recent.clear();
        self.size = size;
        Ok(())
    }

    /// Walks the file and keeps what is whole. Syncs what it accepted only if it cut something
    /// or may be the first to see it: the vote that follows every open is written behind it.
    fn recover(&mut self, recovery_point: Offset) -> Result<(), LogError> {
        let path = self.path.clone();
        let failed = |source| io_error("recover", &path, source);
        let on_disk = self.file.metadata().map_err(failed)?.len();
        let mut input = BufReader::with_capacity(256 << 10, self.file.try_clone().map_err(failed)?);
        let mut batch = Vec::new();
        let problem = loop {
            match next_batch(&mut input, on_disk - self.size, &mut batch).map_err(failed)? {
                Scanned::End => break None,
                Scanned::Bad(problem) => break Some(problem),
                Scanned::Batch(header) => {
                    let index = self.last_index() + 1;
                    if header.base_offset != offset_of(index).0 {
                        break Some("the offset is not the next one");
                    }
                    let term = header.partition_leader_epoch as u64;
                    if term < self.last_term() {
                        break Some("the leader epoch goes back");
                    }
                    self.add(index, term, self.size + batch.len() as u64);
                }
            }
        };
        let end_offset = self.end_offset();
        if end_offset < recovery_point {
            let problem = problem.unwrap_or("the file ends");
            let mut error = self.damaged(self.size, self.last_index() + 1, problem);
            if let LogError::Damaged {
                recovery_point: point,
                ..
            } = &mut error
            {
                *point = recovery_point;
            }
            return Err(error);
        }
        if let Some(problem) = problem {
            let cut = on_disk - self.size;
            let path = path.display();
            warn!(%path, end_offset, bytes = cut, problem, "cut a torn tail off the metadata log");
            self.file.set_len(self.size).map_err(failed)?;
        }
        Ok(())
    }

    fn damaged(&self, position: u64, index: u64, problem: impl Into<String>) -> LogError {
        LogError::Damaged {
            path: self.path.clone(),
            position,
            offset: offset_of(index).0,
            recovery_point: self.end_offset(),
            problem: problem.into(),
        }
    }
}

enum Scanned {
    End,
    Bad(&'static str),
    Batch(BatchHeader),
}

/// Reads the next whole batch into `batch`; `left` is what the file still holds.
fn next_batch(input: &mut impl Read, left: u64, batch: &mut Vec<u8>) -> io::Result<Scanned> {
    if left == 0 {
        return Ok(Scanned::End);
    }
    if left < BatchHeader::SIZE as u64 {
        return Ok(Scanned::Bad("the batch header is cut off"));
    }
    batch.resize(BatchHeader::SIZE, 0);
    input.read_exact(batch)?;
    let Some(header) = BatchHeader::read(batch) else {
        return Ok(Scanned::Bad("the batch header is cut off"));
    };
    if let Err(problem) = entry::check(&header) {
        return Ok(Scanned::Bad(problem));
    }
    if header.total_size() as u64 > left {
        return Ok(Scanned::Bad("the batch is cut off"));
    }
    batch.resize(header.total_size(), 0);
    input.read_exact(&mut batch[BatchHeader::SIZE..])?;
    if !crc_matches(batch) {
        return Ok(Scanned::Bad("the checksum does not match"));
    }
    Ok(Scanned::Batch(header))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> LogError {
    LogError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
