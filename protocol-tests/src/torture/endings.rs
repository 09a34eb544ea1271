//! The ways in which a broker under load comes to its end.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kafka_protocol::ResponseError;
use ottla::clock::Clock;
use ottla::protocol::batch::{BatchOptions, Record, ValidBatch};
use rustix::process::Signal;

use super::broker::{Broker, Site, Started};
use super::damage;
use super::disk::Disk;
use super::points::{POINTS, Point, When};
use super::producer::patiently;
use super::world::{World, lifetime};
use super::{How, Summary};
use crate::client::{Answer, Connection};
use crate::random::Random;

/// A topic to see with whether a disk takes records.
pub const PROBE: &str = "probe";
/// A point that is not reached within this time under load is not on the way, on a slow disk either.
pub const REACHED_WITHIN_MS: i64 = 120_000;
/// How long a life lasts for DeleteRecords to be answered.
const TRIMMED_WITHIN_MS: i64 = 20_000;
/// More than is written before the power goes, also when that is late.
const POWER_DISK_MIB: u64 = 512;
const COMPACTED_DISK_MIB: u64 = 512;
/// More than a fast broker is sent in a few cycles: it is full only when it is filled.
const FULL_DISK_MIB: u64 = 1024;

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Killed,
    Stopped,
    /// SIGSTOP for so many ms in the middle, and killed in the end.
    Frozen(u64),
    At(Point),
    PowerLost,
    /// So many ms without room on the disk, and killed in the end.
    DiskFull(u64),
}

/// The file system that a way wants; mounted.
pub fn disk(how: How, directory: &Path) -> Result<Option<Disk>> {
    Ok(match how {
        How::Killed | How::AtPoints | How::Compacting | How::Churn => None,
        How::CompactingPower => Some(Disk::ext4(directory, COMPACTED_DISK_MIB)?),
        How::Power => Some(Disk::ext4(directory, POWER_DISK_MIB)?),
        How::DiskFull => Some(Disk::tmpfs(directory, FULL_DISK_MIB)?),
    })
}

impl Ending {
    pub fn choose(how: How, cycle: u32, random: &mut Random) -> Ending {
        match how {
            How::AtPoints => Ending::At(POINTS[cycle as usize % POINTS.len()]),
            How::Power => Ending::PowerLost,
            How::DiskFull => Ending::DiskFull(300 + random.below(700)),
            How::Killed | How::Compacting | How::Churn | How::CompactingPower => {
                match random.below(16) {
                    0 | 1 => Ending::Stopped,
                    2 | 3 => Ending::Frozen(50 + random.below(700)),
                    _ => Ending::Killed,
                }
            }
        }
    }

    /// The files may be those of a clean stop: a start that died before it removed the marker
    /// has touched nothing.
    pub fn is_clean(&self) -> bool {
        match self {
            Ending::Stopped => true,
            Ending::At(point) => point.when == When::StartAfterStop,
            _ => false,
        }
    }

    /// Lets everybody work and ends the broker. An error is a broker that did not end as it
    /// should, or a torture that cannot go on.
    pub fn inflict(
        &self,
        broker: Broker,
        site: &mut Site,
        disk: Option<&Disk>,
        world: &mut World,
        random: &mut Random,
        summary: &mut Summary,
    ) -> Result<()> {
        let bootstrap = site.bootstrap.clone();
        let life = lifetime(random);
        let (ended, in_doubt) = match *self {
            Ending::Killed => {
                let trims = world.trims_so_far();
                let wanted = match random.one_in(3) {
                    true => world.trims() + 1,
                    false => 0,
                };
                world.live(&bootstrap, || {
                    std::thread::sleep(life);
                    await_trims(&trims, wanted);
                    broker.kill()
                })
            }
            Ending::Stopped => world.live(&bootstrap, || {
                std::thread::sleep(life);
                broker.stop()
            }),
            Ending::Frozen(ms) => world.live(&bootstrap, || freeze(broker, life, ms)),
            Ending::At(point) => {
                return die_at(point, broker, site, world, random, summary);
            }
            Ending::PowerLost => {
                let disk = disk.context("no disk to cut the power of")?;
                let (ended, in_doubt) = world.live(&bootstrap, || {
                    std::thread::sleep(life);
                    // A sync under way when the file system shuts down may report success and
                    // keep nothing (seen on Linux 6.18 without any broker), so nothing is.
                    broker.freeze()?;
                    disk.power_off()?;
                    broker.kill()
                });
                (ended.and_then(|()| disk.power_on()), in_doubt)
            }
            Ending::DiskFull(ms) => {
                let disk = disk.context("no disk to fill")?;
                let (ended, in_doubt) = world.live(&bootstrap, || {
                    std::thread::sleep(life);
                    let resumed = fill(disk, &bootstrap, ms);
                    std::thread::sleep(life);
                    broker.kill().and(resumed)
                });
                let resumed = ended.as_ref().copied().unwrap_or_default();
                summary.resumed_within_ms = summary.resumed_within_ms.max(resumed);
                (ended.map(|_| ()), in_doubt)
            }
        };
        summary.in_doubt += in_doubt;
        ended
    }
}

/// On a slow disk a life may be over before anything that has to be synced was answered. Not always:
/// an end in the middle of the first is one of those to be tried.
fn await_trims(trims: &AtomicU64, wanted: u64) {
    let clock = Clock::system();
    while trims.load(Ordering::Relaxed) < wanted && clock.monotonic_ms() < TRIMMED_WITHIN_MS {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn freeze(broker: Broker, life: Duration, ms: u64) -> Result<()> {
    std::thread::sleep(life / 2);
    broker.freeze()?;
    std::thread::sleep(Duration::from_millis(ms));
    broker.signal(Signal::CONT)?;
    std::thread::sleep(life / 2);
    broker.kill()
}

/// Starts the broker anew so that it kills itself at `point`, and brings it there.
fn die_at(
    point: Point,
    broker: Broker,
    site: &mut Site,
    world: &mut World,
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    match point.when {
        When::StartAfterStop => broker.stop()?,
        When::Load | When::Stop => broker.kill()?,
        When::StartAfterTear => {
            broker.kill()?;
            damage::tear(&site.data(), random)?;
        }
    }
    let bootstrap = site.bootstrap.clone();
    let mut reached = true;
    if let Started::Serves(broker) = site.start_or_die(Some(point.asked_for(random)))? {
        let (died, in_doubt) = world.live(&bootstrap, || {
            if point.when == When::Stop {
                std::thread::sleep(Duration::from_millis(100));
                broker.signal(Signal::TERM)?;
            }
            broker.dies_within(REACHED_WITHIN_MS)
        });
        summary.in_doubt += in_doubt;
        reached = died?;
    }
    if reached {
        *summary.reached.entry(point.name).or_default() += 1;
    }
    Ok(())
}

/// Takes all room for a while; returns how long after it is back a record is taken, ms.
fn fill(disk: &Disk, bootstrap: &str, ms: u64) -> Result<i64> {
    disk.fill()?;
    std::thread::sleep(Duration::from_millis(ms));
    let answer = produce_once(bootstrap)?;
    disk.make_room()?;
    // Retention and DeleteRecords go on, and may have made room for it.
    ensure!(
        matches!(answer, Ok(_) | Err(ResponseError::KafkaStorageError)),
        "a full disk answers {answer:?}"
    );
    let clock = Clock::system();
    let since = clock.monotonic_ms();
    patiently("a record after the disk has room again", || {
        produce_once(bootstrap)
    })?;
    Ok(clock.monotonic_ms() - since)
}

/// A record that no slack of a file takes.
fn produce_once(bootstrap: &str) -> Result<Answer<i64>> {
    let mut connection = Connection::open(bootstrap)?;
    let record = Record {
        value: Some(&[7; 100_000]),
        ..Record::default()
    };
    let batch = ValidBatch::build(&[record], &BatchOptions::default());
    connection.send_produce(PROBE, 0, -1, batch.to_bytes())?;
    connection.receive_produced()
}
