//! One connection, one task: bytes in, requests started in order, answers out in the same order
//! (R35). A request that must wait is parked here as a future; the socket is still read meanwhile,
//! so that a client that goes away frees what waits for it (R41).
//!
//! What a frame and its request take is reserved before it is read; where the pool is empty the
//! connection reads nothing until it is its turn (security.md section 7).

mod memory;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::api::{self, Answer, BoxedAnswer, Disconnect, Outcome, Parked, Peer, Request};
use crate::broker::Shared;
use crate::budget::{Account, Holder};
use crate::server::connections::Admitted;
use crate::server::frame::{FrameError, FrameReader};
use crate::server::output::Output;
use crate::server::patience::{GRACE_MS, MEMORY_WAIT_MS, STALLED_MS, Transfer};
use crate::types::Millis;
use memory::{Asking, Purpose};

/// Requests of one connection that may be in work at once (performance.md, rule 14).
const MAX_IN_FLIGHT: usize = 16;
/// Beyond its first request a connection may have this part of the pool in work.
const IN_FLIGHT_SHARE: usize = 16;
/// A frame of no more bytes needs no reservation while it is the only one of its connection: the
/// buffer for it is there.
const SMALL_FRAME: usize = 4 << 10;
/// Answers of one connection that wait for an earlier one or for the socket, in bytes: no further
/// request is started meanwhile.
const MAX_READY_BYTES: usize = 1 << 20;
/// What a request asks of the exhausted pool of answers, to wait for its turn, in bytes.
const ANSWER_NOMINAL: usize = 4 << 10;

/// In place of no limit: a year.
const NO_LIMIT_MS: Millis = 365 * 86_400_000;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the client closed the connection")]
    ByPeer,
    #[error("idle for longer than connections.max.idle.ms")]
    Idle,
    #[error("its request comes more slowly than 16 KiB a second")]
    SendsTooSlowly,
    #[error("it does not take its answers")]
    TakesTooSlowly,
    #[error("a request that needs {0} bytes cannot have them")]
    NoMemory(usize),
    #[error("the broker is stopping")]
    Stopping,
    #[error("malformed input: {0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Request(#[from] Disconnect),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Serves one client until it leaves, misbehaves, idles for too long, or the broker stops.
pub async fn serve(
    shared: Arc<Shared>,
    stream: std::net::TcpStream,
    peer: Peer,
    admitted: Admitted,
    mut stopping: watch::Receiver<bool>,
) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::info!(%error, "a connection was lost"),
    };
    let config = &shared.config;
    let idle_limit_ms = match config.connections_max_idle_ms {
        0.. => config.connections_max_idle_ms.min(NO_LIMIT_MS),
        _ => NO_LIMIT_MS,
    };
    let budget = &shared.budget;
    // A frame larger than the pool could never be reserved.
    let largest = (config.socket_request_max_bytes as usize).min(budget.requests.limit() - 4);
    let mut connection = Connection {
        frames: FrameReader::new(largest),
        frame_reserved: None,
        receiving: None,
        next: None,
        asking: None,
        output: Output::default(),
        in_flight: VecDeque::new(),
        ready_bytes: 0,
        peer,
        timer: Box::pin(tokio::time::sleep(millis(idle_limit_ms))),
        timer_at_ms: shared.clock.monotonic_ms() + idle_limit_ms,
        idle_limit_ms,
        requests: Account::new(budget.requests.clone(), admitted.holder.clone()),
        responses: Account::new(budget.responses.clone(), Arc::<Holder>::default()),
        admitted,
        shared,
        stream,
    };
    let closed = connection.run(&mut stopping).await;
    connection.say_goodbye(closed);
}

struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: Peer,
    frames: FrameReader,
    /// What is reserved for the frame being received, once it is announced.
    frame_reserved: Option<usize>,
    /// The frame being received, while it is being read.
    receiving: Option<Transfer>,
    /// A request that has arrived and waits for memory.
    next: Option<Next>,
    asking: Option<Asking>,
    output: Output,
    /// Started requests whose answers have not left yet, oldest first.
    in_flight: VecDeque<InFlight>,
    /// Of the answers in `in_flight`.
    ready_bytes: usize,
    timer: Pin<Box<Sleep>>,
    /// When `timer` fires; never later than the first deadline.
    timer_at_ms: Millis,
    idle_limit_ms: Millis,
    requests: Account,
    responses: Account,
    admitted: Admitted,
}

struct InFlight {
    state: State,
    /// Bytes of the request pool.
    reserved: usize,
}

enum State {
    Answered(Answer),
    Parked(Parked),
}

struct Next {
    request: Request,
    reserved: usize,
    /// What decoding takes is in `reserved`.
    is_decodable: bool,
}

/// How far the requests that have arrived in full were started.
enum Started {
    All,
    /// More may have arrived.
    UpToTheLimit,
}

impl Connection {
    /// Ends with the reason, never with success: a connection has no natural end.
    async fn run(&mut self, stopping: &mut watch::Receiver<bool>) -> Closed {
        loop {
            let started = self.start_requests();
            // Also what was asked before a request that ends the connection.
            if let Err(closed) = self.send_answers(stopping).await {
                return closed;
            }
            match started {
                Err(closed) => return closed,
                // The rest has been received already: no read will announce it. First it is the
                // others' turn: an answer may have been much work.
                Ok(Started::UpToTheLimit) if self.may_start() => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(_) => {}
            }
            if let Err(closed) = self.wait(stopping).await {
                return closed;
            }
        }
    }

    /// Starts every request that has arrived in full and may start now.
    fn start_requests(&mut self) -> Result<Started, Closed> {
        while self.may_start() {
            let Some(next) = self.next_request()? else {
                return Ok(match self.asking {
                    None => Started::All,
                    Some(_) => Started::UpToTheLimit,
                });
            };
            self.admitted.seat.active(self.now());
            let is_light = next.request.bounds_its_answer();
            let state = match api::dispatch(&self.shared, &mut self.peer, next.request) {
                Ok(Outcome::Answer(answer)) => {
                    self.ready_bytes += answer.memory();
                    State::Answered(answer)
                }
                Ok(Outcome::Park(parked)) => State::Parked(parked),
                Ok(Outcome::NoAnswer) => {
                    self.requests.give_back(next.reserved);
                    continue;
                }
                Err(disconnect) => return Err(disconnect.into()),
            };
            let reserved = next.reserved;
            self.in_flight.push_back(InFlight { state, reserved });
            // What has not been received yet is announced by the next read.
            if !is_light && self.frames.buffered() > 0 {
                return Ok(Started::UpToTheLimit);
            }
        }
        Ok(Started::UpToTheLimit)
    }

    /// Also whether more is read: what could not be started stays in the socket's buffer, which
    /// pushes back.
    fn may_start(&self) -> bool {
        let is_held_up =
            |request: &InFlight| matches!(&request.state, State::Parked(p) if p.exclusive);
        if self.asking.is_some() {
            return false;
        }
        if self.in_flight.is_empty() {
            return true;
        }
        let within_share = self.frame_reserved.is_some() || self.next.is_some() || {
            let announced = self.frames.announced().ok().flatten().unwrap_or(0);
            self.requests.held() + announced <= self.requests.pool().limit() / IN_FLIGHT_SHARE
        };
        self.in_flight.len() < MAX_IN_FLIGHT
            && self.ready_bytes < MAX_READY_BYTES
            && within_share
            && !self.in_flight.iter().any(is_held_up)
    }

    /// Sends the answers that are ready and have no unanswered request before them.
    async fn send_answers(&mut self, stopping: &mut watch::Receiver<bool>) -> Result<(), Closed> {
        while let Some(InFlight {
            state: State::Answered(_),
            ..
        }) = self.in_flight.front()
        {
            if let Some(InFlight {
                state: State::Answered(answer),
                reserved,
            }) = self.in_flight.pop_front()
            {
                self.ready_bytes -= answer.memory();
                self.requests.give_back(reserved);
                self.output.extend(answer.into_chunks());
            }
        }
        // Most answers leave at once, and nobody counts their bytes.
        if !self.output.is_empty() && !self.output.flush_now(&self.stream)? {
            self.flush(stopping).await?;
        }
        self.responses.set(self.ready_bytes);
        Ok(())
    }

    /// Sends what is queued as fast as the peer takes it. One that takes nothing is idle, however
    /// much it has asked, and one that takes little must not keep others waiting.
    async fn flush(&mut self, stopping: &mut watch::Receiver<bool>) -> Result<(), Closed> {
        let whole = Transfer {
            began_ms: self.now(),
            before: self.output.sent_bytes(),
        };
        let stalled_ms = STALLED_MS.min(self.idle_limit_ms);
        let mut taken_at_ms = whole.began_ms;
        loop {
            self.responses.set(self.ready_bytes + self.output.memory());
            let sent_before = self.output.sent_bytes();
            let now = self.now();
            let tick_at_ms = (taken_at_ms + stalled_ms).min(now + GRACE_MS);
            if self.timer_at_ms <= now || tick_at_ms < self.timer_at_ms {
                self.set_timer(tick_at_ms);
            }
            tokio::select! {
                biased;
                flushed = self.output.flush(&self.stream) => return Ok(flushed?),
                // A peer that takes nothing must not keep a stopping broker alive.
                _ = stopping.wait_for(|stop| *stop) => return Err(Closed::Stopping),
                () = self.timer.as_mut() => {}
            }
            let now = self.now();
            if self.output.sent_bytes() > sent_before {
                taken_at_ms = now;
                self.admitted.seat.active(now);
            }
            let others_wait = self.responses.pool().is_exhausted();
            let too_slow = others_wait && whole.deadline_ms(self.output.sent_bytes()) <= now;
            if too_slow || now - taken_at_ms >= stalled_ms {
                return Err(Closed::TakesTooSlowly);
            }
        }
    }

    /// Waits until there is something to do: bytes, the oldest parked answer, memory, a deadline,
    /// the end.
    async fn wait(&mut self, stopping: &mut watch::Receiver<bool>) -> Result<(), Closed> {
        if self.in_flight.is_empty() && self.asking.is_none() {
            self.frames.went_idle();
        }
        let reading = self.may_start();
        self.watch_the_frame(reading);
        let deadline_ms = self.deadline_ms();
        if deadline_ms < self.timer_at_ms {
            self.set_timer(deadline_ms);
        }
        let thrifty = self.requests.pool().is_exhausted();
        let parked = match self.in_flight.front_mut() {
            Some(InFlight {
                state: State::Parked(parked),
                ..
            }) => Some(&mut parked.answer),
            _ => None,
        };
        tokio::select! {
            biased;
            answer = answered(parked) => {
                self.admitted.seat.active(self.shared.clock.monotonic_ms());
                self.ready_bytes += answer.memory();
                self.in_flight[0].state = State::Answered(answer);
                Ok(())
            }
            () = has_memory(&mut self.asking) => {
                self.granted();
                Ok(())
            }
            read = receive(&mut self.stream, &mut self.frames, reading, thrifty) => match read? {
                0 => Err(Closed::ByPeer),
                _ => Ok(()),
            },
            () = self.timer.as_mut() => self.check_deadlines(),
            _ = stopping.wait_for(|stop| *stop) => Err(Closed::Stopping),
        }
    }

    /// A frame is timed only while it is read: not when this side makes it wait.
    fn watch_the_frame(&mut self, reading: bool) {
        if !reading || self.frames.buffered() == 0 {
            self.receiving = None;
        } else if self.receiving.is_none() {
            self.receiving = Some(Transfer {
                began_ms: self.now(),
                before: self.frames.buffered() as u64,
            });
        }
    }

    /// The first time at which this peer has had its time.
    fn deadline_ms(&self) -> Millis {
        let receiving = self.receiving.map_or(Millis::MAX, |transfer| {
            transfer.deadline_ms(self.frames.buffered() as u64)
        });
        let asking = match &self.asking {
            Some(asking) if asking.purpose == Purpose::Decoding => asking.since_ms + MEMORY_WAIT_MS,
            _ => Millis::MAX,
        };
        receiving.min(asking).min(self.idle_deadline_ms())
    }

    /// R41: the limit counts from the last request; a request in work is not idleness, nor is a
    /// wait for memory.
    fn idle_deadline_ms(&self) -> Millis {
        if !self.in_flight.is_empty() || self.asking.is_some() {
            return Millis::MAX;
        }
        self.admitted.seat.last_active_ms() + self.idle_limit_ms
    }

    fn check_deadlines(&mut self) -> Result<(), Closed> {
        let now = self.now();
        if self.deadline_ms() > now {
            // Not later than a tick from now where nothing is due: deadlines come and go.
            self.set_timer(self.deadline_ms().min(now + self.idle_limit_ms));
            return Ok(());
        }
        Err(match &self.asking {
            Some(asking) if asking.purpose == Purpose::Decoding => Closed::NoMemory(asking.bytes),
            _ if self.idle_deadline_ms() <= now => Closed::Idle,
            _ => Closed::SendsTooSlowly,
        })
    }

    fn set_timer(&mut self, at_ms: Millis) {
        let left_ms = (at_ms - self.now()).clamp(0, NO_LIMIT_MS);
        self.timer_at_ms = at_ms;
        self.timer.as_mut().reset(Instant::now() + millis(left_ms));
    }

    fn now(&self) -> Millis {
        self.shared.clock.monotonic_ms()
    }

    fn say_goodbye(&self, closed: Closed) {
        let peer = self.peer.address;
        match &closed {
            Closed::Frame(_)
            | Closed::SendsTooSlowly
            | Closed::TakesTooSlowly
            | Closed::NoMemory(_) => {
                tracing::info!(%peer, "closed a connection: {closed}");
            }
            Closed::Request(reason) if reason.is_malformed() => {
                tracing::info!(%peer, "closed a connection: {closed}");
            }
            _ => tracing::debug!(%peer, "closed a connection: {closed}"),
        }
    }
}

/// The answer of the oldest request, if that is what the connection waits for.
async fn answered(parked: Option<&mut BoxedAnswer>) -> Answer {
    match parked {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}

/// Ends when what was asked of a pool is granted.
async fn has_memory(asking: &mut Option<Asking>) {
    match asking {
        Some(asking) => (&mut asking.ticket).await,
        None => std::future::pending().await,
    }
}

/// Reads once, or without `reading` only waits for the end. The buffer is taken only when there is
/// something to put into it, so an idle connection holds none.
async fn receive(
    stream: &mut TcpStream,
    frames: &mut FrameReader,
    reading: bool,
    thrifty: bool,
) -> io::Result<usize> {
    if !reading {
        hung_up(stream).await;
        return Ok(0);
    }
    stream.readable().await?;
    stream.read_buf(frames.room(thrifty)).await
}

/// Ends when the peer has closed, also with bytes of it still unread. (Readiness to read would
/// report those again and again; "priority" alone is never reported for what is registered here.)
async fn hung_up(stream: &TcpStream) {
    loop {
        match stream.ready(Interest::PRIORITY).await {
            Ok(ready) if !ready.is_read_closed() => tokio::task::yield_now().await,
            _ => return,
        }
    }
}

fn millis(ms: Millis) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}
