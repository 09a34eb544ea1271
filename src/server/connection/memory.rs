//! What a request may take of the pools before it is read, decoded and answered, and the wait for
//! it (security.md section 7).

use super::{ANSWER_NOMINAL, Closed, Connection, Next, SMALL_FRAME};
use crate::api::Request;
use crate::budget::Ticket;
use crate::types::Millis;

/// What the connection waits for a pool for; it reads nothing meanwhile.
pub(super) struct Asking {
    pub(super) ticket: Ticket,
    pub(super) bytes: usize,
    pub(super) purpose: Purpose,
    pub(super) since_ms: Millis,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Frame,
    Decoding,
    Answer,
}

impl Connection {
    /// The next request that is here in full, with the memory it takes. Without it, either more
    /// must arrive or `asking` says what is waited for.
    pub(super) fn next_request(&mut self) -> Result<Option<Next>, Closed> {
        let mut next = match self.next.take() {
            Some(next) => next,
            None => match self.receive_frame()? {
                Some(next) => next,
                None => return Ok(None),
            },
        };
        let decoded = next.request.decoded_size();
        if !next.is_decodable && decoded > SMALL_FRAME {
            if !self.reserve(decoded, Purpose::Decoding)? {
                self.next = Some(next);
                return Ok(None);
            }
            next.reserved += decoded;
            next.is_decodable = true;
        }
        if !self.may_answer(&next.request) {
            let ticket = self.responses.ask(ANSWER_NOMINAL);
            self.ask(ticket, ANSWER_NOMINAL, Purpose::Answer);
            self.next = Some(next);
            return Ok(None);
        }
        Ok(Some(next))
    }

    fn receive_frame(&mut self) -> Result<Option<Next>, Closed> {
        let Some(announced) = self.frames.announced()? else {
            return Ok(None);
        };
        if self.frame_reserved.is_none() {
            // One small frame is part of what every connection costs.
            let is_free = announced <= SMALL_FRAME && self.in_flight.is_empty();
            let wanted = if is_free { 0 } else { announced };
            if wanted > 0 && !self.reserve(wanted, Purpose::Frame)? {
                return Ok(None);
            }
            self.frame_reserved = Some(wanted);
        }
        let Some(frame) = self.frames.next_frame()? else {
            return Ok(None);
        };
        self.receiving = None;
        Ok(Some(Next {
            request: Request::parse(frame)?,
            reserved: self.frame_reserved.take().unwrap_or(0),
            is_decodable: false,
        }))
    }

    /// Takes what is asked for, or begins to wait for it.
    fn reserve(&mut self, bytes: usize, purpose: Purpose) -> Result<bool, Closed> {
        if self.requests.try_take(bytes) {
            return Ok(true);
        }
        if bytes > self.requests.pool().limit() {
            return Err(Closed::NoMemory(bytes));
        }
        let ticket = self.requests.ask(bytes);
        self.ask(ticket, bytes, purpose);
        Ok(false)
    }

    fn ask(&mut self, ticket: Ticket, bytes: usize, purpose: Purpose) {
        let since_ms = self.now();
        self.asking = Some(Asking {
            ticket,
            bytes,
            purpose,
            since_ms,
        });
    }

    pub(super) fn granted(&mut self) {
        let Some(asked) = self.asking.take() else {
            return;
        };
        match asked.purpose {
            Purpose::Answer => self.responses.settle(asked.ticket),
            Purpose::Frame => {
                self.requests.settle(asked.ticket);
                self.frame_reserved = Some(asked.bytes);
            }
            Purpose::Decoding => {
                self.requests.settle(asked.ticket);
                if let Some(next) = &mut self.next {
                    next.reserved += asked.bytes;
                    next.is_decodable = true;
                }
            }
        }
    }

    /// Where answers that nobody takes fill their pool, a request waits until some have left. Not
    /// a Produce, whose answer is small, nor a Fetch, which answers with one batch then.
    fn may_answer(&self, request: &Request) -> bool {
        self.responses.held() >= ANSWER_NOMINAL
            || !self.responses.pool().is_exhausted()
            || (request.bounds_its_answer() && self.in_flight.is_empty())
    }
}
