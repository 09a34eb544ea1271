//! Everybody who uses the broker, and what they know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Scope;
use std::time::Duration;

use anyhow::Result;

use super::admin::Admin;
use super::changes::{Settings, Trimmer};
use super::check::{Findings, Sent, View, check};
use super::consumer::{self, Consumer};
use super::producer::{Kind, Producer, patiently};
use crate::client::Connection;
use crate::random::Random;

/// Segments of these topics roll within a cycle (a broker with `--dev` takes such sizes).
const SMALL: (&str, &str) = ("segment.bytes", "262144");
const KEPT: (&str, &str) = ("retention.ms", "-1");
const AT_ONCE: (&str, &str) = ("file.delete.delay.ms", "10");
/// What retention leaves of the topic `retained`.
const RETAINED_BYTES: u64 = 600_000;
const PARTITIONS: i32 = 2;

struct Topic {
    name: &'static str,
    configs: &'static [(&'static str, &'static str)],
    /// Every acknowledged record was synced.
    is_durable: bool,
    /// Retention by size.
    keeps: Option<u64>,
    /// DeleteRecords moves its log start.
    is_trimmed: bool,
}

const TOPIC: Topic = Topic {
    name: "",
    configs: &[],
    is_durable: false,
    keeps: None,
    is_trimmed: false,
};
const TOPICS: [Topic; 5] = [
    Topic {
        name: "plain",
        configs: &[SMALL, KEPT],
        ..TOPIC
    },
    Topic {
        name: "idempotent",
        configs: &[("segment.bytes", "1048576"), KEPT],
        ..TOPIC
    },
    Topic {
        name: "synced",
        configs: &[("flush.messages", "1"), KEPT],
        is_durable: true,
        ..TOPIC
    },
    Topic {
        name: "trimmed",
        configs: &[SMALL, KEPT, AT_ONCE],
        is_trimmed: true,
        ..TOPIC
    },
    Topic {
        name: "retained",
        configs: &[SMALL, KEPT, AT_ONCE, ("retention.bytes", "600000")],
        keeps: Some(RETAINED_BYTES),
        ..TOPIC
    },
];
/// Two producers share idempotent-0, two of different kinds plain-0.
const PRODUCERS: [(Kind, &str, i32); 10] = [
    (Kind::Leader, "plain", 0),
    (Kind::All, "plain", 0),
    (Kind::All, "plain", 1),
    (Kind::Idempotent, "idempotent", 0),
    (Kind::Idempotent, "idempotent", 0),
    (Kind::Idempotent, "idempotent", 1),
    (Kind::Idempotent, "synced", 0),
    (Kind::Idempotent, "trimmed", 0),
    (Kind::All, "trimmed", 1),
    (Kind::Idempotent, "retained", 0),
];

/// See the module.
pub struct World {
    run: u64,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    admin: Admin,
    trimmer: Trimmer,
    settings: Settings,
    pub findings: Findings,
}

impl World {
    /// `is_patient`: the disk will be full now and then.
    pub fn new(bootstrap: &str, is_patient: bool, random: &mut Random) -> Result<World> {
        let run = random.next();
        let mut admin = Admin::new(random.next());
        admin.is_patient = is_patient;
        let mut consumers = Vec::new();
        let mut connection = Connection::open(bootstrap)?;
        for topic in &TOPICS {
            let id = patiently("CreateTopics", || {
                connection.create_topic(topic.name, PARTITIONS, topic.configs)
            })?;
            admin.created(topic.name, id);
            let places = (0..PARTITIONS).map(|partition| (topic.name, partition));
            consumers.extend(places.map(Consumer::new));
        }
        let mut producers = Vec::new();
        for (index, (kind, topic, partition)) in (0..).zip(PRODUCERS) {
            let seed = random.next();
            producers.push(Producer::new(index, kind, (topic, partition), run, seed));
        }
        let trimmed = TOPICS.iter().filter(|topic| topic.is_trimmed);
        let trimmed = trimmed.flat_map(|topic| (0..PARTITIONS).map(|p| (topic.name, p)));
        Ok(World {
            run,
            producers,
            consumers,
            admin,
            trimmer: Trimmer::new(trimmed, random.next()),
            settings: Settings::new("plain", random.next()),
            findings: Findings::default(),
        })
    }

    /// New producer ids for all, or for some.
    pub fn renew_producers(
        &mut self,
        bootstrap: &str,
        all: bool,
        random: &mut Random,
    ) -> Result<()> {
        for producer in &mut self.producers {
            if (all || random.one_in(4))
                && let Some(id) = producer.begin(bootstrap)?
            {
                self.admin.took_producer_id(id, &mut self.findings);
            }
        }
        Ok(())
    }

    /// Everybody at work while `end` does something to the broker that ends it. What is wrong
    /// becomes a finding; returns what `end` does, and how many batches had no answer.
    pub fn live<T>(&mut self, bootstrap: &str, end: impl FnOnce() -> T) -> (T, u64) {
        let sent_before: Vec<usize> = self.producers.iter().map(|p| p.history.len()).collect();
        let stop = &AtomicBool::new(false);
        let (outcome, violations) = std::thread::scope(|scope| {
            let at_work = self.at_work(scope, bootstrap, stop);
            let outcome = end();
            stop.store(true, Ordering::Relaxed);
            let violations: Vec<String> = at_work
                .into_iter()
                .filter_map(|worker| match worker.join() {
                    Ok(Ok(())) => None,
                    Ok(Err(violation)) => Some(format!("{violation:#}")),
                    Err(_) => Some("a worker panicked".to_owned()),
                })
                .collect();
            (outcome, violations)
        });
        violations
            .into_iter()
            .for_each(|violation| self.findings.say(violation));
        let in_doubt = self.producers.iter().zip(sent_before);
        let in_doubt = in_doubt.map(|(producer, since)| producer.in_doubt(since) as u64);
        (outcome, in_doubt.sum())
    }

    fn at_work<'scope, 'env>(
        &'env mut self,
        scope: &'scope Scope<'scope, 'env>,
        bootstrap: &'env str,
        stop: &'env AtomicBool,
    ) -> Vec<std::thread::ScopedJoinHandle<'scope, Result<()>>> {
        let World {
            run,
            producers,
            consumers,
            admin,
            trimmer,
            settings,
            ..
        } = self;
        let run = *run;
        let mut at_work = Vec::new();
        for producer in producers {
            at_work.push(scope.spawn(move || producer.load(bootstrap, stop)));
        }
        at_work.push(scope.spawn(move || consumer::follow(consumers, bootstrap, run, stop)));
        at_work.push(scope.spawn(move || admin.load(bootstrap, stop)));
        at_work.push(scope.spawn(move || trimmer.load(bootstrap, stop)));
        at_work.push(scope.spawn(move || settings.load(bootstrap, stop)));
        at_work
    }

    /// After a restart: retries what is in doubt and compares everything with what is there.
    /// `lost_power`: only what was synced had to stay. `was_stopped`: the broker ended cleanly.
    pub fn judge(&mut self, bootstrap: &str, lost_power: bool, was_stopped: bool) -> Result<()> {
        self.admin
            .check(bootstrap, lost_power, &mut self.findings)?;
        if !self.findings.is_empty() {
            // Without its topics nothing else is worth a look.
            return Ok(());
        }
        for producer in &mut self.producers {
            // Of the others the broker may know less than they do.
            let is_durable = TOPICS
                .iter()
                .any(|topic| topic.name == producer.topic && topic.is_durable);
            if lost_power && !is_durable {
                continue;
            }
            if let Err(violation) = producer.settle(bootstrap) {
                self.findings.say(format!("{violation:#}"));
            }
        }
        self.settings.check(bootstrap, &mut self.findings)?;
        for at in 0..self.consumers.len() {
            if let Err(violation) = self.judge_partition(at, bootstrap, lost_power, was_stopped) {
                self.findings.say(format!("{violation:#}"));
            }
        }
        Ok(())
    }

    fn judge_partition(
        &mut self,
        at: usize,
        bootstrap: &str,
        lost_power: bool,
        was_stopped: bool,
    ) -> Result<()> {
        let consumer = &self.consumers[at];
        let place = (consumer.topic, consumer.partition);
        let whole = consumer::read_all(place, bootstrap, self.run)?;
        let topic = TOPICS.iter().find(|topic| topic.name == place.0);
        let topic = topic.expect("consumers follow these topics");
        let sent: BTreeMap<u16, &[Sent]> = self
            .producers
            .iter()
            .filter(|producer| (producer.topic, producer.partition) == place)
            .map(|producer| (producer.index, producer.history.as_slice()))
            .collect();
        let view = View {
            start: whole.start,
            log: &whole.log,
            may_be_cut: lost_power && !topic.is_durable,
        };
        let partition = format!("{}-{}", place.0, place.1);
        let found = check(&partition, &view, &sent, &consumer.seen);
        self.findings.add(found);
        let start = (whole.start, whole.bytes);
        let keeps = topic
            .keeps
            .map(|bytes| if view.may_be_cut { 0 } else { bytes });
        self.trimmer
            .check(place, start, keeps, was_stopped, &mut self.findings);
        Ok(())
    }

    pub fn acknowledged(&self) -> u64 {
        self.producers.iter().map(Producer::acknowledged).sum()
    }

    /// Log starts moved by DeleteRecords.
    pub fn trims(&self) -> u64 {
        self.trimmer.done.load(Ordering::Relaxed)
    }

    /// [`World::trims`] as they come.
    pub fn trims_so_far(&self) -> Arc<AtomicU64> {
        self.trimmer.done.clone()
    }

    /// A topic beside those that are checked.
    pub fn add_topic(&mut self, bootstrap: &str, name: &str) -> Result<()> {
        let mut connection = Connection::open(bootstrap)?;
        let id = patiently("CreateTopics", || connection.create_topic(name, 1, &[]))?;
        self.admin.created(name, id);
        Ok(())
    }
}

/// Long enough for everybody to be in the middle of something.
pub fn lifetime(random: &mut Random) -> Duration {
    Duration::from_millis(20 + random.below(400))
}
