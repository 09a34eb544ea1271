//! The four codecs of record batches, bounded: what may be inflated is limited in bytes and in
//! ratio, and streams through a caller's buffer (R222–R224, KIP-110).
//!
//! Knows nothing of batches. Snappy's two framings stand in [`snappy`](super::snappy).

use std::io::{self, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::snappy::{SnappyReader, XerialWriter};

/// The codec in the low three bits of a batch's attributes (R222).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// `None` for the unassigned ids 5–7 and anything larger.
    pub fn from_id(id: i16) -> Option<Codec> {
        match id {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// The id in a batch's attributes.
    pub fn id(self) -> i16 {
        self as i16
    }
}

/// Below this many bytes of output no ratio is asked about.
const RATIO_FREE_BYTES: u64 = 8 << 20;
/// Output over input beyond [`RATIO_FREE_BYTES`]; real payloads stay far below.
const MAX_RATIO: u64 = 1000;
/// Largest zstd window accepted: 128 MiB, the format's own recommendation.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// How many bytes a payload may inflate to under `max.message.bytes`.
pub fn max_inflated(max_message_bytes: i32) -> u64 {
    (u64::try_from(max_message_bytes).unwrap_or(0) * 8).max(64 << 20)
}

/// What one read of an inflating stream is given room for.
const WINDOW: usize = 64 << 10;

/// About how much memory [`Inflate`] takes for `input`, in bytes: its window or block, which the
/// input declares, within what `max_output` allows.
pub fn inflating_takes(codec: Codec, input: &[u8], max_output: u64) -> usize {
    let max_output = usize::try_from(max_output).unwrap_or(usize::MAX);
    WINDOW
        + match codec {
            Codec::None => 0,
            Codec::Gzip => WINDOW,
            // A raw stream is one block, a framed one has blocks of any size.
            Codec::Snappy => super::snappy::largest_block(input).min(max_output),
            // BD, bits 4 to 6: 64 KiB times a power of four; one block in, one or two out.
            Codec::Lz4 => {
                let size = input.get(5).map_or(0, |bd| (bd >> 4) & 7);
                3 * (WINDOW << (2 * size.saturating_sub(4).min(3)))
            }
            Codec::Zstd => zstd_window(input).min(1 << ZSTD_WINDOW_LOG_MAX),
        }
}

/// The window that a zstd frame declares (RFC 8878, 3.1.1.1.2); 0 for what is no frame.
fn zstd_window(input: &[u8]) -> usize {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    const SINGLE_SEGMENT: u8 = 0x20;
    let Some((descriptor, rest)) = input.strip_prefix(&MAGIC).and_then(|r| r.split_first()) else {
        return 0;
    };
    if descriptor & SINGLE_SEGMENT == 0 {
        let Some(window) = rest.first() else { return 0 };
        let base = 1_usize << (10 + (window >> 3));
        return base + base / 8 * usize::from(window & 7);
    }
    // The window is the content: its size stands behind the dictionary id.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let width = 1 << (descriptor >> 6);
    let size = rest.get(dictionary..dictionary + width).unwrap_or_default();
    let mut bytes = [0; 8];
    bytes[..size.len()].copy_from_slice(size);
    usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}

/// Why a payload could not be inflated.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    #[error("undecodable payload: {0}")]
    Undecodable(#[from] io::Error),
    #[error("the payload inflates beyond its limit of {limit} bytes or {MAX_RATIO} times its size")]
    TooLarge { limit: u64 },
}

/// A payload being inflated. Keeps no more than one codec window or block.
pub struct Inflate<'a> {
    source: Source<'a>,
    input_len: u64,
    produced: u64,
    max_output: u64,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Gzip(Box<GzipMembers<'a>>),
    Snappy(SnappyReader<'a>),
    Lz4(Box<FrameDecoder<Remainder<'a>>>),
    Zstd(zstd::stream::read::Decoder<'a, &'a [u8]>),
}

impl<'a> Inflate<'a> {
    /// Starts on `input`, whose output may have `max_output` bytes at most.
    pub fn new(
        codec: Codec,
        input: &'a [u8],
        max_output: u64,
    ) -> Result<Inflate<'a>, InflateError> {
        let source = match codec {
            Codec::None => Source::Plain(input),
            Codec::Gzip => Source::Gzip(Box::new(GzipMembers::new(input))),
            Codec::Snappy => Source::Snappy(SnappyReader::new(input, max_output)),
            Codec::Lz4 => {
                // The library would also take the legacy frame, which consumers do not know.
                if !input.starts_with(&LZ4_MAGIC) {
                    return Err(undecodable("no lz4 frame"));
                }
                Source::Lz4(Box::new(FrameDecoder::new(Remainder::new(input))))
            }
            Codec::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Source::Zstd(decoder)
            }
        };
        Ok(Inflate {
            source,
            input_len: input.len() as u64,
            produced: 0,
            max_output,
        })
    }

    /// Fills the front of `out`; 0 at the end of the payload.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, InflateError> {
        let count = match &mut self.source {
            Source::Plain(rest) => rest.read(out)?,
            Source::Gzip(members) => members.read(out)?,
            Source::Snappy(reader) => reader.read(out)?,
            Source::Lz4(frame) => read_lz4(frame, out)?,
            Source::Zstd(decoder) => decoder.read(out)?,
        };
        self.produced += count as u64;
        let ratio_exceeded = self.produced > RATIO_FREE_BYTES
            && self.produced > self.input_len.saturating_mul(MAX_RATIO);
        if self.produced > self.max_output || ratio_exceeded {
            return Err(InflateError::TooLarge {
                limit: self.max_output,
            });
        }
        Ok(count)
    }
}

pub(super) fn undecodable(reason: &'static str) -> InflateError {
    InflateError::Undecodable(io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// One frame; bytes behind it are ignored, as Kafka's reader does.
fn read_lz4(
    frame: &mut FrameDecoder<Remainder<'_>>,
    out: &mut [u8],
) -> Result<usize, InflateError> {
    let count = frame.read(out)?;
    // The library takes input that ends between two blocks for a finished frame.
    if count == 0 && frame.get_ref().exhausted {
        return Err(undecodable("lz4 frame without end mark"));
    }
    Ok(count)
}

/// A slice that remembers whether more was asked than it had.
struct Remainder<'a> {
    rest: &'a [u8],
    exhausted: bool,
}

impl<'a> Remainder<'a> {
    fn new(rest: &'a [u8]) -> Remainder<'a> {
        Remainder {
            rest,
            exhausted: false,
        }
    }
}

impl Read for Remainder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.exhausted |= self.rest.is_empty() && !out.is_empty();
        self.rest.read(out)
    }
}

/// Concatenated gzip members; what follows the last one without being a member is ignored
/// (R224; Java: GZIPInputStream.readTrailer).
struct GzipMembers<'a> {
    decoder: GzDecoder<&'a [u8]>,
    first: bool,
    done: bool,
}

impl<'a> GzipMembers<'a> {
    fn new(input: &'a [u8]) -> GzipMembers<'a> {
        GzipMembers {
            decoder: GzDecoder::new(input),
            first: true,
            done: false,
        }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.done {
            match self.decoder.read(out) {
                Ok(0) => {
                    let rest = *self.decoder.get_ref();
                    self.decoder.reset(rest);
                    self.first = false;
                    self.done = rest.is_empty();
                }
                Ok(count) => return Ok(count),
                // Without a readable header this is no further member.
                Err(_) if !self.first && self.decoder.header().is_none() => self.done = true,
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }
}

/// Compresses what is written to it, keeping at most `cap` bytes of output.
pub struct Compressor(Encoder);

enum Encoder {
    Plain(Capped),
    Gzip(GzEncoder<Capped>),
    Snappy(XerialWriter<Capped>),
    Lz4(Box<FrameEncoder<Capped>>),
    Zstd(zstd::stream::write::Encoder<'static, Capped>),
}

impl Compressor {
    /// `level` `None` is the codec's default; snappy and lz4 have one speed whatever it says.
    pub fn new(codec: Codec, level: Option<i32>, cap: usize) -> io::Result<Compressor> {
        let sink = Capped {
            bytes: Vec::new(),
            cap,
            overflowed: false,
        };
        Ok(Compressor(match codec {
            Codec::None => Encoder::Plain(sink),
            Codec::Gzip => Encoder::Gzip(GzEncoder::new(sink, gzip_level(level))),
            Codec::Snappy => Encoder::Snappy(XerialWriter::new(sink)?),
            Codec::Lz4 => {
                // FLG 0x60, BD 0x40, as Kafka writes (R224).
                let frame = FrameInfo::new()
                    .block_mode(BlockMode::Independent)
                    .block_size(BlockSize::Max64KB);
                Encoder::Lz4(Box::new(FrameEncoder::with_frame_info(frame, sink)))
            }
            Codec::Zstd => {
                // 0 is zstd's word for its default, which is Kafka's 3.
                Encoder::Zstd(zstd::stream::write::Encoder::new(sink, level.unwrap_or(0))?)
            }
        }))
    }

    /// Compresses `bytes` behind what came before.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Encoder::Plain(out) => out.write_all(bytes),
            Encoder::Gzip(out) => out.write_all(bytes),
            Encoder::Snappy(out) => out.write_all(bytes),
            Encoder::Lz4(out) => out.write_all(bytes),
            Encoder::Zstd(out) => out.write_all(bytes),
        }
    }

    /// The compressed bytes; `None` if they were more than the cap.
    pub fn finish(self) -> io::Result<Option<Vec<u8>>> {
        let sink = match self.0 {
            Encoder::Plain(out) => out,
            Encoder::Gzip(out) => out.finish()?,
            Encoder::Snappy(out) => out.finish()?,
            Encoder::Lz4(out) => out.finish()?,
            Encoder::Zstd(out) => out.finish()?,
        };
        Ok((!sink.overflowed).then_some(sink.bytes))
    }
}

/// −1 (and anything else outside 0–9) is zlib's default.
fn gzip_level(level: Option<i32>) -> flate2::Compression {
    match level.and_then(|level| u32::try_from(level).ok()) {
        Some(level @ 0..=9) => flate2::Compression::new(level),
        _ => flate2::Compression::default(),
    }
}

/// A growing buffer that forgets everything once it would pass its cap.
pub(super) struct Capped {
    bytes: Vec<u8>,
    cap: usize,
    overflowed: bool,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.overflowed || self.bytes.len() + bytes.len() > self.cap {
            self.overflowed = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
