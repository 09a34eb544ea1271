//! Produce: closed loop with a number of requests in flight per connection, or open loop at a
//! rate, where latency counts from the intended send time.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::frames::{self, Content};
use super::link::{Link, Poller};
use super::{Batches, Histogram, Run, Target, Work, answers};
use crate::measure::now_ns;

/// How requests are spread over time.
#[derive(Clone, Debug, clap::Args)]
pub struct Pace {
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    pub acks: i16,
    /// Requests in flight per connection, closed loop.
    #[arg(long, default_value_t = 5)]
    pub in_flight: usize,
    /// Requests per second over all connections: an open loop.
    #[arg(long)]
    pub rate: Option<u64>,
}

/// Runs the load.
///
/// # Errors
/// The broker refuses, hangs up or is silent.
pub fn produce(target: &Target, batches: &Batches, pace: &Pace) -> Result<Value> {
    let mut producer = Producer::open(target, batches, pace)?;
    producer.run()?;
    producer.run.report(&producer.work, &producer.latency)
}

struct Producer<'a> {
    pace: &'a Pace,
    run: Run,
    frames: Vec<Rc<Vec<u8>>>,
    records_per_frame: u64,
    links: Vec<Link>,
    /// Per link: since when each unanswered request has been due.
    due: Vec<VecDeque<u64>>,
    poller: Poller,
    sent: u64,
    work: Work,
    latency: Histogram,
    dropped: Vec<u8>,
}

impl<'a> Producer<'a> {
    fn open(target: &Target, batches: &Batches, pace: &'a Pace) -> Result<Producer<'a>> {
        let mut content = Content::default();
        let batch = content.batch(batches.record_bytes, batches.batch_bytes, batches.codec)?;
        let frames: Result<Vec<Rc<Vec<u8>>>> = (0..target.partitions)
            .map(|index| {
                Ok(Rc::new(frames::produce(
                    &target.topic,
                    index,
                    pace.acks,
                    &batch,
                )?))
            })
            .collect();
        let links: Result<Vec<Link>> = (0..target.connections)
            .map(|_| Link::open(&target.bootstrap, false))
            .collect();
        let links = links?;
        Ok(Producer {
            pace,
            frames: frames?,
            records_per_frame: u64::from(batch.records),
            due: links.iter().map(|_| VecDeque::new()).collect(),
            poller: Poller::new(&links)?,
            links,
            sent: 0,
            work: Work::default(),
            latency: Histogram::default(),
            dropped: Vec::new(),
            run: Run::new(target),
        })
    }

    fn run(&mut self) -> Result<()> {
        let began_ns = now_ns();
        (0..self.links.len()).try_for_each(|link| self.fill(link))?;
        while !self.run.is_over(&self.work)? {
            let patience = match self.pace.rate {
                Some(rate) => self.send_due(began_ns, rate)?,
                None if self.pace.acks == 0 => self.push()?,
                None => self.run.patience(),
            };
            let ready = self.poller.wait(patience)?;
            for link in ready {
                self.receive(link)?;
                self.fill(link)?;
            }
        }
        if self.pace.acks == 0 {
            self.fence()?;
        }
        Ok(())
    }

    fn send(&mut self, link: usize, due_ns: u64) {
        let frame = &self.frames[self.sent as usize % self.frames.len()];
        self.links[link].enqueue(frame, self.sent as i32);
        self.sent += 1;
        if self.pace.acks == 0 {
            self.done(link, due_ns);
        } else {
            self.due[link].push_back(due_ns);
        }
    }

    fn done(&mut self, _link: usize, due_ns: u64) {
        self.work.requests += 1;
        self.work.records += self.records_per_frame;
        self.work.bytes += self.frames[0].len() as u64;
        if self.run.counts() {
            self.latency.record(now_ns().saturating_sub(due_ns));
        }
    }

    /// Keeps the closed loop's number of requests in flight; without answers, in the queue.
    fn fill(&mut self, link: usize) -> Result<()> {
        if self.pace.rate.is_none() {
            let now = now_ns();
            while self.due[link].len().max(self.links[link].unsent()) < self.pace.in_flight {
                self.send(link, now);
            }
        }
        self.poller.flush(link, &mut self.links[link])
    }

    /// Without answers only a full socket holds back: as long as one has room, nobody waits.
    fn push(&mut self) -> Result<Duration> {
        (0..self.links.len()).try_for_each(|link| self.fill(link))?;
        let has_room = self.links.iter().any(|link| link.unsent() == 0);
        Ok(if has_room {
            Duration::ZERO
        } else {
            self.run.patience()
        })
    }

    /// Open loop: sends everything that is due and returns how long nothing will be.
    fn send_due(&mut self, began_ns: u64, rate: u64) -> Result<Duration> {
        loop {
            let due_ns = began_ns + self.sent * 1_000_000_000 / rate;
            let now = now_ns();
            if due_ns > now {
                return Ok(Duration::from_nanos(due_ns - now).min(self.run.patience()));
            }
            let link = self.sent as usize % self.links.len();
            self.send(link, due_ns);
            self.poller.flush(link, &mut self.links[link])?;
        }
    }

    fn receive(&mut self, link: usize) -> Result<()> {
        let mut answered = 0;
        self.links[link].receive(&mut self.dropped, |answer| {
            answered += 1;
            answers::produced(answer)
        })?;
        for _ in 0..answered {
            let due_ns = self.due[link].pop_front().context("an answer to nothing")?;
            self.done(link, due_ns);
        }
        Ok(())
    }

    /// With acks=0: a last request with an answer, which comes when all before it are done.
    fn fence(&mut self) -> Result<()> {
        let mut last = (*self.frames[0]).clone();
        // The acks stand behind the client id and the empty transactional id.
        let client_id = usize::from(u16::from_be_bytes([last[12], last[13]]));
        let acks_at = 14 + client_id + 1 + 1;
        ensure!(last[acks_at..acks_at + 2] == [0, 0], "acks stand elsewhere");
        last[acks_at + 1] = 1;
        let last = Rc::new(last);
        for link in 0..self.links.len() {
            self.links[link].enqueue(&last, -1);
            let mut answered = false;
            while !answered {
                self.poller.flush(link, &mut self.links[link])?;
                let ready = self.poller.wait(super::PATIENCE)?;
                ensure!(!ready.is_empty(), "the broker is silent");
                self.links[link].receive(&mut self.dropped, |answer| {
                    answered = true;
                    answers::produced(answer)
                })?;
            }
        }
        Ok(())
    }
}
