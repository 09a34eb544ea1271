//! One producer at a fixed rate and consumers that long-poll the end of the same partition: the
//! time from the intended send of a batch to its arrival at each of them.

use std::rc::Rc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::answers;
use super::consume::Reader;
use super::frames::{self, Content, FetchFrame, FetchShape};
use super::link::{Link, Poller};
use super::{Batches, Histogram, Run, Target, Work};
use crate::measure::now_ns;

#[derive(Clone, Debug, clap::Args)]
pub struct Tail {
    /// Batches per second.
    #[arg(long, default_value_t = 1_000)]
    pub rate: u64,
    #[arg(long, default_value_t = 1 << 20)]
    pub max_bytes: i32,
    /// Above this share of late sends the client, not the broker, was measured.
    #[arg(long, default_value_t = 1_000_000)]
    pub late_ns: u64,
}

/// Link 0 produces, each other link consumes. The topic must be empty.
///
/// # Errors
/// The broker refuses or hangs up.
pub fn tail(target: &Target, batches: &Batches, tail: &Tail) -> Result<Value> {
    let mut content = Content::default();
    let batch = content.batch(batches.record_bytes, batches.batch_bytes, batches.codec)?;
    let produce = Rc::new(frames::produce(&target.topic, 0, 1, &batch)?);
    let shape = FetchShape {
        max_bytes: tail.max_bytes,
        min_bytes: 1,
        max_wait_ms: 500,
        isolation: 1,
    };
    let mut links = vec![Link::open(&target.bootstrap, false)?];
    let mut readers = Vec::new();
    for _ in 0..target.connections {
        links.push(Link::open(&target.bootstrap, true)?);
        let frame = FetchFrame::new(&target.topic, 0, &shape)?;
        readers.push(Reader::new(frame, batch.bytes.len(), batch.records));
    }
    let mut poller = Poller::new(&links)?;
    for (link, reader) in links[1..].iter_mut().zip(&mut readers) {
        reader.ask(link);
        link.flush()?;
    }
    let mut run = Run::new(target);
    let (mut work, mut dropped) = (Work::default(), Vec::new());
    let (mut arrival, mut acknowledged) = (Histogram::default(), Histogram::default());
    let (began_ns, mut sent, mut acked, mut late) = (now_ns(), 0_u64, 0_u64, 0_u64);
    let due_ns = |number: u64| began_ns + number * 1_000_000_000 / tail.rate;
    while !run.is_over(&work)? {
        let mut now = now_ns();
        while due_ns(sent) <= now {
            late += u64::from(run.counts() && now - due_ns(sent) > tail.late_ns);
            links[0].enqueue(&produce, sent as i32);
            sent += 1;
            poller.flush(0, &mut links[0])?;
            now = now_ns();
        }
        let patience = std::time::Duration::from_nanos(due_ns(sent) - now).min(run.patience());
        for index in poller.wait(patience)? {
            if index == 0 {
                links[0].receive(&mut dropped, |answer| {
                    answers::produced(answer)?;
                    if run.counts() {
                        acknowledged.record(now_ns() - due_ns(acked));
                    }
                    acked += 1;
                    Ok(())
                })?;
                poller.flush(0, &mut links[0])?;
                continue;
            }
            let (link, reader) = (&mut links[index], &mut readers[index - 1]);
            let mut answer = None;
            link.receive(&mut dropped, |bytes| {
                answer = Some(answers::fetched(bytes)?);
                Ok(())
            })?;
            if let Some(fetched) = answer {
                let first = reader.offset as u64 / u64::from(batch.records);
                let records = reader.took(&fetched)?;
                let now = now_ns();
                for number in first..first + records / u64::from(batch.records) {
                    if run.counts() {
                        arrival.record(now.saturating_sub(due_ns(number)));
                    }
                }
                work.requests += 1;
                work.bytes += fetched.record_bytes as u64;
                work.records += records;
                reader.ask(link);
            }
            poller.flush(index, link)?;
        }
    }
    ensure!(acked > 0, "no batch was acknowledged");
    let mut report = run.report(&work, &arrival)?;
    report["acknowledged"] = acknowledged.to_json();
    report["late_sends"] = json!(late);
    report["batches"] = json!(acked);
    Ok(report)
}
