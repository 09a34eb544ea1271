//! What a consumer is given: followed live while the broker is under load, and read whole after
//! a restart.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow, bail, ensure};
use bytes::{Buf, Bytes};
use kafka_protocol::ResponseError;
use ottla::protocol::batch::{BatchHeader, crc_matches, for_each_record};

use super::producer::patiently;
use super::record::{RecordId, SKIPPED, identify};
use crate::client::Connection;

/// How long a live consumer lets the broker wait for a record: long enough to be woken by one.
const MAX_WAIT_MS: i32 = 20;

/// A consumer of one partition from offset 0 on, and what it was given: `seen[offset]`, or
/// [`SKIPPED`].
pub struct Consumer {
    pub topic: &'static str,
    pub partition: i32,
    pub seen: Vec<Option<RecordId>>,
    /// Of batches that were given.
    bytes: u64,
}

impl Consumer {
    pub fn new((topic, partition): (&'static str, i32)) -> Consumer {
        Consumer {
            topic,
            partition,
            seen: Vec::new(),
            bytes: 0,
        }
    }

    /// One fetch at the position; the number of records it gave.
    fn poll(&mut self, connection: &mut Connection, run: u64, max_wait_ms: i32) -> Result<usize> {
        let position = self.seen.len();
        let fetched = patiently("Fetch", || {
            let at = position as i64;
            let fetched = connection.fetch(self.topic, self.partition, at, max_wait_ms)?;
            Ok(match fetched {
                Err(ResponseError::OffsetOutOfRange) => Ok(None),
                other => other.map(Some),
            })
        })?;
        match fetched {
            Some(batches) => self.take(batches, run)?,
            None => self.skip_to_start(connection)?,
        }
        Ok(self.seen.len() - position)
    }

    /// What lay at the position was deleted: goes on with the first record there is.
    fn skip_to_start(&mut self, connection: &mut Connection) -> Result<()> {
        let Consumer {
            topic, partition, ..
        } = *self;
        let start = log_start((topic, partition), connection)?;
        let position = self.seen.len();
        ensure!(
            start > position as i64,
            "{topic}-{partition}: {position} is out of range and the log begins at {start}"
        );
        // Not for good until DeleteRecords is answered: a kill before may bring it back.
        self.seen.resize(start as usize, SKIPPED);
        Ok(())
    }

    /// Reads batches that must continue at the position without a gap. The last may be cut.
    fn take(&mut self, mut batches: Bytes, run: u64) -> Result<()> {
        while let Some(header) = BatchHeader::read(&batches) {
            if batches.len() < header.total_size() {
                break;
            }
            let batch = batches.split_to(header.total_size());
            self.bytes += batch.len() as u64;
            ensure!(
                crc_matches(&batch),
                "a batch with a wrong CRC at {}",
                header.base_offset
            );
            let mut gap = None;
            for_each_record(&batch, |record| {
                let position = self.seen.len() as i64;
                if record.offset > position {
                    gap = Some((position, record.offset));
                    return ControlFlow::Break(());
                }
                if record.offset == position {
                    self.seen
                        .push(record.value.and_then(|value| identify(run, value)));
                }
                ControlFlow::Continue(())
            })?;
            if let Some((position, offset)) = gap {
                bail!(
                    "{}-{}: {offset} follows {position}",
                    self.topic,
                    self.partition
                );
            }
        }
        batches.advance(batches.len());
        Ok(())
    }
}

/// Polls all consumers in turn until `stop` or until the broker goes away. An error is a
/// violation.
pub fn follow(
    consumers: &mut [Consumer],
    bootstrap: &str,
    run: u64,
    stop: &AtomicBool,
) -> Result<()> {
    let Ok(mut connection) = Connection::open(bootstrap) else {
        return Ok(());
    };
    while !stop.load(Ordering::Relaxed) {
        for consumer in &mut *consumers {
            match consumer.poll(&mut connection, run, MAX_WAIT_MS) {
                Ok(_) => {}
                Err(error) if error.is::<std::io::Error>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn log_start((topic, partition): (&str, i32), connection: &mut Connection) -> Result<i64> {
    patiently("ListOffsets", || {
        connection.list_offset(topic, partition, -2)
    })
}

/// A whole partition.
pub struct Whole {
    pub start: i64,
    /// `log[i]` is the record at `start + i`.
    pub log: Vec<Option<RecordId>>,
    /// Bytes of batches.
    pub bytes: u64,
}

/// The partition as a new consumer sees it: from its log start to the high watermark.
pub fn read_all(place: (&'static str, i32), bootstrap: &str, run: u64) -> Result<Whole> {
    let mut connection = Connection::open(bootstrap)?;
    let mut consumer = Consumer::new(place);
    let (topic, partition) = place;
    let start = log_start(place, &mut connection)?;
    consumer.seen.resize(usize::try_from(start)?, None);
    let end = patiently("ListOffsets", || {
        connection.list_offset(topic, partition, -1)
    })?;
    while (consumer.seen.len() as i64) < end {
        let records = consumer.poll(&mut connection, run, 0)?;
        if records == 0 {
            let position = consumer.seen.len();
            return Err(anyhow!(
                "{topic}-{partition}: nothing at {position}, and the high watermark is {end}"
            ));
        }
    }
    // Retention may have gone on meanwhile.
    let start = log_start(place, &mut connection)?;
    Ok(Whole {
        start,
        log: consumer.seen.split_off(usize::try_from(start)?),
        bytes: consumer.bytes,
    })
}
