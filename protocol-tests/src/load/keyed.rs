//! Keyed records for compaction: every key again and again, in an order that is none.

use anyhow::{Result, anyhow};
use ottla::clock::Clock;
use ottla::protocol::batch::{BatchOptions, Record, ValidBatch};
use serde_json::{Value, json};

use super::{Batches, Target};
use crate::client::Connection;

const IN_FLIGHT: u64 = 5;
/// Coprime to every number of keys that is not a multiple of it: neighbours in the log are none
/// among the keys.
const STRIDE: u64 = 1_000_003;

/// Writes `--bytes` of records over `keys` keys to partition 0.
///
/// # Errors
/// The broker refuses or hangs up.
pub fn keyed(target: &Target, batches: &Batches, keys: u64) -> Result<Value> {
    let mut connection = Connection::open(&target.bootstrap)?;
    let per_batch = (batches.batch_bytes / batches.record_bytes).max(1) as u64;
    let value = vec![b'v'; batches.record_bytes];
    let (mut records, mut sent, mut answered) = (0, 0, 0);
    let wanted = target.bytes / batches.record_bytes as u64;
    let now = Clock::system().wall_ms();
    while answered < sent || records < wanted {
        if records < wanted && sent - answered < IN_FLIGHT {
            let first = records;
            let names: Vec<String> = (first..first + per_batch)
                .map(|n| format!("key-{:012}", n.wrapping_mul(STRIDE) % keys))
                .collect();
            let built = names.iter().map(|name| Record {
                timestamp: now,
                key: Some(name.as_bytes()),
                value: Some(&value),
                headers: &[],
            });
            let built: Vec<Record> = built.collect();
            let batch = ValidBatch::build(&built, &BatchOptions::default());
            connection.send_produce(&target.topic, 0, 1, batch.to_bytes())?;
            records += per_batch;
            sent += 1;
        } else {
            let answer = connection.receive_produced()?;
            answer.map_err(|code| anyhow!("produce: {code:?}"))?;
            answered += 1;
        }
    }
    Ok(json!({ "records": records }))
}
