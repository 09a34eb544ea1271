//! E0–E4: answer each Fetch with a fixed header and a range of bytes, by every way there is.

use std::io::{IoSlice, Write};
use std::net::TcpStream;

use anyhow::Result;
use rustix::net::{RecvFlags, SendFlags, send};

use super::{FETCH_TAIL, Files, Place, REQUEST_HEAD, append, be32, fetch_answer, receive};

/// Where the bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// E0: memory, by writev.
    Memory,
    /// E1–E3: a file in the page cache, by sendfile.
    Sendfile,
    /// E4: the same, by pread and write.
    Copy,
}

/// Twice the last-level cache of most machines, so that the bytes come from memory.
const FILE_BYTES: u64 = 256 << 20;
const FILL: usize = 1 << 20;

/// Serves one connection after the other, for ever. Every answer carries `range` bytes.
///
/// # Errors
/// The socket's, the file's.
pub fn send_loop(place: &Place, source: Source, range: usize) -> Result<()> {
    let mut files = Files::create(&place.directory, 1)?;
    let file = files.turn();
    let fill = vec![0x5a; FILL];
    while file.1 < FILE_BYTES {
        append(file, 0, &fill)?;
        file.1 += FILL as u64;
    }
    let listener = place.listen()?;
    let mut buffer = vec![0x5a; range];
    let mut request = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        loop {
            let mut head = [0; REQUEST_HEAD];
            if !receive(&socket, &mut head, RecvFlags::empty())? {
                break;
            }
            let rest = 4 + be32(&head) - REQUEST_HEAD;
            if !receive(&socket, &mut request[..rest], RecvFlags::empty())? {
                break;
            }
            if at + range as u64 > file.1 {
                at = 0;
            }
            let header = fetch_answer(&head[8..12], range);
            // The load hangs up in the middle of an answer.
            if answer(&socket, &header, source, file, at, &mut buffer).is_err() {
                break;
            }
            at += range as u64;
        }
    }
}

fn answer(
    socket: &TcpStream,
    header: &[u8],
    source: Source,
    file: &(std::fs::File, u64),
    mut at: u64,
    buffer: &mut [u8],
) -> Result<()> {
    match source {
        Source::Memory => write_all(socket, [header, buffer, &FETCH_TAIL])?,
        Source::Copy => {
            rustix::io::pread(&file.0, &mut *buffer, at)?;
            write_all(socket, [header, buffer, &FETCH_TAIL])?;
        }
        Source::Sendfile => {
            send(socket, header, SendFlags::NOSIGNAL | SendFlags::MORE)?;
            let mut left = buffer.len();
            while left > 0 {
                left -= rustix::fs::sendfile(socket, &file.0, Some(&mut at), left)?;
            }
            send(socket, &FETCH_TAIL, SendFlags::NOSIGNAL)?;
        }
    }
    Ok(())
}

fn write_all(mut socket: &TcpStream, parts: [&[u8]; 3]) -> Result<()> {
    let mut skip = 0;
    let total: usize = parts.iter().map(|part| part.len()).sum();
    while skip < total {
        let mut slices = [IoSlice::new(&[]); 3];
        let mut before = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part.get(skip.saturating_sub(before)..).unwrap_or_default());
            before += part.len();
        }
        skip += socket.write_vectored(&slices)?;
    }
    Ok(())
}
