//! The load generator: frames are encoded before the clock starts, only correlation ids (and the
//! offset of a Fetch) are patched, several are in flight on several connections, and answers are
//! not copied out of the kernel. One thread, so that a broker on the other core is what saturates.

mod answers;
pub mod frames;
mod groups;
mod histogram;
pub mod link;

mod consume;
mod keyed;
mod lifetime;
mod produce;
mod tail;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

pub use consume::{Fetches, consume};
pub use groups::{commit, fill, heartbeat, loaded, rebalance};
pub use histogram::Histogram;
pub use keyed::keyed;
pub use lifetime::{first_acknowledged, hold};
pub use produce::{Pace, produce};
pub use tail::{Tail, tail};

use crate::measure::{Sample, after, now_ns};
use ottla::protocol::batch::Codec;

/// No single wait for the broker is longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the load goes, and how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The broker's host:port.
    #[arg(long)]
    pub bootstrap: String,
    #[arg(long, default_value = "load")]
    pub topic: String,
    #[arg(long, default_value_t = 1)]
    pub partitions: i32,
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Process whose CPU is reported.
    #[arg(long)]
    pub pid: Option<u32>,
    /// The clock starts after so long under load.
    #[arg(long, default_value_t = 200)]
    pub settle_ms: u64,
    /// Ends after this time…
    #[arg(long, default_value_t = 2_000)]
    pub run_ms: u64,
    /// …or after so many bytes of frames or records, if that is sooner.
    #[arg(long, default_value_t = u64::MAX)]
    pub bytes: u64,
}

/// The batches that are produced.
#[derive(Clone, Debug, clap::Args)]
pub struct Batches {
    #[arg(long, default_value_t = 1024)]
    pub record_bytes: usize,
    /// Size of a batch on the wire; one record at least.
    #[arg(long, default_value_t = 16_384)]
    pub batch_bytes: usize,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, default_value = "none", value_parser = codec)]
    pub codec: Codec,
}

fn codec(name: &str) -> Result<Codec, String> {
    Ok(match name {
        "none" => Codec::None,
        "gzip" => Codec::Gzip,
        "snappy" => Codec::Snappy,
        "lz4" => Codec::Lz4,
        "zstd" => Codec::Zstd,
        _ => return Err(format!("no codec is called {name}")),
    })
}

/// What was done while the clock ran.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    requests: u64,
    records: u64,
    /// Frames sent when producing, records received when fetching.
    bytes: u64,
}

/// The clock of one run: first it settles, then it counts, then it is over.
struct Run {
    pid: Option<u32>,
    start_ns: u64,
    length: Duration,
    end_ns: u64,
    bytes: u64,
    started: Option<(Sample, Work)>,
}

impl Run {
    fn new(target: &Target) -> Run {
        Run {
            pid: target.pid,
            start_ns: after(now_ns(), Duration::from_millis(target.settle_ms)),
            length: Duration::from_millis(target.run_ms),
            end_ns: u64::MAX,
            bytes: target.bytes,
            started: None,
        }
    }

    /// Looks at the clock; true once the run is over.
    fn is_over(&mut self, work: &Work) -> Result<bool> {
        let now = now_ns();
        if self.started.is_none() && now >= self.start_ns {
            self.started = Some((Sample::take(self.pid)?, *work));
            self.end_ns = after(now_ns(), self.length);
        }
        let done = self
            .started
            .as_ref()
            .map(|(_, before)| work.bytes - before.bytes);
        Ok(now >= self.end_ns || done.is_some_and(|done| done >= self.bytes))
    }

    fn counts(&self) -> bool {
        self.started.is_some()
    }

    /// Until something must be done by the clock.
    fn patience(&self) -> Duration {
        let next = if self.counts() {
            self.end_ns
        } else {
            self.start_ns
        };
        Duration::from_nanos(next.saturating_sub(now_ns())).min(PATIENCE)
    }

    fn report(&self, work: &Work, latency: &Histogram) -> Result<Value> {
        let (before, work_before) = self.started.as_ref().context("the run never started")?;
        let cost = Sample::take(self.pid)?.since(before);
        let requests = work.requests - work_before.requests;
        ensure!(requests > 0, "nothing was done while the clock ran");
        Ok(json!({
            "requests": requests,
            "records": work.records - work_before.records,
            "bytes": work.bytes - work_before.bytes,
            "cost": cost,
            "latency": latency.to_json(),
        }))
    }
}
