//! Torture: a broker is killed again and again under load, its derived files are damaged while
//! it is dead, and every record, topic and producer id that it acknowledged must be there
//! afterwards, once, in order, at its offset. (SIGKILL only: what the kernel has stays.)

mod admin;
mod broker;
mod check;
mod consumer;
mod damage;
mod producer;
mod record;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::Connection;
use crate::random::Random;
use admin::Admin;
use check::{Findings, Sent};
use consumer::Consumer;
use producer::{Kind, Producer, patiently};

pub use broker::{Broker, Site, newest_build};

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
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Summary {
    pub seed: u64,
    pub cycles: u32,
    /// Records, over all cycles.
    pub acknowledged: u64,
    /// Batches that were sent and not answered when the broker died, over all cycles.
    pub in_doubt: u64,
    pub findings: Findings,
    /// What had been done to the broker before something was found.
    pub story: String,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            seed,
            cycles,
            acknowledged,
            findings,
            story,
            ..
        } = self;
        write!(
            f,
            "{cycles} cycles, {acknowledged} acknowledged, {findings}"
        )?;
        match story.as_str() {
            "" => Ok(()),
            story => write!(f, "\n  {story}\n  seed {seed}"),
        }
    }
}

/// A directory begins empty after so many cycles, or checking would come to take longer than
/// killing.
const CYCLES_PER_DIRECTORY: u32 = 20;
/// Segments roll within a cycle.
const SMALL_SEGMENTS: [(&str, &str); 2] = [("segment.bytes", "1048576"), ("retention.ms", "-1")];
const TOPICS: [(&str, &[(&str, &str)]); 3] = [
    ("plain", &SMALL_SEGMENTS),
    ("idempotent", &SMALL_SEGMENTS),
    ("synced", &[("flush.messages", "1"), ("retention.ms", "-1")]),
];
const PARTITIONS: i32 = 2;
/// Two producers share idempotent-0, two of different kinds plain-0.
const PRODUCERS: [(Kind, &str, i32); 7] = [
    (Kind::Leader, "plain", 0),
    (Kind::All, "plain", 0),
    (Kind::All, "plain", 1),
    (Kind::Idempotent, "idempotent", 0),
    (Kind::Idempotent, "idempotent", 0),
    (Kind::Idempotent, "idempotent", 1),
    (Kind::Idempotent, "synced", 0),
];

/// Runs until all cycles are done or something is found. An error means that the torture itself
/// could not go on.
pub fn run(options: &Options) -> Result<Summary> {
    let seed = options.seed.unwrap_or_else(Random::seed);
    let mut random = Random::new(seed);
    let mut summary = Summary {
        seed,
        cycles: 0,
        acknowledged: 0,
        in_doubt: 0,
        findings: Findings::default(),
        story: String::new(),
    };
    while summary.cycles < options.cycles && summary.findings.is_empty() {
        let cycles = CYCLES_PER_DIRECTORY.min(options.cycles - summary.cycles);
        let directory = options
            .directory
            .join(format!("from-cycle-{}", summary.cycles));
        torture_one(
            cycles,
            &options.binary,
            &directory,
            &mut random,
            &mut summary,
        )
        .with_context(|| format!("seed {seed}, files in {}", directory.display()))?;
        if summary.findings.is_empty() {
            std::fs::remove_dir_all(&directory)?;
        }
    }
    ensure!(
        summary.in_doubt > 0 || !summary.findings.is_empty(),
        "invalid run: nothing was in flight whenever the broker died (seed {seed})"
    );
    Ok(summary)
}

/// One directory through a number of cycles.
fn torture_one(
    cycles: u32,
    binary: &Path,
    directory: &Path,
    random: &mut Random,
    summary: &mut Summary,
) -> Result<()> {
    let mut site = Site::new(binary, directory)?;
    let mut broker = site.start()?;
    let mut world = World::new(&site.bootstrap, random)?;
    for cycle in 0..cycles {
        world.renew_producers(&site.bootstrap, cycle == 0, random)?;
        let clean = random.one_in(8);
        let (end, died) = world.live(broker, &site.bootstrap, clean, random);
        end?;
        summary.in_doubt += died.in_doubt;
        let damages = damage::inflict(&site.data(), clean, random)?;
        broker = restart(&mut site, random)?;
        world.judge(&site.bootstrap)?;
        summary.cycles += 1;
        if !world.findings.is_empty() {
            let how = if clean { "stopped" } else { "killed" };
            let files = directory.display();
            summary.story =
                format!("in cycle {cycle}, when it was {how}; {damages:?}; see {files}");
            break;
        }
    }
    summary.acknowledged += world.acknowledged();
    if world.findings.is_empty() {
        broker.stop()?;
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

/// Everybody who uses the broker, and what they know.
struct World {
    run: u64,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    admin: Admin,
    findings: Findings,
}

struct Died {
    /// Batches without an answer.
    in_doubt: u64,
}

impl World {
    fn new(bootstrap: &str, random: &mut Random) -> Result<World> {
        let run = random.next();
        let mut admin = Admin::new(random.next());
        let mut consumers = Vec::new();
        let mut connection = Connection::open(bootstrap)?;
        for (topic, configs) in TOPICS {
            let id = patiently("CreateTopics", || {
                connection.create_topic(topic, PARTITIONS, configs)
            })?;
            admin.created(topic, id);
            consumers.extend((0..PARTITIONS).map(|partition| Consumer::new((topic, partition))));
        }
        let mut producers = Vec::new();
        for (index, (kind, topic, partition)) in (0..).zip(PRODUCERS) {
            let seed = random.next();
            producers.push(Producer::new(index, kind, (topic, partition), run, seed));
        }
        Ok(World {
            run,
            producers,
            consumers,
            admin,
            findings: Findings::default(),
        })
    }

    /// New producer ids for all, or for some.
    fn renew_producers(&mut self, bootstrap: &str, all: bool, random: &mut Random) -> Result<()> {
        for producer in &mut self.producers {
            if (all || random.one_in(4))
                && let Some(id) = producer.begin(bootstrap)?
            {
                self.admin.took_producer_id(id, &mut self.findings);
            }
        }
        Ok(())
    }

    /// Everybody at work, until after a while the broker is killed or stopped. What is wrong
    /// becomes a finding; the result says whether the broker could be ended as it should.
    fn live(
        &mut self,
        broker: Broker,
        bootstrap: &str,
        clean: bool,
        random: &mut Random,
    ) -> (Result<()>, Died) {
        let sent_before: Vec<usize> = self.producers.iter().map(|p| p.history.len()).collect();
        let (run, lifetime) = (self.run, Duration::from_millis(20 + random.below(400)));
        let stop = &AtomicBool::new(false);
        let (producers, consumers, admin) =
            (&mut self.producers, &mut self.consumers, &mut self.admin);
        let (end, violations) = std::thread::scope(|scope| {
            let mut at_work = Vec::new();
            for producer in producers {
                at_work.push(scope.spawn(move || producer.load(bootstrap, stop)));
            }
            at_work.push(scope.spawn(move || consumer::follow(consumers, bootstrap, run, stop)));
            at_work.push(scope.spawn(move || admin.load(bootstrap, stop)));
            std::thread::sleep(lifetime);
            let end = if clean { broker.stop() } else { broker.kill() };
            stop.store(true, Ordering::Relaxed);
            let violations: Vec<String> = at_work
                .into_iter()
                .filter_map(|worker| match worker.join() {
                    Ok(Ok(())) => None,
                    Ok(Err(violation)) => Some(format!("{violation:#}")),
                    Err(_) => Some("a worker panicked".to_owned()),
                })
                .collect();
            (end, violations)
        });
        violations
            .into_iter()
            .for_each(|violation| self.findings.say(violation));
        let in_doubt = self.producers.iter().zip(sent_before);
        let in_doubt = in_doubt
            .map(|(producer, since)| producer.in_doubt(since) as u64)
            .sum();
        (end, Died { in_doubt })
    }

    /// After a restart: retries what is in doubt and compares everything with what is there.
    fn judge(&mut self, bootstrap: &str) -> Result<()> {
        for producer in &mut self.producers {
            if let Err(violation) = producer.settle(bootstrap) {
                self.findings.say(format!("{violation:#}"));
            }
        }
        self.admin.check(bootstrap, &mut self.findings)?;
        for consumer in &self.consumers {
            let place = (consumer.topic, consumer.partition);
            let log = match consumer::read_all(place, bootstrap, self.run) {
                Ok(log) => log,
                Err(violation) => {
                    self.findings.say(format!("{violation:#}"));
                    continue;
                }
            };
            let sent: BTreeMap<u16, &[Sent]> = self
                .producers
                .iter()
                .filter(|producer| (producer.topic, producer.partition) == place)
                .map(|producer| (producer.index, producer.history.as_slice()))
                .collect();
            let partition = format!("{}-{}", place.0, place.1);
            let found = check::check(&partition, &log, &sent, &consumer.seen);
            self.findings.add(found);
        }
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.producers.iter().map(Producer::acknowledged).sum()
    }
}
