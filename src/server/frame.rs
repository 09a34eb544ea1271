//! Cuts a byte stream into request frames: a 4-byte length, then as many bytes (R38).
//! Memory grows with the bytes that arrive, never with the length a peer declares.

use bytes::{Bytes, BytesMut};

/// The one API whose frames may be as large as `socket.request.max.bytes`.
const API_KEY_PRODUCE: i16 = 0;

/// Largest frame of any request but Produce, in bytes. No other request carries user data.
const MAX_OTHER_FRAME: usize = 8 << 20;
/// What one read asks for while nothing is known about the peer's frames, in bytes.
const FIRST_READ: usize = 4 << 10;
/// How far one read may run ahead of the frame being received, in bytes.
const READ_AHEAD: usize = 64 << 10;
/// A larger buffer is given back when nothing is left in it, so that idle connections are small.
const KEEP_IDLE: usize = 4 << 10;

/// Why a stream cannot be cut any further; the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame length {0} is not positive")]
    NotPositive(i32),
    #[error("frame of {size} bytes for API key {api_key} is larger than the limit of {limit}")]
    TooLarge {
        size: usize,
        api_key: i16,
        limit: usize,
    },
}

/// The receive side of one connection.
pub struct FrameReader {
    buffer: BytesMut,
    /// Size of the largest frame this peer has sent in full: what it may reserve at once.
    proven: usize,
    max_produce_frame: usize,
}

impl FrameReader {
    /// `max_produce_frame` is `socket.request.max.bytes`.
    pub fn new(max_produce_frame: usize) -> FrameReader {
        FrameReader {
            buffer: BytesMut::new(),
            proven: 0,
            max_produce_frame,
        }
    }

    /// Where the next read goes: at least one byte of spare room. `thrifty` where memory is short:
    /// nothing is read ahead of the frame that was announced.
    pub fn room(&mut self, thrifty: bool) -> &mut BytesMut {
        let wanted = match self.declared() {
            Some(size) => {
                let missing = (4 + size).saturating_sub(self.buffer.len());
                missing.min(self.buffer.len().max(self.proven).max(READ_AHEAD))
            }
            None if thrifty => FIRST_READ,
            None => self.proven.clamp(FIRST_READ, READ_AHEAD),
        };
        if self.buffer.capacity() - self.buffer.len() < wanted.max(1) {
            self.buffer.reserve(wanted.max(1));
        }
        &mut self.buffer
    }

    /// Size of the next frame with its length in front, in bytes, as soon as that has arrived.
    /// Fails as soon as the header shows that the frame can never be accepted.
    pub fn announced(&self) -> Result<Option<usize>, FrameError> {
        let Some(header) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let declared = i32::from_be_bytes(*header);
        if declared <= 0 {
            return Err(FrameError::NotPositive(declared));
        }
        self.check_limit(declared as usize)?;
        Ok(Some(4 + declared as usize))
    }

    /// The bytes that have arrived and are in no whole frame that was taken.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame without its length, or `None` until more bytes have arrived.
    /// Fails like [`FrameReader::announced`].
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(announced) = self.announced()? else {
            return Ok(None);
        };
        let size = announced - 4;
        if self.buffer.len() < announced {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(4 + size);
        self.proven = self.proven.max(size + 4).min(self.max_produce_frame);
        Ok(Some(frame.split_off(4).freeze()))
    }

    /// Gives memory back when the peer has nothing more to say for now.
    pub fn went_idle(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP_IDLE {
            self.buffer = BytesMut::new();
        }
    }

    fn declared(&self) -> Option<usize> {
        let header = self.buffer.first_chunk::<4>()?;
        usize::try_from(i32::from_be_bytes(*header)).ok()
    }

    fn check_limit(&self, size: usize) -> Result<(), FrameError> {
        let Some(key) = self.buffer.get(4..6) else {
            return self.limit_for(API_KEY_PRODUCE, size);
        };
        self.limit_for(i16::from_be_bytes([key[0], key[1]]), size)
    }

    fn limit_for(&self, api_key: i16, size: usize) -> Result<(), FrameError> {
        let limit = match api_key {
            API_KEY_PRODUCE => self.max_produce_frame,
            _ => self.max_produce_frame.min(MAX_OTHER_FRAME),
        };
        if size > limit {
            return Err(FrameError::TooLarge {
                size,
                api_key,
                limit,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(reader: &mut FrameReader, bytes: &[u8]) {
        reader.room(false);
        reader.buffer.extend_from_slice(bytes);
    }

    #[test]
    fn frames_are_cut_wherever_the_stream_was_split() {
        let stream = [0, 0, 0, 3, 0, 18, 7, 0, 0, 0, 2, 0, 3];
        for split in 0..stream.len() {
            let mut reader = FrameReader::new(100);
            let mut frames = Vec::new();
            for part in [&stream[..split], &stream[split..]] {
                receive(&mut reader, part);
                while let Some(frame) = reader.next_frame().expect("valid") {
                    frames.push(frame.to_vec());
                }
            }
            assert_eq!(frames, [vec![0, 18, 7], vec![0, 3]]);
            assert!(reader.buffer.is_empty());
        }
    }

    #[test]
    fn r38_lengths_at_the_limit_pass_and_beyond_it_fail_at_the_header() {
        let mut reader = FrameReader::new(100);
        receive(&mut reader, &[0, 0, 0, 100, 0, 0]);
        assert_eq!(reader.next_frame(), Ok(None));
        for header in [
            [0u8, 0, 0, 101],
            [0, 0, 0, 0],
            [255, 255, 255, 255],
            [127, 255, 255, 255],
        ] {
            let mut reader = FrameReader::new(100);
            receive(&mut reader, &header);
            assert!(reader.next_frame().is_err(), "{header:?}");
        }
    }

    #[test]
    fn only_produce_may_be_larger_than_eight_mebibytes() {
        let nine_mebibytes = (9_i32 << 20).to_be_bytes();
        let mut reader = FrameReader::new(100 << 20);
        receive(&mut reader, &nine_mebibytes);
        receive(&mut reader, &[0, 0]);
        assert_eq!(reader.next_frame(), Ok(None));
        let mut reader = FrameReader::new(100 << 20);
        receive(&mut reader, &nine_mebibytes);
        receive(&mut reader, &[0, 1]);
        assert!(matches!(
            reader.next_frame(),
            Err(FrameError::TooLarge { api_key: 1, .. })
        ));
    }

    #[test]
    fn r38_a_declared_length_reserves_no_memory_until_bytes_arrive() {
        let mut reader = FrameReader::new(100 << 20);
        receive(&mut reader, &(99_i32 << 20).to_be_bytes());
        receive(&mut reader, &[0, 0]);
        assert_eq!(reader.next_frame(), Ok(None));
        // BytesMut doubles what is there when it grows.
        assert!(reader.room(false).capacity() <= 4 * READ_AHEAD);
    }
}
