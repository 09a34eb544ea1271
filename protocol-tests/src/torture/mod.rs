//! Torture: a broker is ended again and again under load, its derived files are damaged while it
//! is dead, and every record, topic, config and producer id that it acknowledged must be there
//! afterwards, once, in order, at its offset.
//!
//! It is killed, stopped, frozen and killed, kills itself at a named point, loses its power, runs
//! out of disk, or dies under a group whose members come and go: [`How`].

mod admin;
mod broker;
mod changes;
mod check;
mod churn;
mod consumer;
mod damage;
mod disk;
mod endings;
mod keyed;
mod points;
mod producer;
mod record;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::random::Random;
use check::Findings;
use endings::Ending;
use world::World;

pub use broker::{Broker, Site, is_port_in_use, newest_build};
pub use churn::{PHASES, Phase};
pub use disk::may_mount;
pub use points::{COMPACTION_POINTS, COORDINATOR_POINTS, POINTS, Point};

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    pub cycles: u32,
    /// Decides times, faults and sizes; `None` for one that nobody chose.
    pub seed: Option<u64>,
    /// The `ottla` to torture.
    pub binary: PathBuf,
    /// Where its files go; kept if something is found.
    pub directory: PathBuf,
    pub how: How,
    /// A bug that `ottla-faults` is to have.
    pub bug: Option<String>,
}

/// How the broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Mostly by SIGKILL, sometimes by a clean stop or frozen before.
    Killed,
    /// At each of the named points in turn; the binary must be an `ottla-faults`.
    AtPoints,
    /// Its power goes, on a file system of its own, which wants root. One time in three the
    /// whole broker is durable and nothing may be missing; otherwise one topic is.
    Power,
    /// Its disk is full for a while before it is killed; wants root.
    DiskFull,
    /// By SIGKILL while it compacts; an `ottla-faults` at the points of compaction too.
    Compacting,
    /// The same, and then its power goes; every acknowledgement was synced. Wants root.
    CompactingPower,
    /// By SIGKILL in each phase of a rebalance of a group whose members come and go; an
    /// `ottla-faults` at the points of the coordinator too.
    Churn,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Summary {
    pub seed: u64,
    pub cycles: u32,
    /// Records, over all cycles.
    pub acknowledged: u64,
    /// Batches that were sent and not answered when the broker ended, over all cycles.
    pub in_doubt: u64,
    /// Times that DeleteRecords was answered.
    pub trims: u64,
    /// How often the broker died at each named point.
    pub reached: BTreeMap<&'static str, u32>,
    /// The longest time until a producer was served after a full disk had room again, ms.
    pub resumed_within_ms: i64,
    pub findings: Findings,
    /// What had been done to the broker before something was found.
    pub story: String,
}

impl Summary {
    fn new(seed: u64) -> Summary {
        Summary {
            seed,
            cycles: 0,
            acknowledged: 0,
            in_doubt: 0,
            trims: 0,
            reached: BTreeMap::new(),
            resumed_within_ms: 0,
            findings: Findings::default(),
            story: String::new(),
        }
    }

    /// Those of `points` at which no broker died.
    pub fn unreached(&self, points: &[Point]) -> Vec<&'static str> {
        let names = points.iter().map(|point| point.name);
        names
            .filter(|name| !self.reached.contains_key(name))
            .collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            seed,
            cycles,
            acknowledged,
            trims,
            findings,
            story,
            ..
        } = self;
        let forgiven = findings.forgiven;
        write!(
            f,
            "{cycles} cycles, {acknowledged} acknowledged, {trims} trims, {findings}"
        )?;
        if forgiven > 0 {
            write!(f, ", {forgiven} unsynced lost with the power")?;
        }
        if self.resumed_within_ms > 0 {
            let ms = self.resumed_within_ms;
            write!(f, ", served again {ms} ms after the disk had room")?;
        }
        if !self.reached.is_empty() {
            write!(f, ", at {:?}", self.reached)?;
        }
        match story.as_str() {
            "" => Ok(()),
            story => write!(f, "\n  {story}\n  seed {seed}"),
        }
    }
}

/// A directory begins empty after so many cycles, or checking would come to take longer than
/// killing.
const CYCLES_PER_DIRECTORY: u32 = 20;
/// Everything that happens now and then happens all the time, and segments may be small.
const RESTLESS: [&str; 7] = [
    "--dev",
    "--override",
    "log.flush.offset.checkpoint.interval.ms=50",
    "--override",
    "log.flush.start.offset.checkpoint.interval.ms=50",
    "--override",
    "log.retention.check.interval.ms=50",
];

/// Runs until all cycles are done or something is found. An error means that the torture itself
/// could not go on.
pub fn run(options: &Options) -> Result<Summary> {
    let seed = options.seed.unwrap_or_else(Random::seed);
    let mut random = Random::new(seed);
    let mut summary = Summary::new(seed);
    while summary.cycles < options.cycles && summary.findings.is_empty() {
        let left = options.cycles - summary.cycles;
        let cycles = match options.how {
            // What a power loss took is no base for another cycle.
            How::Power => 1,
            How::Killed
            | How::AtPoints
            | How::DiskFull
            | How::Compacting
            | How::CompactingPower
            | How::Churn => CYCLES_PER_DIRECTORY.min(left),
        };
        let directory = options
            .directory
            .join(format!("from-cycle-{}", summary.cycles));
        let torture_one = match options.how {
            How::Compacting | How::CompactingPower => keyed::torture,
            How::Churn => churn::torture,
            _ => torture_one,
        };
        match torture_one(cycles, options, &directory, &mut random, &mut summary) {
            Err(error) if error.is::<producer::OutOfService>() => {
                summary.findings.say(format!("{error:#}"));
            }
            done => {
                done.with_context(|| format!("seed {seed}, files in {}", directory.display()))?
            }
        }
        if summary.findings.is_empty() {
            std::fs::remove_dir_all(&directory)?;
        }
    }
    ensure!(
        summary.in_doubt > 0 || !summary.findings.is_empty(),
        "invalid run: nothing was in flight whenever the broker ended (seed {seed})"
    );
    Ok(summary)
}

/// One directory through a number of cycles.
fn torture_one(
    cycles: u32,
    options: &Options,
    directory: &Path,
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    let disk = endings::disk(options.how, directory)?;
    let home = disk.as_ref().map_or(directory, |disk| disk.path());
    let bug = options.bug.iter();
    let bug: Vec<_> = bug.map(|bug| ("FAULTS_BUG".into(), bug.clone())).collect();
    let all_durable = options.how == How::Power && random.one_in(3);
    let mut site = Site::new(&options.binary, home)?
        .with_arguments(&RESTLESS)
        .with_environment(&bug);
    if all_durable {
        site = site.with_arguments(&["--set", "storage.durable=true"]);
    }
    let mut running = Some(site.start()?);
    let is_patient = options.how == How::DiskFull;
    let mut world = World::new(&site.bootstrap, is_patient, random)?;
    if is_patient {
        world.add_topic(&site.bootstrap, endings::PROBE)?;
    }
    for cycle in 0..cycles {
        let Some(broker) = running.take() else {
            break;
        };
        world.renew_producers(&site.bootstrap, cycle == 0, random)?;
        let ending = Ending::choose(options.how, summary.cycles, random);
        let mut damages = Vec::new();
        let ended = ending.inflict(
            broker,
            &mut site,
            disk.as_ref(),
            &mut world,
            random,
            summary,
        );
        let lost_power = options.how == How::Power;
        let restarted = ended.and_then(|()| {
            if !lost_power {
                damages = damage::inflict(&site.data(), ending.is_clean(), random)?;
            }
            restart(&mut site, random)
        });
        summary.cycles += 1;
        match restarted {
            Ok(broker) => {
                running = Some(broker);
                let lost = lost_power && !all_durable;
                world.judge(&site.bootstrap, lost, ending.is_clean())?;
            }
            Err(error) => world.findings.say(format!("{error:#}")),
        }
        if !world.findings.is_empty() {
            let files = directory.display();
            summary.story = format!("in cycle {cycle}, {ending:?}; {damages:?}; see {files}");
            break;
        }
        // What was sent must not fill the disk for good.
        if is_patient
            && disk
                .as_ref()
                .is_some_and(|d| d.is_half_full().is_ok_and(|half| half))
        {
            break;
        }
    }
    summary.acknowledged += world.acknowledged();
    summary.trims += world.trims();
    // The file system goes behind the last process on it.
    match running {
        Some(broker) if world.findings.is_empty() => broker.stop()?,
        running => drop(running),
    }
    summary.findings.add(std::mem::take(&mut world.findings));
    Ok(())
}

/// Starts the broker again; one time in four it is killed while it starts.
fn restart(site: &mut Site, random: &mut Random) -> Result<Broker> {
    while random.one_in(4) {
        let broker = site.spawn()?;
        std::thread::sleep(Duration::from_millis(random.below(80)));
        broker.kill()?;
    }
    site.start()
}
