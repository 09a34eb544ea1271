//! Non-blocking connections and the loop around them. Sending copies nothing; of an answer only
//! its first bytes are read, the rest is dropped inside the kernel (MSG_TRUNC).

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::net::{RecvFlags, recv};

use super::answers::PREFIX;
use super::frames;

/// What one recv asks for where answers are small and many.
const SMALL_ANSWERS: usize = 64 << 10;
/// How much one recv drops at most.
const DROP: usize = 4 << 20;
const GATHER: usize = 8;

/// A frame on its way out.
struct Outgoing {
    head: [u8; frames::HEAD],
    frame: Rc<Vec<u8>>,
    sent: usize,
}

/// One connection.
pub struct Link {
    pub socket: TcpStream,
    outgoing: VecDeque<Outgoing>,
    received: Vec<u8>,
    filled: usize,
    /// Bytes of the answer at the front of `received` that are dropped instead of read.
    skip: usize,
    /// Whether the poller has been asked to tell when more can be sent.
    awaits_room: bool,
}

impl Link {
    /// `large_answers`: read little and drop the rest, instead of many answers at once.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: &str, large_answers: bool) -> Result<Link> {
        let socket =
            TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let room = if large_answers { PREFIX } else { SMALL_ANSWERS };
        Ok(Link {
            socket,
            outgoing: VecDeque::new(),
            received: vec![0; room],
            filled: 0,
            skip: 0,
            awaits_room: false,
        })
    }

    pub fn enqueue(&mut self, frame: &Rc<Vec<u8>>, correlation_id: i32) {
        self.outgoing.push_back(Outgoing {
            head: frames::head(frame, correlation_id),
            frame: frame.clone(),
            sent: 0,
        });
    }

    /// Frames not sent in full.
    pub fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Sends as much as the socket takes.
    pub fn flush(&mut self) -> Result<()> {
        while !self.outgoing.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2 * GATHER];
            let mut count = 0;
            for out in self.outgoing.iter().take(GATHER) {
                if let Some(head) = out.head.get(out.sent..) {
                    slices[count] = IoSlice::new(head);
                    count += 1;
                }
                slices[count] = IoSlice::new(&out.frame[out.sent.max(frames::HEAD)..]);
                count += 1;
            }
            match self.socket.write_vectored(&slices[..count]) {
                Ok(written) => self.sent(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("sending"),
            }
        }
        Ok(())
    }

    fn sent(&mut self, mut written: usize) {
        while let Some(out) = self.outgoing.front_mut() {
            let left = out.frame.len() - out.sent;
            if written < left {
                out.sent += written;
                return;
            }
            written -= left;
            self.outgoing.pop_front();
        }
    }

    /// Calls `each` with the first bytes of every answer that has arrived in full.
    ///
    /// # Errors
    /// The broker hung up, or `each` failed.
    pub fn receive(
        &mut self,
        dropped: &mut Vec<u8>,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        loop {
            if self.skip > 0 {
                dropped.clear();
                dropped.reserve(DROP);
                let room = spare_capacity(dropped);
                let Some(count) = received(recv(&self.socket, room, RecvFlags::TRUNC))? else {
                    return Ok(());
                };
                // What is behind this answer cannot have come: it is asked for later.
                self.skip = self
                    .skip
                    .checked_sub(count)
                    .context("bytes behind an answer")?;
                if self.skip == 0 {
                    each(&self.received[..self.filled])?;
                    self.filled = 0;
                }
                continue;
            }
            let room = &mut self.received[self.filled..];
            let Some(count) = received(recv(&self.socket, room, RecvFlags::empty()))? else {
                return Ok(());
            };
            self.filled += count;
            let is_drained = self.filled < self.received.len();
            self.cut(&mut each)?;
            if is_drained && self.skip == 0 {
                return Ok(());
            }
        }
    }

    /// Cuts whole answers off; of one that is longer than what is looked at the rest is skipped.
    fn cut(&mut self, each: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut at = 0;
        while let Some(length) = self.received[at..self.filled].first_chunk::<4>() {
            let size = 4 + u32::from_be_bytes(*length) as usize;
            let here = self.filled - at;
            if here >= size {
                each(&self.received[at..at + size])?;
                at += size;
                continue;
            }
            if here >= PREFIX {
                self.skip = size - here;
            }
            break;
        }
        self.received.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }
}

fn received<T>(result: rustix::io::Result<(T, usize)>) -> Result<Option<usize>> {
    match result {
        Ok((_, 0)) => bail!("the broker closed the connection"),
        Ok((_, count)) => Ok(Some(count)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error).context("receiving"),
    }
}

/// Tells which links can go on.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// Watches the links by their index.
    pub fn new(links: &[Link]) -> Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (index, link) in links.iter().enumerate() {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &link.socket, data, epoll::EventFlags::IN)?;
        }
        Ok(Poller {
            epoll,
            events: Vec::with_capacity(links.len().min(1024)),
        })
    }

    /// Sends what the link has, and asks to be told when the socket has room for the rest.
    pub fn flush(&self, index: usize, link: &mut Link) -> Result<()> {
        link.flush()?;
        let awaits_room = link.unsent() > 0;
        if awaits_room != link.awaits_room {
            let data = epoll::EventData::new_u64(index as u64);
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, awaits_room);
            epoll::modify(&self.epoll, &link.socket, data, flags)?;
            link.awaits_room = awaits_room;
        }
        Ok(())
    }

    /// The links that can receive or send; none after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<Vec<usize>> {
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        self.events.clear();
        let waited = epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        );
        match waited {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting"),
        }
        let ready = self.events.iter().map(|event| event.data.u64() as usize);
        Ok(ready.collect())
    }
}
