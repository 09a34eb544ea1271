//! Fetch as fast as the broker sends: each connection reads one partition from its beginning and
//! starts again when it has reached the end.

use std::rc::Rc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::answers::{self, Fetched};
use super::frames::{Content, FetchFrame, FetchShape};
use super::link::{Link, Poller};
use super::{Batches, Histogram, Run, Target, Work};
use crate::measure::now_ns;

#[derive(Clone, Debug, clap::Args)]
pub struct Fetches {
    #[arg(long, default_value_t = 1 << 20)]
    pub max_bytes: i32,
    /// 0 read_uncommitted, 1 read_committed.
    #[arg(long, default_value_t = 0)]
    pub isolation: i8,
}

/// Runs the load over partitions that hold equal batches, as [`super::produce()`] leaves them.
///
/// # Errors
/// The broker refuses, hangs up, or has nothing to be read.
pub fn consume(target: &Target, batches: &Batches, fetches: &Fetches) -> Result<Value> {
    let mut content = Content::default();
    let batch = content.batch(batches.record_bytes, batches.batch_bytes, batches.codec)?;
    let shape = FetchShape {
        max_bytes: fetches.max_bytes,
        min_bytes: 1,
        max_wait_ms: 500,
        isolation: fetches.isolation,
    };
    let mut links = Vec::new();
    let mut readers = Vec::new();
    for index in 0..target.connections {
        links.push(Link::open(&target.bootstrap, true)?);
        let partition = index as i32 % target.partitions;
        let frame = FetchFrame::new(&target.topic, partition, &shape)?;
        readers.push(Reader::new(frame, batch.bytes.len(), batch.records));
    }
    let mut poller = Poller::new(&links)?;
    let mut run = Run::new(target);
    let (mut work, mut latency, mut dropped) = (Work::default(), Histogram::default(), Vec::new());
    for (link, reader) in links.iter_mut().zip(&mut readers) {
        reader.ask(link);
        link.flush()?;
    }
    let mut wraps = 0_u64;
    while !run.is_over(&work)? {
        for index in poller.wait(run.patience())? {
            let (link, reader) = (&mut links[index], &mut readers[index]);
            let mut answer = None;
            link.receive(&mut dropped, |bytes| {
                answer = Some(answers::fetched(bytes)?);
                Ok(())
            })?;
            if let Some(fetched) = answer {
                work.requests += 1;
                work.bytes += fetched.record_bytes as u64;
                work.records += reader.took(&fetched)?;
                if run.counts() {
                    latency.record(now_ns() - reader.asked_ns);
                }
                if reader.offset >= fetched.high_watermark {
                    reader.offset = 0;
                    wraps += 1;
                }
                reader.ask(link);
            }
            poller.flush(index, link)?;
        }
    }
    let mut report = run.report(&work, &latency)?;
    report["wraps"] = json!(wraps);
    Ok(report)
}

/// A consumer of one partition of equal batches.
pub struct Reader {
    frame: FetchFrame,
    shared: Rc<Vec<u8>>,
    batch_bytes: usize,
    batch_records: u32,
    pub offset: i64,
    pub asked_ns: u64,
    asked: i32,
}

impl Reader {
    pub fn new(frame: FetchFrame, batch_bytes: usize, batch_records: u32) -> Reader {
        Reader {
            shared: Rc::default(),
            frame,
            batch_bytes,
            batch_records,
            offset: 0,
            asked_ns: 0,
            asked: 0,
        }
    }

    pub fn ask(&mut self, link: &mut Link) {
        self.frame.set_offset(self.offset);
        // The last one has been sent, so this is the only owner: no copy but these 100 bytes.
        Rc::make_mut(&mut self.shared).clone_from(&self.frame.bytes);
        link.enqueue(&self.shared, self.asked);
        self.asked += 1;
        self.asked_ns = now_ns();
    }

    /// Moves behind the whole batches of an answer; the records in them.
    pub fn took(&mut self, fetched: &Fetched) -> Result<u64> {
        let batches = fetched.record_bytes / self.batch_bytes;
        ensure!(
            batches > 0 || fetched.record_bytes == 0,
            "{} bytes of records are no whole batch",
            fetched.record_bytes
        );
        let records = batches as u64 * u64::from(self.batch_records);
        self.offset += records as i64;
        Ok(records)
    }
}
