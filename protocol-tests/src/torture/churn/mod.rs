//! A consumer group under torture: members come and go at random and commit what they read, and
//! the broker dies in every phase of a rebalance. A partition has one owner in a generation,
//! committed offsets never go back, acknowledged commits cover a record once, and in the end every
//! record was read.

mod calls;
mod ledger;
mod member;
mod stage;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::ResponseError;
use ottla::clock::Clock;
use ottla::protocol::batch::{BatchOptions, Record, ValidBatch};

use super::broker::{Broker, Site, Started};
use super::endings::REACHED_WITHIN_MS;
use super::points::{COORDINATOR_POINTS, Point};
use super::producer::patiently;
use super::{Options, Summary, damage, restart};
use crate::client::Connection;
use crate::random::Random;
use calls::{OFFSETS, TOPIC};
use member::Member;
use stage::Stage;
pub use stage::{PHASES, Phase};

const PARTITIONS: usize = 6;
const DYNAMIC_MEMBERS: usize = 3;
const INSTANCES: [&str; 2] = ["first", "second"];
/// Until somebody comes to a phase: to the rarest, in which one leaves, that takes some hundred steps.
const PHASE_WITHIN: Duration = Duration::from_secs(120);
/// Until the group has caught up with everything, once nobody disturbs it.
const DRAINED_WITHIN_MS: i64 = 180_000;
const PAUSE: Duration = Duration::from_millis(5);
/// Sessions may be short, and the group's own log is compacted all the time.
const RESTLESS: [&str; 15] = [
    "--dev",
    "--override",
    "group.min.session.timeout.ms=100",
    "--override",
    "group.initial.rebalance.delay.ms=20",
    "--override",
    "offsets.topic.num.partitions=1",
    "--override",
    "offsets.topic.segment.bytes=65536",
    "--override",
    "log.cleaner.backoff.ms=50",
    "--override",
    "log.flush.offset.checkpoint.interval.ms=50",
    "--override",
    "log.flush.start.offset.checkpoint.interval.ms=50",
];

/// When the broker dies.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// As soon as a member is in a phase of a rebalance.
    In(Phase),
    /// At a named point, which wants an `ottla-faults`.
    At(Point),
    After(Duration),
}

impl Ending {
    /// All phases and points in turn, and between two rounds at any time.
    fn choose(cycle: u32, has_points: bool, random: &mut Random) -> Ending {
        let points = match has_points {
            true => &COORDINATOR_POINTS[..],
            false => &[],
        };
        let at = cycle as usize % (PHASES.len() + points.len() + 1);
        match PHASES.get(at) {
            Some(phase) => Ending::In(*phase),
            None => match points.get(at - PHASES.len()) {
                Some(point) => Ending::At(*point),
                None => Ending::After(Duration::from_millis(100 + random.below(900))),
            },
        }
    }
}

/// Cycles over one directory; see [`super::How::Churn`].
pub fn torture(
    cycles: u32,
    options: &Options,
    directory: &Path,
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    let bug = options.bug.iter();
    let bug: Vec<_> = bug.map(|bug| ("FAULTS_BUG".into(), bug.clone())).collect();
    let mut site = Site::new(&options.binary, directory)?
        .with_arguments(&RESTLESS)
        .with_environment(&bug);
    let has_points = options.binary.ends_with("ottla-faults") && options.bug.is_none();
    let broker = site.start()?;
    let mut connection = Connection::open(&site.bootstrap)?;
    patiently("CreateTopics", || {
        connection.create_topic(TOPIC, PARTITIONS as i32, &[("retention.ms", "-1")])
    })?;
    // The first question makes the topic of groups.
    patiently("FindCoordinator", || {
        let found = connection.call(&calls::find(), calls::FIND)?;
        let codes = found.coordinators.iter().map(|it| it.error_code);
        let refused = codes.filter_map(ResponseError::try_from_code).next();
        Ok(refused.map_or(Ok(()), Err))
    })?;
    let stage = &Stage::new(&site.bootstrap, PARTITIONS);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(move || feed(stage));
        scope.spawn(move || watch(stage));
        let statics = INSTANCES.map(|instance| Some(instance.to_owned()));
        let dynamic = (0..DYNAMIC_MEMBERS).map(|_| None);
        for instance in statics.into_iter().chain(dynamic) {
            let member = Member::new(stage, instance, random.next());
            scope.spawn(move || member.live());
        }
        let outcome = endings(
            cycles, &mut site, broker, has_points, stage, random, summary,
        );
        stage.stop.store(true, Ordering::Relaxed);
        stage.killed();
        outcome
    });
    let mut ledger = stage.ledger();
    summary.acknowledged += ledger.acknowledged;
    summary.in_doubt += ledger.in_doubt;
    summary.findings.add(std::mem::take(&mut ledger.findings));
    if let Err(violation) = outcome {
        summary.findings.say(format!("{violation:#}"));
    }
    if !summary.findings.is_empty() && summary.story.is_empty() {
        summary.story = format!("see {}", directory.display());
    }
    Ok(())
}

/// The broker's lives, and in the end the group's rest. An error is a violation.
fn endings(
    cycles: u32,
    site: &mut Site,
    broker: Broker,
    has_points: bool,
    stage: &Stage,
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    let mut broker = broker;
    for cycle in 0..cycles {
        let ending = Ending::choose(summary.cycles, has_points, random);
        let ended = end(ending, broker, site, stage, random, summary);
        stage.killed();
        ended?;
        summary.cycles += 1;
        let damages = damage::inflict(&site.data(), false, random)?;
        broker = restart(site, random)?;
        if !stage.ledger().findings.is_empty() {
            summary.story = format!("in cycle {cycle}, {ending:?}; {damages:?}");
            return Ok(());
        }
    }
    drain(stage)?;
    broker.stop()
}

fn end(
    ending: Ending,
    broker: Broker,
    site: &mut Site,
    stage: &Stage,
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    // Time to get somewhere.
    std::thread::sleep(Duration::from_millis(random.below(500)));
    let reached = match ending {
        Ending::After(life) => {
            std::thread::sleep(life);
            return broker.kill();
        }
        Ending::In(phase) => {
            let reached = stage.await_phase(phase, PHASE_WITHIN);
            broker.kill()?;
            reached.then_some(phase.name())
        }
        Ending::At(point) => {
            broker.kill()?;
            let reached = match site.start_or_die(Some(point.asked_for(random)))? {
                Started::Serves(broker) => broker.dies_within(REACHED_WITHIN_MS)?,
                Started::Killed(_) => true,
            };
            reached.then_some(point.name)
        }
    };
    if let Some(name) = reached {
        *summary.reached.entry(name).or_default() += 1;
    }
    Ok(())
}

/// With nobody leaving and nothing new, the group reads and commits everything there is.
fn drain(stage: &Stage) -> Result<()> {
    stage.calm.store(true, Ordering::Relaxed);
    let clock = Clock::system();
    let mut connection = Connection::open(&stage.bootstrap)?;
    loop {
        let mut ends = Vec::new();
        for partition in 0..PARTITIONS as i32 {
            let end = patiently("ListOffsets", || {
                connection.list_offset(TOPIC, partition, -1)
            })?;
            ends.push((partition, end));
        }
        let mut ledger = stage.ledger();
        let is_done = ends.iter().all(|(it, end)| ledger.floor(*it) == *end);
        if is_done || clock.monotonic_ms() > DRAINED_WITHIN_MS {
            ends.iter().for_each(|(it, end)| ledger.close(*it, *end));
            return Ok(());
        }
        drop(ledger);
        std::thread::sleep(PAUSE);
    }
}

/// Records to all partitions, a few at a time.
fn feed(stage: &Stage) {
    let mut sent = 0u64;
    while !stage.is_over() {
        let fed = Connection::open(&stage.bootstrap).and_then(|mut connection| {
            while !stage.is_over() {
                if !stage.is_calm() {
                    sent += 1;
                    let partition = (sent % PARTITIONS as u64) as i32;
                    connection.send_produce(TOPIC, partition, -1, batch(sent))?;
                    // A record that was not taken is not missed.
                    let _ = connection.receive_produced()?;
                }
                std::thread::sleep(PAUSE / 2);
            }
            Ok(())
        });
        if let Err(error) = fed {
            forgive(&error, stage);
        }
        std::thread::sleep(PAUSE);
    }
}

fn batch(number: u64) -> bytes::Bytes {
    let value = number.to_be_bytes();
    let record = Record {
        timestamp: 1_600_000_000_000,
        key: None,
        value: Some(&value),
        headers: &[],
    };
    let records: Vec<Record> = (0..1 + number % 5).map(|_| record).collect();
    ValidBatch::build(&records, &BatchOptions::default()).to_bytes()
}

/// Looks at what is committed, all the time, from outside of the group.
fn watch(stage: &Stage) {
    let all: Vec<i32> = (0..PARTITIONS as i32).collect();
    while !stage.is_over() {
        let watched = Connection::open(&stage.bootstrap).and_then(|mut connection| {
            while !stage.is_over() {
                look(stage, &mut connection, &all)?;
                std::thread::sleep(PAUSE);
            }
            Ok(())
        });
        if let Err(error) = watched {
            forgive(&error, stage);
        }
        std::thread::sleep(PAUSE);
    }
}

fn look(stage: &Stage, connection: &mut Connection, all: &[i32]) -> Result<()> {
    let floors: Vec<i64> = {
        let ledger = stage.ledger();
        all.iter().map(|it| ledger.floor(*it)).collect()
    };
    let answer = connection.call(&calls::offsets(all), OFFSETS)?;
    match calls::committed(&answer)? {
        Ok(offsets) => {
            ensure!(offsets.len() == all.len(), "partitions are missing");
            let mut ledger = stage.ledger();
            for (partition, offset) in offsets {
                let floor = floors.get(partition as usize);
                let floor = floor.context("a partition that there is not")?;
                ledger.committed(partition, *floor, offset);
            }
            Ok(())
        }
        Err(14..=16) => Ok(()),
        Err(code) => bail!("OffsetFetch was answered {code}"),
    }
}

/// A connection breaks with its broker; everything else that goes wrong is a violation.
fn forgive(error: &anyhow::Error, stage: &Stage) {
    use std::io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, UnexpectedEof};
    let broke = error.downcast_ref::<std::io::Error>().is_some_and(|it| {
        [
            BrokenPipe,
            ConnectionRefused,
            ConnectionReset,
            UnexpectedEof,
        ]
        .contains(&it.kind())
    });
    if !broke {
        stage.ledger().findings.say(format!("{error:#}"));
    }
}
