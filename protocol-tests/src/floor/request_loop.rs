//! Q: many connections with small requests, epoll_wait, recv, pwrite, send. And the fan-out of a
//! partition that is followed: a Fetch waits for the next batch, which is sent to all that wait.

use std::collections::HashMap;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result};
use ottla::protocol::batch::crc32c;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{SendFlags, send};

use super::{CRC_START, FETCH_TAIL, Files, Place, append, be32, fetch_answer, produce_answer};

const LISTENER: u64 = u64::MAX;
const BUFFER: usize = 256 << 10;
const API_KEY_FETCH: u8 = 1;

/// A connection and the part of a frame it has sent.
struct Peer {
    socket: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

struct Loop {
    files: Files,
    sum: bool,
    peers: HashMap<u64, Peer>,
    consumers: HashMap<u64, Consumer>,
    /// The newest batch; all are alike.
    batch: Vec<u8>,
    answers: Vec<u8>,
}

/// A connection that fetches.
#[derive(Default)]
struct Consumer {
    /// Correlation id of the Fetch that waits.
    waiting: Option<[u8; 4]>,
    /// Batches that came while none did.
    behind: u32,
}

/// Serves all connections, for ever.
///
/// # Errors
/// The socket's, the file's.
pub fn request_loop(place: &Place, sum: bool) -> Result<()> {
    let listener = place.listen()?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let listening = epoll::EventData::new_u64(LISTENER);
    epoll::add(&poll, &listener, listening, epoll::EventFlags::IN)?;
    let mut state = Loop {
        files: Files::create(&place.directory, place.files)?,
        sum,
        peers: HashMap::new(),
        consumers: HashMap::new(),
        batch: Vec::new(),
        answers: Vec::with_capacity(4096),
    };
    let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
    let mut next = 0;
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in &events {
            let id = event.data.u64();
            if id == LISTENER {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                let data = epoll::EventData::new_u64(next);
                epoll::add(&poll, &socket, data, epoll::EventFlags::IN)?;
                let buffer = vec![0; BUFFER];
                let peer = Peer {
                    socket,
                    buffer,
                    filled: 0,
                };
                state.peers.insert(next, peer);
                next += 1;
            // The load hangs up with frames under way.
            } else if !state.serve(id).unwrap_or(false) {
                state.peers.remove(&id);
                state.consumers.remove(&id);
                if state.peers.is_empty() {
                    state.files.empty()?;
                }
            }
        }
    }
}

impl Loop {
    /// One recv, and everything that is complete with it; false once the peer has gone.
    fn serve(&mut self, id: u64) -> Result<bool> {
        let Some(mut peer) = self.peers.remove(&id) else {
            return Ok(true);
        };
        match peer.socket.read(&mut peer.buffer[peer.filled..]) {
            Ok(0) => return Ok(false),
            Ok(count) => peer.filled += count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let mut at = 0;
        self.answers.clear();
        while let Some(frame) = whole_frame(&peer.buffer[at..peer.filled]) {
            let correlation_id = [frame[8], frame[9], frame[10], frame[11]];
            if frame[5] == API_KEY_FETCH {
                let consumer = self.consumers.entry(id).or_default();
                if consumer.behind > 0 {
                    consumer.behind -= 1;
                    send_batch(&peer.socket, &correlation_id, &self.batch);
                } else {
                    consumer.waiting = Some(correlation_id);
                }
            } else {
                self.produce(frame)?;
                self.answers
                    .extend_from_slice(&produce_answer(&correlation_id));
                self.fan_out(frame)?;
            }
            at += frame.len();
        }
        peer.buffer.copy_within(at..peer.filled, 0);
        peer.filled -= at;
        if !self.answers.is_empty() {
            send(&peer.socket, &self.answers, SendFlags::NOSIGNAL)?;
        }
        self.peers.insert(id, peer);
        Ok(true)
    }

    fn produce(&mut self, frame: &[u8]) -> Result<()> {
        if self.sum {
            std::hint::black_box(crc32c(&[frame.get(CRC_START..).context("a tiny frame")?]));
        }
        let file = self.files.turn();
        append(file, 0, frame)?;
        file.1 += frame.len() as u64;
        Ok(())
    }

    /// Sends the records of a Produce frame to every Fetch that waits.
    fn fan_out(&mut self, frame: &[u8]) -> Result<()> {
        if self.consumers.is_empty() {
            return Ok(());
        }
        let records = records(frame).context("no batch in a produce frame")?;
        for (id, consumer) in &mut self.consumers {
            match (consumer.waiting.take(), self.peers.get(id)) {
                (Some(correlation_id), Some(peer)) => {
                    send_batch(&peer.socket, &correlation_id, records);
                }
                _ => consumer.behind += 1,
            }
        }
        self.batch.clear();
        self.batch.extend_from_slice(records);
        Ok(())
    }
}

/// A batch fits into the socket's buffer: it is taken whole, or the load has gone.
fn send_batch(mut socket: &TcpStream, correlation_id: &[u8; 4], records: &[u8]) {
    let header = fetch_answer(correlation_id, records.len());
    let parts = [&header[..], records, &FETCH_TAIL].map(IoSlice::new);
    let _ = socket.write_vectored(&parts);
}

fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    let size = 4 + be32(bytes.get(..4)?);
    bytes.get(..size)
}

/// The batch of a canned Produce: found by its magic, 16 bytes into a batch whose base offset is 0,
/// and cut by its own length.
fn records(frame: &[u8]) -> Option<&[u8]> {
    let start = (super::REQUEST_HEAD..100).find(|&at| {
        let batch = frame.get(at..at + 17);
        batch.is_some_and(|batch| {
            batch[..8] == [0; 8] && batch[16] == 2 && at + 12 + be32(&batch[8..]) + 3 == frame.len()
        })
    })?;
    frame.get(start..frame.len() - 3)
}
