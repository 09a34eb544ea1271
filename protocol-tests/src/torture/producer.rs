//! A producer that keeps a history. It sends ahead, takes the answers in order, and when the
//! broker dies knows of each batch whether it was acknowledged.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use ottla::protocol::batch::{BatchOptions, Record, ValidBatch};

use super::check::{Outcome, Sent};
use super::record::{RecordId, value};
use crate::client::{Answer, Connection};
use crate::random::Random;

/// Requests in flight, and batches that an idempotent producer may send again (R67).
const IN_FLIGHT: usize = 5;
/// Answers that ask for another attempt before the producer gives up on the broker: longer than
/// a broker may take to see that a full disk has room again.
const ATTEMPTS: u32 = 500;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);
/// Batches of a producer in one life of the broker before it makes pauses: on a slow disk the rest of
/// the broker would fall behind, and the next start with it.
pub const HURRIED: usize = 5_000;
pub const PAUSE: Duration = Duration::from_millis(5);
/// Old on purpose: producer state must not depend on what clients write here (R73).
const FIRST_TIMESTAMP_MS: i64 = 1_600_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// acks=1: nothing is sent twice.
    Leader,
    /// acks=all: nothing is sent twice.
    All,
    /// acks=all with a producer id: unanswered batches are sent again.
    Idempotent,
}

pub struct Producer {
    pub index: u16,
    pub kind: Kind,
    pub topic: &'static str,
    pub partition: i32,
    /// Everything ever sent, oldest first.
    pub history: Vec<Sent>,
    run: u64,
    random: Random,
    /// −1 unless idempotent; the epoch is 0.
    producer_id: i64,
    /// The sequence 0 of `producer_id` has this ordinal.
    first_ordinal: u32,
    hurried_until: usize,
}

/// Why a round of sending ended.
enum End {
    /// Told to stop; everything was answered.
    Stopped,
    /// The connection broke: the rest is unanswered.
    Broken,
    /// A code that asks to try again.
    Refused(ResponseError),
}

impl Producer {
    pub fn new(
        index: u16,
        kind: Kind,
        (topic, partition): (&'static str, i32),
        run: u64,
        seed: u64,
    ) -> Producer {
        Producer {
            index,
            kind,
            topic,
            partition,
            history: Vec::new(),
            run,
            random: Random::new(seed),
            producer_id: -1,
            first_ordinal: 0,
            hurried_until: 0,
        }
    }

    /// Takes a new producer id: sequences begin at 0 again. Nothing may be unanswered.
    pub fn begin(&mut self, bootstrap: &str) -> Result<Option<i64>> {
        if self.kind != Kind::Idempotent {
            return Ok(None);
        }
        let mut connection = Connection::open(bootstrap)?;
        let producer_id = patiently("InitProducerId", || connection.init_producer_id())?;
        self.producer_id = producer_id;
        self.first_ordinal = self.next_ordinal();
        Ok(Some(producer_id))
    }

    /// Sends new batches until `stop` or until the broker goes away. An error is a violation.
    pub fn load(&mut self, bootstrap: &str, stop: &AtomicBool) -> Result<()> {
        self.hurried_until = self.history.len() + HURRIED;
        let mut refusals = 0;
        while !stop.load(Ordering::Relaxed) {
            let Ok(mut connection) = Connection::open(bootstrap) else {
                return Ok(());
            };
            if !self.retry(&mut connection)? {
                return Ok(());
            }
            match self.send_new(&mut connection, stop)? {
                End::Stopped | End::Broken => return Ok(()),
                End::Refused(_) if refusals < ATTEMPTS => refusals += 1,
                End::Refused(error) => bail!("{} still answers {error:?}", self.place()),
            }
            std::thread::sleep(BETWEEN_ATTEMPTS);
        }
        Ok(())
    }

    /// After a restart: every batch in doubt is sent again with the sequences it had, and then
    /// the last five once more, although they are acknowledged now: each must be given the
    /// offset it has (R67, R70). Only idempotent producers send anything.
    pub fn settle(&mut self, bootstrap: &str) -> Result<()> {
        if self.kind != Kind::Idempotent {
            return Ok(());
        }
        let mut connection = Connection::open(bootstrap)?;
        if !self.retry(&mut connection)? {
            bail!(
                "{}: the broker closed the connection on a retry",
                self.place()
            );
        }
        let since_begin = self
            .history
            .partition_point(|sent| sent.first < self.first_ordinal);
        let window = self
            .history
            .len()
            .saturating_sub(IN_FLIGHT)
            .max(since_begin);
        for at in window..self.history.len() {
            let known = self.history[at].outcome;
            self.send_at(&mut connection, at)?;
            let answer = connection.receive_produced()?;
            if answer != known_offset(known) {
                bail!(
                    "{}: the batch {} is {known:?} and its late retry was answered {answer:?}",
                    self.place(),
                    self.history[at].first
                );
            }
        }
        Ok(())
    }

    /// Of the batches from `since` on, those that were sent and not answered.
    pub fn in_doubt(&self, since: usize) -> usize {
        let in_doubt = |sent: &&Sent| sent.outcome == Outcome::Unknown;
        self.history[since..].iter().filter(in_doubt).count()
    }

    pub fn acknowledged(&self) -> u64 {
        let acknowledged = |sent: &Sent| match sent.outcome {
            Outcome::Acknowledged(_) => u64::from(sent.count),
            Outcome::Unknown => 0,
        };
        self.history.iter().map(acknowledged).sum()
    }

    fn place(&self) -> String {
        format!(
            "producer {} of {}-{}",
            self.index, self.topic, self.partition
        )
    }

    fn next_ordinal(&self) -> u32 {
        self.history
            .last()
            .map_or(0, |last| last.first + last.count)
    }

    /// Sends what is in doubt again until it is acknowledged; false if the connection broke.
    fn retry(&mut self, connection: &mut Connection) -> Result<bool> {
        if self.kind != Kind::Idempotent {
            return Ok(true);
        }
        let end = self.history.len();
        let in_doubt = end - self.in_doubt(end.saturating_sub(IN_FLIGHT))..end;
        for _ in 0..ATTEMPTS {
            match self.send_again(connection, in_doubt.clone())? {
                End::Stopped => return Ok(true),
                End::Broken => return Ok(false),
                End::Refused(_) => std::thread::sleep(BETWEEN_ATTEMPTS),
            }
        }
        Err(OutOfService(format!("{}: a retry", self.place())).into())
    }

    fn send_again(&mut self, connection: &mut Connection, range: Range<usize>) -> Result<End> {
        for at in range.clone() {
            if self.send_at(connection, at).is_err() {
                return Ok(End::Broken);
            }
        }
        let mut end = End::Stopped;
        for at in range {
            match self.receive_at(connection, at)? {
                End::Stopped => {}
                End::Broken => return Ok(End::Broken),
                // The batches behind a refused one are out of order: their answers say nothing.
                End::Refused(error) if matches!(end, End::Stopped) => end = End::Refused(error),
                End::Refused(_) => {}
            }
        }
        Ok(end)
    }

    fn send_new(&mut self, connection: &mut Connection, stop: &AtomicBool) -> Result<End> {
        let mut in_flight = VecDeque::new();
        let mut end = End::Stopped;
        loop {
            let go_on = matches!(end, End::Stopped) && !stop.load(Ordering::Relaxed);
            while go_on && in_flight.len() < IN_FLIGHT {
                if self.history.len() >= self.hurried_until {
                    std::thread::sleep(PAUSE);
                }
                in_flight.push_back(self.history.len());
                self.history.push(Sent {
                    first: self.next_ordinal(),
                    count: 1 + self.random.below(20) as u32,
                    outcome: Outcome::Unknown,
                });
                if self.send_at(connection, self.history.len() - 1).is_err() {
                    return Ok(End::Broken);
                }
            }
            let Some(at) = in_flight.pop_front() else {
                return Ok(end);
            };
            match (self.receive_at(connection, at)?, &end) {
                (End::Broken, _) => return Ok(End::Broken),
                (End::Refused(error), End::Stopped) => end = End::Refused(error),
                _ => {}
            }
        }
    }

    /// Takes the answer to the batch `at`.
    fn receive_at(&mut self, connection: &mut Connection, at: usize) -> Result<End> {
        match connection.receive_produced() {
            Err(error) if error.is::<std::io::Error>() => Ok(End::Broken),
            Err(error) => Err(error),
            Ok(Ok(base_offset)) => {
                self.history[at].outcome = Outcome::Acknowledged(base_offset);
                Ok(End::Stopped)
            }
            Ok(Err(error)) => {
                let earlier = at.saturating_sub(IN_FLIGHT)..at;
                let behind_a_refused = self.history[earlier]
                    .iter()
                    .any(|sent| sent.outcome == Outcome::Unknown);
                if error.is_retriable() || (self.kind == Kind::Idempotent && behind_a_refused) {
                    return Ok(End::Refused(error));
                }
                bail!("{}: batch {at} was answered {error:?}", self.place());
            }
        }
    }

    fn send_at(&self, connection: &mut Connection, at: usize) -> Result<()> {
        let acks = match self.kind {
            Kind::Leader => 1,
            Kind::All | Kind::Idempotent => -1,
        };
        connection.send_produce(
            self.topic,
            self.partition,
            acks,
            self.batch(&self.history[at]),
        )
    }

    fn batch(&self, sent: &Sent) -> Bytes {
        let key = self.index.to_be_bytes();
        let values: Vec<Vec<u8>> = (sent.first..sent.first + sent.count)
            .map(|ordinal| {
                let producer = self.index;
                value(self.run, RecordId { producer, ordinal })
            })
            .collect();
        let records: Vec<Record> = (i64::from(sent.first)..)
            .zip(&values)
            .map(|(ordinal, value)| Record {
                timestamp: FIRST_TIMESTAMP_MS + ordinal,
                key: Some(&key),
                value: Some(value),
                headers: &[],
            })
            .collect();
        let options = match self.kind {
            Kind::Leader | Kind::All => BatchOptions::default(),
            Kind::Idempotent => BatchOptions {
                producer_id: self.producer_id,
                producer_epoch: 0,
                base_sequence: (sent.first - self.first_ordinal) as i32,
                ..BatchOptions::default()
            },
        };
        ValidBatch::build(&records, &options).to_bytes()
    }
}

/// The answer that a duplicate of a batch with this outcome must get.
fn known_offset(outcome: Outcome) -> Answer<i64> {
    match outcome {
        Outcome::Acknowledged(base_offset) => Ok(base_offset),
        Outcome::Unknown => Err(ResponseError::OutOfOrderSequenceNumber),
    }
}

/// Asks until the answer is not a code that wants another attempt (R50, R74).
pub fn patiently<T>(what: &str, mut ask: impl FnMut() -> Result<Answer<T>>) -> Result<T> {
    for _ in 0..ATTEMPTS {
        match ask()? {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_retriable() => std::thread::sleep(BETWEEN_ATTEMPTS),
            Err(error) => bail!("{what} is refused with {error:?}"),
        }
    }
    Err(OutOfService(what.to_owned()).into())
}

/// The broker serves again, but not this: what it once acknowledged there may as well be lost.
#[derive(Debug)]
pub struct OutOfService(String);

impl fmt::Display for OutOfService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused for ever", self.0)
    }
}

impl std::error::Error for OutOfService {}
