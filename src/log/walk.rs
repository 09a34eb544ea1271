//! Walking a segment from batch header to batch header without reading the records.
//!
//! Judges what a header alone can tell (length, magic, order), and the CRC when recovery asks.

use std::sync::Arc;

use crc_fast::{CrcAlgorithm, Digest};

use crate::log::Error;
use crate::log::files::LogFile;
use crate::protocol::batch::BatchHeader;
use crate::types::Offset;

/// Bytes read at once: one index interval, so that a lookup ends after one or two reads.
const CHUNK: usize = 16 << 10;
/// Bytes read at once when every byte is to be read.
const VERIFY_CHUNK: usize = 1 << 20;

/// Where in a batch the bytes begin that the CRC covers.
const CRC_START: u64 = 21;

/// A cursor over the batches in `[position, end)` of one segment.
pub struct HeaderWalk {
    log_file: Arc<LogFile>,
    position: u64,
    end: u64,
    /// No batch may begin below this offset.
    expected: Offset,
    chunk: Vec<u8>,
    chunk_start: u64,
    chunk_size: usize,
}

/// What stands at the cursor.
#[derive(Debug)]
pub enum Step {
    Batch(BatchHeader),
    End,
    /// Not a batch, and why.
    Bad(&'static str),
}

impl HeaderWalk {
    /// `position` must be a batch boundary; the batch there begins at `expected` or above.
    pub fn new(log_file: &Arc<LogFile>, position: u64, end: u64, expected: Offset) -> HeaderWalk {
        HeaderWalk {
            log_file: log_file.clone(),
            position,
            end,
            expected,
            chunk: Vec::new(),
            chunk_start: 0,
            chunk_size: CHUNK,
        }
    }

    /// From here on every batch will be verified: read in large pieces.
    pub fn read_everything(&mut self) {
        self.chunk_size = VERIFY_CHUNK;
    }

    /// Whether the batch under the cursor, just peeked at, has the CRC its header claims. Reads
    /// it in bounded pieces, however large it is.
    pub fn crc_matches(&mut self, header: &BatchHeader) -> Result<bool, Error> {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        let mut at = self.position + CRC_START;
        let end = self.position + header.total_size() as u64;
        while at < end {
            let held = self.held(at);
            if held.is_empty() {
                self.fill(at)?;
                if self.held(at).is_empty() {
                    return Ok(false);
                }
                continue;
            }
            let covered = &held[..held.len().min((end - at) as usize)];
            digest.update(covered);
            at += covered.len() as u64;
        }
        Ok(digest.finalize() == u64::from(header.crc))
    }

    /// Where the batch under the cursor begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The offset that follows what was walked so far.
    pub fn expected(&self) -> Offset {
        self.expected
    }

    /// Looks at the batch under the cursor without moving.
    pub fn peek(&mut self) -> Result<Step, Error> {
        let left = self.end - self.position;
        if left == 0 {
            return Ok(Step::End);
        }
        if left < BatchHeader::SIZE as u64 {
            return Ok(Step::Bad("the file ends inside a batch header"));
        }
        let Some(header) = self.header_here()? else {
            return Ok(Step::Bad("the file ends inside a batch header"));
        };
        Ok(if !header.is_plausible() {
            Step::Bad("no batch header")
        } else if header.total_size() as u64 > left {
            Step::Bad("the batch is longer than the rest of the file")
        } else if header.base_offset < self.expected {
            Step::Bad("the batch begins below the end of the one before it")
        } else {
            Step::Batch(header)
        })
    }

    /// Moves behind a batch just peeked at.
    pub fn pass(&mut self, header: &BatchHeader) {
        self.position += header.total_size() as u64;
        self.expected = header.next_offset();
    }

    /// The batch under the cursor, with its position, and moves behind it; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<(u64, BatchHeader)>, Error> {
        match self.peek()? {
            Step::End => Ok(None),
            Step::Bad(detail) => Err(self.corrupt(detail)),
            Step::Batch(header) => {
                let position = self.position;
                self.pass(&header);
                Ok(Some((position, header)))
            }
        }
    }

    /// Damage at the cursor.
    pub fn corrupt(&self, detail: &str) -> Error {
        Error::Corrupt {
            path: self.log_file.path().to_path_buf(),
            position: self.position,
            offset: self.expected,
            detail: detail.to_string(),
        }
    }

    fn header_here(&mut self) -> Result<Option<BatchHeader>, Error> {
        if let Some(header) = BatchHeader::read(self.held(self.position)) {
            return Ok(Some(header));
        }
        self.fill(self.position)?;
        Ok(BatchHeader::read(self.held(self.position)))
    }

    /// What of the file from `position` on is in memory.
    fn held(&self, position: u64) -> &[u8] {
        let at = position.checked_sub(self.chunk_start);
        let at = at.and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.chunk.get(at..)).unwrap_or_default()
    }

    fn fill(&mut self, position: u64) -> Result<(), Error> {
        let wanted = (self.end - position).min(self.chunk_size as u64) as usize;
        self.chunk.resize(wanted, 0);
        self.chunk_start = position;
        let read = self.log_file.read_at(&mut self.chunk, position)?;
        self.chunk.truncate(read);
        Ok(())
    }
}
