//! The send side of one connection: a queue of chunks, written with as few system calls as the
//! socket allows. Bytes in memory leave by one vectored write, file regions by `sendfile`.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use bytes::Buf;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::protocol::fetch::Chunk;

/// How many chunks one vectored write gathers; the kernel takes up to 1,024.
const GATHER: usize = 64;

/// Chunks that wait to be sent, in order.
#[derive(Default)]
pub struct Output {
    chunks: VecDeque<Chunk>,
    sent_bytes: u64,
}

impl Output {
    pub fn extend(&mut self, chunks: impl Iterator<Item = Chunk>) {
        self.chunks.extend(chunks);
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// All that the socket has ever taken: whether a slow peer makes progress.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Bytes in memory that wait to be sent; regions of files take none.
    pub fn memory(&self) -> usize {
        self.chunks.iter().map(Chunk::memory).sum()
    }

    /// Sends what the socket takes at once: whether that is everything.
    ///
    /// # Errors
    /// As [`Output::flush`].
    pub fn flush_now(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while !self.chunks.is_empty() {
            match self.write_some(stream) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Sends everything. Cancel safe: what was sent has left the queue, the rest is still in it.
    ///
    /// # Errors
    /// The socket's, or `UnexpectedEof` if a file is shorter than its region: the length on the
    /// wire is already promised, so the caller must close the connection.
    pub async fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.flush_now(stream)? {
            stream.writable().await?;
        }
        Ok(())
    }

    fn write_some(&mut self, stream: &TcpStream) -> io::Result<()> {
        if let Some(Chunk::File {
            file,
            position,
            len,
        }) = self.chunks.front_mut()
        {
            let sent = stream.try_io(Interest::WRITABLE, || {
                Ok(rustix::fs::sendfile(
                    stream.as_fd(),
                    file.as_fd(),
                    Some(position),
                    *len,
                )?)
            })?;
            if sent == 0 && *len > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *len -= sent;
            self.sent_bytes += sent as u64;
            if *len == 0 {
                self.chunks.pop_front();
            }
            return Ok(());
        }
        let sent = {
            let mut slices = [IoSlice::new(&[]); GATHER];
            let mut count = 0;
            for chunk in self.chunks.iter().take(GATHER) {
                let (Chunk::Inline(bytes) | Chunk::Memory(bytes)) = chunk else {
                    break;
                };
                slices[count] = IoSlice::new(bytes);
                count += 1;
            }
            let more = match self.chunks.get(count) {
                // The header of a file region should not travel in a packet of its own.
                Some(Chunk::File { .. }) => SendFlags::MORE,
                _ => SendFlags::empty(),
            };
            stream.try_io(Interest::WRITABLE, || {
                let mut no_ancillary = SendAncillaryBuffer::default();
                let flags = more | SendFlags::NOSIGNAL;
                Ok(rustix::net::sendmsg(
                    stream,
                    &slices[..count],
                    &mut no_ancillary,
                    flags,
                )?)
            })?
        };
        self.sent(sent);
        Ok(())
    }

    fn sent(&mut self, mut count: usize) {
        self.sent_bytes += count as u64;
        while let Some(Chunk::Inline(bytes) | Chunk::Memory(bytes)) = self.chunks.front_mut() {
            if bytes.len() > count {
                bytes.advance(count);
                return;
            }
            count -= bytes.len();
            self.chunks.pop_front();
        }
        debug_assert_eq!(count, 0, "sent more than was queued");
    }
}
