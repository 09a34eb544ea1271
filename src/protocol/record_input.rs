//! Where the record walker gets its bytes: from memory, or from an inflating stream of which
//! nothing is kept. One walker over both, so that the two cannot judge differently.

use super::compression::{Compressor, Inflate, InflateError};
use super::records::BatchError;
use super::varint;

/// A source of record bytes. `None` means there are no more; a [`Stream`] may know worse.
pub(super) trait Input {
    /// What `take` can show of the bytes it passed.
    type Slice;
    fn pop(&mut self) -> Option<u8>;
    fn take(&mut self, len: usize) -> Option<Self::Slice>;
    /// Bytes consumed so far.
    fn position(&self) -> u64;
    /// What was consumed since `position` stood at `start`.
    fn since(&self, start: u64) -> Self::Slice;
}

/// Records in memory.
pub(super) struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Slice<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Slice<'a> {
        Slice { bytes, at: 0 }
    }

    /// What has not been consumed.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}

impl<'a> Input for Slice<'a> {
    type Slice = &'a [u8];

    #[inline]
    fn pop(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn position(&self) -> u64 {
        self.at as u64
    }

    fn since(&self, start: u64) -> &'a [u8] {
        &self.bytes[start as usize..self.at]
    }
}

/// Bytes of a stream in memory at a time.
const WINDOW: usize = 64 * 1024;

/// Records being inflated; optionally compressed anew on the way (R226).
pub(super) struct Stream<'a> {
    inflate: Inflate<'a>,
    recompress: Option<&'a mut Compressor>,
    window: Vec<u8>,
    at: usize,
    /// Bytes that left the window before its current content.
    passed: u64,
    failure: Option<InflateError>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(inflate: Inflate<'a>, recompress: Option<&'a mut Compressor>) -> Stream<'a> {
        Stream {
            inflate,
            recompress,
            window: Vec::new(),
            at: 0,
            passed: 0,
            failure: None,
        }
    }

    /// Why the stream ended early, if inflating failed.
    pub(super) fn failure(self) -> Option<InflateError> {
        self.failure
    }

    /// Appends the bytes of the next record, without its length, to `out`.
    pub(super) fn record(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let length = varint::signed(|| self.pop())?;
        self.copy(usize::try_from(length).ok()?, out)
    }

    /// Whether nothing is left behind the last of `count` records.
    pub(super) fn end(mut self, count: i32) -> Result<(), BatchError> {
        match (self.pop(), self.failure()) {
            (_, Some(failure)) => Err(failure.into()),
            (Some(_), None) => Err(BatchError::Trailing { count }),
            (None, None) => Ok(()),
        }
    }

    /// Appends the next `len` bytes to `out`, which grows only with bytes that are there.
    fn copy(&mut self, mut len: usize, out: &mut Vec<u8>) -> Option<()> {
        while len > 0 {
            let window = self.window()?;
            let now = &window[..window.len().min(len)];
            out.extend_from_slice(now);
            len -= now.len();
            self.at += now.len();
        }
        Some(())
    }

    /// What is left in the window, refilled if empty; `None` at the end or on failure.
    fn window(&mut self) -> Option<&[u8]> {
        if self.at == self.window.len() {
            self.refill()?;
        }
        Some(&self.window[self.at..])
    }

    fn refill(&mut self) -> Option<()> {
        self.passed += self.window.len() as u64;
        self.at = 0;
        self.window.resize(WINDOW, 0);
        let filled = self.inflate.read(&mut self.window).and_then(|count| {
            if let Some(compressor) = &mut self.recompress {
                compressor.write(&self.window[..count])?;
            }
            Ok(count)
        });
        self.window.truncate(*filled.as_ref().unwrap_or(&0));
        match filled {
            Ok(count) => (count > 0).then_some(()),
            Err(failure) => {
                self.failure = Some(failure);
                None
            }
        }
    }
}

impl Input for Stream<'_> {
    type Slice = ();

    #[inline]
    fn pop(&mut self) -> Option<u8> {
        let byte = *self.window()?.first()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, mut len: usize) -> Option<()> {
        while len > 0 {
            let now = self.window()?.len().min(len);
            len -= now;
            self.at += now;
        }
        Some(())
    }

    fn position(&self) -> u64 {
        self.passed + self.at as u64
    }

    fn since(&self, _start: u64) {}
}
