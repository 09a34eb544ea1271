//! What a produce and a fetch take from the heap in a steady state, counted by the allocator of
//! this process, in which the broker runs as well (performance.md section 4). The client encodes
//! its frames before and reads into one buffer: whatever is counted is the broker's.
//!
//! One test in a binary of its own: an allocator belongs to a whole process.

use std::alloc::System;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result};
use ottla::config::Config;
use ottla::protocol::batch::Codec;
use protocol_tests::client::Connection;
use protocol_tests::load::frames::{Content, FetchFrame, FetchShape, produce};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TOPIC: &str = "allocations";
const WARM_UP: u64 = 2_000;
const REQUESTS: u64 = 1_000;

/// Requests of one kind, and how much of the heap each may touch: allocations, in hundredths.
struct Budget {
    what: &'static str,
    record_bytes: usize,
    per_hundred: u64,
}

const PRODUCES: [Budget; 2] = [
    Budget {
        what: "a produce of one small record",
        record_bytes: 1_024,
        per_hundred: 1_200,
    },
    Budget {
        what: "a produce of one record of 16 KiB",
        record_bytes: 16_384,
        per_hundred: 1_400,
    },
];
const FETCH_PER_HUNDRED: u64 = 4_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_produce_or_fetch_takes_a_bounded_number_of_allocations() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = BTreeMap::from([
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        (
            "log.dirs".to_owned(),
            directory.path().join("data").display().to_string(),
        ),
    ]);
    let broker = ottla::start(Config::from_properties(settings)?).await?;
    let port = broker.port("PLAINTEXT").context("it has one listener")?;
    let findings = tokio::task::spawn_blocking(move || measure(port)).await??;
    broker.shutdown().await;
    for (what, allocations, per_hundred) in findings {
        println!(
            "{what}: {:.2} allocations",
            allocations as f64 / REQUESTS as f64
        );
        assert!(
            allocations * 100 <= per_hundred * REQUESTS,
            "{REQUESTS} times {what}: {allocations} allocations"
        );
    }
    Ok(())
}

fn measure(port: u16) -> Result<Vec<(&'static str, u64, u64)>> {
    let bootstrap = format!("127.0.0.1:{port}");
    Connection::open(&bootstrap)?
        .create_topic(TOPIC, 1, &[])?
        .map_err(|code| anyhow::anyhow!("creating the topic: {code:?}"))?;
    let mut found = Vec::new();
    for budget in PRODUCES {
        let batch = Content::default().batch(budget.record_bytes, 1, Codec::None)?;
        let frame = produce(TOPIC, 0, 1, &batch)?;
        let allocations = allocations_of(&bootstrap, &frame)?;
        found.push((budget.what, allocations, budget.per_hundred));
    }
    let shape = FetchShape {
        max_bytes: 65_536,
        min_bytes: 1,
        max_wait_ms: 500,
        isolation: 0,
    };
    let mut fetch = FetchFrame::new(TOPIC, 0, &shape)?;
    fetch.set_offset(0);
    let allocations = allocations_of(&bootstrap, &fetch.bytes)?;
    found.push((
        "a fetch of 64 KiB from a file",
        allocations,
        FETCH_PER_HUNDRED,
    ));
    Ok(found)
}

/// Sends the frame again and again on one connection, and counts what is allocated meanwhile.
fn allocations_of(bootstrap: &str, frame: &[u8]) -> Result<u64> {
    let mut socket = TcpStream::connect(bootstrap)?;
    socket.set_nodelay(true)?;
    let mut answer = vec![0; 1 << 20];
    let mut exchange = |count| -> Result<()> {
        for _ in 0..count {
            socket.write_all(frame)?;
            let mut length = [0; 4];
            socket.read_exact(&mut length)?;
            socket.read_exact(&mut answer[..u32::from_be_bytes(length) as usize])?;
        }
        Ok(())
    };
    exchange(WARM_UP)?;
    let region = Region::new(ALLOCATOR);
    exchange(REQUESTS)?;
    let change = region.change();
    Ok((change.allocations + change.reallocations) as u64)
}
