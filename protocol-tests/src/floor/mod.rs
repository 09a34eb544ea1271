//! The floor: what the machine itself charges for the work of a broker. Blocking loops of one
//! thread over rustix, in the broker's data directory, with its socket options, driven by the same
//! load. They speak just enough Kafka for that load: no broker can be cheaper.

mod produce_loop;
mod request_loop;
mod send_loop;
mod side;

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::net::{RecvFlags, recv};

pub use produce_loop::{Steps, produce_loop};
pub use request_loop::request_loop;
pub use send_loop::{Source, send_loop};
pub use side::{append_files, fork_exec, idle_accept, sync_files};

/// Where a loop listens and what it writes to.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// host:port; port 0 is printed once it is known.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: String,
    /// On the file system of the broker's data.
    #[arg(long)]
    pub directory: PathBuf,
    /// Files that are written in turn, as the load uses partitions in turn.
    #[arg(long, default_value_t = 1)]
    pub files: usize,
}

impl Place {
    /// Binds and tells where.
    fn listen(&self) -> Result<TcpListener> {
        let listener = TcpListener::bind(&self.listen)?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        Ok(listener)
    }
}

/// Files appended to in turn.
struct Files {
    files: Vec<(File, u64)>,
    next: usize,
}

impl Files {
    fn create(directory: &Path, count: usize) -> Result<Files> {
        std::fs::create_dir_all(directory)?;
        let create = |index| {
            let path = directory.join(format!("floor-{index}"));
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path)
                .with_context(|| format!("creating {}", path.display()))?;
            Ok((file, 0))
        };
        let files: Result<Vec<(File, u64)>> = (0..count).map(create).collect();
        Ok(Files {
            files: files?,
            next: 0,
        })
    }

    /// The file of the next request.
    fn turn(&mut self) -> &mut (File, u64) {
        let index = self.next % self.files.len();
        self.next += 1;
        &mut self.files[index]
    }

    /// Gives the disk back: a broker's topics are deleted between runs as well.
    fn empty(&mut self) -> Result<()> {
        for (file, end) in &mut self.files {
            file.set_len(0)?;
            *end = 0;
        }
        Ok(())
    }
}

fn append(file: &(File, u64), at: u64, mut bytes: &[u8]) -> Result<()> {
    let mut at = file.1 + at;
    while !bytes.is_empty() {
        let written = rustix::io::pwrite(&file.0, bytes, at)?;
        at += written as u64;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Key, version and correlation id of a request, and the bytes in front of its records.
const REQUEST_HEAD: usize = 12;
/// Where CRC-32C begins in a batch.
const CRC_START: usize = 21;

/// Receives exactly `buffer`; false if the peer has closed before its first byte.
fn receive(socket: &TcpStream, buffer: &mut [u8], flags: RecvFlags) -> Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match recv(socket, &mut buffer[filled..], flags) {
            Ok((_, 0)) => {
                ensure!(filled == 0, "the load closed inside a frame");
                return Ok(false);
            }
            Ok((_, count)) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn be32(bytes: &[u8]) -> usize {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
}

/// A Produce v12 answer of one partition of one topic with a name of one byte.
fn produce_answer(correlation_id: &[u8]) -> [u8; 52] {
    let mut answer = [0; 52];
    answer[..4].copy_from_slice(&48_u32.to_be_bytes());
    answer[4..8].copy_from_slice(correlation_id);
    // Tags of the header; one topic, its name; one partition, all its fields zero but: no record
    // errors and no message are 1 and 0 as compact lengths.
    answer[9] = 2;
    answer[10] = 2;
    answer[11] = b'f';
    answer[12] = 2;
    answer[43] = 1;
    answer
}

/// The fields of a Fetch v12 answer in front of `record_bytes` bytes of records. Behind the
/// records come [`FETCH_TAIL`].
fn fetch_answer(correlation_id: &[u8], record_bytes: usize) -> Vec<u8> {
    let mut answer = vec![0; 4];
    answer.extend_from_slice(correlation_id);
    answer.extend_from_slice(&[0; 1 + 4 + 2 + 4]);
    answer.extend_from_slice(&[2, 2, b'f', 2]);
    answer.extend_from_slice(&[0; 4 + 2]);
    // High watermark, last stable offset: far away, so that the load goes on and on.
    answer.extend_from_slice(&[0x3f, 0, 0, 0, 0, 0, 0, 0].repeat(2));
    answer.extend_from_slice(&[0; 8 + 1 + 4]);
    let mut length = record_bytes + 1;
    while length >= 0x80 {
        answer.push(length as u8 | 0x80);
        length >>= 7;
    }
    answer.push(length as u8);
    let size = answer.len() - 4 + record_bytes + FETCH_TAIL.len();
    answer[..4].copy_from_slice(&(size as u32).to_be_bytes());
    answer
}

/// Tags of partition, topic and answer.
const FETCH_TAIL: [u8; 3] = [0; 3];
