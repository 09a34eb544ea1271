//! I0–I5: receive frames, check them, write them, acknowledge them. Each step can be left out, so
//! that its price is the difference of two rows.

use std::net::TcpStream;

use anyhow::{Context, Result};
use ottla::protocol::batch::crc32c;
use rustix::net::{RecvFlags, SendFlags, send};

use super::{CRC_START, Files, Place, REQUEST_HEAD, append, be32, produce_answer, receive};

/// What is done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Steps {
    /// I0: dropped inside the kernel.
    Truncate,
    /// I1: copied to user space and forgotten.
    Receive,
    /// I2, I3: written to the file.
    Write,
    /// I4: summed.
    Sum,
    /// I5: summed and written.
    SumAndWrite,
}

/// Serves one connection after the other, for ever.
///
/// # Errors
/// The port is taken, the files cannot be made.
pub fn produce_loop(place: &Place, steps: Steps, chunk: usize) -> Result<()> {
    let listener = place.listen()?;
    let mut files = Files::create(&place.directory, place.files)?;
    let mut buffer = vec![0; chunk];
    loop {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        // The load hangs up with frames under way.
        while frame(&socket, &mut files, steps, &mut buffer).unwrap_or(false) {}
        files.empty()?;
    }
}

/// One request, received, summed and written in pieces of the buffer while they are in cache.
fn frame(socket: &TcpStream, files: &mut Files, steps: Steps, buffer: &mut [u8]) -> Result<bool> {
    let mut head = [0; REQUEST_HEAD];
    if !receive(socket, &mut head, RecvFlags::empty())? {
        return Ok(false);
    }
    let mut left = 4 + be32(&head) - REQUEST_HEAD;
    let file = files.turn();
    let mut done = 0;
    let mut sums = 0;
    while left > 0 {
        let piece = left.min(buffer.len());
        let flags = match steps {
            Steps::Truncate => RecvFlags::TRUNC,
            _ => RecvFlags::empty(),
        };
        let whole = receive(socket, &mut buffer[..piece], flags)?;
        anyhow::ensure!(whole, "the load closed inside a frame");
        if matches!(steps, Steps::Sum | Steps::SumAndWrite) {
            // Client id, acks, topic and batch header are 100 bytes or less: summed as well.
            let from = if done == 0 { CRC_START } else { 0 };
            sums ^= crc32c(&[buffer[..piece].get(from..).context("a tiny frame")?]);
        }
        if matches!(steps, Steps::Write | Steps::SumAndWrite) {
            append(file, done, &buffer[..piece])?;
        }
        done += piece as u64;
        left -= piece;
    }
    std::hint::black_box(sums);
    file.1 += done;
    let answer = produce_answer(&head[8..12]);
    // One segment of a stream whose peer reads: it is taken whole.
    send(socket, &answer, SendFlags::NOSIGNAL)?;
    Ok(true)
}
