//! Snappy as Kafka's clients write it: raw (librdkafka) or in snappy-java's ("xerial") framing,
//! told apart by the magic (R223). We write the framing, as the Java client does.
//!
//! Framing: magic, two version numbers that are not looked at, then blocks of an int32 length
//! and one raw snappy stream each. A stream declares its own length; no byte is reserved for a
//! declaration that the compressed bytes could not hold (CVE-2023-34455).

use std::io::{self, Read, Write};

use snap::raw::{Decoder, Encoder, decompress_len};

use super::compression::{InflateError, undecodable};
use crate::faults::is_planted;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic, version 1, compatible with 1.
const HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
/// snappy-java's block size in bytes.
const BLOCK_SIZE: usize = 32 * 1024;
/// No snappy element yields more than 64 bytes out of 3.
const MAX_EXPANSION: u64 = 22;

/// The most that one block of `input` can inflate to, in bytes.
pub(super) fn largest_block(input: &[u8]) -> usize {
    if input.starts_with(&MAGIC) {
        // Blocks are as large as whoever wrote them liked, but not together.
        return input.len().saturating_mul(MAX_EXPANSION as usize);
    }
    decompress_len(input).unwrap_or(0)
}

/// Inflates either form block by block.
pub(super) struct SnappyReader<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    /// How much of `block` has been handed out.
    at: usize,
    max_output: u64,
}

impl<'a> SnappyReader<'a> {
    pub(super) fn new(input: &'a [u8], max_output: u64) -> SnappyReader<'a> {
        let framed = input.len() >= HEADER.len() && input.starts_with(&MAGIC);
        SnappyReader {
            rest: if framed {
                &input[HEADER.len()..]
            } else {
                input
            },
            framed,
            block: Vec::new(),
            at: 0,
            max_output,
        }
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, InflateError> {
        while self.at == self.block.len() {
            let Some(compressed) = self.next_block()? else {
                return Ok(0);
            };
            self.inflate(compressed)?;
        }
        let count = (&self.block[self.at..]).read(out)?;
        self.at += count;
        Ok(count)
    }

    fn next_block(&mut self) -> Result<Option<&'a [u8]>, InflateError> {
        if !self.framed {
            let whole = std::mem::take(&mut self.rest);
            return Ok((!whole.is_empty()).then_some(whole));
        }
        // A second stream may be concatenated, with a header of its own.
        while self.rest.starts_with(&MAGIC[..4]) {
            self.rest = self
                .rest
                .get(HEADER.len()..)
                .ok_or_else(|| undecodable("snappy header cut short"))?;
        }
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(i32::from_be_bytes(*length))
            .map_err(|_| undecodable("negative snappy block length"))?;
        let (block, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| undecodable("snappy block cut short"))?;
        self.rest = rest;
        Ok(Some(block))
    }

    fn inflate(&mut self, compressed: &[u8]) -> Result<(), InflateError> {
        let declared = decompress_len(compressed).map_err(io::Error::from)?;
        let possible = MAX_EXPANSION * compressed.len() as u64;
        if declared as u64 > possible && !is_planted("snappy.length-believed") {
            return Err(undecodable("impossible snappy length"));
        }
        if declared as u64 > self.max_output {
            let limit = self.max_output;
            return Err(InflateError::TooLarge { limit });
        }
        self.block.resize(declared, 0);
        self.at = 0;
        Decoder::new()
            .decompress(compressed, &mut self.block)
            .map_err(io::Error::from)?;
        Ok(())
    }
}

/// Writes snappy-java's framing.
pub(super) struct XerialWriter<W: Write> {
    out: W,
    pending: Vec<u8>,
}

impl<W: Write> XerialWriter<W> {
    pub(super) fn new(mut out: W) -> io::Result<XerialWriter<W>> {
        out.write_all(&HEADER)?;
        Ok(XerialWriter {
            out,
            pending: Vec::with_capacity(BLOCK_SIZE),
        })
    }

    pub(super) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = BLOCK_SIZE - self.pending.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == BLOCK_SIZE {
                self.write_block()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.pending.is_empty() {
            self.write_block()?;
        }
        Ok(self.out)
    }

    fn write_block(&mut self) -> io::Result<()> {
        let compressed = Encoder::new().compress_vec(&self.pending)?;
        self.out
            .write_all(&(compressed.len() as u32).to_be_bytes())?;
        self.out.write_all(&compressed)?;
        self.pending.clear();
        Ok(())
    }
}
