//! One pass of a Fetch over its partitions: reads what is visible within the limits of the
//! request (R75–R77) and says whether that is reason enough to answer (R79, R80).

use std::sync::Arc;

use crate::error::ResponseError;
use crate::partition::{Isolation, ParkedAt, Partition, ReadAt, ReadResult, Until, Wait};
use crate::types::{LeaderEpoch, Offset};

/// One partition a Fetch asks for, resolved.
pub struct Wanted {
    /// Or why it was refused before reading: unknown name, unknown id.
    pub partition: Result<Arc<Partition>, ResponseError>,
    pub offset: Offset,
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
    /// `partition_max_bytes`.
    pub max_bytes: usize,
}

/// The limits of one request; bytes.
#[derive(Clone, Copy)]
pub struct Limits {
    pub min_bytes: usize,
    pub max_bytes: usize,
    pub isolation: Isolation,
}

/// What one pass found, in the order of what was wanted.
pub struct Pass {
    pub partitions: Vec<Result<ReadResult, ResponseError>>,
    pub bytes: usize,
    /// A read failed or diverged, or nothing can be waited for (R80).
    pub answer_now: bool,
}

impl Pass {
    /// Reads every partition once.
    pub fn read(wanted: &[Wanted], limits: &Limits) -> Pass {
        let mut pass = Pass {
            partitions: Vec::with_capacity(wanted.len()),
            bytes: 0,
            answer_now: false,
        };
        let mut refused = 0;
        for want in wanted {
            let result = match &want.partition {
                Err(error) => {
                    refused += 1;
                    Err(*error)
                }
                Ok(partition) => {
                    let result = partition.read(&want.at(limits, pass.bytes));
                    pass.answer_now |= result
                        .as_ref()
                        .map_or(true, |read| read.diverging.is_some());
                    result
                }
            };
            pass.bytes += result.as_ref().map_or(0, |read| read.records.len());
            pass.partitions.push(result);
        }
        pass.answer_now |= refused == wanted.len();
        pass
    }

    pub fn is_enough(&self, limits: &Limits) -> bool {
        self.answer_now || self.bytes >= limits.min_bytes
    }
}

impl Wanted {
    fn at(&self, limits: &Limits, read_before: usize) -> ReadAt {
        let left = limits.max_bytes.saturating_sub(read_before);
        ReadAt {
            offset: self.offset,
            current_leader_epoch: self.current_leader_epoch,
            last_fetched_epoch: self.last_fetched_epoch,
            isolation: limits.isolation,
            max_bytes: self.max_bytes.min(left),
            at_least_one: read_before == 0,
        }
    }
}

/// Reads until a pass is enough or `deadline` is reached. Each pass first takes its place in the
/// partitions' waiter lists and then reads, so that no append is missed (R81).
pub async fn read_until(
    wanted: &[Wanted],
    limits: &Limits,
    deadline: tokio::time::Instant,
) -> Pass {
    loop {
        let wait = Wait::new(limits.min_bytes as i64);
        let _parked = park_all(wanted, limits.isolation, &wait);
        let pass = Pass::read(wanted, limits);
        if pass.is_enough(limits) {
            return pass;
        }
        // What was appended between parking and reading is counted twice: too early a wake-up,
        // never too late a one.
        wait.count_down(pass.bytes as i64);
        if tokio::time::timeout_at(deadline, wait.woken())
            .await
            .is_err()
        {
            return Pass::read(wanted, limits);
        }
    }
}

fn park_all(wanted: &[Wanted], isolation: Isolation, wait: &Arc<Wait>) -> Vec<ParkedAt> {
    let led_here = wanted
        .iter()
        .filter_map(|want| want.partition.as_ref().ok());
    led_here
        .map(|partition| partition.park(wait, Until::Bytes(isolation)))
        .collect()
}
