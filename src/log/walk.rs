//! Walking a segment from batch header to batch header without reading the records.
//!
//! Judges what a header alone can tell (length, magic, order), and the CRC when recovery asks.

use std::sync::Arc;

use crc_fast::{CrcAlgorithm, Digest};

use crate::log::Error;
use crate::log::log_file::LogFile;
use crate::protocol::batch::{BatchHeader, crc_matches};
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
    /// Of the segment: no offset in it is 2^31 or more above.
    base_offset: Offset,
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
    /// `position` must be a batch boundary in the segment that begins at `base_offset`.
    pub fn new(
        log_file: &Arc<LogFile>,
        base_offset: Offset,
        position: u64,
        end: u64,
    ) -> HeaderWalk {
        HeaderWalk {
            log_file: log_file.clone(),
            base_offset,
            position,
            end,
            expected: base_offset,
            chunk: Vec::new(),
            chunk_start: 0,
            chunk_size: CHUNK,
        }
    }

    /// The batch under the cursor begins at `offset` or above.
    pub fn expect(mut self, offset: Offset) -> HeaderWalk {
        self.expected = offset;
        self
    }

    /// From here on every batch will be verified: read in large pieces.
    pub fn read_everything(&mut self) {
        self.chunk_size = VERIFY_CHUNK;
    }

    /// From here on whole batches will be read: in pieces of `bytes`.
    pub fn read_in_pieces_of(&mut self, bytes: usize) {
        self.chunk_size = bytes;
    }

    /// All bytes of the batch under the cursor, just peeked at. Its checksum is verified.
    pub fn whole_batch(&mut self, header: &BatchHeader) -> Result<&[u8], Error> {
        let size = header.total_size();
        if self.held(self.position).len() < size {
            // A damaged length may be anything: it is believed once the checksum says so.
            if size > self.chunk_size && !self.crc_matches(header)? {
                return Err(self.corrupt("the checksum of the batch is wrong"));
            }
            self.fill_from_here(size)?;
        }
        let batch = self.held(self.position).get(..size);
        if !batch.is_some_and(crc_matches) {
            return Err(self.corrupt("the checksum of the batch is wrong"));
        }
        Ok(self.held(self.position).get(..size).unwrap_or_default())
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
        } else if header.last_offset() - self.base_offset > i64::from(i32::MAX) {
            Step::Bad("the batch ends too far above the beginning of its segment")
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
        self.fill_from_here(BatchHeader::SIZE)?;
        Ok(BatchHeader::read(self.held(self.position)))
    }

    /// What of the file from `position` on is in memory.
    fn held(&self, position: u64) -> &[u8] {
        let at = position.checked_sub(self.chunk_start);
        let at = at.and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.chunk.get(at..)).unwrap_or_default()
    }

    /// Holds at least `size` bytes from the cursor on; what is held already is not read again.
    fn fill_from_here(&mut self, size: usize) -> Result<(), Error> {
        let held = self.held(self.position).len();
        self.chunk.drain(..self.chunk.len() - held);
        self.chunk_start = self.position;
        let left = self.end - self.position;
        let wanted = left.min(size.max(self.chunk_size) as u64) as usize;
        self.chunk.resize(wanted.max(held), 0);
        let at = self.position + held as u64;
        let read = self.log_file.read_at(&mut self.chunk[held..], at)?;
        self.chunk.truncate(held + read);
        Ok(())
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
