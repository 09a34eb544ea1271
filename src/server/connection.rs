//! One connection, one task: bytes in, requests started in order, answers out in the same order
//! (R35). A request that must wait is parked here as a future; the socket is still read meanwhile,
//! so that a client that goes away frees what waits for it (R41).

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::api::{self, Answer, BoxedAnswer, Disconnect, Outcome, Parked, Peer};
use crate::broker::Shared;
use crate::server::frame::{FrameError, FrameReader};
use crate::server::output::Output;
use crate::types::Millis;

/// Requests of one connection that may be in work at once (performance.md, rule 14).
const MAX_IN_FLIGHT: usize = 16;

/// In place of no limit: a year.
const NO_LIMIT_MS: Millis = 365 * 86_400_000;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the client closed the connection")]
    ByPeer,
    #[error("idle for longer than connections.max.idle.ms")]
    Idle,
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
    stream: TcpStream,
    peer: Peer,
    mut stopping: watch::Receiver<bool>,
) {
    let config = &shared.config;
    let idle_limit_ms = match config.connections_max_idle_ms {
        0.. => config.connections_max_idle_ms,
        _ => NO_LIMIT_MS,
    };
    let mut connection = Connection {
        frames: FrameReader::new(config.socket_request_max_bytes as usize),
        output: Output::default(),
        in_flight: VecDeque::new(),
        peer,
        idle: Box::pin(tokio::time::sleep(millis(idle_limit_ms))),
        idle_limit_ms,
        last_active_ms: shared.clock.monotonic_ms(),
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
    output: Output,
    /// Started requests whose answers have not left yet, oldest first.
    in_flight: VecDeque<InFlight>,
    idle: Pin<Box<Sleep>>,
    idle_limit_ms: Millis,
    last_active_ms: Millis,
}

enum InFlight {
    Answered(Answer),
    Parked(Parked),
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
                // The rest has been received already: no read will announce it.
                Ok(Started::UpToTheLimit) if self.may_start() => continue,
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
            let Some(frame) = self.frames.next_frame()? else {
                return Ok(Started::All);
            };
            self.last_active_ms = self.shared.clock.monotonic_ms();
            match api::dispatch(&self.shared, &mut self.peer, frame) {
                Ok(Outcome::Answer(answer)) => self.in_flight.push_back(InFlight::Answered(answer)),
                Ok(Outcome::Park(parked)) => self.in_flight.push_back(InFlight::Parked(parked)),
                Ok(Outcome::NoAnswer) => {}
                Err(disconnect) => return Err(disconnect.into()),
            }
        }
        Ok(Started::UpToTheLimit)
    }

    fn may_start(&self) -> bool {
        self.in_flight.len() < MAX_IN_FLIGHT
            && !self
                .in_flight
                .iter()
                .any(|r| matches!(r, InFlight::Parked(p) if p.exclusive))
    }

    /// Sends the answers that are ready and have no unanswered request before them.
    async fn send_answers(&mut self, stopping: &mut watch::Receiver<bool>) -> Result<(), Closed> {
        while let Some(InFlight::Answered(_)) = self.in_flight.front() {
            if let Some(InFlight::Answered(answer)) = self.in_flight.pop_front() {
                self.output.extend(answer.into_chunks());
            }
        }
        if !self.output.is_empty() {
            self.flush(stopping).await?;
        }
        Ok(())
    }

    /// Sends what is queued. A peer that takes nothing is idle, however much it has asked.
    async fn flush(&mut self, stopping: &mut watch::Receiver<bool>) -> Result<(), Closed> {
        loop {
            let sent_before = self.output.sent_bytes();
            tokio::select! {
                biased;
                flushed = self.output.flush(&self.stream) => return Ok(flushed?),
                // A peer that takes nothing must not keep a stopping broker alive.
                _ = stopping.wait_for(|stop| *stop) => return Err(Closed::Stopping),
                () = self.idle.as_mut() => {}
            }
            if self.output.sent_bytes() > sent_before {
                self.last_active_ms = self.shared.clock.monotonic_ms();
            }
            self.check_idle(false)?;
        }
    }

    /// Waits until there is something to do: bytes, the oldest parked answer, a deadline, the end.
    async fn wait(&mut self, stopping: &mut watch::Receiver<bool>) -> Result<(), Closed> {
        if self.in_flight.is_empty() {
            self.frames.went_idle();
        }
        // What could not be started is not read either: the socket's buffer pushes back.
        let reading = self.may_start();
        let parked = match self.in_flight.front_mut() {
            Some(InFlight::Parked(parked)) => Some(&mut parked.answer),
            _ => None,
        };
        let is_parked = parked.is_some();
        tokio::select! {
            biased;
            answer = answered(parked) => {
                self.last_active_ms = self.shared.clock.monotonic_ms();
                self.in_flight[0] = InFlight::Answered(answer);
                Ok(())
            }
            read = receive(&mut self.stream, &mut self.frames, reading) => match read? {
                0 => Err(Closed::ByPeer),
                _ => Ok(()),
            },
            () = self.idle.as_mut() => self.check_idle(is_parked),
            _ = stopping.wait_for(|stop| *stop) => Err(Closed::Stopping),
        }
    }

    /// R41: the limit counts from the last request; a parked request is not idleness.
    fn check_idle(&mut self, is_parked: bool) -> Result<(), Closed> {
        let idle_ms = self.shared.clock.monotonic_ms() - self.last_active_ms;
        if idle_ms >= self.idle_limit_ms && !is_parked {
            return Err(Closed::Idle);
        }
        let left_ms = if is_parked {
            self.idle_limit_ms
        } else {
            self.idle_limit_ms - idle_ms
        };
        self.idle.as_mut().reset(Instant::now() + millis(left_ms));
        Ok(())
    }

    fn say_goodbye(&self, closed: Closed) {
        let peer = self.peer.address;
        match &closed {
            Closed::Frame(_) => tracing::info!(%peer, "closed a connection: {closed}"),
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

/// Reads once, or without `reading` only waits for the end. The buffer is taken only when there is
/// something to put into it, so an idle connection holds none.
async fn receive(
    stream: &mut TcpStream,
    frames: &mut FrameReader,
    reading: bool,
) -> io::Result<usize> {
    if !reading {
        hung_up(stream).await;
        return Ok(0);
    }
    stream.readable().await?;
    stream.read_buf(frames.room()).await
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
