//! What a consumer is given: followed live while the broker is under load, and read whole after
//! a restart.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow, bail, ensure};
use bytes::{Buf, Bytes};
use ottla::protocol::batch::{BatchHeader, crc_matches, for_each_record};

use super::producer::patiently;
use super::record::{RecordId, identify};
use crate::client::Connection;

/// How long a live consumer lets the broker wait for a record: long enough to be woken by one.
const MAX_WAIT_MS: i32 = 20;

/// A consumer of one partition from offset 0 on, and what it was given: `seen[offset]`.
pub struct Consumer {
    pub topic: &'static str,
    pub partition: i32,
    pub seen: Vec<Option<RecordId>>,
}

impl Consumer {
    pub fn new((topic, partition): (&'static str, i32)) -> Consumer {
        Consumer {
            topic,
            partition,
            seen: Vec::new(),
        }
    }

    /// One fetch at the position; the number of records it gave.
    fn poll(&mut self, connection: &mut Connection, run: u64, max_wait_ms: i32) -> Result<usize> {
        let position = self.seen.len();
        let batches = patiently("Fetch", || {
            connection.fetch(self.topic, self.partition, position as i64, max_wait_ms)
        })?;
        self.take(batches, run)?;
        Ok(self.seen.len() - position)
    }

    /// Reads batches that must continue at the position without a gap. The last may be cut.
    fn take(&mut self, mut batches: Bytes, run: u64) -> Result<()> {
        while let Some(header) = BatchHeader::read(&batches) {
            if batches.len() < header.total_size() {
                break;
            }
            let batch = batches.split_to(header.total_size());
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

/// The whole partition as a new consumer sees it, which must reach from 0 to the high watermark.
pub fn read_all(
    place: (&'static str, i32),
    bootstrap: &str,
    run: u64,
) -> Result<Vec<Option<RecordId>>> {
    let mut connection = Connection::open(bootstrap)?;
    let mut consumer = Consumer::new(place);
    let (topic, partition) = place;
    let start = patiently("ListOffsets", || {
        connection.list_offset(topic, partition, -2)
    })?;
    let end = patiently("ListOffsets", || {
        connection.list_offset(topic, partition, -1)
    })?;
    ensure!(start == 0, "{topic}-{partition} begins at {start}");
    while (consumer.seen.len() as i64) < end {
        let records = consumer.poll(&mut connection, run, 0)?;
        if records == 0 {
            let position = consumer.seen.len();
            return Err(anyhow!(
                "{topic}-{partition}: nothing at {position}, and the high watermark is {end}"
            ));
        }
    }
    Ok(consumer.seen)
}
